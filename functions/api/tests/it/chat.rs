//! Web chat: what is sent is queued once, and what is in the log is read.

use std::time::{Duration, Instant};

use api::views::{ChatAccepted, ChatPage, EntryKind, Items, SessionView};
use domain::turn::Head;
use domain::{Answer, BotId, Entry, EntryBody, EntryId, SessionKey, Task, ToolCall, TurnId, UserMessage};
use queues::Queue;
use serde_json::json;
use store::Commit;

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

/// Commits entries as a turn would.
async fn commit(api: &Api, bot: BotId, session: &SessionKey, seen: &Head, bodies: Vec<EntryBody>) -> Head {
    let now = api.environment.clock.now();
    let turn = TurnId::from_parts(now, 1);
    let entry = |(index, body): (usize, EntryBody)| {
        let seq = seen.next_seq + index as u64;
        Entry { seq, id: EntryId::from_parts(now, u128::from(seq)), turn, at: now, body }
    };
    let entries: Vec<Entry> = bodies.into_iter().enumerate().map(entry).collect();
    let next_seq = seen.next_seq + entries.len() as u64;
    let head = Head { version: seen.version + 1, next_seq, updated_at: now, ..Head::default() };
    let commit = Commit { seen_version: seen.version, head: &head, entries: &entries, marks: &[], outbox: &[] };
    api.environment.store.account(api.account).session_commit(bot, session, &commit).await.unwrap();
    head
}

#[tokio::test]
async fn the_log_is_read_from_where_the_message_was_sent() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    let sent: ChatAccepted = api.post(CHAT, json!({ "text": "hello" })).await.read(202);
    let empty: ChatPage = api.get(&format!("{CHAT}?after={}", sent.next)).await.read(200);
    assert_eq!((empty.items.len(), empty.next, empty.busy), (0, 0, false));

    let tasks = api.take_tasks(Queue::Turns).await;
    let [Task::Message(inbound)] = tasks.as_slice() else { panic!("{tasks:?}") };
    let user = EntryBody::User(UserMessage {
        message: inbound.message.clone(),
        channel: inbound.channel,
        sender: inbound.sender.clone(),
        text: inbound.text.clone(),
        attachments: vec![],
        quote: None,
        sent_at: inbound.sent_at,
    });
    let call = ToolCall { id: "c1".into(), name: "clock".into(), arguments: "{}".into() };
    let calling = Answer { tool_calls: vec![call], model: "demo".into(), ..Answer::default() };
    let bodies = vec![user, EntryBody::Assistant(calling)];
    let head = commit(&api, bot.id, &inbound.session, &Head::default(), bodies).await;

    let page: ChatPage = api.get(&format!("{CHAT}?after={}&wait=5", sent.next)).await.read(200);
    assert_eq!((page.next, page.busy, page.items.len()), (2, true, 2));
    assert_eq!((page.items[0].kind, page.items[0].message.as_ref()), (EntryKind::User, Some(&sent.message)));
    assert_eq!((page.items[1].tool_calls[0].name.as_str(), page.items[1].is_final), ("clock", false));

    let answer = Answer { text: "Noon.".into(), model: "demo".into(), ..Answer::default() };
    let waiting = api.get("/v1/bots/Tidy/chat?after=2&wait=10");
    let writing = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        commit(&api, bot.id, &inbound.session, &head, vec![EntryBody::Assistant(answer)]).await;
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
