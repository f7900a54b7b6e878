//! All state of Lowtide: one DynamoDB table, one S3 bucket, and the encryption of credentials.
//!
//! Every read and write starts from an account, [`Store::account`]: there is no key of a bot, link or
//! session without one ([`keys`] lists them all). The few rows that are looked up before the account is
//! known, webhook routes and API keys, only say which account to go on with ([`Store::route_get`],
//! [`Store::api_key_find`]).

pub mod keys;
pub mod schema;

mod accounts;
mod bots;
mod dead_letters;
mod error;
mod item;
mod links;
mod outbox;
mod secrets;
mod sessions;
mod workspace;

pub use accounts::{ApiKey, KeyOwner};
pub use bots::Precondition;
pub use dead_letters::{DEAD_LETTER_TTL, DeadLetter, DeadLetterStatus};
pub use error::StoreError;
pub use links::{Pairing, Route};
pub use outbox::{Delivery, DeliveryStatus, OUTBOX_TTL, OVERDUE_AFTER};
pub use secrets::{Keyring, SecretContext};
pub use sessions::{Commit, LoggedEntries, MARK_TTL, SessionState, SessionSummary};

use domain::AccountId;

/// The way to all state. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) dynamo: aws_sdk_dynamodb::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) table: String,
    pub(crate) bucket: String,
    keyring: Keyring,
}

impl Store {
    /// `table` and `bucket` exist already, or [`Store::create_missing`] makes them.
    pub fn new(
        dynamo: aws_sdk_dynamodb::Client,
        s3: aws_sdk_s3::Client,
        table: String,
        bucket: String,
        keyring: Keyring,
    ) -> Store {
        Store { dynamo, s3, table, bucket, keyring }
    }

    /// The state of one account.
    pub fn account(&self, id: AccountId) -> AccountStore<'_> {
        AccountStore { store: self, id }
    }

    /// Seals and opens credentials.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }
}

/// The state of one account: nothing that is reached from here belongs to another.
#[derive(Clone, Copy)]
pub struct AccountStore<'a> {
    pub(crate) store: &'a Store,
    pub(crate) id: AccountId,
}

impl AccountStore<'_> {
    pub fn id(&self) -> AccountId {
        self.id
    }
}
