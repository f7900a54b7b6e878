//! Links, the webhook routes to them, and the pairing of strangers.

use std::time::Duration;

use domain::access::{PAIRING_MAX_PENDING, PAIRING_TTL_SECS};
use domain::{AccountId, BotId, Link, LinkId, LinkStatus, Sender, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bots::{Precondition, put_action};
use crate::error::StoreError;
use crate::item::{expires, is_expired, record, row};
use crate::pages::Order;
use crate::{AccountStore, Notice, Page, PageRange, Store, keys};

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

    /// Links of a bot, oldest first. Costs one query.
    pub async fn link_page(&self, bot: BotId, range: &PageRange) -> Result<Page<Link>, StoreError> {
        self.page(&keys::link_prefix(bot), Order::Forward, range).await?.try_map(|item| record(&item))
    }

    /// The links of all bots of the account.
    pub async fn link_list_all(&self) -> Result<Vec<Link>, StoreError> {
        let items = self.store.items_by_prefix(&self.id.to_string(), keys::LINK_PREFIX).await?;
        items.iter().map(record).collect()
    }

    /// Writes a new link and the route to it. Fails with `Conflict` if there is no such bot.
    pub async fn link_create(&self, link: &Link) -> Result<(), StoreError> {
        let key = keys::link(self.id, link.bot, link.id);
        let put = self.store.put_if(row(key, link)?, link.version, Precondition::DoesNotExist)?;
        let route = row(keys::route(link.id), &Route { account: self.id, bot: link.bot })?;
        let route = self.store.put_if(route, 0, Precondition::DoesNotExist)?;
        let mut actions = vec![put_action(put), put_action(route), self.glance_link_action(link, None)?];
        if link.is_held() {
            actions.extend(self.store.hold_actions(link)?);
        }
        match self.store.transact(actions).await? {
            Ok(()) => Ok(()),
            Err(failed) if failed.contains(&2) => Err(StoreError::Conflict("the bot was deleted meanwhile")),
            Err(_) => Err(StoreError::Conflict("the link exists already")),
        }
    }

    /// Replaces a link's record with `link`, whose version is one above `seen_version`.
    pub async fn link_update(&self, seen_version: u64, link: &Link) -> Result<(), StoreError> {
        match self.link_replace(seen_version, link, None).await? {
            true => Ok(()),
            false => Err(StoreError::Conflict("the link was changed by somebody else meanwhile")),
        }
    }

    /// Replaces a link's record, together with a notice. Returns whether it still had the version that was seen.
    async fn link_replace(&self, seen: u64, link: &Link, notice: Option<&Notice>) -> Result<bool, StoreError> {
        let key = keys::link(self.id, link.bot, link.id);
        let put = self.store.put_if(row(key, link)?, link.version, Precondition::MatchesVersion(seen))?;
        let mut actions = vec![put_action(put), self.glance_link_action(link, notice)?];
        if let Some(notice) = notice {
            actions.extend(self.notice_actions(notice)?);
        }
        // A link that is not held now may have been before.
        actions.extend(self.store.hold_actions(link)?);
        Ok(self.store.transact(actions).await?.is_ok())
    }

    /// Notes that a link does not work for `reason`, and tells its owner by a notice: both or neither.
    ///
    /// If the link was changed since it was read, nothing happens: whoever changed it may have repaired it.
    pub async fn link_fail(&self, mut link: Link, reason: &str, now: Timestamp) -> Result<(), StoreError> {
        let seen = link.version;
        link.version += 1;
        link.updated_at = now;
        link.status = LinkStatus::Failed { reason: reason.to_owned() };
        let notice = Notice {
            about: format!("link.{}.{}", link.id, link.version),
            bot: Some(link.bot),
            text: format!("The link to {} does not work: {reason}", link.channel),
            at: now,
        };
        if !self.link_replace(seen, &link, Some(&notice)).await? {
            tracing::info!(link = %link.id, "A link that does not work was changed or deleted meanwhile.");
        }
        Ok(())
    }

    /// Deletes a link, its route, and who was paired with it.
    pub async fn link_delete(&self, link: &Link) -> Result<(), StoreError> {
        self.store.item_delete(keys::route(link.id)).await?;
        for prefix in [keys::pairing_prefix(link.id), keys::paired_prefix(link.id)] {
            self.store.partition_delete(&self.id.to_string(), &prefix).await?;
        }
        let row = keys::link(self.id, link.bot, link.id);
        let actions = vec![self.store.delete_action(row.clone())?, self.glance_unlink_action(link.bot, link.id)?];
        if self.store.transact(actions).await?.is_err() {
            // The bot is gone, and with it what it showed.
            self.store.item_delete(row).await?;
        }
        self.store.unhold(link.id).await
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
