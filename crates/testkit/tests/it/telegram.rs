//! The product's own client meets the Bot API.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use channels::SendError;
use channels::telegram::{Client, DownloadError};
use domain::{Address, Button, ChatKind, Media, MediaId};
use testkit::telegram::{Failure, FakeTelegram};

const TOKEN: &str = "1001:token";

fn start() -> (FakeTelegram, Client) {
    runtime::install_crypto();
    let telegram = FakeTelegram::start();
    telegram.add_bot(TOKEN, "tidy_bot");
    let client = Client::new(runtime::http_client().unwrap(), &telegram.base_url());
    (telegram, client)
}

fn topic() -> Address {
    Address { kind: ChatKind::Group, chat: "-100".into(), thread: Some("7".into()), reply_to: Some("41".into()) }
}

#[tokio::test]
async fn what_is_right_is_taken_and_recorded() {
    let (telegram, client) = start();
    assert_eq!(client.get_me(TOKEN).await.unwrap().username, "tidy_bot");
    client.set_webhook(TOKEN, "https://door.example/hooks", "secret-1").await.unwrap();
    assert_eq!(telegram.webhook(TOKEN), Some(("https://door.example/hooks".into(), "secret-1".into())));
    client.delete_webhook(TOKEN).await.unwrap();
    assert_eq!(telegram.webhook(TOKEN), None);
    client.send_typing(TOKEN, &topic()).await.unwrap();
    client.send_message(TOKEN, &topic(), "<b>low</b> &lt; high", &[]).await.unwrap();
    let sent = telegram.wait_for(TOKEN, 1, Duration::from_secs(1)).await;
    assert_eq!((sent[0].chat.as_str(), sent[0].thread, sent[0].reply_to), ("-100", Some(7), Some(41)));
    // The markup does not count.
    client.send_message(TOKEN, &topic(), &format!("<b>{}</b>", "x".repeat(4096)), &[]).await.unwrap();
    telegram.assert_clean();
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_remembered() {
    let (telegram, client) = start();
    for bad in ["", "<b></b>", "<b>open", &"🌊".repeat(2049)] {
        let refused = client.send_message(TOKEN, &topic(), bad, &[]).await;
        assert!(matches!(refused, Err(SendError::Rejected(_))), "{refused:?}");
    }
    assert!(telegram.sent(TOKEN).is_empty());
    assert!(catch_unwind(AssertUnwindSafe(|| telegram.assert_clean())).is_err());
    assert!(matches!(client.get_me("1002:nobody").await, Err(SendError::Unauthorised(_))));
}

#[tokio::test]
async fn failures_come_in_their_order_and_for_their_chat() {
    let (telegram, client) = start();
    let client = client.with_timeout(Duration::from_millis(300));
    telegram.fail_next_in(TOKEN, "555", Failure::Forbidden);
    telegram.fail_next(TOKEN, Failure::RateLimit { retry_after: 2 });
    for failure in [Failure::ServerError, Failure::Garbage, Failure::Hang, Failure::Unauthorised] {
        telegram.fail_next(TOKEN, failure);
    }
    let direct = Address { kind: ChatKind::Direct, chat: "555".into(), thread: None, reply_to: None };
    let limited = client.send_message(TOKEN, &topic(), "x", &[]).await;
    assert!(matches!(limited, Err(SendError::RateLimited { retry_after }) if retry_after == Duration::from_secs(2)));
    for _ in 0..3 {
        assert!(matches!(client.send_message(TOKEN, &topic(), "x", &[]).await, Err(SendError::Temporary(_))));
    }
    assert!(matches!(client.send_message(TOKEN, &topic(), "x", &[]).await, Err(SendError::Unauthorised(_))));
    client.send_message(TOKEN, &topic(), "x", &[]).await.unwrap();
    assert!(matches!(client.send_message(TOKEN, &direct, "x", &[]).await, Err(SendError::Unreachable(_))));
    telegram.assert_clean();
}

fn media(bytes: &[u8], mime: &str) -> Media {
    Media { id: MediaId::of(bytes), mime: mime.into(), size: bytes.len() as u64, name: Some("tide".into()) }
}

#[tokio::test]
async fn files_come_and_go() {
    let (telegram, client) = start();
    telegram.add_file(TOKEN, "small", b"OggS".to_vec());
    telegram.add_file(TOKEN, "large", vec![0; (20 << 20) + 1]);
    assert_eq!(client.download(TOKEN, "small").await.unwrap().as_ref(), b"OggS");
    assert_eq!(client.download(TOKEN, "large").await, Err(DownloadError::TooLarge));

    let picture: &[u8] = b"\x89PNG and \r\n--more";
    client.send_file(TOKEN, &topic(), &media(picture, "image/png"), picture.into()).await.unwrap();
    client.send_file(TOKEN, &topic(), &media(b"OggS", "audio/ogg"), b"OggS".to_vec().into()).await.unwrap();
    let sent = telegram.sent(TOKEN);
    let fields: Vec<&str> = sent.iter().map(|sent| sent.file.as_ref().unwrap().field.as_str()).collect();
    assert_eq!(fields, ["photo", "voice"]);
    assert_eq!(sent[0].file.as_ref().unwrap().bytes, picture);
    assert_eq!((sent[0].thread, sent[0].reply_to), (Some(7), Some(41)));
    telegram.assert_clean();

    // What is no picture is still a file.
    client.send_file(TOKEN, &topic(), &media(b"x", "image/png"), b"x".to_vec().into()).await.unwrap();
    assert_eq!(telegram.sent(TOKEN)[2].file.as_ref().unwrap().field, "document");
}

#[tokio::test]
async fn messages_are_edited_and_taken_back() {
    let (telegram, client) = start();
    let buttons = [Button { label: "Yes".into(), command: "/approve K7Q2 once".into() }];
    let id = client.send_message_plain(TOKEN, &topic(), "so far…", &[]).await.unwrap().to_string();
    for _ in 0..2 {
        client.edit_message(TOKEN, &topic(), &id, "<b>done</b>", &buttons).await.unwrap();
    }
    let sent = telegram.sent(TOKEN);
    assert_eq!((sent[0].text_html.as_str(), sent[0].before.len(), sent[0].buttons.len()), ("<b>done</b>", 1, 1));
    client.delete_message(TOKEN, &topic(), &id).await.unwrap();
    assert_eq!(telegram.sent(TOKEN), []);
    let gone = client.edit_message(TOKEN, &topic(), &id, "x", &[]).await;
    assert!(matches!(gone, Err(SendError::Rejected(_))), "{gone:?}");
    client.set_commands(TOKEN, &[("stop", "Stop"), ("Not-One", "x")]).await.unwrap();
    assert_eq!(telegram.commands(TOKEN), ["stop"]);
    telegram.assert_clean();
}
