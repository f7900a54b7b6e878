//! Slots: the held links in equal parts, and which holder has which part.
//!
//! A link belongs to one of [`SLOTS`] slots by its id. A holder that has a slot keeps the connections of its links. Who has it
//! is a lease: a row whose version, the *epoch*, rises with every change of hands. Leases have no time of their own; a
//! holder has one row that says until when it lives, and its leases fall with it.
//!
//! | what | costs |
//! | --- | --- |
//! | who lives, who has what, what has changed ([`Store::slots_read`]) | one query of at most 150 rows, about 3 units of reading |
//! | a holder's sign of life ([`Store::holder_beat`]) | one write |
//! | a slot changes hands ([`Store::slot_take`], [`Store::slot_release`]) | one conditional write |
//! | a slot's links and cursors ([`Store::held_links`]) | one query |
//! | who keeps a link's connection ([`Store::link_holder`]) | two reads |
//! | cursors of up to 99 links of a slot ([`Store::cursors_put`]) | one transaction |
//!
//! Cursors are written on the condition that the slot still has the writer's epoch: a holder that was taken for dead, and
//! wakes, moves none back.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{ConditionCheck, TransactWriteItem, Update};
use domain::{AccountId, BotId, HolderId, Link, LinkId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bots::{Precondition, VERSION, put_action};
use crate::error::{StoreError, unavailable};
use crate::item::{expires, number, record, row, string};
use crate::keys::SLOTS;
use crate::{Store, keys};

/// The most cursors that one transaction takes: DynamoDB allows 100 rows, and one is the lease.
const CURSORS_PER_WRITE: usize = 99;

/// The right to hold a slot's links, as long as its epoch is the slot's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotLease {
    pub slot: u32,
    /// `None`: it was given back, and whoever wants it may have it.
    pub holder: Option<HolderId>,
    /// Rises with every change of hands.
    pub epoch: u64,
}

/// All that holders need to agree on who does what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotTable {
    /// Until when each holder lives, unless it says so again.
    pub holders: BTreeMap<HolderId, Timestamp>,
    /// By slot. Slots that nobody ever had are missing.
    pub leases: BTreeMap<u32, SlotLease>,
    /// By slot; those in which nothing ever changed are missing.
    pub changes: BTreeMap<u32, SlotChanges>,
}

/// How often something happened in a slot that its holder has to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotChanges {
    /// A link was changed.
    pub links: u64,
    /// A reply was left for the holder to say.
    pub posts: u64,
}

/// A link that a holder is to keep a connection for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLink {
    pub id: LinkId,
    pub account: AccountId,
    pub bot: BotId,
    /// The link's version when this was written: another one means that it was changed.
    pub version: u64,
}

/// A link of a slot, with where its connection goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotLink {
    pub link: HeldLink,
    /// JSON, in the form that the channel's module gave it.
    pub cursor: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct HolderRow {
    id: HolderId,
    lives_until: Timestamp,
}

impl Store {
    /// Who lives, who has which slot, and what has changed.
    pub async fn slots_read(&self) -> Result<SlotTable, StoreError> {
        let mut table = SlotTable::default();
        for item in self.items_by_prefix(keys::SLOT_TABLE_PK, "").await? {
            let sk = string(&item, "sk")?;
            if sk.starts_with(keys::HOLDER_PREFIX) {
                let holder: HolderRow = record(&item)?;
                table.holders.insert(holder.id, holder.lives_until);
            } else if sk.starts_with(keys::LEASE_PREFIX) {
                let lease: SlotLease = record(&item)?;
                table.leases.insert(lease.slot, lease);
            } else if let Some(slot) = sk.strip_prefix(keys::CHANGES_PREFIX) {
                let count = |name| {
                    let number = item.get(name).and_then(|value| value.as_n().ok());
                    number.and_then(|number| number.parse().ok()).unwrap_or_default()
                };
                if let Ok(slot) = slot.parse() {
                    table.changes.insert(slot, SlotChanges { links: count(LINKS), posts: count(POSTS) });
                }
            }
        }
        Ok(table)
    }

    /// Says that a holder lives, and until when it is believed.
    pub async fn holder_beat(&self, id: HolderId, lives_until: Timestamp) -> Result<(), StoreError> {
        let item = row(keys::holder(id), &HolderRow { id, lives_until })?;
        // DynamoDB sweeps the rows of those who were killed.
        self.item_put(expires(item, lives_until + std::time::Duration::from_secs(3600))).await
    }

    /// Says that a holder has gone.
    pub async fn holder_leave(&self, id: HolderId) -> Result<(), StoreError> {
        self.item_delete(keys::holder(id)).await
    }

    /// Takes a slot over, if its lease is still as it was `seen`. `None`: another was faster.
    ///
    /// If the service fails it is not known who has the slot; then nobody acts on it, and the table tells.
    pub async fn slot_take(
        &self,
        slot: u32,
        holder: HolderId,
        seen: Option<SlotLease>,
    ) -> Result<Option<SlotLease>, StoreError> {
        let epoch = seen.map_or(1, |seen| seen.epoch + 1);
        let lease = SlotLease { slot, holder: Some(holder), epoch };
        let precondition = seen.map_or(Precondition::DoesNotExist, |seen| Precondition::MatchesVersion(seen.epoch));
        Ok(self.lease_put(&lease, precondition).await?.then_some(lease))
    }

