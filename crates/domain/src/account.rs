//! Accounts and their bots.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heartbeat::HeartbeatSettings;
use crate::turn::ReplyTo;
use crate::{
    Abilities, AccountId, BotId, Budget, Channel, LinkId, Price, QueueSettings, ResetSettings, SessionKey,
    SessionScope, Timestamp,
};

/// A secret under envelope encryption, as it is stored. Opaque here; `store` opens it where it is used.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub String);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// Who owns bots: the wall of isolation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    /// What all its bots together may spend.
    #[serde(default)]
    pub budget: Budget,
    pub created_at: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BotStatus {
    #[default]
    Active,
    /// Messages are ignored until it is resumed.
    Paused,
    /// It is at rest: its links are paused and its schedules stand still, until it is restored.
    Archived,
    /// As archived; when its time is over, it is removed with all that it has.
    Deleted,
}

/// What becomes of a bot that is at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rest {
    /// What it is again when it is restored.
    pub was: BotStatus,
    /// The links that were paused with it, and are active again with it.
    pub links: Vec<LinkId>,
    /// When it is removed. `None`: it stays as long as its owner wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_at: Option<Timestamp>,
}

/// Which protocol a model server speaks (OpenClaw's names).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModelApi {
    OpenaiCompletions,
    OpenaiResponses,
    AnthropicMessages,
    GoogleGenerativeAi,
    BedrockConverseStream,
}

/// How hard a model thinks before it answers (OpenClaw's levels). What a model does not know becomes the
/// nearest that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Thinking {
    Off,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
}

/// A model that is asked when those before it do not answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FallbackModel {
    /// `provider/model`
    pub model: String,
    /// `None`: the provider's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<ModelApi>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// How many tokens the model reads at most. `None`: what is known of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
}

/// Models that look at pictures for a bot and tell it what they see (OpenClaw's `imageModel`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageModel {
    /// Asked first.
    pub primary: FallbackModel,
    /// Asked in this order when the first does not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<FallbackModel>,
}

impl ImageModel {
    /// All of them, in the order in which they are asked.
    pub fn all(&self) -> impl Iterator<Item = &FallbackModel> {
        std::iter::once(&self.primary).chain(&self.fallbacks)
    }
}

/// Which model a bot uses and how to reach it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelSettings {
    /// `provider/model` as OpenClaw writes it. `None`: the built-in demo, which needs no key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Base URL of the API, for most up to and including `/v1`. `None`: the provider's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Which protocol is spoken there. `None`: the provider's own; OpenAI's chat completions where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<ModelApi>,
    /// The key of the model's provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Sealed>,
    /// Keys of other providers, by name, for the fallbacks and the image model.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, Sealed>,
    /// Asked in this order when the model does not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<FallbackModel>,
    /// Looks at pictures in place of the model. `None`: the model sees them itself, if it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_model: Option<ImageModel>,
    /// `None`: as the provider sees fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
    /// What the model costs. `None`: what is known of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// How many tokens the model reads at most. `None`: what is known of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
}

/// How a model is reached, and what is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach<'a> {
    pub base_url: Option<&'a str>,
    pub api: Option<ModelApi>,
    pub price: Option<Price>,
    pub context_window: Option<u64>,
}

impl ModelSettings {
    /// The bot's own model, in the form that its fallbacks have. `None`: it is the demo.
    pub fn as_fallback(&self) -> Option<FallbackModel> {
        Some(FallbackModel {
            model: self.model.clone()?,
            base_url: self.base_url.clone(),
            api: self.api,
            price: self.price,
            context_window: self.context_window,
        })
    }

    /// All models that may be asked beside the bot's own: its fallbacks and those that look at pictures.
    pub fn others(&self) -> impl Iterator<Item = &FallbackModel> {
        self.fallbacks.iter().chain(self.image_model.iter().flat_map(ImageModel::all))
    }

    /// Whether a model is the bot's own or one of its fallbacks: what who does not own the bot may choose.
    pub fn lists(&self, model: &str) -> bool {
        self.model.as_deref() == Some(model) || self.fallbacks.iter().any(|fallback| fallback.model == model)
    }

    /// How `model` (`provider/model`) is reached, if a session may choose it: the bot's own, one of its fallbacks, or, as its
    /// owner may, another one of the same provider.
    pub fn reach(&self, model: &str) -> Option<Reach<'_>> {
        let own = self.model.as_deref()?;
        let base_url = self.base_url.as_deref();
        if model == own {
            return Some(Reach { base_url, api: self.api, price: self.price, context_window: self.context_window });
        }
        if let Some(fallback) = self.fallbacks.iter().find(|fallback| fallback.model == model) {
            let FallbackModel { base_url, api, price, context_window, .. } = fallback;
            return Some(Reach {
                base_url: base_url.as_deref(),
                api: *api,
                price: *price,
                context_window: *context_window,
            });
        }
        let (provider, name) = model.split_once('/')?;
        let is_same = own.split_once('/').is_some_and(|(own, _)| own == provider);
        let is_name = !name.is_empty() && name.len() <= 200 && name.chars().all(|c| c.is_ascii_graphic() && c != '`');
        (is_same && is_name).then_some(Reach { base_url, api: self.api, ..Reach::default() })
    }
}

