//! Jobs as OpenClaw keeps them, read at the door.

use serde_json::{Map, Value};

use super::{BadJob, JobSpec};

/// What OpenClaw writes about a job that is not the owner's wish: names of its own, and how far the job has come.
const BOOKKEEPING: &[&str] = &[
    "id",
    "agentId",
    "account",
    "bot",
    "sessionKey",
    "declarationKey",
    "displayName",
    "createdAtMs",
    "updatedAtMs",
    "createdAt",
    "updatedAt",
    "version",
    "state",
    "scheduledToolPolicy",
    // Looked at by itself.
    "wakeMode",
];

const NO_SHELL: &str = "the bot has no shell here, so a job cannot run commands; say what to do in an `agentTurn`";

/// Kinds that OpenClaw has and that cannot be done, each with the reason.
const REFUSED: &[(&str, &str, &str)] = &[
    ("/schedule/kind", "on-exit", "a job cannot wait for the end of a process here; use `at`, `every` or `cron`"),
    ("/schedule/kind", "stream", "a job cannot watch the output of a process here; use `at`, `every` or `cron`"),
    ("/payload/kind", "command", NO_SHELL),
    ("/payload/kind", "script", NO_SHELL),
];

impl JobSpec {
    /// Reads a job from JSON in OpenClaw's shape, as the API, the tool and the import get it. Beside the job comes what was
    /// left out: names of fields that mean nothing here. The job is not checked yet.
    pub fn from_json(json: &Value) -> Result<(JobSpec, Vec<String>), BadJob> {
        let fields = json.as_object().ok_or_else(|| BadJob::Malformed("it should be a JSON object".to_owned()))?;
        for (place, kind, reason) in REFUSED {
            if json.pointer(place).and_then(Value::as_str) == Some(kind) {
                return Err(BadJob::Unsupported(reason));
            }
        }
        if fields.get("trigger").is_some_and(|trigger| !trigger.is_null()) {
            return Err(BadJob::Unsupported(
                "a job's `trigger` is a script, and scripts do not run here; let the agent decide in its turn",
            ));
        }
        let mut readable = json.clone();
        // OpenClaw writes a thread's id as a text or as a number.
        if let Some(thread) = readable.pointer_mut("/delivery/threadId").filter(|thread| thread.is_number()) {
            *thread = Value::String(thread.to_string());
        }
        let spec: JobSpec = serde_json::from_value(readable).map_err(|e| BadJob::Malformed(e.to_string()))?;
        let known = serde_json::to_value(&spec).map_err(|e| BadJob::Malformed(e.to_string()))?;
        let mut left_out = vec![];
        compare("", fields, &known, &mut left_out);
        if waits_for_heartbeat(fields) {
            left_out.push("wakeMode (the job begins at its own time, not with the next heartbeat)".to_owned());
        }
        Ok((spec, left_out))
    }
}

/// Whether OpenClaw would hold the job back, which a heartbeat itself is not.
fn waits_for_heartbeat(job: &Map<String, Value>) -> bool {
    let is_heartbeat = job.get("payload").is_some_and(|payload| payload["kind"] == "heartbeat");
    !is_heartbeat && job.get("wakeMode").is_some_and(|mode| mode == "next-heartbeat")
}

/// Notes what is said in `given` and not understood in `known`.
fn compare(place: &str, given: &Map<String, Value>, known: &Value, left_out: &mut Vec<String>) {
    for (name, value) in given {
        if place.is_empty() && BOOKKEEPING.contains(&name.as_str()) {
            continue;
        }
        match (value, known.get(name)) {
            (Value::Object(inner), Some(known)) => compare(&format!("{place}{name}."), inner, known, left_out),
            (_, Some(_)) => {}
            // What is written as its default is not written back.
            (Value::Null | Value::Bool(false), None) => {}
            (Value::Array(items), None) if items.is_empty() => {}
            (Value::Number(number), None) if number.as_u64() == Some(0) => {}
            (_, None) => left_out.push(format!("{place}{name}")),
        }
    }
}