    /// Gives a slot back. Nothing happens if another has it by now.
    pub async fn slot_release(&self, lease: SlotLease) -> Result<(), StoreError> {
        let free = SlotLease { holder: None, epoch: lease.epoch + 1, ..lease };
        self.lease_put(&free, Precondition::MatchesVersion(lease.epoch)).await?;
        Ok(())
    }

    async fn lease_put(&self, lease: &SlotLease, precondition: Precondition) -> Result<bool, StoreError> {
        let put = self.put_if(row(keys::lease(lease.slot), lease)?, lease.epoch, precondition)?;
        Ok(self.transact(vec![put_action(put)]).await?.is_ok())
    }

    /// The links of a slot that are to be held, with their cursors.
    pub async fn held_links(&self, slot: u32) -> Result<Vec<SlotLink>, StoreError> {
        let mut cursors = BTreeMap::new();
        let mut links = Vec::new();
        for item in self.items_by_prefix(&keys::slot_pk(slot), "").await? {
            match string(&item, "sk")?.strip_prefix(keys::CURSOR_PREFIX) {
                Some(link) => {
                    cursors.insert(link.to_owned(), record::<String>(&item)?);
                }
                None => links.push(record::<HeldLink>(&item)?),
            }
        }
        let with_cursor = |link: HeldLink| SlotLink { cursor: cursors.remove(&link.id.to_string()), link };
        Ok(links.into_iter().map(with_cursor).collect())
    }

    /// Writes cursors of a slot's links; an empty one says that there is none to go on from. Returns whether the lease still
    /// counts: if not, nothing more is written.
    pub async fn cursors_put(&self, lease: SlotLease, cursors: &[(LinkId, String)]) -> Result<bool, StoreError> {
        for some in cursors.chunks(CURSORS_PER_WRITE) {
            let mut actions = vec![self.lease_check(lease)?];
            for (link, cursor) in some {
                let key = keys::cursor(lease.slot, *link);
                actions.push(if cursor.is_empty() {
                    self.delete_action(key)?
                } else {
                    put_action(self.put_always(row(key, cursor)?)?)
                });
            }
            if self.transact(actions).await?.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Holds only if the slot has this lease's epoch.
    fn lease_check(&self, lease: SlotLease) -> Result<TransactWriteItem, StoreError> {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(keys::lease(lease.slot).into_item()))
            .condition_expression("#version = :epoch")
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":epoch", number(lease.epoch));
        let check = check.build().map_err(|e| unavailable("describe a write", &e))?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// The holder that lives and has a link's slot; `None`: nobody keeps the link's connection. Costs two reads.
    pub async fn link_holder(&self, link: LinkId, now: Timestamp) -> Result<Option<HolderId>, StoreError> {
        let lease: Option<SlotLease> = self.record_get(keys::lease(keys::slot_of(link))).await?;
        let Some(id) = lease.and_then(|lease| lease.holder) else { return Ok(None) };
        let holder: Option<HolderRow> = self.record_get(keys::holder(id)).await?;
        Ok(holder.filter(|holder| holder.lives_until > now).map(|holder| holder.id))
    }

    /// What else is written with a link, so that the holder of its slot takes notice: whether it is to be held, and that
    /// something has changed.
    pub(crate) fn hold_actions(&self, link: &Link) -> Result<Vec<TransactWriteItem>, StoreError> {
        let slot = keys::slot_of(link.id);
        let key = keys::held_link(slot, link.id);
        let held = if link.is_held() && link.is_active() {
            let held = HeldLink { id: link.id, account: link.account, bot: link.bot, version: link.version };
            put_action(self.put_always(row(key, &held)?)?)
        } else {
            self.delete_action(key)?
        };
        Ok(vec![held, self.changed_action(slot, LINKS)?])
    }

    /// Lets the holder of a link's slot know that the link is gone, and forgets its cursor.
    pub(crate) async fn unhold(&self, link: LinkId) -> Result<(), StoreError> {
        let slot = keys::slot_of(link);
        let actions = vec![
            self.delete_action(keys::held_link(slot, link))?,
            self.delete_action(keys::cursor(slot, link))?,
            self.changed_action(slot, LINKS)?,
        ];
        match self.transact(actions).await? {
            Ok(()) => Ok(()),
            Err(_) => Err(StoreError::Conflict("the link was changed by somebody else meanwhile")),
        }
    }

    /// Counts that something of a slot has changed, so that its holder looks.
    pub(crate) fn changed_action(&self, slot: u32, what: &'static str) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(keys::changes(slot).into_item()))
            .update_expression("ADD #count :one")
            .expression_attribute_names("#count", what)
            .expression_attribute_values(":one", number(1));
        let update = update.build().map_err(|e| unavailable("describe a write", &e))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}

/// The attributes of a row that counts: changes of links, and replies that were left.
const LINKS: &str = "changes";
pub(crate) const POSTS: &str = "posts";

/// All slots.
pub fn slots() -> impl Iterator<Item = u32> {
    0..SLOTS
}
