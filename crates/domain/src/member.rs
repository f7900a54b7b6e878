//! People: who may do what in an account.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{KeyId, SignInId, Timestamp, UserId};

/// The longest name and the longest e-mail address that are kept, in characters.
pub const MAX_PERSON: usize = 200;

/// What a member of an account may do there. Each may do what those below may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks at everything but credentials, and changes nothing.
    Viewer,
    /// Makes, changes and talks to bots.
    Operator,
    /// Decides about members, keys and budgets, too.
    Owner,
}

/// Somebody who signs in, as their identity provider calls them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub name: String,
    /// In lower case, and confirmed by the identity provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// A person in an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub user: UserId,
    pub role: Role,
    #[serde(flatten)]
    pub person: Person,
    pub joined_at: Timestamp,
}

/// A place in an account that is kept for whoever signs in with an e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// In lower case.
    pub email: String,
    pub role: Role,
    pub invited_at: Timestamp,
    pub expires_at: Timestamp,
}

/// As whom a browser is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum SignedInAs {
    /// A person, with the role that they have as a member at the time.
    User {
        /// Which.
        id: UserId,
    },
    /// Whoever has this key, with its scopes.
    Key {
        /// Which.
        id: KeyId,
    },
    /// Whoever had a one-time link.
    Link {
        /// What the link allows.
        role: Role,
    },
}

/// A browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    pub id: SignInId,
    pub who: SignedInAs,
    /// What the browser calls itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// An e-mail address as it is compared. `None`: the text is none.
pub fn email(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let (local, domain) = text.rsplit_once('@')?;
    let fits = !local.is_empty() && domain.contains('.') && text.chars().count() <= MAX_PERSON;
    let is_clean = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    (fits && is_clean && !domain.starts_with('.') && !domain.ends_with('.')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_in_order() {
        assert!(Role::Owner > Role::Operator && Role::Operator > Role::Viewer);
    }

    #[test]
    fn addresses_are_compared_in_lower_case() {
        assert_eq!(email(" Ada@Example.org "), Some("ada@example.org".to_owned()));
        for bad in ["", "ada", "@example.org", "ada@", "ada@localhost", "a da@example.org", "ada@example.", "ada@.org"]
        {
            assert_eq!(email(bad), None, "{bad}");
        }
        assert_eq!(email(&format!("{}@example.org", "a".repeat(MAX_PERSON))), None);
    }
}
