//! Tools: what the model may have done for it.
//!
//! A tool is a module with a description, an argument struct and a function. [`Toolbox`] lists the
//! descriptions and finds the function by name.

mod current_time;
#[allow(dead_code, reason = "wired in the registry next")]
mod mcp;
mod skill;
mod web_fetch;

use std::borrow::Cow;

use domain::turn::ToolRules;
use domain::{Bot, Entry, SessionKey, Timestamp, ToolCall, ToolOutcome, ToolResult, TurnId};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::egress::Guard;
use crate::skills::in_force;
use crate::{AgentError, BotView, Host};
use web_fetch::WebFetch;

pub(crate) use current_time::{NAME as CURRENT_TIME, local_time};
pub(crate) use skill::NAME as SKILL;

/// What a model is told about a tool, and the engine.
#[derive(Clone, Debug)]
pub struct Tool {
    pub name: &'static str,
    /// For the model: what it does and when to use it.
    pub description: &'static str,
    /// JSON schema of the arguments: one flat object, without what strict modes refuse.
    pub parameters: Value,
    /// What a bot's [`domain::ToolPolicy`] calls it and its like.
    pub group: &'static str,
    /// Whether it may be run again when it is not known how it ended.
    pub may_repeat: bool,
}

/// What a tool may know of the turn that it runs in.
#[derive(Clone, Copy)]
pub struct ToolContext<'a> {
    pub now: Timestamp,
    pub bot: BotView<'a>,
    pub session: &'a SessionKey,
    pub turn: TurnId,
    /// The end of the session's log, oldest first.
    pub entries: &'a [Entry],
    pub host: &'a dyn Host,
}

/// How a tool fails.
#[derive(Debug, thiserror::Error)]
enum ToolError {
    /// The model can do something about it: other arguments, another way.
    #[error("{0}")]
    RespondToModel(String),
    /// Our own fault. The model is told only that it happened; the owner reads the rest in the logs.
    #[error("{0}")]
    Fatal(String),
}

/// All tools, ready to run.
#[derive(Debug)]
pub struct Toolbox {
    tools: Vec<Tool>,
    web_fetch: WebFetch,
}

impl Toolbox {
    pub(crate) fn new(fetch_allow: &[String]) -> Result<Toolbox, AgentError> {
        let tools = vec![current_time::describe(), web_fetch::describe(), skill::describe()];
        Ok(Toolbox { tools, web_fetch: WebFetch::new(Guard::new(fetch_allow)?)? })
    }

    /// The descriptions of all tools, in the order in which models are told of them.
    pub fn tools(&self) -> &[Tool] {
        &self.tools
    }

    fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    pub(crate) async fn run(&self, call: &ToolCall, context: &ToolContext<'_>) -> ToolResult {
        let (outcome, text) = match self.dispatch(call, context).await {
            Ok(text) => (ToolOutcome::Ok, text),
            Err(ToolError::RespondToModel(text)) => (ToolOutcome::Error, text),
            Err(ToolError::Fatal(detail)) => {
                tracing::error!(tool = call.name, call = call.id, detail, "A tool failed by our own fault");
                let text = "The tool failed for a reason that has nothing to do with its arguments. Go on without it.";
                (ToolOutcome::Error, text.to_owned())
            }
        };
        ToolResult { call: call.id.clone(), name: call.name.clone(), outcome, text, media: vec![] }
    }

    /// The tools that the bot's owner lets it use.
    fn allowed(&self, bot: &BotView<'_>) -> impl Iterator<Item = &Tool> {
        let policy = &bot.abilities.tools;
        self.tools.iter().filter(|tool| policy.allows(tool.name, tool.group))
    }

    /// The tools that a bot's model is told of.
    pub(crate) fn declared(&self, bot: &BotView<'_>) -> Vec<Tool> {
        self.allowed(bot).cloned().collect()
    }

