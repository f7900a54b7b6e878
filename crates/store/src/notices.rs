//! Notices to an account's owner: what happened that they should know and nobody else can repair.

use std::time::Duration;

use domain::{BotId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bots::put_action;
use crate::error::StoreError;
use crate::item::{expires, is_expired, record, row};
use crate::{AccountStore, keys};

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
        let item = expires(row(keys::notice(self.id, &notice.about), notice)?, notice.at + NOTICE_TTL);
        let written = self.store.transact(vec![put_action(self.store.put_new(item)?)]).await?;
        Ok(written.is_ok())
    }

    /// All notices, newest first.
    pub async fn notice_list(&self, now: Timestamp) -> Result<Vec<Notice>, StoreError> {
        let items = self.store.items_by_prefix(&self.id.to_string(), keys::NOTICE_PREFIX).await?;
        let kept = items.iter().filter(|item| !is_expired(item, now));
        let mut notices: Vec<Notice> = kept.map(record).collect::<Result<_, _>>()?;
        notices.sort_by_key(|notice| std::cmp::Reverse(notice.at));
        Ok(notices)
    }

    /// Removes a notice that its owner has read.
    pub async fn notice_delete(&self, about: &str) -> Result<(), StoreError> {
        self.store.item_delete(keys::notice(self.id, about)).await
    }
}
