//! The store against the embedded stores, through the ordinary AWS SDK.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected should fail there")]

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use domain::budget::{Period, Settlement};
use domain::message::{Address, Channel, ChatKind, Sender};
use domain::turn::{Head, ReplyTo, Stop};
use domain::{
    Account, AccountId, Answer, Bot, BotId, BotStatus, Budget, BudgetScope, DeadLetterId, Entry, EntryBody, EntryId,
    LinkId, MessageId, ModelSettings, Outbound, OutboundId, SessionKey, SessionScope, StoppedBy, Task, Timestamp,
    TurnId, UserMessage,
};
use embedded::Embedded;
use store::{
    Allowance, CHILD_TTL, Commit, DeadLetter, DeadLetterStatus, DeliveryStatus, Keyring, Notice, PageRange, Spending,
    Spent, Store, StoreError,
};

#[path = "it/approvals.rs"]
mod approvals;
#[path = "it/faults.rs"]
mod faults;
#[path = "it/jobs.rs"]
mod jobs;
#[path = "it/pages.rs"]
mod pages;
#[path = "it/seal.rs"]
mod seal;
#[path = "it/slots.rs"]
mod slots;

struct World {
    store: Store,
    /// The way to rows past the store.
    dynamo: aws_sdk_dynamodb::Client,
    faults: faults::Faults,
    _embedded: Embedded,
    _dir: tempfile::TempDir,
}

async fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let embedded = Embedded::start(dir.path()).await.unwrap();
    let credentials = Credentials::new("test", "test", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https())
        .build();
    let endpoints = embedded.endpoints();
    let dynamo = aws_sdk_dynamodb::config::Builder::from(&config).endpoint_url(&endpoints.dynamodb);
    let s3 = aws_sdk_s3::config::Builder::from(&config).endpoint_url(&endpoints.s3).force_path_style(true);
    let faults = faults::Faults::default();
    let raw = aws_sdk_dynamodb::Client::from_conf(dynamo.clone().build());
    let dynamo = aws_sdk_dynamodb::Client::from_conf(dynamo.interceptor(faults.clone()).build());
    let s3 = aws_sdk_s3::Client::from_conf(s3.interceptor(faults.clone()).build());
    let keyring = Keyring::local([7; 32]).unwrap();
    let store = Store::new(dynamo, s3, "state".into(), "state-bucket".into(), keyring);
    store.create_missing().await.unwrap();
    World { store, dynamo: raw, faults, _embedded: embedded, _dir: dir }
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_795_000_000 + secs)
}

fn account(n: u128) -> AccountId {
    AccountId::from_parts(at(0), n)
}

fn bot_id() -> BotId {
    BotId::from_parts(at(0), 2)
}

fn turn(n: u128) -> TurnId {
    TurnId::from_parts(at(0), n)
}

fn bot(name: &str, n: u128) -> Bot {
    Bot {
        id: BotId::from_parts(at(0), n),
        account: account(1),
        name: name.into(),
        status: BotStatus::Active,
        rest: None,
        agent: "main".into(),
        model: ModelSettings::default(),
        time_zone: "UTC".into(),
        dm_scope: SessionScope::default(),
        queue: Default::default(),
        resets: Default::default(),
        budget: Default::default(),
        turn_budget: None,
        abilities: Default::default(),
        streaming: Default::default(),
        heartbeat: Default::default(),
        heard_at: None,
        heard_in: Default::default(),
        created_at: at(0),
        updated_at: at(0),
        version: 1,
    }
}

fn message(n: u32) -> MessageId {
    MessageId::of(LinkId::from_parts(at(0), 3), &n.to_string())
}

