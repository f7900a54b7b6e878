//! Sealing a long log, and reading it across the seam.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::ResetReason;
use store::SEGMENT;

use super::faults::Death;
use super::*;

type Row = std::collections::HashMap<String, AttributeValue>;

fn long() -> SessionKey {
    "agent:main:webchat:direct:long/50%".parse().unwrap()
}

/// `count` entries from `first` on, of several kinds.
fn entries(first: u64, count: u64, text: &str) -> Vec<Entry> {
    let entry = |seq: u64| {
        let mut entry = exchange(seq / 2 * 2, u32::try_from(seq).unwrap()).remove(usize::try_from(seq % 2).unwrap());
        (entry.seq, entry.id) = (seq, EntryId::from_parts(at(seq), seq.into()));
        match &mut entry.body {
            body if seq % 11 == 5 => *body = EntryBody::Reset { reason: ResetReason::Idle },
            EntryBody::Assistant(answer) => answer.text.push_str(text),
            _ => {}
        }
        entry
    };
    (first..first + count).map(entry).collect()
}

/// Commits what comes, as a worker that saw `head`.
async fn append(world: &World, session: &SessionKey, head: &Head, entries: &[Entry]) -> Result<Head, StoreError> {
    let next_seq = head.next_seq + entries.len() as u64;
    let new = Head { next_seq, ..head.clone() };
    let commit =
        Commit { seen: head, head: &new, entries, marks: &[], outbox: &[], spending: &Spending::Nothing, place: None };
    world.store.account(account(1)).session_commit(bot_id(), session, &commit).await.map(|()| new)
}

/// Goes on with a log until it has `count` entries, in rows of 1 to 7.
async fn grow(world: &World, session: &SessionKey, mut head: Head, count: u64, text: &str) -> Head {
    for size in [1, 5, 2, 7, 3, 6, 4].into_iter().cycle() {
        let size = (count - head.next_seq).min(size);
        if size == 0 {
            break;
        }
        head = append(world, session, &head, &entries(head.next_seq, size, text)).await.unwrap();
    }
    head
}

/// The whole log, as one reads it who pages through it.
async fn read_all(world: &World, session: &SessionKey, limit: i32) -> Vec<Entry> {
    let (mut next, mut all) = (0, vec![]);
    loop {
        let page = world.store.account(account(1)).session_read(bot_id(), session, next, limit).await.unwrap();
        if page.entries.is_empty() {
            assert_eq!(page.next, next);
            return all;
        }
        next = page.next;
        all.extend(page.entries);
    }
}

fn partition(session: &SessionKey) -> String {
    format!("{}#{}#s#{session}", account(1), bot_id())
}

async fn head_row(world: &World, session: &SessionKey) -> Row {
    let get = world.dynamo.get_item().table_name("state").key("pk", AttributeValue::S(partition(session)));
    get.key("sk", AttributeValue::S("head".into())).send().await.unwrap().item.unwrap()
}

/// The rows of entries that are there.
async fn rows(world: &World, session: &SessionKey) -> Vec<Row> {
    let query = world.dynamo.query().table_name("state").key_condition_expression("pk = :pk AND begins_with(sk, :sk)");
    let query = query.expression_attribute_values(":pk", AttributeValue::S(partition(session)));
    let query = query.expression_attribute_values(":sk", AttributeValue::S("e#".into()));
    query.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.unwrap()
}

