//! What a run of a job is to its turn, and what its turn was to the job.

use serde::{Deserialize, Serialize};

use super::{Job, Outcome, Payload, Report};
use crate::turn::turn_usage;
use crate::{Entry, EntryBody, JobId, Thinking, Timestamp, TurnId};

/// The run that a message begins. It goes with the message and its turn, so that whoever ends the turn can report it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRun {
    pub job: JobId,
    /// [`super::Firing::scheduled`]
    pub scheduled: Timestamp,
    pub started_at: Timestamp,
    /// An answer that only acknowledges is not sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_heartbeat: bool,
    /// `provider/model` instead of the session's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
}

impl JobRun {
    /// The run of `job` that was scheduled for this time.
    pub fn of(job: &Job, scheduled: Timestamp, started_at: Timestamp) -> JobRun {
        let (model, thinking) = match &job.spec.payload {
            Payload::AgentTurn { model, thinking, .. } => (model.clone(), *thinking),
            Payload::SystemEvent { .. } | Payload::Heartbeat => (None, None),
        };
        let is_heartbeat = job.spec.payload == Payload::Heartbeat;
        JobRun { job: job.id, scheduled, started_at, is_heartbeat, model, thinking }
    }

    /// The end of the run, as the log of its turn tells it. `entries` are the end of the session's log; what it holds no
    /// more of the turn is not counted.
    pub fn report(&self, entries: &[Entry], turn: TurnId, ended_at: Timestamp) -> Report {
        let of_turn = || entries.iter().filter(|entry| entry.turn == turn);
        let asked = |entry: &&Entry| {
            matches!(entry.body, EntryBody::Assistant(_) | EntryBody::Failed { .. } | EntryBody::Compaction { .. })
        };
        let failure = of_turn().find_map(|entry| match &entry.body {
            EntryBody::Failed { detail, .. } => Some(detail.clone()),
            _ => None,
        });
        let answered = of_turn().any(|entry| matches!(entry.body, EntryBody::Assistant(_)));
        // Words of the bot's own instead of an answer: what it needed was refused, its budget for one.
        let refusal = of_turn().find_map(|entry| match &entry.body {
            EntryBody::Notice { text } if !answered => Some(text.clone()),
            _ => None,
        });
        let outcome = failure.or(refusal).map_or(Outcome::Ok, |error| Outcome::Error { error });
        Report {
            model_calls: of_turn().filter(asked).count() as u64,
            cost: turn_usage(entries, turn).1,
            turn: Some(turn),
            ..self.ended(outcome, ended_at)
        }
    }

    /// The end of a run that asked no model, or of which nothing more is known.
    pub fn ended(&self, outcome: Outcome, ended_at: Timestamp) -> Report {
        let JobRun { scheduled, started_at, .. } = *self;
        Report { scheduled, started_at, ended_at, outcome, cost: 0, model_calls: 0, turn: None }
    }
}
