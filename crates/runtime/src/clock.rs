//! The clock and the randomness, as values: a simulation hands in its own.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use domain::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        Clock::from_fn(|| {
            #[allow(clippy::disallowed_methods, reason = "this is the one place where the time comes from")]
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
        })
    }

    pub fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(now))
    }

    pub fn now(&self) -> Timestamp {
        (self.0)()
    }

    /// A point in time, such as an invocation's deadline, on the clock that measures durations.
    pub fn instant_of(&self, at: Timestamp) -> Instant {
        Instant::now() + at.since(self.now())
    }
}

/// Gives random bits, for ids and secrets.
#[derive(Clone)]
pub struct Entropy(Arc<dyn Fn() -> u128 + Send + Sync>);

impl Entropy {
    /// The operating system's generator, fit for secrets.
    pub fn system() -> Entropy {
        let random = SystemRandom::new();
        Entropy::from_fn(move || {
            let mut bytes = [0; 16];
            // Without randomness no secret can be made and no id is safe: nothing sensible goes on.
            #[allow(clippy::expect_used, reason = "see above")]
            random.fill(&mut bytes).expect("the operating system gives no randomness");
            u128::from_le_bytes(bytes)
        })
    }

    pub fn from_fn(next: impl Fn() -> u128 + Send + Sync + 'static) -> Entropy {
        Entropy(Arc::new(next))
    }

    pub fn next_u128(&self) -> u128 {
        (self.0)()
    }

    /// A secret of 256 bits, in hex, behind a prefix that says what it is.
    pub fn secret(&self, prefix: &str) -> String {
        format!("{prefix}{:032x}{:032x}", self.next_u128(), self.next_u128())
    }
}
