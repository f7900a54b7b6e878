//! One slot: the connections of its links, and their cursors on the way to the store.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::LinkId;
use serde_json::Value;
use store::{SlotChanges, SlotLease};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::link::hold_link;
use crate::posts::say_posts;
use crate::shared::Shared;
use crate::tasks::LinkTasks;

/// How often cursors are written. What came since the last time comes again to whoever takes over, and is recognised.
const FLUSH_EVERY: Duration = Duration::from_secs(2);

/// The wait before a link whose task panicked starts again: it may well panic again.
const AFTER_PANIC: Duration = Duration::from_secs(30);

/// What the connections of a slot share with it.
pub(crate) struct SlotCursors {
    /// Cursors that are newer than the store's; an empty one says that there is none to go on from.
    newer: Mutex<HashMap<LinkId, String>>,
    stored: Mutex<HashMap<LinkId, Box<str>>>,
    /// Cancelled once the slot is another holder's.
    pub(crate) fenced: CancellationToken,
}

impl SlotCursors {
    pub(crate) fn new(fenced: CancellationToken) -> SlotCursors {
        SlotCursors { newer: Mutex::default(), stored: Mutex::default(), fenced }
    }

    pub(crate) fn note(&self, link: LinkId, cursor: String) {
        self.newer.lock().unwrap_or_else(PoisonError::into_inner).insert(link, cursor);
    }

    /// The cursor of a link that the store has.
    pub(crate) fn stored(&self, link: LinkId) -> Option<Value> {
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        stored.get(&link).and_then(|cursor| serde_json::from_str(cursor).ok())
    }

    fn are_stored(&self, cursors: Vec<(LinkId, String)>) {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        for (link, cursor) in cursors {
            if cursor.is_empty() {
                stored.remove(&link);
            } else {
                stored.insert(link, cursor.into_boxed_str());
            }
        }
    }

    /// The cursors that are to be written: those that the store does not have yet.
    fn take(&self) -> Vec<(LinkId, String)> {
        let newer = mem::take(&mut *self.newer.lock().unwrap_or_else(PoisonError::into_inner));
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |link: &LinkId, cursor: &str| stored.get(link).map_or("", |stored| &**stored) != cursor;
        newer.into_iter().filter(|(link, cursor)| is_new(link, cursor)).collect()
    }

    /// Puts cursors back that could not be written, where there are none that are newer still.
    fn put_back(&self, cursors: Vec<(LinkId, String)>) {
        let mut newer = self.newer.lock().unwrap_or_else(PoisonError::into_inner);
        for (link, cursor) in cursors {
            newer.entry(link).or_insert(cursor);
        }
    }
}

struct Running {
    version: u64,
    stop: CancellationToken,
    /// It ended by itself, and starts again only once its link is changed.
    has_ended: bool,
}

struct Slot {
    shared: Arc<Shared>,
    lease: SlotLease,
    cursors: Arc<SlotCursors>,
    links: HashMap<LinkId, Running>,
    tasks: LinkTasks<()>,
    /// When to look at the links again, although nobody says that they were changed.
    look_at: Option<Instant>,
}

/// Holds a slot's links until it is told to `stop`; then the connections end in order, the cursors are written, and the slot
/// is given back. Once the slot is fenced, everything ends at once. `changes` tells that links were changed, or replies left.
pub(crate) async fn hold_slot(
    shared: Arc<Shared>,
    lease: SlotLease,
    changes: watch::Receiver<SlotChanges>,
    fenced: CancellationToken,
    stop: CancellationToken,
) {
    let work = work(shared, lease, changes, fenced.clone(), stop);
    tokio::select! {
        () = fenced.cancelled() => {}
        () = work => {}
    }
}