fn exchange(first_seq: u64, n: u32) -> Vec<Entry> {
    let user = UserMessage {
        message: message(n),
        channel: Channel::WebChat,
        sender: Sender { id: "1".into(), name: None, username: None },
        text: format!("question {n}"),
        is_command: false,
        attachments: vec![],
        quote: None,
        sent_at: at(n.into()),
        received_at: None,
    };
    let answer = Answer { text: format!("answer {n}"), model: "test/one".into(), ..Answer::default() };
    let bodies = [EntryBody::User(user), EntryBody::Assistant(answer)];
    let entry = |(i, body): (usize, EntryBody)| Entry {
        seq: first_seq + i as u64,
        id: EntryId::from_parts(at(0), u128::from(first_seq) + i as u128),
        turn: turn(n.into()),
        at: at(n.into()),
        body,
    };
    bodies.into_iter().enumerate().map(entry).collect()
}

fn outbound(n: u32) -> Outbound {
    Outbound {
        media: vec![],
        buttons: vec![],
        draft: None,
        mark: None,
        parent: None,
        id: OutboundId::reply(turn(n.into()), 0),
        account: account(1),
        bot: bot_id(),
        link: LinkId::from_parts(at(0), 3),
        channel: Channel::Telegram,
        address: Address { kind: ChatKind::Direct, chat: "5".into(), thread: None, reply_to: None },
        text: "hello".into(),
        created_at: at(n.into()),
    }
}

/// Commits the `n`-th exchange of a session, as a worker that saw `seen` would.
async fn commit(world: &World, session: &SessionKey, seen: &Head, n: u32) -> Result<Head, StoreError> {
    let head = Head { next_seq: seen.next_seq + 2, updated_at: at(n.into()), ..seen.clone() };
    let entries = exchange(seen.next_seq, n);
    let commit = Commit {
        seen,
        head: &head,
        entries: &entries,
        marks: &[message(n)],
        outbox: &[outbound(n)],
        spending: &Spending::Nothing,
        place: None,
    };
    world.store.account(account(1)).session_commit(bot_id(), session, &commit).await.map(|()| head)
}

#[tokio::test]
async fn a_commit_is_all_or_nothing_and_of_two_workers_one_wins() {
    let world = world().await;
    let state = world.store.account(account(1));
    let session = SessionKey::main("main");
    let empty = state.session_load(bot_id(), &session).await.unwrap();
    assert!(empty.entries.is_empty() && empty.head == Head::default());

    let first = commit(&world, &session, &Head::default(), 1).await.unwrap();
    // Another worker that saw the same version, with another message: nothing of it is kept.
    let lost = commit(&world, &session, &Head::default(), 2).await;
    assert!(matches!(lost, Err(StoreError::Conflict(_))), "{lost:?}");
    assert!(state.delivery_get(&outbound(2)).await.unwrap().is_none());

    // The first message again, from a worker that saw the newest version: its mark tells.
    let again = commit(&world, &session, &first, 1).await;
    assert!(matches!(&again, Err(StoreError::AlreadyTaken(taken)) if *taken == [message(1)]), "{again:?}");

    let second = commit(&world, &session, &first, 2).await.unwrap();
    let loaded = state.session_load(bot_id(), &session).await.unwrap();
    assert_eq!(loaded.head, second);
    assert_eq!(loaded.entries, [exchange(0, 1), exchange(2, 2)].concat());
    let delivery = state.delivery_get(&outbound(2)).await.unwrap().unwrap();
    assert_eq!((delivery.status, delivery.sent.len()), (DeliveryStatus::Pending, 0));
}

#[tokio::test]
async fn a_long_log_is_read_from_its_end_and_in_pages_from_its_beginning() {
    let world = world().await;
    let state = world.store.account(account(1));
    let session: SessionKey = "agent:main:webchat:direct:long".parse().unwrap();
    let mut head = Head::default();
    for n in 0..260 {
        head = commit(&world, &session, &head, n).await.unwrap();
    }
    let loaded = state.session_load(bot_id(), &session).await.unwrap();
    assert_eq!(loaded.entries.last().unwrap().seq, 519);
    assert!((200..520).contains(&loaded.entries.len()), "the end, not all: {}", loaded.entries.len());

    let (mut next, mut seen) = (0, vec![]);
    loop {
        let page = state.session_read(bot_id(), &session, next, 30).await.unwrap();
        if page.entries.is_empty() {
            break;
        }
        seen.extend(page.entries.iter().map(|entry| entry.seq));
        next = page.next;
    }
    assert_eq!(seen, (0..520).collect::<Vec<u64>>());
    let last = state.session_read_last(bot_id(), &session, 3).await.unwrap();
    assert_eq!(last.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), (514..520).collect::<Vec<u64>>());
}

