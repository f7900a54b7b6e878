//! Tasks: what the queues carry, one tagged and versioned enum.

use serde::{Deserialize, Serialize};

use crate::job::Firing;
use crate::{AccountId, BotId, Inbound, JobId, Outbound, SessionKey, Timestamp, TurnId};

/// The version that this build writes, and the only one that it reads: a task of another version goes to
/// the dead-letter queue, and stays there until a build that knows it takes it.
pub const TASK_VERSION: u32 = 1;

/// What a queue carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Task {
    /// `turns.fifo`: a person wrote to a bot.
    Message(Box<Inbound>),
    /// `turns.fifo`: a turn that ran out of its function's time goes on.
    Continue(Continue),
    /// `outbound.fifo`: a reply or notice is to be sent.
    Deliver(Box<Outbound>),
    /// `jobs`: a run of a job begins.
    Job(Fire),
    /// `jobs`: more jobs of one shard are due than one tick has taken.
    JobsDue(JobsDue),
}

/// Which run of a job begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fire {
    pub account: AccountId,
    pub bot: BotId,
    pub job: JobId,
    pub run: Firing,
}

/// Which jobs are to be claimed: those of a shard that are due up to a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobsDue {
    pub shard: u32,
    pub until: Timestamp,
}

/// Which turn goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continue {
    pub account: AccountId,
    pub bot: BotId,
    pub session: SessionKey,
    pub turn: TurnId,
    /// Where the log ended, and the head's epoch: they tell this continuation from earlier ones.
    pub next_seq: u64,
    pub epoch: u64,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u32,
    #[serde(flatten)]
    task: T,
}

/// A queue message that is not a task of this build.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error("the body is not a task: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("the task has version {0}, this build reads version {TASK_VERSION}")]
    Version(u32),
}

impl Task {
    /// The body of a queue message.
    pub fn to_body(&self) -> String {
        // Serialising a tree of strings and numbers has no way to fail.
        let json = serde_json::to_string(&Versioned { v: TASK_VERSION, task: self }).unwrap_or_default();
        // Two characters that JSON allows and SQS refuses in a body. They can only stand within a string.
        json.replace('\u{FFFE}', "\\ufffe").replace('\u{FFFF}', "\\uffff")
    }

    /// Reads the body of a queue message.
    pub fn from_body(body: &str) -> Result<Task, TaskError> {
        #[derive(Deserialize)]
        struct Probe {
            v: u32,
        }
        let probe: Probe = serde_json::from_str(body)?;
        if probe.v != TASK_VERSION {
            return Err(TaskError::Version(probe.v));
        }
        Ok(serde_json::from_str::<Versioned<Task>>(body)?.task)
    }

    /// Which account the task belongs to. `None`: to all.
    pub fn account(&self) -> Option<AccountId> {
        Some(match self {
            Task::Message(inbound) => inbound.account,
            Task::Continue(turn) => turn.account,
            Task::Deliver(outbound) => outbound.account,
            Task::Job(fire) => fire.account,
            Task::JobsDue(_) => return None,
        })
    }

    /// Which bot it belongs to. `None`: to all.
    pub fn bot(&self) -> Option<BotId> {
        Some(match self {
            Task::Message(inbound) => inbound.bot,
            Task::Continue(turn) => turn.bot,
            Task::Deliver(outbound) => outbound.bot,
            Task::Job(fire) => fire.bot,
            Task::JobsDue(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_holds_no_character_that_sqs_refuses() {
        let at = Timestamp::default();
        let task = Task::Continue(Continue {
            account: AccountId::from_parts(at, 1),
            bot: BotId::from_parts(at, 1),
            session: "agent:main:\u{ffff}\u{fffe}".parse().expect("a key"),
            turn: TurnId::from_parts(at, 1),
            next_seq: 1,
            epoch: 0,
        });
        assert!(!task.to_body().contains(['\u{fffe}', '\u{ffff}']));
        assert_eq!(Task::from_body(&task.to_body()).expect("it reads"), task);
    }

    #[test]
    fn a_task_of_another_version_is_told_from_garbage() {
        assert!(matches!(Task::from_body(r#"{"v":9,"type":"message"}"#), Err(TaskError::Version(9))));
        assert!(matches!(Task::from_body("{}"), Err(TaskError::Malformed(_))));
    }
}
