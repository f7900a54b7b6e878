//! Web chat: what is sent is queued once, and what is in the log is read.

use std::time::{Duration, Instant};

use api::scope::Scope;
use api::views::{BotView, ChatAccepted, ChatPage, EntryKind, EntryView, Items, SessionPage, SessionView};
use axum::body::{Body, BodyDataStream};
use axum::http::{Request, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
async fn files_are_kept_and_given_out_to_those_who_may_see_them() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    let png = b"\x89PNG\r\n\x1a\n and what follows";
    let file = |name: &str, bytes: &[u8]| json!({ "name": name, "data": STANDARD.encode(bytes) });
    let files = [file("tide.png", png), file("notes.md", b"<script>")];
    let _: ChatAccepted = api.post(CHAT, json!({ "text": "look", "files": files })).await.read(202);
    let tasks = api.take_tasks(Queue::Turns).await;
    let [Task::Message(inbound)] = tasks.as_slice() else { panic!("{tasks:?}") };
    let [picture, notes] = inbound.attachments.as_slice() else { panic!("{:?}", inbound.attachments) };
    assert_eq!((picture.name.as_deref(), picture.size), (Some("tide.png"), Some(png.len() as u64)));
    let read = async |id: &str| api.get(&format!("/v1/bots/Tidy/media/{id}")).await;
    let shown = read(&picture.reference).await;
    assert_eq!((shown.status.as_u16(), shown.header(header::CONTENT_TYPE)), (200, "image/png"));
    assert_eq!(shown.header(header::CONTENT_DISPOSITION), "inline");
    let kept = read(&notes.reference).await;
    assert_eq!(kept.header(header::CONTENT_TYPE), "application/octet-stream", "no page of ours");
    assert_eq!(kept.header(header::CONTENT_DISPOSITION), "attachment");
    for answer in [&shown, &kept] {
        let policy = answer.header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'; sandbox"), "{policy}");
        assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
    }
    let picture_path = format!("/v1/bots/Tidy/media/{}", picture.reference);
    let stranger = api.other_key().await;
    assert_eq!(api.call_as(&stranger, "GET", &picture_path, None).await.status.as_u16(), 404);
    let chats_only = api.key_with(&[Scope::Chat]).await;
    assert_eq!(api.call_as(&chats_only, "GET", &picture_path, None).await.status.as_u16(), 403);
    assert_eq!(read(&"a".repeat(64)).await.status.as_u16(), 404);
    assert_eq!(read("..%2Fx").await.status.as_u16(), 400);
    let other = api.new_bot("Other").await;
    assert_ne!(bot.id, other.id);
    assert_eq!(api.get(&format!("/v1/bots/Other/media/{}", picture.reference)).await.status.as_u16(), 404);

    let alone = json!({ "text": " ", "files": [file("tide.png", png)] });
    assert_eq!(api.post(CHAT, alone).await.status.as_u16(), 202, "a picture says enough");
    let nothing = api.post(CHAT, json!({ "text": " ", "files": [] })).await;
    assert_eq!(nothing.status.as_u16(), 400);

    let many = vec![file("x", b"x"); 11];
    for files in [json!(many), json!([{ "name": "x", "data": "???" }]), json!([{ "name": "x", "data": "" }])] {
        let refused = api.post(CHAT, json!({ "text": "look", "files": files })).await;
        assert_eq!(refused.status.as_u16(), 400);
    }
}

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
pub(crate) async fn commit(api: &Api, inbound: &Inbound, seen: &Head, bodies: Vec<EntryBody>) -> Head {
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

pub(crate) fn user(inbound: &Inbound) -> UserMessage {
    UserMessage {
        message: inbound.message.clone(),
        channel: inbound.channel,
        sender: inbound.sender.clone(),
        text: inbound.text.clone(),
        is_command: inbound.control.is_some(),
        attachments: vec![],
        quote: None,
        sent_at: inbound.sent_at,
        received_at: None,
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

#[tokio::test]
async fn who_may_only_chat_neither_owns_a_bot_nor_reads_what_others_say() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let approve = |conversation: &str| json!({ "text": "/approve K7Q2X once", "conversation": conversation });
    let chat = api.key_with(&[Scope::Chat]).await;
    let both = api.key_with(&[Scope::Chat, Scope::Approve]).await;
    let reader = api.key_with(&[Scope::Chat, Scope::SessionsRead]).await;
    for (key, conversation, owns) in
        [(&chat, "work", false), (&reader, "main", false), (&both, "work", true), (&api.key, "main", true)]
    {
        let _: ChatAccepted = api.call_as(key, "POST", CHAT, Some(approve(conversation))).await.read(202);
        assert_eq!(taken(&api).await.is_owner, owns, "{conversation}");
    }
    // All channels of the bot may meet in its main session.
    for path in [CHAT.to_owned(), format!("{CHAT}?conversation=Main&after=0"), format!("{CHAT}/events")] {
        assert!(api.call_as(&chat, "GET", &path, None).await.problem(403).contains("sessions:read"), "{path}");
    }
    api.call_as(&chat, "POST", CHAT, Some(json!({ "text": "What did Ada say?" }))).await.problem(403);
    assert!(api.take_tasks(Queue::Turns).await.is_empty());
    let _: ChatPage = api.call_as(&chat, "GET", &format!("{CHAT}?conversation=work"), None).await.read(200);
    let _: ChatPage = api.call_as(&reader, "GET", CHAT, None).await.read(200);
}

/// Events as a browser has them: kind, id and data.
struct Events {
    body: BodyDataStream,
    text: String,
}

impl Events {
    async fn open(api: &Api, path: &str, last: Option<&str>) -> Events {
        let request = Request::get(path).header("authorization", format!("Bearer {}", api.key));
        let request = last.into_iter().fold(request, |request, last| request.header("last-event-id", last));
        let answer = api.open(request.body(Body::empty()).unwrap()).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        Events { body: answer.into_body().into_data_stream(), text: String::new() }
    }

    async fn next(&mut self) -> (String, String, serde_json::Value) {
        use futures::StreamExt;
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n").map(|(a, b)| (a.to_owned(), b.to_owned())) {
                self.text = rest;
                let of = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.map(|value| value.trim_start_matches([':', ' ']).to_owned()).unwrap_or_default()
                };
                if !of("event").is_empty() {
                    return (of("event"), of("id"), serde_json::from_str(&of("data")).unwrap());
                }
                continue;
            }
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.body.next()).await;
            self.text += std::str::from_utf8(&chunk.expect("an event comes").unwrap().unwrap()).unwrap();
        }
    }
}

