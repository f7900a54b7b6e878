//! Slack's Web API: bots by token, and messages that are checked as Slack checks them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::lock;
use crate::loopback::Loopback;

mod socket;

/// The scopes that a token has at first.
const SCOPES: [&str; 9] = [
    "app_mentions:read",
    "channels:history",
    "chat:write",
    "commands",
    "files:read",
    "files:write",
    "groups:history",
    "im:history",
    "mpim:history",
];

/// The longest text that is taken whole, in characters.
const MAX_TEXT: usize = 40_000;

/// A message in a channel, as it looks now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackMessage {
    pub channel: String,
    pub ts: String,
    pub thread: Option<String>,
    pub text: String,
    /// Label and value of each button below it.
    pub buttons: Vec<(String, String)>,
}

/// A file that was uploaded and shown in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackFile {
    pub channel: String,
    pub name: String,
    pub bytes: Vec<u8>,
}

/// What has become of connections and envelopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketCounts {
    pub live: usize,
    /// How many there ever were.
    pub opened: usize,
    /// The most at the same time.
    pub most: usize,
    pub unacknowledged: usize,
}

#[derive(Default)]
struct Workspace {
    /// Bot user by token.
    bots: HashMap<String, String>,
    /// What all of them may do.
    scopes: Vec<String>,
    messages: Vec<SlackMessage>,
    uploads: HashMap<String, (String, Vec<u8>)>,
    files: Vec<SlackFile>,
    /// What people sent, by name.
    shared: HashMap<String, Vec<u8>>,
    /// What the next calls answer instead.
    failures: Vec<(u16, Value)>,
    counter: u64,
    base: String,
    sockets: Arc<Mutex<socket::Sockets>>,
    /// Where connections of socket mode are opened, once there is an app that has it.
    socket_url: Option<String>,
}

/// A workspace whose team is `T1`. Channels are those that begin with `C` or `D`; `CARCHIVED` is archived.
pub struct FakeSlack {
    workspace: Arc<Mutex<Workspace>>,
    server: Loopback,
}

impl FakeSlack {
    pub fn start() -> FakeSlack {
        let workspace = Arc::<Mutex<Workspace>>::default();
        let router = Router::new()
            .route("/api/{method}", post(call))
            .route("/upload/{file}", post(upload))
            .route("/files-pri/{name}", get(download))
            .with_state(workspace.clone());
        let server = Loopback::serve(router);
        lock(&workspace).base = server.url();
        lock(&workspace).scopes = SCOPES.map(str::to_owned).to_vec();
        FakeSlack { workspace, server }
    }

    /// What stands in for `https://slack.com`.
    pub fn base_url(&self) -> String {
        self.server.url()
    }

    /// Makes a bot user that a token belongs to.
    pub fn add_bot(&self, token: &str, user: &str) {
        lock(&self.workspace).bots.insert(token.to_owned(), user.to_owned());
    }

    /// Takes a scope from all tokens.
    pub fn remove_scope(&self, scope: &str) {
        lock(&self.workspace).scopes.retain(|known| known != scope);
    }

    /// Lets the next call fail once, with this status and error.
    pub fn fail_next(&self, status: u16, error: &str) {
        lock(&self.workspace).failures.push((status, json!({ "ok": false, "error": error })));
    }

    /// Makes a file that people sent, and returns its private address.
    pub fn add_file(&self, name: &str, bytes: &[u8]) -> String {
        let mut workspace = lock(&self.workspace);
        workspace.shared.insert(name.to_owned(), bytes.to_vec());
        format!("{}/files-pri/{name}", workspace.base)
    }

    /// Switches socket mode on for the app that an app-level token belongs to. There is one such app at most.
    pub fn add_app(&self, app_token: &str) {
        let mut workspace = lock(&self.workspace);
        let sockets = workspace.sockets.clone();
        lock(&sockets).app_tokens.insert(app_token.to_owned());
        workspace.socket_url.get_or_insert_with(|| format!("ws://{}/link", socket::serve(sockets)));
    }

    /// Revokes an app-level token. Connections that there are stay.
    pub fn remove_app(&self, app_token: &str) {
        lock(&self.sockets()).app_tokens.remove(app_token);
    }

    fn sockets(&self) -> Arc<Mutex<socket::Sockets>> {
        lock(&self.workspace).sockets.clone()
    }

    /// Sends an envelope of socket mode: `events_api`, `interactive` or `slash_commands`.
    pub fn send_envelope(&self, kind: &str, payload: &Value) {
        lock(&self.sockets()).send(kind, payload);
    }

    /// Says to all connections that they end soon, and ends them after a second.
    pub fn renew_sockets(&self) {
        socket::renew(&self.sockets());
    }

    /// Ends all connections without a word.
    pub fn cut_sockets(&self) {
        socket::cut(&self.sockets());
    }

    pub fn socket_counts(&self) -> SocketCounts {
        lock(&self.sockets()).counts()
    }

    pub fn messages(&self) -> Vec<SlackMessage> {
        lock(&self.workspace).messages.clone()
    }

