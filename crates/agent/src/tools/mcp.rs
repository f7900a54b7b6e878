//! Tools of others: servers of the Model Context Protocol, over streamable HTTP.
//!
//! A server is a stranger. What it sends is bounded in time and size, its schemas are put into the form that models
//! take, and it reaches nothing but what it was sent: a call's arguments and the token that its owner gave for it.

mod content;
mod session;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::abilities::McpServer;
use reqwest::Client;
use reqwest::redirect::Policy;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout};
use url::Url;

use crate::egress::{self, Guard};
use crate::{AgentError, BotView};
use content::{clean_schema, read_result};
use session::Session;

/// How long a list of tools is trusted.
const LIST_LIFE: Duration = Duration::from_secs(300);
/// How long a tool's name may be for a model.
const MAX_NAME: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Limits {
    /// To connect, and to list all tools.
    list: Duration,
    /// One call, once connected.
    call: Duration,
}

/// A tool of a server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct McpTool {
    /// The bot's name for the server.
    pub(crate) server: String,
    /// The server's name for the tool.
    pub(crate) name: String,
    pub(crate) description: String,
    /// JSON schema of an object.
    pub(crate) parameters: Value,
}

/// What a bot's servers offer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Offers {
    pub(crate) tools: Vec<McpTool>,
    /// The servers that did not answer, and why.
    pub(crate) failed: Vec<(String, String)>,
}

/// What a tool answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct McpResult {
    pub(crate) text: String,
    /// Media types and contents.
    pub(crate) images: Vec<(String, Bytes)>,
    /// The tool itself says that it failed; `text` says why.
    pub(crate) is_error: bool,
}

/// Whose list it is: the server's URL, and the token, because servers offer by who asks.
type ListKey = (String, String);

/// All servers of all bots, over one guarded HTTP client. One per process.
pub(crate) struct Mcp {
    guard: Guard,
    private_servers: bool,
    client: Client,
    limits: Limits,
    lists: Mutex<HashMap<ListKey, (Instant, Vec<McpTool>)>>,
}

/// Says nothing of the lists: their keys are secret.
impl fmt::Debug for Mcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mcp").field("private_servers", &self.private_servers).finish_non_exhaustive()
    }
}

impl Mcp {
    /// `private_servers`: servers on private addresses may be called too.
    pub(crate) fn new(guard: Guard, private_servers: bool) -> Result<Mcp, AgentError> {
        Mcp::with_limits(
            guard,
            private_servers,
            Limits { list: Duration::from_secs(10), call: Duration::from_secs(60) },
        )
    }

    fn with_limits(guard: Guard, private_servers: bool, limits: Limits) -> Result<Mcp, AgentError> {
        let client = match private_servers {
            true => egress::unguarded_client(Policy::none())?,
            false => guard.client(Policy::none())?,
        };
        Ok(Mcp { guard, private_servers, client, limits, lists: Mutex::default() })
    }

    /// What a bot's servers offer, in the order of the servers' names. A server that does not answer is left out and
    /// named with the reason. Lists are kept for five minutes.
    pub(crate) async fn tools(&self, bot: &BotView<'_>) -> Offers {
        let asked = bot.abilities.mcp.iter().map(async |(name, server)| {
            let token = token(bot, name);
            (name, self.list(name, server, token).await.map_err(|error| without(&error, token)))
        });
        let mut offers = Offers::default();
        for (name, list) in futures::future::join_all(asked).await {
            match list {
                Ok(tools) => offers.tools.extend(tools),
                Err(error) => offers.failed.push((name.clone(), error)),
            }
        }
        offers
    }

    /// Calls a tool by the server's name for it. An error is for the model to read.
    pub(crate) async fn call(
        &self,
        bot: &BotView<'_>,
        server: &str,
        tool: &str,
        arguments: Map<String, Value>,
    ) -> Result<McpResult, String> {
        let settings = bot.abilities.mcp.get(server).ok_or_else(|| format!("There is no MCP server `{server}`."))?;
        let token = token(bot, server);
        let called = async {
            let session = self.open(settings, token).await?;
            let answer = timeout(self.limits.call, session.call(tool, arguments))
                .await
                .unwrap_or_else(|_| Err(too_slow(self.limits.call)));
            session.close().await;
            read_result(&answer?)
        };
        called.await.map_err(|error: String| {
            format!("The MCP server `{server}` could not run `{tool}`: {}.", without(&error, token))
        })
    }

    async fn list(&self, name: &str, server: &McpServer, token: Option<&str>) -> Result<Vec<McpTool>, String> {
        let key = (server.url.clone(), token.unwrap_or_default().to_owned());
        // The same server may have another name with another bot.
        let named = |tools: Vec<McpTool>| -> Vec<McpTool> {
            tools.into_iter().map(|tool| McpTool { server: name.to_owned(), ..tool }).collect()
        };
        if let Some(tools) = self.kept(&key) {
            return Ok(named(tools));
        }
        let listed = async {
            let session = self.open(server, token).await?;
            let tools = session.list().await;
            session.close().await;
            tools
        };
        let tools = timeout(self.limits.list, listed).await.unwrap_or_else(|_| Err(too_slow(self.limits.list)))?;
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        lists.retain(|_, (at, _)| at.elapsed() < LIST_LIFE);
        lists.insert(key, (Instant::now(), tools.clone()));
        Ok(named(tools))
    }

    fn kept(&self, key: &ListKey) -> Option<Vec<McpTool>> {
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        lists.get(key).filter(|(at, _)| at.elapsed() < LIST_LIFE).map(|(_, tools)| tools.clone())
    }

    async fn open(&self, server: &McpServer, token: Option<&str>) -> Result<Session<'_>, String> {
        let url = Url::parse(&server.url)
            .map_err(|error| format!("its URL is not one ({error}); the owner has to set it"))?;
        if !self.private_servers {
            self.guard.check_url(&url).map_err(|refused| refused.to_string())?;
        }
        let opened = Session::open(&self.client, url, token.map(str::to_owned));
        timeout(self.limits.list, opened).await.unwrap_or_else(|_| Err(too_slow(self.limits.list)))
    }
}

fn token<'a>(bot: &BotView<'a>, server: &str) -> Option<&'a str> {
    bot.secrets.mcp.get(server).map(|secret| secret.expose()).filter(|token| !token.is_empty())
}

/// An error without the token: servers repeat what they are sent.
fn without(error: &str, token: Option<&str>) -> String {
    token.map_or_else(|| error.to_owned(), |token| error.replace(token, "…"))
}

fn too_slow(limit: Duration) -> String {
    format!("it took longer than {} s", limit.as_secs_f32())
}

/// `mcp_<server>_<tool>` as models take it: at most 64 of `[a-zA-Z0-9_-]`. A name that had to be changed ends in a
/// digest of the whole, so that it stays one tool's name, whatever else the server offers.
pub(crate) fn model_name(server: &str, tool: &str) -> String {
    let whole = format!("mcp_{server}_{tool}");
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if whole.len() <= MAX_NAME && whole.chars().all(fits) {
        return whole;
    }
    let digest = format!("_{:08x}", fnv1a(&whole));
    let cleaned = whole.chars().map(|c| if fits(c) { c } else { '_' });
    cleaned.take(MAX_NAME - digest.len()).chain(digest.chars()).collect()
}

/// The tool that a model's name for it means.
pub(crate) fn by_model_name<'t>(tools: &'t [McpTool], name: &str) -> Option<&'t McpTool> {
    tools.iter().find(|tool| model_name(&tool.server, &tool.name) == name)
}

/// FNV-1a: the same in every build, because sessions remember the names.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests;
