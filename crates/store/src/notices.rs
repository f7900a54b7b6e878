//! Notices to an account's owner: what happened that they should know and nobody else can repair.

use std::time::Duration;

use aws_sdk_dynamodb::types::TransactWriteItem;
use domain::{BotId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bots::put_action;
use crate::error::StoreError;
use crate::item::{expires, is_expired, record, row};
use crate::pages::Order;
use crate::{AccountStore, MAX_PLACE, Page, PageRange, keys};

/// How long a notice is kept.
pub const NOTICE_TTL: Duration = Duration::from_secs(90 * 24 * 3600);

/// One notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What it is about, such as `budget.bot_….2026-11`: the owner is told once of each.
    pub about: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<BotId>,
    pub text: String,
    pub at: Timestamp,
}

impl AccountStore<'_> {
    /// Writes a notice, unless there is one about the same. Returns whether it is new.
    pub async fn notice_put(&self, notice: &Notice) -> Result<bool, StoreError> {
        let mut actions = self.notice_actions(notice)?.to_vec();
        if let Some(bot) = notice.bot {
            let without = actions.clone();
            actions.push(self.glance_notice_action(bot, notice)?);
            return match self.store.transact(actions).await? {
                Ok(()) => Ok(true),
                Err(failed) if failed.contains(&0) => Ok(false),
                // The bot is gone; what happened is told all the same.
                Err(_) => Ok(self.store.transact(without).await?.is_ok()),
            };
        }
        Ok(self.store.transact(actions).await?.is_ok())
    }

    /// The rows of a notice: that it is new, and its place in the list.
    pub(crate) fn notice_actions(&self, notice: &Notice) -> Result<[TransactWriteItem; 2], StoreError> {
        let until = notice.at + NOTICE_TTL;
        let about = expires(row(keys::notice(self.id, &notice.about), notice)?, until);
        let listed = expires(row(keys::noticed(self.id, notice.at, &notice.about), notice)?, until);
        Ok([put_action(self.store.put_new(about)?), put_action(self.store.put_always(listed)?)])
    }

    /// Notices, newest first. Costs one query.
    pub async fn notice_page(&self, range: &PageRange, now: Timestamp) -> Result<Page<Notice>, StoreError> {
        let mut page = self.page(keys::NOTICED_PREFIX, Order::Backward, range).await?;
        page.items.retain(|item| !is_expired(item, now));
        page.try_map(|item| record(&item))
    }

    /// Removes a notice that its owner has read. Returns whether there was one.
    pub async fn notice_delete(&self, about: &str, now: Timestamp) -> Result<bool, StoreError> {
        if about.is_empty() || about.len() > MAX_PLACE {
            return Ok(false);
        }
        let key = || keys::notice(self.id, about);
        let Some(item) = self.store.item_get(key()).await?.filter(|item| !is_expired(item, now)) else {
            return Ok(false);
        };
        let notice: Notice = record(&item)?;
        if let Some(bot) = notice.bot {
            self.glance_unnotice(bot, &notice).await?;
        }
        // The row that names it last: a removal that was cut short can be repeated.
        self.store.item_delete(keys::noticed(self.id, notice.at, about)).await?;
        self.store.item_delete(key()).await?;
        Ok(true)
    }
}
