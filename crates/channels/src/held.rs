//! What a connection that is held open, a socket or a long poll, needs of whoever holds it.
//!
//! A channel's module has one `run` that speaks its protocol from the first byte until it is told to stop
//! or cannot go on. When to connect, to which bots, and where the cursor is kept is the holder's business.

use domain::{Address, Timestamp};
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::oneshot;

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
