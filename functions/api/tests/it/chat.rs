//! Web chat: what is sent is queued once, and what is in the log is read.

use std::time::{Duration, Instant};

use api::views::{BotView, ChatAccepted, ChatPage, EntryKind, EntryView, Items, SessionPage, SessionView};
use domain::queueing::QueueChange;
use domain::turn::{Head, ReplyTo};
use domain::{
    Answer, Control, Entry, EntryBody, EntryId, Inbound, ResetReason, SessionKey, StoppedBy, Task, ToolCall, TurnId,
    Usage, UserMessage,
};
use queues::Queue;
use serde_json::json;
use store::{Commit, Spending};

use crate::harness::Api;

const CHAT: &str = "/v1/bots/Tidy/chat";

#[tokio::test]
async fn a_message_is_queued_once_per_id() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    let first: ChatAccepted = api.post(CHAT, json!({ "text": "hello", "id": "a1" })).await.read(202);
    let again: ChatAccepted = api.post(CHAT, json!({ "text": "hello", "id": "a1" })).await.read(202);
    assert_eq!(first, again);
    assert_eq!((first.session.as_str(), first.next), ("agent:main:main", 0));
    let tasks = api.take_tasks(Queue::Turns).await;
    let [Task::Message(inbound)] = tasks.as_slice() else { panic!("{tasks:?}") };
    assert_eq!((inbound.bot, &inbound.message, &inbound.session), (bot.id, &first.message, &first.session));
    assert_eq!((inbound.text.as_str(), inbound.sender.id.as_str()), ("hello", "owner"));
    assert_eq!(inbound.sender.name.as_deref(), Some("Ada"));
    let stored = api.environment.store.account(api.account).bot_get(bot.id).await.unwrap().unwrap();
    assert_eq!(inbound.link, api::webchat_link(&stored));

    let other: ChatAccepted = api.post(CHAT, json!({ "text": "hello" })).await.read(202);
    let own = json!({ "text": "hello", "id": "a1", "conversation": "Work" });
    let own: ChatAccepted = api.post(CHAT, own).await.read(202);
    assert_eq!(own.session.as_str(), "agent:main:webchat:direct:work");
    assert!(other.message != first.message && own.message != first.message);
    assert_eq!(api.take_tasks(Queue::Turns).await.len(), 2);
}

#[tokio::test]
async fn what_cannot_be_sent_is_told() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    assert!(api.post(CHAT, json!({ "text": "  " })).await.problem(400).contains("empty"));
    api.post(CHAT, json!({ "text": "x", "conversation": "a:b" })).await.problem(400);
    api.post(CHAT, json!({ "text": "x", "id": "a b" })).await.problem(400);
    api.get(&format!("{CHAT}?wait=21")).await.problem(400);
    api.get(&format!("{CHAT}?limit=0")).await.problem(400);
    api.get(&format!("{CHAT}?after=x")).await.problem(400);
    api.get(&format!("{CHAT}?conversation=a%20b")).await.problem(400);
    api.call_as(&api.key, "POST", "/v1/bots/Tidy/pause", None).await;
    assert!(api.post(CHAT, json!({ "text": "x" })).await.problem(409).contains("/resume"));
    assert!(api.take_tasks(Queue::Turns).await.is_empty());
}

/// Commits entries as a turn would, one that goes on if they do not end it.
async fn commit(api: &Api, inbound: &Inbound, seen: &Head, bodies: Vec<EntryBody>) -> Head {
    let now = api.environment.clock.now();
    let turn = TurnId::from_parts(now, 1);
    let is_over = bodies.last().is_some_and(EntryBody::is_final);
    let entry = |(index, body): (usize, EntryBody)| {
        let seq = seen.next_seq + index as u64;
        Entry { seq, id: EntryId::from_parts(now, u128::from(seq)), turn, at: now, body }
    };
    let entries: Vec<Entry> = bodies.into_iter().enumerate().map(entry).collect();
    let active = json!({ "id": turn, "started_at": now, "steps": 1, "reply": ReplyTo::of(inbound) });
    let left = (!is_over).then(|| serde_json::from_value(active).unwrap());
    let head = seen.after(&entries, &domain::turn::Commit { turn: left, ..Default::default() }, now);
    let spending = Spending::Nothing;
    let commit =
        Commit { seen, head: &head, entries: &entries, marks: &[], outbox: &[], spending: &spending, place: None };
    let account = api.environment.store.account(api.account);
    account.session_commit(inbound.bot, &inbound.session, &commit).await.unwrap();
    head
}

/// The message that was queued last.
async fn taken(api: &Api) -> Inbound {
    match api.take_tasks(Queue::Turns).await.pop() {
        Some(Task::Message(inbound)) => *inbound,
        other => panic!("{other:?}"),
    }
}

