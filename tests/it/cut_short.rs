//! Requests of the API that are cut short half-way: sent again, they are done, and what was done is not denied.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use domain::Task;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use testkit::cloud::{Call, Fate, Network};
use testkit::exchange;

use crate::api_world::{ApiWorld, call};

/// A network that breaks down after so many calls; or one on which calls of one kind never arrive.
#[derive(Debug)]
struct Frail {
    left: AtomicI64,
    without: Option<&'static str>,
}

impl Network for Frail {
    fn before(&self, call: &Call) -> BoxFuture<'static, Fate> {
        let is_down = self.left.fetch_sub(1, Ordering::Relaxed) <= 0;
        let fate = if is_down || self.without == Some(call.operation.as_str()) { Fate::Lose } else { Fate::Deliver };
        Box::pin(std::future::ready(fate))
    }

    fn after(&self, _: &Call) -> BoxFuture<'static, Fate> {
        Box::pin(std::future::ready(Fate::Deliver))
    }
}

impl ApiWorld {
    /// The API behind a network that is not to be relied upon.
    fn frail(&self, left: i64, without: Option<&'static str>) -> Router {
        self.process(Arc::new(Frail { left: AtomicI64::new(left), without }))
    }
}

#[tokio::test(start_paused = true)]
async fn a_clone_that_was_cut_short_anywhere_is_made_by_the_next_attempt() {
    let world = ApiWorld::begin().await;
    let api = &world.api;
    assert_eq!(call(api, "POST", "/v1/bots", Some(json!({ "name": "heron" }))).await.0, 201);
    for n in 0..3 {
        let job = json!({
            "name": format!("job {n}"),
            "schedule": { "kind": "every", "everyMs": 3_600_000 },
            "payload": { "kind": "systemEvent", "text": "tide" },
        });
        assert_eq!(call(api, "POST", "/v1/bots/heron/schedules", Some(job)).await.0, 201);
    }
    let mut cut = 0;
    for calls in 1.. {
        let name = format!("gull {calls}");
        let clone = json!({ "name": name, "memory": true });
        let path = "/v1/bots/heron/clone";
        let (status, answer) = call(&world.frail(calls, None), "POST", path, Some(clone.clone())).await;
        if status >= 500 {
            cut += 1;
            assert_eq!(call(api, "POST", path, Some(clone)).await.0, 201, "cut short after {calls} calls");
        } else {
            assert_eq!(status, 201, "{answer}");
        }
        let (_, schedules) = call(api, "GET", &format!("/v1/bots/gull%20{calls}/schedules"), None).await;
        assert_eq!(schedules["items"].as_array().unwrap().len(), 3, "cut short after {calls} calls");
        if status == 201 {
            break;
        }
        assert!(calls < 300, "it never gets through");
    }
    assert!(cut > 10, "only {cut} attempts were cut short");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_given_although_it_is_not_remembered_where_its_conversation_goes_on() {
    let world = ApiWorld::begin().await;
    assert_eq!(call(&world.api, "POST", "/v1/bots", Some(json!({ "name": "heron" }))).await.0, 201);
    // Where a conversation goes on is the only row that these requests put alone.
    let frail = world.frail(i64::MAX, Some("PutItem"));
    let said = json!([{ "role": "user", "content": "What time is it?" }]);
    for (path, body, text) in [
        ("/v1/chat/completions", json!({ "model": "heron", "messages": said }), "/choices/0/message/content"),
        ("/v1/responses", json!({ "model": "heron", "input": said }), "/output/0/content/0/text"),
    ] {
        let before = world.cloud.sent("turns.fifo").len();
        let turn = async {
            let task = loop {
                if let Some(task) = world.cloud.sent("turns.fifo").into_iter().nth(before) {
                    break Task::from_body(&task.body).unwrap();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            let Task::Message(inbound) = task else { panic!("{task:?}") };
            exchange::answer(&world.environment, &inbound, "Noon.").await;
        };
        let ((status, answer), ()) = tokio::join!(call(&frail, "POST", path, Some(body)), turn);
        assert_eq!(status, 200, "{path}: {answer}");
        assert_eq!(answer.pointer(text).and_then(Value::as_str), Some("Noon."), "{answer}");
    }
}
