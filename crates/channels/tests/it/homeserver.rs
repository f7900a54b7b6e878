//! Matrix where things go wrong: a homeserver that gives the answers it was told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::{Json, Router};
use channels::SendError;
use channels::held::Ended;
use channels::matrix::{self, Chunk, Client, Invited};
use domain::{AccessPolicy, Address, ChatKind, Sender};
use serde_json::{Value, json};

use crate::holder::Holder;

const TOKEN: &str = "syt_secret";

#[derive(Default)]
struct World {
    /// Answers to syncs, or to sends.
    answers: VecDeque<(u16, Value)>,
    /// Answers to joins before they succeed.
    joins: VecDeque<(u16, Value)>,
    /// Path and query of each call.
    calls: Vec<String>,
}

struct Homeserver {
    client: Client,
    world: Arc<Mutex<World>>,
}

impl Homeserver {
    async fn start(answers: &[(u16, Value)]) -> Homeserver {
        let world = Arc::new(Mutex::new(World { answers: answers.iter().cloned().collect(), ..World::default() }));
        let app = Router::new().fallback(answer).with_state(world.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let _ = rustls::crypto::ring::default_provider().install_default();
        Homeserver { client: Client::new(reqwest::Client::new(), &base, TOKEN).unwrap(), world }
    }

    fn calls(&self, part: &str) -> Vec<String> {
        self.world.lock().unwrap().calls.iter().filter(|call| call.contains(part)).cloned().collect()
    }

    /// What is kept of a bot that has heard everything up to `since`.
    fn cursor(&self, since: &str) -> Option<Value> {
        Some(json!({
            "user": "@heron:example.org", "homeserver": self.client.homeserver().as_str(), "since": since, "told": [],
        }))
    }

    async fn run(&self, cursor: Option<Value>, holder: &Holder) -> Ended {
        let join = |_: &Address, _: &Sender| Invited::Join;
        let run = matrix::run(&self.client, &join, cursor, holder, holder.stop.clone());
        tokio::time::timeout(Duration::from_secs(20), run).await.unwrap()
    }
}

async fn answer(State(world): State<Arc<Mutex<World>>>, request: Request) -> (StatusCode, Json<Value>) {
    let uri = request.uri().to_string();
    let next = {
        let mut world = world.lock().unwrap();
        world.calls.push(uri.clone());
        if uri.contains("/whoami") {
            return (StatusCode::OK, Json(json!({ "user_id": "@heron:example.org" })));
        }
        if uri.contains("joined_members") {
            return (StatusCode::OK, Json(json!({ "joined": { "@heron:example.org": {}, "@ada:example.org": {} } })));
        }
        if uri.contains("/join") {
            return match world.joins.pop_front() {
                Some((status, body)) => (StatusCode::from_u16(status).unwrap(), Json(body)),
                None => (StatusCode::OK, Json(json!({ "room_id": "!den:example.org" }))),
            };
        }
        if !uri.contains("/sync") && !uri.contains("/send/") {
            return (StatusCode::NOT_FOUND, Json(json!({ "errcode": "M_NOT_FOUND", "error": "none" })));
        }
        world.answers.pop_front()
    };
    match next {
        Some((status, body)) => (StatusCode::from_u16(status).unwrap(), Json(body)),
        None => std::future::pending().await,
    }
}

fn batch(next: &str, texts: &[&str]) -> (u16, Value) {
    let event = |text: &&str| {
        json!({
            "type": "m.room.message", "event_id": format!("${text}"), "sender": "@ada:example.org",
            "origin_server_ts": 1, "content": { "msgtype": "m.text", "body": text },
        })
    };
    let events: Vec<Value> = texts.iter().map(event).collect();
    (
        200,
        json!({ "next_batch": next, "rooms": { "join": { "!marsh:example.org": { "timeline": { "events": events } } } } }),
    )
}

fn refusal(status: u16, code: &str) -> (u16, Value) {
    (status, json!({ "errcode": code, "error": format!("no, {TOKEN}") }))
}

#[tokio::test]
async fn the_first_sync_only_finds_out_where_to_begin() {
    let server = Homeserver::start(&[batch("s1", &["history"]), batch("s2", &["new"])]).await;
    let holder = Holder::stops_after(1);
    assert_eq!(server.run(None, &holder).await, Ended::Stopped);
    assert_eq!(holder.texts(), ["new"]);
    assert_eq!(holder.cursor(), server.cursor("s2"));
    let syncs = server.calls("/sync");
    assert!(!syncs[0].contains("since=") && syncs[1].contains("since=s1"), "{syncs:?}");
}

#[tokio::test]
async fn a_fenced_holder_moves_no_cursor() {
    let server = Homeserver::start(&[batch("s2", &["new"])]).await;
    let holder = Holder::fenced();
    assert_eq!(server.run(server.cursor("s1"), &holder).await, Ended::Fenced);
    assert_eq!(holder.cursor(), None);
}

#[tokio::test]
async fn pauses_are_kept_and_a_forgotten_place_is_begun_anew() {
    let pause = (429, json!({ "errcode": "M_LIMIT_EXCEEDED", "error": "slow", "retry_after_ms": 300 }));
    let server =
        Homeserver::start(&[pause, refusal(400, "M_UNKNOWN"), batch("s9", &["history"]), batch("s10", &["new"])]).await;
    let holder = Holder::stops_after(1);
    let start = Instant::now();
    assert_eq!(server.run(server.cursor("lost"), &holder).await, Ended::Stopped);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(holder.texts(), ["new"]);
}

#[tokio::test]
async fn anothers_place_is_not_gone_on_from() {
    for (user, homeserver) in [("@egret:example.org", None), ("@heron:example.org", Some("https://old.example.org/"))] {
        let server = Homeserver::start(&[batch("s1", &["history"]), batch("s2", &["new"])]).await;
        let mut cursor = server.cursor("s77").unwrap();
        cursor["user"] = user.into();
        if let Some(homeserver) = homeserver {
            cursor["homeserver"] = homeserver.into();
        }
        let holder = Holder::stops_after(1);
        assert_eq!(server.run(Some(cursor), &holder).await, Ended::Stopped);
        assert_eq!(holder.texts(), ["new"]);
        assert!(!server.calls("/sync")[0].contains("since="), "{user} {homeserver:?}");
    }
}

fn invitation(next: &str) -> (u16, Value) {
    let member = |user: &str, membership: &str| {
        json!({
            "type": "m.room.member", "state_key": user, "sender": "@ada:example.org",
            "content": { "membership": membership, "is_direct": true },
        })
    };
    let events = [member("@ada:example.org", "join"), member("@heron:example.org", "invite")];
    (
        200,
        json!({ "next_batch": next, "rooms": { "invite": { "!den:example.org": { "invite_state": { "events": events } } } } }),
    )
}

#[tokio::test]
async fn an_invitation_that_makes_trouble_holds_up_nothing_and_is_tried_again() {
    let server = Homeserver::start(&[invitation("s2"), batch("s3", &["one"]), batch("s4", &["two"])]).await;
    server.world.lock().unwrap().joins.extend([
        (502, json!({})),
        (429, json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 10 })),
        (504, json!({})),
    ]);
    // The bot listens on, and remembers what it owes.
    let holder = Holder::stops_after(2);
    assert_eq!(server.run(server.cursor("s1"), &holder).await, Ended::Stopped);
    assert_eq!(holder.texts(), ["one", "two"]);
    let cursor = holder.cursor().unwrap();
    assert_eq!(cursor["owed"][0]["room"], "!den:example.org", "{cursor}");

    // Another connection goes on with it.
    let next = Holder::default();
    let joined = async {
        let deadline = Instant::now() + Duration::from_secs(120);
        while server.calls("/join").len() < 4 {
            assert!(Instant::now() < deadline, "{:?}", server.calls("/join"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        next.stop.cancel();
    };
    let invited = |_: &Address, _: &Sender| Invited::Join;
    let run = matrix::run(&server.client, &invited, Some(cursor), &next, next.stop.clone());
    assert_eq!(tokio::join!(run, joined).0, Ended::Stopped);
}

#[tokio::test]
async fn an_idle_bot_notes_its_place_once() {
    let nothing = |next: &str| (200, json!({ "next_batch": next }));
    let server = Homeserver::start(&[nothing("s2"), nothing("s3"), nothing("s4")]).await;
    let holder = Holder::default();
    let heard = async {
        while server.calls("/sync").len() < 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        holder.stop.cancel();
    };
    assert_eq!(tokio::join!(server.run(server.cursor("s1"), &holder), heard).0, Ended::Stopped);
    assert_eq!(holder.cursor(), server.cursor("s2"), "what moved since is not worth a write");
}

#[tokio::test]
async fn a_withdrawn_token_is_tried_once_and_never_shown() {
    let server = Homeserver::start(&[refusal(401, "M_UNKNOWN_TOKEN"), batch("s2", &["new"])]).await;
    let ended = server.run(server.cursor("s1"), &Holder::default()).await;
    assert_eq!(ended, Ended::Unauthorised("status 401 M_UNKNOWN_TOKEN: no, <token>".to_owned()));
    assert_eq!(server.calls("/sync").len(), 1);
    assert!(!format!("{:?}", server.client).contains(TOKEN));
}

#[tokio::test]
async fn what_a_homeserver_does_not_take_is_told_apart() {
    let address = Address { kind: ChatKind::Group, chat: "!marsh:example.org".into(), thread: None, reply_to: None };
    let chunk = Chunk { html: "x".to_owned(), plain: "x".to_owned() };
    for (answer, expected) in [
        (refusal(403, "M_FORBIDDEN"), "nobody can be reached"),
        (refusal(413, "M_TOO_LARGE"), "refused the message"),
        (refusal(502, "M_UNKNOWN"), "try again later"),
        ((404, json!("<html>")), "try again later"),
        ((429, json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 7000 })), "a pause of 7 s"),
        (refusal(403, "M_USER_DEACTIVATED"), "ask the owner for a new one"),
    ] {
        let server = Homeserver::start(std::slice::from_ref(&answer)).await;
        let error: SendError = server.client.send_text(&address, &chunk, "turn.0/é").await.unwrap_err();
        assert!(error.to_string().contains(expected), "{answer:?} is {error}");
        let sends = server.calls("/send/");
        assert!(sends[0].ends_with("/rooms/!marsh:example.org/send/m.room.message/turn.0%2F%C3%A9"), "{sends:?}");
    }
}

