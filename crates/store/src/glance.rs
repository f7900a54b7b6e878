//! Bots at a glance: what a list says of each beside its record, kept in the bot's own row so that a page of bots is one query.
//!
//! These attributes stand beside the record and its version, so they change without an edit of the bot being refused:
//!
//! | attribute | written |
//! | --- | --- |
//! | `link_…`, one for each link | in the transaction that writes the link |
//! | `notice`, the newest one about the bot | in the transaction that writes the notice |
//! | `heard_at` and `heard_in`, when and in which session a person last wrote to it | by a write of its own, once a minute at most |
//! | `owner_in` and `owner_chat`, in which session its owner last wrote, and in which chat directly | in the same write, and when the owner goes to another session |

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use domain::turn::ReplyTo;
use domain::{Bot, BotId, Channel, HeardIn, Link, LinkId, LinkStatus, SessionKey, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bots::bot_of;
use crate::error::{StoreError, unavailable};
use crate::item::{Item, number, record, string, text};
use crate::keys::Key;
use crate::pages::Order;
use crate::{AccountStore, NOTICE_TTL, Notice, Page, PageRange, keys};

pub(crate) const HEARD_AT: &str = "heard_at";
const HEARD_IN: &str = "heard_in";
const OWNER_IN: &str = "owner_in";
const OWNER_CHAT: &str = "owner_chat";
const NOTICE: &str = "notice";

/// How exactly it is known when a person last wrote.
const HEARD_STEP: Duration = Duration::from_secs(60);

/// A bot as a list shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct BotGlance {
    pub bot: Bot,
    /// Oldest first.
    pub links: Vec<LinkGlance>,
    /// The newest one that was not removed.
    pub notice: Option<Notice>,
}

/// A link as a list of bots shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkGlance {
    pub id: LinkId,
    pub channel: Channel,
    pub status: LinkStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// `None` of what was written before this was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
}

impl BotGlance {
    fn of(item: &Item, now: Timestamp) -> Result<BotGlance, StoreError> {
        let mut links: Vec<LinkGlance> = Vec::new();
        for name in item.keys().filter(|name| name.parse::<LinkId>().is_ok()) {
            links.push(attribute(item, name)?);
        }
        links.sort_by_key(|link| link.id);
        let notice = item.contains_key(NOTICE).then(|| attribute::<Notice>(item, NOTICE)).transpose()?;
        let notice = notice.filter(|notice| now.since(notice.at) < NOTICE_TTL);
        Ok(BotGlance { bot: bot_of(item)?, links, notice })
    }
}

/// Where people last wrote to the bot of a row.
pub(crate) fn heard_in(item: &Item) -> HeardIn {
    let session = |name: &str| string(item, name).ok().and_then(|text| text.parse().ok());
    HeardIn { anyone: session(HEARD_IN), owner: session(OWNER_IN), owner_chat: attribute(item, OWNER_CHAT).ok() }
}

/// What is to be noted of a person's message.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// `None` where nobody would read what comes unasked.
    pub session: Option<SessionKey>,
    pub is_owner: bool,
    /// The chat, if it is the owner's own and replies are sent there.
    pub owner_chat: Option<ReplyTo>,
}

/// The record in an attribute.
fn attribute<T: serde::de::DeserializeOwned>(item: &Item, name: &str) -> Result<T, StoreError> {
    serde_json::from_str(string(item, name)?)
        .map_err(|e| StoreError::Corrupt(format!("the attribute {name} of a bot's row cannot be read: {e}")))
}

fn json<T: Serialize>(record: &T) -> Result<String, StoreError> {
    serde_json::to_string(record).map_err(|e| StoreError::Corrupt(format!("a record cannot be written: {e}")))
}

/// What a list of bots shows of a link.
fn shown(link: &Link) -> Result<String, StoreError> {
    let Link { id, channel, status, handle, .. } = link.clone();
    json(&LinkGlance { id, channel, status, handle, changed_at: Some(link.updated_at) })
}

