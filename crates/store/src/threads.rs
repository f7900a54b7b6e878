//! Threads: where a conversation goes on that its client repeats with each request, as the protocols of `OpenAI` do. A row
//! per answer, named by what the client will say of it.

use std::time::Duration;

use domain::{BotId, SessionKey, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::item::{expires, is_expired, record, row};
use crate::{AccountStore, keys};

/// How long it is remembered which session an answer belongs to. The session itself stays.
pub const THREAD_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// The place in a session that an answer left it at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    pub session: SessionKey,
    /// The sequence number after the answer. A session that has grown since goes on elsewhere.
    pub next_seq: u64,
}

impl AccountStore<'_> {
    /// The thread that `name` was given to by [`thread_put`](Self::thread_put).
    pub async fn thread_get(&self, bot: BotId, name: &str, now: Timestamp) -> Result<Option<Thread>, StoreError> {
        let item = self.store.item_get(keys::thread(self.id, bot, name)).await?;
        item.filter(|item| !is_expired(item, now)).map(|item| record(&item)).transpose()
    }

    /// Remembers a thread by `name`, of any length, in place of an earlier one.
    pub async fn thread_put(&self, bot: BotId, name: &str, thread: &Thread, now: Timestamp) -> Result<(), StoreError> {
        let item = row(keys::thread(self.id, bot, name), thread)?;
        self.store.item_put(expires(item, now + THREAD_TTL)).await
    }
}