#[test]
fn an_address_that_is_none_is_told() {
    for bad in ["", "matrix.example.org", "ftp://matrix.example.org", "https://user:pw@matrix.example.org"] {
        let _ = rustls::crypto::ring::default_provider().install_default();
        assert!(Client::new(reqwest::Client::new(), bad, TOKEN).is_err(), "{bad}");
    }
}

#[test]
fn who_may_write_may_invite() {
    let ada = Sender { id: "@ada:example.org".into(), name: None, username: Some("ada:example.org".into()) };
    let room = |kind| Address { kind, chat: "!marsh:example.org".into(), thread: None, reply_to: None };
    let by = |access: &AccessPolicy, kind| matrix::by_access(access, &room(kind), &ada) == Invited::Join;
    let pairing = AccessPolicy::default();
    assert!(by(&pairing, ChatKind::Direct), "how else would she get her code?");
    assert!(!by(&pairing, ChatKind::Group), "the group is not in the allowlist");
    let closed = AccessPolicy { dm_policy: domain::access::DmPolicy::Allowlist, ..AccessPolicy::default() };
    assert!(!by(&closed, ChatKind::Direct));
    let elsewhere = AccessPolicy { allow_from: vec!["@ada".into(), "@ada:evil.example".into()], ..closed.clone() };
    assert!(!by(&elsewhere, ChatKind::Direct), "the same name on another homeserver is another person");
    let listed = AccessPolicy { allow_from: vec!["@ada:example.org".into()], ..closed };
    assert!(by(&listed, ChatKind::Direct));
}
