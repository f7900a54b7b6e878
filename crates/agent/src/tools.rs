//! Tools: what the model may have done for it.
//!
//! A tool is a module with a description, an argument struct and a function, and a line in [`Toolbox::new`]. Some are
//! declared to every model; the others are found when they are looked for, see `catalogue`.
//!
//! Whether a call may be made is decided in one place, [`Toolbox::callable`]: the owner's policy, then the manifest of
//! the skill that the turn follows.

mod catalogue;
mod cron;
mod current_time;
mod edit;
mod image;
mod ls;
mod mcp;
mod message;
mod outside;
mod path;
pub(crate) mod picture;
mod read;
mod schema;
mod search;
mod sessions;
mod skill;
mod web_fetch;
mod web_search;
mod write;

use std::borrow::Cow;
use std::fmt;

use domain::turn::ToolRules;
use domain::{Bot, Entry, Media, SessionKey, Timestamp, ToolCall, ToolOutcome, ToolPolicy, ToolResult, TurnId};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::skills::in_force;
use crate::{AgentError, BotView, BoxFuture, Host, HostError, sees};
use catalogue::Found;
use egress::Guard;
use image::Image;
use mcp::{Mcp, McpTool};
use web_fetch::WebFetch;
use web_search::WebSearch;

pub(crate) use cron::NAME as CRON;
pub(crate) use current_time::{NAME as CURRENT_TIME, local_time};
pub(crate) use image::{NAME as IMAGE, prompt_of as image_prompt};
pub(crate) use outside::framed;
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

impl From<HostError> for ToolError {
    fn from(error: HostError) -> ToolError {
        match error {
            HostError::Failed(detail) => ToolError::Fatal(detail),
            told => ToolError::RespondToModel(told.to_string()),
        }
    }
}

/// What a tool gives.
#[derive(Debug, Default)]
struct Output {
    /// What the model reads.
    text: String,
    /// Pictures that it is shown with it.
    media: Vec<Media>,
}

impl<T: Into<String>> From<T> for Output {
    fn from(text: T) -> Output {
        Output { text: text.into(), media: vec![] }
    }
}

type Outcome = Result<Output, ToolError>;

/// The longest result of any tool, in bytes: all results of an answer's calls must fit one transaction.
const MAX_RESULT: usize = 60_000;

/// How a tool is run.
type Run = Box<dyn for<'a> Fn(&'a Toolbox, &'a ToolCall, &'a ToolContext<'a>) -> BoxFuture<'a, Outcome> + Send + Sync>;

/// The compiler sees the lifetimes of a closure that is passed where they are named.
fn erased<F>(run: F) -> Run
where
    F: for<'a> Fn(&'a Toolbox, &'a ToolCall, &'a ToolContext<'a>) -> BoxFuture<'a, Outcome> + Send + Sync + 'static,
{
    Box::new(run)
}

/// A tool with its function.
struct Runnable {
    tool: Tool,
    /// Whether every model is told of it.
    is_declared: bool,
    run: Run,
}

impl Runnable {
    fn new<A, F>(tool: Tool, run: F) -> Runnable
    where
        A: DeserializeOwned + Send + 'static,
        F: for<'a> Fn(A, &'a Toolbox, &'a ToolCall, &'a ToolContext<'a>) -> BoxFuture<'a, Outcome>,
        F: Send + Sync + 'static,
    {
        let expected = tool.parameters.clone();
        let run = erased(move |toolbox, call, context| match arguments(call, &expected) {
            Ok(arguments) => run(arguments, toolbox, call, context),
            Err(error) => Box::pin(async { Err(error) }),
        });
        Runnable { tool, is_declared: false, run }
    }

    fn declared(self) -> Runnable {
        Runnable { is_declared: true, ..self }
    }

    /// Whether a bot's model is told of it without looking for it.
    fn is_told(&self, bot: &BotView<'_>) -> bool {
        self.is_declared || (self.tool.name == image::NAME && has_others_eyes(bot))
    }
}

/// Whether a bot's model sees nothing itself and another one looks at pictures for it.
fn has_others_eyes(bot: &BotView<'_>) -> bool {
    bot.image_model.is_some() && bot.model.is_some_and(|model| !sees(model))
}