#[tokio::test]
async fn an_answer_bigger_than_a_row_is_stored_in_several() {
    let world = world().await;
    let state = world.store.account(account(1));
    let session = SessionKey::main("main");
    let mut entries: Vec<Entry> = (0..8).flat_map(|n| exchange(u64::from(n) * 2, n)).collect();
    for entry in &mut entries {
        if let EntryBody::Assistant(answer) = &mut entry.body {
            answer.text = "x".repeat(120_000);
        }
    }
    let (seen, head) = (Head::default(), Head { next_seq: 16, ..Head::default() });
    let spending = &Spending::Nothing;
    let commit = Commit { seen: &seen, head: &head, entries: &entries, marks: &[], outbox: &[], spending, place: None };
    state.session_commit(bot_id(), &session, &commit).await.unwrap();
    assert_eq!(state.session_read(bot_id(), &session, 0, 100).await.unwrap().entries, entries);
}

#[tokio::test]
async fn overdue_replies_are_found_until_they_are_delivered() {
    let world = world().await;
    let state = world.store.account(account(1));
    commit(&world, &SessionKey::main("main"), &Head::default(), 1).await.unwrap();
    let overdue = async |now| {
        let mut found = vec![];
        for shard in 0..store::keys::OUTBOX_SHARDS {
            found.extend(world.store.outbox_overdue(shard, now, 10).await.unwrap());
        }
        found
    };
    assert!(overdue(at(30)).await.is_empty(), "it is young");
    assert_eq!(overdue(at(100)).await, [outbound(1)]);
    world.store.outbox_put_off(&outbound(1), at(100)).await.unwrap();
    assert!(overdue(at(101)).await.is_empty(), "it was put off");
    let mut delivery = state.delivery_get(&outbound(1)).await.unwrap().unwrap();
    delivery.status = DeliveryStatus::Delivered;
    state.delivery_put(&delivery).await.unwrap();
    assert!(overdue(at(10_000)).await.is_empty(), "it was delivered");
}

#[tokio::test]
async fn names_are_unique_within_an_account_and_free_again_after_a_rename() {
    let world = world().await;
    let state = world.store.account(account(1));
    state.bot_create(&bot("Tidy", 2)).await.unwrap();
    let taken = state.bot_create(&bot("tIDY", 3)).await;
    assert!(matches!(taken, Err(StoreError::Conflict(reason)) if reason.contains("name")), "{taken:?}");
    assert_eq!(state.bot_find("TIDY").await.unwrap().unwrap().id, bot_id());

    let renamed = Bot { version: 2, ..bot("Heron", 2) };
    state.bot_update(&bot("Tidy", 2), &renamed).await.unwrap();
    let stale = state.bot_update(&bot("Tidy", 2), &Bot { version: 2, ..bot("Otter", 2) }).await;
    assert!(matches!(stale, Err(StoreError::Conflict(reason)) if reason.contains("meanwhile")), "{stale:?}");
    assert!(state.bot_find("tidy").await.unwrap().is_none());
    state.bot_create(&bot("tidy", 4)).await.unwrap();

    let other = world.store.account(account(9));
    assert!(other.bot_list().await.unwrap().is_empty() && other.bot_find("tidy").await.unwrap().is_none());
}

