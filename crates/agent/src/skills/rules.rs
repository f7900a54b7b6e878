//! What a skill's manifest lets a model do while it follows the skill.

use domain::{Entry, EntryBody, ToolCall, ToolOutcome, TurnId};
use serde_json::Value;
use url::Url;

use super::{Manifest, Skill, Skills};
use crate::tools::SKILL;

/// Tools that find other tools and skills; no manifest closes them.
const ALWAYS: [&str; 2] = [SKILL, "tool_search"];

/// Tools that begin turns in other sessions or at other times, which no manifest reaches.
const BEGIN_TURNS: [&str; 3] = ["sessions_spawn", "sessions_send", "cron"];

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

/// The URLs among a call's arguments, however deep they stand. What is called a URL and is none goes nowhere that is allowed.
fn collect_urls(name: &str, value: &Value, urls: &mut Vec<Option<Url>>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| collect_urls(name, value, urls)),
        Value::Array(items) => items.iter().for_each(|value| collect_urls(name, value, urls)),
        Value::String(text) => {
            let text = text.trim();
            let is_http = text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http"));
            if is_http || matches!(name, "url" | "urls") {
                urls.push(Url::parse(text).ok());
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
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
        if BEGIN_TURNS.contains(&tool) && (self.allowed_tools.is_some() || self.hosts.is_some()) {
            return Err(format!(
                "The skill `{}` that you follow in this turn bounds what you may use, and what `{tool}` begins would not be bound \
                 by it. Do it yourself, or in a later turn.",
                self.name
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
        let mut urls = Vec::new();
        collect_urls("", &arguments, &mut urls);
        let is_allowed = |url: &Option<Url>| {
            let host = url.as_ref().and_then(Url::host_str).unwrap_or_default().trim_end_matches('.');
            hosts.iter().any(|allowed| match allowed.strip_prefix("*.") {
                Some(parent) => host.strip_suffix(parent).is_some_and(|beginning| beginning.ends_with('.')),
                None => allowed == host,
            })
        };
        if urls.iter().all(is_allowed) {
            return Ok(());
        }
        Err(format!(
            "The skill `{}` that you follow in this turn reaches these hosts only: {}.",
            self.name,
            hosts.join(", ")
        ))
    }
}
