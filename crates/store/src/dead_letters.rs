//! Dead letters: tasks that failed for good, kept until their owner replays or discards them.

use std::time::Duration;

use domain::{AccountId, DeadLetterId, Task, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bots::{Precondition, put_action};
use crate::error::StoreError;
use crate::item::{expires, is_expired, record, row};
use crate::pages::Order;
use crate::{AccountStore, Page, PageRange, Store, keys};

/// How long a dead letter is kept.
pub const DEAD_LETTER_TTL: Duration = Duration::from_secs(90 * 24 * 3600);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeadLetterStatus {
    #[default]
    Open,
    Replayed,
    Discarded,
}

/// A task that failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub id: DeadLetterId,
    /// The queue that the task came from: `turns` or `outbound`.
    pub queue: String,
    pub task: Task,
    /// Why, for the owner.
    pub reason: String,
    pub failed_at: Timestamp,
    #[serde(default)]
    pub status: DeadLetterStatus,
    /// Counts the changes of this record.
    #[serde(default)]
    pub version: u64,
}

impl Store {
    /// Records a dead letter under the account of its task. Recording it again changes nothing.
    pub async fn dead_letter_record(&self, letter: &DeadLetter) -> Result<(), StoreError> {
        let no_owner = || StoreError::Corrupt("a task of no account has no dead letters".to_owned());
        let account: AccountId = letter.task.account().ok_or_else(no_owner)?;
        let item = row(keys::dead_letter(account, letter.id), letter)?;
        let item = expires(item, letter.failed_at + DEAD_LETTER_TTL);
        let put = self.put_if(item, letter.version, Precondition::DoesNotExist)?;
        match self.transact(vec![put_action(put)]).await? {
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl AccountStore<'_> {
    /// The account's dead letters, newest first. Costs one query.
    pub async fn dead_letter_page(&self, range: &PageRange, now: Timestamp) -> Result<Page<DeadLetter>, StoreError> {
        let mut page = self.page(keys::DEAD_LETTER_PREFIX, Order::Backward, range).await?;
        page.items.retain(|item| !is_expired(item, now));
        page.try_map(|item| record(&item))
    }

    pub async fn dead_letter_get(&self, id: DeadLetterId) -> Result<Option<DeadLetter>, StoreError> {
        self.store.record_get(keys::dead_letter(self.id, id)).await
    }

    /// Notes what became of a dead letter. `Conflict`: somebody else did so meanwhile.
    pub async fn dead_letter_settle(
        &self,
        letter: &DeadLetter,
        status: DeadLetterStatus,
    ) -> Result<DeadLetter, StoreError> {
        let settled = DeadLetter { status, version: letter.version + 1, ..letter.clone() };
        let item = row(keys::dead_letter(self.id, letter.id), &settled)?;
        let item = expires(item, letter.failed_at + DEAD_LETTER_TTL);
        let put = self.store.put_if(item, settled.version, Precondition::MatchesVersion(letter.version))?;
        match self.store.transact(vec![put_action(put)]).await? {
            Ok(()) => Ok(settled),
            Err(_) => Err(StoreError::Conflict("the dead letter was changed by somebody else meanwhile")),
        }
    }
}
