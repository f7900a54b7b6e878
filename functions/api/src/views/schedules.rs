//! The shapes of schedules.

use domain::job::Firing;
use domain::{Job, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A schedule, in OpenClaw's shape of a job. Its version is the `ETag` of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleView {
    #[serde(flatten)]
    pub job: Job,
    /// When somebody looks at it next, in milliseconds; `null`: nothing is to come.
    pub due_at: Option<Timestamp>,
    /// The next runs, five at most: `scheduled` is the time that the schedule names, `at` when the run begins, which is
    /// later if runs are spread (`schedule.staggerMs`, `jitterMs`) or put off after errors. An overdue one stands first.
    #[serde(default)]
    pub next_runs: Vec<Firing>,
    /// What it took so far: `48 wakes, 2 model calls, $0.01`.
    pub told: String,
    /// Fields of the request that mean nothing here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// What signs the answers that are posted to `delivery.to`, as Standard Webhooks describe. It is told once, when a schedule
    /// is the bot's first to post there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<String>,
}

/// A run that ended.
pub type RunView = domain::job::Run;

/// `POST /v1/bots/{bot}/schedules`: a job in OpenClaw's shape.
///
/// `name`, `schedule` and `payload` are needed. `schedule.at` may be a time such as `in 20m` or `14:30`, and
/// `schedule.every` a duration such as `30m`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ScheduleCreate(
    /// Fields that OpenClaw has and that mean nothing here are named in the answer.
    #[schemars(extend("type" = "object", "required" = ["name", "schedule", "payload"]))]
    pub Value,
);

/// `PATCH /v1/bots/{bot}/schedules/{schedule}`: objects are merged, and `null` takes away what is optional.
/// `{"enabled": false}` switches the schedule off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SchedulePatch(#[schemars(extend("type" = "object"))] pub Value);
