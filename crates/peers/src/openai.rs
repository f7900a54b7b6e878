//! The official client of `OpenAI`: npm's `openai`.

use std::time::Duration;

use reqwest::Url;
use serde_json::Value;
use tokio::process::Command;

use crate::tools;

/// How long one call may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A client of one server, with one key.
pub struct OpenAiClient {
    base_url: String,
    key: String,
    module: String,
    script: tempfile::NamedTempFile,
}

impl OpenAiClient {
    /// `base_url` ends with `/v1`.
    ///
    /// # Panics
    ///
    /// The client is not installed.
    pub fn new(base_url: &str, key: &str) -> OpenAiClient {
        let module = tools().join("openai/node_modules/openai/index.mjs");
        let module = module.canonicalize().expect("`cargo xtask tools` installs it");
        let module = Url::from_file_path(module).expect("a path").into();
        let script = tempfile::Builder::new().suffix(".mjs").tempfile().expect("a file for the script");
        std::fs::write(script.path(), include_str!("openai.mjs")).expect("the script is written");
        OpenAiClient { base_url: base_url.to_owned(), key: key.to_owned(), module, script }
    }

    /// Makes a call of the script (`models`, `complete`, `stream`, `respond`, `streamResponse`). The error is the client's own:
    /// its `name`, `status`, `type` and `message`.
    ///
    /// # Panics
    ///
    /// The client fails otherwise than with an error of the API, or takes too long.
    pub async fn call(&self, call: &str, request: Value) -> Result<Value, Value> {
        let arguments = [&self.module, &self.base_url, &self.key, call, &request.to_string()];
        let mut command = Command::new("node");
        command.arg(self.script.path()).args(arguments).kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("the client ends in time");
        let output = output.expect("node runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the client broke: {said}");
        let mut answer: Value = serde_json::from_slice(&output.stdout).expect("the script prints JSON");
        match answer.get_mut("ok") {
            Some(value) => Ok(value.take()),
            None => Err(answer["error"].take()),
        }
    }
}