/// All tools, ready to run.
pub struct Toolbox {
    tools: Vec<Runnable>,
    web_fetch: WebFetch,
    web_search: WebSearch,
    image: Image,
    mcp: Mcp,
}

impl fmt::Debug for Toolbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.tools.iter().map(|runnable| runnable.tool.name)).finish()
    }
}

impl Toolbox {
    /// `fetch_allow` may be fetched, and with `private_servers` MCP servers be called, on private addresses.
    pub(crate) fn new(fetch_allow: &[String], private_servers: bool) -> Result<Toolbox, AgentError> {
        let guard = Guard::new(fetch_allow)?;
        let tools = vec![
            Runnable::new(read::tool(), |a, _, _, c| Box::pin(read::run(a, c))).declared(),
            Runnable::new(write::tool(), |a, _, _, c| Box::pin(write::run(a, c))).declared(),
            Runnable::new(edit::tool(), |a, _, _, c| Box::pin(edit::run(a, c))).declared(),
            Runnable::new(web_fetch::describe(), |a, t, _, _| Box::pin(t.fetch(a))).declared(),
            Runnable::new(web_search::describe(), |a, t, _, c| Box::pin(t.search_web(a, c))).declared(),
            Runnable::new(message::tool(), |a, _, call, c| Box::pin(message::run(&call.id, a, c))).declared(),
            Runnable::new(current_time::describe(), |a, _, _, c| Box::pin(tell_time(a, c))).declared(),
            Runnable::new(skill::describe(), |a, _, _, c| Box::pin(read_skill(a, c))).declared(),
            Runnable::new(ls::tool(), |a, _, _, c| Box::pin(ls::run(a, c))),
            Runnable::new(search::tool(), |a, _, _, c| Box::pin(search::run(a, c))),
            Runnable::new(image::describe(), |a, t, _, c| Box::pin(t.look(a, c))),
            Runnable::new(sessions::list_tool(), |a, _, _, c| Box::pin(sessions::list(a, c))),
            Runnable::new(sessions::history_tool(), |a, _, _, c| Box::pin(sessions::history(a, c))),
            Runnable::new(sessions::send_tool(), |a, _, call, c| Box::pin(sessions::send(&call.id, a, c))),
            Runnable::new(sessions::spawn_tool(), |a, _, call, c| Box::pin(sessions::spawn(&call.id, a, c))),
            Runnable::new(cron::tool(), |a, _, call, c| Box::pin(cron::run(&call.id, a, c))),
            Runnable::new(catalogue::search_tool(), |a, t, _, c| Box::pin(t.find(a, c))).declared(),
        ];
        Ok(Toolbox {
            tools,
            web_fetch: WebFetch::new(guard.clone())?,
            web_search: WebSearch::new(guard.clone())?,
            image: Image::new(guard.clone())?,
            mcp: Mcp::new(guard, private_servers)?,
        })
    }

    #[cfg(test)]
    pub(crate) fn has(&self, name: &str) -> bool {
        self.runnable(name).is_some()
    }

    fn runnable(&self, name: &str) -> Option<&Runnable> {
        self.tools.iter().find(|runnable| runnable.tool.name == name)
    }

    /// The tools that the bot's owner lets it use, whether its model is told of them or not.
    fn allowed(&self, bot: &BotView<'_>) -> impl Iterator<Item = &Runnable> {
        let policy = &bot.abilities.tools;
        self.tools.iter().filter(|runnable| is_allowed(policy, &runnable.tool) && is_set_up(bot, &runnable.tool))
    }

    /// The names of all tools that a bot may use.
    pub(crate) fn names(&self, bot: &BotView<'_>) -> Vec<String> {
        self.allowed(bot).map(|runnable| runnable.tool.name.to_owned()).collect()
    }

    /// The tools that a bot's model is told of, in this order.
    pub(crate) fn declared(&self, bot: &BotView<'_>) -> Vec<Tool> {
        let hides = self.hides(bot);
        let is_search = |tool: &Tool| tool.name == catalogue::SEARCH;
        let told = self.allowed(bot).filter(|runnable| runnable.is_told(bot) && (hides || !is_search(&runnable.tool)));
        let call = hides.then(catalogue::call_tool);
        told.map(|runnable| runnable.tool.clone()).chain(call).collect()
    }

