//! Jobs as they are asked for: with times as people write them, and changes of a part.

use chrono::{DateTime, SecondsFormat};
use serde_json::Value;

use super::{BadJob, JobSpec};
use crate::Timestamp;
use crate::when::{parse_duration, parse_when};

impl JobSpec {
    /// Reads a job that is asked for: like [`JobSpec::from_json`], and `schedule.at` may be any time that
    /// [`parse_when`] reads by the clock of `zone`, `schedule.every` a duration such as `30m`.
    pub fn from_request(json: &Value, zone: &str, now: Timestamp) -> Result<(JobSpec, Vec<String>), BadJob> {
        let mut json = json.clone();
        if let Some(schedule) = json.get_mut("schedule").and_then(Value::as_object_mut) {
            if let Some(at) = schedule.get("at").and_then(Value::as_str) {
                let at = parse_when(at, zone, now).and_then(iso).ok_or_else(|| bad_time(at))?;
                schedule.insert("at".to_owned(), at.into());
            }
            if let Some(every) = schedule.get("every").and_then(Value::as_str) {
                let every = parse_duration(every).ok_or_else(|| bad_duration(every))?;
                let millis = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
                schedule.remove("every");
                schedule.insert("everyMs".to_owned(), millis.into());
            }
        }
        JobSpec::from_json(&json)
    }

    /// The job with a part of it changed: objects are merged, `null` takes away what is optional, and a `schedule` or a
    /// `payload` that names its kind replaces the one before.
    pub fn patched(&self, patch: &Value, zone: &str, now: Timestamp) -> Result<(JobSpec, Vec<String>), BadJob> {
        if !patch.is_object() {
            return Err(BadJob::Malformed("a change should be a JSON object".to_owned()));
        }
        let mut whole = serde_json::to_value(self).map_err(|e| BadJob::Malformed(e.to_string()))?;
        merge(&mut whole, patch);
        JobSpec::from_request(&whole, zone, now)
    }
}

fn merge(whole: &mut Value, patch: &Value) {
    let (Value::Object(fields), Value::Object(changes)) = (&mut *whole, patch) else {
        *whole = patch.clone();
        return;
    };
    for (name, change) in changes {
        match fields.get_mut(name) {
            _ if change.is_null() => {
                fields.remove(name);
            }
            Some(before) if change.get("kind").is_none() => merge(before, change),
            _ => {
                fields.insert(name.clone(), change.clone());
            }
        }
    }
}

fn iso(at: Timestamp) -> Option<String> {
    let at = i64::try_from(at.as_millis()).ok().and_then(DateTime::from_timestamp_millis)?;
    Some(at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

fn bad_time(text: &str) -> BadJob {
    let text = shown(text);
    BadJob::Malformed(format!(
        "`{text}` is not a time; write it like `in 20m`, `14:30`, `2026-11-22 14:30` or `2026-11-22T14:30:00+01:00`"
    ))
}

fn bad_duration(text: &str) -> BadJob {
    BadJob::Malformed(format!("`{}` is not an interval; write it like `30m`, `2h` or `1d`", shown(text)))
}
