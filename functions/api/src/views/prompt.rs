//! What a bot's model reads before a conversation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /v1/bots/{bot}/prompt`: what the model is sent for a first `hello` in a direct web chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromptView {
    /// The system prompt.
    pub system: String,
    /// What is sent, in the order in which the model reads it.
    pub parts: Vec<PromptPartView>,
    /// The sum of the parts' tokens: an estimate, a token for every four characters.
    pub tokens: usize,
    /// Its skills, those included that the model is not told of.
    pub skills: Vec<SkillView>,
}

/// One part of what a model is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromptPartView {
    /// Such as `core`, `SOUL.md`, `skills`, `today`, `tools`, `conversation`.
    pub name: String,
    /// An estimate: a token for every four characters.
    pub tokens: usize,
    /// Whether it belongs to the system prompt.
    pub is_system: bool,
}

/// A skill of a bot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkillView {
    /// Its name; of one that cannot be read its path.
    pub name: String,
    /// When to use it, as its file says.
    pub description: String,
    /// Why the bot's model is not told of it, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// One line of `GET /v1/bots/{bot}/skills`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BotSkill {
    /// Its name; of one that cannot be read its path.
    pub name: String,
    /// When to use it, as its file says.
    pub description: String,
    /// Where it comes from.
    pub source: SkillSource,
    /// Why the bot's model is not told of it; `null`: it is.
    pub left_out: Option<String>,
}

/// Where a skill comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SkillSource {
    /// `skills/` of the bot's own files, which goes before a built-in one of the same name.
    Workspace,
    /// Every bot has it.
    BuiltIn,
}
