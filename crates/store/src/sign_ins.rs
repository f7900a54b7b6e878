//! Browsers that are signed in, and secrets that count once: one-time links, and sign-ins under way at an identity provider.

use aws_sdk_dynamodb::types::ReturnValue;
use domain::{AccountId, Role, SignIn, SignInId, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::accounts::hash;
use crate::bots::put_action;
use crate::error::{StoreError, unavailable};
use crate::item::{expires, is_expired, record, row};
use crate::{AccountStore, Store, keys};

/// Found by a browser's secret.
#[derive(Serialize, Deserialize)]
struct Ticket {
    /// `None`: a person who is in no account yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
    sign_in: SignIn,
}

/// Listed in the account.
#[derive(Serialize, Deserialize)]
struct Listed {
    sha256: String,
    sign_in: SignIn,
}

/// What a one-time link lets in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeLink {
    pub account: AccountId,
    pub role: Role,
}

/// A sign-in that an identity provider is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInFlow {
    /// The secret of PKCE (RFC 7636), whose hash the provider has.
    pub verifier: String,
    /// What the ID token must repeat.
    pub nonce: String,
}

impl Store {
    /// The sign-in whose secret this is, and its account; a person may be signed in and in none.
    pub async fn sign_in_find(
        &self,
        secret: &str,
        now: Timestamp,
    ) -> Result<Option<(Option<AccountId>, SignIn)>, StoreError> {
        let Some(item) = self.item_get(keys::sign_in_by_hash(&hash(secret))).await? else { return Ok(None) };
        let Ticket { account, sign_in } = record(&item)?;
        Ok((sign_in.expires_at > now).then_some((account, sign_in)))
    }

    /// Stores the sign-in of a person who is in no account. It is in no list.
    pub async fn sign_in_create_outside(&self, secret: &str, sign_in: &SignIn) -> Result<(), StoreError> {
        let ticket = Ticket { account: None, sign_in: sign_in.clone() };
        self.item_put(expires(row(keys::sign_in_by_hash(&hash(secret)), &ticket)?, sign_in.expires_at)).await
    }

    /// Signs out a browser that is in no account.
    pub async fn sign_in_delete_outside(&self, secret: &str) -> Result<(), StoreError> {
        self.item_delete(keys::sign_in_by_hash(&hash(secret))).await
    }

    /// Takes what a one-time link lets in: the first who asks has it.
    pub async fn link_take(&self, secret: &str, now: Timestamp) -> Result<Option<OneTimeLink>, StoreError> {
        self.once_take(secret, now).await
    }

    /// Remembers a sign-in that goes on when the identity provider sends `state` back.
    pub async fn flow_put(&self, state: &str, flow: &SignInFlow, until: Timestamp) -> Result<(), StoreError> {
        self.once_put(state, flow, until).await
    }

    /// Takes a sign-in that was under way: the first who asks has it.
    pub async fn flow_take(&self, state: &str, now: Timestamp) -> Result<Option<SignInFlow>, StoreError> {
        self.once_take(state, now).await
    }

    async fn once_put<T: Serialize>(&self, secret: &str, what: &T, until: Timestamp) -> Result<(), StoreError> {
        self.item_put(expires(row(keys::once(&hash(secret)), what)?, until)).await
    }

    async fn once_take<T: DeserializeOwned>(&self, secret: &str, now: Timestamp) -> Result<Option<T>, StoreError> {
        let request = self
            .dynamo
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(keys::once(&hash(secret)).into_item()))
            .return_values(ReturnValue::AllOld);
        let output = request.send().await.map_err(|e| unavailable("delete a row", &e))?;
        output.attributes.filter(|item| !is_expired(item, now)).map(|item| record(&item)).transpose()
    }
}

impl AccountStore<'_> {
    /// Stores a sign-in. The secret itself is kept nowhere.
    pub async fn sign_in_create(&self, secret: &str, sign_in: &SignIn) -> Result<(), StoreError> {
        let sha256 = hash(secret);
        let ticket = Ticket { account: Some(self.id), sign_in: sign_in.clone() };
        let listed = Listed { sha256: sha256.clone(), sign_in: sign_in.clone() };
        let until = sign_in.expires_at;
        let ticket = expires(row(keys::sign_in_by_hash(&sha256), &ticket)?, until);
        let listed = expires(row(keys::sign_in(self.id, sign_in.id), &listed)?, until);
        let actions = vec![put_action(self.store.put_new(ticket)?), put_action(self.store.put_always(listed)?)];
        let taken = self.store.transact(actions).await?;
        taken.map_err(|_| StoreError::Conflict("the secret of the sign-in is taken"))
    }

    /// The browsers that are signed in, the oldest sign-in first.
    pub async fn sign_in_list(&self, now: Timestamp) -> Result<Vec<SignIn>, StoreError> {
        let items = self.store.items_by_prefix(&self.id.to_string(), keys::SIGN_IN_PREFIX).await?;
        let kept = items.iter().filter(|item| !is_expired(item, now));
        kept.map(|item| Ok(record::<Listed>(item)?.sign_in)).collect()
    }

    /// Signs a browser out. Returns whether it was signed in.
    pub async fn sign_in_delete(&self, id: SignInId) -> Result<bool, StoreError> {
        let key = || keys::sign_in(self.id, id);
        let Some(Listed { sha256, .. }) = self.store.record_get(key()).await? else { return Ok(false) };
        let actions = vec![self.store.delete_action(keys::sign_in_by_hash(&sha256))?, self.store.delete_action(key())?];
        let changed = || StoreError::Conflict("the sign-in changed meanwhile");
        self.store.transact(actions).await?.map_err(|_| changed())?;
        Ok(true)
    }

    /// Makes a link that lets one browser in, once.
    pub async fn link_offer(&self, secret: &str, role: Role, until: Timestamp) -> Result<(), StoreError> {
        self.store.once_put(secret, &OneTimeLink { account: self.id, role }, until).await
    }
}