#[tokio::test]
async fn deleting_a_bot_leaves_nothing_of_it() {
    let world = world().await;
    let state = world.store.account(account(1));
    let tidy = bot("Tidy", 2);
    state.bot_create(&tidy).await.unwrap();
    state.workspace_put(tidy.id, "SOUL.md", "kind").await.unwrap();
    let main = SessionKey::main("main");
    commit(&world, &main, &Head::default(), 1).await.unwrap();
    state.child_put(tidy.id, &main, &SessionKey::subagent("main", turn(1), "1.a"), at(0)).await.unwrap();
    state.bot_delete(&tidy).await.unwrap();
    assert!(state.bot_get(tidy.id).await.unwrap().is_none() && state.bot_find("tidy").await.unwrap().is_none());
    assert!(state.workspace_list(tidy.id).await.unwrap().is_empty());
    assert!(state.session_list(tidy.id).await.unwrap().is_empty());
    assert!(state.child_list(tidy.id, &main, at(0)).await.unwrap().is_empty());
    assert!(state.session_load(tidy.id, &SessionKey::main("main")).await.unwrap().entries.is_empty());
}

#[tokio::test]
async fn a_session_is_listed_with_where_it_is_held() {
    let world = world().await;
    let state = world.store.account(account(1));
    let main = SessionKey::main("main");
    let Outbound { account, bot, link, channel, address, .. } = outbound(1);
    let place = ReplyTo { account, bot, link, channel, address, parent: None, hops: 0 };
    let entries = exchange(0, 1);
    let head = Head { next_seq: 2, updated_at: at(1), ..Head::default() };
    let spending = &Spending::Nothing;
    let (seen, place) = (&Head::default(), Some(&place));
    let first = Commit { seen, head: &head, entries: &entries, marks: &[], outbox: &[], spending, place };
    state.session_commit(bot, &main, &first).await.unwrap();
    let listed = state.session_summary(bot, &main).await.unwrap().unwrap();
    assert_eq!((listed.place.as_ref(), listed.created_at), (place, at(1)));
    assert_eq!(state.session_list(bot).await.unwrap(), [listed]);

    // Later commits come from anywhere.
    let later = Head { next_seq: 4, updated_at: at(2), ..head.clone() };
    let entries = exchange(2, 2);
    let second =
        Commit { seen: &head, head: &later, entries: &entries, marks: &[], outbox: &[], spending, place: None };
    state.session_commit(bot, &main, &second).await.unwrap();
    assert_eq!(state.session_summary(bot, &main).await.unwrap().unwrap().place.as_ref(), place);
    assert!(state.session_summary(bot_id(), &SessionKey::main("other")).await.unwrap().is_none());
}

#[tokio::test]
async fn children_are_waited_for_until_they_answer_or_a_day_has_passed() {
    let world = world().await;
    let state = world.store.account(account(1));
    let main = SessionKey::main("main");
    let child = |call: &str| SessionKey::subagent("main", turn(1), call);
    commit(&world, &main, &Head::default(), 1).await.unwrap();
    for (call, secs) in [("1.a", 0), ("1.b", 100), ("1.b", 100)] {
        state.child_put(bot_id(), &main, &child(call), at(secs)).await.unwrap();
    }
    let waits = async |secs| state.child_list(bot_id(), &main, at(secs)).await.unwrap();
    assert_eq!(waits(101).await.len(), 2);
    assert_eq!(waits(CHILD_TTL.as_secs()).await, [child("1.b")]);
    state.child_delete(bot_id(), &main, &child("1.b")).await.unwrap();
    assert_eq!(waits(101).await, [child("1.a")]);
    assert!(state.child_list(bot_id(), &child("1.a"), at(0)).await.unwrap().is_empty());
    let log = state.session_load(bot_id(), &main).await.unwrap();
    assert_eq!((log.head.next_seq, log.entries.len()), (2, 2), "the log does not know of them");
}

