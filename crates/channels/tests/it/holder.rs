//! A holder that keeps what a connection gives it.

use std::sync::Mutex;

use channels::Received;
use channels::held::{Fenced, Hold};
use domain::Timestamp;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

#[derive(Default)]
pub(crate) struct Holder {
    pub(crate) stop: CancellationToken,
    pub(crate) connected: Notify,
    /// After so many messages the connection is told to stop.
    stop_after: Option<usize>,
    is_fenced: bool,
    received: Mutex<Vec<Received>>,
    cursor: Mutex<Option<Value>>,
}

impl Holder {
    pub(crate) fn stops_after(messages: usize) -> Holder {
        Holder { stop_after: Some(messages), ..Holder::default() }
    }

    pub(crate) fn fenced() -> Holder {
        Holder { is_fenced: true, ..Holder::default() }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.received().into_iter().map(|received| received.text).collect()
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.received().into_iter().map(|received| received.channel_message_id).collect()
    }

    pub(crate) fn cursor(&self) -> Option<Value> {
        self.cursor.lock().unwrap().clone()
    }
}

impl Hold for Holder {
    fn accept(&self, received: Vec<Received>) -> BoxFuture<'_, Result<(), Fenced>> {
        Box::pin(async move {
            if self.is_fenced {
                return Err(Fenced);
            }
            let mut all = self.received.lock().unwrap();
            all.extend(received);
            if self.stop_after.is_some_and(|most| all.len() >= most) {
                self.stop.cancel();
            }
            Ok(())
        })
    }

    fn progress(&self, cursor: Value) {
        *self.cursor.lock().unwrap() = Some(cursor);
    }

    fn connected(&self) {
        self.connected.notify_one();
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_800_000_000)
    }
}
