//! DynamoDB, SQS and S3 as plain state in this process, behind the real clients of the SDK.
//!
//! For a simulation that runs many worlds on tokio's current-thread runtime with a paused clock. There are no sockets
//! and no threads, all time is `tokio::time`'s, and everything is kept in an order that does not depend on chance. What
//! is not known here is refused, never guessed: an expression, a field or an operation that the product starts to use
//! has to be added.
//!
//! The SDK itself draws random numbers, for its idempotency tokens and for the waits between its retries, from the
//! thread's generator of `fastrand`: a world that is to be repeated calls `fastrand::seed` before it starts.
//!
//! What AWS does and this does not: an index that lags behind its table, transactions that conflict while they run,
//! throttling, and rows that disappear by their time to live (a simulation uses [`Cloud::remove_row`]).

mod connector;
mod dynamo;
mod environment;
mod network;
mod s3;
mod sqs;

pub use dynamo::Ignored;
pub use network::{Call, Calm, Fate, Network};
pub use sqs::{Queued, Sent};

use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::lock;

/// An account at AWS. Cheap to clone: clones share their state.
#[derive(Clone)]
pub struct Cloud {
    state: Arc<Mutex<State>>,
    /// Wakes those that wait for a message.
    arrivals: Arc<Notify>,
    started: Instant,
}

struct State {
    calls: Vec<Call>,
    dynamo: dynamo::Dynamo,
    s3: s3::S3,
    sqs: sqs::Sqs,
}

impl Cloud {
    /// An account with nothing in it. To be called within the runtime whose clock counts.
    #[allow(clippy::new_without_default, reason = "it reads the clock")]
    pub fn new() -> Cloud {
        let state =
            State { calls: vec![], dynamo: dynamo::Dynamo::default(), s3: s3::S3::default(), sqs: sqs::Sqs::default() };
        Cloud { state: Arc::new(Mutex::new(state)), arrivals: Arc::default(), started: Instant::now() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Every request so far, in the order in which they were sent; those that were lost, too.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    pub fn clear_calls(&self) {
        self.state().calls.clear();
    }

    /// All rows of the table by their keys: `pk`, `sk`, and the item in the JSON of DynamoDB.
    pub fn rows(&self) -> Vec<(String, String, Value)> {
        self.state().dynamo.rows()
    }

    /// Drops a row, as its time to live does. Says whether there was one.
    pub fn remove_row(&self, pk: &str, sk: &str) -> bool {
        self.state().dynamo.remove(pk, sk).is_some()
    }

    /// From now on conditions hold on all rows (`pk`, `sk`) for which `ignored` says so, whatever the row is like: this
    /// is how a simulation switches a guard off. `ignored` must not use the cloud.
    pub fn ignore_conditions(&self, ignored: Ignored) {
        self.state().dynamo.ignored = Some(ignored);
    }
}
