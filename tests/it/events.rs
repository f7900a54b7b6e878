//! What happens in an account is told to who listens, as far as their key allows, and costs nothing while nobody does.

use std::time::Duration;

use api::scope::Scope;
use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use domain::{Bot, DeadLetterId, Inbound, KeyId, Task};
use futures::StreamExt;
use serde_json::{Value, json};
use store::{DeadLetter, DeadLetterStatus, Notice};
use testkit::exchange;
use testkit::stack::draft_bot;
use tower::ServiceExt;

use crate::api_world::{ApiWorld, KEY};

/// A key that sees bots and nothing else.
const NARROW: &str = "lt_narrow";

/// A world with a second key, which sees bots and nothing else.
async fn world() -> ApiWorld {
    let world = ApiWorld::begin().await;
    let (now, scopes) = (world.environment.clock.now(), Some(vec![Scope::BotsRead.to_string()]));
    let account = world.environment.store.account(world.account);
    account.api_key_create(KeyId::from_parts(now, 2), "narrow", scopes, NARROW, now).await.unwrap();
    world
}

impl ApiWorld {
    /// Lets the clock of the machines go on.
    fn later(&self) {
        self.pass(Duration::from_secs(10));
    }

    async fn bot(&self, name: &str) -> Bot {
        let bot = draft_bot(&self.environment, self.account, name);
        self.environment.store.account(self.account).bot_create(&bot).await.unwrap();
        bot
    }

    async fn post(&self, path: &str, body: Value) {
        let request = Request::post(path).header("authorization", format!("Bearer {KEY}"));
        let request = request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap();
        let status = self.api.clone().oneshot(request).await.unwrap().status();
        assert!(status.is_success(), "{path}: {status}");
    }

    async fn open(&self, key: &str, query: &str, last: Option<&str>) -> Events {
        let request = Request::get(format!("/v1/events{query}")).header("authorization", format!("Bearer {key}"));
        let request = last.into_iter().fold(request, |request, last| request.header("last-event-id", last));
        let answer = self.api.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        Events { body: answer.into_body().into_data_stream(), text: String::new(), last: String::new() }
    }

    /// A message to the bot that was queued.
    async fn said(&self, bot: &str, conversation: &str) -> Inbound {
        self.post(&format!("/v1/bots/{bot}/chat"), json!({ "text": "hello", "conversation": conversation })).await;
        match Task::from_body(&self.cloud.sent("turns.fifo").pop().unwrap().body) {
            Ok(Task::Message(inbound)) => *inbound,
            other => panic!("{other:?}"),
        }
    }
}

/// A stream as a browser reads it.
struct Events {
    body: BodyDataStream,
    text: String,
    /// The id of the last event.
    last: String,
}

impl Events {
    /// The next event with data; `None`: the stream has ended.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n").map(|(a, b)| (a.to_owned(), b.to_owned())) {
                self.text = rest;
                let of = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                if let Some(id) = of("id:") {
                    self.last = id.to_owned();
                }
                if let (Some(kind), Some(data)) = (of("event:"), of("data:")) {
                    return Some((kind.to_owned(), serde_json::from_str(data).unwrap()));
                }
            }
            let chunk = self.body.next().await?.unwrap();
            self.text += std::str::from_utf8(&chunk).unwrap();
        }
    }

    /// The kinds of all events until the stream ends.
    async fn rest(&mut self) -> Vec<String> {
        let mut kinds = Vec::new();
        while let Some((kind, _)) = self.next().await {
            kinds.push(kind);
        }
        kinds
    }
}

