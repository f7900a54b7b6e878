//! What a skill's manifest lets a model do while it follows the skill.

use domain::{Entry, EntryBody, ToolCall, ToolOutcome, TurnId};
use serde_json::Value;
use url::Url;

use super::{Manifest, Skill, Skills};
use crate::tools::SKILL;

/// Tools that find other tools and skills; no manifest closes them.
const ALWAYS: [&str; 2] = [SKILL, "tool_search"];

/// The skill that a turn follows: the one that it read last.
pub fn in_force<'a>(entries: &[Entry], turn: TurnId, skills: &'a Skills) -> Option<&'a Skill> {
    let mut entries = entries.iter().rev().skip_while(|entry| entry.turn != turn);
    let read = entries.by_ref().take_while(|entry| entry.turn == turn).find_map(|entry| match &entry.body {
        EntryBody::ToolResult(result) if result.name == SKILL && result.outcome == ToolOutcome::Ok => {
            Some(&result.call)
        }
        _ => None,
    })?;
    // The call stands above its result, in the same turn.
    let call = entries.take_while(|entry| entry.turn == turn).find_map(|entry| match &entry.body {
        EntryBody::Assistant(answer) => answer.tool_calls.iter().find(|call| call.id == *read),
        _ => None,
    })?;
    let arguments: Value = serde_json::from_str(&call.arguments).ok()?;
    skills.get(arguments["name"].as_str()?)
}

impl Manifest {
    /// Whether a call may be made while the skill is in force. The error is for the model to read.
    pub fn allows(&self, call: &ToolCall) -> Result<(), String> {
        let tool = call.name.as_str();
        if ALWAYS.contains(&tool) {
            return Ok(());
        }
        let fits = |allowed: &String| match allowed.strip_suffix('*') {
            Some(beginning) => tool.starts_with(beginning),
            None => allowed == tool,
        };
        if let Some(allowed) = self.allowed_tools.as_ref().filter(|allowed| !allowed.iter().any(fits)) {
            return Err(format!(
                "The skill `{}` that you follow in this turn may not call `{tool}`. It may call: {}.",
                self.name,
                allowed.iter().map(String::as_str).chain(ALWAYS).collect::<Vec<_>>().join(", ")
            ));
        }
        match &self.hosts {
            Some(hosts) => self.reaches_only(hosts, call),
            None => Ok(()),
        }
    }

    /// Whatever a tool and its arguments are called, a URL among them is where it goes.
    fn reaches_only(&self, hosts: &[String], call: &ToolCall) -> Result<(), String> {
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
        let texts = arguments.as_object().into_iter().flat_map(|object| object.iter());
        let urls = texts.filter_map(|(name, value)| {
            let text = value.as_str().unwrap_or_default().trim();
            // What is called so and is no URL goes nowhere that is allowed.
            let is_url = name == "url" || text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http"));
            is_url.then(|| Url::parse(text).ok())
        });
        let is_allowed = |url: &Option<Url>| {
            let host = url.as_ref().and_then(Url::host_str).unwrap_or_default().trim_end_matches('.');
            hosts.iter().any(|allowed| match allowed.strip_prefix("*.") {
                Some(parent) => host.strip_suffix(parent).is_some_and(|beginning| beginning.ends_with('.')),
                None => allowed == host,
            })
        };
        if urls.into_iter().all(|url| is_allowed(&url)) {
            return Ok(());
        }
        Err(format!(
            "The skill `{}` that you follow in this turn reaches these hosts only: {}.",
            self.name,
            hosts.join(", ")
        ))
    }
}
