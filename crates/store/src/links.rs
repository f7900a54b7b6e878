//! Links, the webhook routes to them, and the pairing of strangers.

use std::time::Duration;

use domain::access::{PAIRING_MAX_PENDING, PAIRING_TTL_SECS};
use domain::{AccountId, BotId, Link, LinkId, Sender, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bots::{Precondition, put_action};
use crate::error::StoreError;
use crate::item::{expires, is_expired, record, row};
use crate::{AccountStore, Store, keys};

/// Where a webhook's link is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub account: AccountId,
    pub bot: BotId,
}

/// A stranger who waits for the owner's approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairing {
    /// What the stranger was told to pass on.
    pub code: String,
    pub sender: Sender,
    pub requested_at: Timestamp,
}

impl Store {
    /// Which account and bot a webhook's link belongs to.
    pub async fn route_get(&self, link: LinkId) -> Result<Option<Route>, StoreError> {
        self.record_get(keys::route(link)).await
    }
}

impl AccountStore<'_> {
    pub async fn link_get(&self, bot: BotId, id: LinkId) -> Result<Option<Link>, StoreError> {
        self.store.record_get(keys::link(self.id, bot, id)).await
    }

    /// A bot's links, oldest first.
    pub async fn link_list(&self, bot: BotId) -> Result<Vec<Link>, StoreError> {
        let items = self.store.items_by_prefix(&self.id.to_string(), &keys::link_prefix(bot)).await?;
        items.iter().map(record).collect()
    }

    /// Writes a new link and the route to it.
    pub async fn link_create(&self, link: &Link) -> Result<(), StoreError> {
        let key = keys::link(self.id, link.bot, link.id);
        let put = self.store.put_if(row(key, link)?, link.version, Precondition::DoesNotExist)?;
        let route = row(keys::route(link.id), &Route { account: self.id, bot: link.bot })?;
        let route = self.store.put_if(route, 0, Precondition::DoesNotExist)?;
        match self.store.transact(vec![put_action(put), put_action(route)]).await? {
            Ok(()) => Ok(()),
            Err(_) => Err(StoreError::Conflict("the link exists already")),
        }
    }

    /// Replaces a link's record with `link`, whose version is one above `seen_version`.
    pub async fn link_update(&self, seen_version: u64, link: &Link) -> Result<(), StoreError> {
        let key = keys::link(self.id, link.bot, link.id);
        let put = self.store.put_if(row(key, link)?, link.version, Precondition::MatchesVersion(seen_version))?;
        match self.store.transact(vec![put_action(put)]).await? {
            Ok(()) => Ok(()),
            Err(_) => Err(StoreError::Conflict("the link was changed by somebody else meanwhile")),
        }
    }

    /// Deletes a link, its route, and who was paired with it.
    pub async fn link_delete(&self, link: &Link) -> Result<(), StoreError> {
        self.store.item_delete(keys::route(link.id)).await?;
        for prefix in [keys::pairing_prefix(link.id), keys::paired_prefix(link.id)] {
            self.store.partition_delete(&self.id.to_string(), &prefix).await?;
        }
        self.store.item_delete(keys::link(self.id, link.bot, link.id)).await
    }

    /// Whether the owner has let this sender in.
    pub async fn is_paired(&self, link: LinkId, sender: &str) -> Result<bool, StoreError> {
        Ok(self.store.item_get(keys::paired(self.id, link, sender)).await?.is_some())
    }

    /// Strangers who wait, oldest first.
    pub async fn pairing_list(&self, link: LinkId, now: Timestamp) -> Result<Vec<Pairing>, StoreError> {
        let items = self.store.items_by_prefix(&self.id.to_string(), &keys::pairing_prefix(link)).await?;
        let mut waiting =
            items.iter().filter(|item| !is_expired(item, now)).map(record).collect::<Result<Vec<Pairing>, _>>()?;
        waiting.sort_by_key(|pairing| pairing.requested_at);
        Ok(waiting)
    }

    /// Notes that a stranger wants in, and returns the code to tell them: the one they have if they
    /// asked before, `None` if too many wait already.
    pub async fn pairing_request(
        &self,
        link: LinkId,
        sender: &Sender,
        code: String,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let waiting = self.pairing_list(link, now).await?;
        if let Some(known) = waiting.iter().find(|pairing| pairing.sender.id == sender.id) {
            return Ok(Some(known.code.clone()));
        }
        if waiting.len() >= PAIRING_MAX_PENDING {
            return Ok(None);
        }
        let pairing = Pairing { code: code.clone(), sender: sender.clone(), requested_at: now };
        let item = row(keys::pairing(self.id, link, &sender.id), &pairing)?;
        self.store.item_put(expires(item, now + Duration::from_secs(PAIRING_TTL_SECS))).await?;
        Ok(Some(code))
    }

    /// Lets the stranger with this code in. `None`: no such code waits.
    pub async fn pairing_approve(
        &self,
        link: LinkId,
        code: &str,
        now: Timestamp,
    ) -> Result<Option<Sender>, StoreError> {
        let waiting = self.pairing_list(link, now).await?;
        let Some(pairing) = waiting.into_iter().find(|pairing| pairing.code.eq_ignore_ascii_case(code.trim())) else {
            return Ok(None);
        };
        self.store.item_put(row(keys::paired(self.id, link, &pairing.sender.id), &pairing.sender)?).await?;
        self.store.item_delete(keys::pairing(self.id, link, &pairing.sender.id)).await?;
        Ok(Some(pairing.sender))
    }
}