fn user(inbound: &Inbound) -> UserMessage {
    UserMessage {
        message: inbound.message.clone(),
        channel: inbound.channel,
        sender: inbound.sender.clone(),
        text: inbound.text.clone(),
        is_command: inbound.control.is_some(),
        attachments: vec![],
        quote: None,
        sent_at: inbound.sent_at,
    }
}

#[tokio::test]
async fn the_log_is_read_from_where_the_message_was_sent() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let sent: ChatAccepted = api.post(CHAT, json!({ "text": "hello" })).await.read(202);
    let empty: ChatPage = api.get(&format!("{CHAT}?after={}", sent.next)).await.read(200);
    assert_eq!((empty.items.len(), empty.next, empty.busy), (0, 0, false));

    let inbound = taken(&api).await;
    let user = EntryBody::User(user(&inbound));
    let call = ToolCall { id: "c1".into(), name: "clock".into(), arguments: "{}".into() };
    let calling = Answer { tool_calls: vec![call], model: "demo".into(), ..Answer::default() };
    let bodies = vec![user, EntryBody::Assistant(calling)];
    let head = commit(&api, &inbound, &Head::default(), bodies).await;

    let page: ChatPage = api.get(&format!("{CHAT}?after={}&wait=5", sent.next)).await.read(200);
    assert_eq!((page.next, page.busy, page.items.len()), (2, true, 2));
    assert_eq!((page.items[0].kind, page.items[0].message.as_ref()), (EntryKind::User, Some(&sent.message)));
    assert_eq!((page.items[1].tool_calls[0].name.as_str(), page.items[1].is_final), ("clock", false));

    let answer = Answer { text: "Noon.".into(), model: "demo".into(), ..Answer::default() };
    let waiting = api.get("/v1/bots/Tidy/chat?after=2&wait=10");
    let writing = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        commit(&api, &inbound, &head, vec![EntryBody::Assistant(answer)]).await;
    };
    let begun = Instant::now();
    let (page, ()) = tokio::join!(waiting, writing);
    let page: ChatPage = page.read(200);
    assert!(begun.elapsed() < Duration::from_secs(8));
    assert_eq!((page.next, page.busy, page.items[0].text.as_str()), (3, false, "Noon."));
    assert!(page.items[0].is_final);

    let history: ChatPage = api.get(CHAT).await.read(200);
    assert_eq!((history.items.len(), history.next), (3, 3));
    let end: ChatPage = api.get(&format!("{CHAT}?limit=2&conversation=main")).await.read(200);
    assert_eq!((end.items[0].seq, end.items.len(), end.next), (1, 2, 3));
    let sessions: Items<SessionView> = api.get("/v1/bots/Tidy/sessions").await.read(200);
    assert_eq!(sessions.items[0].session, inbound.session);
    let other: ChatPage = api.get(&format!("{CHAT}?conversation=work")).await.read(200);
    assert!(other.items.is_empty());
}

/// What the door wrote into the main session's head, if anybody wanted a stop.
async fn stop_of(api: &Api, bot: &BotView) -> Option<(domain::MessageId, StoppedBy)> {
    let session = SessionKey::main("main");
    let head = api.environment.store.account(api.account).session_head(bot.id, &session).await.unwrap();
    head.and_then(|head| head.stop).map(|stop| (stop.message, stop.by))
}

#[tokio::test]
async fn commands_are_told_from_words() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let sent = async |text: &str| {
        let _: ChatAccepted = api.post(CHAT, json!({ "text": text })).await.read(202);
        let inbound = taken(&api).await;
        assert_eq!(inbound.text, text);
        inbound.control
    };
    assert_eq!(sent(" /STOP ").await, Some(Control::Stop));
    assert_eq!(sent("/new what is new?").await, Some(Control::New { text: "what is new?".into() }));
    assert_eq!(sent("/reset").await, Some(Control::Reset));
    assert_eq!(sent("/compact the plan").await, Some(Control::Compact { hint: "the plan".into() }));
    assert_eq!(sent("/queue").await, Some(Control::Queue { change: QueueChange::Show }));
    assert_eq!(sent("/help").await, Some(Control::Help));
    for words in ["stop", "/stopp", "/stop@other_bot", "/", "please /stop", "/etc/passwd"] {
        assert_eq!(sent(words).await, None, "{words}");
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_in_the_queue() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    for text in ["hello", "/compact", "/queue collect"] {
        let _: ChatAccepted = api.post(CHAT, json!({ "text": text })).await.read(202);
        assert_eq!(stop_of(&api, &bot).await, None, "{text}");
    }
    for text in ["/stop", "/new", "/reset"] {
        let sent: ChatAccepted = api.post(CHAT, json!({ "text": text })).await.read(202);
        assert_eq!(stop_of(&api, &bot).await, Some((sent.message, StoppedBy::Person)), "{text}");
        assert_eq!(sent.next, 0);
    }
    assert_eq!(api.take_tasks(Queue::Turns).await.len(), 6);

    let _: BotView = api.patch("/v1/bots/Tidy", json!({ "queue": { "mode": "interrupt" } })).await.read(200);
    let sent: ChatAccepted = api.post(CHAT, json!({ "text": "rather this" })).await.read(202);
    assert_eq!(stop_of(&api, &bot).await, Some((sent.message, StoppedBy::Message)));
}

