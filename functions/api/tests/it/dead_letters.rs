//! Dead letters: recorded once, replayed or discarded by their owner.

use std::time::Duration;

use api::views::{ChatAccepted, DeadLetterView, Items};
use domain::Task;
use queues::Queue;
use serde_json::json;
use store::DeadLetterStatus;

use crate::harness::Api;

/// Has a message of web chat fail for good.
async fn bury(api: &Api, text: &str) -> Task {
    let _: ChatAccepted = api.post("/v1/bots/Tidy/chat", json!({ "text": text })).await.read(202);
    let task = api.take_tasks(Queue::Turns).await.remove(0);
    api.environment.queues.bury(&task, text, "the model refused it").await.unwrap();
    task
}

async fn list(api: &Api) -> Vec<DeadLetterView> {
    api.get("/v1/dead-letters").await.read::<Items<DeadLetterView>>(200).items
}

#[tokio::test]
async fn a_letter_is_replayed_once() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    assert!(list(&api).await.is_empty());
    let task = bury(&api, "hello").await;

    let letters = list(&api).await;
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!((letter.bot, letter.queue.as_str(), letter.status), (Some(bot.id), "turns", DeadLetterStatus::Open));
    assert_eq!((letter.reason.as_str(), &letter.task), ("the model refused it", &None));
    assert_eq!(list(&api).await.len(), 1);
    let path = format!("/v1/dead-letters/{}", letter.id);
    assert_eq!(api.get(&path).await.read::<DeadLetterView>(200).task, Some(task.clone()));

    let post = async |path: String| api.call_as(&api.key, "POST", &path, None).await;
    let replayed: DeadLetterView = post(format!("{path}/replay")).await.read(200);
    assert_eq!(replayed.status, DeadLetterStatus::Replayed);
    assert_eq!(api.take_tasks(Queue::Turns).await, std::slice::from_ref(&task));
    assert_eq!(post(format!("{path}/replay")).await.read::<DeadLetterView>(200), replayed);
    assert!(api.take_tasks(Queue::Turns).await.is_empty());
    let forced: DeadLetterView = post(format!("{path}/replay?force=true")).await.read(200);
    assert_eq!(forced.version, replayed.version + 1);
    assert_eq!(api.take_tasks(Queue::Turns).await, [task]);
    post(format!("{path}/discard")).await.problem(409);
}

#[tokio::test]
async fn a_letter_is_discarded() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    bury(&api, "one").await;
    // Letters of one millisecond have no order.
    tokio::time::sleep(Duration::from_millis(2)).await;
    bury(&api, "two").await;
    let letters = list(&api).await;
    assert_eq!(letters.len(), 2);
    assert!(letters[0].id > letters[1].id, "the newest comes first");
    let path = format!("/v1/dead-letters/{}", letters[0].id);
    for _ in 0..2 {
        let discarded: DeadLetterView = api.call_as(&api.key, "POST", &format!("{path}/discard"), None).await.read(200);
        assert_eq!(discarded.status, DeadLetterStatus::Discarded);
    }
    let detail = api.call_as(&api.key, "POST", &format!("{path}/replay"), None).await.problem(409);
    assert!(detail.contains("force=true"), "{detail}");
    assert!(api.take_tasks(Queue::Turns).await.is_empty());

    api.get("/v1/dead-letters/dead_1").await.problem(404);
    let stranger = api.other_key().await;
    api.call_as(&stranger, "GET", &path, None).await.problem(404);
    api.call_as(&stranger, "POST", &format!("{path}/replay?force=true"), None).await.problem(404);
    let theirs: Items<DeadLetterView> = api.call_as(&stranger, "GET", "/v1/dead-letters", None).await.read(200);
    assert!(theirs.items.is_empty());
}

#[tokio::test]
async fn what_is_not_a_task_stays_in_its_queue() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let record = queues::Record {
        id: "r1".into(),
        body: "{\"v\":9}".into(),
        receipt: String::new(),
        group: "g".into(),
        receive_count: 1,
    };
    api.environment.queues.bury_record(Queue::Turns, &record, "version 9").await.unwrap();
    bury(&api, "hello").await;
    assert_eq!(api::drain_dead_letters(&api.environment).await.unwrap(), 1);
    assert_eq!(api::drain_dead_letters(&api.environment).await.unwrap(), 0);
    assert_eq!(list(&api).await.len(), 1);
}
