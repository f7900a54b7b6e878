//! What all connections of a process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use delivery::Courier;
use domain::{Channel, Timestamp};
use runtime::Environment;
use tokio::sync::Semaphore;

use crate::connect::Networks;
use crate::metrics::Metrics;
use crate::plan::LIFE;
use crate::posts::{Irc, Mouths};

/// How many connections are opened at once. A handshake is a third of a millisecond of work, and then mostly waiting.
const OPENING_AT_ONCE: usize = 256;

pub(crate) struct Shared {
    pub(crate) environment: Environment,
    pub(crate) networks: Networks,
    /// Brings replies to the connections that alone can carry them.
    pub(crate) courier: Courier,
    pub(crate) mouths: Arc<Mouths>,
    pub(crate) metrics: Metrics,
    pub(crate) opening: Arc<Semaphore>,
    began: Timestamp,
    /// When the others could last be told that this holder lives, in milliseconds; 0: not yet.
    beaten_at: AtomicU64,
}

impl Shared {
    pub(crate) fn new(environment: Environment) -> Shared {
        let mouths = Arc::new(Mouths::default());
        let irc = Irc { mouths: mouths.clone() };
        Shared {
            courier: Courier::new(environment.clone()).with_outlet(Channel::Irc, Arc::new(irc)),
            mouths,
            began: environment.clock.now(),
            beaten_at: AtomicU64::new(0),
            environment,
            networks: Networks::new(),
            metrics: Metrics::default(),
            opening: Arc::new(Semaphore::new(OPENING_AT_ONCE)),
        }
    }

    /// Whether others still believe in this holder. A process that was frozen finds out here that they do not.
    pub(crate) fn lives(&self) -> bool {
        self.environment.clock.now() < self.beaten_at() + LIFE
    }

    /// Notes a sign of life that was given at `now`.
    pub(crate) fn beat(&self, now: Timestamp) {
        self.beaten_at.store(now.as_millis(), Ordering::Relaxed);
    }

    /// When the others could last be told that this holder lives; long ago if they never could.
    pub(crate) fn beaten_at(&self) -> Timestamp {
        Timestamp::from_millis(self.beaten_at.load(Ordering::Relaxed))
    }

    /// Since when there is no sign of life.
    pub(crate) fn silent_since(&self) -> Timestamp {
        self.beaten_at().max(self.began)
    }
}
