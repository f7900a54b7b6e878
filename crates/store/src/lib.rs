//! All state of Lowtide: one DynamoDB table, one S3 bucket, and the encryption of credentials.
//!
//! Every read and write starts from an account, [`Store::account`]: there is no key of a bot, link or
//! session without one ([`keys`] lists them all). The few rows that are looked up before the account is
//! known, webhook routes and API keys, only say which account to go on with ([`Store::route_get`],
//! [`Store::api_key_find`]).

pub mod keys;
pub mod schema;

mod accounts;
mod albums;
mod approvals;
mod audit;
mod bots;
mod children;
mod dead_letters;
mod drafts;
mod due;
mod error;
mod glance;
mod item;
mod jobs;
mod links;
mod log;
mod media;
mod members;
mod notices;
mod objects;
mod outbox;
mod pages;
mod posts;
mod rates;
mod reads;
mod requests;
mod seal;
mod secrets;
mod segments;
mod sessions;
mod sign_ins;
mod slots;
mod spending;
mod threads;
mod usage;
mod workspace;

pub use accounts::{ApiKey, KeyOwner};
pub use approvals::Approval;
pub use audit::{AUDIT_TTL, Actor, AuditLine};
pub use bots::Precondition;
pub use children::CHILD_TTL;
pub use dead_letters::{DEAD_LETTER_TTL, DeadLetter, DeadLetterStatus};
pub use drafts::{DRAFT_TTL, Draft};
pub use error::StoreError;
pub use glance::{BotGlance, Heard, LinkGlance};
pub use jobs::{JobsDue, JobsPage};
pub use links::{Pairing, Route};
pub use members::KnownUser;
pub use notices::{NOTICE_TTL, Notice};
pub use objects::{Object, ObjectInfo, Precondition as ObjectPrecondition};
pub use outbox::{Delivery, DeliveryStatus, OUTBOX_TTL, OVERDUE_AFTER};
pub use pages::{MAX_PLACE, Page, PageRange};
pub use posts::Post;
pub use requests::{REQUEST_LEASE, REQUEST_TTL, RequestLease, RequestName, RequestState};
pub use secrets::{BotSecret, Keyring, SecretContext};
pub use segments::SEGMENT;
pub use sessions::{Commit, LoggedEntries, MARK_TTL, SessionState, SessionSummary};
pub use sign_ins::{OneTimeLink, SignInFlow};
pub use slots::{HeldLink, SlotChanges, SlotLease, SlotLink, SlotTable, slots};
pub use spending::{Allowance, Spending, Spent};
pub use threads::{THREAD_TTL, Thread};
pub use usage::{USAGE_TTL, Used, usage_share};

use domain::AccountId;

use crate::reads::ReadsTogether;

/// How much of a session's log is where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSizes {
    /// How many commits a turn reads back at most. A context is compacted before it is longer than this.
    pub tail: i32,
    /// How many entries a segment in S3 holds.
    pub segment: u64,
    /// How many entries stay in rows at least.
    pub keep: u64,
}

impl Default for LogSizes {
    fn default() -> LogSizes {
        LogSizes { tail: 250, segment: SEGMENT, keep: 1024 }
    }
}

/// The way to all state. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) dynamo: aws_sdk_dynamodb::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) table: String,
    pub(crate) bucket: String,
    pub(crate) sizes: LogSizes,
    /// Where rows are read together that are read at the same time.
    pub(crate) reads: Option<ReadsTogether>,
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
        Store { dynamo, s3, table, bucket, sizes: LogSizes::default(), reads: None, keyring }
    }

    /// The same store with other sizes: for tests, whose logs are short. All that share a bucket must agree on them.
    #[must_use]
    pub fn with_log_sizes(self, sizes: LogSizes) -> Store {
        Store { sizes, ..self }
    }

    /// The same store, for a process in which very many read single rows at the same time: they are read by the hundred, over
    /// a few connections. Must be used within a Tokio runtime.
    #[must_use]
    pub fn with_reads_together(mut self) -> Store {
        self.reads = Some(ReadsTogether::start(&self));
        self
    }

    pub fn log_sizes(&self) -> LogSizes {
        self.sizes
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
