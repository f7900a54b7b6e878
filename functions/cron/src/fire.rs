//! A run of a job begins: it becomes a message of the job's session, or ends at once because there is nothing to do.

use std::time::Duration;

use domain::heartbeat::{Facts, Gate, HEARTBEAT_NOTE, SkipReason, heartbeat_gate};
use domain::job::{JobRun, Outcome, Payload, RESEND_AFTER};
use domain::task::Fire;
use domain::turn::Head;
use domain::{Account, Bot, Budget, Inbound, Job, MessageId, Task};
use queues::{Record, Retry};
use runtime::Environment;
use store::StoreError;
use tokio::time::Instant;

use crate::due;

const HEARTBEAT: &str = include_str!("../prompts/heartbeat.md");

/// How early a run may be received: SQS's clock is not ours.
const EARLY: Duration = Duration::from_millis(500);

pub(crate) async fn process(environment: &Environment, record: &Record, deadline: Instant) -> Result<(), Retry> {
    match Task::from_body(&record.body) {
        Ok(Task::Job(fire)) => begin(environment, &fire).await,
        Ok(Task::JobsDue(due)) => due::drain(environment, due, deadline).await.map_err(Retry::soon),
        Ok(_) => {
            tracing::error!(record = %record.id, "A task that does not belong in jobs is dropped.");
            Ok(())
        }
        // Another build may have written it; while its job waits, it is sent again.
        Err(error) => {
            tracing::error!(record = %record.id, "A record of jobs is dropped: {error}");
            Ok(())
        }
    }
}

/// Begins a run. Doing it again begins nothing: a session takes a message in once, and its name follows from the run.
async fn begin(environment: &Environment, fire: &Fire) -> Result<(), Retry> {
    let now = environment.clock.now();
    let early = fire.run.at.since(now);
    if early > EARLY {
        return Err(Retry::exactly(early, "a run came before its time"));
    }
    let account = environment.store.account(fire.account);
    let Some(job) = account.job_get(fire.bot, fire.job).await? else { return Ok(()) };
    // Its end was reported, or the job was changed before its time.
    let pending = job.state.pending.iter().find(|run| run.scheduled == fire.run.scheduled);
    let Some(pending) = pending else { return Ok(()) };
    if pending.at.since(now) > EARLY {
        tracing::info!(job = %job.id, "A run was put off, since the one before failed; it is sent again at its time.");
        return Ok(());
    }
    let run = JobRun::of(&job, fire.run.scheduled, now);
    let Some((bot, owner)) = account.bot_get_with_account(fire.bot).await? else { return Ok(()) };
    let is_sent_again = now.since(fire.run.at) >= RESEND_AFTER;
    match prepare(environment, &job, &bot, owner.as_ref(), &run, is_sent_again).await? {
        Beginning::Message(inbound) => {
            tracing::info!(job = %job.id, bot = %bot.id, scheduled = %run.scheduled, "A run of a job begins.");
            Ok(environment.take_in(&bot, *inbound).await?)
        }
        Beginning::UnderWay => Ok(()),
        Beginning::End(outcome) => {
            tracing::info!(job = %job.id, bot = %bot.id, ?outcome, "A run of a job ends before its turn.");
            environment.job_end(fire.account, fire.bot, fire.job, &run.ended(outcome, now)).await?;
            if bot.rest.is_some() {
                // It was claimed while the bot went to rest.
                account.job_rest(fire.bot, fire.job).await?;
            }
            Ok(())
        }
    }
}

/// What comes of a run that was sent.
enum Beginning {
    /// Its message, for its session.
    Message(Box<Inbound>),
    /// It ends without one.
    End(Outcome),
    /// It has begun, or its message may wait in the session. Whoever works on it reports its end; if nobody does, it is sent
    /// again.
    UnderWay,
}

async fn prepare(
    environment: &Environment,
    job: &Job,
    bot: &Bot,
    owner: Option<&Account>,
    run: &JobRun,
    is_sent_again: bool,
) -> Result<Beginning, StoreError> {
    let skip = |reason: &str| Ok(Beginning::End(Outcome::Skipped { reason: reason.to_owned() }));
    let failed = |error: String| Ok(Beginning::End(Outcome::Error { error }));
    if let Some(why) = bot.silence() {
        return skip(why);
    }
    let session = match job.session(&bot.agent, run.scheduled) {
        Ok(session) => session,
        Err(error) => return failed(error.to_string()),
    };
    if job.spec.payload == Payload::Heartbeat {
        let account = environment.store.account(bot.account);
        let message = MessageId::of_run(run.job, run.scheduled);
        let (head, was_taken_in) = account.session_head_and_mark(bot.id, &session, &message).await?;
        let head = head.unwrap_or_default();
        let is_this_run = |other: &JobRun| (other.job, other.scheduled) == (run.job, run.scheduled);
        if head.turn.as_ref().and_then(|turn| turn.job.as_deref()).is_some_and(is_this_run) {
            return Ok(Beginning::UnderWay);
        }
        // Once it was decided to ask, what its own turn has done is no reason to skip it.
        if !was_taken_in && let Gate::Skip(reason) = gate(environment, job, bot, owner, &head).await? {
            return Ok(match reason {
                SkipReason::TurnUnderWay if is_sent_again => Beginning::UnderWay,
                reason => Beginning::End(reason.into()),
            });
        }
    }
    let text = match (intake::text_of_run(&job.spec.payload), &bot.heartbeat.prompt) {
        (Some(text), _) => text,
        (None, Some(prompt)) => format!("{}\n{prompt}", HEARTBEAT.trim_end()),
        (None, None) => HEARTBEAT.to_owned(),
    };
    match intake::begin_run(environment, job, bot, run.clone(), session, &text).await? {
        Ok(inbound) => Ok(Beginning::Message(Box::new(inbound))),
        Err(reason) => failed(reason),
    }
}

/// Whether a heartbeat asks the model, decided from what is known without asking.
async fn gate(
    environment: &Environment,
    job: &Job,
    bot: &Bot,
    owner: Option<&Account>,
    head: &Head,
) -> Result<Gate, StoreError> {
    let account = environment.store.account(bot.account);
    let note = account.workspace_read(bot.id, HEARTBEAT_NOTE).await?;
    let note = note.map(|note| String::from_utf8_lossy(&note.bytes).into_owned());
    let account_budget = owner.map(|owner| owner.budget).unwrap_or_default();
    let has_budget = has_room(environment, bot, None, &account_budget).await?
        && has_room(environment, bot, Some(bot), &bot.budget).await?;
    let facts = Facts {
        now: environment.clock.now(),
        zone: &bot.time_zone,
        note: note.as_deref(),
        last_run: job.state.last_asked_at,
        // Writing the note touches the bot, too.
        last_news: Some(head.updated_at.max(bot.updated_at)),
        has_budget,
        is_turn_under_way: head.turn.is_some(),
    };
    Ok(heartbeat_gate(&bot.heartbeat, &facts))
}

/// Whether the budget of the account, or of one of its bots, is not used up yet.
async fn has_room(environment: &Environment, bot: &Bot, of: Option<&Bot>, budget: &Budget) -> Result<bool, StoreError> {
    if !budget.is_limited() {
        return Ok(true);
    }
    let period = budget.period.containing(environment.clock.now());
    let spent = environment.store.account(bot.account).spent(of.map(|bot| bot.id), &period).await?;
    let is_below = |limit: Option<u64>, spent: u64| limit.is_none_or(|limit| spent < limit);
    Ok(is_below(budget.micros, spent.micros) && is_below(budget.turns, spent.turns))
}