    /// A past call as the bot's model would make it now.
    pub(crate) fn as_declared<'c>(&self, _: &BotView<'_>, call: &'c ToolCall) -> Cow<'c, ToolCall> {
        Cow::Borrowed(call)
    }

    /// A call that the bot's model made, as it is run.
    pub(crate) fn as_meant(&self, _: &BotView<'_>, call: ToolCall) -> ToolCall {
        call
    }

    /// The tool that a call means, if it may be called now. To the model, a tool that the owner denies is not there.
    fn callable(&self, call: &ToolCall, bot: &BotView<'_>) -> Result<&Tool, ToolError> {
        self.allowed(bot).find(|tool| tool.name == call.name).ok_or_else(|| {
            let names: Vec<&str> = self.allowed(bot).map(|tool| tool.name).collect();
            let others =
                if names.is_empty() { "there is none".to_owned() } else { format!("there are: {}", names.join(", ")) };
            ToolError::RespondToModel(format!("There is no tool `{}`; {others}.", call.name))
        })
    }

    async fn dispatch(&self, call: &ToolCall, context: &ToolContext<'_>) -> Result<String, ToolError> {
        let tool = self.callable(call, &context.bot)?;
        if let Some(skill) = in_force(context.entries, context.turn, context.bot.skills) {
            skill.manifest.allows(call).map_err(ToolError::RespondToModel)?;
        }
        match tool.name {
            current_time::NAME => current_time::run(&arguments(call, tool)?, context),
            skill::NAME => skill::run(&arguments(call, tool)?, context).await,
            web_fetch::NAME => self.web_fetch.run(&arguments(call, tool)?).await,
            unknown => Err(ToolError::Fatal(format!("`{unknown}` is described but cannot be run"))),
        }
    }
}

impl ToolRules for Toolbox {
    /// A tool that does not exist only answers with an error, so it may be repeated.
    fn may_repeat(&self, _: &Bot, call: &ToolCall) -> bool {
        self.tool(&call.name).is_none_or(|tool| tool.may_repeat)
    }

    /// Nobody is asked about a call that is refused anyway.
    fn needs_approval(&self, bot: &Bot, call: &ToolCall) -> bool {
        let policy = &bot.abilities.tools;
        self.tool(&call.name)
            .is_some_and(|tool| policy.allows(tool.name, tool.group) && policy.asks(tool.name, tool.group))
    }
}

