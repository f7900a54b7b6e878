//! The holder: keeps the connections of links whose channel has no webhooks, thousands in one small process.
//!
//! Links are in 64 slots ([`store::keys::SLOTS`]), and holders share the slots through leases in the store:
//!
//! - A holder says every few seconds that it lives; who does not for ten seconds is dead, and the others take its slots.
//! - When one comes, the others each give it a part of theirs, in order: connections stop reading, what they have read is
//!   queued, cursors are written, and then the slot is given back. SIGTERM does the same with all slots.
//! - Cursors are written only under the slot's epoch, and nothing is queued by a holder that is past its time. What two
//!   holders both read for a moment has one message id, and counts once.
//!
//! - Replies that only a connection can carry are left with the slot, and its holder says them ([`delivery::Courier`]).
//!
//! `lowtide dev` runs this in its own process.

mod connect;
mod door;
pub mod health;
mod link;
mod metrics;
mod plan;
mod posts;
pub mod process;
mod shared;
mod slot;
mod tasks;

pub use metrics::{LinkState, Metrics, resident_bytes};

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use domain::{HolderId, Timestamp};
use futures::future::join_all;
use runtime::Environment;
use store::{SlotChanges, SlotLease, SlotTable, StoreError};
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use crate::plan::{LIFE, Mine, Plan};
use crate::shared::Shared;

/// How often the table is read: so soon a changed link or a free slot is seen.
const READ_EVERY: Duration = Duration::from_millis(1500);

/// How often a holder says that it lives.
const BEAT_EVERY: Duration = Duration::from_secs(3);

/// How long a call to the store may take before it counts as failed.
const CALL_WITHIN: Duration = Duration::from_secs(3);

/// How long a hand-over may take, and [`CALL_WITHIN`] more: Fargate kills a task 30 s after SIGTERM.
const LEAVE_WITHIN: Duration = Duration::from_secs(22);

/// After so long without a sign of life that the others could see, something is wrong with the process or its network.
const SILENT_FOR: Duration = Duration::from_secs(120);

/// A holder of this process.
#[derive(Clone)]
pub struct Holder {
    id: HolderId,
    shared: Arc<Shared>,
}

impl Holder {
    /// A holder that [`run`](Holder::run) has to start. Must be made within a Tokio runtime.
    pub fn new(mut environment: Environment) -> Holder {
        // Thousands of connections take messages in at the same time: a call apiece would cost a socket apiece.
        environment.store = environment.store.with_reads_together();
        environment.queues = environment.queues.with_sends_together();
        let id = HolderId::from_parts(environment.clock.now(), environment.entropy.next_u128());
        Holder { id, shared: Arc::new(Shared::new(environment)) }
    }

    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Whether it takes part: the others know of it, and it knows what they do.
    pub fn is_ready(&self) -> bool {
        self.shared.lives()
    }

    /// Whether it works at all: it has said that it lives within the last two minutes, or began within them.
    pub fn is_healthy(&self) -> bool {
        self.now() < self.shared.silent_since() + SILENT_FOR
    }

    fn now(&self) -> Timestamp {
        self.shared.environment.clock.now()
    }

    /// Lets this holder have all slots at once, where no other can be: whoever else is in the table was killed.
    pub async fn outlive_others(&self) -> Result<(), StoreError> {
        let store = &self.shared.environment.store;
        for holder in store.slots_read().await?.holders.into_keys() {
            store.holder_leave(holder).await?;
        }
        Ok(())
    }

    /// Holds what is its share until it is told to stop, and then hands it over.
    pub async fn run(&self, stop: CancellationToken) {
        let mut keeper = Keeper { holder: self.clone(), slots: BTreeMap::new(), tasks: JoinSet::new() };
        tracing::info!(holder = %self.id, "A holder starts.");
        let mut tick = tokio::time::interval(READ_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = keeper.tasks.join_next_with_id() => {
                    keeper.ended(ended.map_or_else(|error| error.id(), |(id, ())| id));
                }
                _ = tick.tick() => tokio::select! {
                    // Not even a slow store holds up the hand-over.
                    () = stop.cancelled() => break,
                    () = keeper.tick() => {}
                },
            }
        }
        keeper.leave().await;
        tracing::info!(holder = %self.id, "A holder has handed over what it held.");
    }
}

/// A slot with the task that works on it.
struct Running {
    lease: SlotLease,
    task: Id,
    /// Ends it in order.
    stop: CancellationToken,
    /// Ends it at once.
    fenced: CancellationToken,
    changes: watch::Sender<SlotChanges>,
}

struct Keeper {
    holder: Holder,
    slots: BTreeMap<u32, Running>,
    tasks: JoinSet<()>,
}

