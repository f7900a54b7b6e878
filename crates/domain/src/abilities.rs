//! What a bot may use: its tools, the servers that it gets tools from, its search engine, its ears.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Sealed;

/// OpenClaw's names for common sets of tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ToolProfile {
    /// What tells of the session and the time, nothing else.
    Minimal,
    /// Files, pictures, the web, sessions.
    Coding,
    /// Messages and sessions.
    Messaging,
    #[default]
    Full,
}

impl ToolProfile {
    /// Whether the profile has a group of tools.
    fn has(self, group: &str) -> bool {
        match self {
            ToolProfile::Minimal => group == "status",
            ToolProfile::Coding => matches!(group, "status" | "files" | "media" | "web" | "sessions"),
            ToolProfile::Messaging => matches!(group, "status" | "messaging" | "sessions"),
            ToolProfile::Full => true,
        }
    }
}

/// The tools that there are, with their groups.
pub const TOOLS: [(&str, &str); 17] = [
    ("read", "files"),
    ("write", "files"),
    ("edit", "files"),
    ("ls", "files"),
    ("search", "files"),
    ("web_fetch", "web"),
    ("web_search", "web"),
    ("message", "messaging"),
    ("current_time", "status"),
    ("skill", "status"),
    ("tool_search", "status"),
    ("image", "media"),
    ("sessions_list", "sessions"),
    ("sessions_history", "sessions"),
    ("sessions_send", "sessions"),
    ("sessions_spawn", "sessions"),
    ("cron", "automation"),
];

/// Tools that policies may name before they exist. Bots do not have them yet.
const TO_COME: [(&str, &str); 3] = [("memory_search", "memory"), ("memory_get", "memory"), ("browser", "ui")];

/// OpenClaw's names of groups, and ours. Of `runtime` there is nothing here: bots run no programs.
const GROUPS: [(&str, &str); 13] = [
    ("fs", "files"),
    ("files", "files"),
    ("runtime", "runtime"),
    ("web", "web"),
    ("ui", "ui"),
    ("media", "media"),
    ("sessions", "sessions"),
    ("memory", "memory"),
    ("automation", "automation"),
    ("messaging", "messaging"),
    ("status", "status"),
    ("mcp", "mcp"),
    ("openclaw", "*"),
];

/// What the tools of MCP servers are called begins so.
const OF_SERVERS: &str = "mcp_";

/// A name in a policy that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownTool {
    #[error("there is no group `{0}`; there are: {groups}", groups = GROUPS.map(|(name, _)| format!("group:{name}")).join(", "))]
    Group(String),
    #[error(
        "there is no tool `{0}`; there are: {tools}, and those of servers, mcp_SERVER_TOOL",
        tools = TOOLS.iter().chain(&TO_COME).map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    )]
    Tool(String),
}

/// Checks that a policy's pattern means a tool, or could mean one of a server.
///
/// # Errors
///
/// It means nothing, so whoever wrote it thinks that something is allowed or denied that is not.
pub fn check_pattern(pattern: &str) -> Result<(), UnknownTool> {
    if let Some(group) = pattern.strip_prefix("group:") {
        let is_known = GROUPS.iter().any(|(name, _)| *name == group);
        return if is_known { Ok(()) } else { Err(UnknownTool::Group(group.to_owned())) };
    }
    let mut all = TOOLS.iter().chain(&TO_COME).map(|(name, _)| *name);
    let is_known = match pattern.strip_suffix('*') {
        Some(beginning) => OF_SERVERS.starts_with(beginning) || all.any(|name| name.starts_with(beginning)),
        None => all.any(|name| name == pattern),
    };
    let is_of_server = pattern.len() > OF_SERVERS.len() && pattern.starts_with(OF_SERVERS);
    if is_known || is_of_server { Ok(()) } else { Err(UnknownTool::Tool(pattern.to_owned())) }
}

/// Which tools a bot may use. Names may end in `*`; `group:web` and its like stand for all tools of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

impl ToolPolicy {
    /// Whether a bot may use the tool `name` of `group`.
    pub fn allows(&self, name: &str, group: &str) -> bool {
        let is_of_profile = self.profile.has(group) && (self.allow.is_empty() || names(&self.allow, name, group));
        (is_of_profile || names(&self.also_allow, name, group)) && !names(&self.deny, name, group)
    }

