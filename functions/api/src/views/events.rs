//! The shapes of events, of `GET /v1/events`. The others are lines of the lists of the same names.

use domain::{BotId, BotStatus, SessionKey, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LinkLine, NoticeView};

/// `session`: something was said there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionGrew {
    pub bot: BotId,
    /// `null`: one of very many.
    pub session: Option<SessionKey>,
    /// How long its log is now: what is new is read with `GET …/entries`.
    pub next: Option<u64>,
    /// Whether a turn is under way.
    pub busy: Option<bool>,
}

/// `bot`: it, a link of it or what is known of it changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BotChanged {
    pub id: BotId,
    pub name: String,
    pub status: BotStatus,
    /// When a person last wrote to it, to the minute.
    pub last_message_at: Option<Timestamp>,
    pub links: Vec<LinkLine>,
    /// The newest notice about it.
    pub notice: Option<NoticeView>,
    pub version: u64,
}

/// `bot_removed`: there is no such bot any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BotRemoved {
    pub id: BotId,
}

/// `approval_gone`: it was decided, or its time is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalGone {
    pub code: String,
}
