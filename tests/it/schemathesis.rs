//! The API under requests that nobody thought of: the Python package `schemathesis` makes them from the API's own document, good ones
//! and bad ones, and checks each answer against the document.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use domain::{Account, AccountId, KeyId};
use runtime::{Clock, Entropy, Environment};
use serde_json::{Value, json};
use testkit::cloud::{Calm, Cloud};
use testkit::discord_api::FakeDiscordApi;
use testkit::slack::FakeSlack;
use testkit::telegram::FakeTelegram;
use testkit::whatsapp::FakeWhatsApp;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::dev_process::report;

/// What must hold of each answer. Every error that the document tells of is a problem, so an error of another media type or
/// shape is one that the document does not know.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,ignored_auth";

/// In seconds, for all phases together.
const MAX_TIME: &str = "90";

/// An API on loopback, over a cloud in memory, with an account that has one of everything.
struct Server {
    base: String,
    key: String,
    bot: String,
    link: String,
    schedule: String,
    // They answer as long as they are there.
    _channels: (FakeTelegram, FakeSlack, FakeDiscordApi, FakeWhatsApp),
}

impl Server {
    async fn start() -> Server {
        runtime::install_crypto();
        let channels = (
            FakeTelegram::start(),
            FakeSlack::start(),
            FakeDiscordApi::start("token", &"00".repeat(32)),
            FakeWhatsApp::start("token"),
        );
        let mut environment = Cloud::new().environment(Arc::new(Calm), Clock::system(), Entropy::system());
        environment.settings.telegram_api_base = channels.0.base_url();
        environment.settings.slack_api_base = channels.1.base_url();
        environment.settings.discord_api_base = channels.2.base_url();
        environment.settings.whatsapp_api_base = channels.3.base_url();
        let key = account(&environment).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = api::router(environment);
        tokio::spawn(async move { axum::serve(listener, router).await });

        let made = async |path: String, body: Value| {
            let request = reqwest::Client::new().post(format!("{base}{path}")).bearer_auth(&key).json(&body);
            let answer: Value = request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
            answer["id"].as_str().unwrap_or_default().to_owned()
        };
        let bot = made("/v1/bots".to_owned(), json!({ "name": "heron" })).await;
        let link = made(format!("/v1/bots/{bot}/links"), json!({ "channel": "webhook" })).await;
        let job = json!({
            "name": "tide",
            "schedule": { "kind": "every", "everyMs": 3_600_000 },
            "payload": { "kind": "systemEvent", "text": "high tide" },
        });
        let schedule = made(format!("/v1/bots/{bot}/schedules"), job).await;
        made(format!("/v1/bots/{bot}/chat"), json!({ "text": "hello" })).await;
        Server { base, key, bot, link, schedule, _channels: channels }
    }

    /// What paths name, and what would only cost time. What is deleted is what nothing else needs.
    fn configuration(&self) -> String {
        let Server { bot, link, schedule, .. } = self;
        let delete = |path: &str, values: &str| {
            format!("[[operations]]\ninclude-name = \"DELETE {path}\"\nparameters = {{ {values} }}\n")
        };
        let stream = |path: &str| format!("[[operations]]\ninclude-name = \"GET {path}\"\nenabled = false\n");
        [
            format!(
                "[parameters]\n\"path.bot\" = \"{bot}\"\n\"path.link\" = \"{link}\"\n\
                 \"path.schedule\" = \"{schedule}\"\n\"path.session\" = \"agent:main:main\"\n\"query.wait\" = 0\n"
            ),
            // Streams, which last for a minute each: tests of their own read them.
            stream("/v1/events"),
            stream("/v1/bots/{bot}/chat/events"),
            delete("/v1/bots/{bot}", "\"path.bot\" = \"doomed\""),
            delete("/v1/bots/{bot}/links/{link}", "\"path.link\" = \"doomed\""),
            delete("/v1/bots/{bot}/schedules/{schedule}", "\"path.schedule\" = \"doomed\""),
        ]
        .join("\n")
    }
}

/// The first number of the first line of a report that begins with `name`.
fn number(report: &str, name: &str) -> usize {
    let line = report.lines().find_map(|line| line.trim().strip_prefix(name));
    let digits = line.unwrap_or_else(|| panic!("no line {name} in:\n{report}")).trim();
    digits.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

async fn account(environment: &Environment) -> String {
    let now = environment.clock.now();
    let id = AccountId::from_parts(now, environment.entropy.next_u128());
    let account = environment.store.account(id);
    let record = Account { id, name: "Ada".to_owned(), budget: Default::default(), created_at: now };
    account.account_put(&record).await.unwrap();
    let key = environment.entropy.secret("lt_");
    account.api_key_create(KeyId::from_parts(now, 1), "test", None, &key, now).await.unwrap();
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_brings_the_api_down_or_gets_an_answer_that_the_document_does_not_know() {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/schemathesis/bin/python");
    assert!(tool.exists(), "schemathesis is not installed: run `cargo xtask tools`, or `cargo xtask test`");
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("schemathesis.toml"), server.configuration()).unwrap();
    let output = Command::new(tool)
        .args(["-m", "schemathesis.cli", "run", &format!("{}{}", server.base, api::openapi::PATH)])
        .args(["--checks", CHECKS, "--phases", "coverage,fuzzing", "--max-examples", "12", "--seed", "7"])
        .args(["--max-time", MAX_TIME, "--header", &format!("Authorization: Bearer {}", server.key)])
        .args(["--suppress-health-check", "all", "--generation-database", "none", "--no-color"])
        .current_dir(dir.path())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let tried = |line: &&str| line.contains("generated") || line.contains("operations") || line.contains("Operations");
    text.lines().filter(tried).for_each(report);
    let (selected, tested) = (number(&text, "Selected:"), number(&text, "Tested:"));
    let streams = 2;
    assert!(selected >= 60 && selected - streams <= tested, "{tested} of {selected} operations were tested:\n{text}");
}
