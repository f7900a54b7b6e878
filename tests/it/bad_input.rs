//! Bad input of every kind: the answers say what to do, nothing is lost, nothing panics.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::model::{FakeModel, Reply};

use crate::dev_process::{DevProcess, run, text};

#[tokio::test]
async fn the_doors_answer_bad_requests_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let telegram = testkit::telegram::FakeTelegram::start();
    telegram.add_bot("800:bad", "bad_bot");
    let base = telegram.base_url();
    let dev = DevProcess::start(dir.path(), &[("LOWTIDE_TELEGRAM_API_BASE", &base)]).await;
    let (link, secret) = dev.telegram_link("tidy", "800:bad").await;
    let http = reqwest::Client::new();
    let hook = format!("{}/hooks/telegram/{link}", dev.url);
    let post = |url: String, secret: &str, body: Vec<u8>| {
        let request = http.post(url).header("x-telegram-bot-api-secret-token", secret).body(body);
        async move {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let kind = response.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
            (status, kind.unwrap_or_default(), response.json::<Value>().await.unwrap())
        }
    };
    let mut answers = Vec::new();
    let mut ask = |what: &str, (status, kind, body): (u16, String, Value)| {
        let detail = body["detail"].as_str().map_or_else(|| body.to_string(), str::to_owned);
        assert_eq!(kind.contains("problem+json"), status >= 400, "{what}: {kind}");
        answers.push(format!("{what}: {status} {detail}"));
    };
    let unknown = hook.replace(&link, "link_01M81B5H80000000000000ZZZZ");
    ask("unknown link", post(unknown, &secret, b"{}".to_vec()).await);
    ask("no link id", post(hook.replace(&link, "tidy"), &secret, b"{}".to_vec()).await);
    ask("wrong secret", post(hook.clone(), "wrong", b"{}".to_vec()).await);
    ask("malformed JSON", post(hook.clone(), &secret, b"{\"update_id\": 1, ".to_vec()).await);
    ask("not an update", post(hook.clone(), &secret, b"[]".to_vec()).await);
    ask("unknown update kind", post(hook.clone(), &secret, br#"{"update_id":1,"chat_boost":{}}"#.to_vec()).await);
    let megabyte = json!({ "update_id": 1, "message": { "text": "x".repeat(1 << 20) } }).to_string().into_bytes();
    ask("1 MB update", post(hook.clone(), &secret, megabyte).await);
    insta::assert_snapshot!(answers.join("\n"), @r"
    unknown link: 404 There is no such link. Look at the path: /hooks/{channel}/{link id}; `lowtide links list BOT` shows the ids.
    no link id: 404 There is no such link. Look at the path: /hooks/{channel}/{link id}; `lowtide links list BOT` shows the ids.
    wrong secret: 401 The header X-Telegram-Bot-Api-Secret-Token is missing or is not this link's secret. To register the webhook again, remove the link and add it again.
    malformed JSON: 400 the body is not a Telegram update: the JSON ends too early at line 1, column 17
    not an update: 400 the body is not a Telegram update: a field is missing or not of the type that the Bot API gives it at line 1, column 2
    unknown update kind: 200 {}
    1 MB update: 413 A webhook's body has at most 256 KiB.
    ");

    let anonymous = http.get(format!("{}/v1/bots", dev.url)).send().await.unwrap();
    assert_eq!(anonymous.status(), 401);
    let wrong = http.get(format!("{}/v1/bots", dev.url)).bearer_auth("lt_wrong").send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    let problem: Value = wrong.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("key"), "{problem}");
    assert_eq!(dev.api("GET", "/v1/bots/nobody", None).await.0, 404);

    let chat = run(dir.path(), &["chat", "nobody", "--message", "hello"]).await;
    assert_eq!(chat.status.code(), Some(2));
    assert!(text(&chat.stderr).contains("nobody"), "{}", text(&chat.stderr));
    // After all that it still answers.
    assert!(run(dir.path(), &["chat", "--message", "hello"]).await.status.success());
}

/// A model that stays down ends in one clear sentence and a dead letter, and the replay is answered.
async fn a_model_that_stays_down(name: &str, broken: Reply, reason: &str) {
    let model = FakeModel::start();
    model.always(broken);
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[("LOWTIDE_MODEL_TIMEOUT_SECS", "2")]).await;
    dev.bot(name, &model.base_url()).await;

    let args = ["chat", name, "--message", "are you there?", "--timeout", "80"];
    let chat = run(dir.path(), &args).await;
    assert_eq!(chat.status.code(), Some(1), "{name}: {}{}", text(&chat.stdout), text(&chat.stderr));
    let told = text(&chat.stderr);
    assert!(told.contains("language model") && told.contains("not answered"), "{name}: {told}");

    let list = run(dir.path(), &["dead-letters", "list", "--json"]).await;
    let letters: Value = serde_json::from_slice(&list.stdout).unwrap();
    let letters = letters["items"].as_array().unwrap_or_else(|| letters.as_array().unwrap()).clone();
    assert_eq!(letters.len(), 1, "{name}: {letters:?}");
    assert!(letters[0]["reason"].as_str().unwrap().contains(reason), "{name}: {letters:?}");

    model.echo();
    let id = letters[0]["id"].as_str().unwrap();
    let replay = run(dir.path(), &["dead-letters", "replay", id]).await;
    assert!(replay.status.success(), "{}", text(&replay.stderr));
    let again = run(dir.path(), &["dead-letters", "replay", id]).await;
    assert!(again.status.success(), "a second replay changes nothing: {}", text(&again.stderr));
    let path = format!("/v1/bots/{name}/chat?after=0&limit=50");
    for _ in 0..100 {
        let entries = dev.api("GET", &path, None).await.1;
        if entries["items"].as_array().unwrap().iter().any(|entry| entry["kind"] == "assistant") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let entries = dev.api("GET", &path, None).await.1;
    let said: Vec<&Value> = entries["items"].as_array().unwrap().iter().map(|entry| &entry["kind"]).collect();
    assert_eq!(said, ["user", "failed", "user", "assistant"], "{name}: asked again once, answered once");
    model.assert_clean();
}

#[tokio::test]
async fn a_model_that_answers_500() {
    a_model_that_stays_down("m500", Reply::Status(500, "boom".into(), None), "500").await;
}

#[tokio::test]
async fn a_model_that_hangs() {
    a_model_that_stays_down("hangs", Reply::Hang, "no answer within 2.0 s").await;
}

#[tokio::test]
async fn a_model_that_answers_garbage() {
    a_model_that_stays_down("garbage", Reply::Garbage, "not JSON").await;
}

#[tokio::test]
async fn a_model_that_limits_its_rate() {
    a_model_that_stays_down("m429", Reply::Status(429, "slow down".into(), Some(1)), "429").await;
}
