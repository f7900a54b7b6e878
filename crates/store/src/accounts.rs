//! Accounts and their API keys.

use domain::{Account, AccountId, KeyId, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::bots::{Precondition, put_action, version_of};
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
    /// As [`KeyOwner::scopes`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    pub created_at: Timestamp,
}

/// Whose key it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyOwner {
    pub account: AccountId,
    pub key: KeyId,
    /// What the key may be used for. `None`, as of keys that were made before there were scopes: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
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

    /// The account of who deployed this. The first time it is `new`, whose record is yet to be written.
    pub async fn first_account(&self, new: AccountId) -> Result<AccountId, StoreError> {
        self.record_claim(keys::first_account(), new).await
    }
}

impl AccountStore<'_> {
    pub async fn account_get(&self) -> Result<Option<Account>, StoreError> {
        self.store.record_get(keys::account(self.id)).await
    }

    /// The account's record with its version; 0 of records that are older than versions.
    pub async fn account_read(&self) -> Result<Option<(Account, u64)>, StoreError> {
        let item = self.store.item_get(keys::account(self.id)).await?;
        item.map(|item| Ok((record(&item)?, version_of(&item)))).transpose()
    }

    /// Writes the record of a new account. Fails with [`StoreError::Conflict`] if there is one.
    pub async fn account_put(&self, account: &Account) -> Result<(), StoreError> {
        self.account_write(account, 1, Precondition::DoesNotExist).await
    }

    /// Writes the record as the next version after `seen`. Fails with [`StoreError::Conflict`] if it has another by now.
    pub async fn account_update(&self, seen: u64, account: &Account) -> Result<(), StoreError> {
        self.account_write(account, seen + 1, Precondition::MatchesVersion(seen)).await
    }

    async fn account_write(&self, account: &Account, version: u64, when: Precondition) -> Result<(), StoreError> {
        let put = self.store.put_if(row(keys::account(self.id), account)?, version, when)?;
        let written = self.store.transact(vec![put_action(put)]).await?;
        written.map_err(|_| StoreError::Conflict("the account was changed by somebody else meanwhile"))
    }

    /// Stores a new key. The secret itself is kept nowhere.
    pub async fn api_key_create(
        &self,
        id: KeyId,
        name: &str,
        scopes: Option<Vec<String>>,
        secret: &str,
        now: Timestamp,
    ) -> Result<ApiKey, StoreError> {
        let sha256 = hash(secret);
        let key = ApiKey { id, name: name.to_owned(), sha256: sha256.clone(), scopes: scopes.clone(), created_at: now };
        let owner = KeyOwner { account: self.id, key: id, scopes };
        // The listed row first: a crash in between leaves a key that shows and does not work, not the reverse.
        self.store.item_put(row(keys::api_key(self.id, id), &key)?).await?;
        self.store.item_put(row(keys::api_key_by_hash(&sha256), &owner)?).await?;
        Ok(key)
    }

    pub async fn api_key_list(&self) -> Result<Vec<ApiKey>, StoreError> {
        let items = self.store.items_by_prefix(&self.id.to_string(), keys::API_KEY_PREFIX).await?;
        items.iter().map(record).collect()
    }

    pub async fn api_key_get(&self, id: KeyId) -> Result<Option<ApiKey>, StoreError> {
        self.store.record_get(keys::api_key(self.id, id)).await
    }

    /// Deletes a key: its secret lets nobody in any more. Returns whether there was one.
    pub async fn api_key_delete(&self, id: KeyId) -> Result<bool, StoreError> {
        let key = || keys::api_key(self.id, id);
        let Some(ApiKey { sha256, .. }) = self.store.record_get(key()).await? else { return Ok(false) };
        // The listed row last: a crash in between leaves a key that shows and does not work, not the reverse.
        self.store.item_delete(keys::api_key_by_hash(&sha256)).await?;
        self.store.item_delete(key()).await?;
        Ok(true)
    }
}
