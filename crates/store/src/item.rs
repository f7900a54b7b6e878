//! Rows of the table: a record is JSON in one attribute, beside the attributes that DynamoDB looks at.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bots::put_action;
use crate::error::{StoreError, unavailable};
use crate::keys::Key;
use crate::{Store, schema};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// The attribute that holds the record.
pub(crate) const DOC: &str = "doc";

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

impl Key {
    pub(crate) fn of(item: &Item) -> Result<Key, StoreError> {
        Ok(Key { pk: string(item, "pk")?.to_owned(), sk: string(item, "sk")?.to_owned() })
    }

    pub(crate) fn into_item(self) -> Item {
        HashMap::from([("pk".to_owned(), text(self.pk)), ("sk".to_owned(), text(self.sk))])
    }
}

/// A row with a record in it.
pub(crate) fn row<T: Serialize>(key: Key, record: &T) -> Result<Item, StoreError> {
    let mut item = key.into_item();
    let doc =
        serde_json::to_string(record).map_err(|e| StoreError::Corrupt(format!("a record cannot be written: {e}")))?;
    item.insert(DOC.to_owned(), text(doc));
    Ok(item)
}

/// Lets DynamoDB drop the row after `at`.
pub(crate) fn expires(mut item: Item, at: Timestamp) -> Item {
    item.insert(schema::TTL_ATTRIBUTE.to_owned(), number(at.as_secs()));
    item
}

pub(crate) fn string<'a>(item: &'a Item, attribute: &str) -> Result<&'a str, StoreError> {
    match item.get(attribute) {
        Some(AttributeValue::S(value)) => Ok(value),
        _ => Err(StoreError::Corrupt(format!("row {:?} has no text attribute `{attribute}`", describe(item)))),
    }
}

/// The record of a row.
pub(crate) fn record<T: DeserializeOwned>(item: &Item) -> Result<T, StoreError> {
    serde_json::from_str(string(item, DOC)?)
        .map_err(|e| StoreError::Corrupt(format!("the record of row {:?} cannot be read: {e}", describe(item))))
}

fn describe(item: &Item) -> (Option<&str>, Option<&str>) {
    let get = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str);
    (get("pk"), get("sk"))
}

/// Whether a row's time to live has passed: DynamoDB drops such rows late, so readers must not see them.
pub(crate) fn is_expired(item: &Item, now: Timestamp) -> bool {
    let ttl = item.get(schema::TTL_ATTRIBUTE).and_then(|v| v.as_n().ok()).and_then(|n| n.parse::<u64>().ok());
    ttl.is_some_and(|ttl| ttl <= now.as_secs())
}

impl Store {
    /// Reads one row, strongly consistent.
    pub(crate) async fn item_get(&self, key: Key) -> Result<Option<Item>, StoreError> {
        if let Some(reads) = &self.reads {
            return reads.get(key).await;
        }
        let request =
            self.dynamo.get_item().table_name(&self.table).set_key(Some(key.into_item())).consistent_read(true);
        let output = request.send().await.map_err(|e| unavailable("read a row", &e))?;
        Ok(output.item)
    }

    /// Reads rows together, strongly consistent; what does not exist is left out.
    ///
    /// DynamoDB takes up to 100 of them.
    pub(crate) async fn items_get(
        &self,
        keys: impl IntoIterator<Item = Key>,
    ) -> Result<HashMap<Key, Item>, StoreError> {
        let keys: Vec<_> = keys.into_iter().collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let (found, left_out) = self.items_of(keys).await?;
        if !left_out.is_empty() {
            let detail = "DynamoDB is busy and left some out".to_owned();
            return Err(StoreError::Unavailable { what: "read rows", detail });
        }
        Ok(found)
    }

    pub(crate) async fn record_get<T: DeserializeOwned>(&self, key: Key) -> Result<Option<T>, StoreError> {
        self.item_get(key).await?.map(|item| record(&item)).transpose()
    }

    /// The record of a row that is written once: `new`, unless there was one before.
    pub(crate) async fn record_claim<T>(&self, key: Key, new: T) -> Result<T, StoreError>
    where
        T: Serialize + DeserializeOwned,
    {
        let put = self.put_new(row(key.clone(), &new)?)?;
        if self.transact(vec![put_action(put)]).await?.is_ok() {
            return Ok(new);
        }
        let known = self.record_get(key).await?;
        known.ok_or(StoreError::Conflict("the record was deleted meanwhile"))
    }

    pub(crate) async fn item_put(&self, item: Item) -> Result<(), StoreError> {
        let request = self.dynamo.put_item().table_name(&self.table).set_item(Some(item));
        request.send().await.map_err(|e| unavailable("write a row", &e))?;
        Ok(())
    }

    pub(crate) async fn item_delete(&self, key: Key) -> Result<(), StoreError> {
        let request = self.dynamo.delete_item().table_name(&self.table).set_key(Some(key.into_item()));
        request.send().await.map_err(|e| unavailable("delete a row", &e))?;
        Ok(())
    }

    /// All rows of a partition whose sort key begins with `prefix`, in order; all of them if it is empty.
    pub(crate) async fn items_by_prefix(&self, pk: &str, prefix: &str) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        let mut start = None;
        // DynamoDB compares no key with an empty text.
        let begins = if prefix.is_empty() { "" } else { " AND begins_with(sk, :prefix)" };
        let mut values = Item::from([(":pk".to_owned(), text(pk))]);
        if !prefix.is_empty() {
            values.insert(":prefix".to_owned(), text(prefix));
        }
        loop {
            let request = self
                .dynamo
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression(format!("pk = :pk{begins}"))
                .set_expression_attribute_values(Some(values.clone()))
                .set_exclusive_start_key(start);
            let output = request.send().await.map_err(|e| unavailable("list rows", &e))?;
            items.extend(output.items.unwrap_or_default());
            start = output.last_evaluated_key;
            if start.is_none() {
                return Ok(items);
            }
        }
    }
}
