//! What waits for its owner stands in a row as long as the head says so.

use domain::turn::ActiveTurn;
use serde_json::json;

use super::*;

/// Commits one entry and the turn that is under way from then on.
async fn step(world: &World, seen: &Head, body: EntryBody, turn: Option<ActiveTurn>) -> Head {
    let id = EntryId::from_parts(at(1), u128::from(seen.next_seq));
    let entries = [Entry { seq: seen.next_seq, id, turn: TurnId::from_parts(at(1), 1), at: at(1), body }];
    let head = seen.after(&entries, &domain::turn::Commit { turn, ..Default::default() }, at(1));
    let spending = &Spending::Nothing;
    let commit = Commit { seen, head: &head, entries: &entries, marks: &[], outbox: &[], spending, place: None };
    let session = SessionKey::main("main");
    world.store.account(account(1)).session_commit(bot_id(), &session, &commit).await.unwrap();
    head
}

fn turn(waiting: bool) -> ActiveTurn {
    let out = outbound(1);
    let mut turn = json!({
        "id": TurnId::from_parts(at(1), 1),
        "started_at": at(1),
        "steps": 1,
        "reply": { "account": out.account, "bot": out.bot, "link": out.link, "channel": out.channel, "address": out.address },
    });
    if waiting {
        turn["waiting"] = json!({ "code": "K7Q2X", "calls": ["c"], "until": at(600) });
    }
    serde_json::from_value(turn).unwrap()
}

#[tokio::test]
async fn a_question_is_listed_and_due_until_it_is_decided() {
    let world = world().await;
    let state = world.store.account(account(1));
    let asked =
        EntryBody::Asked { code: "K7Q2X".into(), calls: vec!["c".into()], text: "May I?".into(), until: at(600) };
    let head = step(&world, &Head::default(), asked, Some(turn(true))).await;

    let list = state.approval_list().await.unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].code.as_str(), list[0].text.as_str(), list[0].until), ("K7Q2X", "May I?", at(600)));
    assert!(world.store.wakes_due(at(599), 10).await.unwrap().is_empty(), "it is early");
    assert_eq!(world.store.wakes_due(at(600), 10).await.unwrap(), list);
    world.store.wake_put_off(&list[0], at(600)).await.unwrap();
    assert!(world.store.wakes_due(at(650), 10).await.unwrap().is_empty(), "it was put off");
    assert_eq!(world.store.wakes_due(at(660), 10).await.unwrap(), list, "and is woken again");

    // What joins meanwhile changes nothing.
    let head = step(&world, &head, EntryBody::Notice { text: "joined".into() }, Some(turn(true))).await;
    assert_eq!(state.approval_list().await.unwrap(), list);

    step(&world, &head, EntryBody::Notice { text: "decided".into() }, Some(turn(false))).await;
    assert!(state.approval_list().await.unwrap().is_empty());
    assert!(world.store.wakes_due(at(10_000), 10).await.unwrap().is_empty());
    // A late wake has nothing to put off.
    world.store.wake_put_off(&list[0], at(10_000)).await.unwrap();
    assert!(state.approval_list().await.unwrap().is_empty());
}
