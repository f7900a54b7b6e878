//! `WhatsApp`: messages and statuses in; messages with buttons out.

use std::time::Duration;

use delivery::DeliveryHandler;
use domain::link::WhatsAppSettings;
use domain::{Address, Button, Channel, ChatKind, LinkSettings, LinkStatus, MessageId, Outbound, OutboundId, Task};
use queues::Queue;
use ring::hmac;
use serde_json::{Value, json};
use store::PageRange;
use testkit::stack::Stack;
use testkit::whatsapp::{FakeWhatsApp, NUMBER};
use tokio::time::Instant;

use super::{Answer, World, open};
use crate::crash::event;

const TOKEN: &str = "EAA-test";
const SECRET: &str = "app-secret";

async fn world() -> (World, FakeWhatsApp) {
    let whatsapp = FakeWhatsApp::start(TOKEN);
    let mut stack = Stack::start().await;
    stack.environment.settings.whatsapp_api_base = whatsapp.base_url();
    let settings = LinkSettings::WhatsApp(WhatsAppSettings { phone_number_id: NUMBER.into() });
    let credentials = json!({ "access_token": TOKEN, "app_secret": SECRET }).to_string();
    (World::start(stack, settings, &credentials, Some(SECRET), open()).await, whatsapp)
}

fn signed(secret: &str, body: &str) -> Vec<(&'static str, String)> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    vec![("x-hub-signature-256", format!("sha256={}", hex::encode(hmac::sign(&key, body.as_bytes()).as_ref())))]
}

async fn post(world: &World, body: &str) -> Answer {
    world.post(&signed(SECRET, body), body).await
}

fn change(value: &Value) -> String {
    let mut whole = json!({
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550100000", "phone_number_id": NUMBER },
        "contacts": [{ "profile": { "name": "Ada" }, "wa_id": "4915550001" }],
    });
    whole.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
    let change = json!({ "field": "messages", "value": whole });
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": [change] }] }).to_string()
}

fn message(id: &str, content: &Value) -> Value {
    let mut message = json!({ "from": "4915550001", "id": id, "timestamp": "1700000000" });
    message.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
    message
}

fn text(id: &str) -> Value {
    message(id, &json!({ "type": "text", "text": { "body": "hello" } }))
}

#[tokio::test]
async fn messages_are_answered_once() {
    let (world, whatsapp) = world().await;
    for _ in 0..2 {
        assert_eq!(post(&world, &change(&json!({ "messages": [text("wamid.A")] }))).await.status, 200);
    }
    world.work().await;
    let messages = whatsapp.messages();
    let [answer] = messages.as_slice() else { panic!("one answer, not {messages:?}") };
    assert_eq!((answer["to"].as_str(), answer["type"].as_str()), (Some("4915550001"), Some("text")));
}

#[tokio::test]
async fn several_messages_of_one_request_are_all_taken() {
    let (world, _whatsapp) = world().await;
    let picture = json!({ "type": "image", "image": { "id": "MEDIA1", "mime_type": "image/jpeg", "caption": "look" } });
    let reply = json!({ "type": "interactive", "interactive": {
        "type": "button_reply", "button_reply": { "id": "/approve K7Q2 once", "title": "Once" },
    } });
    let reaction = json!({ "type": "reaction", "reaction": { "message_id": "x", "emoji": "👍" } });
    let messages =
        [text("wamid.A"), message("wamid.B", &picture), message("wamid.C", &reply), message("wamid.D", &reaction)];
    assert_eq!(post(&world, &change(&json!({ "messages": messages }))).await.status, 200);
    let queued = world.queued().await;
    let said: Vec<(&str, usize)> =
        queued.iter().map(|inbound| (inbound.text.as_str(), inbound.attachments.len())).collect();
    assert_eq!(said, [("hello", 0), ("look", 1), ("/approve K7Q2 once", 0)]);
    assert_eq!(queued[0].sender.name.as_deref(), Some("Ada"));

    // Meta gathers what it could not deliver, with statuses of much of what was sent.
    let read = json!({ "id": "wamid.Y", "status": "read", "recipient_id": "4915550001", "timestamp": "1700000000" });
    let body = change(&json!({ "messages": [text("wamid.E")], "statuses": vec![read; 20_000] }));
    assert!((1 << 20..ingress::MAX_BODY_OF_META).contains(&body.len()), "{}", body.len());
    assert_eq!(post(&world, &body).await.status, 200);
    assert_eq!(world.queued().await.len(), 1);
    assert_eq!(queued[0].sent_at.as_millis(), 1_700_000_000_000);
}

