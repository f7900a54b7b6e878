//! Requests that may be sent again: who began one is noted before it is worked on, and its answer afterwards.
//!
//! A row stands for a caller and the key that they gave the request (`Idempotency-Key`). It holds a hash of the request, and the
//! answer under encryption, since an answer may hold a secret that is shown once.

use std::time::Duration;

use domain::{Sealed, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::{StoreError, unavailable};
use crate::item::{Item, expires, number, record, row, text};
use crate::keys::Key;
use crate::{AccountStore, keys};

/// How long an answer is kept.
pub const REQUEST_TTL: Duration = Duration::from_secs(24 * 3600);

/// How long a request is taken to be under way: longer than a function may run.
pub const REQUEST_LEASE: Duration = Duration::from_secs(60);

/// How often a look at a row is tried that changes meanwhile.
const ATTEMPTS: u32 = 5;

const HASH: &str = "hash";
const HOLDER: &str = "holder";
const RUNS_UNTIL: &str = "runs_until";
const KEPT_UNTIL: &str = "kept_until";

/// A request of a caller, by the key that they gave it.
#[derive(Clone, Copy, Debug)]
pub struct RequestName<'a> {
    /// The id of the API key, person or browser.
    pub caller: &'a str,
    pub key: &'a str,
}

/// The right to work on a request, until its lease ends or it is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLease {
    row: Key,
    holder: String,
    hash: String,
    began: Timestamp,
}

/// What is known of a request that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// It is to be worked on, and settled with this.
    New(RequestLease),
    /// Somebody works on it, at most until then.
    UnderWay(Timestamp),
    /// It was answered.
    Answered(Sealed),
    /// The key was given to a request that is another one.
    Other,
}

#[derive(Serialize, Deserialize)]
struct Noted {
    hash: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runs_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Sealed>,
}

impl RequestLease {
    /// The hash of the request.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    fn item(&self, noted: &Noted) -> Result<Item, StoreError> {
        let kept_until = self.began + REQUEST_TTL;
        let mut item = expires(row(self.row.clone(), noted)?, kept_until);
        item.insert(HASH.to_owned(), text(&self.hash));
        item.insert(HOLDER.to_owned(), text(&self.holder));
        item.insert(KEPT_UNTIL.to_owned(), number(kept_until.as_millis()));
        if let Some(until) = noted.runs_until {
            item.insert(RUNS_UNTIL.to_owned(), number(until.as_millis()));
        }
        Ok(item)
    }
}

impl AccountStore<'_> {
    /// Begins a request whose content has this hash. Of several at once one begins; `holder` tells them apart. One that was begun
    /// and not settled when its lease ended begins again: what it did by then is not known.
    pub async fn request_begin(
        &self,
        name: RequestName<'_>,
        hash: &str,
        holder: String,
        now: Timestamp,
    ) -> Result<RequestState, StoreError> {
        let row = keys::request(self.id, name.caller, name.key);
        let lease = RequestLease { row: row.clone(), holder, hash: hash.to_owned(), began: now };
        let noted = Noted { hash: hash.to_owned(), runs_until: Some(now + REQUEST_LEASE), answer: None };
        for _ in 0..ATTEMPTS {
            if self.request_take(lease.item(&noted)?, hash, now).await? {
                return Ok(RequestState::New(lease));
            }
            // It is gone again where its first attempt was refused just now.
            let Some(item) = self.store.item_get(row.clone()).await? else { continue };
            let found: Noted = record(&item)?;
            match found {
                Noted { hash: other, .. } if other != hash => return Ok(RequestState::Other),
                Noted { answer: Some(answer), .. } => return Ok(RequestState::Answered(answer)),
                Noted { runs_until: Some(until), .. } if until > now => return Ok(RequestState::UnderWay(until)),
                Noted { .. } => {}
            }
        }
        Err(StoreError::Conflict("the same request is sent by many at once"))
    }

    /// Writes the row of a request that begins, unless it is known. Whether it was written.
    async fn request_take(&self, item: Item, hash: &str, now: Timestamp) -> Result<bool, StoreError> {
        let request = self
            .store
            .dynamo
            .put_item()
            .table_name(&self.store.table)
            .set_item(Some(item))
            .condition_expression(
                "attribute_not_exists(pk) OR #kept_until <= :now OR (#runs_until <= :now AND #hash = :hash)",
            )
            .expression_attribute_names("#kept_until", KEPT_UNTIL)
            .expression_attribute_names("#runs_until", RUNS_UNTIL)
            .expression_attribute_names("#hash", HASH)
            .expression_attribute_values(":now", number(now.as_millis()))
            .expression_attribute_values(":hash", text(hash));
        match request.send().await {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(false),
            Err(e) => Err(unavailable("note a request", &e)),
        }
    }

    /// Notes the answer of a request. Whether it was noted: not if somebody else works on it since the lease ended.
    pub async fn request_answer(&self, lease: &RequestLease, answer: Sealed) -> Result<bool, StoreError> {
        let noted = Noted { hash: lease.hash.clone(), runs_until: None, answer: Some(answer) };
        let request = self
            .store
            .dynamo
            .put_item()
            .table_name(&self.store.table)
            .set_item(Some(lease.item(&noted)?))
            .condition_expression("#holder = :holder")
            .expression_attribute_names("#holder", HOLDER)
            .expression_attribute_values(":holder", text(&lease.holder));
        match request.send().await {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(false),
            Err(e) => Err(unavailable("note an answer", &e)),
        }
    }

    /// Forgets a request that was not done, so that it may begin again at once.
    pub async fn request_forget(&self, lease: &RequestLease) -> Result<(), StoreError> {
        let request = self
            .store
            .dynamo
            .delete_item()
            .table_name(&self.store.table)
            .set_key(Some(lease.row.clone().into_item()))
            .condition_expression("#holder = :holder")
            .expression_attribute_names("#holder", HOLDER)
            .expression_attribute_values(":holder", text(&lease.holder));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(()),
            Err(e) => Err(unavailable("forget a request", &e)),
        }
    }
}
