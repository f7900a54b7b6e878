//! Questions that wait for their owner: a row stands exactly as long as a session's head says that its turn waits.
//!
//! The row is written and deleted in the transactions that begin and end the wait, so no step of its own can get
//! lost. It is the line of the owner's list, and stands in the index `due`: who finds it there wakes the turn.

use std::time::Duration;

use aws_sdk_dynamodb::types::TransactWriteItem;
use domain::task::Continue;
use domain::turn::{ActiveTurn, Head, ReplyTo, Waiting};
use domain::{BotId, EntryBody, SessionKey, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bots::put_action;
use crate::error::StoreError;
use crate::item::{expires, record, row, text};
use crate::{AccountStore, Commit, Store, keys, schema};

/// How long a row stays at most: that of a bot which is no more is never deleted by a turn.
const APPROVAL_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// For how long a turn that was woken is not woken again.
const WAKE_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// One question that waits for its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub code: String,
    /// The question, in Markdown.
    pub text: String,
    /// The task that goes on with the turn.
    pub wake: Continue,
    /// Where the turn's answer goes.
    pub reply: ReplyTo,
    pub asked_at: Timestamp,
    /// From then on the turn goes on without what it asks for.
    pub until: Timestamp,
}

impl AccountStore<'_> {
    /// All questions that wait, the oldest first.
    pub async fn approval_list(&self) -> Result<Vec<Approval>, StoreError> {
        let items = self.store.items_by_prefix(&self.id.to_string(), keys::APPROVAL_PREFIX).await?;
        let mut approvals: Vec<Approval> = items.iter().map(record).collect::<Result<_, _>>()?;
        approvals.sort_by_key(|approval| approval.asked_at);
        Ok(approvals)
    }

    /// The question of a bot that has this code; `None` if nothing waits under it.
    pub async fn approval_get(&self, bot: BotId, code: &str) -> Result<Option<Approval>, StoreError> {
        self.store.record_get(keys::approval(self.id, bot, code)).await
    }

    /// Deletes the questions of a bot.
    pub(crate) async fn approvals_delete(&self, bot: BotId) -> Result<(), StoreError> {
        self.store.partition_delete(&self.id.to_string(), &keys::approval_prefix(bot)).await
    }

    /// The writes by which the rows follow the head.
    pub(crate) fn approval_actions(
        &self,
        bot: BotId,
        session: &SessionKey,
        commit: &Commit<'_>,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let (before, after) = (waiting(commit.seen), waiting(commit.head));
        let code = |wait: Option<(&ActiveTurn, &Waiting)>| wait.map(|(_, waiting)| waiting.code.clone());
        if code(before) == code(after) {
            return Ok(vec![]);
        }
        let mut actions = Vec::new();
        if let Some((_, waiting)) = before {
            actions.push(self.store.delete_action(keys::approval(self.id, bot, &waiting.code))?);
        }
        if let Some((turn, waiting)) = after {
            let text_of = |body: &EntryBody| match body {
                EntryBody::Asked { code, text, .. } if *code == waiting.code => Some(text.clone()),
                _ => None,
            };
            let Head { next_seq, epoch, updated_at, .. } = *commit.head;
            let session = session.clone();
            let wake = Continue { account: self.id, bot, session, turn: turn.id, next_seq, epoch };
            let approval = Approval {
                code: waiting.code.clone(),
                text: commit.entries.iter().find_map(|entry| text_of(&entry.body)).unwrap_or_default(),
                wake,
                reply: turn.reply.clone(),
                asked_at: updated_at,
                until: waiting.until,
            };
            let mut item = row(keys::approval(self.id, bot, &approval.code), &approval)?;
            let [due_pk, due_sk] = schema::DUE_KEYS;
            item.insert(due_pk.to_owned(), text(keys::WAKES_DUE_PK));
            item.insert(due_sk.to_owned(), text(keys::time_key(approval.until)));
            actions.push(put_action(self.store.put(expires(item, approval.until + APPROVAL_TTL))?));
        }
        Ok(actions)
    }
}

fn waiting(head: &Head) -> Option<(&ActiveTurn, &Waiting)> {
    let turn = head.turn.as_ref()?;
    Some((turn, turn.waiting.as_ref()?))
}

impl Store {
    /// Questions whose time is over although their turns still wait, oldest first.
    pub async fn wakes_due(&self, now: Timestamp, limit: i32) -> Result<Vec<Approval>, StoreError> {
        let due = self.due(keys::WAKES_DUE_PK, now, limit, None, "read what is to be woken").await?;
        Ok(due.records(record, "A turn is not woken"))
    }

    /// Puts a wake off, so that the turn is not woken again at once.
    pub async fn wake_put_off(&self, approval: &Approval, now: Timestamp) -> Result<(), StoreError> {
        let key = keys::approval(approval.wake.account, approval.wake.bot, &approval.code);
        self.due_put_off(key, now + WAKE_AGAIN_AFTER, "put a wake off").await
    }
}