    pub fn files(&self) -> Vec<SlackFile> {
        lock(&self.workspace).files.clone()
    }
}

type Shared = State<Arc<Mutex<Workspace>>>;

async fn call(State(shared): Shared, Path(method): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let mut workspace = lock(&shared);
    if let Some((status, error)) = workspace.failures.pop() {
        let status = StatusCode::from_u16(status).expect("a status");
        return (status, [("retry-after", "1")], Json(error)).into_response();
    }
    let token = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if method == "apps.connections.open" {
        let is_known = token.is_some_and(|token| lock(&workspace.sockets).app_tokens.contains(token));
        return match &workspace.socket_url {
            Some(url) if is_known => Json(json!({ "ok": true, "url": url })).into_response(),
            _ => no("invalid_auth"),
        };
    }
    let Some(user) = token.and_then(|token| workspace.bots.get(token).cloned()) else { return no("invalid_auth") };
    let params: Value = if method == "files.getUploadURLExternal" {
        let text = String::from_utf8(body.to_vec()).expect("a form");
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<serde_json::Map<_, _>>().into()
    } else {
        serde_json::from_slice(&body).expect("Slack is sent JSON")
    };
    workspace.answer(&method, &user, &params)
}

async fn upload(State(shared): Shared, Path(file): Path<String>, body: Bytes) -> StatusCode {
    match lock(&shared).uploads.get_mut(&file) {
        Some((_, bytes)) => {
            *bytes = body.to_vec();
            StatusCode::OK
        }
        None => StatusCode::NOT_FOUND,
    }
}

/// Slack answers who has no token with a page to sign in.
async fn download(State(shared): Shared, Path(name): Path<String>, headers: HeaderMap) -> Result<Vec<u8>, StatusCode> {
    let workspace = lock(&shared);
    let token = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if token.is_none_or(|token| !workspace.bots.contains_key(token)) {
        return Ok(b"<html>Sign in</html>".to_vec());
    }
    workspace.shared.get(&name).cloned().ok_or(StatusCode::NOT_FOUND)
}

fn no(error: &str) -> Response {
    Json(json!({ "ok": false, "error": error })).into_response()
}

fn text(params: &Value, name: &str) -> String {
    params[name].as_str().unwrap_or_default().to_owned()
}

impl Workspace {
    fn answer(&mut self, method: &str, user: &str, params: &Value) -> Response {
        match method {
            "auth.test" => {
                let me = json!({ "ok": true, "user": "heron", "user_id": user, "team_id": "T1", "bot_id": "B1" });
                ([("x-oauth-scopes", self.scopes.join(","))], Json(me)).into_response()
            }
            "chat.postMessage" => self.post(params),
            "chat.update" => {
                let (channel, ts) = (text(params, "channel"), text(params, "ts"));
                let found = self.messages.iter_mut().find(|message| message.channel == channel && message.ts == ts);
                let Some(message) = found else { return no("message_not_found") };
                (message.text, message.buttons) = (text(params, "text"), buttons(params));
                Json(json!({ "ok": true, "ts": ts })).into_response()
            }
            "chat.delete" => {
                let ts = text(params, "ts");
                self.messages.retain(|message| message.ts != ts);
                Json(json!({ "ok": true, "ts": ts })).into_response()
            }
            "files.getUploadURLExternal" => {
                self.counter += 1;
                let id = format!("F{}", self.counter);
                self.uploads.insert(id.clone(), (text(params, "filename"), vec![]));
                Json(json!({ "ok": true, "upload_url": format!("{}/upload/{id}", self.base), "file_id": id }))
                    .into_response()
            }
            "files.completeUploadExternal" => {
                for file in params["files"].as_array().expect("a list of files") {
                    let Some((name, bytes)) = self.uploads.remove(&text(file, "id")) else {
                        return no("file_not_found");
                    };
                    self.files.push(SlackFile { channel: text(params, "channel_id"), name, bytes });
                }
                Json(json!({ "ok": true })).into_response()
            }
            other => panic!("Slack has no method {other} here"),
        }
    }

    fn post(&mut self, params: &Value) -> Response {
        let (channel, said) = (text(params, "channel"), text(params, "text"));
        if channel == "CARCHIVED" {
            return no("is_archived");
        }
        if !channel.starts_with(['C', 'D']) {
            return no("channel_not_found");
        }
        if said.trim().is_empty() {
            return no("no_text");
        }
        assert!(said.chars().count() <= MAX_TEXT, "Slack would cut the text");
        self.counter += 1;
        let ts = format!("1700000000.{:06}", self.counter);
        let thread = params["thread_ts"].as_str().map(str::to_owned);
        self.messages.push(SlackMessage { channel, ts: ts.clone(), thread, text: said, buttons: buttons(params) });
        Json(json!({ "ok": true, "ts": ts })).into_response()
    }
}

fn buttons(params: &Value) -> Vec<(String, String)> {
    let blocks = params["attachments"][0]["blocks"].as_array().into_iter().flatten();
    let elements = blocks.flat_map(|block| block["elements"].as_array().into_iter().flatten());
    elements.map(|button| (text(&button["text"], "text"), text(button, "value"))).collect()
}