impl AccountStore<'_> {
    /// Bots, oldest first. Costs one query.
    pub async fn bot_page(&self, range: &PageRange, now: Timestamp) -> Result<Page<BotGlance>, StoreError> {
        let page = self.page(keys::BOT_PREFIX, Order::Forward, range).await?;
        page.try_map(|item| BotGlance::of(&item, now))
    }

    /// One bot. Costs one read.
    pub async fn bot_glance(&self, bot: BotId, now: Timestamp) -> Result<Option<BotGlance>, StoreError> {
        let item = self.store.item_get(keys::bot(self.id, bot)).await?;
        item.map(|item| BotGlance::of(&item, now)).transpose()
    }

    /// Bots whose names begin with `beginning`, compared without case, by name. Costs one query and one read of up to 100 rows:
    /// so many is the most.
    pub async fn bot_page_by_name(
        &self,
        beginning: &str,
        range: &PageRange,
        now: Timestamp,
    ) -> Result<Page<BotGlance>, StoreError> {
        let names = [keys::BOT_NAME_PREFIX, &beginning.to_lowercase()];
        let page = self.store.page(&self.id.to_string(), names, Order::Forward, range).await?;
        let page = page.try_map(|item| record::<BotId>(&item))?;
        let key = |id: &BotId| keys::bot(self.id, *id);
        let rows: HashMap<Key, Item> = self.store.items_get(page.items.iter().map(key)).await?;
        let found = page.items.iter().filter_map(|id| rows.get(&key(id)));
        let items = found.map(|item| BotGlance::of(item, now)).collect::<Result<_, _>>()?;
        Ok(Page { items, next: page.next })
    }

    /// Notes that a person wrote to a bot, where that is not known to the minute, or the owner was not known to be in this
    /// session. Costs one write then, and nothing else.
    pub async fn bot_heard(&self, bot: &Bot, heard: &Heard, now: Timestamp) -> Result<(), StoreError> {
        let Heard { session, is_owner, owner_chat } = heard;
        let is_known = bot.heard_at.is_some_and(|at| now.since(at) < HEARD_STEP);
        let has_moved = *is_owner && session.is_some() && bot.heard_in.owner != *session;
        if is_known && !has_moved {
            return Ok(());
        }
        let mut attributes = vec![(HEARD_AT, number(now.as_millis()))];
        if let Some(session) = session {
            attributes.push((HEARD_IN, text(session.to_string())));
            if *is_owner {
                attributes.push((OWNER_IN, text(session.to_string())));
            }
        }
        if let Some(chat) = owner_chat {
            attributes.push((OWNER_CHAT, text(json(chat)?)));
        }
        let sets: Vec<String> = attributes.iter().map(|(name, _)| format!("#{name} = :{name}")).collect();
        let mut request = self
            .store
            .dynamo
            .update_item()
            .table_name(&self.store.table)
            .set_key(Some(keys::bot(self.id, bot.id).into_item()))
            .condition_expression("attribute_exists(pk)")
            .update_expression(format!("SET {}", sets.join(", ")));
        for (name, value) in attributes {
            request = request
                .expression_attribute_names(format!("#{name}"), name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        match request.send().await {
            Ok(_) => Ok(()),
            // It was deleted meanwhile.
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(()),
            Err(e) => Err(unavailable("note that a person wrote", &e)),
        }
    }

    /// Shows a link as it is now, and the notice that says why it does not work, if it does not. Holds only while there is the
    /// bot.
    pub(crate) fn glance_link_action(
        &self,
        link: &Link,
        notice: Option<&Notice>,
    ) -> Result<TransactWriteItem, StoreError> {
        let update = self
            .glance_update(link.bot)
            .expression_attribute_names("#name", link.id.to_string())
            .expression_attribute_values(":shown", text(shown(link)?));
        built(match notice {
            None => update.update_expression("SET #name = :shown"),
            Some(notice) => update
                .update_expression("SET #name = :shown, #notice = :told")
                .expression_attribute_names("#notice", NOTICE)
                .expression_attribute_values(":told", text(json(notice)?)),
        })
    }

    /// Shows a link no more. Holds only while there is the bot.
    pub(crate) fn glance_unlink_action(&self, bot: BotId, link: LinkId) -> Result<TransactWriteItem, StoreError> {
        let update = self.glance_update(bot).update_expression("REMOVE #name");
        built(update.expression_attribute_names("#name", link.to_string()))
    }

    /// Shows a notice in place of the one before. Holds only while there is the bot.
    pub(crate) fn glance_notice_action(&self, bot: BotId, notice: &Notice) -> Result<TransactWriteItem, StoreError> {
        let update = self.glance_update(bot).update_expression("SET #name = :shown");
        let update = update.expression_attribute_names("#name", NOTICE);
        built(update.expression_attribute_values(":shown", text(json(notice)?)))
    }

    /// Shows a notice no more, if it is the one that is shown.
    pub(crate) async fn glance_unnotice(&self, bot: BotId, notice: &Notice) -> Result<(), StoreError> {
        let request = self
            .store
            .dynamo
            .update_item()
            .table_name(&self.store.table)
            .set_key(Some(keys::bot(self.id, bot).into_item()))
            .condition_expression("#name = :shown")
            .update_expression("REMOVE #name")
            .expression_attribute_names("#name", NOTICE)
            .expression_attribute_values(":shown", text(json(notice)?));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(()),
            Err(e) => Err(unavailable("remove a notice", &e)),
        }
    }

    fn glance_update(&self, bot: BotId) -> aws_sdk_dynamodb::types::builders::UpdateBuilder {
        Update::builder()
            .table_name(&self.store.table)
            .set_key(Some(keys::bot(self.id, bot).into_item()))
            .condition_expression("attribute_exists(pk)")
    }
}

fn built(update: aws_sdk_dynamodb::types::builders::UpdateBuilder) -> Result<TransactWriteItem, StoreError> {
    let update = update.build().map_err(|e| unavailable("describe a write", &e))?;
    Ok(TransactWriteItem::builder().update(update).build())
}
