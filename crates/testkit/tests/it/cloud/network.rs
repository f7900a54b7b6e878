//! Requests and answers that are lost, and workers that die.

use std::sync::Mutex;
use std::time::Duration;

use domain::turn::Head;
use futures::future::BoxFuture;
use testkit::cloud::{Call, Fate};
use tokio::time::Instant;

use super::*;

/// Loses the first requests or answers of one operation.
#[derive(Debug)]
struct Loses {
    operation: &'static str,
    requests: Mutex<u32>,
    answers: Mutex<u32>,
}

impl Loses {
    fn new(operation: &'static str, requests: u32, answers: u32) -> Loses {
        Loses { operation, requests: Mutex::new(requests), answers: Mutex::new(answers) }
    }

    fn fate(&self, call: &Call, left: &Mutex<u32>) -> BoxFuture<'static, Fate> {
        let mut left = left.lock().unwrap();
        let lose = call.operation == self.operation && *left > 0;
        *left -= u32::from(lose);
        Box::pin(std::future::ready(if lose { Fate::Lose } else { Fate::Deliver }))
    }
}

impl Network for Loses {
    fn before(&self, call: &Call) -> BoxFuture<'static, Fate> {
        self.fate(call, &self.requests)
    }

    fn after(&self, call: &Call) -> BoxFuture<'static, Fate> {
        self.fate(call, &self.answers)
    }
}

fn attempts(cloud: &Cloud, operation: &str) -> usize {
    cloud.calls().iter().filter(|call| call.operation == operation).count()
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_is_recognised_by_its_token() {
    let cloud = Cloud::new();
    let worker = worker(&cloud, Loses::new("TransactWriteItems", 1, 1));
    let session = SessionKey::main("main");
    let start = Instant::now();
    let head = commit(&worker, &session, &Head::default(), 1).await.unwrap();
    assert_eq!(attempts(&cloud, "TransactWriteItems"), 3, "lost on the way, lost on the way back, answered");
    assert!(start.elapsed() > Duration::ZERO && start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let loaded = worker.store.account(account()).session_load(bot(), &session).await.unwrap();
    assert_eq!((loaded.head, loaded.entries), (head, exchange(0, 1)));
    let keys: Vec<String> = cloud.calls().into_iter().map(|call| call.to_string()).collect();
    let pk = format!("{}#{}#s#{session}", account(), bot());
    assert_eq!(keys[0], format!("DynamoDB TransactWriteItems {pk}/head"));
    assert_eq!(keys[3], format!("DynamoDB Query {pk}/"));
    cloud.clear_calls();
    assert!(cloud.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_sdk_gives_up_after_three_attempts() {
    let cloud = Cloud::new();
    let worker = worker(&cloud, Loses::new("TransactWriteItems", 0, 3));
    let session = SessionKey::main("main");
    let unknown = commit(&worker, &session, &Head::default(), 1).await;
    assert!(matches!(unknown, Err(StoreError::Unavailable { .. })), "{unknown:?}");
    assert_eq!(attempts(&cloud, "TransactWriteItems"), 3);
    // It took effect all the same.
    let again = commit(&worker, &session, &Head::default(), 1).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_acknowledgement_is_lost_is_queued_once() {
    let cloud = Cloud::new();
    let worker = worker(&cloud, Loses::new("SendMessageBatch", 0, 1));
    worker.queues.send_all(&[delivery(1, "a"), delivery(2, "a")]).await.unwrap();
    assert_eq!(attempts(&cloud, "SendMessageBatch"), 2);
    assert_eq!(cloud.queue_len("outbound.fifo"), 2);
    let call = cloud.calls().remove(0).to_string();
    assert!(call.starts_with("SQS SendMessageBatch outbound.fifo link_") && call.ends_with("/a"), "{call}");
}

#[tokio::test(start_paused = true)]
async fn objects_survive_losses_too() {
    let cloud = Cloud::new();
    let worker = worker(&cloud, Loses::new("PutObject", 1, 1));
    let state = worker.store.account(account());
    state.workspace_put(bot(), "SOUL.md", "kind").await.unwrap();
    assert_eq!(attempts(&cloud, "PutObject"), 3);
    assert_eq!(state.workspace_get(bot(), "SOUL.md").await.unwrap().as_deref(), Some("kind"));
}

/// Never answers.
#[derive(Debug)]
struct Hangs;

impl Network for Hangs {
    fn before(&self, _: &Call) -> BoxFuture<'static, Fate> {
        Box::pin(std::future::ready(Fate::Deliver))
    }

    fn after(&self, _: &Call) -> BoxFuture<'static, Fate> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_dropped_while_it_waits_leaves_what_took_effect() {
    let (cloud, healthy) = calm_world();
    let hanging = worker(&cloud, Hangs);
    let session = SessionKey::main("main");
    let killed = tokio::time::timeout(Duration::from_secs(60), commit(&hanging, &session, &Head::default(), 1)).await;
    assert!(killed.is_err());
    let loaded = healthy.store.account(account()).session_load(bot(), &session).await.unwrap();
    assert_eq!((loaded.head.next_seq, loaded.entries), (2, exchange(0, 1)));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_world() {
    let run = async || {
        fastrand::seed(7);
        let cloud = Cloud::new();
        let start = Instant::now();
        let worker = worker(&cloud, Loses::new("TransactWriteItems", 2, 0));
        commit(&worker, &SessionKey::main("main"), &Head::default(), 1).await.unwrap();
        worker.queues.send(&delivery(1, "a")).await.unwrap();
        (cloud.calls(), cloud.rows(), start.elapsed())
    };
    assert_eq!(run().await, run().await);
}
