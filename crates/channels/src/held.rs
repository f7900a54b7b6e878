//! What a connection that is held open, a socket or a long poll, needs of whoever holds it.
//!
//! A channel's module has one `run` that speaks its protocol from the first byte until it is told to stop
//! or cannot go on. When to connect, to which bots, and where the cursor is kept is the holder's business.

use std::time::Duration;

use domain::{Address, Timestamp};
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{Received, SendError};

/// What a connection asks of its holder.
pub trait Hold: Send + Sync {
    /// Takes messages in, in their order, and returns once they are queued. A slow queue makes it wait, and
    /// who waits reads nothing more from the network: that is the back-pressure.
    ///
    /// # Errors
    ///
    /// [`Fenced`]: another holder has the link by now. The connection ends without another word.
    fn accept(&self, received: Vec<Received>) -> BoxFuture<'_, Result<(), Fenced>>;

    /// Notes from where another connection goes on: a sequence number, a `since` token, an offset. Only of
    /// what [`accept`](Self::accept) returned for. It is stored within seconds, and before a hand-over.
    fn progress(&self, cursor: Value);

    /// The last cursor that is stored, so that no crash goes back behind it: what a channel may forget. `None`: nothing is.
    fn stored(&self) -> Option<Value> {
        None
    }

    /// Waits, as a channel asks for, while the bot is not let in yet or is to be silent. Others may open their connections
    /// meanwhile.
    fn pause(&self, how_long: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(how_long))
    }

    /// The channel has let the bot in: events flow. Resets the wait before the next attempt to connect.
    fn connected(&self);

    fn now(&self) -> Timestamp;
}

/// Another holder has the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another holder has this link; close the connection")]
pub struct Fenced;

/// One message that leaves by a connection, where a channel takes messages nowhere else.
#[derive(Debug)]
pub struct Say {
    pub to: Address,
    /// One part in the channel's dialect, within its limit.
    pub text: String,
    /// Gets the channel's id of the message, or as much of one as the channel gives.
    pub sent: oneshot::Sender<Result<String, SendError>>,
}

/// How long what has been read may still take to be queued once its connection is to end.
const FINISH_WITHIN: Duration = Duration::from_secs(10);

/// Does `work` on what was read, to its end; but once the connection is to `stop` only for a while, since who takes over reads it
/// again. `None`: it was cut short.
pub(crate) async fn finish<T>(work: impl Future<Output = T>, stop: &CancellationToken) -> Option<T> {
    tokio::pin!(work);
    tokio::select! {
        biased;
        done = &mut work => Some(done),
        () = stop.cancelled() => tokio::time::timeout(FINISH_WITHIN, work).await.ok(),
    }
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// Another holder has the link.
    Fenced,
    /// The channel refuses the bot's credentials: nothing is tried with them again until the owner changes them.
    Unauthorised(String),
    /// The link's settings cannot work, and the owner must change them.
    Misconfigured(String),
    /// The network, or the channel's wish: connect again, from the cursor, after a wait.
    Lost(String),
}

impl From<Fenced> for Ended {
    fn from(_: Fenced) -> Ended {
        Ended::Fenced
    }
}
