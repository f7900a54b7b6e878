//! The generic webhook: signed both ways.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post as route;
use channels::signature;
use domain::link::WebhookSettings;
use domain::{LinkSettings, Timestamp};
use queues::Queue;
use serde_json::{Value, json};
use testkit::stack::Stack;

use super::{Answer, World, open};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

type Posted = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A system that takes what is posted to it.
async fn system() -> (String, Posted) {
    let posted = Posted::default();
    let take = async |State(posted): State<Posted>, headers: HeaderMap, body: Bytes| {
        posted.lock().unwrap().push((headers, body));
    };
    let router = Router::new().route("/replies", route(take)).with_state(posted.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, posted)
}

async fn world(address: &str, is_allowed: bool) -> World {
    let mut stack = Stack::start().await;
    if is_allowed {
        stack.environment.settings.fetch_allow = vec![address.to_owned()];
    }
    let reply_url = Some(format!("http://{address}/replies"));
    let settings = LinkSettings::Webhook(WebhookSettings { reply_url, outbound_only: false });
    World::start(stack, settings, SECRET, Some(SECRET), open()).await
}

fn signed(secret: &str, id: &str, seconds: u64, body: &str) -> Vec<(&'static str, String)> {
    let at = Timestamp::from_secs(seconds);
    vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", signature::sign_standard(secret, id, at, body.as_bytes()).unwrap()),
    ]
}

async fn post(world: &World, id: &str, body: &str) -> Answer {
    world.post(&signed(SECRET, id, world.now(), body), body).await
}

#[tokio::test]
async fn a_system_talks_to_a_bot_and_gets_signed_replies() {
    let (address, posted) = system().await;
    let world = world(&address, true).await;
    let body = json!({ "text": "The disk is full", "session": "alerts", "sender": "monitor" }).to_string();
    for _ in 0..2 {
        let answer = post(&world, "msg_1", &body).await;
        assert_eq!((answer.status, answer.json()), (202, json!({ "status": "queued" })));
    }
    world.work().await;
    let posted = posted.lock().unwrap();
    let [(headers, body)] = posted.as_slice() else { panic!("one reply, not {posted:?}") };
    let header = |name: &str| headers[name].to_str().unwrap();
    let (id, at, signatures) = (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
    let now = world.stack.environment.clock.now();
    assert_eq!(signature::standard(SECRET, id, at, signatures, body, now), Ok(()));
    let reply: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(reply["session"], "alerts");
    assert!(!reply["text"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_signed_reaches_no_queue() {
    let (address, _posted) = system().await;
    let world = world(&address, true).await;
    let (body, now) = (json!({ "text": "hi" }).to_string(), world.now());
    for headers in [
        vec![],
        signed("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "m", now, &body),
        signed(SECRET, "m", now, "another body"),
        signed(SECRET, "m", now - 301, &body),
        signed(SECRET, "m", now + 360, &body),
    ] {
        assert_eq!(world.post(&headers, &body).await.status, 401, "{headers:?}");
    }
    let elsewhere = format!("/hooks/telegram/{}", world.link.id);
    let headers = signed(SECRET, "m", now, &body);
    assert_eq!(world.request("POST", &elsewhere, &headers, body.into_bytes()).await.status, 404);
    assert_eq!(post(&world, "m", &"x".repeat(ingress::MAX_BODY + 1)).await.status, 413);
    for unknown in ["", "{}", "[]", r#"{"text": ""}"#, r#"{"text": "hi", "unknown": 1}"#] {
        assert_eq!(post(&world, "m", unknown).await.status, 400, "{unknown:?}");
    }
    world.assert_nothing_is_queued().await;
}

#[tokio::test]
async fn replies_are_not_posted_to_private_addresses() {
    let (address, posted) = system().await;
    let world = world(&address, false).await;
    assert_eq!(post(&world, "msg_1", r#"{"text": "hi"}"#).await.status, 202);
    world.work().await;
    assert!(posted.lock().unwrap().is_empty());
    let dead = world.stack.take(Queue::OutboundDeadLetters).await;
    assert!(dead[0].reason.as_deref().unwrap_or_default().contains("not a public address"), "{dead:?}");
}