/// A message that one commit takes in and answers: its mark is the record of the answer's delivery.
#[tokio::test]
async fn a_mark_is_the_record_of_its_answers_delivery() {
    let world = world().await;
    let state = world.store.account(account(1));
    let session = SessionKey::main("main");
    let mark = domain::Mark { session: session.clone(), message: message(1) };
    let reply = Outbound { mark: Some(Box::new(mark)), ..outbound(1) };
    let entries = exchange(0, 1);
    let head = Head { next_seq: entries.len() as u64, updated_at: at(1), ..Head::default() };
    let commit = Commit {
        seen: &Head::default(),
        head: &head,
        entries: &entries,
        marks: &[message(1)],
        outbox: std::slice::from_ref(&reply),
        spending: &Spending::Nothing,
        place: None,
    };
    state.session_commit(bot_id(), &session, &commit).await.unwrap();
    let of_turn =
        async || state.delivery_of_turn(bot_id(), &session, turn(1), Some(&message(1))).await.unwrap().unwrap();
    assert_eq!(of_turn().await, state.delivery_get(&reply).await.unwrap().unwrap());

    // One worker has sent a part and another one all of it; then the first comes to recording.
    let mut whole = of_turn().await;
    whole.sent = vec!["1".into(), "2".into()];
    let first = store::Delivery { sent: vec!["1".into()], ..whole.clone() };
    state.delivery_put(&whole).await.unwrap();
    assert!(matches!(state.delivery_put(&first).await, Err(StoreError::Conflict(_))), "it lags behind");
    whole.status = DeliveryStatus::Delivered;
    state.delivery_put(&whole).await.unwrap();
    let undone = store::Delivery { status: DeliveryStatus::Pending, ..whole.clone() };
    assert!(matches!(state.delivery_put(&undone).await, Err(StoreError::Conflict(_))), "it was delivered");
    assert_eq!(of_turn().await, whole);

    // The mark still is one.
    let (seen, head) = (head.clone(), Head { next_seq: 4, ..head.clone() });
    let again = Commit { seen: &seen, head: &head, entries: &exchange(2, 1), outbox: &[], ..commit };
    let again = state.session_commit(bot_id(), &session, &again).await;
    assert!(matches!(&again, Err(StoreError::AlreadyTaken(taken)) if *taken == [message(1)]), "{again:?}");
}

#[tokio::test]
async fn what_a_tool_sends_is_written_once_and_queued_until_it_is_delivered() {
    let world = world().await;
    let state = world.store.account(account(1));
    let sent = Outbound { id: OutboundId::tool(turn(1), "1.a"), ..outbound(1) };
    assert!(state.outbox_put(&sent).await.unwrap());
    let other = Outbound { text: "something else".into(), ..sent.clone() };
    assert!(state.outbox_put(&other).await.unwrap(), "it was perhaps never queued");
    let mut delivery = state.delivery_get(&sent).await.unwrap().unwrap();
    assert_eq!(delivery.outbound, sent);
    delivery.status = DeliveryStatus::Delivered;
    state.delivery_put(&delivery).await.unwrap();
    assert!(!state.outbox_put(&sent).await.unwrap());
}

#[tokio::test]
async fn strangers_get_one_code_each_and_three_at_most_wait() {
    let world = world().await;
    let state = world.store.account(account(1));
    let link = LinkId::from_parts(at(0), 3);
    let sender = |id: &str| Sender { id: id.into(), name: None, username: None };
    let ask =
        async |id: &str, code: &str, now| state.pairing_request(link, &sender(id), code.to_owned(), now).await.unwrap();
    assert_eq!(ask("1", "AAAA", at(0)).await.as_deref(), Some("AAAA"));
    assert_eq!(ask("1", "BBBB", at(1)).await.as_deref(), Some("AAAA"), "who asks again keeps the code");
    ask("2", "CCCC", at(2)).await;
    ask("3", "DDDD", at(3)).await;
    assert_eq!(ask("4", "EEEE", at(4)).await, None);
    assert_eq!(ask("4", "EEEE", at(3700)).await.as_deref(), Some("EEEE"), "codes expire after an hour");

    assert!(!state.is_paired(link, "4").await.unwrap());
    assert_eq!(state.pairing_approve(link, "zzzz", at(3701)).await.unwrap(), None);
    assert_eq!(state.pairing_approve(link, " eeee ", at(3701)).await.unwrap(), Some(sender("4")));
    assert!(state.is_paired(link, "4").await.unwrap());
    let elsewhere = LinkId::from_parts(at(0), 4);
    assert!(!state.is_paired(elsewhere, "4").await.unwrap());
}

