//! Discord, as npm's `discord-digital-twin` has it: REST and gateway, with a channel and somebody in it.

use std::process::Command;
use std::time::Duration;

use reqwest::{Client, Url};
use serde_json::Value;

use crate::{Process, free_port, tools};

/// How long the person waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running Discord.
pub struct DiscordTwin {
    _process: Process,
    http: Client,
    control: String,
    /// What stands in for `https://discord.com`.
    pub base: String,
    pub token: String,
    /// The bot's own id.
    pub bot: String,
    pub channel: String,
}

impl DiscordTwin {
    /// # Panics
    ///
    /// It is not installed, or does not start.
    pub async fn start() -> DiscordTwin {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let module = tools().join("twin/node_modules/discord-digital-twin/dist/index.js");
        let module = module.canonicalize().expect("`cargo xtask tools` installs it");
        let module = Url::from_file_path(module).expect("a path");
        let dir = tempfile::tempdir().expect("a directory");
        let script = dir.path().join("discord.mjs");
        std::fs::write(&script, include_str!("discord.mjs")).expect("the script is written");
        let port = free_port();
        let mut command = Command::new("node");
        command.arg(&script).args([module.as_str(), &port.to_string()]);
        let mut process = Process::start(command, dir);
        let (http, control) = (Client::new(), format!("http://127.0.0.1:{port}"));
        let about = format!("{control}/about");
        process.wait_until(|| async { http.get(&about).send().await.is_ok() }).await;
        let about: Value = http.get(&about).send().await.expect("an answer").json().await.expect("JSON");
        let text = |name: &str| about[name].as_str().expect("a text").to_owned();
        let (base, token, bot, channel) = (text("base"), text("token"), text("bot"), text("channel"));
        DiscordTwin { _process: process, http, control, base, token, bot, channel }
    }

    /// Somebody says something in the channel. Returns the message's id.
    pub async fn say(&self, text: &str) -> String {
        let request = self.http.post(format!("{}/say", self.control)).body(text.to_owned());
        let said: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        said["id"].as_str().expect("an id").to_owned()
    }

    /// What was said in the channel: `id`, `author`, `text`, and the id of the message that it `answers`.
    pub async fn messages(&self) -> Vec<Value> {
        let request = self.http.get(format!("{}/messages", self.control));
        request.send().await.expect("an answer").json().await.expect("a list")
    }

    /// Waits for a message that `is_it`.
    pub async fn wait_for(&self, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let messages = self.messages().await;
            if let Some(found) = messages.iter().find(|message| is_it(message)) {
                return found.clone();
            }
            assert!(tokio::time::Instant::now() < deadline, "it is not said in time: {messages:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