/// Reads a call's arguments. Models write nothing at all where they want no argument.
fn arguments<T: DeserializeOwned>(call: &ToolCall, tool: &Tool) -> Result<T, ToolError> {
    let json = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
    serde_json::from_str(json).map_err(|error| {
        let what = if error.is_data() { "do not fit" } else { "are not JSON" };
        ToolError::RespondToModel(format!("The arguments {what}: {error}; expected {}.", tool.parameters))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolbox() -> Toolbox {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Toolbox::new(&[]).unwrap()
    }

    async fn run(name: &str, arguments: &str) -> (ToolOutcome, String) {
        run_for(&domain::Abilities::default(), name, arguments).await
    }

    async fn run_for(abilities: &domain::Abilities, name: &str, arguments: &str) -> (ToolOutcome, String) {
        let call = ToolCall { id: "call_1".into(), name: name.into(), arguments: arguments.into() };
        let session = SessionKey::main("main");
        let bot = BotView { time_zone: "Europe/Berlin", abilities, ..BotView::default() };
        let now = Timestamp::from_secs(1_795_356_000);
        let turn = TurnId::from_parts(now, 1);
        let context = ToolContext { now, bot, session: &session, turn, entries: &[], host: &crate::NoHost };
        let result = toolbox().run(&call, &context).await;
        assert_eq!((result.call.as_str(), result.name.as_str()), ("call_1", name));
        (result.outcome, result.text)
    }

    #[tokio::test]
    async fn what_a_model_gets_wrong_is_told_to_it() {
        let (outcome, text) = run("shell", "{}").await;
        assert_eq!(outcome, ToolOutcome::Error);
        assert_eq!(text, "There is no tool `shell`; there are: current_time, web_fetch, skill.");

        let (outcome, text) = run("web_fetch", "{\"url\":").await;
        assert_eq!(outcome, ToolOutcome::Error);
        assert!(text.starts_with("The arguments are not JSON: EOF while parsing"), "{text}");
        assert!(text.contains("expected {\"properties\":"), "{text}");

        let (_, text) = run("web_fetch", "{}").await;
        assert!(text.starts_with("The arguments do not fit: missing field `url`"), "{text}");
    }

    #[tokio::test]
    async fn a_denied_tool_is_neither_told_of_nor_run() {
        let mut abilities = domain::Abilities::default();
        abilities.tools.deny = vec!["group:web".to_owned()];
        let bot = BotView { abilities: &abilities, ..BotView::default() };
        let told: Vec<&str> = toolbox().declared(&bot).iter().map(|tool| tool.name).collect();
        assert_eq!(told, ["current_time"]);
        let (outcome, text) = run_for(&abilities, "web_fetch", "{\"url\":\"https://example.com/\"}").await;
        assert_eq!(outcome, ToolOutcome::Error);
        assert_eq!(text, "There is no tool `web_fetch`; there are: current_time.");
        abilities.tools.deny.push("current_*".to_owned());
        assert_eq!(run_for(&abilities, "current_time", "").await.1, "There is no tool `current_time`; there is none.");
    }

    #[test]
    fn the_owner_is_asked_about_what_may_be_used() {
        let bot = |tools: serde_json::Value| -> Bot {
            let at = Timestamp::from_secs(1_795_356_000);
            let (id, account) = (domain::BotId::from_parts(at, 1), domain::AccountId::from_parts(at, 1));
            let bot = serde_json::json!({
                "id": id, "account": account, "name": "Heron", "agent": "main", "time_zone": "UTC",
                "abilities": { "tools": tools }, "created_at": at, "updated_at": at, "version": 1,
            });
            serde_json::from_value(bot).unwrap()
        };
        let call = ToolCall { id: "call_1".into(), name: "web_fetch".into(), arguments: "{}".into() };
        let unknown = ToolCall { name: "shell".into(), ..call.clone() };
        let asked = |bot: &Bot, call| toolbox().needs_approval(bot, call);
        assert!(!asked(&bot(serde_json::json!({})), &call));
        let asks = bot(serde_json::json!({ "ask": ["group:web", "shell"] }));
        assert!(asked(&asks, &call) && !asked(&asks, &unknown));
        assert!(!asked(&bot(serde_json::json!({ "ask": ["web_*"], "deny": ["web_fetch"] })), &call));
    }

    #[tokio::test]
    async fn the_time_is_told_in_any_zone() {
        let time = async |arguments| run("current_time", arguments).await.1;
        assert_eq!(time("").await, "2026-11-22T15:00:00+01:00, Sunday, Europe/Berlin");
        assert_eq!(time("{\"zone\":\"Asia/Kolkata\"}").await, "2026-11-22T19:30:00+05:30, Sunday, Asia/Kolkata");
        assert_eq!(
            time("{\"zone\":\"kolkata\"}").await,
            "There is no time zone `kolkata`; perhaps you mean Asia/Kolkata. Use an IANA name."
        );
        assert_eq!(
            time("{\"zone\":\"Moon\"}").await,
            "There is no time zone `Moon`. Use an IANA name, such as Europe/Berlin, America/New_York or UTC."
        );
    }

    #[test]
    fn every_description_can_be_run_and_repeated() {
        let toolbox = toolbox();
        for tool in toolbox.tools() {
            assert!(tool.may_repeat, "{}", tool.name);
            assert_eq!(tool.parameters["type"], "object");
        }
    }
}