/// The longest name of a bot, in characters.
pub const MAX_BOT_NAME: usize = 64;

/// What people see of an answer while it is written (OpenClaw's `streaming`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamMode {
    /// Nothing but "typing…".
    Off,
    /// The text so far, in a message that becomes the answer. Where messages cannot be edited, as `block`.
    #[default]
    Partial,
    /// What is said beside tool calls, each in a message of its own.
    Block,
    /// Which tools are used, in a message that becomes the answer.
    Progress,
}

impl StreamMode {
    /// Whether what an answer says beside its tool calls is sent on its own.
    pub fn sends_each_step(self, channel: Channel) -> bool {
        match self {
            StreamMode::Off | StreamMode::Progress => false,
            StreamMode::Partial => !channel.shows_drafts(),
            StreamMode::Block => true,
        }
    }
}

/// One named bot of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bot {
    pub id: BotId,
    pub account: AccountId,
    /// What people call it; unique within the account, compared without case.
    pub name: String,
    #[serde(default)]
    pub status: BotStatus,
    /// `Some` while it is archived or deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<Rest>,
    /// The agent id in session keys; `main` unless the bot was imported from another home.
    pub agent: String,
    #[serde(default)]
    pub model: ModelSettings,
    /// IANA name; what the bot's clock says and when its days begin.
    pub time_zone: String,
    #[serde(default)]
    pub dm_scope: SessionScope,
    /// What becomes of messages that arrive while a turn is under way. A session may have settings of its own.
    #[serde(default)]
    pub queue: QueueSettings,
    /// When its sessions begin anew by themselves.
    #[serde(default)]
    pub resets: ResetSettings,
    /// What it may spend.
    #[serde(default)]
    pub budget: Budget,
    /// What one turn may cost, in micro-dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_budget: Option<u64>,
    /// What it may use beside its model.
    #[serde(default)]
    pub abilities: Abilities,
    /// What people see of an answer while it is written.
    #[serde(default)]
    pub streaming: StreamMode,
    /// Whether, and when, it looks by itself for something to do. By default it does not.
    #[serde(default)]
    pub heartbeat: HeartbeatSettings,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// When a person last wrote to it, to the minute. Not part of the record: it is no edit.
    #[serde(skip)]
    pub heard_at: Option<Timestamp>,
    /// Where people last wrote to it. Not part of the record either.
    #[serde(skip)]
    pub heard_in: HeardIn,
    /// Counts the writes of this record; an edit that was made against another version is refused.
    pub version: u64,
}

/// Where people last wrote to a bot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeardIn {
    /// Anybody, to the minute.
    pub anyone: Option<SessionKey>,
    /// Its owner.
    pub owner: Option<SessionKey>,
    /// The chat in which its owner wrote to it directly and gets what is sent there.
    pub owner_chat: Option<ReplyTo>,
}

impl Bot {
    /// When it is removed, if that is to be.
    pub fn delete_at(&self) -> Option<Timestamp> {
        self.rest.as_ref()?.delete_at
    }

    /// Why it answers nobody; `None` if it does.
    pub const fn silence(&self) -> Option<&'static str> {
        match self.status {
            BotStatus::Active => None,
            BotStatus::Paused => Some("the bot is paused"),
            BotStatus::Archived => Some("the bot is archived"),
            BotStatus::Deleted => Some("the bot is deleted"),
        }
    }
}

/// Why a text cannot be a bot's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a bot's name has 1 to {MAX_BOT_NAME} letters, digits, spaces, `-`, `_` or `.`, and begins with a letter or digit"
)]
pub struct BadBotName;

/// Checks and trims a bot's name.
pub fn bot_name(text: &str) -> Result<String, BadBotName> {
    let name = text.trim();
    let fits = (1..=MAX_BOT_NAME).contains(&name.chars().count())
        && name.chars().next().is_some_and(char::is_alphanumeric)
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.'));
    if fits { Ok(name.to_owned()) } else { Err(BadBotName) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert_eq!(bot_name("  Tidy Bot 2 "), Ok("Tidy Bot 2".to_owned()));
        for bad in ["", "   ", "-x", "a/b", "a\nb", &"x".repeat(65)] {
            assert_eq!(bot_name(bad), Err(BadBotName), "{bad:?}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let settings = ModelSettings { api_key: Some(Sealed("ciphertext".into())), ..ModelSettings::default() };
        assert!(!format!("{settings:?}").contains("ciphertext"));
    }
}
