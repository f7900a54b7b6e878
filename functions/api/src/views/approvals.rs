//! The shapes of what waits for the owner.

use domain::{BotId, Decision, SessionKey, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One line of `GET /v1/approvals`: tool calls of a turn that wait. The oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalView {
    /// Names it in `POST /v1/approvals/{code}`, and in `/approve`.
    pub code: String,
    pub bot: BotId,
    pub session: SessionKey,
    /// The question, in Markdown.
    pub text: String,
    pub asked_at: Timestamp,
    /// From then on the turn goes on without the calls.
    pub until: Timestamp,
}

/// `POST /v1/approvals/{code}`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalDecision {
    /// `once`, `always` (for this tool in this session) or `deny`.
    pub decision: Decision,
}
