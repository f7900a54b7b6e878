//! Bots: their records and the uniqueness of their names.

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{ConditionCheck, Delete, Put, TransactWriteItem};
use domain::{Account, Bot, BotId, Timestamp};

use crate::error::{StoreError, unavailable};
use crate::item::{Item, number, record, row, text};
use crate::keys::{self, Key};
use crate::{AccountStore, Store};

/// What a write asks of the record that it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// There is none.
    DoesNotExist,
    /// It has this version.
    MatchesVersion(u64),
}

pub(crate) const VERSION: &str = "version";

/// How often a bot's version is tried to be raised while others change the bot, too.
const TOUCHES: u32 = 10;

impl Store {
    /// A put that holds only under `precondition`.
    pub(crate) fn put_if(&self, mut item: Item, version: u64, precondition: Precondition) -> Result<Put, StoreError> {
        item.insert(VERSION.to_owned(), number(version));
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = match precondition {
            Precondition::DoesNotExist => put.condition_expression("attribute_not_exists(pk)"),
            Precondition::MatchesVersion(seen) => put
                .condition_expression("#version = :seen")
                .expression_attribute_names("#version", VERSION)
                .expression_attribute_values(":seen", number(seen)),
        };
        put.build().map_err(|e| unavailable("describe a write", &e))
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
        let request = self.dynamo.transact_write_items().set_transact_items(Some(actions));
        let error = match request.send().await {
            Ok(_) => return Ok(Ok(())),
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
                return Ok(Err(failed));
            }
        }
        Err(unavailable("write a transaction", &error))
    }
}

pub(crate) fn put_action(put: Put) -> TransactWriteItem {
    TransactWriteItem::builder().put(put).build()
}

impl AccountStore<'_> {
    pub async fn bot_get(&self, id: BotId) -> Result<Option<Bot>, StoreError> {
        self.store.record_get(keys::bot(self.id, id)).await
    }

    /// A bot and its account, in one read. An account without a record counts as one at its defaults.
    pub async fn bot_get_with_account(&self, id: BotId) -> Result<Option<(Bot, Option<Account>)>, StoreError> {
        let (bot, account) = (keys::bot(self.id, id), keys::account(self.id));
        let mut found = self.store.items_get([bot.clone(), account.clone()]).await?;
        let Some(bot) = found.remove(&bot) else { return Ok(None) };
        let account = found.remove(&account).map(|item| record(&item)).transpose()?;
        Ok(Some((record(&bot)?, account)))
    }

    /// All bots of the account, oldest first.
    pub async fn bot_list(&self) -> Result<Vec<Bot>, StoreError> {
        let items = self.store.items_by_prefix(&self.id.to_string(), keys::BOT_PREFIX).await?;
        items.iter().map(record).collect()
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
        let precondition = Precondition::MatchesVersion(seen.version);
        let put = self.store.put_if(row(keys::bot(self.id, bot.id), bot)?, bot.version, precondition)?;
        let mut actions = vec![put_action(put)];
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
