//! Bots: their records and the uniqueness of their names.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{ConditionCheck, Delete, Put, TransactWriteItem, Update};
use domain::{Account, Bot, BotId, Timestamp};

use crate::error::{StoreError, unavailable};
use crate::glance::{HEARD_AT, heard_in};
use crate::item::{DOC, Item, number, record, row, string, text};
use crate::keys::{self, Key};
use crate::{AccountStore, Store, schema};

/// What a write asks of the record that it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// There is none.
    DoesNotExist,
    /// It has this version. A record that was written before it had versions has 0.
    MatchesVersion(u64),
}

/// The version that stands beside a record.
pub(crate) fn version_of(item: &Item) -> u64 {
    let version = item.get(VERSION).and_then(|value| value.as_n().ok());
    version.and_then(|number| number.parse().ok()).unwrap_or_default()
}

pub(crate) const VERSION: &str = "version";

/// How often a bot's version is tried to be raised while others change the bot, too.
const TOUCHES: u32 = 10;

/// Between tries of a transaction that met another one, growing twofold: 20, 40, 80, 160 and 320 ms.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_millis(640);

/// What became of a transaction.
enum Outcome {
    Done,
    /// The conditions of these writes, by their index, do not hold.
    Failed(Vec<usize>),
    /// Another one wrote to one of its rows at the same time.
    Met,
}

impl Store {
    /// A put that holds only under `precondition`.
    pub(crate) fn put_if(&self, mut item: Item, version: u64, precondition: Precondition) -> Result<Put, StoreError> {
        item.insert(VERSION.to_owned(), number(version));
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = match precondition {
            Precondition::DoesNotExist => put.condition_expression("attribute_not_exists(pk)"),
            // Some records are older than their versions.
            Precondition::MatchesVersion(0) => put
                .condition_expression("attribute_exists(pk) AND (attribute_not_exists(#version) OR #version = :seen)")
                .expression_attribute_names("#version", VERSION)
                .expression_attribute_values(":seen", number(0)),
            Precondition::MatchesVersion(seen) => put
                .condition_expression("#version = :seen")
                .expression_attribute_names("#version", VERSION)
                .expression_attribute_values(":seen", number(seen)),
        };
        put.build().map_err(|e| unavailable("describe a write", &e))
    }

    /// Bots whose time is over, the longest ago first. They may lag behind the last write by moments.
    pub async fn bots_to_remove(&self, now: Timestamp, limit: i32) -> Result<Vec<Bot>, StoreError> {
        let due = self.due(keys::DELETIONS_DUE_PK, now, limit, None, "read what is to be removed").await?;
        Ok(due.records(bot_of, "A bot is not removed"))
    }

    /// A put that holds in any case.
    pub(crate) fn put_always(&self, item: Item) -> Result<Put, StoreError> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item)).build();
        put.map_err(|e| unavailable("describe a write", &e))
    }

    pub(crate) fn delete_action(&self, key: Key) -> Result<TransactWriteItem, StoreError> {
        let delete = Delete::builder().table_name(&self.table).set_key(Some(key.into_item())).build();
        Ok(TransactWriteItem::builder().delete(delete.map_err(|e| unavailable("describe a write", &e))?).build())
    }

    /// Holds only if there is no such row.
    pub(crate) fn absent_action(&self, key: Key) -> Result<TransactWriteItem, StoreError> {
        let check = ConditionCheck::builder().table_name(&self.table).set_key(Some(key.into_item()));
        let check = check.condition_expression("attribute_not_exists(pk)").build();
        let check = check.map_err(|e| unavailable("describe a write", &e))?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// Writes all of `actions` or none. The outer error says that the service failed, the inner one
    /// which actions' conditions did not hold.
    pub(crate) async fn transact(&self, actions: Vec<TransactWriteItem>) -> Result<Result<(), Vec<usize>>, StoreError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.transact_once(actions.clone()).await? {
                Outcome::Done => return Ok(Ok(())),
                Outcome::Failed(failed) => return Ok(Err(failed)),
                // Not at the same time as those that it met.
                Outcome::Met if pause < LAST_PAUSE => tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await,
                Outcome::Met => {
                    let detail = "other transactions write to the same rows all the time".to_owned();
                    return Err(StoreError::Unavailable { what: "write a transaction", detail });
                }
            }
            pause *= 2;
        }
    }

    async fn transact_once(&self, actions: Vec<TransactWriteItem>) -> Result<Outcome, StoreError> {
        let request = self.dynamo.transact_write_items().set_transact_items(Some(actions));
        let error = match request.send().await {
            Ok(_) => return Ok(Outcome::Done),
            Err(error) => error,
        };
        if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() {
            let failed: Vec<usize> = cancelled
                .cancellation_reasons()
                .iter()
                .enumerate()
                .filter(|(_, reason)| reason.code() == Some("ConditionalCheckFailed"))
                .map(|(index, _)| index)
                .collect();
            if !failed.is_empty() {
                return Ok(Outcome::Failed(failed));
            }
            // Counters are shared by sessions. Nothing was written, so that the same may be tried again.
            if cancelled.cancellation_reasons().iter().any(|reason| reason.code() == Some("TransactionConflict")) {
                return Ok(Outcome::Met);
            }
        }
        Err(unavailable("write a transaction", &error))
    }
}

