//! `lowtide dev` as a process of its own, that a test can talk to and kill.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command as AsyncCommand};

/// The `lowtide` binary, built once from this workspace.
pub(crate) fn lowtide() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // With the features that all members ask for together: what the tests were built with is not built again.
        let arguments = ["build", "--quiet", "--workspace", "--bin", "lowtide"];
        let status = Command::new(env!("CARGO")).args(arguments).status().unwrap();
        assert!(status.success(), "the lowtide binary does not build");
        let test = std::env::current_exe().unwrap();
        test.parent().and_then(Path::parent).unwrap().join("lowtide")
    })
}

/// A running `lowtide dev`. Killed when dropped.
pub(crate) struct DevProcess {
    child: Child,
    pub(crate) url: String,
    pub(crate) key: String,
    http: reqwest::Client,
}

impl DevProcess {
    /// Starts it over `state_dir` and waits until it serves.
    pub(crate) async fn start(state_dir: &Path, env: &[(&str, &str)]) -> DevProcess {
        runtime::install_crypto();
        let mut child = AsyncCommand::new(lowtide())
            .args(["dev", "--listen", "127.0.0.1:0", "--state-dir"])
            .arg(state_dir)
            .env("LOWTIDE_LOG", "warn")
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let url = started(&mut child, "Lowtide is running at ").await;
        let client: Value = serde_json::from_slice(&std::fs::read(state_dir.join("client.json")).unwrap()).unwrap();
        let key = client["key"].as_str().unwrap().to_owned();
        DevProcess { child, url, key, http: reqwest::Client::new() }
    }

    /// `kill -9`.
    pub(crate) async fn kill(mut self) {
        self.child.start_kill().unwrap();
        self.child.wait().await.unwrap();
    }

    /// Asks it to stop, as Ctrl-C does, and waits for its end.
    pub(crate) async fn stop(mut self) -> std::process::ExitStatus {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await.expect("it did not stop").unwrap()
    }

    /// A request to the API with the first account's key. Returns the status and the body.
    pub(crate) async fn api(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.url)).bearer_auth(&self.key);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    /// A bot whose model is an OpenAI-compatible server at `base_url`.
    pub(crate) async fn bot(&self, name: &str, base_url: &str) -> Value {
        let model = json!({ "model": "custom/test", "base_url": base_url, "api_key": "sk-test" });
        let (status, bot) = self.api("POST", "/v1/bots", Some(json!({ "name": name, "model": model }))).await;
        assert_eq!(status, 201, "{bot}");
        bot
    }

    /// A Telegram link that answers everybody, in groups too.
    pub(crate) async fn telegram_link(&self, bot: &str, token: &str) -> (String, String) {
        let groups = json!({ "*": { "require_mention": false } });
        let access = json!({ "dm_policy": "open", "group_policy": "open", "groups": groups });
        let body = json!({ "channel": "telegram", "token": token, "access": access });
        let (status, answer) = self.api("POST", &format!("/v1/bots/{bot}/links"), Some(body)).await;
        assert_eq!(status, 201, "{answer}");
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        (text(&answer["id"]), text(&answer["webhook"]["secret"]))
    }

    /// Posts a Telegram update to a link's webhook, as Telegram does.
    pub(crate) async fn webhook(&self, link: &str, secret: &str, update: &Value) -> (u16, Value) {
        let request = self.http.post(format!("{}/hooks/telegram/{link}", self.url)).json(update);
        let response = request.header("x-telegram-bot-api-secret-token", secret).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
    }

    /// Says something in a conversation of the web chat.
    pub(crate) async fn say(&self, bot: &str, conversation: &str, id: &str, text: &str) -> (u16, Value) {
        let body = json!({ "text": text, "conversation": conversation, "id": id });
        self.api("POST", &format!("/v1/bots/{bot}/chat"), Some(body)).await
    }

    /// All entries of a conversation, oldest first.
    pub(crate) async fn entries(&self, bot: &str, conversation: &str) -> Vec<Value> {
        let mut entries = Vec::new();
        let mut after = json!(0);
        loop {
            let path = format!("/v1/bots/{bot}/chat?conversation={conversation}&after={after}");
            let (status, page) = self.api("GET", &path, None).await;
            assert_eq!(status, 200, "{page}");
            let items = page["items"].as_array().unwrap().clone();
            if items.is_empty() {
                return entries;
            }
            entries.extend(items);
            after = page["next"].clone();
        }
    }

    /// Waits until a conversation holds `count` entries of this kind.
    pub(crate) async fn wait_for(&self, bot: &str, conversation: &str, kind: &str, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let entries = self.entries(bot, conversation).await;
            if entries.iter().filter(|entry| entry["kind"] == kind).count() >= count {
                return entries;
            }
            assert!(Instant::now() < deadline, "no {count} entries of kind {kind} within a minute: {entries:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Waits for the line with which a server says that it serves, and returns what stands behind `marker`.
pub(crate) async fn started(child: &mut Child, marker: &str) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    loop {
        let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
        let line = line.expect("the server did not start in time").unwrap().expect("the server ended at its start");
        if let Some((_, said)) = line.split_once(marker) {
            // Whoever reads the pipe no more must not make the process stumble over it.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return said.trim().to_owned();
        }
    }
}

/// Runs `lowtide ARGS` against the installation in `state_dir`.
pub(crate) async fn run<S: AsRef<OsStr>>(state_dir: &Path, args: &[S]) -> Output {
    let mut command = AsyncCommand::new(lowtide());
    command.args(args).arg("--state-dir").arg(state_dir).stdin(Stdio::null());
    let output = command.output();
    tokio::time::timeout(Duration::from_secs(90), output).await.expect("lowtide did not end in time").unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Prints a figure even when the test passes: the harness holds back only what `println!` writes.
pub(crate) fn report(line: &str) {
    std::io::stdout().write_all(format!("    {line}\n").as_bytes()).unwrap();
}
