//! Requests that are sent again: by somebody who did not hear the answer, by two at once, and after the process died half-way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::response::Parts;
use domain::{Account, AccountId, KeyId, Timestamp};
use futures::future::{BoxFuture, join_all, pending, ready};
use runtime::{Clock, Entropy, Environment};
use serde_json::{Value, json};
use testkit::cloud::{Call, Calm, Cloud, Fate, Network};
use tokio::time::timeout;
use tower::ServiceExt;

const KEY: &str = "lt_owner";
const OTHER_KEY: &str = "lt_other";

/// An account in a cloud, whose processes come and go.
struct World {
    cloud: Cloud,
    clock: Arc<AtomicU64>,
    random: Arc<AtomicU64>,
    account: AccountId,
}

/// A process that dies at one of its calls to AWS: before it is sent, or when its answer is on its way.
#[derive(Debug)]
struct Mortal {
    calls_left: AtomicI64,
    dies_after: bool,
}

impl Mortal {
    fn fate(&self, is_after: bool) -> BoxFuture<'static, Fate> {
        let is_dead = match is_after == self.dies_after {
            true => self.calls_left.fetch_sub(1, Ordering::Relaxed) <= 0,
            false => self.calls_left.load(Ordering::Relaxed) < 0,
        };
        if is_dead { Box::pin(pending()) } else { Box::pin(ready(Fate::Deliver)) }
    }
}

impl Network for Mortal {
    fn before(&self, _: &Call) -> BoxFuture<'static, Fate> {
        self.fate(false)
    }

    fn after(&self, _: &Call) -> BoxFuture<'static, Fate> {
        self.fate(true)
    }
}

impl World {
    async fn begin() -> World {
        let (cloud, clock) = (Cloud::new(), Arc::new(AtomicU64::new(1_795_341_600_000)));
        let account = AccountId::from_parts(Timestamp::from_millis(clock.load(Ordering::Relaxed)), 1);
        let world = World { cloud, clock, random: Arc::new(AtomicU64::new(1)), account };
        let environment = world.environment(Arc::new(Calm));
        let now = environment.clock.now();
        let store = environment.store.account(account);
        let record = Account { id: account, name: "Ada".to_owned(), budget: Default::default(), created_at: now };
        store.account_put(&record).await.unwrap();
        for (n, key) in [KEY, OTHER_KEY].into_iter().enumerate() {
            store.api_key_create(KeyId::from_parts(now, n as u128), "test", None, key, now).await.unwrap();
        }
        world
    }

    fn environment(&self, network: Arc<dyn Network>) -> Environment {
        let (clock, random) = (self.clock.clone(), self.random.clone());
        let clock = Clock::from_fn(move || Timestamp::from_millis(clock.load(Ordering::Relaxed)));
        let entropy = Entropy::from_fn(move || u128::from(random.fetch_add(1, Ordering::Relaxed)) << 64 | 7);
        self.cloud.environment(network, clock, entropy)
    }

    /// A process of the API.
    fn process(&self, network: Arc<dyn Network>) -> Router {
        api::router(self.environment(network))
    }

