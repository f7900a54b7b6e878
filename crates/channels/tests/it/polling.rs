//! Telegram's long poll against a server that keeps updates as Telegram does: until an offset beyond them is asked for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Json, Router};
use channels::held::Ended;
use channels::telegram::{Client, polling};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::holder::Holder;

const TOKEN: &str = "123456:AA-secret_token";

#[derive(Default)]
struct World {
    updates: Vec<Value>,
    /// Answers to come before any update: status and body.
    trouble: Vec<(u16, Value)>,
    /// What was called, with the offset that it asked for.
    calls: Vec<(String, Option<i64>)>,
    webhook: Option<&'static str>,
}

type Shared = Arc<(Mutex<World>, Notify)>;

struct Server {
    client: Client,
    world: Shared,
}

impl Server {
    async fn start() -> Server {
        let world = Shared::default();
        let app = Router::new().route("/{bot}/{method}", axum::routing::post(answer)).with_state(world.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let _ = rustls::crypto::ring::default_provider().install_default();
        Server { client: Client::new(reqwest::Client::new(), &base), world }
    }

    fn say(&self, id: i64, text: &str) {
        let chat = json!({ "id": 5, "type": "private" });
        let from = json!({ "id": 5, "is_bot": false, "first_name": "Ada" });
        let message = json!({ "message_id": id, "date": 1_795_000_000, "chat": chat, "from": from, "text": text });
        self.push(json!({ "update_id": id, "message": message }));
    }

    fn push(&self, update: Value) {
        self.world.0.lock().unwrap().updates.push(update);
        self.world.1.notify_waiters();
    }

    fn trouble(&self, status: u16, description: &str) {
        let body = json!({ "ok": false, "error_code": status, "description": description });
        self.world.0.lock().unwrap().trouble.push((status, body));
    }

    fn calls(&self) -> Vec<(String, Option<i64>)> {
        self.world.0.lock().unwrap().calls.clone()
    }

    async fn run(&self, cursor: Option<Value>, holder: &Holder) -> Ended {
        let run = polling::run(&self.client, TOKEN, Some("heron_bot"), cursor, holder, holder.stop.clone());
        tokio::time::timeout(Duration::from_secs(20), run).await.unwrap()
    }
}

async fn answer(
    State(world): State<Shared>,
    Path((_, method)): Path<(String, String)>,
    Json(params): Json<Value>,
) -> (StatusCode, Json<Value>) {
    loop {
        let changed = world.1.notified();
        {
            let mut world = world.0.lock().unwrap();
            let offset = params["offset"].as_i64();
            world.calls.push((method.clone(), offset));
            if method == "deleteWebhook" {
                assert_eq!(params["drop_pending_updates"], false, "what waits is not thrown away");
                world.webhook = None;
                return (StatusCode::OK, Json(json!({ "ok": true, "result": true })));
            }
            if let Some(url) = world.webhook {
                let text = format!("Conflict: can't use getUpdates method while webhook is active; {url}");
                return (StatusCode::CONFLICT, Json(json!({ "ok": false, "error_code": 409, "description": text })));
            }
            if !world.trouble.is_empty() {
                let (status, body) = world.trouble.remove(0);
                return (StatusCode::from_u16(status).unwrap(), Json(body));
            }
            if let Some(offset) = offset {
                world.updates.retain(|update| update["update_id"].as_i64() >= Some(offset));
            }
            if !world.updates.is_empty() || params["timeout"] == 0 {
                return (StatusCode::OK, Json(json!({ "ok": true, "result": world.updates })));
            }
        }
        changed.await;
    }
}

#[tokio::test]
async fn what_was_accepted_is_confirmed_and_nothing_else() {
    let server = Server::start().await;
    server.say(7, "one");
    server.push(json!({ "update_id": 8, "message": "not a message" }));
    server.say(9, "two");
    let holder = Holder::stops_after(2);
    assert_eq!(server.run(None, &holder).await, Ended::Stopped);
    assert_eq!(holder.texts(), ["one", "two"]);
    assert_eq!(holder.cursor(), Some(json!({ "bot": "123456", "offset": 10 })), "beyond what cannot be read as well");
    assert_eq!(server.world.0.lock().unwrap().updates.len(), 3, "Telegram was not told yet");

    // Another holder goes on from the cursor.
    server.say(10, "three");
    let next = Holder::stops_after(1);
    assert_eq!(server.run(holder.cursor(), &next).await, Ended::Stopped);
    assert_eq!(next.texts(), ["three"]);

    // A holder without that cursor gets again what nobody confirmed, under the same ids.
    let amnesiac = Holder::stops_after(1);
    server.run(None, &amnesiac).await;
    assert_eq!(amnesiac.ids(), next.ids());
}

#[tokio::test]
async fn the_offset_of_another_bot_confirms_nothing() {
    let server = Server::start().await;
    server.say(7, "one");
    let holder = Holder::stops_after(1);
    let cursor = json!({ "bot": "654321", "offset": 900 });
    assert_eq!(server.run(Some(cursor), &holder).await, Ended::Stopped);
    assert_eq!(holder.texts(), ["one"]);
}

#[tokio::test]
async fn a_fenced_holder_confirms_nothing() {
    let server = Server::start().await;
    server.say(7, "one");
    let holder = Holder::fenced();
    assert_eq!(server.run(None, &holder).await, Ended::Fenced);
    assert_eq!(holder.cursor(), None);
    assert_eq!(server.calls(), [("getUpdates".to_owned(), None)]);
}

#[tokio::test]
async fn a_webhook_is_removed_once_and_not_fought_over() {
    let server = Server::start().await;
    server.world.0.lock().unwrap().webhook = Some("https://old.example");
    server.say(7, "one");
    let holder = Holder::stops_after(1);
    assert_eq!(server.run(None, &holder).await, Ended::Stopped);
    let methods: Vec<String> = server.calls().into_iter().map(|(method, _)| method).take(3).collect();
    assert_eq!(methods, ["getUpdates", "deleteWebhook", "getUpdates"]);

    let fought = Server::start().await;
    for _ in 0..2 {
        fought.trouble(409, "Conflict: can't use getUpdates method while webhook is active");
    }
    let ended = fought.run(None, &Holder::default()).await;
    assert!(
        matches!(&ended, Ended::Misconfigured(why) if why.contains("set a webhook for this bot again")),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_refused_token_is_tried_once() {
    let server = Server::start().await;
    server.trouble(401, "Unauthorized");
    assert_eq!(server.run(None, &Holder::default()).await, Ended::Unauthorised("Unauthorized".to_owned()));
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn pauses_are_kept_and_trouble_on_the_way_ends_it() {
    let server = Server::start().await;
    let limited =
        json!({ "ok": false, "error_code": 429, "description": "Too Many", "parameters": { "retry_after": 1 } });
    server.world.0.lock().unwrap().trouble.push((429, limited));
    server.trouble(502, "Bad Gateway");
    let start = std::time::Instant::now();
    let ended = server.run(None, &Holder::default()).await;
    assert!(matches!(&ended, Ended::Lost(why) if why.contains("Bad Gateway")), "{ended:?}");
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_poll_that_waits_is_stopped_at_once() {
    let server = Server::start().await;
    let holder = Holder::default();
    let stop: CancellationToken = holder.stop.clone();
    let connected = async {
        holder.connected.notified().await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(server.run(None, &holder), connected);
    assert_eq!(ended, Ended::Stopped);
}

#[tokio::test]
async fn another_poller_is_borne_for_a_while() {
    let server = Server::start().await;
    server.trouble(
        409,
        "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
    );
    server.say(7, "one");
    let holder = Holder::stops_after(1);
    assert_eq!(server.run(None, &holder).await, Ended::Stopped, "a hand-over's overlap");
    assert_eq!(holder.texts(), ["one"]);
}
