//! The JSON shapes of the API: what requests and answers look like. The terminal reads and writes the same types.
//!
//! Points in time are milliseconds since the Unix epoch. Secrets go in and never come out.

mod abilities;
mod approvals;
mod bots;
mod chat;
mod checks;
mod events;
mod openai;
mod people;
mod prompt;
mod responses;
mod schedules;
mod usage;

use domain::{
    AccessPolicy, AccountId, BotId, Budget, BudgetScope, Channel, DeadLetterId, LinkId, LinkSettings, LinkStatus,
    Sender, Task, Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use store::DeadLetterStatus;

pub use abilities::{
    AbilitiesPatch, AbilitiesView, McpServerPatch, McpServerView, SearchPatch, SearchView, ToolsPatch,
    TranscriptionPatch, TranscriptionView,
};
pub use approvals::{ApprovalDecision, ApprovalView};
pub use bots::{
    BotClone, BotCreate, BotLine, BotPatch, BotView, LinkLine, ModelPatch, ModelView, QueuePatch, SpentView,
    TemplateView,
};
pub use chat::{
    ChatAccepted, ChatDraft, ChatFile, ChatPage, ChatSend, ChatState, DraftView, EntryKind, EntryPage, EntryView,
    KeptFile, SessionPage, SessionView, StepKind, StepView, ToolCallView, TurnView, TurnsPage,
};
pub use checks::{FindingView, LinkCheckView};
pub use events::{ApprovalGone, BotChanged, BotRemoved, SessionGrew};
pub use openai::{
    Choice, Chunk, ChunkChoice, Completion, CompletionCreate, CompletionUsage, ContentIn, Delta, ImageIn, MessageIn,
    MessageOut, ModelEntry, ModelList, OpenAiErrorView, PartIn, PromptTokens, ResponseFormat, StreamOptions,
};
pub use people::{
    AccountChoice, AuditView, BrowserView, InvitationToMe, InvitationView, KeyCreate, KeyCreated, KeyView, LinkOffer,
    LinkOffered, MeView, MemberInvite, MemberPatch, MemberView, MembersView, NamedAccount, OwnAccount, SignInByKey,
    SignInByLink, SignInWays, WayView,
};
pub use prompt::{BotSkill, PromptPartView, PromptView, SkillSource, SkillView};
pub use responses::{InputIn, InputTokens, OutputPart, OutputView, ResponseCreate, ResponseUsage, ResponseView};
pub use schedules::{RunView, ScheduleCreate, SchedulePatch, ScheduleView};
pub use usage::{UsageBy, UsageLine, UsageReport, UsageSplit};

/// `GET /health`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `ok`
    pub status: String,
    /// The version of the service.
    pub version: String,
}

/// The body of every error, as `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemView {
    /// `about:blank`: the status says all there is to the kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name of the status.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened and what to do about it.
    pub detail: String,
    /// The same for clients of `OpenAI`; only from the routes that speak as it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<OpenAiErrorView>,
}

/// A page of a list that grows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// The records, in the order of the list.
    pub items: Vec<T>,
    /// The `cursor` of the next page; `null`: nothing follows.
    pub next: Option<String>,
}

/// A list that is short, as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub struct Items<T> {
    /// The records, in the order of the list.
    pub items: Vec<T>,
}

/// `GET /v1/account`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountView {
    pub id: AccountId,
    /// What its owner calls it.
    pub name: String,
    /// What all bots together may spend; `null` is no limit.
    pub budget: Option<Budget>,
    /// What they spent in the current period of the budget, as far as it was counted.
    pub spent: SpentView,
}

/// `PATCH /v1/account`: what is left out stays as it is.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountPatch {
    /// What you call it: 1 to 80 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The whole budget; `null`, or one without limits, removes it.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub budget: Option<Option<Budget>>,
}

/// One line of `GET /v1/usage`: what the account, or one of its bots, spent in the current period of its budget, or
/// in this month if it has none.
///
/// Only the turns of metered bots are counted: bots with a budget of their own or of their account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageView {
    /// `account` or `bot`.
    pub scope: BudgetScope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<BotId>,
    /// The bot's name, or the account's.
    pub name: String,
    /// A month, `2026-11`, or a day, `2026-11-22`; both are UTC's.
    pub period: String,
    /// Micro-dollars, with what is set aside for model calls under way.
    pub micros: u64,
    /// Turns that called a model.
    pub turns: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

/// One line of `GET /v1/notices`: what happened that the owner should know. Newest first; kept for 90 days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoticeView {
    /// What it is about: names the notice in `DELETE /v1/notices/{about}`.
    pub about: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<BotId>,
    /// What happened, and what to do about it.
    pub text: String,
    pub at: Timestamp,
}

/// Tells `null` from what is left out.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A bot's login on a channel. Its version is the `ETag` of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkView {
    pub id: LinkId,
    pub bot: BotId,
    pub channel: Channel,
    /// Whether it takes messages.
    pub status: LinkStatus,
    #[serde(default)]
    pub settings: LinkSettings,
    /// The bot's handle on the channel, without `@`.
    pub handle: Option<String>,
    pub access: AccessPolicy,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// What `If-Match` compares.
    pub version: u64,
    /// What became of the webhook; only in the answer to a request that gave a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookView>,
}

/// Whether the channel will call us, and what to do if it will not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookView {
    /// Whether the channel knows the path.
    pub registered: bool,
    /// The path that the channel calls, below the public URL of the deployment.
    pub path: String,
    /// The secret that the channel sends with every call; only if it was not registered, so that the
    /// owner can do so by hand, and only this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// What is left to be done by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// `POST /v1/bots/{bot}/links`
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkCreate {
    pub channel: Channel,
    /// Telegram's token for the bot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The credentials of other channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<serde_json::Value>,
    /// What the channel must know beside the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessPolicy>,
}

/// `PATCH /v1/bots/{bot}/links/{link}`: what is left out stays as it is. `access` replaces all rules.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkPatch {
    /// Telegram's token for the bot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The credentials of other channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<serde_json::Value>,
    /// What the channel must know beside the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessPolicy>,
}

/// A stranger who waits for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PairingView {
    /// What the person was told.
    pub code: String,
    pub sender: Sender,
    pub requested_at: Timestamp,
}

/// `POST …/pairings/approve`; the answer is [`PairingApproved`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PairingApprove {
    /// The code that the person was told; case does not count.
    pub code: String,
}

/// Who was let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PairingApproved {
    pub sender: Sender,
    /// Whether a greeting is on its way to them.
    pub greeted: bool,
    /// Whether they own the bot on this link, and approve what its tools ask for: the first who is let in on a link
    /// without owners does.
    #[serde(default)]
    pub owner: bool,
}

/// One line of `GET /v1/bots/{bot}/files`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileView {
    /// A path such as `SOUL.md` or `skills/weather/SKILL.md`.
    pub name: String,
    /// Changes when the file's text does.
    pub tag: String,
    /// In bytes.
    #[serde(default)]
    pub size: u64,
}

/// A task that failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetterView {
    pub id: DeadLetterId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<BotId>,
    /// The queue that the task came from: `turns` or `outbound`.
    pub queue: String,
    /// Why it is here.
    pub reason: String,
    pub failed_at: Timestamp,
    /// What became of it.
    pub status: DeadLetterStatus,
    /// Counts the changes of this record.
    pub version: u64,
    /// What was to be done; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub task: Option<Task>,
}