    fn pass(&self, time: Duration) {
        self.clock.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    async fn keys(&self) -> BTreeSet<String> {
        let keys = self.environment(Arc::new(Calm)).store.account(self.account).api_key_list().await.unwrap();
        keys.into_iter().map(|key| key.id.to_string()).collect()
    }

    async fn lines_of_audit(&self) -> usize {
        let store = self.environment(Arc::new(Calm)).store;
        store.account(self.account).audit_page(&store::PageRange::default()).await.unwrap().items.len()
    }
}

async fn post(api: &Router, by: &str, key: &str, path: &str, body: Value) -> (Parts, String) {
    let request = Request::post(path)
        .header("authorization", format!("Bearer {by}"))
        .header("content-type", "application/json")
        .header("idempotency-key", key)
        .body(Body::from(body.to_string()));
    let (parts, body) = api.clone().oneshot(request.unwrap()).await.unwrap().into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    (parts, String::from_utf8(bytes.into()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_request_is_done_once_and_answered_as_often_as_it_is_sent() {
    let world = World::begin().await;
    let api = world.process(Arc::new(Calm));
    let body = json!({ "name": "heron" });
    let (first, answer) = post(&api, KEY, "\"k 1\"", "/v1/bots", body.clone()).await;
    assert_eq!((first.status.as_u16(), first.headers.contains_key("idempotency-replayed")), (201, false), "{answer}");
    // Another process, and the same key written otherwise.
    let (again, same) = post(&world.process(Arc::new(Calm)), KEY, "k 1", "/v1/bots", body.clone()).await;
    assert_eq!((again.status, &same), (first.status, &answer));
    for header in ["content-type", "location", "etag"] {
        assert_eq!(again.headers[header], first.headers[header], "{header}");
    }
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(world.lines_of_audit().await, 1, "it was done once");

    let (other, refusal) = post(&api, KEY, "k 1", "/v1/bots", json!({ "name": "gull" })).await;
    assert_eq!(other.status, 422, "{refusal}");
    let (other, refusal) = post(&api, KEY, "k 1", "/v1/bots/heron/pause", body.clone()).await;
    assert_eq!(other.status, 422, "{refusal}");
    // Another caller's keys are their own, and a refusal is not kept.
    for name in ["heron", "gull"] {
        let (theirs, answer) = post(&api, OTHER_KEY, "k 1", "/v1/bots", json!({ "name": name })).await;
        assert_eq!(theirs.status, if name == "heron" { 409 } else { 201 }, "{answer}");
    }
    for bad in ["", "\"\"", &"x".repeat(256)] {
        assert_eq!(post(&api, KEY, bad, "/v1/bots", body.clone()).await.0.status, 400);
    }
    world.pass(store::REQUEST_TTL);
    assert_eq!(post(&api, KEY, "k 1", "/v1/bots", body).await.0.status, 409, "after a day it is a new request");
}

#[tokio::test(start_paused = true)]
async fn secrets_in_answers_are_kept_under_encryption() {
    let world = World::begin().await;
    let api = world.process(Arc::new(Calm));
    let (made, answer) = post(&api, KEY, "k", "/v1/keys", json!({ "name": "script" })).await;
    assert_eq!(made.status, 201);
    let secret = serde_json::from_str::<Value>(&answer).unwrap()["secret"].as_str().unwrap().to_owned();
    let rows: Vec<String> = world.cloud.rows().into_iter().map(|(pk, sk, item)| format!("{pk} {sk} {item}")).collect();
    assert!(rows.iter().any(|row| row.contains("request#")), "nothing is kept");
    assert!(rows.iter().all(|row| !row.contains(&secret)), "a secret is kept in the open");
    let (_, again) = post(&api, KEY, "k", "/v1/keys", json!({ "name": "script" })).await;
    assert_eq!(again, answer, "who lost the answer gets it again");
}

#[tokio::test(start_paused = true)]
async fn of_many_at_once_one_is_done() {
    let world = World::begin().await;
    let before = world.keys().await.len();
    let processes: Vec<Router> = (0..8).map(|_| world.process(Arc::new(Calm))).collect();
    let body = json!({ "name": "script" });
    let answers = join_all(processes.iter().map(|api| post(api, KEY, "k", "/v1/keys", body.clone()))).await;
    assert_eq!(world.keys().await.len(), before + 1);
    let done: Vec<&String> = answers.iter().filter(|(parts, _)| parts.status == 201).map(|(_, text)| text).collect();
    assert!(!done.is_empty() && done.iter().all(|text| *text == done[0]), "{answers:?}");
    for (parts, text) in answers.iter().filter(|(parts, _)| parts.status != 201) {
        assert_eq!(parts.status, 409, "{text}");
        assert!(parts.headers.contains_key("retry-after"), "{text}");
    }
}

/// The process dies at each of its calls in turn.
#[tokio::test(start_paused = true)]
async fn what_a_dead_process_left_is_refused_for_a_minute_and_then_done() {
    let body = json!({ "name": "script" });
    let (mut deaths, mut kept) = (0, 0);
    for dies_after in [false, true] {
        for calls in 0.. {
            let world = World::begin().await;
            let before = world.keys().await.len();
            let mortal = world.process(Arc::new(Mortal { calls_left: AtomicI64::new(calls), dies_after }));
            let first = timeout(Duration::from_secs(1), post(&mortal, KEY, "k", "/v1/keys", body.clone())).await;
            if first.is_ok() {
                break;
            }
            deaths += 1;
            let api = world.process(Arc::new(Calm));
            let (mut parts, mut answer) = post(&api, KEY, "k", "/v1/keys", body.clone()).await;
            if parts.status == 409 {
                assert_eq!(post(&api, KEY, "k", "/v1/keys", json!({ "name": "other" })).await.0.status, 422);
                world.pass(store::REQUEST_LEASE);
                (parts, answer) = post(&api, KEY, "k", "/v1/keys", body.clone()).await;
            } else {
                kept += usize::from(parts.headers.contains_key("idempotency-replayed"));
            }
            let what = format!("dead at call {calls} (after: {dies_after})");
            assert_eq!(parts.status, 201, "{what}: {answer}");
            let made = world.keys().await.len() - before;
            assert!((1..=2).contains(&made), "{what}: {made} keys");
            let (_, again) = post(&api, KEY, "k", "/v1/keys", body.clone()).await;
            assert_eq!(again, answer, "{what}");
            assert_eq!(world.keys().await.len() - before, made, "{what}");
        }
    }
    assert!(deaths > 8 && kept > 0, "{deaths} deaths, of them {kept} behind the answer");
}
