//! What is found of a link when it is checked.

use domain::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /v1/bots/{bot}/links/{link}/check`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkCheckView {
    /// When the channel was asked.
    pub checked_at: Timestamp,
    /// What the channel and our records say, in the order in which it matters.
    pub findings: Vec<FindingView>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingView {
    /// What it is, and what was found there.
    pub what: String,
    /// Whether it is as the bot needs it.
    pub ok: bool,
    /// What is wrong; only where something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What the owner does about it, and where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what_to_do: Option<String>,
}
