//! What a bot may use: its tools, the servers that it gets tools from, its search engine, its ears.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Sealed;

/// OpenClaw's names for common sets of tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolProfile {
    /// What tells of the session and the time, nothing else.
    Minimal,
    /// Files, the web, sessions.
    Coding,
    /// Messages and sessions.
    Messaging,
    #[default]
    Full,
}

/// Which tools a bot may use. Names may end in `*`; `group:web` and its like stand for all tools of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolPolicy {
    pub profile: ToolProfile,
    /// If there are any, only these of the profile's tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// These beside the profile's tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_allow: Vec<String>,
    /// Never these, whatever allows them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// These only once the owner has approved the call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ask: Vec<String>,
}

/// A server of tools that speaks the Model Context Protocol over streamable HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpServer {
    pub url: String,
    /// Sent as `Authorization: Bearer …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Sealed>,
    /// Tools of it that may be run again when it is not known how they ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeatable: Vec<String>,
}

/// Where the web is searched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchSettings {
    pub provider: SearchProvider,
    /// A server of one's own; `searxng` has no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Sealed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SearchProvider {
    Brave,
    Tavily,
    Searxng,
}

/// Who writes down what is said in voice notes: an endpoint like OpenAI's `/audio/transcriptions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TranscriptionSettings {
    /// Up to and including `/v1`.
    pub base_url: String,
    pub model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Sealed>,
}

/// What a bot may use beside its model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Abilities {
    pub tools: ToolPolicy,
    /// By name: lower case letters, digits and `-`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mcp: BTreeMap<String, McpServer>,
    /// `None`: it cannot search the web.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchSettings>,
    /// `None`: it is only told that there was a voice note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcription: Option<TranscriptionSettings>,
    /// If there are any, only these skills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skills: Option<Vec<String>>,
}