    /// Whether a bot has tools that its model is not told of.
    fn hides(&self, bot: &BotView<'_>) -> bool {
        !bot.abilities.mcp.is_empty() || self.allowed(bot).any(|runnable| !runnable.is_told(bot))
    }

    /// Whether a bot's model, which sees nothing, may have pictures looked at for it.
    pub(crate) fn has_looks(&self, bot: &BotView<'_>) -> bool {
        has_others_eyes(bot) && self.allowed(bot).any(|runnable| runnable.tool.name == image::NAME)
    }

    /// A past call as the bot's model would make it now.
    pub(crate) fn as_declared<'c>(&self, bot: &BotView<'_>, call: &'c ToolCall) -> Cow<'c, ToolCall> {
        let is_told = self.allowed(bot).any(|runnable| runnable.is_told(bot) && runnable.tool.name == call.name);
        if is_told || !self.hides(bot) { Cow::Borrowed(call) } else { Cow::Owned(catalogue::wrapped(call)) }
    }

    /// A call that the bot's model made, as it is run.
    pub(crate) fn as_meant(&self, _: &BotView<'_>, call: ToolCall) -> ToolCall {
        catalogue::meant(call)
    }

    pub(crate) async fn run(&self, call: &ToolCall, context: &ToolContext<'_>) -> ToolResult {
        let (outcome, output) = match self.dispatch(call, context).await {
            Ok(output) => (ToolOutcome::Ok, output),
            Err(ToolError::RespondToModel(text)) => (ToolOutcome::Error, text.into()),
            Err(ToolError::Fatal(detail)) => {
                tracing::error!(tool = call.name, call = call.id, detail, "A tool failed by our own fault");
                let text = "The tool failed for a reason that has nothing to do with its arguments. Go on without it.";
                (ToolOutcome::Error, text.into())
            }
        };
        let text = bounded(output.text);
        ToolResult { call: call.id.clone(), name: call.name.clone(), outcome, text, media: output.media, asked: None }
    }

    /// Lets go of what was held for a turn.
    pub(crate) async fn turn_ended(&self, turn: TurnId) {
        self.mcp.turn_ended(turn).await;
    }

    async fn dispatch(&self, call: &ToolCall, context: &ToolContext<'_>) -> Outcome {
        if is_of_server(call) {
            return self.call_server(call, context).await;
        }
        let runnable = self.callable(call, context)?;
        (runnable.run)(self, call, context).await
    }

    /// Calls a tool of one of the bot's servers.
    async fn call_server(&self, call: &ToolCall, context: &ToolContext<'_>) -> Outcome {
        let bot = &context.bot;
        let offers = self.mcp.tools(bot, context.turn).await;
        let is_allowed = bot.abilities.tools.allows(&call.name, MCP_GROUP);
        let Some(tool) = mcp::by_model_name(&offers.tools, &call.name).filter(|_| is_allowed) else {
            let failed: String =
                offers.failed.iter().map(|(server, why)| format!("\n{}", not_answering(server, why))).collect();
            let text = format!(
                "There is no tool `{}`. `{}` finds those that there are.{failed}",
                call.name,
                catalogue::SEARCH
            );
            return Err(ToolError::RespondToModel(text));
        };
        check_skill(call, context)?;
        let given = arguments(call, &tool.parameters)?;
        // A server's error has its own words in it.
        let framed = |error: String| ToolError::RespondToModel(outside::framed(&call.name, &error, MAX_SERVER_RESULT));
        let result = self.mcp.call(bot, context.turn, &tool.server, &tool.name, given).await.map_err(framed)?;
        let text = outside::framed(&call.name, &result.text, MAX_SERVER_RESULT);
        if result.is_error {
            return Err(ToolError::RespondToModel(text));
        }
        let mut media = Vec::new();
        for (mime, bytes) in result.images {
            media.push(context.host.media_keep(bytes, &mime, None).await?);
        }
        Ok(Output { text, media })
    }

    /// The tool that a call means, if it may be called now. To the model, a tool that the owner denies is not there.
    fn callable(&self, call: &ToolCall, context: &ToolContext<'_>) -> Result<&Runnable, ToolError> {
        let found = self.allowed(&context.bot).find(|runnable| runnable.tool.name == call.name);
        let Some(runnable) = found else {
            let names = self.names(&context.bot);
            let others =
                if names.is_empty() { "there is none".to_owned() } else { format!("there are: {}", names.join(", ")) };
            return Err(ToolError::RespondToModel(format!("There is no tool `{}`; {others}.", call.name)));
        };
        check_skill(call, context)?;
        Ok(runnable)
    }