#[tokio::test]
async fn dead_letters_are_recorded_once_and_settled_once() {
    let world = world().await;
    let state = world.store.account(account(1));
    let letter = DeadLetter {
        id: DeadLetterId::from_parts(at(0), 1),
        queue: "outbound".into(),
        task: Task::Deliver(Box::new(outbound(1))),
        reason: "refused".into(),
        failed_at: at(0),
        status: DeadLetterStatus::Open,
        version: 0,
    };
    world.store.dead_letter_record(&letter).await.unwrap();
    let replayed = state.dead_letter_settle(&letter, DeadLetterStatus::Replayed).await.unwrap();
    world.store.dead_letter_record(&letter).await.unwrap();
    assert_eq!(state.dead_letter_page(&PageRange::default(), at(1)).await.unwrap().items, [replayed]);
    let again = state.dead_letter_settle(&letter, DeadLetterStatus::Discarded).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    assert!(world.store.account(account(9)).dead_letter_get(letter.id).await.unwrap().is_none());
    let later = at(0) + Duration::from_secs(91 * 24 * 3600);
    assert!(
        state.dead_letter_page(&PageRange::default(), later).await.unwrap().items.is_empty(),
        "they are kept for ninety days"
    );
}

#[tokio::test]
async fn a_stop_fences_whoever_works_on_the_session() {
    let world = world().await;
    let state = world.store.account(account(1));
    let session = SessionKey::main("main");
    let stop = |n: u32| Stop { message: message(n), at: at(n.into()), by: StoppedBy::Person };
    // Before anything was committed: the first turn is perhaps under way.
    state.session_stop(bot_id(), &session, &stop(2), at(2)).await.unwrap();
    let lost = commit(&world, &session, &Head::default(), 1).await;
    assert!(matches!(lost, Err(StoreError::Conflict(_))), "{lost:?}");

    let seen = state.session_load(bot_id(), &session).await.unwrap().head;
    assert_eq!((seen.epoch, seen.stop.clone(), seen.next_seq), (1, Some(stop(2)), 0));
    let first = commit(&world, &session, &seen, 1).await.unwrap();
    state.session_stop(bot_id(), &session, &stop(4), at(4)).await.unwrap();
    assert!(commit(&world, &session, &first, 3).await.is_err(), "it saw another epoch");
    // An older wish, or the same again, changes nothing.
    for n in [4, 3] {
        state.session_stop(bot_id(), &session, &stop(n), at(5)).await.unwrap();
    }
    let head = state.session_head(bot_id(), &session).await.unwrap().unwrap();
    assert_eq!((head.epoch, head.stop), (2, Some(stop(4))));
    let listed: Vec<SessionKey> =
        state.session_list(bot_id()).await.unwrap().into_iter().map(|summary| summary.session).collect();
    assert_eq!(listed, [session]);
}

#[tokio::test]
async fn a_change_of_the_head_alone_names_the_place_that_it_saw() {
    let world = world().await;
    let state = world.store.account(account(1));
    let session = SessionKey::main("main");
    let first = commit(&world, &session, &Head::default(), 1).await.unwrap();
    commit(&world, &session, &first, 2).await.unwrap();
    // The same epoch, and a log that has gone on: what it would write is old.
    let head = Head { epoch: first.epoch + 1, ..first.clone() };
    let spending = &Spending::Nothing;
    let stale = Commit { seen: &first, head: &head, entries: &[], marks: &[], outbox: &[], spending, place: None };
    let lost = state.session_commit(bot_id(), &session, &stale).await;
    assert!(matches!(lost, Err(StoreError::Conflict(_))), "{lost:?}");
}

