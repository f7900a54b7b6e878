//! One link: its connection, again and again, until it is to end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use channels::Received;
use channels::held::{Ended, Fenced, Hold};
use domain::{Link, Timestamp};
use futures::future::BoxFuture;
use serde_json::Value;
use store::{HeldLink, SecretContext, SlotLink, StoreError};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::connect::connect;
use crate::door;
use crate::metrics::LinkState;
use crate::shared::Shared;
use crate::slot::SlotCursors;

/// The wait before another attempt: this, and up to as much again for each failure, doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The wait before a message that could not be queued is tried again.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// Keeps a link's connection until it is told to `stop`, or there is nothing to keep.
pub(crate) async fn hold_link(shared: Arc<Shared>, cursors: Arc<SlotCursors>, held: SlotLink, stop: CancellationToken) {
    let state = State { link: LinkState::Opening, permit: None, cursor: held.cursor, was_connected: false };
    shared.metrics.link_enters(state.link);
    let hold = LinkHold { shared, cursors, link: held.link, state: Mutex::new(state) };
    let mut failures = 0;
    loop {
        let ended = Box::pin(hold.attempt(&stop)).await;
        let reason = match ended {
            Ended::Stopped => return,
            Ended::Fenced if hold.cursors.fenced.is_cancelled() => return,
            // The store was away for so long that others might have had the slot; nobody took it.
            Ended::Fenced => {
                hold.enter(LinkState::Waiting);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = hold.until_it_lives() => hold.enter(LinkState::Opening),
                }
                continue;
            }
            Ended::Unauthorised(reason) | Ended::Misconfigured(reason) => {
                hold.enter(LinkState::Waiting);
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = Box::pin(hold.fail(&reason)) => {}
                }
                return;
            }
            Ended::Lost(reason) => reason,
        };
        failures = if hold.take_was_connected() { 0 } else { failures + 1 };
        let wait = wait_after(failures);
        tracing::info!(link = %hold.link.id, wait_ms = wait.as_millis(), "A connection was lost: {reason}");
        hold.enter(LinkState::Waiting);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => hold.enter(LinkState::Opening),
        }
    }
}

/// Exponential, with full jitter, over a base that no channel takes for a flood.
fn wait_after(failures: u32) -> Duration {
    let most = FIRST_WAIT.saturating_mul(1 << failures.min(16)).min(LONGEST_WAIT);
    FIRST_WAIT + most.mul_f64(fastrand::f64())
}

/// What a connection asks of its holder, for one link.
struct LinkHold {
    shared: Arc<Shared>,
    cursors: Arc<SlotCursors>,
    link: HeldLink,
    state: Mutex<State>,
}

struct State {
    link: LinkState,
    /// The right to be among those who are opening a connection.
    permit: Option<OwnedSemaphorePermit>,
    /// Where the next connection goes on.
    cursor: Option<String>,
    was_connected: bool,
}

