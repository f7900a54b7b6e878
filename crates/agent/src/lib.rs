//! Acts on the engine's decisions: asks the model, runs tools, builds the prompt.
//!
//! ```text
//! entries ─ transcript ─┐                       ┌─ models::openai_chat ─ HTTP ─┐
//! workspace ── prompt ──┴─ Agent::answer ─ models ─ models::demo ──────────────┴─ Answer
//! tool call ────────────── Agent::run_tool ─ tools ─ web_fetch, current_time ─── ToolResult
//! ```
//!
//! Everything that leaves the machine on a bot's behalf passes `egress`. A provider's JSON stays in
//! `models`; the log is turned into a conversation once, in `transcript`, for every provider.

mod egress;
mod models;
mod prompt;
mod tools;
mod transcript;
mod workspace;

use std::time::Duration;

use domain::{Answer, ChatKind, Entry, Timestamp, ToolCall, ToolResult};

pub use models::{ModelError, SET_MODEL_COMMAND, Secret};
pub use prompt::PROMPT_FILES;
pub use tools::{Tool, ToolContext, Toolbox};
pub use workspace::{Workspace, WorkspaceFile, default_workspace};

/// What an [`Agent`] may reach, and how patient it is.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Model servers on private addresses may be called (one on the same machine or LAN): for `lowtide dev`.
    pub private_models: bool,
    /// `host:port` pairs that `web_fetch` may reach although they are private (an intranet wiki). A host
    /// that is named here is reached at its named ports only. Empty in the cloud.
    pub fetch_allow: Vec<String>,
    /// The whole of one [`Agent::answer`], its retries included.
    pub model_timeout: Duration,
    /// Further attempts after the first one.
    pub model_retries: u32,
}

impl Default for AgentConfig {
    fn default() -> AgentConfig {
        AgentConfig {
            private_models: false,
            fetch_allow: vec![],
            model_timeout: Duration::from_secs(120),
            model_retries: 2,
        }
    }
}

/// Why an [`Agent`] could not be made: the machine, not a bot, is at fault.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("the HTTP client could not be built: {0}")]
    Client(#[from] reqwest::Error),
    #[error("`{0}` is not of the form host:port, such as wiki.internal:443")]
    FetchAllow(String),
}

/// Asks models and runs tools. One per process: its HTTP clients are built once.
#[derive(Debug)]
pub struct Agent {
    models: models::Models,
    toolbox: Toolbox,
}

/// What the agent has to know of a bot.
#[derive(Clone, Copy, Debug)]
pub struct BotView<'a> {
    pub name: &'a str,
    /// IANA name. One that is not known counts as UTC.
    pub time_zone: &'a str,
    /// `provider/model`; `None` is the built-in demo. See [`domain::ModelSettings::model`].
    pub model: Option<&'a str>,
    /// Replaces the provider's own base URL.
    pub base_url: Option<&'a str>,
    pub api_key: Option<&'a Secret>,
}

/// What the model is asked with.
#[derive(Clone, Copy, Debug)]
pub struct ModelRequest<'a> {
    pub bot: BotView<'a>,
    /// What kind of chat the answer goes to: in groups the model is told who speaks.
    pub chat: ChatKind,
    pub workspace: &'a Workspace,
    /// The end of the session's log, oldest first. It may begin anywhere.
    pub entries: &'a [Entry],
    /// Whether the model may call tools in this step.
    pub tools: bool,
    pub now: Timestamp,
}

impl Agent {
    /// Builds the HTTP clients. The process must have installed a rustls crypto provider before.
    pub fn new(config: AgentConfig) -> Result<Agent, AgentError> {
        Ok(Agent { toolbox: Toolbox::new(&config.fetch_allow)?, models: models::Models::new(&config)? })
    }

    /// Asks the model for the next step of a turn. Takes at most [`AgentConfig::model_timeout`].
    pub async fn answer(&self, request: &ModelRequest<'_>) -> Result<Answer, ModelError> {
        self.models.answer(request, &self.toolbox).await
    }

    /// Runs one tool call. Never fails: what went wrong is for the model to read.
    pub async fn run_tool(&self, call: &ToolCall, context: &ToolContext) -> ToolResult {
        self.toolbox.run(call, context).await
    }

    /// The tools, and which of them may be repeated.
    pub fn tool_rules(&self) -> &Toolbox {
        &self.toolbox
    }
}
