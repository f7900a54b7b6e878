//! The shapes of bots.

use std::collections::BTreeMap;

use domain::account::{FallbackModel, ModelApi};
use domain::queueing::DropPolicy;
use domain::{
    BotId, BotStatus, Budget, Price, QueueMode, QueueSettings, ResetSettings, SessionScope, StreamMode, Thinking,
    Timestamp,
};
use serde::{Deserialize, Serialize};

use super::abilities::{AbilitiesPatch, AbilitiesView};
use super::given;

/// A bot. Its version is the `ETag` of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BotView {
    pub id: BotId,
    pub name: String,
    pub status: BotStatus,
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

/// Which model a bot uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelView {
    /// `provider/model`; `null` is the built-in demo.
    pub model: Option<String>,
    /// `null`: the provider's own.
    pub base_url: Option<String>,
    /// The protocol that is spoken there; `null`: the provider's own.
    pub api: Option<ModelApi>,
    pub has_api_key: bool,
    /// The fallbacks' providers that have a key.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Asked in this order when the model does not answer.
    #[serde(default)]
    pub fallbacks: Vec<FallbackModel>,
    /// How hard it thinks; `null`: as the provider sees fit.
    pub thinking: Option<Thinking>,
    /// In micro-dollars per million tokens; `null`: what is known of the model.
    pub price: Option<Price>,
    /// In tokens; `null`: what is known of the model.
    pub context_window: Option<u64>,
}

/// `POST /v1/bots`
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BotCreate {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelPatch>,
    /// IANA name; UTC unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dm_scope: Option<SessionScope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueuePatch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets: Option<ResetSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streaming: Option<StreamMode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// In micro-dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_budget: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abilities: Option<AbilitiesPatch>,
}

/// `PATCH /v1/bots/{bot}`: what is left out stays as it is.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BotPatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelPatch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dm_scope: Option<SessionScope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueuePatch>,
    /// All rules of resets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets: Option<ResetSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streaming: Option<StreamMode>,
    /// The whole budget; `null`, or one without limits, removes it.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub budget: Option<Option<Budget>>,
    /// In micro-dollars; `null` removes it.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub turn_budget: Option<Option<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abilities: Option<AbilitiesPatch>,
}

/// Changes to what becomes of waiting messages: what is left out stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueuePatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<QueueMode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debounce_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<DropPolicy>,
}

/// Changes to a bot's model. The price and the context window that were given for one model are forgotten when the
/// bot gets another, and a protocol when it gets another provider or address. A key stays only where it was given for.
/// Outer `None`: leave it; inner `None` (`null` in JSON): clear it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPatch {
    /// `provider/model`
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub model: Option<Option<String>>,
    /// Base URL of the API, for most up to and including `/v1`.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Option<String>>,
    /// `openai-completions`, `openai-responses`, `anthropic-messages`, `google-generative-ai` or
    /// `bedrock-converse-stream`.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub api: Option<Option<ModelApi>>,
    /// The key of the model's provider.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Option<String>>,
    /// Keys of the fallbacks' providers, by name; `null` clears one, and what is left out stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<BTreeMap<String, Option<String>>>,
    /// All fallbacks.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub fallbacks: Option<Option<Vec<FallbackModel>>>,
    /// `off`, `minimal`, `low`, `medium`, `high` or `xhigh`.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Option<Thinking>>,
    /// In micro-dollars per million tokens: 1,000,000 is a dollar.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub price: Option<Option<Price>>,
    /// How many tokens the model reads at most.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub context_window: Option<Option<u64>>,
}