#[tokio::test]
async fn every_kind_of_entry_is_shown() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let _: ChatAccepted = api.post(CHAT, json!({ "text": "/compact" })).await.read(202);
    let inbound = taken(&api).await;
    let usage = Usage { input: 10, output: 2, cached: 0, ..Usage::default() };
    let answer = Answer { text: "Noon.".into(), model: "openai/x".into(), cost: 420, usage, ..Answer::default() };
    let compaction = EntryBody::Compaction {
        summary: "We met.".into(),
        first_kept: 0,
        tokens_before: 9_000,
        model: "openai/x".into(),
        usage,
        cost: 77,
    };
    let bodies = vec![
        EntryBody::User(user(&inbound)),
        EntryBody::Assistant(answer),
        EntryBody::Notice { text: "Compacted.".into() },
        EntryBody::Stopped { by: StoppedBy::Message },
        EntryBody::Dropped { messages: vec![user(&inbound)], summary: Some("One was left out.".into()) },
        EntryBody::Dropped { messages: vec![], summary: None },
        EntryBody::Reset { reason: ResetReason::Daily },
        compaction,
    ];
    commit(&api, &inbound, &Head::default(), bodies).await;
    let page: ChatPage = api.get(CHAT).await.read(200);
    assert!(page.busy, "nothing final ends the log");
    let told = |entry: &EntryView| (entry.kind, entry.is_final, entry.text.clone(), entry.cost);
    let expected = [
        (EntryKind::User, false, "/compact", 0),
        (EntryKind::Assistant, true, "Noon.", 420),
        (EntryKind::Notice, true, "Compacted.", 0),
        (EntryKind::Stopped, true, "", 0),
        (EntryKind::Dropped, true, "One was left out.", 0),
        (EntryKind::Dropped, true, "", 0),
        (EntryKind::Reset, false, "", 0),
        (EntryKind::Compaction, false, "We met.", 77),
    ];
    let expected = expected.map(|(kind, is_final, text, cost)| (kind, is_final, text.to_owned(), cost));
    assert_eq!(page.items.iter().map(told).collect::<Vec<_>>(), expected);
    let [command, answer, notice, stopped, dropped, _, reset, compaction] = page.items.as_slice() else { panic!() };
    assert!(command.command && !answer.command);
    assert_eq!((stopped.stopped_by, reset.reset_reason), (Some(StoppedBy::Message), Some(ResetReason::Daily)));
    assert_eq!((&dropped.messages, &dropped.message), (&vec![inbound.message.clone()], &None));
    assert_eq!((compaction.model.as_deref(), compaction.usage), (Some("openai/x"), Some(usage)));
    // What does not apply is left out.
    let notice = serde_json::to_value(notice).unwrap();
    let fields: Vec<&str> = notice.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["at", "final", "kind", "seq", "text", "turn"]);
    let kinds: serde_json::Value = api.get(CHAT).await.read(200);
    assert_eq!((&kinds["items"][0]["command"], &kinds["items"][7]["kind"]), (&json!(true), &json!("compaction")));
}

#[tokio::test]
async fn a_session_has_a_page() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    let page = "/v1/bots/Tidy/sessions/agent:main:main";
    assert!(api.get(page).await.problem(404).contains(&format!("GET /v1/bots/{}/sessions", bot.id)));
    for bad in ["main", "a%20b", "%2F", &"x".repeat(600)] {
        api.get(&format!("/v1/bots/Tidy/sessions/{bad}")).await.problem(404);
    }
    let sent: ChatAccepted = api.post(CHAT, json!({ "text": "hello" })).await.read(202);
    let inbound = taken(&api).await;
    let head = commit(&api, &inbound, &Head::default(), vec![EntryBody::User(user(&inbound))]).await;
    let before: SessionPage = api.get(page).await.read(200);
    assert_eq!((before.session, before.entries, before.busy, before.queue), (sent.session, 1, true, None));

    let usage = Usage { input: 10, output: 2, cached: 5, ..Usage::default() };
    let answer = Answer { text: "Noon.".into(), model: "m".into(), cost: 420, usage, ..Answer::default() };
    let head = Head { queue: Some(Default::default()), ..head };
    commit(&api, &inbound, &head, vec![EntryBody::Assistant(answer)]).await;
    let after: SessionPage = api.get(&page.replace(':', "%3A")).await.read(200);
    assert_eq!((after.entries, after.busy, after.usage, after.cost), (2, false, usage, 420));
    assert!(after.queue.is_some() && after.updated_at >= before.updated_at);
    let stranger = api.other_key().await;
    api.call_as(&stranger, "GET", page, None).await.problem(404);
}
