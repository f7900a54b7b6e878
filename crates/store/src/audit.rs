//! The audit log: who changed what in an account.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use domain::{KeyId, Member, SignInId, Timestamp, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::accounts::ApiKey;
use crate::error::StoreError;
use crate::item::{expires, record, row};
use crate::pages::Order;
use crate::{AccountStore, Page, PageRange, keys};

/// How long a line of the audit log is kept.
pub const AUDIT_TTL: Duration = Duration::from_secs(400 * 24 * 3600);

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Actor {
    /// A program, with an API key, or a browser that was let in with one.
    Key {
        /// Which.
        id: KeyId,
    },
    /// A person.
    User {
        /// Which.
        id: UserId,
    },
    /// A browser that was let in with a one-time link.
    Browser {
        /// Which.
        id: SignInId,
    },
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    pub at: Timestamp,
    pub actor: Actor,
    /// The method and the path as they were asked for: `DELETE /v1/bots/heron`.
    pub action: String,
    /// The fields of the request, as `budget` or `model.api_key`; never what they say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// The status of the answer.
    pub status: u16,
}

impl AccountStore<'_> {
    /// Writes a line; `random` keeps lines of one millisecond apart.
    pub async fn audit_put(&self, line: &AuditLine, random: u128) -> Result<(), StoreError> {
        let item = row(keys::audit(self.id, line.at, random), line)?;
        self.store.item_put(expires(item, line.at + AUDIT_TTL)).await
    }

    /// Lines, the newest first. Costs one query.
    pub async fn audit_page(&self, range: &PageRange) -> Result<Page<AuditLine>, StoreError> {
        self.page(keys::AUDIT_PREFIX, Order::Backward, range).await?.try_map(|item| record(&item))
    }

    /// What the keys and the members among these are called, up to 100 of them; who is gone has no name any more. Costs one
    /// read of many rows.
    pub async fn actor_names(&self, actors: &HashSet<Actor>) -> Result<HashMap<Actor, String>, StoreError> {
        let key = |actor: &Actor| match *actor {
            Actor::Key { id } => Some(keys::api_key(self.id, id)),
            Actor::User { id } => Some(keys::member(self.id, id)),
            Actor::Browser { .. } => None,
        };
        let rows = self.store.items_get(actors.iter().filter_map(key)).await?;
        let mut names = HashMap::new();
        for actor in actors {
            let Some(item) = key(actor).and_then(|key| rows.get(&key)) else { continue };
            let name = match actor {
                Actor::User { .. } => record::<Member>(item)?.person.name,
                _ => record::<ApiKey>(item)?.name,
            };
            names.insert(*actor, name);
        }
        Ok(names)
    }
}
