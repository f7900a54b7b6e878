//! Acts on the engine's decisions: asks the model, runs tools, builds the prompt.
//!
//! ```text
//! entries ─ transcript ─┐                       ┌─ models::wire ── HTTP ───────┐
//! workspace ── prompt ──┴── Mind::answer ─ models ─ models::demo ──────────────┴─ Answer
//! tool call ─────────────── Mind::run_tool ─ tools ─ web_fetch, current_time ─── ToolResult
//! ```
//!
//! `transcript` shows a model the context of a session: a summary, if there is one, and what came after. What is too
//! old is summarised (`summary`), and old tool results are pruned on the way. What a call costs, and how much a model
//! reads, `models::prices` knows.
//!
//! Everything that leaves the machine on a bot's behalf passes `egress`. A provider's JSON stays in
//! `models`; the log is turned into a conversation once, in `transcript`, for every provider.

mod host;
mod listening;
mod looking;
mod mind;
mod models;
mod prompt;
mod skills;
mod summary;
mod tools;
mod transcript;
mod workspace;

use std::collections::BTreeMap;
use std::time::Duration;

use domain::account::{FallbackModel, ImageModel, ModelApi};
use domain::turn::Question;
use domain::{Abilities, BotId, ChatKind, Entry, Price, Thinking, Timestamp};

pub use host::{
    Assignment, Expect, FileContent, FileInfo, Host, HostError, JobAnswer, JobRequest, NoHost, Place, SessionInfo,
    ToSend,
};
pub use listening::{ListenError, Recording};
pub use mind::{BoxFuture, Mind, Progress};
pub use models::{AwsAccess, ModelError, SET_MODEL_COMMAND, Secret, price_of, sees};
pub use prompt::{PRIVATE_FILES, PROMPT_FILES, PromptPart, PromptReport};
pub use skills::{BrokenSkill, Manifest, Skill, SkillStatus, Skills, SkillsError, in_force};
pub use tools::{Tool, ToolContext, Toolbox};
pub use workspace::{TEMPLATES, Template, Workspace, WorkspaceFile, default_workspace};

/// The media type of a picture that models and browsers show, by its bytes.
pub fn picture_type(bytes: &[u8]) -> Option<&'static str> {
    tools::picture::sniff(bytes)
}

/// What an [`Agent`] may reach, and how patient it is.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Model servers on private addresses may be called (one on the same machine or LAN): for `lowtide dev`.
    pub private_models: bool,
    /// `host:port` pairs that `web_fetch` may reach although they are private (an intranet wiki). A host
    /// that is named here is reached at its named ports only. Empty in the cloud.
    pub fetch_allow: Vec<String>,
    /// The whole of one [`Mind::answer`], its retries included.
    pub model_timeout: Duration,
    /// Further attempts after the first one.
    pub model_retries: u32,
    /// What Amazon Bedrock is called with for bots that have no key of it. `None`: they cannot use it.
    pub aws: Option<AwsAccess>,
}

impl Default for AgentConfig {
    fn default() -> AgentConfig {
        AgentConfig {
            private_models: false,
            fetch_allow: vec![],
            model_timeout: Duration::from_secs(120),
            model_retries: 2,
            aws: None,
        }
    }
}

/// Why an [`Agent`] could not be made: the machine, not a bot, is at fault.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("the HTTP client could not be built: {0}")]
    Client(#[from] reqwest::Error),
    #[error(transparent)]
    FetchAllow(#[from] egress::BadAllow),
}

/// Asks models and runs tools. One per process: its HTTP clients are built once.
#[derive(Debug)]
pub struct Agent {
    models: models::Models,
    toolbox: Toolbox,
    ears: listening::Ears,
}

/// A bot's credentials, opened.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Model providers' keys, by the provider's name.
    pub providers: BTreeMap<String, Secret>,
    pub search: Option<Secret>,
    pub transcription: Option<Secret>,
    /// Tokens of MCP servers, by the server's name.
    pub mcp: BTreeMap<String, Secret>,
}

static NO_SECRETS: Secrets =
    Secrets { providers: BTreeMap::new(), search: None, transcription: None, mcp: BTreeMap::new() };

static NO_SKILLS: Skills = Skills::NONE;

static NO_ABILITIES: std::sync::LazyLock<Abilities> = std::sync::LazyLock::new(Abilities::default);

/// What the agent has to know of a bot.
#[derive(Clone, Copy, Debug)]
pub struct BotView<'a> {
    /// Which bot fails to reach its models is remembered by it. `None` counts as one more bot.
    pub id: Option<BotId>,
    pub name: &'a str,
    /// IANA name. One that is not known counts as UTC.
    pub time_zone: &'a str,
    /// `provider/model`; `None` is the built-in demo. See [`domain::ModelSettings::model`].
    pub model: Option<&'a str>,
    /// Replaces the provider's own base URL.
    pub base_url: Option<&'a str>,
    /// Replaces the provider's own protocol.
    pub api: Option<ModelApi>,
    pub api_key: Option<&'a Secret>,
    /// The bot's own model, which comes before the fallbacks where its session chose another one.
    pub own: Option<&'a FallbackModel>,
    /// The bot's own model and its key, which is that of all models of the provider.
    pub own_key: Option<(&'a str, &'a Secret)>,
    /// Asked in this order when the model does not answer.
    pub fallbacks: &'a [FallbackModel],
    /// Looks at the pictures that the tool `image` brings. `None`: the model sees them itself, if it can.
    pub image_model: Option<&'a ImageModel>,
    /// `None`: as the provider sees fit.
    pub thinking: Option<Thinking>,
    pub abilities: &'a Abilities,
    pub secrets: &'a Secrets,
    pub skills: &'a Skills,
    /// What the model costs. `None`: what [`price_of`] knows of it.
    pub price: Option<Price>,
    /// How many tokens the model reads at most. `None`: what is known of it.
    pub context_window: Option<u64>,
    /// Whether each call is paid from a budget: the length of answers is bounded then.
    pub metered: bool,
}

impl Default for BotView<'_> {
    fn default() -> Self {
        BotView {
            id: None,
            name: "",
            time_zone: "",
            model: None,
            base_url: None,
            api: None,
            api_key: None,
            own: None,
            own_key: None,
            fallbacks: &[],
            image_model: None,
            thinking: None,
            abilities: &NO_ABILITIES,
            secrets: &NO_SECRETS,
            skills: &NO_SKILLS,
            price: None,
            context_window: None,
            metered: false,
        }
    }
}

/// What the model is asked with.
#[derive(Clone, Copy)]
pub struct ModelRequest<'a> {
    pub bot: BotView<'a>,
    /// What kind of chat the answer goes to: in groups the model is told who speaks.
    pub chat: ChatKind,
    pub workspace: &'a Workspace,
    /// The end of the session's log, oldest first. It may begin anywhere.
    pub entries: &'a [Entry],
    /// What it is asked for: the turn's next step, or a summary.
    pub question: &'a Question,
    /// Where pictures are read from.
    pub host: &'a dyn Host,
    /// Who is told the answer while it comes.
    pub progress: Option<&'a dyn Progress>,
    pub now: Timestamp,
}

impl Agent {
    /// Builds the HTTP clients. The process must have installed a rustls crypto provider before.
    pub fn new(config: AgentConfig) -> Result<Agent, AgentError> {
        Ok(Agent {
            toolbox: Toolbox::new(&config.fetch_allow, config.private_models)?,
            models: models::Models::new(&config)?,
            ears: listening::Ears::new(&config)?,
        })
    }
}
