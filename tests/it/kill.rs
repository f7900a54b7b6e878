//! `kill -9` while a hundred messages are in flight: each is answered, once, in order.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use testkit::model::FakeModel;
use testkit::telegram::FakeTelegram;

use crate::dev_process::{DevProcess, report};

const CONVERSATIONS: usize = 10;
const MESSAGES: usize = 10;

#[tokio::test]
async fn a_hundred_messages_in_flight_survive_kill_nine() {
    let model = FakeModel::start();
    model.latency(Duration::from_millis(400));
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[]).await;
    dev.bot("crash", &model.base_url()).await;
    join_all((0..CONVERSATIONS).map(|conversation| {
        let dev = &dev;
        async move {
            for message in 0..MESSAGES {
                let (name, id) = (format!("c{conversation}"), format!("m{message}"));
                let (status, answer) = dev.say("crash", &name, &id, &format!("{conversation}/{message}")).await;
                assert_eq!(status, 202, "{answer}");
            }
        }
    }))
    .await;
    let answered_before = replies(&dev).await;
    dev.kill().await;
    assert!(answered_before < CONVERSATIONS * MESSAGES, "the kill came too late to prove anything");

    let dev = DevProcess::start(dir.path(), &[]).await;
    let mut replies = 0;
    for conversation in 0..CONVERSATIONS {
        let name = format!("c{conversation}");
        let entries = dev.wait_for("crash", &name, "assistant", MESSAGES).await;
        let said: Vec<&str> = entries.iter().map(|entry| entry["text"].as_str().unwrap()).collect();
        let expected: Vec<String> = (0..MESSAGES)
            .flat_map(|message| [format!("{conversation}/{message}"), format!("echo: {conversation}/{message}")])
            .collect();
        assert_eq!(said, expected, "conversation {name}");
        replies += entries.iter().filter(|entry| entry["kind"] == "assistant").count();
    }
    // Whatever is still to come would come now.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = self::replies(&dev).await;
    report(&format!(
        "{answered_before} replies before the kill, {replies} in total, {} twice, in order",
        after - replies
    ));
    assert_eq!((replies, after), (CONVERSATIONS * MESSAGES, CONVERSATIONS * MESSAGES));
    model.assert_clean();
}

async fn replies(dev: &DevProcess) -> usize {
    let mut count = 0;
    for conversation in 0..CONVERSATIONS {
        let entries = dev.entries("crash", &format!("c{conversation}")).await;
        count += entries.iter().filter(|entry| entry["kind"] == "assistant").count();
    }
    count
}

/// Telegram has no idempotency key, so a part that was sent when the process died, and not recorded, is
/// sent again: at most the one that each chat had in flight.
#[tokio::test]
async fn replies_to_telegram_survive_kill_nine_in_order() {
    const TOKEN: &str = "700:crash-token";
    let telegram = FakeTelegram::start();
    telegram.add_bot(TOKEN, "crash_bot");
    let model = FakeModel::start();
    model.latency(Duration::from_millis(300));
    let dir = tempfile::tempdir().unwrap();
    let base = telegram.base_url();
    let env = [("LOWTIDE_TELEGRAM_API_BASE", base.as_str())];
    let dev = DevProcess::start(dir.path(), &env).await;
    dev.bot("crash", &model.base_url()).await;
    dev.api("PATCH", "/v1/bots/crash", Some(json!({ "dm_scope": "per-channel-peer" }))).await;
    let (link, secret) = dev.telegram_link("crash", TOKEN).await;
    join_all((1..=CONVERSATIONS).map(|chat| {
        let (dev, link, secret) = (&dev, &link, &secret);
        async move {
            for message in 0..MESSAGES {
                assert_eq!(dev.webhook(link, secret, &update(chat, message)).await.0, 200);
            }
        }
    }))
    .await;
    let before = telegram.sent(TOKEN).len();
    dev.kill().await;
    let dev = DevProcess::start(dir.path(), &env).await;
    // Telegram repeats an update whose answer it did not get: nothing comes of it.
    dev.webhook(&link, &secret, &update(1, 0)).await;
    telegram.wait_for(TOKEN, CONVERSATIONS * MESSAGES, Duration::from_secs(60)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    let mut by_chat: HashMap<String, Vec<String>> = HashMap::new();
    for sent in telegram.sent(TOKEN) {
        by_chat.entry(sent.chat).or_default().push(sent.text_html);
    }
    let total: usize = by_chat.values().map(Vec::len).sum();
    let repeated = total - CONVERSATIONS * MESSAGES;
    report(&format!("Telegram: {before} replies before the kill, {total} in total, {repeated} sent again"));
    assert!(repeated <= CONVERSATIONS, "at most one a chat was in flight");
    for (chat, mut texts) in by_chat {
        texts.dedup();
        let expected: Vec<String> = (0..MESSAGES).map(|message| format!("echo: {chat}/{message}")).collect();
        assert_eq!(texts, expected, "chat {chat}");
    }
}

fn update(chat: usize, message: usize) -> Value {
    json!({
        "update_id": chat * 1000 + message,
        "message": {
            "message_id": message + 1,
            "date": 1_795_341_600,
            "chat": { "id": chat, "type": "private", "first_name": "Ada" },
            "from": { "id": chat, "is_bot": false, "first_name": "Ada" },
            "text": format!("{chat}/{message}"),
        }
    })
}
