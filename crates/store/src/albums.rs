//! Albums: pieces come one by one, and one of them says whom all are for.

use std::time::Duration;

use domain::{LinkId, Timestamp};
use serde_json::json;

use crate::error::StoreError;
use crate::item::{expires, is_expired, row};
use crate::{AccountStore, keys};

/// How long it is remembered that a piece was let in. A channel that could not deliver the others tries again for a while.
const ALBUM_TTL: Duration = Duration::from_secs(3600);

impl AccountStore<'_> {
    /// Notes that a piece of an album was let in.
    pub async fn album_let_in(&self, link: LinkId, album: &str, now: Timestamp) -> Result<(), StoreError> {
        let item = row(keys::album(self.id, link, album), &json!({}))?;
        self.store.item_put(expires(item, now + ALBUM_TTL)).await
    }

    /// Whether a piece of an album was let in.
    pub async fn album_is_in(&self, link: LinkId, album: &str, now: Timestamp) -> Result<bool, StoreError> {
        let item = self.store.item_get(keys::album(self.id, link, album)).await?;
        Ok(item.is_some_and(|item| !is_expired(&item, now)))
    }
}
