//! Single rows that many read at the same time, read together.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::KeysAndAttributes;
use together::Together;

use crate::Store;
use crate::error::{StoreError, unavailable};
use crate::item::Item;
use crate::keys::Key;

/// The most rows that `BatchGetItem` takes.
const MOST: usize = 100;

/// How many calls are made at the same time.
const CALLS: usize = 8;

type Answer = Result<Option<Item>, String>;

/// Reads rows by the hundred, strongly consistent.
#[derive(Clone)]
pub(crate) struct ReadsTogether(Together<Key, Answer>);

impl ReadsTogether {
    pub(crate) fn start(store: &Store) -> ReadsTogether {
        let store = Store { reads: None, ..store.clone() };
        ReadsTogether(Together::start(CALLS, MOST, move |keys: Vec<Key>| {
            let store = store.clone();
            async move { store.read_together(&keys).await }
        }))
    }

    pub(crate) async fn get(&self, key: Key) -> Result<Option<Item>, StoreError> {
        let failed = |detail: String| StoreError::Unavailable { what: "read a row", detail };
        let answer = self.0.ask(key).await.unwrap_or_else(|| Err("the process is about to end".to_owned()));
        answer.map_err(failed)
    }
}

impl Store {
    async fn read_together(&self, keys: &[Key]) -> Vec<Answer> {
        if let [key] = keys {
            return vec![self.item_get(key.clone()).await.map_err(|error| error.to_string())];
        }
        // DynamoDB refuses a list that names a row twice.
        let wanted: HashSet<&Key> = keys.iter().collect();
        match self.items_of(wanted.into_iter().cloned().collect()).await {
            Ok((found, left_out)) => {
                let answer = |key: &Key| {
                    if left_out.contains(key) {
                        return Err("DynamoDB is busy and left it out".to_owned());
                    }
                    Ok(found.get(key).cloned())
                };
                keys.iter().map(answer).collect()
            }
            Err(error) => keys.iter().map(|_| Err(error.to_string())).collect(),
        }
    }

    /// Reads rows by their keys, each of which is there once. Returns what there is, and the keys of what was not read.
    pub(crate) async fn items_of(&self, keys: Vec<Key>) -> Result<(HashMap<Key, Item>, HashSet<Key>), StoreError> {
        let rows = keys.into_iter().map(Key::into_item).collect();
        let wanted = KeysAndAttributes::builder().set_keys(Some(rows)).consistent_read(true).build();
        let wanted = wanted.map_err(|e| unavailable("describe a read", &e))?;
        let request = self.dynamo.batch_get_item().request_items(&self.table, wanted);
        let output = request.send().await.map_err(|e| unavailable("read rows", &e))?;
        let left = output.unprocessed_keys.unwrap_or_default().remove(&self.table);
        let left = left.map(|left| left.keys).unwrap_or_default();
        let left = left.iter().map(Key::of).collect::<Result<_, _>>()?;
        let items = output.responses.unwrap_or_default().remove(&self.table).unwrap_or_default();
        let found = items.into_iter().map(|item| Ok((Key::of(&item)?, item))).collect::<Result<_, StoreError>>()?;
        Ok((found, left))
    }
}