#[tokio::test(start_paused = true)]
async fn everything_that_happens_is_told_once() {
    let world = world().await;
    let bot = world.bot("heron").await;
    let old = world.said("heron", "old").await;
    exchange::answer(&world.environment, &old, "Noon.").await;
    world.later();

    let mut events = world.open(KEY, "", None).await;
    let nothing = tokio::time::timeout(Duration::from_secs(20), events.next()).await;
    assert!(nothing.is_err(), "what was before is no news: {nothing:?}");
    world.later();
    let work = world.said("heron", "work").await;
    exchange::answer(&world.environment, &work, "Noon.").await;
    world.post("/v1/bots/heron/pause", json!({})).await;
    let state = world.environment.store.account(world.account);
    let now = world.environment.clock.now();
    let notice = Notice { about: "budget".to_owned(), bot: Some(bot.id), text: "Look.".to_owned(), at: now };
    assert!(state.notice_put(&notice).await.unwrap());
    let letter = DeadLetter {
        id: DeadLetterId::from_parts(now, 7),
        queue: "turns".to_owned(),
        task: Task::Message(Box::new(work.clone())),
        reason: "no".to_owned(),
        failed_at: now,
        status: DeadLetterStatus::Open,
        version: 0,
    };
    world.environment.store.dead_letter_record(&letter).await.unwrap();
    let mut told = Vec::new();
    while let Some((kind, data)) = events.next().await {
        match kind.as_str() {
            "session" => assert_eq!(
                (&data["session"], &data["next"], &data["busy"]),
                (&json!(work.session), &json!(2), &json!(false))
            ),
            "bot" => assert_eq!((&data["name"], &data["status"]), (&json!("heron"), &json!("paused"))),
            "notice" => assert_eq!(data["text"], "Look."),
            "dead_letter" => assert_eq!((&data["reason"], data.get("task")), (&json!("no"), None)),
            other => panic!("{other}: {data}"),
        }
        told.push(kind);
    }
    told.sort();
    assert_eq!(told, ["bot", "dead_letter", "notice", "session"], "and the stream has ended by itself");

    // A stream that goes on behind the last one tells what was between them.
    let last = events.last.clone();
    world.later();
    world.post("/v1/bots/heron/resume", json!({})).await;
    let asked = world.said("heron", "asked").await;
    exchange::ask(&world.environment, &asked, "K7Q2X", "May I?").await;
    let mut events = world.open(KEY, "", Some(&last)).await;
    let (mut first, mut second) = (events.next().await.unwrap(), events.next().await.unwrap());
    if first.0 != "bot" {
        std::mem::swap(&mut first, &mut second);
    }
    assert_eq!((first.0.as_str(), &first.1["status"]), ("bot", &json!("active")));
    assert_eq!((second.0.as_str(), &second.1["code"]), ("approval", &json!("K7Q2X")));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_told_what_it_may_read_and_of_the_bot_that_it_asks_for() {
    let world = world().await;
    world.bot("heron").await;
    world.bot("gull").await;
    world.later();
    let mut narrow = world.open(NARROW, "", None).await;
    let mut gull = world.open(KEY, "?bot=gull", None).await;
    for events in [&mut narrow, &mut gull] {
        assert!(tokio::time::timeout(Duration::from_secs(1), events.next()).await.is_err());
    }
    world.later();
    let asked = world.said("heron", "work").await;
    exchange::ask(&world.environment, &asked, "K7Q2X", "May I?").await;
    world.post("/v1/bots/heron/pause", json!({})).await;
    let (narrow, gull) = tokio::join!(narrow.rest(), gull.rest());
    assert_eq!(narrow, ["bot"], "neither what was said nor what is asked");
    assert_eq!(gull, Vec::<String>::new(), "all of it is another bot's");
}

#[tokio::test(start_paused = true)]
async fn a_stream_costs_a_read_or_two_a_second() {
    let world = world().await;
    for n in 0..30 {
        world.bot(&format!("bot {n}")).await;
    }
    let mut events = world.open(KEY, "", None).await;
    world.cloud.clear_calls();
    assert_eq!(events.rest().await, Vec::<String>::new());
    let calls = world.cloud.calls();
    let reads = calls.iter().filter(|call| call.service == "DynamoDB").count();
    assert!((50..=100).contains(&reads), "{reads} reads in a minute");
    assert!(
        calls.iter().all(|call| matches!(call.operation.as_str(), "Query" | "GetItem" | "ReceiveMessage")),
        "{calls:?}"
    );
}
