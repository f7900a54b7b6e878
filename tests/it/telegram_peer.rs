//! Telegram's side played by a server that is not ours: npm's `telegram-test-api`.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::dev_process::{DevProcess, started};

/// The server in a Node.js process, ended when dropped.
struct Peer {
    _child: Child,
    url: String,
    http: reqwest::Client,
}

const SCRIPT: &str = "
    const TelegramServer = require('telegram-test-api');
    const net = require('net').createServer().listen(0, '127.0.0.1', () => {
        const port = net.address().port;
        net.close(async () => {
            const server = new TelegramServer({ port, host: '127.0.0.1' });
            await server.start();
            console.log('serving at http://127.0.0.1:' + port);
        });
    });
    setTimeout(() => process.exit(0), 120000);
";

impl Peer {
    async fn start() -> Peer {
        runtime::install_crypto();
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/npm");
        let help =
            "telegram-test-api is not installed: run `cargo xtask tools`, or the tests through `cargo xtask test`";
        assert!(modules.join("node_modules/telegram-test-api").exists(), "{help}");
        let mut child = Command::new("node")
            .args(["-e", SCRIPT])
            .current_dir(modules)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let url = started(&mut child, "serving at ").await;
        Peer { _child: child, url, http: reqwest::Client::new() }
    }

    /// What a bot has sent so far.
    async fn sent(&self, token: &str) -> Vec<Value> {
        let request = self.http.post(format!("{}/getUpdatesHistory", self.url)).json(&json!({ "token": token }));
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let mut sent = answer["result"].as_array().unwrap().clone();
        sent.retain(|update| update["message"]["chat_id"] != Value::Null);
        sent
    }

    async fn wait_for(&self, token: &str, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let sent = self.sent(token).await;
            if sent.len() >= count {
                return sent;
            }
            assert!(Instant::now() < deadline, "only {} of {count} messages: {sent:?}", sent.len());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn event(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/telegram").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[tokio::test]
async fn updates_are_answered_in_the_chat_and_each_bot_gets_its_own() {
    let peer = Peer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[("LOWTIDE_TELEGRAM_API_BASE", &peer.url)]).await;
    let (one, two) = ("1001:first-token", "1002:second-token");
    let (link_one, secret_one) = dev.telegram_link("tidy", one).await;
    let (status, bot) = dev.api("POST", "/v1/bots", Some(json!({ "name": "heron" }))).await;
    assert_eq!(status, 201, "{bot}");
    let (link_two, secret_two) = dev.telegram_link("heron", two).await;

    let (status, answer) = dev.webhook(&link_one, &secret_one, &event("text.json")).await;
    assert_eq!((status, &answer["method"]), (200, &json!("sendChatAction")), "typing is part of the webhook's answer");
    let sent = peer.wait_for(one, 1).await;
    let reply = &sent[0]["message"];
    assert_eq!(reply["chat_id"].to_string().trim_matches('"'), event("text.json")["message"]["chat"]["id"].to_string());
    assert!(reply["text"].as_str().unwrap().contains("demo"), "{reply}");
    assert_eq!(reply["parse_mode"], "HTML");

    for ignored in ["edited.json", "unknown-kind.json"] {
        let (status, answer) = dev.webhook(&link_one, &secret_one, &event(ignored)).await;
        assert_eq!((status, answer), (200, json!({})), "{ignored}");
    }
    for answered in ["start.json", "caption-photo.json", "document.json", "topic-thread.json"] {
        let (status, answer) = dev.webhook(&link_two, &secret_two, &event(answered)).await;
        assert_eq!(status, 200, "{answered}: {answer}");
    }
    let sent_by_two = peer.wait_for(two, 4).await;
    let greeting = |sent: &Value| sent["message"]["text"].as_str().is_some_and(|text| text.contains("<b>heron</b>"));
    assert!(sent_by_two.iter().any(greeting), "/start is greeted by the bot it was sent to: {sent_by_two:?}");
    let thread = event("topic-thread.json")["message"]["message_thread_id"].clone();
    assert!(sent_by_two.iter().any(|sent| sent["message"]["message_thread_id"] == thread), "the topic gets its reply");

    // The same update again is a repetition, and the first bot has sent nothing for the second.
    dev.webhook(&link_one, &secret_one, &event("text.json")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((peer.sent(one).await.len(), peer.sent(two).await.len()), (1, 4));
}
