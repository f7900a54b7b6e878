//! Synapse, the Matrix homeserver, with `SQLite` and without federation.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Process, free_port, tools};

/// How long a person waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running homeserver named `localhost`.
pub struct Synapse {
    url: String,
    http: reqwest::Client,
    _process: Process,
}

impl Synapse {
    /// # Panics
    ///
    /// Synapse is not installed, or does not start.
    pub async fn start() -> Synapse {
        // Another test may have installed it already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let python = tools().join("synapse/bin/python");
        assert!(
            python.exists(),
            "Synapse is not installed: run `cargo xtask tools`, or the tests by `cargo xtask test`"
        );
        let dir = tempfile::tempdir().expect("a directory for the homeserver");
        let port = free_port();
        let config = config(port, &dir.path().display().to_string());
        fs::write(dir.path().join("homeserver.yaml"), config.to_string()).expect("the homeserver's settings");
        fs::write(dir.path().join("signing.key"), format!("ed25519 a_test {}\n", "A".repeat(43))).expect("its key");
        let mut command = Command::new(python);
        command.args(["-m", "synapse.app.homeserver", "--config-path", "homeserver.yaml"]);
        let mut process = Process::start(command, dir);
        let (url, http) = (format!("http://127.0.0.1:{port}"), reqwest::Client::new());
        let versions = format!("{url}/_matrix/client/versions");
        process
            .wait_until(|| async { http.get(&versions).send().await.is_ok_and(|it| it.status().is_success()) })
            .await;
        Synapse { url, http, _process: process }
    }

    /// The base URL for clients.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Registers somebody.
    pub async fn person(&self, name: &str) -> MatrixPerson {
        let person = MatrixPerson {
            url: self.url.clone(),
            http: self.http.clone(),
            user: format!("@{name}:localhost"),
            token: String::new(),
        };
        let auth = json!({ "type": "m.login.dummy" });
        let body = json!({ "username": name, "password": "long-enough", "auth": auth });
        let answer = person.call(Method::POST, "v3/register", Some(body)).await;
        let token = answer["access_token"].as_str().expect("an access token").to_owned();
        MatrixPerson { token, ..person }
    }
}

/// Synapse reads YAML, of which JSON is a part.
fn config(port: u16, dir: &str) -> Value {
    let much = json!({ "per_second": 10_000, "burst_count": 10_000 });
    let listener = json!({
        "port": port, "bind_addresses": ["127.0.0.1"], "type": "http", "tls": false,
        "resources": [{ "names": ["client", "media"], "compress": false }],
    });
    json!({
        "server_name": "localhost",
        "listeners": [listener],
        "database": { "name": "sqlite3", "args": { "database": format!("{dir}/homeserver.db") } },
        "media_store_path": format!("{dir}/media"),
        "signing_key_path": format!("{dir}/signing.key"),
        "pid_file": format!("{dir}/homeserver.pid"),
        "macaroon_secret_key": "a test's",
        "form_secret": "a test's",
        "enable_registration": true,
        "enable_registration_without_verification": true,
        "report_stats": false,
        "trusted_key_servers": [],
        "suppress_key_server_warning": true,
        "rc_message": much, "rc_registration": much, "rc_joins": { "local": much, "remote": much },
        "rc_joins_per_room": much, "rc_room_creation": much, "rc_media_create": much,
        "rc_invites": { "per_room": much, "per_user": much, "per_issuer": much },
        "rc_login": { "address": much, "account": much, "failed_attempts": much },
    })
}

/// Somebody with an account, and a client that says what it is told.
#[derive(Clone)]
pub struct MatrixPerson {
    url: String,
    http: reqwest::Client,
    /// `@name:localhost`
    pub user: String,
    pub token: String,
}

impl MatrixPerson {
    /// Calls the client API below `/_matrix/client`.
    ///
    /// # Panics
    ///
    /// The homeserver refuses.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.try_call(method, path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Like [`call`](Self::call), with the status instead of a panic.
    pub async fn try_call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.http.request(method, format!("{}/_matrix/client/{path}", self.url));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.timeout(PATIENCE).send().await.expect("the homeserver answers");
        let status = answer.status().as_u16();
        (status, answer.json().await.expect("the homeserver answers in JSON"))
    }

    /// Makes a room and invites others to it.
    pub async fn room(&self, invited: &[&str], is_direct: bool) -> String {
        let body = json!({ "preset": "private_chat", "invite": invited, "is_direct": is_direct });
        let answer = self.call(Method::POST, "v3/createRoom", Some(body)).await;
        answer["room_id"].as_str().expect("a room").to_owned()
    }

    pub async fn join(&self, room: &str) {
        self.call(Method::POST, &format!("v3/rooms/{}/join", encoded(room)), Some(json!({}))).await;
    }

    /// Sends an event and returns its id.
    pub async fn send(&self, room: &str, kind: &str, content: Value) -> String {
        let transaction = next_transaction();
        let path = format!("v3/rooms/{}/send/{kind}/{transaction}", encoded(room));
        let answer = self.call(Method::PUT, &path, Some(content)).await;
        answer["event_id"].as_str().expect("an event").to_owned()
    }

    /// Says something.
    pub async fn say(&self, room: &str, text: &str) -> String {
        self.send(room, "m.room.message", json!({ "msgtype": "m.text", "body": text })).await
    }

    /// The last events of a room, oldest first.
    pub async fn events(&self, room: &str) -> Vec<Value> {
        let path = format!("v3/rooms/{}/messages?dir=b&limit=100", encoded(room));
        let mut events = self.call(Method::GET, &path, None).await["chunk"].as_array().cloned().unwrap_or_default();
        events.reverse();
        events
    }

    /// Waits for an event that `is_it`.
    pub async fn wait_for(&self, room: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let mut since = String::new();
        let waits = async {
            loop {
                if let Some(found) = self.events(room).await.into_iter().find(&is_it) {
                    return found;
                }
                let path = format!("v3/sync?timeout=5000{since}");
                let next = self.call(Method::GET, &path, None).await["next_batch"].as_str().map(encoded);
                since = format!("&since={}", next.expect("where the sync ended"));
            }
        };
        tokio::time::timeout(PATIENCE, waits).await.expect("what was waited for happens in time")
    }

    /// Who is in a room, by `membership` (`join`, `invite`, `leave`): the users.
    pub async fn members(&self, room: &str, membership: &str) -> Vec<String> {
        let path = format!("v3/rooms/{}/members?membership={membership}", encoded(room));
        let answer = self.call(Method::GET, &path, None).await;
        let events = answer["chunk"].as_array().cloned().unwrap_or_default();
        events.iter().filter_map(|event| event["state_key"].as_str().map(str::to_owned)).collect()
    }
}

/// A part of a path.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

/// A name for what is sent that no other has.
fn next_transaction() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
