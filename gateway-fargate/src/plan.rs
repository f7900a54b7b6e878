//! Who should have which slots: decided from the table, without I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::{HolderId, Timestamp};
use store::keys::SLOTS;
use store::{SlotLease, SlotTable};

/// How long a sign of life counts.
pub(crate) const LIFE: Duration = Duration::from_secs(10);

/// How much longer others believe in a holder than it does itself: their clocks may differ by that much.
const GRACE: Duration = Duration::from_secs(2);

/// What a holder has at the moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mine {
    pub(crate) held: BTreeMap<u32, SlotLease>,
    /// Slots that are being given up: their connections are still closing.
    pub(crate) ending: BTreeSet<u32>,
}

/// What a holder does next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Another has them: their connections end at once.
    pub(crate) lost: Vec<u32>,
    /// More than its share: handed over in order.
    pub(crate) surplus: Vec<u32>,
    /// Nobody has them, and there is room in its share: each with the lease that the table shows.
    pub(crate) take: Vec<(u32, Option<SlotLease>)>,
}

/// Decides for the holder `me`. Whoever follows it ends with an even share, give or take one, and no slot is left over.
pub(crate) fn plan(me: HolderId, table: &SlotTable, mine: &Mine, now: Timestamp) -> Plan {
    let lives = |holder: HolderId| {
        holder == me || table.holders.get(&holder).is_some_and(|lives_until| *lives_until + GRACE > now)
    };
    let others = table.holders.keys().filter(|holder| **holder != me && lives(**holder)).count();
    let share = (SLOTS as usize).div_ceil(others + 1);

    let (kept, lost): (Vec<_>, Vec<_>) =
        mine.held.iter().partition(|(slot, lease)| table.leases.get(slot) == Some(lease));
    let surplus = kept.iter().skip(share).map(|(slot, _)| **slot).collect();
    let is_free = |slot: &u32| {
        let is_mine = mine.held.contains_key(slot) || mine.ending.contains(slot);
        // Its own lease without the slot: left over from a request whose answer was lost.
        !is_mine && table.leases.get(slot).and_then(|lease| lease.holder).is_none_or(|it| it == me || !lives(it))
    };
    let mut free: Vec<u32> = store::slots().filter(is_free).collect();
    // Holders that start together reach for different ones.
    let start = usize::try_from(me.random() % u128::from(SLOTS)).unwrap_or(0) % free.len().max(1);
    free.rotate_left(start);
    free.truncate(share.saturating_sub(kept.len()));
    Plan {
        lost: lost.into_iter().map(|(slot, _)| *slot).collect(),
        surplus,
        take: free.into_iter().map(|slot| (slot, table.leases.get(&slot).copied())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(n: u128) -> HolderId {
        HolderId::from_parts(Timestamp::default(), n)
    }

    fn now() -> Timestamp {
        Timestamp::from_secs(1000)
    }

    fn table(alive: &[u128]) -> SlotTable {
        let holders = alive.iter().map(|n| (holder(*n), now() + LIFE)).collect();
        SlotTable { holders, ..SlotTable::default() }
    }

    /// Lets the holders follow their plans in turn until nobody has anything to do.
    fn settle(table: &mut SlotTable, who: &[u128]) -> BTreeMap<u128, Mine> {
        let mut all: BTreeMap<u128, Mine> = who.iter().map(|n| (*n, Mine::default())).collect();
        for (n, mine) in &mut all {
            let leases = table.leases.values().filter(|lease| lease.holder == Some(holder(*n)));
            mine.held = leases.map(|lease| (lease.slot, *lease)).collect();
        }
        for _ in 0..10 {
            for (n, mine) in &mut all {
                let Plan { lost, surplus, take } = plan(holder(*n), table, mine, now());
                for slot in lost {
                    mine.held.remove(&slot);
                }
                for slot in surplus {
                    let lease = mine.held.remove(&slot).unwrap();
                    table.leases.insert(slot, SlotLease { holder: None, epoch: lease.epoch + 1, slot });
                }
                for (slot, seen) in take {
                    assert_eq!(table.leases.get(&slot).copied(), seen);
                    let epoch = seen.map_or(1, |seen| seen.epoch + 1);
                    let lease = SlotLease { slot, holder: Some(holder(*n)), epoch };
                    table.leases.insert(slot, lease);
                    mine.held.insert(slot, lease);
                }
            }
        }
        all
    }

    fn shares(all: &BTreeMap<u128, Mine>) -> Vec<usize> {
        all.values().map(|mine| mine.held.len()).collect()
    }

    #[test]
    fn holders_come_and_go_and_every_slot_has_one() {
        let mut table = table(&[1]);
        assert_eq!(shares(&settle(&mut table, &[1])), [64]);
        table.holders.insert(holder(2), now() + LIFE);
        assert_eq!(shares(&settle(&mut table, &[1, 2])), [32, 32]);
        table.holders.insert(holder(3), now() + LIFE);
        let of_three = shares(&settle(&mut table, &[1, 2, 3]));
        assert_eq!(of_three.iter().sum::<usize>(), 64);
        assert!(of_three.iter().all(|share| (20..=22).contains(share)), "{of_three:?}");
        // The second dies: nobody touches its slots before its time and the grace are over.
        table.holders.insert(holder(2), Timestamp::from_secs(998));
        let before = settle(&mut table.clone(), &[1, 3]);
        assert_eq!(shares(&before).iter().sum::<usize>(), 64, "998 s and 2 s of grace are over at 1000 s");
        table.holders.insert(holder(2), now());
        assert!(shares(&settle(&mut table.clone(), &[1, 3])).iter().sum::<usize>() < 64, "it may still live");
        table.holders.remove(&holder(2));
        assert_eq!(shares(&settle(&mut table, &[1, 3])), [32, 32]);
    }

    #[test]
    fn a_slot_that_another_took_is_lost() {
        let mut table = table(&[1, 2]);
        let lease = SlotLease { slot: 7, holder: Some(holder(1)), epoch: 3 };
        let mine = Mine { held: BTreeMap::from([(7, lease)]), ..Mine::default() };
        table.leases.insert(7, SlotLease { holder: Some(holder(2)), epoch: 4, slot: 7 });
        assert_eq!(plan(holder(1), &table, &mine, now()).lost, [7]);
        // Its own by a later epoch, too: another had it in between.
        table.leases.insert(7, SlotLease { holder: Some(holder(1)), epoch: 5, slot: 7 });
        assert_eq!(plan(holder(1), &table, &mine, now()).lost, [7]);
    }

    #[test]
    fn what_is_being_given_up_is_not_taken_back() {
        let mine = Mine { ending: BTreeSet::from([5]), ..Mine::default() };
        let take = plan(holder(1), &table(&[1]), &mine, now()).take;
        assert_eq!(take.len(), 63);
        assert!(take.iter().all(|(slot, _)| *slot != 5));
    }
}
