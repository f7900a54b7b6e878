//! What an agent may do with its bot's jobs.

use agent::{HostError, JobAnswer, JobRequest};
use domain::job::{BadJob, DeliveryMode, JobDelivery, JobSpec, Payload, SessionTarget};
use domain::{Job, JobId, Schedule};
use runtime::JobError;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{BotHost, failed, not_queued, refused};

fn not_done(error: JobError) -> HostError {
    match error {
        JobError::Store(error) => failed(error),
        JobError::Queue(error) => not_queued(error),
        JobError::Bad(_) | JobError::BadHeartbeat(_) | JobError::TooMany | JobError::TooManyRuns => {
            HostError::Refused(error.to_string())
        }
    }
}

fn bad(error: BadJob) -> HostError {
    HostError::Refused(error.to_string())
}

impl BotHost<'_> {
    pub(super) async fn ask_jobs(&self, call: &str, request: JobRequest) -> Result<JobAnswer, HostError> {
        let (account, bot) = (self.account(), self.bot);
        Ok(match request {
            JobRequest::List => {
                let mut jobs = account.job_list(bot.id).await.map_err(failed)?;
                jobs.retain(|job| self.turn.may_touch(job));
                JobAnswer::Jobs(jobs)
            }
            JobRequest::Add(job) => self.add_job(call, job).await?,
            JobRequest::Update { id, patch } => {
                self.only_with_people()?;
                let seen = self.job(id).await?;
                let patch = in_shape(&seen, patch);
                let read = seen.spec.patched(&patch, &bot.time_zone, self.now());
                let (spec, mut left_out) = read.map_err(bad)?;
                let delivery = self.changed_delivery(&seen, &patch, &mut left_out)?;
                let spec = JobSpec { delivery, ..spec };
                if spec.session_target != seen.spec.session_target {
                    return refused("A job stays in its conversation; make another one.");
                }
                let job = self.environment.job_edit(bot, &seen, spec).await.map_err(not_done)?;
                JobAnswer::Written { job: Box::new(job), left_out }
            }
            JobRequest::Remove(id) => {
                self.only_with_people()?;
                self.job(id).await?;
                account.job_delete(bot.id, id).await.map_err(failed)?;
                JobAnswer::Done
            }
            JobRequest::Run(id) => {
                self.only_with_people()?;
                let job = self.job(id).await?;
                self.environment.job_run_now(&job).await.map_err(not_done)?;
                JobAnswer::Done
            }
            JobRequest::Runs(id) => {
                self.job(id).await?;
                let runs = account.job_runs(bot.id, id).await.map_err(failed)?;
                JobAnswer::Runs(runs.iter().rev().cloned().collect())
            }
        })
    }

    /// Jobs that make jobs would never end, and what a job reads is no wish of its owner. The same goes for what another
    /// session says.
    fn only_with_people(&self) -> Result<(), HostError> {
        if self.turn.job.is_none() && self.turn.reply.hops == 0 && self.session.is_of_people() {
            return Ok(());
        }
        refused("That is possible only in a conversation with a person.")
    }

    /// Where the answers go from now on: they may be told or not, and the place stays.
    fn changed_delivery(
        &self,
        seen: &Job,
        patch: &Value,
        left_out: &mut Vec<String>,
    ) -> Result<Option<JobDelivery>, HostError> {
        let before = seen.spec.delivery.clone();
        let Some(change) = patch.get("delivery").and_then(Value::as_object) else { return Ok(before) };
        let others = change.keys().filter(|field| *field != "mode");
        left_out.extend(others.map(|field| format!("delivery.{field} (a job's answers stay where it was asked for)")));
        let mode = match change.get("mode").and_then(Value::as_str) {
            None => return Ok(before),
            Some("none") => DeliveryMode::None,
            Some("announce") => DeliveryMode::Announce,
            Some(_) => return refused("A job's `delivery.mode` is `announce` or `none` here."),
        };
        if before.as_ref().is_some_and(|before| before.mode == DeliveryMode::Webhook) {
            return refused("Your owner has the answers of this job posted to a webhook, and changes that.");
        }
        Ok(Some(JobDelivery { mode, ..before.unwrap_or_default() }))
    }

    async fn job(&self, id: JobId) -> Result<Job, HostError> {
        let job = self.account().job_get(self.bot.id, id).await.map_err(failed)?;
        match job.filter(|job| self.turn.may_touch(job)) {
            Some(job) if job.spec.payload != Payload::Heartbeat => Ok(job),
            Some(_) => refused("Heartbeats are a setting of your owner."),
            None => refused(format!("There is no job {id}; `list` tells which there are.")),
        }
    }

    async fn add_job(&self, call: &str, job: Value) -> Result<JobAnswer, HostError> {
        self.only_with_people()?;
        let id = self.job_id(call);
        match self.account().job_made(self.bot.id, id).await.map_err(failed)? {
            Some(Some(job)) => {
                self.environment.job_send_due(&job).await.map_err(not_done)?;
                return Ok(JobAnswer::Written { job: Box::new(job), left_out: vec![] });
            }
            // The call is repeated, and the job has had its time or was removed.
            Some(None) => return Ok(JobAnswer::Done),
            None => {}
        }
        let (mut spec, left_out) = JobSpec::from_request(&job, &self.bot.time_zone, self.now()).map_err(bad)?;
        // Of all conversations, the model may speak for the one that it is in, and there where it was asked: a session may
        // be held in several chats.
        if spec.session_target != SessionTarget::Isolated {
            spec.session_target = SessionTarget::Named(self.session.to_string());
            spec.delivery = None;
        }
        let is_silent = spec.delivery.as_ref().is_some_and(|delivery| delivery.mode == DeliveryMode::None);
        let mode = if is_silent { DeliveryMode::None } else { DeliveryMode::Announce };
        spec.delivery = Some(JobDelivery { mode, ..JobDelivery::to_place(&self.turn.reply, self.session) });
        let job = self.environment.job_create_once(self.bot, id, spec).await.map_err(not_done)?;
        tracing::info!(job = %job.id, bot = %self.bot.id, session = %self.session, "A bot made a job.");
        Ok(JobAnswer::Written { job: Box::new(job), left_out })
    }

    /// The same for the same call.
    fn job_id(&self, call: &str) -> JobId {
        let digest = Sha256::digest(format!("{}/{}", self.turn.id, self.name(call)));
        let random = digest.iter().take(16).fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
        JobId::from_parts(self.turn.id.made_at(), random)
    }
}

/// Puts a new `message` where the job has its text, and leaves a cron expression in the time zone that it had.
fn in_shape(seen: &Job, mut patch: Value) -> Value {
    if let Some(message) = patch.as_object_mut().and_then(|patch| patch.remove("message")) {
        let field = if matches!(seen.spec.payload, Payload::SystemEvent { .. }) { "text" } else { "message" };
        patch["payload"][field] = message;
    }
    if let Schedule::Cron { tz: Some(zone), .. } = &seen.spec.schedule
        && let Some(schedule) = patch.get_mut("schedule").and_then(Value::as_object_mut)
        && schedule.get("kind").is_some_and(|kind| kind == "cron")
        && schedule.get("tz").is_none_or(Value::is_null)
    {
        schedule.insert("tz".to_owned(), json!(zone));
    }
    patch
}
