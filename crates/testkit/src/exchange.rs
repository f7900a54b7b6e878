//! Messages that were answered, or whose turn waits, committed as the engine does and without one: what the API shows of sessions.

use domain::turn::{self, APPROVAL_TIME, ActiveTurn, Head, ReplyTo};
use domain::{Answer, Entry, EntryBody, EntryId, Inbound, TurnId, UserMessage};
use runtime::Environment;
use serde_json::json;
use store::{Commit, Spending};

/// Commits a message and the answer to it, as the first ones of their session.
pub async fn answer(environment: &Environment, inbound: &Inbound, text: &str) {
    let answer = Answer { text: text.to_owned(), model: "a/x".to_owned(), ..Answer::default() };
    let turn = TurnId::from_parts(environment.clock.now(), environment.entropy.next_u128());
    commit(environment, inbound, turn, EntryBody::Assistant(answer), None).await;
}

/// Commits a message, as the first one of its session, and the question `text` that its turn waits with for its owner's word.
pub async fn ask(environment: &Environment, inbound: &Inbound, code: &str, text: &str) {
    let now = environment.clock.now();
    let (until, calls) = (now + APPROVAL_TIME, vec!["c".to_owned()]);
    let turn = TurnId::from_parts(now, environment.entropy.next_u128());
    let waiting = json!({ "code": code, "calls": calls, "until": until });
    let active =
        json!({ "id": turn, "started_at": now, "steps": 1, "reply": ReplyTo::of(inbound), "waiting": waiting });
    let active = serde_json::from_value(active).expect("a turn");
    let asked = EntryBody::Asked { code: code.to_owned(), calls, text: text.to_owned(), until };
    commit(environment, inbound, turn, asked, Some(active)).await;
}

async fn commit(
    environment: &Environment,
    inbound: &Inbound,
    turn: TurnId,
    end: EntryBody,
    active: Option<ActiveTurn>,
) {
    let now = environment.clock.now();
    let entry = |seq: u64, body| Entry { seq, id: EntryId::from_parts(now, u128::from(seq)), turn, at: now, body };
    let entries = [entry(0, EntryBody::User(UserMessage::of(inbound))), entry(1, end)];
    let seen = Head::default();
    let head = seen.after(&entries, &turn::Commit { turn: active, ..turn::Commit::default() }, now);
    let commit = Commit {
        seen: &seen,
        head: &head,
        entries: &entries,
        marks: &[],
        outbox: &[],
        spending: &Spending::Nothing,
        place: Some(&ReplyTo::of(inbound)),
    };
    let account = environment.store.account(inbound.account);
    account.session_commit(inbound.bot, &inbound.session, &commit).await.expect("a new session");
}
