//! Accounts and their API keys.

use domain::{Account, AccountId, KeyId, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::StoreError;
use crate::item::{record, row};
use crate::{AccountStore, Store, keys};

/// An API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    pub id: KeyId,
    /// What its owner calls it.
    pub name: String,
    /// SHA-256 of the secret, in hex.
    pub sha256: String,
    pub created_at: Timestamp,
}

/// Whose key it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyOwner {
    pub account: AccountId,
    pub key: KeyId,
}

/// The hash under which a key's secret is stored. A secret has 256 random bits, so a fast hash does.
pub(crate) fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

impl Store {
    /// Finds whose secret this is.
    pub async fn api_key_find(&self, secret: &str) -> Result<Option<KeyOwner>, StoreError> {
        self.record_get(keys::api_key_by_hash(&hash(secret))).await
    }
}

impl AccountStore<'_> {
    pub async fn account_get(&self) -> Result<Option<Account>, StoreError> {
        self.store.record_get(keys::account(self.id)).await
    }

    pub async fn account_put(&self, account: &Account) -> Result<(), StoreError> {
        self.store.item_put(row(keys::account(self.id), account)?).await
    }

    /// Stores a new key. The secret itself is kept nowhere.
    pub async fn api_key_create(
        &self,
        id: KeyId,
        name: &str,
        secret: &str,
        now: Timestamp,
    ) -> Result<ApiKey, StoreError> {
        let sha256 = hash(secret);
        let key = ApiKey { id, name: name.to_owned(), sha256: sha256.clone(), created_at: now };
        let owner = KeyOwner { account: self.id, key: id };
        // The listed row first: a crash in between leaves a key that shows and does not work, not the reverse.
        self.store.item_put(row(keys::api_key(self.id, id), &key)?).await?;
        self.store.item_put(row(keys::api_key_by_hash(&sha256), &owner)?).await?;
        Ok(key)
    }

    pub async fn api_key_list(&self) -> Result<Vec<ApiKey>, StoreError> {
        let items = self.store.items_by_prefix(&self.id.to_string(), keys::API_KEY_PREFIX).await?;
        items.iter().map(record).collect()
    }
}
