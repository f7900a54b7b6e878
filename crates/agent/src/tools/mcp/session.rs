//! The protocol: JSON-RPC by POST, answered with JSON or with server-sent events.
//! <https://modelcontextprotocol.io/specification/2025-06-18/basic/transports>

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use url::Url;

use super::{McpTool, clean_schema};
use crate::transcript::cut;

/// The version that is asked for. The server may answer with another one, which is then used.
const VERSION: &str = "2025-06-18";
const VERSION_HEADER: &str = "mcp-protocol-version";
const SESSION_HEADER: &str = "mcp-session-id";
/// The largest answer, in bytes.
const MAX_ANSWER: usize = 1_000_000;
/// The same for a call, which may bring a picture of 5 MB in base64.
const MAX_CALL_ANSWER: usize = 8_000_000;
const MAX_TOOLS: usize = 100;
/// In characters.
const MAX_DESCRIPTION: usize = 1_000;
/// How much of a server's own words an error repeats, in characters.
const MAX_MESSAGE: usize = 500;
/// How long taking leave may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A conversation with a server, begun.
pub(super) struct Session {
    client: Client,
    url: Url,
    token: Option<String>,
    version: String,
    id: Option<String>,
    next: AtomicU64,
}

/// The error of what was refused because the server knows the session no more. It has done nothing then.
pub(super) const FORGOTTEN: &str = "it has forgotten the session";

impl Session {
    pub(super) async fn open(client: &Client, url: Url, token: Option<String>) -> Result<Session, String> {
        let mut session = Session {
            client: client.clone(),
            url,
            token,
            version: VERSION.to_owned(),
            id: None,
            next: AtomicU64::new(1),
        };
        let hello = json!({
            "protocolVersion": VERSION,
            "capabilities": {},
            "clientInfo": { "name": "lowtide", "version": env!("CARGO_PKG_VERSION") },
        });
        let (welcome, id) = session.ask("initialize", hello, MAX_ANSWER).await?;
        session.id = id;
        if let Some(version) = welcome["protocolVersion"].as_str() {
            version.clone_into(&mut session.version);
        }
        session.post(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await?;
        Ok(session)
    }

    /// The server's tools, the first 100 of them. A name that comes twice counts once.
    pub(super) async fn list(&self) -> Result<Vec<McpTool>, String> {
        let mut tools = Vec::new();
        let mut names = BTreeSet::new();
        let mut cursors = BTreeSet::new();
        let mut params = json!({});
        loop {
            let (page, _) = self.ask("tools/list", params, MAX_ANSWER).await?;
            let listed = page["tools"].as_array().ok_or("its list of tools is none")?;
            for tool in listed.iter().filter_map(read_tool) {
                if tools.len() < MAX_TOOLS && names.insert(tool.name.clone()) {
                    tools.push(tool);
                }
            }
            match page["nextCursor"].as_str() {
                // A cursor that comes again would lead round in a circle.
                Some(cursor) if tools.len() < MAX_TOOLS && cursors.insert(cursor.to_owned()) => {
                    params = json!({ "cursor": cursor });
                }
                _ => return Ok(tools),
            }
        }
    }

    pub(super) async fn call(&self, tool: &str, arguments: Map<String, Value>) -> Result<Value, String> {
        let params = json!({ "name": tool, "arguments": arguments });
        Ok(self.ask("tools/call", params, MAX_CALL_ANSWER).await?.0)
    }

    /// Lets the server forget the session. It would do so by itself some day, so failing is nothing to tell.
    pub(super) async fn close(&self) {
        if self.id.is_some() {
            let _ = timeout(CLOSE_TIMEOUT, self.prepare(self.client.delete(self.url.clone())).send()).await;
        }
    }

    /// Asks, and gives the result and the session's id, if the server named one.
    async fn ask(&self, method: &str, params: Value, limit: usize) -> Result<(Value, Option<String>), String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let question = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let response = self.post(&question).await?;
        let session = response.headers().get(SESSION_HEADER).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let mut answer = read_answer(response, id, limit).await?;
        if let Some(error) = answer.get("error") {
            let message = error["message"].as_str().unwrap_or("without saying why");
            return Err(format!("it refused `{method}`: {}", cut(message, MAX_MESSAGE).0));
        }
        Ok((answer["result"].take(), session))
    }

    async fn post(&self, message: &Value) -> Result<Response, String> {
        let request = self.client.post(self.url.clone()).header(ACCEPT, "application/json, text/event-stream");
        let response = self.prepare(request).json(message).send().await.map_err(|error| egress::describe(&error))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status if matches!(status.as_u16(), 401 | 403) => {
                Err(format!("it answered with status {status}; the owner has to give it a token that it takes"))
            }
            StatusCode::NOT_FOUND if self.id.is_some() => Err(FORGOTTEN.to_owned()),
            status if status.is_redirection() => Err(format!(
                "it answered with status {status}; redirects are not followed, the owner has to set its final URL"
            )),
            status => Err(format!("it answered with status {status}")),
        }
    }

    fn prepare(&self, request: RequestBuilder) -> RequestBuilder {
        let mut request = request.header(VERSION_HEADER, &self.version);
        if let Some(id) = &self.id {
            request = request.header(SESSION_HEADER, id);
        }
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

fn read_tool(tool: &Value) -> Option<McpTool> {
    let description = tool["description"].as_str().or(tool["title"].as_str()).unwrap_or_default();
    Some(McpTool {
        server: String::new(),
        name: tool["name"].as_str().filter(|name| !name.is_empty())?.to_owned(),
        description: cut(description, MAX_DESCRIPTION).0.to_owned(),
        parameters: clean_schema(tool.get("inputSchema")),
    })
}

/// The answer to the question `id`: all of a JSON body, or one of the events of a stream, which may stay open.
async fn read_answer(mut response: Response, id: u64, limit: usize) -> Result<Value, String> {
    let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_stream = media_type.to_ascii_lowercase().starts_with("text/event-stream");
    let (mut read, mut line, mut data) = (0, Vec::new(), String::new());
    while let Some(chunk) = response.chunk().await.map_err(|error| egress::describe(&error))? {
        read += chunk.len();
        if read > limit {
            return Err(format!("its answer is larger than {} MB", limit / 1_000_000));
        }
        if !is_stream {
            line.extend_from_slice(&chunk);
            continue;
        }
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(piece);
            if !line.ends_with(b"\n") {
                continue;
            }
            let whole = std::mem::take(&mut line);
            let whole = String::from_utf8_lossy(&whole);
            let whole = whole.trim_end_matches(['\r', '\n']);
            if let Some(part) = whole.strip_prefix("data:") {
                data.push_str(part.strip_prefix(' ').unwrap_or(part));
                data.push('\n');
            } else if whole.is_empty() {
                // Other events are the server's own messages: progress, logs, requests that we never offered to serve.
                let event = std::mem::take(&mut data);
                if let Some(answer) = answer_to(id, event.as_bytes()) {
                    return Ok(answer);
                }
            }
        }
    }
    let rest = if is_stream { data.as_bytes() } else { &line };
    answer_to(id, rest).ok_or_else(|| "its answer is not one of the Model Context Protocol".to_owned())
}

fn answer_to(id: u64, json: &[u8]) -> Option<Value> {
    let message: Value = serde_json::from_slice(json).ok()?;
    (message["id"] == id && (message.get("result").is_some() || message.get("error").is_some())).then_some(message)
}