impl LinkHold {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, link: LinkState) {
        let mut state = self.state();
        self.shared.metrics.link_leaves(state.link);
        self.shared.metrics.link_enters(link);
        state.link = link;
        state.permit = None;
    }

    fn take_was_connected(&self) -> bool {
        std::mem::take(&mut self.state().was_connected)
    }

    /// Waits until others believe in this holder again. If they do not, the slot is fenced, and this with it.
    async fn until_it_lives(&self) {
        while self.is_fenced() {
            tokio::time::sleep(FIRST_WAIT).await;
        }
    }

    /// One connection, from reading the link to its end.
    async fn attempt(&self, stop: &CancellationToken) -> Ended {
        if self.is_fenced() {
            return Ended::Fenced;
        }
        let permit = tokio::select! {
            () = stop.cancelled() => return Ended::Stopped,
            permit = self.shared.opening.clone().acquire_owned() => permit,
        };
        self.state().permit = permit.ok();
        let (link, secret) = match self.load().await {
            Ok(Some(loaded)) => loaded,
            Ok(None) => return Ended::Stopped,
            Err(StoreError::Corrupt(reason)) => return Ended::Misconfigured(reason),
            Err(error) => return Ended::Lost(error.to_string()),
        };
        let cursor = self.state().cursor.as_deref().and_then(|cursor| serde_json::from_str(cursor).ok());
        connect(&self.shared, &link, &secret, cursor, self, stop.clone()).await
    }

    /// The link and its secret. `None`: it is not to be held any more, and whoever changed it will let us know.
    async fn load(&self) -> Result<Option<(Link, String)>, StoreError> {
        let store = &self.shared.environment.store;
        let link = store.account(self.link.account).link_get(self.link.bot, self.link.id).await?;
        let Some(link) = link.filter(|link| link.is_held() && link.is_active()) else { return Ok(None) };
        let Some(sealed) = &link.token else {
            return Err(StoreError::Corrupt("the link has no credentials; give it some".to_owned()));
        };
        let context = SecretContext::LinkToken { account: link.account, bot: link.bot, link: link.id };
        let secret = store.keyring().open(context, sealed).await?;
        Ok(Some((link, secret)))
    }

    /// Notes that the link does not work, and tells its owner, however often the store has to be asked. Nothing more is tried
    /// until the link is changed.
    async fn fail(&self, reason: &str) {
        tracing::warn!(link = %self.link.id, bot = %self.link.bot, "A link does not work until its owner acts: {reason}");
        let mut wait = FIRST_RETRY;
        loop {
            match self.try_fail(reason).await {
                Ok(()) => return,
                Err(StoreError::Corrupt(detail)) => {
                    tracing::error!(link = %self.link.id, "Its owner is not told: {detail}");
                    return;
                }
                Err(error) => tracing::warn!(link = %self.link.id, "Its owner is not told yet: {error}"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_RETRY);
        }
    }

    async fn try_fail(&self, reason: &str) -> Result<(), StoreError> {
        let account = self.shared.environment.store.account(self.link.account);
        let Some(link) = account.link_get(self.link.bot, self.link.id).await? else { return Ok(()) };
        if link.version != self.link.version {
            // Whoever changed it meanwhile may have repaired it.
            return Ok(());
        }
        account.link_fail(link, reason, self.shared.environment.clock.now()).await
    }

    /// Whether what is accepted now may still count.
    fn is_fenced(&self) -> bool {
        self.cursors.fenced.is_cancelled() || !self.shared.lives()
    }
}

impl Drop for LinkHold {
    fn drop(&mut self) {
        self.shared.metrics.link_leaves(self.state().link);
    }
}

impl Hold for LinkHold {
    fn accept(&self, received: Vec<Received>) -> BoxFuture<'_, Result<(), Fenced>> {
        let began = Instant::now();
        Box::pin(async move {
            let mut wait = FIRST_RETRY;
            loop {
                if self.is_fenced() {
                    return Err(Fenced);
                }
                match door::take_in(&self.shared.environment, &self.link, &received).await {
                    Ok(()) => break,
                    Err(error) => {
                        tracing::warn!(link = %self.link.id, "A message was not queued, and is tried again: {error}");
                    }
                }
                tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                wait = (wait * 2).min(LONGEST_RETRY);
            }
            self.shared.metrics.forwarded(began.elapsed());
            Ok(())
        })
    }

    fn progress(&self, cursor: Value) {
        let cursor = if cursor.is_null() { String::new() } else { cursor.to_string() };
        self.state().cursor = (!cursor.is_empty()).then(|| cursor.clone());
        self.cursors.note(self.link.id, cursor);
    }

    fn stored(&self) -> Option<Value> {
        self.cursors.stored(self.link.id)
    }

    fn pause(&self, how_long: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if self.state().permit.is_none() {
                return tokio::time::sleep(how_long).await;
            }
            self.enter(LinkState::Waiting);
            tokio::time::sleep(how_long).await;
            let permit = self.shared.opening.clone().acquire_owned().await;
            self.enter(LinkState::Opening);
            self.state().permit = permit.ok();
        })
    }

    fn connected(&self) {
        self.enter(LinkState::Connected);
        self.state().was_connected = true;
    }

    fn now(&self) -> Timestamp {
        self.shared.environment.clock.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_five_minutes() {
        assert!(wait_after(0) <= Duration::from_secs(2) && wait_after(0) >= FIRST_WAIT);
        assert!(wait_after(40) <= LONGEST_WAIT + FIRST_WAIT);
        assert!((0..50).map(|_| wait_after(10)).max() > Some(Duration::from_secs(60)));
    }
}
