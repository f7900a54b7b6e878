//! The shapes of bots.

use std::collections::BTreeMap;

use domain::account::{FallbackModel, ImageModel, ModelApi};
use domain::heartbeat::HeartbeatSettings;
use domain::queueing::DropPolicy;
use domain::{
    BotId, BotStatus, Budget, Channel, LinkId, LinkStatus, Price, QueueMode, QueueSettings, ResetSettings,
    SessionScope, StreamMode, Thinking, Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::abilities::{AbilitiesPatch, AbilitiesView};
use super::{NoticeView, given};

/// A bot. Its version is the `ETag` of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BotView {
    pub id: BotId,
    /// Unique in the account, whatever its case.
    pub name: String,
    /// Whether it answers.
    pub status: BotStatus,
    /// When it is removed with all that it has; `null`: it is not deleted.
    #[serde(default)]
    pub delete_at: Option<Timestamp>,
    /// The agent id in session keys.
    pub agent: String,
    pub model: ModelView,
    /// IANA name.
    pub time_zone: String,
    pub dm_scope: SessionScope,
    /// What becomes of messages that arrive while a turn is under way.
    pub queue: QueueSettings,
    /// When its sessions begin anew by themselves.
    pub resets: ResetSettings,
    /// What people see of an answer while it is written.
    pub streaming: StreamMode,
    /// Whether, and when, it looks by itself for something to do.
    #[serde(default)]
    pub heartbeat: HeartbeatSettings,
    /// What it may spend; `null` is no limit of its own.
    pub budget: Option<Budget>,
    /// What one turn may cost, in micro-dollars; `null` is no limit.
    pub turn_budget: Option<u64>,
    /// What it may use beside its model.
    #[serde(default)]
    pub abilities: AbilitiesView,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// What `If-Match` compares.
    pub version: u64,
}

/// One line of `GET /v1/bots`: a bot at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BotLine {
    #[serde(flatten)]
    pub bot: BotView,
    /// Where people reach it, the oldest link first. Its web chat is always there, and not among them.
    #[serde(default)]
    pub links: Vec<LinkLine>,
    /// When a person last wrote to it, to the minute; `null`: nobody did.
    pub last_message_at: Option<Timestamp>,
    /// What it spent in the current period of its budget; `null`: nothing was counted.
    pub spent: Option<SpentView>,
    /// The newest notice about it that was not removed.
    pub notice: Option<NoticeView>,
}

/// A link in a list of bots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkLine {
    /// Its id.
    pub id: LinkId,
    /// The channel.
    pub channel: Channel,
    /// Whether it takes messages.
    pub status: LinkStatus,
    /// The bot's handle on the channel, without `@`.
    pub handle: Option<String>,
}

/// What was spent in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpentView {
    /// A month, `2026-11`, or a day, `2026-11-22`; both are UTC's.
    pub period: String,
    /// Micro-dollars, with what is set aside for model calls under way.
    pub micros: u64,
    /// Turns that called a model.
    pub turns: u64,
}

/// Which model a bot uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelView {
    /// `provider/model`; `null` is the built-in demo.
    pub model: Option<String>,
    /// `null`: the provider's own.
    pub base_url: Option<String>,
    /// The protocol that is spoken there; `null`: the provider's own.
    pub api: Option<ModelApi>,
    /// Whether a key of the model's provider is stored.
    pub has_api_key: bool,
    /// The providers of fallbacks and of the image model that have a key.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Asked in this order when the model does not answer.
    #[serde(default)]
    pub fallbacks: Vec<FallbackModel>,
    /// Looks at pictures in place of the model; `null`: the model sees them itself, if it can.
    #[serde(default)]
    pub image_model: Option<ImageModel>,
    /// How hard it thinks; `null`: as the provider sees fit.
    pub thinking: Option<Thinking>,
    /// In micro-dollars per million tokens; `null`: what is known of the model.
    pub price: Option<Price>,
    /// In tokens; `null`: what is known of the model.
    pub context_window: Option<u64>,
}