    async fn fetch(&self, arguments: web_fetch::Arguments) -> Outcome {
        Ok(self.web_fetch.run(&arguments).await?.into())
    }

    async fn search_web(&self, arguments: web_search::Arguments, context: &ToolContext<'_>) -> Outcome {
        Ok(self.web_search.run(&arguments, context).await?.into())
    }

    async fn look(&self, arguments: image::Arguments, context: &ToolContext<'_>) -> Outcome {
        let (text, media) = self.image.run(&arguments, context).await?;
        Ok(Output { text, media })
    }

    /// `tool_search`
    async fn find(&self, arguments: catalogue::Search, context: &ToolContext<'_>) -> Outcome {
        let policy = &context.bot.abilities.tools;
        let hidden: Vec<&Tool> = self
            .allowed(&context.bot)
            .filter(|runnable| !runnable.is_told(&context.bot))
            .map(|runnable| &runnable.tool)
            .collect();
        let own = hidden.iter().map(|tool| Found {
            name: tool.name,
            description: tool.description,
            parameters: &tool.parameters,
            server: None,
        });
        let offers = self.mcp.tools(&context.bot, context.turn).await;
        let names: Vec<String> = offers.tools.iter().map(|tool| mcp::model_name(&tool.server, &tool.name)).collect();
        let of_servers = offers.tools.iter().zip(&names).filter(|(_, name)| policy.allows(name, MCP_GROUP));
        let of_servers = of_servers.map(|(McpTool { server, description, parameters, .. }, name)| Found {
            name,
            description,
            parameters,
            server: Some(server),
        });
        let mut text = catalogue::search(&arguments.query, &own.chain(of_servers).collect::<Vec<_>>());
        for (server, why) in &offers.failed {
            text.push_str(&format!("\n\n{}", not_answering(server, why)));
        }
        Ok(text.into())
    }
}

async fn tell_time(arguments: current_time::Arguments, context: &ToolContext<'_>) -> Outcome {
    Ok(current_time::run(&arguments, context)?.into())
}

async fn read_skill(arguments: skill::Arguments, context: &ToolContext<'_>) -> Outcome {
    Ok(skill::run(&arguments, context).await?.into())
}

/// What policies call the tools of servers.
const MCP_GROUP: &str = "mcp";

/// How much of a server's answer is given, in characters.
const MAX_SERVER_RESULT: usize = 20_000;

/// Why a server's tools are not known, in which it may have its say.
fn not_answering(server: &str, why: &str) -> String {
    outside::framed(&format!("the server {server}, whose tools are not known"), why, MAX_SERVER_RESULT)
}

fn is_of_server(call: &ToolCall) -> bool {
    call.name.starts_with("mcp_")
}

/// Whether the skill that the turn follows lets a call be made.
fn check_skill(call: &ToolCall, context: &ToolContext<'_>) -> Result<(), ToolError> {
    match in_force(context.entries, context.turn, context.bot.skills) {
        Some(skill) => skill.manifest.allows(call).map_err(ToolError::RespondToModel),
        None => Ok(()),
    }
}

fn is_allowed(policy: &ToolPolicy, tool: &Tool) -> bool {
    policy.allows(tool.name, tool.group)
}

/// Whether a tool has what it needs: a model is not told of what cannot work.
fn is_set_up(bot: &BotView<'_>, tool: &Tool) -> bool {
    match tool.name {
        SKILL => bot.skills.iter().next().is_some(),
        web_search::NAME => bot.abilities.search.is_some(),
        _ => true,
    }
}

