//! Replies that only a link's connection can carry: they are left here, and the holder of the link's slot says them.
//!
//! A reply is left with a count in the table that holders read anyway, so that waiting for one costs nothing. Its record in the
//! outbox stays the one that says how far its delivery has come; a row here only says that a holder has to look at it.

use domain::{Outbound, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bots::{Precondition, put_action};
use crate::error::StoreError;
use crate::item::{expires, record, row};
use crate::outbox::OUTBOX_TTL;
use crate::slots::POSTS;
use crate::{Store, keys};

/// A reply that waits for the holder of its link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    pub outbound: Outbound,
    /// Since when it waits.
    pub posted_at: Timestamp,
}

impl Store {
    /// Leaves a reply for the holder of its link's slot and lets it know. One that is left again keeps its place and its time,
    /// which are returned.
    pub async fn post_put(&self, outbound: &Outbound, now: Timestamp) -> Result<Post, StoreError> {
        let slot = keys::slot_of(outbound.link);
        let post = Post { outbound: outbound.clone(), posted_at: now };
        let item = expires(row(keys::post(outbound), &post)?, now + OUTBOX_TTL);
        let put = put_action(self.put_if(item, 0, Precondition::DoesNotExist)?);
        if self.transact(vec![put, self.changed_action(slot, POSTS)?]).await?.is_ok() {
            return Ok(post);
        }
        let known: Option<Post> = self.record_get(keys::post(outbound)).await?;
        // Whoever looked meanwhile may have said and removed it.
        let Some(known) = known else { return Ok(post) };
        // It has no condition that could fail.
        let _ = self.transact(vec![self.changed_action(slot, POSTS)?]).await?;
        Ok(known)
    }

    /// The replies that wait in a slot, in the order in which they were made.
    pub async fn post_list(&self, slot: u32) -> Result<Vec<Post>, StoreError> {
        self.items_by_prefix(&keys::posts_pk(slot), "").await?.iter().map(record).collect()
    }

    /// Notes that a reply waits no longer.
    pub async fn post_delete(&self, outbound: &Outbound) -> Result<(), StoreError> {
        self.item_delete(keys::post(outbound)).await
    }
}