#[tokio::test]
async fn what_is_spent_never_passes_the_budget_however_many_reserve_at_once() {
    let world = world().await;
    let state = world.store.account(account(1));
    let budget = |micros, turns| Budget { period: Period::Month, micros, turns };
    let allowances = || {
        [(BudgetScope::Account, budget(Some(1_000), None)), (BudgetScope::Bot, budget(Some(600), Some(50)))]
            .map(|(scope, budget)| Allowance::of(scope, &budget, at(0)).unwrap())
            .to_vec()
    };
    let reserve = |n: u32, micros| {
        let state = &state;
        async move {
            let session: SessionKey = format!("agent:main:webchat:direct:{n}").parse().unwrap();
            let spending = Spending::Reserve { micros, begins_turn: true, allowances: allowances() };
            let (seen, head) = (Head::default(), Head { epoch: 1, ..Head::default() });
            let commit = Commit {
                seen: &seen,
                head: &head,
                entries: &[],
                marks: &[],
                outbox: &[],
                spending: &spending,
                place: None,
            };
            let done = state.session_commit(bot_id(), &session, &commit).await;
            (done, spending.reserved().unwrap())
        }
    };
    let tries = futures::future::join_all((0..20).map(|n| reserve(n, 100))).await;
    let allowed = tries.iter().filter(|(done, _)| done.is_ok()).count();
    assert_eq!(allowed, 6, "600 for the bot, 100 each");
    let refused = tries.iter().find(|(done, _)| done.is_err()).unwrap();
    assert!(matches!(refused.0, Err(StoreError::OverBudget(BudgetScope::Bot))), "{:?}", refused.0);
    let spent = async |bot| state.spent(bot, &Period::Month.containing(at(0))).await.unwrap();
    assert_eq!(spent(Some(bot_id())).await, Spent { micros: 600, turns: 6 });
    assert_eq!(spent(None).await, Spent { micros: 600, turns: 6 });

    // One call was cheaper than what was set aside.
    let (seen, head) = (Head { epoch: 1, ..Head::default() }, Head { epoch: 2, ..Head::default() });
    let session: SessionKey = "agent:main:webchat:direct:0".parse().unwrap();
    let reserved = tries.iter().find(|(done, _)| done.is_ok()).unwrap().1.clone();
    let spending = Spending::Settle(Settlement { reserved, micros: 30 });
    let commit =
        Commit { seen: &seen, head: &head, entries: &[], marks: &[], outbox: &[], spending: &spending, place: None };
    let done = state.session_commit(bot_id(), &session, &commit).await;
    if done.is_ok() {
        assert_eq!(spent(Some(bot_id())).await.micros, 530);
    }
    let (more_than_all, _) = reserve(99, 601).await;
    assert!(matches!(more_than_all, Err(StoreError::OverBudget(_))), "{more_than_all:?}");
}

#[tokio::test]
async fn the_owner_is_told_once_of_each_thing() {
    let world = world().await;
    let state = world.store.account(account(1));
    let notice = |about: &str, n| Notice { about: about.into(), bot: None, text: format!("{about} {n}"), at: at(n) };
    assert!(state.notice_put(&notice("budget", 1)).await.unwrap());
    assert!(!state.notice_put(&notice("budget", 2)).await.unwrap());
    assert!(state.notice_put(&notice("price", 3)).await.unwrap());
    let told = state.notice_page(&PageRange::default(), at(4)).await.unwrap().items;
    assert_eq!(told, [notice("price", 3), notice("budget", 1)]);
    assert!(state.notice_delete("price", at(4)).await.unwrap());
    assert!(!state.notice_delete("price", at(4)).await.unwrap());
    assert_eq!(state.notice_page(&PageRange::default(), at(4)).await.unwrap().items, [notice("budget", 1)]);
}

#[tokio::test]
async fn a_bot_is_read_together_with_its_account() {
    let world = world().await;
    let state = world.store.account(account(1));
    assert!(state.bot_get_with_account(bot_id()).await.unwrap().is_none());
    state.bot_create(&bot("Tidy", 2)).await.unwrap();
    let (found, owner) = state.bot_get_with_account(bot_id()).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), owner), ("Tidy", None));
    let budget = Budget { period: Period::Day, micros: Some(5), turns: None };
    let owner = Account { id: account(1), name: "Owner".into(), budget, created_at: at(0) };
    state.account_put(&owner).await.unwrap();
    assert_eq!(state.bot_get_with_account(bot_id()).await.unwrap().unwrap().1, Some(owner));
}