#[tokio::test]
async fn the_address_is_tried_out_with_the_token_of_the_link() {
    let (world, _whatsapp) = world().await;
    let get = async |query: &str| world.request("GET", &format!("{}?{query}", world.path()), &[], vec![]).await;
    let answer = get("hub.mode=subscribe&hub.verify_token=verify%20me&hub.challenge=1158201444").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "1158201444"));
    assert_eq!(get("hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1").await.status, 401);
    assert_eq!(get("hub.mode=subscribe&hub.challenge=1").await.status, 401);
    assert_eq!(get("hub.mode=other&hub.verify_token=verify%20me&hub.challenge=1").await.status, 400);
}

#[tokio::test]
async fn what_is_not_signed_reaches_no_queue() {
    let (world, _whatsapp) = world().await;
    let body = change(&json!({ "messages": [text("wamid.A")] }));
    for headers in [vec![], signed("another secret", &body), signed(SECRET, "another body")] {
        assert_eq!(world.post(&headers, &body).await.status, 401, "{headers:?}");
    }
    let elsewhere = format!("/hooks/slack/{}", world.link.id);
    assert_eq!(world.request("POST", &elsewhere, &signed(SECRET, &body), body.clone().into_bytes()).await.status, 404);
    assert_eq!(post(&world, &"x".repeat(ingress::MAX_BODY_OF_META + 1)).await.status, 413);
    for unknown in ["{}", "[]", "", r#"{"object": "page", "entry": []}"#] {
        assert_eq!(post(&world, unknown).await.status, 400, "{unknown:?}");
    }
    // Another number of the same app, and another kind of change.
    assert_eq!(post(&world, &body.replace(NUMBER, "1")).await.status, 200);
    assert_eq!(post(&world, &body.replace("\"field\":\"messages\"", "\"field\":\"account_update\"")).await.status, 200);
    world.assert_nothing_is_queued().await;
}

#[tokio::test]
async fn the_owner_learns_what_did_not_arrive_and_why() {
    let (world, _whatsapp) = world().await;
    let failed = json!({
        "id": "wamid.Z", "status": "failed", "recipient_id": "4915550001",
        "errors": [{ "code": 131_047, "title": "Re-engagement message" }],
    });
    let delivered = json!({ "id": "wamid.Y", "status": "delivered", "recipient_id": "4915550001" });
    for _ in 0..2 {
        assert_eq!(post(&world, &change(&json!({ "statuses": [delivered, failed] }))).await.status, 200);
    }
    let now = world.stack.environment.clock.now();
    let notices = world
        .stack
        .environment
        .store
        .account(world.bot.account)
        .notice_page(&PageRange::default(), now)
        .await
        .unwrap()
        .items;
    let [notice] = notices.as_slice() else { panic!("one notice, not {notices:?}") };
    assert!(notice.text.contains("24 hours") && notice.text.contains("4915550001"), "{}", notice.text);
    world.assert_nothing_is_queued().await;
}

/// Asks a person something, with buttons to answer, in so many attempts. Whether the last one leaves nothing to be done.
async fn ask(world: &World, name: &str, text: &str, attempts: usize) -> bool {
    let outbound = Outbound {
        id: OutboundId::notice("ask", &MessageId::of(world.link.id, name)),
        account: world.bot.account,
        bot: world.bot.id,
        link: world.link.id,
        channel: Channel::WhatsApp,
        address: Address { kind: ChatKind::Direct, chat: "4915550001".into(), thread: None, reply_to: None },
        text: text.to_owned(),
        media: vec![],
        buttons: ["Once", "Always", "Deny", "A fourth that is not shown"]
            .map(|label| Button { label: label.into(), command: format!("/approve K7Q2 {}", label.to_lowercase()) })
            .into(),
        draft: None,
        mark: None,
        parent: None,
        created_at: world.stack.environment.clock.now(),
    };
    world.stack.environment.queues.send(&Task::Deliver(Box::new(outbound))).await.unwrap();
    let deliveries = DeliveryHandler::new(world.stack.environment.clone());
    let received = world.stack.environment.queues.receive(Queue::Outbound, 10, Duration::ZERO).await.unwrap();
    assert_eq!(received.len(), 1);
    let deadline = Instant::now() + Duration::from_secs(3600);
    let mut left = 0;
    for _ in 0..attempts {
        left = deliveries.handle(event(&received), deadline).await.batch_item_failures.len();
    }
    for message in received {
        world.stack.environment.queues.delete(Queue::Outbound, &message.receipt).await.unwrap();
    }
    left == 0
}

