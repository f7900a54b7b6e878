//! Tasks: what the queues carry, one tagged and versioned enum.

use serde::{Deserialize, Serialize};

use crate::{AccountId, BotId, Inbound, Outbound, SessionKey, TurnId};

/// The version that this build writes. It reads this version only: a task of another version stays in
/// its queue, and then in the dead-letter queue, until a build that knows it takes it.
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
}

/// Which turn goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continue {
    pub account: AccountId,
    pub bot: BotId,
    pub session: SessionKey,
    pub turn: TurnId,
    /// Model calls that were answered before: it tells this continuation from earlier ones.
    pub step: u32,
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
        serde_json::to_string(&Versioned { v: TASK_VERSION, task: self }).unwrap_or_default()
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

    /// Which account the task belongs to.
    pub fn account(&self) -> AccountId {
        match self {
            Task::Message(inbound) => inbound.account,
            Task::Continue(turn) => turn.account,
            Task::Deliver(outbound) => outbound.account,
        }
    }

    pub fn bot(&self) -> BotId {
        match self {
            Task::Message(inbound) => inbound.bot,
            Task::Continue(turn) => turn.bot,
            Task::Deliver(outbound) => outbound.bot,
        }
    }
}
