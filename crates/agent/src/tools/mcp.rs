//! Tools of others: servers of the Model Context Protocol, over streamable HTTP.
//!
//! A server is a stranger. What it sends is bounded in time and size, its schemas are put into the form that models
//! take, and it reaches nothing but what it was sent: a call's arguments and the token that its owner gave for it.
//!
//! A turn has one session with each of its servers, from the first thing that it asks it to its own end.

mod content;
mod session;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::TurnId;
use domain::abilities::McpServer;
use reqwest::Client;
use reqwest::redirect::Policy;
use serde_json::{Map, Value};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};
use url::Url;

use crate::{AgentError, BotView};
use content::{clean_schema, read_result};
use egress::Guard;
use session::{FORGOTTEN, Session};

/// How long a list of tools is trusted.
const LIST_LIFE: Duration = Duration::from_secs(300);
/// How long a session may be held: no turn of one worker lasts longer.
const SESSION_LIFE: Duration = Duration::from_secs(900);
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
    sessions: Mutex<HashMap<(TurnId, ListKey), Held>>,
}

/// A session of a turn, begun by the first who needs it.
#[derive(Clone)]
struct Held {
    since: Instant,
    session: Arc<OnceCell<Arc<Session>>>,
}

/// Says nothing of the lists and sessions: their keys are secret.
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
        Ok(Mcp { guard, private_servers, client, limits, lists: Mutex::default(), sessions: Mutex::default() })
    }

    /// What a bot's servers offer, in the order of the servers' names. A server that does not answer is left out and
    /// named with the reason. Lists are kept for five minutes.
    pub(crate) async fn tools(&self, bot: &BotView<'_>, turn: TurnId) -> Offers {
        let asked = bot.abilities.mcp.iter().map(async |(name, server)| {
            let token = token(bot, name);
            (name, self.list(turn, name, server, token).await.map_err(|error| without(&error, token)))
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
        turn: TurnId,
        server: &str,
        tool: &str,
        arguments: Map<String, Value>,
    ) -> Result<McpResult, String> {
        let settings = bot.abilities.mcp.get(server).ok_or_else(|| format!("There is no MCP server `{server}`."))?;
        let token = token(bot, server);
        let limit = self.limits.call;
        let ask = |session: Arc<Session>| {
            let arguments = arguments.clone();
            async move {
                let answer = timeout(limit, session.call(tool, arguments)).await;
                answer.unwrap_or_else(|_| Err(too_slow(limit)))
            }
        };
        let called = async { read_result(&self.in_session(turn, settings, token, ask).await?) };
        called.await.map_err(|error: String| {
            format!("The MCP server `{server}` could not run `{tool}`: {}.", without(&error, token))
        })
    }

    /// Ends the sessions of a turn that has ended.
    pub(crate) async fn turn_ended(&self, turn: TurnId) {
        let ended: Vec<Held> = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.extract_if(|(of, _), _| *of == turn).map(|(_, held)| held).collect()
        };
        let close = async |held: &Held| {
            if let Some(session) = held.session.get() {
                session.close().await;
            }
        };
        futures::future::join_all(ended.iter().map(close)).await;
    }

    /// Where the turn's session with a server is kept.
    fn held(&self, turn: TurnId, server: &McpServer, token: Option<&str>) -> Arc<OnceCell<Arc<Session>>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        // Of turns that went on elsewhere, or whose worker was stopped; their servers forget them, too.
        sessions.retain(|_, held| held.since.elapsed() < SESSION_LIFE);
        let held = || Held { since: Instant::now(), session: Arc::default() };
        sessions.entry((turn, list_key(server, token))).or_insert_with(held).session.clone()
    }

    /// Forgets a session that its server has forgotten, unless a new one has taken its place.
    fn let_go(&self, turn: TurnId, server: &McpServer, token: Option<&str>, forgotten: &Arc<OnceCell<Arc<Session>>>) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (turn, list_key(server, token));
        if sessions.get(&key).is_some_and(|held| Arc::ptr_eq(&held.session, forgotten)) {
            sessions.remove(&key);
        }
    }

    /// Asks a server in the turn's session with it, and once more in a new one if the server has forgotten that: it has done
    /// nothing then.
    async fn in_session<T, F: Future<Output = Result<T, String>>>(
        &self,
        turn: TurnId,
        server: &McpServer,
        token: Option<&str>,
        ask: impl Fn(Arc<Session>) -> F,
    ) -> Result<T, String> {
        let mut may_be_forgotten = true;
        loop {
            let held = self.held(turn, server, token);
            let session = held.get_or_try_init(|| self.open(server, token)).await?;
            match ask(session.clone()).await {
                Err(error) if error == FORGOTTEN && may_be_forgotten => {
                    may_be_forgotten = false;
                    self.let_go(turn, server, token, &held);
                }
                answer => return answer,
            }
        }
    }

    async fn list(
        &self,
        turn: TurnId,
        name: &str,
        server: &McpServer,
        token: Option<&str>,
    ) -> Result<Vec<McpTool>, String> {
        let key = list_key(server, token);
        // The same server may have another name with another bot.
        let named = |tools: Vec<McpTool>| -> Vec<McpTool> {
            tools.into_iter().map(|tool| McpTool { server: name.to_owned(), ..tool }).collect()
        };
        if let Some(tools) = self.kept(&key) {
            return Ok(named(tools));
        }
        let listed = self.in_session(turn, server, token, |session: Arc<Session>| async move { session.list().await });
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

    async fn open(&self, server: &McpServer, token: Option<&str>) -> Result<Arc<Session>, String> {
        let url = Url::parse(&server.url)
            .map_err(|error| format!("its URL is not one ({error}); the owner has to set it"))?;
        if !self.private_servers {
            self.guard.check_url(&url).map_err(|refused| refused.to_string())?;
        }
        let opened = Session::open(&self.client, url, token.map(str::to_owned));
        let opened = timeout(self.limits.list, opened).await.unwrap_or_else(|_| Err(too_slow(self.limits.list)));
        opened.map(Arc::new)
    }
}

fn list_key(server: &McpServer, token: Option<&str>) -> ListKey {
    (server.url.clone(), token.unwrap_or_default().to_owned())
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