fn first_seq(row: &Row) -> u64 {
    row["sk"].as_s().unwrap().strip_prefix("e#").unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_sealed_log_reads_as_before() {
    let world = world().await;
    let state = world.store.account(account(1));
    let session = long();
    let head = grow(&world, &session, Head::default(), 1_500, "").await;
    let all = entries(0, 1_500, "");
    assert_eq!(state.session_seal(bot_id(), &session, &head, 1_300).await.unwrap(), None, "it is too short");

    let sealed = state.session_seal(bot_id(), &session, &head, 200).await.unwrap().unwrap();
    assert_eq!(sealed, Head { sealed: 1_280, epoch: head.epoch + 1, ..head.clone() });
    assert_eq!(read_all(&world, &session, 50).await, all);
    assert_eq!(read_all(&world, &session, 1_000).await, all);
    let left = rows(&world, &session).await;
    assert!(
        (1_274..=1_280).contains(&first_seq(&left[0])),
        "only a row across the seam stays: {}",
        first_seq(&left[0])
    );
    for from in (0..1_500).step_by(37).chain([1_279, 1_280, 1_281, 1_499]) {
        let page = state.session_read(bot_id(), &session, from as u64, 10).await.unwrap();
        assert_eq!(page.entries[..], all[from..usize::try_from(page.next).unwrap()], "from {from}");
    }
    let loaded = state.session_load(bot_id(), &session).await.unwrap();
    assert_eq!(loaded.head, sealed);
    assert!(all.ends_with(&loaded.entries) && loaded.entries.len() >= 200);

    // Whoever saw the head before the seal has lost.
    let stale = append(&world, &session, &head, &entries(1_500, 1, "")).await;
    assert!(matches!(stale, Err(StoreError::Conflict(_))), "{stale:?}");
    let stale = state.session_seal(bot_id(), &session, &head, 0).await;
    assert!(matches!(stale, Err(StoreError::Conflict(_))), "{stale:?}");
    assert_eq!(state.session_seal(bot_id(), &session, &sealed, 200).await.unwrap(), None);

    // It goes on, and may be sealed to its very end.
    let head = grow(&world, &session, sealed, 1_792, "").await;
    let sealed = state.session_seal(bot_id(), &session, &head, 0).await.unwrap().unwrap();
    assert_eq!((sealed.sealed, rows(&world, &session).await.len()), (1_792, 0));
    let all = entries(0, 1_792, "");
    assert_eq!(read_all(&world, &session, 50).await, all);
    assert!(state.session_load(bot_id(), &session).await.unwrap().entries.is_empty());
    let last = state.session_read_last(bot_id(), &session, 3).await.unwrap();
    assert_eq!((&last.entries[..], last.next), (&all[1_789..], 1_792));
    grow(&world, &session, sealed, 1_793, "").await;
    assert_eq!(state.session_read_last(bot_id(), &session, 3).await.unwrap().entries, entries(1_790, 3, ""));
}

#[tokio::test]
async fn the_hot_path_and_an_open_end_cost_one_request() {
    let world = world().await;
    let state = world.store.account(account(1));
    let head = grow(&world, &long(), Head::default(), 600, "").await;
    let sealed = state.session_seal(bot_id(), &long(), &head, 100).await.unwrap().unwrap();
    world.faults.set(Death::Never);
    state.session_load(bot_id(), &long()).await.unwrap();
    assert_eq!(world.faults.sent(), 1);
    state.session_read(bot_id(), &long(), sealed.next_seq, 50).await.unwrap();
    assert_eq!(world.faults.sent(), 2);
}

/// Gives another session the rows and the head of one, and its first segment.
async fn copy(world: &World, rows: &[Row], first_segment: &[Entry], to: &SessionKey) {
    let pk = AttributeValue::S(partition(to));
    for row in rows {
        let mut row = row.clone();
        row.insert("pk".to_owned(), pk.clone());
        world.dynamo.put_item().table_name("state").set_item(Some(row)).send().await.unwrap();
    }
    world.store.account(account(1)).segment_put(bot_id(), to, 0, first_segment).await.unwrap();
}

#[tokio::test]
async fn a_seal_that_was_cut_short_anywhere_leaves_a_whole_log_and_can_be_repeated() {
    let world = world().await;
    let state = world.store.account(account(1));
    let all = entries(0, 800, "");
    // The first seal makes one segment; the one that is cut makes the other, so that it has one before it.
    let head = grow(&world, &long(), Head::default(), 620, "").await;
    let first = state.session_seal(bot_id(), &long(), &head, 300).await.unwrap().unwrap();
    let mut template = rows(&world, &long()).await;
    template.push(head_row(&world, &long()).await);
    world.faults.set(Death::Never);
    let second = state.session_seal(bot_id(), &long(), &first, 50).await.unwrap().unwrap();
    let requests = world.faults.sent();
    assert_eq!((first.sealed, second.sealed), (256, 512));
    assert!(requests > 6, "a segment to read, rows to find and read, a segment, the head, rows to delete: {requests}");

    let deaths = (0..requests).flat_map(|n| [Death::After(n), Death::BeforeAnswer(n + 1)]);
    let mut heads = [0, 0];
    for (n, death) in deaths.enumerate() {
        let session: SessionKey = format!("agent:main:cut:{n}").parse().unwrap();
        copy(&world, &template, &all[..256], &session).await;
        world.faults.set(death);
        let cut = state.session_seal(bot_id(), &session, &first, 50).await;
        world.faults.set(Death::Never);

        assert_eq!(read_all(&world, &session, 100).await, all[..620], "{death:?}");
        let loaded = state.session_load(bot_id(), &session).await.unwrap();
        assert!(all[..620].ends_with(&loaded.entries) && loaded.entries.len() >= 50);
        assert!([&first, &second].contains(&&loaded.head), "{death:?}: {:?}", loaded.head);
        heads[usize::from(loaded.head == second)] += 1;
        match cut {
            Ok(cut) => assert_eq!(cut.as_ref(), Some(&second), "a seal that says that it is done is done"),
            Err(error) => assert!(matches!(error, StoreError::Unavailable { .. }), "{death:?}: {error}"),
        }
        // Some more entries, and the next seal finishes what was left.
        let head = append(&world, &session, &loaded.head, &all[620..720]).await.unwrap();
        let head = append(&world, &session, &head, &all[720..]).await.unwrap();
        let again = state.session_seal(bot_id(), &session, &head, 10).await.unwrap().unwrap();
        assert_eq!(again.sealed, 768);
        assert_eq!(read_all(&world, &session, 100).await, all, "{death:?}");
        assert_eq!(rows(&world, &session).await.iter().map(first_seq).collect::<Vec<_>>(), [720], "{death:?}");
    }
    assert!(heads.iter().all(|count| *count > 4), "it was cut on both sides of the head: {heads:?}");
}

#[tokio::test]
async fn sealed_rows_that_were_deleted_in_part_do_no_harm() {
    let world = world().await;
    let state = world.store.account(account(1));
    let head = grow(&world, &long(), Head::default(), 400, "").await;
    let before = rows(&world, &long()).await;
    let head = state.session_seal(bot_id(), &long(), &head, 0).await.unwrap().unwrap();
    let left: Vec<Row> = before.into_iter().filter(|row| first_seq(row) < 250).collect();
    for row in left.iter().step_by(2) {
        world.dynamo.put_item().table_name("state").set_item(Some(row.clone())).send().await.unwrap();
    }
    let all = entries(0, 400, "");
    for limit in [1, 2, 50, 1_000] {
        assert_eq!(read_all(&world, &long(), limit).await, all);
    }
    let loaded = state.session_load(bot_id(), &long()).await.unwrap();
    assert!(all.ends_with(&loaded.entries) && loaded.entries.len() >= 144);
    assert_eq!(state.session_read_last(bot_id(), &long(), 300).await.unwrap().entries, all[100..]);
    let head = grow(&world, &long(), head, 600, "").await;
    state.session_seal(bot_id(), &long(), &head, 0).await.unwrap().unwrap();
    assert!(first_seq(&rows(&world, &long()).await[0]) > 505);

    // A gap above the seam is one of the log.
    let gone = rows(&world, &long()).await.remove(2);
    let (pk, sk) = (gone["pk"].clone(), gone["sk"].clone());
    world.dynamo.delete_item().table_name("state").key("pk", pk).key("sk", sk).send().await.unwrap();
    let loaded = state.session_load(bot_id(), &long()).await;
    assert!(matches!(&loaded, Err(StoreError::Corrupt(reason)) if reason.contains("gap")), "{loaded:?}");
    let page = state.session_read(bot_id(), &long(), first_seq(&gone), 10).await;
    assert!(matches!(&page, Err(StoreError::Corrupt(reason)) if reason.contains("gap")), "{page:?}");
}

#[tokio::test]
async fn a_log_is_read_while_it_is_sealed() {
    let world = world().await;
    let state = world.store.account(account(1));
    let session = long();
    let mut head = grow(&world, &session, Head::default(), 1_500, "").await;
    let all = entries(0, 1_500, "");
    let seal = async {
        for keep in [1_200, 900, 600, 300, 30] {
            head = state.session_seal(bot_id(), &session, &head, keep).await.unwrap().unwrap();
        }
    };
    let read = async {
        for limit in [3, 7, 20] {
            assert_eq!(read_all(&world, &session, limit).await, all);
        }
    };
    let load = async {
        for _ in 0..100 {
            let loaded = state.session_load(bot_id(), &session).await.unwrap();
            assert!(all.ends_with(&loaded.entries) && loaded.entries.len() >= 30);
        }
    };
    tokio::join!(seal, read, load);
    assert_eq!(read_all(&world, &session, 50).await, all);
}

#[tokio::test]
async fn big_rows_are_sealed_page_by_page() {
    let world = world().await;
    let state = world.store.account(account(1));
    let text = "é".repeat(20_000);
    let head = grow(&world, &long(), Head::default(), 300, &text).await;
    let head = state.session_seal(bot_id(), &long(), &head, 20).await.unwrap().unwrap();
    assert_eq!(head.sealed, 256);
    assert_eq!(read_all(&world, &long(), 100).await, entries(0, 300, &text));
}

#[tokio::test]
async fn a_segment_is_whole_and_written_twice_the_same() {
    let world = world().await;
    let state = world.store.account(account(1));
    let two = entries(0, 2 * SEGMENT, "");
    assert_eq!(state.segment_get(bot_id(), &long(), 0).await.unwrap(), None);
    for _ in 0..2 {
        state.segment_put(bot_id(), &long(), SEGMENT, &two).await.unwrap();
        let read = state.segment_get(bot_id(), &long(), SEGMENT).await.unwrap();
        assert_eq!(read.as_deref(), Some(&two[256..]));
    }
    let part = state.segment_put(bot_id(), &long(), 0, &two[..255]).await;
    assert!(matches!(part, Err(StoreError::Corrupt(_))), "{part:?}");
}

#[tokio::test]
async fn a_bots_segments_are_deleted_with_it_and_no_others() {
    let world = world().await;
    let state = world.store.account(account(1));
    let tidy = bot("Tidy", 2);
    state.bot_create(&tidy).await.unwrap();
    let head = grow(&world, &long(), Head::default(), 600, "").await;
    state.session_seal(tidy.id, &long(), &head, 0).await.unwrap().unwrap();
    let other = BotId::from_parts(at(0), 3);
    state.segment_put(other, &long(), 0, &entries(0, 256, "")).await.unwrap();
    state.bot_delete(&tidy).await.unwrap();
    for first in [0, 256] {
        assert_eq!(state.segment_get(tidy.id, &long(), first).await.unwrap(), None);
    }
    assert!(read_all(&world, &long(), 50).await.is_empty());
    assert!(state.segment_get(other, &long(), 0).await.unwrap().is_some());
}
