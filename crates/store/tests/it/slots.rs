//! Slots: of many who want one, one gets it, and who has lost it writes nothing more.

use domain::HolderId;
use futures::future::join_all;

use super::*;

fn holder(n: u128) -> HolderId {
    HolderId::from_parts(at(0), n)
}

#[tokio::test]
async fn of_many_holders_one_gets_a_slot() {
    let world = world().await;
    let store = &world.store;
    let taken = join_all((0..8).map(|n| store.slot_take(5, holder(n), None))).await;
    let got: Vec<_> = taken.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(got.len(), 1);
    assert_eq!(store.slots_read().await.unwrap().leases.get(&5), Some(&got[0]));
}

#[tokio::test]
async fn a_holder_that_lost_its_slot_moves_no_cursor() {
    let world = world().await;
    let store = &world.store;
    let link = LinkId::from_parts(at(0), 1);
    let cursor = |text: &str| vec![(link, text.to_owned())];
    let first = store.slot_take(5, holder(1), None).await.unwrap().unwrap();
    assert!(store.cursors_put(first, &cursor("1")).await.unwrap());
    let second = store.slot_take(5, holder(2), Some(first)).await.unwrap().unwrap();
    assert!(second.epoch > first.epoch);
    assert!(!store.cursors_put(first, &cursor("zombie")).await.unwrap());
    assert!(store.cursors_put(second, &cursor("2")).await.unwrap());
    // It cannot give back what is not its own, either.
    store.slot_release(first).await.unwrap();
    assert_eq!(store.slots_read().await.unwrap().leases.get(&5), Some(&second));
    store.slot_release(second).await.unwrap();
    let free = store.slots_read().await.unwrap().leases[&5];
    assert_eq!(free.holder, None);
    assert!(store.slot_take(5, holder(1), Some(second)).await.unwrap().is_none(), "seen too long ago");
    assert!(store.slot_take(5, holder(1), Some(free)).await.unwrap().is_some());
}

#[tokio::test]
async fn holders_come_and_go() {
    let world = world().await;
    let store = &world.store;
    store.holder_beat(holder(1), at(10)).await.unwrap();
    store.holder_beat(holder(2), at(11)).await.unwrap();
    store.holder_beat(holder(1), at(13)).await.unwrap();
    let holders = store.slots_read().await.unwrap().holders;
    assert_eq!(holders.into_iter().collect::<Vec<_>>(), [(holder(1), at(13)), (holder(2), at(11))]);
    store.holder_leave(holder(1)).await.unwrap();
    assert_eq!(store.slots_read().await.unwrap().holders.len(), 1);
}

/// The reply `n`, which was made at `secs`.
fn reply(n: u32, secs: u64) -> domain::Outbound {
    domain::Outbound { created_at: at(secs), ..outbound(n) }
}

#[tokio::test]
async fn a_reply_waits_in_its_order_until_it_was_said() {
    let world = world().await;
    let store = &world.store;
    let slot = store::keys::slot_of(outbound(1).link);
    let counts = async || store.slots_read().await.unwrap().changes.get(&slot).copied().unwrap_or_default();
    let (second, first) = (reply(2, 20), reply(1, 10));
    assert_eq!(store.post_put(&second, at(30)).await.unwrap().posted_at, at(30));
    store.post_put(&first, at(31)).await.unwrap();
    // Left again: it keeps its time, and its holder looks again.
    assert_eq!(store.post_put(&second, at(90)).await.unwrap().posted_at, at(30));
    assert_eq!((counts().await.posts, counts().await.links), (3, 0));
    let waiting =
        || async { store.post_list(slot).await.unwrap().into_iter().map(|post| post.outbound).collect::<Vec<_>>() };
    assert_eq!(waiting().await, [first.clone(), second.clone()]);
    store.post_delete(&first).await.unwrap();
    assert_eq!(waiting().await, [second]);
}

#[tokio::test]
async fn rows_that_are_read_at_the_same_time_are_read_together() {
    let world = world().await;
    let account = world.store.account(account(1));
    for n in 0..150 {
        account.bot_create(&bot(&format!("bot {n}"), n)).await.unwrap();
    }
    let store = world.store.clone().with_reads_together();
    world.faults.set(faults::Death::Never);
    // Twice each, and some that there are not.
    let reads = (0..320).map(|n| {
        let store = &store;
        async move { store.account(super::account(1)).bot_get(BotId::from_parts(at(0), n % 160)).await.unwrap() }
    });
    for (n, found) in join_all(reads).await.into_iter().enumerate() {
        let expected = (n % 160 < 150).then(|| format!("bot {}", n % 160));
        assert_eq!(found.map(|bot| bot.name), expected, "{n}");
    }
    assert!(world.faults.sent() <= 12, "{} calls for 320 reads", world.faults.sent());
    // What fails, fails for each.
    world.faults.set(faults::Death::After(0));
    let reads = (0..20).map(|n| {
        let store = &store;
        async move { store.account(super::account(1)).bot_get(BotId::from_parts(at(0), n)).await }
    });
    assert!(join_all(reads).await.iter().all(|read| matches!(read, Err(StoreError::Unavailable { .. }))));
}

#[tokio::test]
async fn a_link_is_held_by_who_lives_and_has_its_slot() {
    let world = world().await;
    let store = &world.store;
    let link = LinkId::from_parts(at(0), 1);
    assert_eq!(store.link_holder(link, at(0)).await.unwrap(), None);
    let lease = store.slot_take(store::keys::slot_of(link), holder(1), None).await.unwrap().unwrap();
    assert_eq!(store.link_holder(link, at(0)).await.unwrap(), None, "nobody has seen it alive");
    store.holder_beat(holder(1), at(10)).await.unwrap();
    assert_eq!(store.link_holder(link, at(9)).await.unwrap(), Some(holder(1)));
    assert_eq!(store.link_holder(link, at(10)).await.unwrap(), None, "it has died");
    store.slot_release(lease).await.unwrap();
    assert_eq!(store.link_holder(link, at(9)).await.unwrap(), None);
}
