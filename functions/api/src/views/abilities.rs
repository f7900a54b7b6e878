//! The shapes of what a bot may use beside its model: tools, servers of tools, search, voice notes, skills.
//!
//! In patches: what is left out stays as it is, and `null` clears.

use std::collections::BTreeMap;

use domain::abilities::SearchProvider;
use domain::{ToolPolicy, ToolProfile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::given;

/// What a bot may use beside its model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AbilitiesView {
    pub tools: ToolPolicy,
    /// Servers of tools, by name.
    pub mcp: BTreeMap<String, McpServerView>,
    /// `null`: it cannot search the web.
    pub search: Option<SearchView>,
    /// `null`: it is only told that there was a voice note.
    pub transcription: Option<TranscriptionView>,
    /// Only these skills; `null`: all there are.
    pub skills: Option<Vec<String>>,
}

/// A server of tools that speaks the Model Context Protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct McpServerView {
    /// The address of its endpoint.
    pub url: String,
    /// Whether a token is stored.
    pub has_token: bool,
    /// Tools of it that may be run again when it is not known how they ended.
    pub repeatable: Vec<String>,
}

/// Where the web is searched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchView {
    /// Who searches.
    pub provider: SearchProvider,
    /// `null`: the provider's own.
    pub base_url: Option<String>,
    /// Whether a key is stored.
    pub has_api_key: bool,
}

/// Who writes down voice notes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptionView {
    /// Base URL of an API like OpenAI's, up to and including `/v1`.
    pub base_url: String,
    /// Such as `whisper-1`.
    pub model: String,
    /// Whether a key is stored.
    pub has_api_key: bool,
}

/// Changes to what a bot may use.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AbilitiesPatch {
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub tools: Option<Option<ToolsPatch>>,
    /// By name: `null` removes a server; a server that is left out stays.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub mcp: Option<Option<BTreeMap<String, Option<McpServerPatch>>>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub search: Option<Option<SearchPatch>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub transcription: Option<Option<TranscriptionPatch>>,
    /// Only these skills; none if the list is empty.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub skills: Option<Option<Vec<String>>>,
}

/// Changes to which tools a bot may use. A list replaces the one there is. Names may end in `*`; `group:web` and its like
/// stand for all tools of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolsPatch {
    /// `minimal`, `coding`, `messaging` or `full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ToolProfile>,
    /// If there are any, only these of the profile's tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// These beside the profile's tools.
    #[serde(alias = "alsoAllow", default, skip_serializing_if = "Option::is_none")]
    pub also_allow: Option<Vec<String>>,
    /// Never these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny: Option<Vec<String>>,
    /// These only once the owner has approved the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<Vec<String>>,
}

/// Changes to a server of tools, or a new one, which needs a `url`. Another `url` needs the token again.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct McpServerPatch {
    /// The address of its endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Sent as `Authorization: Bearer …`.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub token: Option<Option<String>>,
    /// Tools of it that may be run again when it is not known how they ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeatable: Option<Vec<String>>,
}

/// Changes to where the web is searched. Another provider or address needs the key again.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchPatch {
    /// `brave`, `tavily` or `searxng`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<SearchProvider>,
    /// `null`: the provider's own.
    #[serde(alias = "baseUrl", default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Option<String>>,
    /// The provider's key; `null` clears it.
    #[serde(alias = "apiKey", default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Option<String>>,
}

/// Changes to who writes down voice notes. Another address needs the key again.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TranscriptionPatch {
    /// Base URL of an API like OpenAI's, up to and including `/v1`.
    #[serde(alias = "baseUrl", default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Such as `whisper-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The key; `null` clears it.
    #[serde(alias = "apiKey", default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Option<String>>,
}