async fn work(
    shared: Arc<Shared>,
    lease: SlotLease,
    mut changes: watch::Receiver<SlotChanges>,
    fenced: CancellationToken,
    stop: CancellationToken,
) {
    let mut seen = *changes.borrow_and_update();
    let (posts, counted) = watch::channel(seen.posts);
    let (mouth_stop, mut said) = (CancellationToken::new(), JoinSet::new());
    said.spawn(say_posts(shared.clone(), lease.slot, counted, mouth_stop.clone()));
    let cursors = Arc::new(SlotCursors::new(fenced));
    let mut slot = Slot { shared, lease, cursors, links: HashMap::new(), tasks: LinkTasks::new(), look_at: None };
    let mut flush = tokio::time::interval(FLUSH_EVERY);
    flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_stale = true;
    loop {
        if is_stale {
            is_stale = !slot.load().await;
        }
        let look_at = slot.look_at;
        tokio::select! {
            () = stop.cancelled() => break,
            Ok(()) = changes.changed() => {
                let now = *changes.borrow_and_update();
                is_stale |= now.links != seen.links;
                posts.send_if_modified(|count| std::mem::replace(count, now.posts) != now.posts);
                seen = now;
            }
            Some((link, returned)) = slot.tasks.next() => is_stale |= slot.ended(link, returned.is_none()),
            () = sleep_until(look_at.unwrap_or_else(Instant::now)), if look_at.is_some() => {
                slot.look_at = None;
                is_stale = true;
            }
            _ = flush.tick() => slot.flush().await,
        }
    }
    mouth_stop.cancel();
    // What is being said needs the connections.
    while said.join_next().await.is_some() {}
    slot.end().await;
}

impl Slot {
    /// Looks which links there are, and starts and stops accordingly. Whether it could.
    async fn load(&mut self) -> bool {
        // The cursors of connections that are about to start anew are read back.
        self.flush().await;
        let found = match self.shared.environment.store.held_links(self.lease.slot).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(slot = self.lease.slot, "The links of a slot were not read, and will be again: {error}");
                return false;
            }
        };
        let versions: HashMap<LinkId, u64> = found.iter().map(|it| (it.link.id, it.link.version)).collect();
        self.links.retain(|id, running| {
            let is_wanted = versions.get(id) == Some(&running.version);
            if !is_wanted {
                running.stop.cancel();
            }
            // One that is still closing is kept until it has, so that there are never two.
            is_wanted || !running.has_ended
        });
        for it in found {
            let (id, version) = (it.link.id, it.link.version);
            if self.links.contains_key(&id) {
                continue;
            }
            self.cursors.are_stored(it.cursor.iter().map(|cursor| (id, cursor.clone())).collect());
            let stop = CancellationToken::new();
            self.links.insert(id, Running { version, stop: stop.clone(), has_ended: false });
            self.tasks.spawn(id, hold_link(self.shared.clone(), self.cursors.clone(), it, stop));
        }
        true
    }

    /// Notes the end of a link's task. Whether to look at the links again.
    fn ended(&mut self, id: LinkId, has_panicked: bool) -> bool {
        let Some(running) = self.links.get_mut(&id) else { return false };
        running.has_ended = true;
        // One that was told to stop may have a successor.
        let is_stopped = running.stop.is_cancelled();
        if has_panicked && !is_stopped {
            tracing::error!(link = %id, "The task of a link panicked; it starts again in {} s.", AFTER_PANIC.as_secs());
            self.links.remove(&id);
            self.look_at.get_or_insert_with(|| Instant::now() + AFTER_PANIC);
        }
        is_stopped
    }

    async fn flush(&mut self) {
        let cursors = self.cursors.take();
        if cursors.is_empty() {
            return;
        }
        match self.shared.environment.store.cursors_put(self.lease, &cursors).await {
            Ok(true) => self.cursors.are_stored(cursors),
            Ok(false) => {
                tracing::warn!(slot = self.lease.slot, epoch = self.lease.epoch, "A slot is another holder's by now.");
                self.cursors.fenced.cancel();
            }
            Err(error) => {
                tracing::warn!(slot = self.lease.slot, "Cursors were not written, and will be again: {error}");
                self.cursors.put_back(cursors);
            }
        }
    }

    /// Hands the slot over: nothing is read any more, what was read is stored, the cursors are written.
    async fn end(mut self) {
        for running in self.links.values() {
            running.stop.cancel();
        }
        while self.tasks.next().await.is_some() {}
        self.flush().await;
        if let Err(error) = self.shared.environment.store.slot_release(self.lease).await {
            tracing::warn!(slot = self.lease.slot, "A slot was not given back; it falls to others in seconds: {error}");
        }
    }
}
