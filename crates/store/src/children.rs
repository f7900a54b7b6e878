//! Children: sessions that work for another one and have not answered it yet. A row each, in the waiting session's own
//! partition.

use std::time::Duration;

use domain::{BotId, SessionKey, Timestamp};

use crate::AccountStore;
use crate::error::StoreError;
use crate::item::{expires, is_expired, record, row};
use crate::keys::{self, CHILD_PREFIX};

/// A child that has not answered for so long is not waited for any more.
pub const CHILD_TTL: Duration = Duration::from_secs(24 * 3600);

impl AccountStore<'_> {
    /// Notes that a session waits for another one.
    pub async fn child_put(
        &self,
        bot: BotId,
        parent: &SessionKey,
        child: &SessionKey,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let item = row(keys::child(self.id, bot, parent, child), child)?;
        self.store.item_put(expires(item, now + CHILD_TTL)).await
    }

    /// The sessions that a session waits for.
    pub async fn child_list(
        &self,
        bot: BotId,
        parent: &SessionKey,
        now: Timestamp,
    ) -> Result<Vec<SessionKey>, StoreError> {
        let items = self.store.items_by_prefix(&keys::session_pk(self.id, bot, parent), CHILD_PREFIX).await?;
        items.iter().filter(|item| !is_expired(item, now)).map(record).collect()
    }

    /// Notes that a child has answered.
    pub async fn child_delete(&self, bot: BotId, parent: &SessionKey, child: &SessionKey) -> Result<(), StoreError> {
        self.store.item_delete(keys::child(self.id, bot, parent, child)).await
    }
}
