//! The outbox: a row per reply, written in the commit that decided it, which is also the record of its delivery. Where the same
//! commit takes in the message that is answered, the row is that message's mark: one row less to write for each turn without
//! tools.
//!
//! A row that waits for delivery stands in the index `due`; delivery takes it out. What is still there
//! after a while was committed but perhaps never queued, and is queued again ([`Store::outbox_overdue`]).

use std::time::Duration;

use domain::{BotId, MessageId, Outbound, OutboundId, SessionKey, Timestamp, TurnId};
use serde::{Deserialize, Serialize};

use crate::bots::put_action;
use crate::error::{StoreError, unavailable};
use crate::item::{DOC, Item, expires, number, record, row, text};
use crate::{AccountStore, Store, keys, schema};

/// How long a delivery is remembered, and so for how long the same reply is not sent twice.
pub const OUTBOX_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long a committed reply may wait for its delivery before it is queued again.
pub const OVERDUE_AFTER: Duration = Duration::from_secs(60);

/// How many parts were sent, and that all were: a worker that lags behind must not write over another's record.
const PARTS: &str = "parts";
const DELIVERED: &str = "delivered";

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
    /// When the channel had taken all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
}

impl Delivery {
    pub fn of(outbound: Outbound) -> Delivery {
        Delivery { outbound, status: DeliveryStatus::Pending, sent: vec![], delivered_at: None }
    }
}

impl Store {
    pub(crate) fn outbox_row(&self, outbound: &Outbound) -> Result<Item, StoreError> {
        self.delivery_row(&Delivery::of(outbound.clone()))
    }

    fn delivery_row(&self, delivery: &Delivery) -> Result<Item, StoreError> {
        let outbound = &delivery.outbound;
        let mut item = expires(row(keys::delivery(outbound), delivery)?, outbound.created_at + OUTBOX_TTL);
        item.insert(PARTS.to_owned(), number(delivery.sent.len() as u64));
        if delivery.status == DeliveryStatus::Delivered {
            item.insert(DELIVERED.to_owned(), number(1));
        }
        if delivery.status == DeliveryStatus::Pending {
            let [due_pk, due_sk] = schema::DUE_KEYS;
            item.insert(due_pk.to_owned(), text(keys::outbox_due_pk(keys::outbox_shard(&outbound.id))));
            item.insert(due_sk.to_owned(), text(due_at(outbound)));
        }
        Ok(item)
    }

    /// Replies of one shard that have waited for longer than [`OVERDUE_AFTER`], oldest first.
    pub async fn outbox_overdue(&self, shard: u32, now: Timestamp, limit: i32) -> Result<Vec<Outbound>, StoreError> {
        // Longer than that: not at the very millisecond.
        let until = Timestamp::from_millis(now.as_millis().saturating_sub(1));
        let due = self.due(keys::outbox_due_pk(shard), until, limit, None, "read the outbox").await?;
        let outbound = |item: &Item| Ok(record::<Delivery>(item)?.outbound);
        Ok(due.records(outbound, "A row of the outbox is left out"))
    }

    /// Puts an overdue reply off, so that it is not queued again at the next sweep.
    pub async fn outbox_put_off(&self, outbound: &Outbound, now: Timestamp) -> Result<(), StoreError> {
        self.due_put_off(keys::delivery(outbound), now + OVERDUE_AFTER, "put an overdue reply off").await
    }
}

fn due_at(outbound: &Outbound) -> String {
    keys::time_key(outbound.created_at + OVERDUE_AFTER)
}

impl AccountStore<'_> {
    /// How far a reply's delivery has come; `None` if it has no record (a notice that no commit wrote,
    /// or one whose record has expired).
    pub async fn delivery_get(&self, outbound: &Outbound) -> Result<Option<Delivery>, StoreError> {
        debug_assert_eq!(outbound.account, self.id);
        let item = self.store.item_get(keys::delivery(outbound)).await?;
        // A mark alone is no record.
        item.filter(|item| item.contains_key(DOC)).map(|item| record(&item)).transpose()
    }

    /// How far the delivery of a turn's reply has come. `first` is the message that the turn began with, if it is known: its
    /// mark may be the record.
    pub async fn delivery_of_turn(
        &self,
        bot: BotId,
        session: &SessionKey,
        turn: TurnId,
        first: Option<&MessageId>,
    ) -> Result<Option<Delivery>, StoreError> {
        let own = keys::outbox(self.id, bot, &OutboundId::reply(turn, 0));
        let mark = first.map(|message| keys::mark(self.id, bot, session, message));
        let found = self.store.items_get(mark.into_iter().chain([own])).await?;
        found.values().find(|item| item.contains_key(DOC)).map(record).transpose()
    }

    /// Writes a message that is to be sent, unless it was written before. Returns whether it is still to be queued: what
    /// was queued and not delivered may be queued again.
    pub async fn outbox_put(&self, outbound: &Outbound) -> Result<bool, StoreError> {
        let put = put_action(self.store.put_new(self.store.outbox_row(outbound)?)?);
        if self.store.transact(vec![put]).await?.is_ok() {
            return Ok(true);
        }
        let delivery = self.delivery_get(outbound).await?;
        Ok(delivery.is_some_and(|delivery| delivery.status == DeliveryStatus::Pending))
    }

    /// Records how far a delivery has come. `Conflict`: somebody else has brought it further.
    pub async fn delivery_put(&self, delivery: &Delivery) -> Result<(), StoreError> {
        debug_assert_eq!(delivery.outbound.account, self.id);
        let item = self.store.delivery_row(delivery)?;
        let request = self.store.dynamo.put_item().table_name(&self.store.table).set_item(Some(item));
        let request = request
            .condition_expression(
                "attribute_not_exists(#delivered) AND (attribute_not_exists(#parts) OR #parts <= :parts)",
            )
            .expression_attribute_names("#delivered", DELIVERED)
            .expression_attribute_names("#parts", PARTS)
            .expression_attribute_values(":parts", number(delivery.sent.len() as u64));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => {
                Err(StoreError::Conflict("another worker has brought this delivery further"))
            }
            Err(e) => Err(unavailable("record a delivery", &e)),
        }
    }
}
