//! What `/cron` tells and does.

use std::fmt::Write;

use domain::control::ScheduleVerb;
use domain::job::{JobSpec, Outcome, Payload};
use domain::turn::ActiveTurn;
use domain::when::local_time;
use domain::{Bot, Job};
use runtime::{Environment, JobError};
use store::StoreError;

/// Carries the command of `turn` out; the text says what came of it. The owner is obeyed about all jobs, others about those
/// of the place that they are in. A run that is asked for again after a crash begins again.
pub(crate) async fn obey(
    environment: &Environment,
    bot: &Bot,
    turn: &ActiveTurn,
    verb: ScheduleVerb,
    named: &str,
) -> Result<String, StoreError> {
    let account = environment.store.account(bot.account);
    let mut jobs = account.job_list(bot.id).await?;
    jobs.retain(|job| turn.may_touch(job));
    if verb == ScheduleVerb::List {
        return Ok(list(&jobs, bot));
    }
    let Some(job) = find(&jobs, named) else {
        let named: String = named.chars().filter(|c| *c != '`').take(80).collect();
        return Ok(format!("I have no schedule `{named}`, or several. `/cron` lists them; name one by its number."));
    };
    let name = &job.spec.name;
    if job.spec.payload == Payload::Heartbeat && verb != ScheduleVerb::Run {
        return Ok("Heartbeats are a setting of mine: `lowtide bots heartbeat`.".to_owned());
    }
    let switched = |enabled| JobSpec { enabled, ..job.spec.clone() };
    let done = match verb {
        ScheduleVerb::List => return Ok(list(&jobs, bot)),
        ScheduleVerb::Run => environment.job_run_now(job).await.map(|_| format!("\"{name}\" begins now.")),
        ScheduleVerb::Pause => {
            environment.job_edit(bot, job, switched(false)).await.map(|_| format!("\"{name}\" is switched off."))
        }
        ScheduleVerb::Resume => {
            environment.job_edit(bot, job, switched(true)).await.map(|job| format!("\"{name}\": {}.", next(&job, bot)))
        }
        ScheduleVerb::Rm => {
            account.job_delete(bot.id, job.id).await?;
            Ok(format!("\"{name}\" is removed."))
        }
    };
    match done {
        Ok(text) => Ok(text),
        Err(JobError::Store(StoreError::Conflict(_))) => Ok("It was changed in this moment. Say it again.".to_owned()),
        Err(JobError::Store(error)) => Err(error),
        Err(JobError::Queue(error)) => Ok(format!("It is noted, and begins within a few minutes ({error}).")),
        Err(error @ (JobError::Bad(_) | JobError::BadHeartbeat(_) | JobError::TooMany | JobError::TooManyRuns)) => {
            Ok(format!("Not done: {error}."))
        }
    }
}

/// The job with this number in the list, this id or this name.
fn find<'a>(jobs: &'a [Job], named: &str) -> Option<&'a Job> {
    if let Ok(number) = named.parse::<usize>() {
        return jobs.get(number.checked_sub(1)?);
    }
    let is_it = |job: &&Job| job.id.to_string() == named || job.spec.name.eq_ignore_ascii_case(named);
    let mut found = jobs.iter().filter(is_it);
    found.next().filter(|_| found.next().is_none())
}

fn list(jobs: &[Job], bot: &Bot) -> String {
    if jobs.is_empty() {
        return "I have no schedules. Ask me to remind you of something.".to_owned();
    }
    let mut text = "Schedules:".to_owned();
    for (index, job) in jobs.iter().enumerate() {
        let last = match &job.state.last {
            None => String::new(),
            Some(Outcome::Ok) => ", last: ok".to_owned(),
            Some(Outcome::Skipped { reason }) => format!(", last: {reason}"),
            Some(Outcome::Error { error }) => format!(", last failed: {error}"),
        };
        let when = job.spec.schedule.in_words(&bot.time_zone);
        // Writing to a text has no way to fail.
        let _ = write!(text, "\n{}. **{}** {when}, {}{last}", index + 1, job.spec.name, next(job, bot));
    }
    text
}

fn next(job: &Job, bot: &Bot) -> String {
    let soonest = job.state.pending.iter().map(|run| run.at).min();
    match soonest.or(job.state.next.map(|next| job.begins(next))) {
        Some(at) if job.spec.enabled => format!("next {}", local_time(at, &bot.time_zone)),
        _ => "switched off".to_owned(),
    }
}