/// A result that fits a row with others.
fn bounded(mut text: String) -> String {
    if text.len() <= MAX_RESULT {
        return text;
    }
    let end = (0..=MAX_RESULT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let left_out = text.len() - end;
    text.truncate(end);
    text.push_str(&format!("\n[{left_out} more bytes were left out.]"));
    text
}

impl ToolRules for Toolbox {
    /// A tool that does not exist only answers with an error, so it may be repeated.
    fn may_repeat(&self, bot: &Bot, call: &ToolCall) -> bool {
        if is_of_server(call) {
            let is_it = |server: &str, tool: &String| mcp::model_name(server, tool) == call.name;
            return bot
                .abilities
                .mcp
                .iter()
                .any(|(name, server)| server.repeatable.iter().any(|tool| is_it(name, tool)));
        }
        self.runnable(&call.name).is_none_or(|runnable| runnable.tool.may_repeat)
    }

    /// Nobody is asked about a call that is refused anyway.
    fn needs_approval(&self, bot: &Bot, call: &ToolCall) -> bool {
        let policy = &bot.abilities.tools;
        if is_of_server(call) {
            return policy.allows(&call.name, MCP_GROUP) && policy.asks(&call.name, MCP_GROUP);
        }
        self.runnable(&call.name)
            .is_some_and(|Runnable { tool, .. }| is_allowed(policy, tool) && policy.asks(tool.name, tool.group))
    }

    fn asks_model(&self, bot: &Bot, call: &ToolCall) -> bool {
        call.name == image::NAME && bot.model.image_model.is_some()
    }
}

/// Reads a call's arguments. Models write nothing at all where they want no argument.
fn arguments<T: DeserializeOwned>(call: &ToolCall, expected: &Value) -> Result<T, ToolError> {
    let json = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
    serde_json::from_str(json).map_err(|error| {
        let what = if error.is_data() { "do not fit" } else { "are not JSON" };
        ToolError::RespondToModel(format!("The arguments {what}: {error}; expected {expected}."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolbox() -> Toolbox {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Toolbox::new(&[], false).unwrap()
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
        assert_eq!(
            text,
            "There is no tool `shell`; there are: read, write, edit, web_fetch, message, current_time, ls, search, \
             image, sessions_list, sessions_history, sessions_send, sessions_spawn, cron, tool_search."
        );

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
        abilities.tools.profile = domain::ToolProfile::Minimal;
        abilities.tools.also_allow = vec!["web_fetch".to_owned()];
        abilities.tools.deny = vec!["group:web".to_owned()];
        let bot = BotView { abilities: &abilities, ..BotView::default() };
        let told: Vec<&str> = toolbox().declared(&bot).iter().map(|tool| tool.name).collect();
        assert_eq!(told, ["current_time"]);
        let (outcome, text) = run_for(&abilities, "web_fetch", "{\"url\":\"https://example.com/\"}").await;
        assert_eq!(outcome, ToolOutcome::Error);
        assert_eq!(text, "There is no tool `web_fetch`; there are: current_time, tool_search.");
        abilities.tools.deny.push("*".to_owned());
        assert_eq!(run_for(&abilities, "current_time", "").await.1, "There is no tool `current_time`; there is none.");
    }

    /// A bot with a policy.
    fn bot(tools: &Value) -> Bot {
        let at = Timestamp::from_secs(1_795_356_000);
        let (id, account) = (domain::BotId::from_parts(at, 1), domain::AccountId::from_parts(at, 1));
        let bot = serde_json::json!({
            "id": id, "account": account, "name": "Heron", "agent": "main", "time_zone": "UTC",
            "abilities": { "tools": tools }, "created_at": at, "updated_at": at, "version": 1,
        });
        serde_json::from_value(bot).unwrap()
    }

    #[test]
    fn what_could_undo_anothers_edit_is_not_repeated_after_a_crash() {
        let bot = bot(&serde_json::json!({}));
        let may_repeat = |name: &str| {
            let call = ToolCall { id: "call_1".into(), name: name.into(), arguments: "{}".into() };
            toolbox().may_repeat(&bot, &call)
        };
        assert!(!may_repeat("write") && !may_repeat("edit"));
        assert!(may_repeat("read") && may_repeat("message"), "the host sends a message once");
    }

    #[test]
    fn the_owner_is_asked_about_what_may_be_used() {
        let call = ToolCall { id: "call_1".into(), name: "web_fetch".into(), arguments: "{}".into() };
        let unknown = ToolCall { name: "shell".into(), ..call.clone() };
        let asked = |bot: &Bot, call| toolbox().needs_approval(bot, call);
        assert!(!asked(&bot(&serde_json::json!({})), &call));
        let asks = bot(&serde_json::json!({ "ask": ["group:web", "shell"] }));
        assert!(asked(&asks, &call) && !asked(&asks, &unknown));
        assert!(!asked(&bot(&serde_json::json!({ "ask": ["web_*"], "deny": ["web_fetch"] })), &call));
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
    fn what_every_model_is_told_is_short() {
        let toolbox = toolbox();
        let declared = toolbox.declared(&BotView::default());
        let names: Vec<&str> = declared.iter().map(|tool| tool.name).collect();
        assert_eq!(
            names,
            ["read", "write", "edit", "web_fetch", "message", "current_time", "tool_search", "tool_call"]
        );
        let told = |tool: &Tool| tool.name.len() + tool.description.len() + tool.parameters.to_string().len() + 40;
        let size: usize = declared.iter().map(told).sum();
        assert!(size / 4 <= 1_500, "about {} tokens", size / 4);
        for Runnable { tool, .. } in &toolbox.tools {
            assert_eq!(tool.parameters["type"], "object", "{}", tool.name);
        }
        let mut known = domain::abilities::TOOLS;
        let mut all: Vec<_> = toolbox.tools.iter().map(|Runnable { tool, .. }| (tool.name, tool.group)).collect();
        known.sort();
        all.sort();
        assert_eq!(all, known, "what policies can name");
    }

    #[test]
    fn a_bot_with_few_tools_has_nothing_to_search() {
        let abilities = domain::Abilities {
            tools: ToolPolicy { profile: domain::ToolProfile::Minimal, ..ToolPolicy::default() },
            ..domain::Abilities::default()
        };
        let bot = BotView { abilities: &abilities, ..BotView::default() };
        let names: Vec<&str> = toolbox().declared(&bot).iter().map(|tool| tool.name).collect();
        assert_eq!(names, ["current_time"]);
    }

    #[tokio::test]
    async fn tools_that_are_not_told_of_are_found_and_called() {
        let (outcome, text) = run("tool_search", r#"{"query":"list files"}"#).await;
        assert_eq!(outcome, ToolOutcome::Ok);
        assert!(text.contains("ls: Lists the files") && text.contains(r#""after":"#), "{text}");
        let toolbox = toolbox();
        let bot = BotView::default();
        let call = ToolCall { id: "1".into(), name: "ls".into(), arguments: "{}".into() };
        let told = toolbox.as_declared(&bot, &call);
        assert_eq!(told.name, "tool_call");
        assert_eq!(toolbox.as_meant(&bot, told.into_owned()), call);
        assert_eq!(run("ls", "{}").await.1, "There are no files here.");
    }

    #[tokio::test]
    async fn a_skill_that_was_read_bounds_what_else_is_run() {
        use domain::{Answer, EntryBody, EntryId};
        let (now, session) = (Timestamp::from_secs(1_795_356_000), SessionKey::main("main"));
        let turn = TurnId::from_parts(now, 1);
        let skills = crate::Skills::embedded();
        let bot = BotView { skills: &skills, ..BotView::default() };
        let context = ToolContext { now, bot, session: &session, turn, entries: &[], host: &crate::NoHost };
        let call = |name: &str, arguments: &str| ToolCall {
            id: name.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        };
        let reading = call("skill", r#"{"name":"translate-carefully"}"#);
        let read = toolbox().run(&reading, &context).await;
        assert_eq!(read.outcome, ToolOutcome::Ok, "{}", read.text);

        let answer = EntryBody::Assistant(Answer { tool_calls: vec![reading], ..Answer::default() });
        let entry = |seq: u64, body| Entry { seq, id: EntryId::from_parts(now, seq.into()), turn, at: now, body };
        let entries = [entry(0, answer), entry(1, EntryBody::ToolResult(read))];
        let bound = ToolContext { entries: &entries, ..context };
        let time = call("current_time", "");
        let refused = toolbox().run(&time, &bound).await;
        assert_eq!(refused.outcome, ToolOutcome::Error);
        assert!(refused.text.starts_with("The skill `translate-carefully` that you follow"), "{}", refused.text);
        let next = ToolContext { turn: TurnId::from_parts(now, 2), ..bound };
        assert_eq!(toolbox().run(&time, &next).await.outcome, ToolOutcome::Ok);
    }
}
