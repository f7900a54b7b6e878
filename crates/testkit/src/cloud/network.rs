//! What lies between a worker and the cloud, as the simulation decides it call by call.

use std::fmt;

use futures::future::BoxFuture;

/// One request on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `DynamoDB`, `S3` or `SQS`.
    pub service: &'static str,
    /// The operation by its name in the API, such as `GetItem`.
    pub operation: String,
    /// What it is about: `pk/sk` of the first row, `queue group`, or `bucket/key`. As much of it as the request names.
    pub key: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.service, self.operation, self.key)
    }
}

/// What becomes of a request or of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Deliver,
    /// The caller is told 503, as from a service that is unavailable. The SDK may send the request again.
    Lose,
}

/// Decides what becomes of every request of one worker. Each attempt of the SDK is a request of its own.
///
/// A future that sleeps is a stall. One that never ends is a worker that hangs; whoever drops the worker's future then
/// has killed it at this very point.
pub trait Network: Send + Sync + fmt::Debug {
    /// Before the request arrives. `Lose`: it never does.
    fn before(&self, call: &Call) -> BoxFuture<'static, Fate>;
    /// After the request took effect. `Lose`: its answer never arrives.
    fn after(&self, call: &Call) -> BoxFuture<'static, Fate>;
}

/// A network on which nothing goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Calm;

impl Network for Calm {
    fn before(&self, _: &Call) -> BoxFuture<'static, Fate> {
        Box::pin(std::future::ready(Fate::Deliver))
    }

    fn after(&self, _: &Call) -> BoxFuture<'static, Fate> {
        Box::pin(std::future::ready(Fate::Deliver))
    }
}