#[tokio::test]
async fn buttons_stand_below_their_text_or_below_a_message_of_their_own() {
    let (world, whatsapp) = world().await;
    assert!(ask(&world, "short", "May I?", 1).await);
    let sent = whatsapp.messages();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["interactive"]["action"]["buttons"].as_array().unwrap().len(), 3);
    assert!(ask(&world, "long", &"word ".repeat(300), 1).await);
    let sent = whatsapp.messages();
    assert_eq!((sent.len(), &sent[1]["type"], &sent[2]["type"]), (3, &json!("text"), &json!("interactive")));

    // The text arrives, and the buttons only with the next attempt: the text is not sent again.
    whatsapp.fail_after(1, 130_429);
    assert!(ask(&world, "long, twice", &"word ".repeat(300), 2).await);
    let sent = whatsapp.messages();
    assert_eq!((sent.len(), &sent[3]["type"], &sent[4]["type"]), (5, &json!("text"), &json!("interactive")));

    whatsapp.fail_next(131_047);
    assert!(ask(&world, "late", "Are you there?", 1).await);
    let dead = world.stack.take(Queue::OutboundDeadLetters).await;
    assert!(dead[0].reason.as_deref().unwrap_or_default().contains("24 hours"), "{dead:?}");
}

#[tokio::test]
async fn a_link_fails_when_meta_refuses_its_token_and_not_when_something_else_answers() {
    let (world, whatsapp) = world().await;
    let link = async || {
        let account = world.stack.environment.store.account(world.bot.account);
        account.link_get(world.bot.id, world.link.id).await.unwrap().unwrap()
    };
    for (status, body) in [(403, "<html>Access denied by your company's proxy</html>"), (404, ""), (400, "{}")] {
        whatsapp.intercept_next(status, body);
        assert!(!ask(&world, &format!("intercepted {status}"), "Are you there?", 1).await, "it is tried again");
        assert!(link().await.is_active(), "{status} {body}");
    }
    whatsapp.fail_next(190);
    assert!(ask(&world, "refused", "Are you there?", 1).await);
    assert!(matches!(link().await.status, LinkStatus::Failed { .. }));
    let now = world.stack.environment.clock.now();
    let account = world.stack.environment.store.account(world.bot.account);
    let notices = account.notice_page(&PageRange::default(), now).await.unwrap().items;
    let [notice] = notices.as_slice() else { panic!("its owner is told once, not {notices:?}") };
    assert!(notice.text.contains("refuses the bot's token") && notice.text.contains("code 190"), "{}", notice.text);
}

#[tokio::test]
async fn files_are_fetched_by_their_id() {
    let (world, whatsapp) = world().await;
    whatsapp.add_file("1908647269898587", b"The key is under the mat.");
    let document = |id: &str| json!({ "type": "document", "document": { "id": id, "mime_type": "text/plain", "filename": "notes.txt" } });
    for (message_id, file, said) in [
        ("wamid.A", "1908647269898587", "The key is under the mat."),
        ("wamid.B", "404", "[It could not be read: the channel did not give it out.]"),
        ("wamid.C", "../secret", "[It could not be read: the channel did not give it out.]"),
    ] {
        let body = change(&json!({ "messages": [message(message_id, &document(file))] }));
        assert_eq!(post(&world, &body).await.status, 200);
        world.work().await;
        assert_eq!(world.files_said().await, [Some(said.to_owned())]);
    }
}
