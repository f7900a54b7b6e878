//! A bot's schedules: what it does by itself, and when.

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use domain::job::{BadJob, DeliveryMode, JobSpec, Payload};
use domain::{Bot, Job, JobId, Link, Timestamp};
use runtime::{Environment, JobError};

use crate::answers::{Accepted, Created, Versioned};
use crate::auth::Caller;
use crate::bots;
use crate::extract::{JsonBody, Parameters, Preconditions, Segments};
use crate::links;
use crate::pages::{List, PageQuery};
use crate::problem::Problem;
use crate::views::{Items, Page, RunView, ScheduleCreate, SchedulePatch, ScheduleView};

/// How many runs to come are told of a schedule.
const NEXT_RUNS: usize = 5;

/// `GET /v1/bots/{bot}/schedules`
pub(crate) async fn list(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Page<ScheduleView>>, Problem> {
    let bot = bots::find(&environment, caller, &bot).await?;
    let list = List::new(caller.account, &format!("schedules of {}", bot.id));
    let page = environment.store.account(caller.account).job_page(bot.id, &list.range(&query)?).await?;
    let now = environment.clock.now();
    Ok(list.answer(page, |job| view(job, vec![], now)))
}

/// `POST /v1/bots/{bot}/schedules`
///
/// The body is a job in OpenClaw's shape; `schedule.at` may be a time such as `in 20m` or `14:30`.
pub(crate) async fn create(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
    JsonBody(ScheduleCreate(body)): JsonBody<ScheduleCreate>,
) -> Result<Created<ScheduleView>, Problem> {
    let bot = bots::find(&environment, caller, &bot).await?;
    let now = environment.clock.now();
    let (mut spec, left_out) = JobSpec::from_request(&body, &bot.time_zone, now).map_err(JobError::from)?;
    let webhook = link_webhook(&environment, &bot, &mut spec).await?;
    let id = JobId::from_parts(now, environment.entropy.next_u128());
    let job = match environment.job_create(&bot, id, spec).await {
        Ok(job) => job,
        Err(error) => return Err(unlink_webhook(&environment, webhook, error).await),
    };
    tracing::info!(account = %caller.account, bot = %bot.id, %job.id, "A schedule was made.");
    let location = format!("/v1/bots/{}/schedules/{id}", bot.id);
    let record = ScheduleView { webhook_secret: webhook.map(|webhook| webhook.secret), ..view(job, left_out, now) };
    Ok(Created { location, version: record.job.version, record })
}

/// `GET /v1/bots/{bot}/schedules/{schedule}`
pub(crate) async fn show(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, id)): Segments<(String, String)>,
) -> Result<Versioned<ScheduleView>, Problem> {
    let (_, job) = find(&environment, caller, &bot, &id).await?;
    Ok(Versioned(job.version, view(job, vec![], environment.clock.now())))
}

/// `PATCH /v1/bots/{bot}/schedules/{schedule}`
///
/// Objects are merged, `null` takes away what is optional. `{"enabled": false}` switches it off.
pub(crate) async fn change(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, id)): Segments<(String, String)>,
    conditions: Preconditions,
    JsonBody(SchedulePatch(patch)): JsonBody<SchedulePatch>,
) -> Result<Versioned<ScheduleView>, Problem> {
    let (bot, seen) = find(&environment, caller, &bot, &id).await?;
    conditions.check(seen.version)?;
    let now = environment.clock.now();
    let patched = seen.spec.patched(&patch, &bot.time_zone, now);
    let (mut spec, left_out) = patched.map_err(JobError::from)?;
    let webhook = link_webhook(&environment, &bot, &mut spec).await?;
    let job = match environment.job_edit(&bot, &seen, spec).await {
        Ok(job) => job,
        Err(error) => return Err(unlink_webhook(&environment, webhook, error).await),
    };
    let record = ScheduleView { webhook_secret: webhook.map(|webhook| webhook.secret), ..view(job, left_out, now) };
    Ok(Versioned(record.job.version, record))
}

/// A link that was made for a schedule, and what it signs with.
struct NewWebhook {
    link: Link,
    secret: String,
}

