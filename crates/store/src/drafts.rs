//! Drafts: the reply that a session is writing, as people see it so far. A session has one at most.

use std::time::Duration;

use domain::{BotId, LinkId, SessionKey, Timestamp, TurnId};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::item::{expires, is_expired, record, row};
use crate::{AccountStore, keys};

/// How long a draft is remembered: longer than a turn that crashes and is taken over.
pub const DRAFT_TTL: Duration = Duration::from_secs(3600);

/// The reply that a turn is writing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    pub turn: TurnId,
    /// When the newest message that it answers was received: tells whose answer it is before the log does.
    #[serde(default)]
    pub asked_at: Timestamp,
    pub link: LinkId,
    /// The channel's id of the chat that it is shown in.
    pub chat: String,
    /// The channel's id of the message that shows it; `None` where replies are read from the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The text so far; empty where a message shows it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl AccountStore<'_> {
    /// The draft of a session, if it has one.
    pub async fn draft_get(
        &self,
        bot: BotId,
        session: &SessionKey,
        now: Timestamp,
    ) -> Result<Option<Draft>, StoreError> {
        let item = self.store.item_get(keys::draft(self.id, bot, session)).await?;
        item.filter(|item| !is_expired(item, now)).map(|item| record(&item)).transpose()
    }

    /// Writes the draft of a session, in place of an earlier one.
    pub async fn draft_put(
        &self,
        bot: BotId,
        session: &SessionKey,
        draft: &Draft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let item = row(keys::draft(self.id, bot, session), draft)?;
        self.store.item_put(expires(item, now + DRAFT_TTL)).await
    }

    /// Forgets the draft of a session.
    pub async fn draft_delete(&self, bot: BotId, session: &SessionKey) -> Result<(), StoreError> {
        self.store.item_delete(keys::draft(self.id, bot, session)).await
    }
}
