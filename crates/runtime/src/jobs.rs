//! The way of jobs between those that make them, the tick that claims them, and those that end their runs.

use std::time::Duration;

use domain::heartbeat::BadHeartbeat;
use domain::job::{BadJob, Claim, DeliveryMode, Finished, Firing, JobDelivery, JobSpec, MAX_PENDING, Payload, Report};
use domain::task::Fire;
use domain::{AccountId, Bot, BotId, Job, JobId, Task, Timestamp};
use queues::QueueError;
use store::{Notice, StoreError};

use crate::{DoorError, Environment};

/// How far ahead runs are claimed and sent: the minute until the next tick, and a little, since ticks are not punctual.
pub const HORIZON: Duration = Duration::from_secs(75);

/// How many jobs a bot may have.
const MAX_JOBS: usize = 200;

/// A job was not written, or not all that it needs.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error(transparent)]
    Bad(#[from] BadJob),
    #[error(transparent)]
    BadHeartbeat(#[from] BadHeartbeat),
    #[error("a bot has at most {MAX_JOBS} jobs; remove one first")]
    TooMany,
    #[error("{MAX_PENDING} runs of this job wait for their end already; wait until some have ended, or remove the job")]
    TooManyRuns,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl From<DoorError> for JobError {
    fn from(error: DoorError) -> JobError {
        match error {
            DoorError::Store(error) => JobError::Store(error),
            DoorError::Queue(error) => JobError::Queue(error),
        }
    }
}

impl Environment {
    /// Makes a job of a bot. What is due before the next tick is sent at once, so that it is in time.
    pub async fn job_create(&self, bot: &Bot, id: JobId, spec: JobSpec) -> Result<Job, JobError> {
        let job = self.job_new(bot, id, spec).await?;
        self.store.account(bot.account).job_put(&job).await?;
        self.job_send_due(&job).await?;
        Ok(job)
    }

    /// The same, for a caller who may do it again within 7 days, under the same id, after the job has run and is gone. It is
    /// made once; [`store::AccountStore::job_made`] tells whether it was.
    pub async fn job_create_once(&self, bot: &Bot, id: JobId, spec: JobSpec) -> Result<Job, JobError> {
        let job = self.job_new(bot, id, spec).await?;
        self.store.account(bot.account).job_make(&job).await?;
        self.job_send_due(&job).await?;
        Ok(job)
    }

    async fn job_new(&self, bot: &Bot, id: JobId, spec: JobSpec) -> Result<Job, JobError> {
        can_be_done(&spec)?;
        if self.store.account(bot.account).job_list(bot.id).await?.len() >= MAX_JOBS {
            return Err(JobError::TooMany);
        }
        Ok(Job::create(id, bot.account, bot.id, spec, &bot.time_zone, self.clock.now())?)
    }

    /// Puts `spec` in the place of what `seen` says.
    pub async fn job_edit(&self, bot: &Bot, seen: &Job, spec: JobSpec) -> Result<Job, JobError> {
        can_be_done(&spec)?;
        let job = seen.edit(spec, &bot.time_zone, self.clock.now())?;
        self.store.account(bot.account).job_put(&job).await?;
        self.job_send_due(&job).await?;
        Ok(job)
    }

    /// Has a job that stood still run again, as if it was switched off and on: from its next time on.
    pub async fn job_wake(&self, bot: &Bot, seen: &Job) -> Result<(), JobError> {
        let now = self.clock.now();
        let off = seen.edit(JobSpec { enabled: false, ..seen.spec.clone() }, &bot.time_zone, now)?;
        let on = off.edit(seen.spec.clone(), &bot.time_zone, now)?;
        let job = Job { version: seen.version + 1, ..on };
        self.store.account(bot.account).job_put(&job).await?;
        self.job_send_due(&job).await
    }

    /// Begins a run of a job beside its schedule. Fails with `Conflict` if the job is being written by somebody else.
    pub async fn job_run_now(&self, job: &Job) -> Result<Firing, JobError> {
        let claim = job.run_now(self.clock.now()).ok_or(JobError::TooManyRuns)?;
        let account = self.store.account(job.account);
        if !account.job_claim(&claim).await? {
            return Err(StoreError::Conflict("the job was changed meanwhile; try again").into());
        }
        self.job_send(&claim).await?;
        Ok(claim.fire[0])
    }

    /// Claims and sends what is due of a job before the next tick. Who else claims it meanwhile sends it.
    pub async fn job_send_due(&self, job: &Job) -> Result<(), JobError> {
        let now = self.clock.now();
        let Some(claim) = job.claim(now, now + HORIZON) else { return Ok(()) };
        if self.store.account(job.account).job_claim(&claim).await? {
            self.job_send(&claim).await?;
        }
        Ok(())
    }

    async fn job_send(&self, claim: &Claim) -> Result<(), JobError> {
        let tasks = fires(claim, self.clock.now());
        // What SQS refuses stays pending, and a later tick sends it again.
        let refused = self.queues.send_later(&tasks).await?;
        if !refused.is_empty() {
            tracing::warn!(job = %claim.job.id, refused = refused.len(), "Runs of a job were not queued; a later tick does it.");
        }
        Ok(())
    }

    /// Reports the end of a run. If the job was switched off by it, its owner is told. `None`: nobody waits for it.
    pub async fn job_end(
        &self,
        account: AccountId,
        bot: BotId,
        id: JobId,
        report: &Report,
    ) -> Result<Option<Finished>, StoreError> {
        let account = self.store.account(account);
        let Some(finished) = account.job_finish(bot, id, report).await? else { return Ok(None) };
        if let Some(pause) = &finished.paused {
            let is_one_shot = finished.job.as_ref().is_some_and(|job| job.spec.schedule.is_one_shot());
            let advice = match is_one_shot {
                true => "`lowtide schedules run` begins it now, `edit --at` gives it another time.",
                false => "`lowtide schedules resume` switches it on again.",
            };
            let text = format!("{} {advice}", pause.reason);
            let notice = Notice { about: format!("job.{id}.{}", pause.at), bot: Some(bot), text, at: pause.at };
            if account.notice_put(&notice).await? {
                tracing::warn!(job = %id, %bot, "{}", notice.text);
            }
        }
        Ok(Some(finished))
    }

    /// Makes the job of a bot's heartbeats what the bot's settings say.
    pub async fn heartbeat_apply(&self, bot: &Bot) -> Result<(), JobError> {
        bot.heartbeat.check()?;
        let (account, id) = (self.store.account(bot.account), JobId::heartbeat_of(bot.id));
        let (now, zone) = (self.clock.now(), &bot.time_zone);
        let seen = account.job_get(bot.id, id).await?;
        let job = match (bot.heartbeat.job(), seen) {
            (None, None) => return Ok(()),
            (None, Some(_)) => return Ok(account.job_delete(bot.id, id).await?),
            (Some(spec), None) => Job::create(id, bot.account, bot.id, spec, zone, now)?,
            (Some(spec), Some(seen)) => seen.edit(keep_anchor(spec, &seen), zone, now)?,
        };
        account.job_put(&job).await?;
        self.job_send_due(&job).await
    }
}

/// An interval that did not change goes on as it began.
fn keep_anchor(spec: JobSpec, seen: &Job) -> JobSpec {
    use domain::Schedule::Every;
    match (&spec.schedule, &seen.spec.schedule) {
        (Every { every_ms, .. }, Every { every_ms: before, .. }) if every_ms == before => {
            JobSpec { schedule: seen.spec.schedule.clone(), ..spec }
        }
        _ => spec,
    }
}

/// What a claim sends, each run with the time until it begins.
pub fn fires(claim: &Claim, now: Timestamp) -> Vec<(Task, Duration)> {
    let Claim { fire: new, again, job, .. } = claim;
    new.iter().chain(again).map(|run| fire(job, run, now)).collect()
}

/// What sends one run of a job, with the time until it begins.
pub fn fire(job: &Job, run: &Firing, now: Timestamp) -> (Task, Duration) {
    let fire = Fire { account: job.account, bot: job.bot, job: job.id, run: *run };
    (Task::Job(fire), run.at.since(now))
}

/// Refuses what a job may say and nothing here does, where leaving it out would be worse than saying so.
fn can_be_done(spec: &JobSpec) -> Result<(), BadJob> {
    let posts_nowhere = |delivery: &JobDelivery| delivery.mode == DeliveryMode::Webhook && delivery.link.is_none();
    if spec.enabled && spec.delivery.as_ref().is_some_and(posts_nowhere) {
        return Err(BadJob::Unsupported(
            "its webhook has no secret yet; `lowtide schedules resume`, or a PATCH of the schedule, makes one and tells it",
        ));
    }
    match &spec.payload {
        Payload::Heartbeat => Err(BadJob::Unsupported(
            "heartbeats are a setting of the bot, not a job: `lowtide bots heartbeat`, or `heartbeat` in the bot's PATCH",
        )),
        Payload::AgentTurn { tools_allow, .. } if tools_allow.iter().any(|name| name != "*") => {
            Err(BadJob::Unsupported(
                "a job cannot be limited to some tools here; leave `toolsAllow` out and limit the bot's tools instead",
            ))
        }
        Payload::AgentTurn { .. } | Payload::SystemEvent { .. } => Ok(()),
    }
}
