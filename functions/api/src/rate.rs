//! How often somebody may call.
//!
//! The requests of a key or person are counted for all processes together: each counts for itself up to a sixtieth of the limit
//! and then leases a twelfth of it at a time from a counter in the table ([`store::Store::requests_lease`]), so who calls seldom costs
//! nothing, and 6,000 requests a minute cost 12 writes. Over the limit are at most those first requests and one lease of each process.
//! Failed attempts to get in are counted by each process for itself: what is guessed there has 256 random bits.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aide::OperationInput;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::http::request::Parts;
use domain::Timestamp;
use lambda_http::request::RequestContext;
use runtime::Environment;
use store::{Actor, Store};

use crate::problem::Problem;

const WINDOW: Duration = Duration::from_secs(60);
/// Of the limit, what a process takes at a time, and what it lets pass before it asks anybody.
const LEASES: u32 = 12;
const FREE: u32 = 60;
/// Failed attempts to get in, from one address, in a window.
const FAILURES: u32 = 20;
/// Sign-ins that are begun at the identity provider, from one address, in a window.
const SIGN_INS: u32 = 30;
/// How many callers are remembered at most. More of them only make what is counted forgotten earlier.
const CALLERS: usize = 10_000;

/// The counters of a process.
#[derive(Clone, Default)]
pub(crate) struct Rates {
    requests: Arc<Mutex<Minute>>,
    failures: Arc<Mutex<Window>>,
    sign_ins: Arc<Mutex<Window>>,
}

/// What was counted since the window began.
#[derive(Default)]
struct Window {
    began: Timestamp,
    counts: HashMap<String, u32>,
}

/// What was let pass in a minute of the clock, which all processes share.
#[derive(Default)]
struct Minute {
    number: u64,
    callers: HashMap<String, Passed>,
}

/// Requests of a caller in this minute.
#[derive(Clone, Copy, Default)]
struct Passed {
    seen: u32,
    /// How many may pass; `None`: nobody was asked yet.
    leased: Option<u32>,
    /// There was nothing left to lease.
    is_over: bool,
}

impl Minute {
    /// Of this caller, as far as they called in this minute.
    fn of(&mut self, caller: &str, now: Timestamp) -> &mut Passed {
        let number = now.as_secs() / 60;
        if number != self.number || self.callers.len() >= CALLERS {
            (self.number, self.callers) = (number, HashMap::new());
        }
        self.callers.entry(caller.to_owned()).or_default()
    }
}

impl Window {
    /// Begins anew if it is time to, and returns how much is left of the window.
    fn turn(&mut self, now: Timestamp) -> Duration {
        let age = now.since(self.began);
        if age < WINDOW && self.counts.len() < CALLERS {
            return WINDOW - age;
        }
        (self.began, self.counts) = (now, HashMap::new());
        WINDOW
    }
}

impl Rates {
    /// Counts a request, and refuses who calls more often than `limit` times a minute.
    pub(crate) async fn check_request(
        &self,
        store: &Store,
        actor: &Actor,
        now: Timestamp,
        limit: u32,
    ) -> Result<(), Problem> {
        let caller = match actor {
            Actor::Key { id } => id.to_string(),
            Actor::User { id } => id.to_string(),
            Actor::Browser { id } => id.to_string(),
        };
        let (lease, free) = ((limit / LEASES).max(1), limit / FREE);
        let wanted = {
            let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            let passed = requests.of(&caller, now);
            passed.seen += 1;
            if passed.seen <= passed.leased.unwrap_or(free) {
                return Ok(());
            }
            if passed.is_over {
                return Err(too_often(limit, now));
            }
            // Of what passed unasked the counter learns with the first lease.
            let wanted = if passed.leased.is_none() { lease + free } else { lease };
            // Those that come while it is asked for pass on it, too.
            passed.leased = Some(passed.leased.unwrap_or(0) + wanted);
            wanted
        };
        let is_leased = store.requests_lease(&caller, now, wanted, limit).await.unwrap_or_else(|error| {
            // Better too many than none.
            tracing::warn!(caller, "Requests are not counted: {error}");
            true
        });
        if is_leased {
            return Ok(());
        }
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = requests.of(&caller, now);
        (passed.leased, passed.is_over) = (passed.leased.map(|leased| leased.saturating_sub(wanted)), true);
        Err(too_often(limit, now))
    }