/// `POST /v1/bots`
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BotCreate {
    /// Unique in the account, whatever its case.
    pub name: String,
    /// What its files begin as, by the id that `GET /v1/templates` lists; left out: `assistant`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelPatch>,
    /// IANA name; UTC unless given.
    #[serde(alias = "timeZone", default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    #[serde(alias = "dmScope", default, skip_serializing_if = "Option::is_none")]
    pub dm_scope: Option<SessionScope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueuePatch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets: Option<ResetSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streaming: Option<StreamMode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<HeartbeatSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// In micro-dollars.
    #[serde(alias = "turnBudget", default, skip_serializing_if = "Option::is_none")]
    pub turn_budget: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abilities: Option<AbilitiesPatch>,
}

/// `POST /v1/bots/{bot}/clone`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BotClone {
    /// The new bot's name: unique in the account, whatever its case.
    pub name: String,
    /// Whether it remembers what the other one does: `MEMORY.md`, `memory/` and `USER.md`.
    #[serde(default)]
    pub memory: bool,
}

/// One line of `GET /v1/templates`: what a new bot can begin as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateView {
    /// What requests call it.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// What it is for, in a sentence.
    pub about: String,
}

/// `PATCH /v1/bots/{bot}`: what is left out stays as it is.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BotPatch {
    /// Unique in the account, whatever its case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelPatch>,
    /// IANA name.
    #[serde(alias = "timeZone", default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    #[serde(alias = "dmScope", default, skip_serializing_if = "Option::is_none")]
    pub dm_scope: Option<SessionScope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueuePatch>,
    /// All rules of resets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets: Option<ResetSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streaming: Option<StreamMode>,
    /// All settings of heartbeats; `{}` switches them off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<HeartbeatSettings>,
    /// The whole budget; `null`, or one without limits, removes it.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub budget: Option<Option<Budget>>,
    /// In micro-dollars; `null` removes it.
    #[serde(alias = "turnBudget", default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub turn_budget: Option<Option<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abilities: Option<AbilitiesPatch>,
}

/// Changes to what becomes of waiting messages: what is left out stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueuePatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<QueueMode>,
    /// How long nobody must have written, in milliseconds.
    #[serde(alias = "debounceMs", default, skip_serializing_if = "Option::is_none")]
    pub debounce_ms: Option<u32>,
    /// How many messages are kept waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<DropPolicy>,
}

/// Changes to a bot's model. The price and the context window that were given for one model are forgotten when the
/// bot gets another, and a protocol when it gets another provider or address. A key stays only where it was given for.
/// Outer `None`: leave it; inner `None` (`null` in JSON): clear it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelPatch {
    /// `provider/model`
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub model: Option<Option<String>>,
    /// Base URL of the API, for most up to and including `/v1`.
    #[serde(alias = "baseUrl", default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Option<String>>,
    /// `openai-completions`, `openai-responses`, `anthropic-messages`, `google-generative-ai` or
    /// `bedrock-converse-stream`.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub api: Option<Option<ModelApi>>,
    /// The key of the model's provider.
    #[serde(alias = "apiKey", default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Option<String>>,
    /// Keys of the providers of fallbacks and of the image model, by name; `null` clears one, and what is left out
    /// stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<BTreeMap<String, Option<String>>>,
    /// All fallbacks.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub fallbacks: Option<Option<Vec<FallbackModel>>>,
    /// What looks at pictures, by the tool `image`, and tells the model what is in them: `primary`, then `fallbacks`.
    #[serde(alias = "imageModel", default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub image_model: Option<Option<ImageModel>>,
    /// `off`, `minimal`, `low`, `medium`, `high` or `xhigh`.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Option<Thinking>>,
    /// In micro-dollars per million tokens: 1,000,000 is a dollar.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub price: Option<Option<Price>>,
    /// How many tokens the model reads at most.
    #[serde(alias = "contextWindow", default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub context_window: Option<Option<u64>>,
}
