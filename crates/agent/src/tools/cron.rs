//! `cron`: reminders, and work that the bot does by itself at set times. The actions are OpenClaw's.

use domain::job::{Outcome as Ended, Payload, Run};
use domain::when::local_time;
use domain::{Job, JobId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Outcome, Tool, ToolContext, ToolError, schema};
use crate::{JobAnswer, JobRequest};

/// How much of a job's text is listed, in characters.
const MAX_SHOWN: usize = 200;

pub(crate) const NAME: &str = "cron";

pub(super) fn tool() -> Tool {
    Tool {
        name: NAME,
        description: "Reminders and schedules: does something by itself later, once or again and again. `add` needs a \
                      name, a message, and one of at, every and cron.",
        parameters: schema::of::<Arguments>(),
        group: "automation",
        // A job that is added again is the same job.
        may_repeat: true,
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    List,
    Add,
    Update,
    Remove,
    Run,
    Runs,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// The message is told you in this conversation at its time, and you tell the person.
    Reminder,
    /// The message is a task that you do in a conversation of its own; the result is sent here.
    Work,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Arguments {
    action: Action,
    /// Which job, as the list says: for update, remove, run and runs.
    #[serde(alias = "id", alias = "job_id")]
    job_id: Option<String>,
    name: Option<String>,
    /// Once: `in 20m`, `14:30`, `2026-11-22 14:30` or with an offset.
    at: Option<String>,
    /// Again and again: `30m`, `2h`, `1d`.
    every: Option<String>,
    /// A cron expression of five fields.
    cron: Option<String>,
    /// IANA name of the cron expression's time zone. Left out: yours.
    tz: Option<String>,
    message: Option<String>,
    /// Left out: reminder.
    kind: Option<Kind>,
    /// Whether the result of work is sent here. Left out: true.
    announce: Option<bool>,
    /// `provider/model` for work.
    model: Option<String>,
    /// false switches the job off.
    enabled: Option<bool>,
    /// OpenClaw's own shape of a job.
    #[schemars(skip)]
    job: Option<Value>,
    #[schemars(skip)]
    patch: Option<Value>,
}

pub(super) async fn run(call: &str, arguments: Arguments, context: &ToolContext<'_>) -> Outcome {
    let request = match arguments.action {
        Action::List => JobRequest::List,
        Action::Add => JobRequest::Add(new_job(&arguments)?),
        Action::Update => JobRequest::Update { id: id(&arguments)?, patch: change(&arguments)? },
        Action::Remove => JobRequest::Remove(id(&arguments)?),
        Action::Run => JobRequest::Run(id(&arguments)?),
        Action::Runs => JobRequest::Runs(id(&arguments)?),
    };
    let zone = context.bot.time_zone;
    Ok(match context.host.jobs(call, request).await? {
        JobAnswer::Jobs(jobs) if jobs.is_empty() => "There are no jobs.".to_owned(),
        JobAnswer::Jobs(jobs) => jobs.iter().map(|job| line(job, zone)).collect::<Vec<_>>().join("\n"),
        JobAnswer::Written { job, left_out } if left_out.is_empty() => line(&job, zone),
        JobAnswer::Written { job, left_out } => {
            format!("{}\nThis means nothing here and was left out: {}.", line(&job, zone), left_out.join(", "))
        }
        JobAnswer::Runs(runs) if runs.is_empty() => "It has not run yet.".to_owned(),
        JobAnswer::Runs(runs) => runs.iter().map(|run| told(run, zone)).collect::<Vec<_>>().join("\n"),
        JobAnswer::Done => "Done.".to_owned(),
    }
    .into())
}

fn refuse<T>(text: &str) -> Result<T, ToolError> {
    Err(ToolError::RespondToModel(text.to_owned()))
}

fn id(arguments: &Arguments) -> Result<JobId, ToolError> {
    match arguments.job_id.as_deref().map(|id| id.trim().parse()) {
        Some(Ok(id)) => Ok(id),
        _ => refuse("`jobId` should name a job; `list` tells the ids."),
    }
}

fn new_job(arguments: &Arguments) -> Result<Value, ToolError> {
    if let Some(job) = &arguments.job {
        return Ok(job.clone());
    }
    let Some(message) = &arguments.message else { return refuse("`message` is missing: what to tell or to do.") };
    let Some(schedule) = schedule(arguments)? else { return refuse("Give one of `at`, `every` and `cron`.") };
    if !matches!(arguments.kind, Some(Kind::Work)) && (arguments.model.is_some() || arguments.announce.is_some()) {
        return refuse("`model` and `announce` are of work: give `kind` as work, or leave them out.");
    }
    let name = arguments.name.clone().unwrap_or_else(|| message.chars().take(60).collect());
    let mut job = json!({ "name": name, "schedule": schedule });
    match &arguments.kind {
        Some(Kind::Work) => {
            job["payload"] = json!({ "kind": "agentTurn", "message": message });
            job["sessionTarget"] = json!("isolated");
            if let Some(model) = &arguments.model {
                job["payload"]["model"] = json!(model);
            }
            if arguments.announce == Some(false) {
                job["delivery"] = json!({ "mode": "none" });
            }
        }
        Some(Kind::Reminder) | None => {
            job["payload"] = json!({ "kind": "systemEvent", "text": message });
            job["sessionTarget"] = json!("current");
        }
    }
    if let Some(enabled) = arguments.enabled {
        job["enabled"] = json!(enabled);
    }
    Ok(job)
}

fn change(arguments: &Arguments) -> Result<Value, ToolError> {
    if let Some(patch) = &arguments.patch {
        return Ok(patch.clone());
    }
    let mut patch = Map::new();
    if let Some(name) = &arguments.name {
        patch.insert("name".to_owned(), json!(name));
    }
    if let Some(schedule) = schedule(arguments)? {
        patch.insert("schedule".to_owned(), schedule);
    }
    if let Some(enabled) = arguments.enabled {
        patch.insert("enabled".to_owned(), json!(enabled));
    }
    if arguments.kind.is_some() {
        return refuse("A job's kind stays as it is: remove it, and add another.");
    }
    if let Some(model) = &arguments.model {
        patch.insert("payload".to_owned(), json!({ "model": model }));
    }
    if let Some(announce) = arguments.announce {
        let mode = if announce { "announce" } else { "none" };
        patch.insert("delivery".to_owned(), json!({ "mode": mode }));
    }
    if let Some(message) = &arguments.message {
        // The host knows which of the two the job has.
        patch.insert("message".to_owned(), json!(message));
    }
    if patch.is_empty() { refuse("Say what to change.") } else { Ok(Value::Object(patch)) }
}

fn schedule(arguments: &Arguments) -> Result<Option<Value>, ToolError> {
    let Arguments { at, every, cron, tz, .. } = arguments;
    if tz.is_some() && cron.is_none() {
        return refuse("`tz` is the time zone of `cron`: give the expression, too.");
    }
    Ok(match (at, every, cron) {
        (None, None, None) => None,
        (Some(at), None, None) => Some(json!({ "kind": "at", "at": at })),
        (None, Some(every), None) => Some(json!({ "kind": "every", "every": every })),
        (None, None, Some(expr)) => Some(json!({ "kind": "cron", "expr": expr, "tz": tz })),
        _ => return refuse("Give only one of `at`, `every` and `cron`."),
    })
}

/// `job_… "Water" every 1d, next 2026-11-22 14:30 UTC: water the plants`
fn line(job: &Job, zone: &str) -> String {
    let next = match (job.spec.enabled, job.state.next, job.state.pending.first()) {
        (false, ..) => "switched off".to_owned(),
        (true, _, Some(run)) => format!("next {}", local_time(run.at, zone)),
        (true, Some(next), None) => format!("next {}", local_time(job.begins(next), zone)),
        (true, None, None) => "over".to_owned(),
    };
    let text = match &job.spec.payload {
        Payload::SystemEvent { text } | Payload::AgentTurn { message: text, .. } => text,
        Payload::Heartbeat => "heartbeat",
    };
    let text: String = text.chars().take(MAX_SHOWN).collect();
    format!("{} \"{}\" {}, {next}: {text}", job.id, job.spec.name, job.spec.schedule.in_words(zone))
}

fn told(run: &Run, zone: &str) -> String {
    let end = match &run.outcome {
        Ended::Ok => "ok".to_owned(),
        Ended::Skipped { reason } => format!("skipped: {reason}"),
        Ended::Error { error } => format!("failed: {error}"),
    };
    format!("{} {end}", local_time(run.started_at, zone))
}