    /// Counts a sign-in that is begun at the identity provider, and refuses an address that begins too many.
    pub(crate) fn check_sign_in(&self, client: &Client, now: Timestamp) -> Result<(), Problem> {
        let Client(Some(client)) = client else { return Ok(()) };
        let mut begun = self.sign_ins.lock().unwrap_or_else(PoisonError::into_inner);
        let left = begun.turn(now);
        let count = begun.counts.entry(client.clone()).or_default();
        *count += 1;
        if *count <= SIGN_INS {
            return Ok(());
        }
        Err(too_many("Too many sign-ins were begun. Wait a minute, then try again.", left))
    }

    /// Counts an attempt to get in that failed.
    pub(crate) fn count_failure(&self, client: &Client, now: Timestamp) {
        let Client(Some(client)) = client else { return };
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.turn(now);
        *failures.counts.entry(client.clone()).or_default() += 1;
    }

    /// Refuses an address from which too many attempts failed: what it sends meanwhile is not looked at.
    pub(crate) fn check_failures(&self, client: &Client, now: Timestamp) -> Result<(), Problem> {
        let Client(Some(client)) = client else { return Ok(()) };
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let left = failures.turn(now);
        if failures.counts.get(client).is_none_or(|count| *count < FAILURES) {
            return Ok(());
        }
        Err(too_many("Too many attempts to get in failed. Wait a minute, then try again.", left))
    }
}

fn too_often(limit: u32, now: Timestamp) -> Problem {
    let left = WINDOW - Duration::from_millis(now.as_millis() % 60_000);
    too_many(&format!("More than {limit} requests in a minute are too many. Go on more slowly."), left)
}

fn too_many(detail: &str, wait: Duration) -> Problem {
    let secs = HeaderValue::from(wait.as_secs() + 1);
    Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).with_header(RETRY_AFTER, secs)
}

/// Where a request comes from, as far as whoever forwards it to us says so: what a client says of itself does not count. On one
/// machine nobody does, and nobody is kept out there, since strangers would keep its owner out.
pub(crate) struct Client(pub(crate) Option<String>);

impl Client {
    pub(crate) fn of(parts: &Parts) -> Client {
        match parts.extensions.get::<RequestContext>() {
            Some(RequestContext::ApiGatewayV2(context)) => Client(context.http.source_ip.clone()),
            _ => Client(None),
        }
    }
}

impl OperationInput for Client {}

impl FromRequestParts<Environment> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Environment) -> Result<Client, Infallible> {
        Ok(Client::of(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_is_kept_out_for_a_while() {
        let rates = Rates::default();
        let begin = Timestamp::from_millis(1_795_000_000_000);
        let [guesser, other, unknown] =
            [Some("192.0.2.1"), Some("192.0.2.2"), None].map(|it| Client(it.map(str::to_owned)));
        for _ in 0..FAILURES {
            for client in [&guesser, &unknown] {
                rates.check_failures(client, begin).unwrap();
                rates.count_failure(client, begin);
            }
        }
        rates.check_failures(&guesser, begin).unwrap_err();
        rates.check_failures(&other, begin).unwrap();
        rates.check_failures(&unknown, begin).unwrap();
        rates.check_failures(&guesser, begin + WINDOW).unwrap();
    }

    #[test]
    fn sign_ins_are_begun_by_the_address() {
        let rates = Rates::default();
        let begin = Timestamp::from_millis(1_795_000_000_000);
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|it| Client(Some(it.to_owned())));
        for _ in 0..SIGN_INS {
            rates.check_sign_in(&one, begin).unwrap();
        }
        rates.check_sign_in(&one, begin).unwrap_err();
        rates.check_sign_in(&other, begin).unwrap();
        rates.check_sign_in(&one, begin + WINDOW).unwrap();
    }
}
