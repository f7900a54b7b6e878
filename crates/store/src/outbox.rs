//! The outbox: a row per reply, written in the commit that decided it, which is also the record of its delivery.
//!
//! A row that waits for delivery stands in the index `due`; delivery takes it out. What is still there
//! after a while was committed but perhaps never queued, and is queued again ([`Store::outbox_overdue`]).

use std::time::Duration;

use domain::{Outbound, OutboundId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::{StoreError, unavailable};
use crate::item::{Item, expires, record, row, text};
use crate::{AccountStore, Store, keys, schema};

/// How long a delivery is remembered, and so for how long the same reply is not sent twice.
pub const OUTBOX_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long a committed reply may wait for its delivery before it is queued again.
pub const OVERDUE_AFTER: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum DeliveryStatus {
    #[default]
    Pending,
    Delivered,
    /// Nobody is there to receive it, or the channel refuses it for good.
    Undeliverable {
        reason: String,
    },
}

/// How far the delivery of one reply has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub outbound: Outbound,
    #[serde(default)]
    pub status: DeliveryStatus,
    /// The channel's ids of the parts that were sent: a text over the channel's limit is sent in several.
    #[serde(default)]
    pub sent: Vec<String>,
}

impl Delivery {
    pub fn of(outbound: Outbound) -> Delivery {
        Delivery { outbound, status: DeliveryStatus::Pending, sent: vec![] }
    }
}

impl Store {
    pub(crate) fn outbox_row(&self, outbound: &Outbound) -> Result<Item, StoreError> {
        self.delivery_row(&Delivery::of(outbound.clone()))
    }

    fn delivery_row(&self, delivery: &Delivery) -> Result<Item, StoreError> {
        let outbound = &delivery.outbound;
        let key = keys::outbox(outbound.account, outbound.bot, &outbound.id);
        let mut item = expires(row(key, delivery)?, outbound.created_at + OUTBOX_TTL);
        if delivery.status == DeliveryStatus::Pending {
            let [due_pk, due_sk] = schema::DUE_KEYS;
            item.insert(due_pk.to_owned(), text(keys::outbox_due_pk(keys::outbox_shard(&outbound.id))));
            item.insert(due_sk.to_owned(), text(due_at(outbound)));
        }
        Ok(item)
    }

    /// Replies of one shard that have waited for longer than [`OVERDUE_AFTER`], oldest first.
    pub async fn outbox_overdue(&self, shard: u32, now: Timestamp, limit: i32) -> Result<Vec<Outbound>, StoreError> {
        let request = self
            .dynamo
            .query()
            .table_name(&self.table)
            .index_name(schema::DUE_INDEX)
            .key_condition_expression("due_pk = :pk AND due_sk < :now")
            .expression_attribute_values(":pk", text(keys::outbox_due_pk(shard)))
            .expression_attribute_values(":now", text(time_key(now)))
            .limit(limit);
        let output = request.send().await.map_err(|e| unavailable("read the outbox", &e))?;
        let items = output.items.unwrap_or_default();
        let overdue = items.iter().filter_map(|item| match record::<Delivery>(item) {
            Ok(delivery) => Some(delivery.outbound),
            Err(error) => {
                // One row that nobody can read must not hold back the others.
                tracing::error!("A row of the outbox is left out: {error}");
                None
            }
        });
        Ok(overdue.collect())
    }

    /// Puts an overdue reply off, so that it is not queued again at the next sweep.
    pub async fn outbox_put_off(&self, outbound: &Outbound, now: Timestamp) -> Result<(), StoreError> {
        let key = keys::outbox(outbound.account, outbound.bot, &outbound.id);
        let request = self
            .dynamo
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.into_item()))
            .update_expression("SET due_sk = :due")
            .condition_expression("attribute_exists(due_pk)")
            .expression_attribute_values(":due", text(time_key(now + OVERDUE_AFTER)));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(()),
            Err(e) => Err(unavailable("put an overdue reply off", &e)),
        }
    }
}

fn due_at(outbound: &Outbound) -> String {
    time_key(outbound.created_at + OVERDUE_AFTER)
}

/// A time as text that sorts.
pub(crate) fn time_key(at: Timestamp) -> String {
    format!("{:015}", at.as_millis())
}

impl AccountStore<'_> {
    /// How far a reply's delivery has come; `None` if it has no record (a notice that no commit wrote,
    /// or one whose record has expired).
    pub async fn delivery_get(&self, bot: domain::BotId, id: &OutboundId) -> Result<Option<Delivery>, StoreError> {
        self.store.record_get(keys::outbox(self.id, bot, id)).await
    }

    /// Records how far a delivery has come.
    pub async fn delivery_put(&self, delivery: &Delivery) -> Result<(), StoreError> {
        debug_assert_eq!(delivery.outbound.account, self.id);
        let item = self.store.delivery_row(delivery)?;
        self.store.item_put(item).await
    }
}