impl Keeper {
    async fn tick(&mut self) {
        let now = self.holder.now();
        if self.holder.shared.beaten_at() + BEAT_EVERY <= now {
            self.beat(now).await;
        }
        if !self.holder.is_ready() {
            // Others may have the slots by now.
            self.fence_all();
            return;
        }
        let Some(table) = self
            .call("read who has which slot", |holder| async move { holder.shared.environment.store.slots_read().await })
            .await
        else {
            return;
        };
        self.follow(&table).await;
        let held = self.slots.values().filter(|running| !running.stop.is_cancelled()).count();
        self.holder.shared.metrics.has_slots(held, self.holder.now());
    }

    async fn beat(&mut self, now: Timestamp) {
        let lives_until = now + LIFE;
        let beaten = self.call("say that this holder lives", |holder| async move {
            holder.shared.environment.store.holder_beat(holder.id, lives_until).await
        });
        if beaten.await.is_some() {
            self.holder.shared.beat(now);
        }
    }

    /// Calls the store, within a time. A failure is logged; the next tick tries again.
    async fn call<T, F>(&self, what: &str, call: impl FnOnce(Holder) -> F) -> Option<T>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        match timeout(CALL_WITHIN, call(self.holder.clone())).await {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => tracing::warn!(holder = %self.holder.id, "Could not {what}: {error}"),
            Err(_) => tracing::warn!(holder = %self.holder.id, "Could not {what}: the store did not answer in time"),
        }
        None
    }

    /// Does what the table asks of this holder.
    async fn follow(&mut self, table: &SlotTable) {
        let Plan { lost, surplus, take } = plan::plan(self.holder.id, table, &self.mine(), self.holder.now());
        for slot in lost {
            tracing::warn!(slot, "A slot is another holder's by now.");
            if let Some(running) = self.slots.remove(&slot) {
                running.fenced.cancel();
            }
        }
        for slot in &surplus {
            if let Some(running) = self.slots.get(slot) {
                running.stop.cancel();
            }
        }
        if !surplus.is_empty() {
            tracing::info!(slots = surplus.len(), "Slots are given to another holder.");
        }
        for (slot, running) in &self.slots {
            let count = table.changes.get(slot).copied().unwrap_or_default();
            running.changes.send_if_modified(|seen| std::mem::replace(seen, count) != count);
        }
        let holder = self.holder.id;
        let store = &self.holder.shared.environment.store;
        let taken =
            join_all(take.into_iter().map(|(slot, seen)| timeout(CALL_WITHIN, store.slot_take(slot, holder, seen))));
        for taken in taken.await {
            match taken {
                Ok(Ok(Some(lease))) => {
                    let count = table.changes.get(&lease.slot).copied().unwrap_or_default();
                    self.start(lease, count);
                }
                Ok(Ok(None)) => {}
                Ok(Err(error)) => tracing::warn!("A slot was not taken: {error}"),
                Err(_) => tracing::warn!("A slot was not taken: the store did not answer in time"),
            }
        }
    }

    fn mine(&self) -> Mine {
        let mut mine = Mine::default();
        for (slot, running) in &self.slots {
            if running.stop.is_cancelled() {
                mine.ending.insert(*slot);
            } else {
                mine.held.insert(*slot, running.lease);
            }
        }
        mine
    }

    fn start(&mut self, lease: SlotLease, count: SlotChanges) {
        let (stop, fenced) = (CancellationToken::new(), CancellationToken::new());
        let (changes, seen) = watch::channel(count);
        let shared = self.holder.shared.clone();
        let task = self.tasks.spawn(slot::hold_slot(shared, lease, seen, fenced.clone(), stop.clone()));
        self.slots.insert(lease.slot, Running { lease, task: task.id(), stop, fenced, changes });
    }

    fn ended(&mut self, task: Id) {
        self.slots.retain(|_, running| running.task != task);
    }

    fn fence_all(&mut self) {
        for (_, running) in std::mem::take(&mut self.slots) {
            running.fenced.cancel();
        }
    }

    /// Hands everything over, as far as the time allows.
    async fn leave(mut self) {
        for running in self.slots.values() {
            running.stop.cancel();
        }
        let handed_over = async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                let task = ended.map_or_else(|error| error.id(), |(id, ())| id);
                self.slots.retain(|_, running| running.task != task);
            }
        };
        let mut beats = tokio::time::interval(BEAT_EVERY);
        let alive = async {
            loop {
                beats.tick().await;
                let now = self.holder.now();
                if self.holder.shared.environment.store.holder_beat(self.holder.id, now + LIFE).await.is_ok() {
                    self.holder.shared.beat(now);
                }
            }
        };
        let ended = tokio::select! {
            ended = timeout(LEAVE_WITHIN, handed_over) => ended.is_ok(),
            () = alive => false,
        };
        if !ended {
            tracing::warn!("Not everything was handed over in time; what is left falls to others in seconds.");
        }
        let left = self.holder.shared.environment.store.holder_leave(self.holder.id);
        if !matches!(timeout(CALL_WITHIN, left).await, Ok(Ok(()))) {
            tracing::warn!(holder = %self.holder.id, "The others find out by themselves that this holder has gone.");
        }
    }
}