#[tokio::test]
async fn a_chat_is_followed_while_it_is_written() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    let sent: ChatAccepted = api.post(CHAT, json!({ "text": "What time is it?" })).await.read(202);
    let inbound = taken(&api).await;
    let path = format!("{CHAT}/events?after={}", sent.next);
    let mut events = Events::open(&api, &path, None).await;
    assert_eq!(events.next().await, ("state".to_owned(), String::new(), json!({ "busy": false })));

    let state = api.environment.store.account(api.account);
    let turn = TurnId::from_parts(api.environment.clock.now(), 1);
    let write = async |turn: TurnId, text: &str| {
        let (link, chat) = (inbound.link, inbound.address.chat.clone());
        let draft =
            store::Draft { turn, asked_at: inbound.received_at, link, chat, message: None, text: text.to_owned() };
        state.draft_put(bot.id, &inbound.session, &draft, api.environment.clock.now()).await.unwrap();
    };
    write(turn, "It is").await;
    assert_eq!(events.next().await, ("draft".to_owned(), String::new(), json!({ "turn": turn, "text": "It is" })));
    write(turn, "It is noon.").await;
    assert_eq!(events.next().await.2["text"], "It is noon.");

    let answer = Answer { text: "It is noon.".into(), model: "demo".into(), ..Answer::default() };
    let bodies = vec![EntryBody::User(user(&inbound)), EntryBody::Assistant(answer)];
    let head = commit(&api, &inbound, &Head::default(), bodies).await;
    let page: ChatPage = api.get(CHAT).await.read(200);
    for (seq, item) in ["0", "1"].into_iter().zip(&page.items) {
        assert_eq!(events.next().await, ("entry".to_owned(), seq.to_owned(), serde_json::to_value(item).unwrap()));
    }
    state.draft_delete(bot.id, &inbound.session).await.unwrap();
    let (kind, _, gone) = events.next().await;
    assert_eq!((kind.as_str(), &gone["text"]), ("draft", &json!("")), "the answer stands in its place");

    // A browser that reconnects goes on behind what it had.
    let mut again = Events::open(&api, &path, Some("0")).await;
    let (kind, id, entry) = again.next().await;
    assert_eq!((kind.as_str(), id.as_str(), &entry["kind"]), ("entry", "1", &json!("assistant")));
    let bodies = vec![EntryBody::User(user(&inbound))];
    commit(&api, &inbound, &head, bodies).await;
    for events in [&mut events, &mut again] {
        let mut kinds = vec![];
        while kinds.last().is_none_or(|(kind, _)| kind != "state") || kinds.len() < 2 {
            let (kind, id, data) = events.next().await;
            kinds.push((kind, id));
            if data["busy"] == true {
                break;
            }
        }
        assert!(kinds.contains(&("entry".to_owned(), "2".to_owned())), "{kinds:?}");
    }
    api.get(&format!("{CHAT}/events?after=x")).await.problem(400);
    api.get("/v1/bots/gull/chat/events").await.problem(404);
}