/// The bot of a row. When and where people last wrote to it stands beside the record.
pub(crate) fn bot_of(item: &Item) -> Result<Bot, StoreError> {
    let heard_at = item.get(HEARD_AT).and_then(|value| value.as_n().ok()).and_then(|text| text.parse().ok());
    Ok(Bot { heard_at: heard_at.map(Timestamp::from_millis), heard_in: heard_in(item), ..record(item)? })
}

pub(crate) fn put_action(put: Put) -> TransactWriteItem {
    TransactWriteItem::builder().put(put).build()
}

impl AccountStore<'_> {
    pub async fn bot_get(&self, id: BotId) -> Result<Option<Bot>, StoreError> {
        self.store.item_get(keys::bot(self.id, id)).await?.map(|item| bot_of(&item)).transpose()
    }

    /// A bot and its account, in one read. An account without a record counts as one at its defaults.
    pub async fn bot_get_with_account(&self, id: BotId) -> Result<Option<(Bot, Option<Account>)>, StoreError> {
        let (bot, account) = (keys::bot(self.id, id), keys::account(self.id));
        let mut found = self.store.items_get([bot.clone(), account.clone()]).await?;
        let Some(bot) = found.remove(&bot) else { return Ok(None) };
        let account = found.remove(&account).map(|item| record(&item)).transpose()?;
        Ok(Some((bot_of(&bot)?, account)))
    }

    /// The names of bots; those that are no more have none. Costs one read for each 100.
    pub async fn bot_names(&self, bots: &[BotId]) -> Result<HashMap<BotId, String>, StoreError> {
        let mut names = HashMap::new();
        for some in bots.chunks(100) {
            let rows = self.store.items_get(some.iter().map(|id| keys::bot(self.id, *id))).await?;
            for item in rows.values() {
                let bot = bot_of(item)?;
                names.insert(bot.id, bot.name);
            }
        }
        Ok(names)
    }

    /// All bots of the account, oldest first.
    pub async fn bot_list(&self) -> Result<Vec<Bot>, StoreError> {
        let items = self.store.items_by_prefix(&self.id.to_string(), keys::BOT_PREFIX).await?;
        items.iter().map(bot_of).collect()
    }

    /// Finds a bot by name, compared without case.
    pub async fn bot_find(&self, name: &str) -> Result<Option<Bot>, StoreError> {
        let Some(item) = self.store.item_get(keys::bot_name(self.id, name)).await? else { return Ok(None) };
        let id: BotId = record(&item)?;
        self.bot_get(id).await
    }

    /// Writes a new bot. Fails with `Conflict` if its name is taken.
    pub async fn bot_create(&self, bot: &Bot) -> Result<(), StoreError> {
        let put = self.store.put_if(row(keys::bot(self.id, bot.id), bot)?, bot.version, Precondition::DoesNotExist)?;
        let name = self.name_action(bot)?;
        match self.store.transact(vec![put_action(put), name]).await? {
            Ok(()) => Ok(()),
            Err(_) => Err(StoreError::Conflict("a bot of this name exists already")),
        }
    }

    /// Replaces a bot's record with `bot`, whose version is one above the one that `seen` has.
    pub async fn bot_update(&self, seen: &Bot, bot: &Bot) -> Result<(), StoreError> {
        let mut actions = vec![self.record_action(seen.version, bot)?];
        if seen.name.to_lowercase() != bot.name.to_lowercase() {
            actions.push(self.name_action(bot)?);
            actions.push(self.store.delete_action(keys::bot_name(self.id, &seen.name))?);
        }
        match self.store.transact(actions).await? {
            Ok(()) => Ok(()),
            Err(failed) if failed.contains(&0) => {
                Err(StoreError::Conflict("the bot was changed by somebody else meanwhile"))
            }
            Err(_) => Err(StoreError::Conflict("a bot of this name exists already")),
        }
    }

    /// Raises a bot's version: something that belongs to it has changed, its workspace for example.
    pub async fn bot_touch(&self, id: BotId, now: Timestamp) -> Result<(), StoreError> {
        for _ in 0..TOUCHES {
            let Some(seen) = self.bot_get(id).await? else { return Ok(()) };
            let bot = Bot { version: seen.version + 1, updated_at: now, ..seen.clone() };
            match self.bot_update(&seen, &bot).await {
                Err(StoreError::Conflict(_)) => {}
                done => return done,
            }
        }
        Err(StoreError::Conflict("the bot is changed by many at once; try again"))
    }

    /// Deletes a bot with everything it has: links, sessions, workspace. The record goes last, so that
    /// a deletion that was cut short can be repeated.
    pub async fn bot_delete(&self, bot: &Bot) -> Result<(), StoreError> {
        for link in self.link_list(bot.id).await? {
            self.link_delete(&link).await?;
        }
        self.jobs_delete(bot.id).await?;
        self.sessions_delete(bot.id).await?;
        self.workspace_delete(bot.id).await?;
        self.media_delete(bot.id).await?;
        let actions = vec![
            self.store.delete_action(keys::bot(self.id, bot.id))?,
            self.store.delete_action(keys::bot_name(self.id, &bot.name))?,
        ];
        match self.store.transact(actions).await? {
            Ok(()) => Ok(()),
            Err(_) => Err(StoreError::Conflict("the bot was changed by somebody else meanwhile")),
        }
    }

    /// Puts a bot's record in the place of its version `seen`, and leaves what stands beside it.
    fn record_action(&self, seen: u64, bot: &Bot) -> Result<TransactWriteItem, StoreError> {
        let item = row(keys::bot(self.id, bot.id), bot)?;
        let [due_pk, due_sk] = schema::DUE_KEYS;
        let update = Update::builder()
            .table_name(&self.store.table)
            .set_key(Some(keys::bot(self.id, bot.id).into_item()))
            .condition_expression("#version = :seen")
            .expression_attribute_names("#due_pk", due_pk)
            .expression_attribute_names("#due_sk", due_sk);
        let update = match bot.delete_at() {
            None => update.update_expression("SET #doc = :doc, #version = :version REMOVE #due_pk, #due_sk"),
            Some(at) => update
                .update_expression("SET #doc = :doc, #version = :version, #due_pk = :due_pk, #due_sk = :due_sk")
                .expression_attribute_values(":due_pk", text(keys::DELETIONS_DUE_PK))
                .expression_attribute_values(":due_sk", text(keys::time_key(at))),
        };
        let update = update
            .expression_attribute_names("#doc", DOC)
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":doc", text(string(&item, DOC)?))
            .expression_attribute_values(":version", number(bot.version))
            .expression_attribute_values(":seen", number(seen));
        let update = update.build().map_err(|e| unavailable("describe a write", &e))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn name_action(&self, bot: &Bot) -> Result<TransactWriteItem, StoreError> {
        let item = row(keys::bot_name(self.id, &bot.name), &bot.id)?;
        let put = Put::builder()
            .table_name(&self.store.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR doc = :bot")
            .expression_attribute_values(":bot", text(format!("\"{}\"", bot.id)));
        Ok(put_action(put.build().map_err(|e| unavailable("describe a write", &e))?))
    }
}
