//! What waits for the owner: listed, and decided in the owner's name.

use api::views::{ApprovalView, Items};
use domain::turn::{APPROVAL_TIME, Head, ReplyTo};
use domain::{Control, Decision, Entry, EntryBody, EntryId, Inbound, Task, TurnId};
use queues::Queue;
use serde_json::json;
use store::{Commit, Spending};

use crate::harness::Api;

/// Has a turn ask under this code, as the engine commits it.
async fn ask(api: &Api, inbound: &Inbound, code: &str) {
    let now = api.environment.clock.now();
    let turn = TurnId::from_parts(now, 1);
    let until = now + APPROVAL_TIME;
    let body =
        EntryBody::Asked { code: code.to_owned(), calls: vec!["c".to_owned()], text: "May I?".to_owned(), until };
    let entries = [Entry { seq: 0, id: EntryId::from_parts(now, 1), turn, at: now, body }];
    let waiting = json!({ "code": code, "calls": ["c"], "until": until });
    let active =
        json!({ "id": turn, "started_at": now, "steps": 1, "reply": ReplyTo::of(inbound), "waiting": waiting });
    let commit = domain::turn::Commit { turn: Some(serde_json::from_value(active).unwrap()), ..Default::default() };
    let seen = Head::default();
    let head = seen.after(&entries, &commit, now);
    let spending = Spending::Nothing;
    let commit = Commit {
        seen: &seen,
        head: &head,
        entries: &entries,
        marks: &[],
        outbox: &[],
        spending: &spending,
        place: None,
    };
    api.environment.store.account(api.account).session_commit(inbound.bot, &inbound.session, &commit).await.unwrap();
}

#[tokio::test]
async fn a_question_is_listed_and_a_decision_is_queued_as_the_owners() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    api.post("/v1/bots/Tidy/chat", json!({ "text": "send it" })).await;
    let tasks = api.take_tasks(Queue::Turns).await;
    let [Task::Message(asked)] = tasks.as_slice() else { panic!("{tasks:?}") };
    ask(&api, asked, "K7Q2X").await;

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
