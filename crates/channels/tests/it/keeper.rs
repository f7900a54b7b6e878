//! What a connection gives its holder, kept for a test to look at.

use std::sync::Mutex;
use std::time::Duration;

use channels::Received;
use channels::held::{Fenced, Hold};
use domain::Timestamp;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::watch;

/// How long something that will happen may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A holder that keeps everything, as a queue and a store would.
#[derive(Default)]
pub(crate) struct Keeper {
    received: watch::Sender<Vec<Received>>,
    cursor: Mutex<Option<Value>>,
    connections: watch::Sender<u32>,
}

impl Keeper {
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.borrow().clone()
    }

    pub(crate) fn cursor(&self) -> Option<Value> {
        self.cursor.lock().unwrap().clone()
    }

    /// Waits until the channel has let the bot in for the `count`th time.
    pub(crate) async fn connected(&self, count: u32) {
        let mut connections = self.connections.subscribe();
        let connected = connections.wait_for(|connections| *connections >= count);
        tokio::time::timeout(PATIENCE, connected).await.unwrap().unwrap();
    }

    /// Waits for a message that says `text`.
    pub(crate) async fn heard(&self, text: &str) -> Received {
        let mut received = self.received.subscribe();
        let is_here = received.wait_for(|all| all.iter().any(|one| one.text == text));
        let all = tokio::time::timeout(PATIENCE, is_here).await.unwrap_or_else(|_| {
            let texts: Vec<String> = self.received().into_iter().map(|one| one.text).collect();
            panic!("`{text}` is not among {texts:?}")
        });
        all.unwrap().iter().find(|one| one.text == text).unwrap().clone()
    }
}

impl Hold for Keeper {
    fn accept(&self, received: Vec<Received>) -> BoxFuture<'_, Result<(), Fenced>> {
        Box::pin(async move {
            self.received.send_modify(|all| all.extend(received));
            // The store takes its time, so that a connection can be killed between the two.
            tokio::task::yield_now().await;
            Ok(())
        })
    }

    fn progress(&self, cursor: Value) {
        *self.cursor.lock().unwrap() = Some(cursor);
    }

    fn connected(&self) {
        self.connections.send_modify(|connections| *connections += 1);
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_secs(2_000_000_000)
    }
}
