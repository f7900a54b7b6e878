//! What waits for the owner: listed, and decided in the owner's name.

use api::views::{ApprovalView, Items};
use domain::{Control, Decision, Task};
use queues::Queue;
use serde_json::json;
use testkit::exchange;

use crate::harness::Api;

#[tokio::test]
async fn a_question_is_listed_and_a_decision_is_queued_as_the_owners() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    api.post("/v1/bots/Tidy/chat", json!({ "text": "send it" })).await;
    let tasks = api.take_tasks(Queue::Turns).await;
    let [Task::Message(asked)] = tasks.as_slice() else { panic!("{tasks:?}") };
    exchange::ask(&api.environment, asked, "K7Q2X", "May I?").await;

    let list: Items<ApprovalView> = api.get("/v1/approvals").await.read(200);
    assert_eq!((list.items[0].code.as_str(), list.items[0].text.as_str()), ("K7Q2X", "May I?"));
    assert_eq!(list.items[0].session, asked.session);

    api.post("/v1/approvals/XXXXX", json!({ "decision": "once" })).await.problem(404);
    api.post("/v1/approvals/K7Q2X", json!({ "decision": "perhaps" })).await.problem(400);
    assert_eq!(api.post("/v1/approvals/k7q2x", json!({ "decision": "always" })).await.status, 202);
    let tasks = api.take_tasks(Queue::Turns).await;
    let [Task::Message(decision)] = tasks.as_slice() else { panic!("{tasks:?}") };
    assert!(decision.is_owner);
    assert_eq!((&decision.session, &decision.address), (&asked.session, &asked.address));
    let control = Control::Approve { code: "K7Q2X".to_owned(), decision: Decision::Always };
    assert_eq!(decision.control, Some(control));
}