    /// Whether the owner has to approve each call of the tool.
    pub fn asks(&self, name: &str, group: &str) -> bool {
        names(&self.ask, name, group)
    }
}

/// Whether a list names a tool: by its name, by how the name begins (`mcp_*`), or by its group (`group:web`).
fn names(list: &[String], name: &str, group: &str) -> bool {
    list.iter().any(|pattern| match (pattern.strip_prefix("group:"), pattern.strip_suffix('*')) {
        (Some(wanted), _) => {
            let ours = GROUPS.iter().find(|(known, _)| *known == wanted).map(|(_, ours)| *ours);
            // OpenClaw's own tools are all but those of servers.
            ours.is_some_and(|ours| ours == group || (ours == "*" && group != "mcp"))
        }
        (None, Some(beginning)) => name.starts_with(beginning),
        (None, None) => pattern == name,
    })
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: [(&str, &str); 6] = [
        ("current_time", "status"),
        ("read", "files"),
        ("web_fetch", "web"),
        ("message", "messaging"),
        ("sessions_send", "sessions"),
        ("mcp_bank_pay", "mcp"),
    ];

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn allowed(policy: &ToolPolicy) -> Vec<&'static str> {
        SOME.iter().filter(|(name, group)| policy.allows(name, group)).map(|(name, _)| *name).collect()
    }

    #[test]
    fn a_profile_has_its_groups() {
        let of = |profile| allowed(&ToolPolicy { profile, ..ToolPolicy::default() });
        assert_eq!(of(ToolProfile::Minimal), ["current_time"]);
        assert_eq!(of(ToolProfile::Coding), ["current_time", "read", "web_fetch", "sessions_send"]);
        assert_eq!(of(ToolProfile::Messaging), ["current_time", "message", "sessions_send"]);
        assert_eq!(of(ToolProfile::Full), SOME.map(|(name, _)| name));
    }

    #[test]
    fn groups_have_openclaws_names_too() {
        let denied = |group: &str| {
            let policy = ToolPolicy { deny: list(&[group]), ..ToolPolicy::default() };
            SOME.iter().filter(|(name, group)| !policy.allows(name, group)).map(|(name, _)| *name).collect::<Vec<_>>()
        };
        assert_eq!((denied("group:fs"), denied("group:files")), (vec!["read"], vec!["read"]));
        assert_eq!(denied("group:openclaw").len(), 5, "all but the server's");
        assert!(denied("group:runtime").is_empty() && denied("group:ui").is_empty());
    }

    #[test]
    fn a_pattern_means_a_tool_or_is_refused() {
        for good in
            ["read", "web_*", "*", "group:fs", "group:automation", "mcp_bank_pay", "mcp_*", "m*", "memory_*", "browser"]
        {
            assert_eq!(check_pattern(good), Ok(()), "{good}");
        }
        for bad in ["exec", "group:shell", "webfetch", "mcp_", "x*", ""] {
            assert!(check_pattern(bad).is_err(), "{bad}");
        }
        let said = check_pattern("group:shell").unwrap_err().to_string();
        assert!(said.starts_with("there is no group `shell`; there are: group:fs, "), "{said}");
    }

    #[test]
    fn allow_narrows_also_allow_widens_and_deny_wins() {
        let mut policy = ToolPolicy { profile: ToolProfile::Coding, ..ToolPolicy::default() };
        policy.allow = list(&["group:web", "message", "read"]);
        assert_eq!(allowed(&policy), ["read", "web_fetch"]);
        policy.also_allow = list(&["mcp_bank_*", "message"]);
        assert_eq!(allowed(&policy), ["read", "web_fetch", "message", "mcp_bank_pay"]);
        policy.deny = list(&["group:files", "mcp_*", "web"]);
        assert_eq!(allowed(&policy), ["web_fetch", "message"]);
        policy.deny = list(&["*"]);
        assert!(allowed(&policy).is_empty());
    }

    #[test]
    fn what_asks_is_named_like_what_is_allowed() {
        let policy = ToolPolicy { ask: list(&["group:messaging", "mcp_*", "read"]), ..ToolPolicy::default() };
        let asking: Vec<_> = SOME.iter().filter(|(name, group)| policy.asks(name, group)).map(|t| t.0).collect();
        assert_eq!(asking, ["read", "message", "mcp_bank_pay"]);
    }
}