/// Gives a schedule whose answers are posted to a URL the link that posts them. `None`: it had one, or needs none.
async fn link_webhook(environment: &Environment, bot: &Bot, spec: &mut JobSpec) -> Result<Option<NewWebhook>, Problem> {
    if spec.delivery.as_ref().is_none_or(|delivery| delivery.mode != DeliveryMode::Webhook) {
        return Ok(None);
    }
    // Nothing is made for what is refused anyway.
    spec.clone().settled(&bot.time_zone, environment.clock.now()).check().map_err(JobError::from)?;
    let Some(delivery) = &mut spec.delivery else { return Ok(None) };
    let url = delivery.to.as_deref().unwrap_or_default();
    let (link, secret) = links::posting_to(environment, bot, url).await?;
    delivery.link = Some(link.id);
    Ok(secret.map(|secret| NewWebhook { link, secret }))
}

/// Takes back the link of a schedule that is not made: nobody was told its secret.
async fn unlink_webhook(environment: &Environment, webhook: Option<NewWebhook>, error: JobError) -> Problem {
    if let Some(NewWebhook { link, .. }) = webhook
        && let Err(error) = environment.store.account(link.account).link_delete(&link).await
    {
        tracing::warn!(link = %link.id, "A link that no schedule uses is left: {error}");
    }
    error.into()
}

/// `DELETE /v1/bots/{bot}/schedules/{schedule}`
pub(crate) async fn delete(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, id)): Segments<(String, String)>,
    conditions: Preconditions,
) -> Result<NoContent, Problem> {
    let (bot, job) = find(&environment, caller, &bot, &id).await?;
    conditions.check(job.version)?;
    if job.spec.payload == Payload::Heartbeat {
        let detail = "Heartbeats are a setting of the bot: PATCH it with {\"heartbeat\": {}} to switch them off.";
        return Err(Problem::conflict(detail));
    }
    environment.store.account(caller.account).job_delete(bot.id, job.id).await?;
    tracing::info!(account = %caller.account, bot = %bot.id, %job.id, "A schedule was removed.");
    Ok(NoContent)
}

/// `POST /v1/bots/{bot}/schedules/{schedule}/run`
pub(crate) async fn run(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, id)): Segments<(String, String)>,
) -> Result<Accepted, Problem> {
    let (_, job) = find(&environment, caller, &bot, &id).await?;
    environment.job_run_now(&job).await?;
    Ok(Accepted(()))
}

/// `GET /v1/bots/{bot}/schedules/{schedule}/runs`
pub(crate) async fn runs(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, id)): Segments<(String, String)>,
) -> Result<Json<Items<RunView>>, Problem> {
    let (bot, job) = find(&environment, caller, &bot, &id).await?;
    let runs = environment.store.account(caller.account).job_runs(bot.id, job.id).await?;
    Ok(Json(Items { items: runs.iter().rev().cloned().collect() }))
}

/// A bot, and its job of this id.
async fn find(environment: &Environment, caller: Caller, bot: &str, id: &str) -> Result<(Bot, Job), Problem> {
    let bot = bots::find(environment, caller, bot).await?;
    let found = match id.parse::<JobId>() {
        Ok(id) => environment.store.account(caller.account).job_get(bot.id, id).await?,
        Err(_) => None,
    };
    let shown: String = id.chars().take(80).collect();
    let job = found.ok_or_else(|| {
        let detail = format!("There is no schedule `{shown}`. GET /v1/bots/{}/schedules lists the bot's.", bot.id);
        Problem::not_found(detail)
    })?;
    Ok((bot, job))
}

fn view(job: Job, left_out: Vec<String>, now: Timestamp) -> ScheduleView {
    let (due_at, told) = (job.due_at(), job.state.total.to_string());
    let next_runs = job.next_runs(now, NEXT_RUNS);
    ScheduleView { job, due_at, next_runs, told, left_out, webhook_secret: None }
}

impl From<JobError> for Problem {
    fn from(error: JobError) -> Problem {
        match error {
            JobError::Bad(BadJob::Malformed(detail)) => Problem::bad_request(format!("Not a schedule: {detail}.")),
            JobError::Bad(error) => Problem::unprocessable(format!("Not done: {error}.")),
            JobError::BadHeartbeat(error) => Problem::bad_request(format!("heartbeat: {error}.")),
            error @ (JobError::TooMany | JobError::TooManyRuns) => Problem::conflict(format!("Not done: {error}.")),
            JobError::Store(error) => error.into(),
            JobError::Queue(error) => error.into(),
        }
    }
}
