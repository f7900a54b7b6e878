//! What a caller may do: each route names one scope, and a key or a sign-in has some.

use std::fmt;
use std::str::FromStr;

use domain::Role;

/// What a route needs. The names are the ones that keys are made with and that answers and the API's document tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// See the account, and notices to its owner.
    AccountRead,
    /// Change the account's budget, and remove notices.
    AccountWrite,
    /// See bots with their links, files and schedules.
    BotsRead,
    /// Make, change and delete bots with their links, files and schedules; replay dead letters.
    BotsWrite,
    /// Read what people and bots said: sessions, pairings, dead letters.
    SessionsRead,
    /// Talk to bots, and read the answers.
    Chat,
    /// See what bots ask their owner for, and decide.
    Approve,
    /// See what was spent.
    UsageRead,
    /// Make and revoke API keys.
    KeysWrite,
    /// See and change who belongs to the account, and see what they did.
    Admin,
}

impl Scope {
    /// All there are.
    pub const ALL: [Scope; 10] = [
        Scope::AccountRead,
        Scope::AccountWrite,
        Scope::BotsRead,
        Scope::BotsWrite,
        Scope::SessionsRead,
        Scope::Chat,
        Scope::Approve,
        Scope::UsageRead,
        Scope::KeysWrite,
        Scope::Admin,
    ];

    /// As it is written: `bots:read`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::AccountRead => "account:read",
            Scope::AccountWrite => "account:write",
            Scope::BotsRead => "bots:read",
            Scope::BotsWrite => "bots:write",
            Scope::SessionsRead => "sessions:read",
            Scope::Chat => "chat",
            Scope::Approve => "approve",
            Scope::UsageRead => "usage:read",
            Scope::KeysWrite => "keys:write",
            Scope::Admin => "admin",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownScope(String);

impl fmt::Display for UnknownScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a scope; there are: {}", self.0, Scope::ALL.map(Scope::as_str).join(", "))
    }
}

impl std::error::Error for UnknownScope {}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Scope, UnknownScope> {
        let found = Scope::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| UnknownScope(text.chars().take(40).collect()))
    }
}

/// The scopes of a caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u16);

impl Scopes {
    /// Everything: an owner, and a key that was made without scopes.
    pub const ALL: Scopes = Scopes::of(&Scope::ALL);
    /// Who runs the bots, and neither gives out keys nor says who belongs to the account.
    pub const OPERATOR: Scopes = Scopes::of(&[
        Scope::AccountRead,
        Scope::AccountWrite,
        Scope::BotsRead,
        Scope::BotsWrite,
        Scope::SessionsRead,
        Scope::Chat,
        Scope::Approve,
        Scope::UsageRead,
    ]);
    /// Who looks on.
    pub const VIEWER: Scopes =
        Scopes::of(&[Scope::AccountRead, Scope::BotsRead, Scope::SessionsRead, Scope::UsageRead]);

    /// These scopes and no others.
    pub const fn of(scopes: &[Scope]) -> Scopes {
        let mut bits = 0;
        let mut index = 0;
        while index < scopes.len() {
            bits |= scopes[index].bit();
            index += 1;
        }
        Scopes(bits)
    }

    /// The scopes that are stored with a key: all where none are. A name that this build does not know allows nothing.
    pub fn of_key(stored: Option<&[String]>) -> Scopes {
        match stored {
            None => Scopes::ALL,
            Some(names) => names.iter().filter_map(|name| name.parse().ok()).collect(),
        }
    }

    /// Whether this one is among them.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether all of `other` are among them.
    pub const fn include(self, other: Scopes) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Scopes) -> Scopes {
        Scopes(self.0 & other.0)
    }

    /// Each of them, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl From<Role> for Scopes {
    fn from(role: Role) -> Scopes {
        match role {
            Role::Owner => Scopes::ALL,
            Role::Operator => Scopes::OPERATOR,
            Role::Viewer => Scopes::VIEWER,
        }
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Scopes {
        Scopes(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_read_as_it_is_written() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert_eq!(Scopes::of(&[scope]).iter().collect::<Vec<_>>(), [scope]);
        }
        assert!("bots".parse::<Scope>().unwrap_err().to_string().contains("bots:read"));
    }

    #[test]
    fn a_key_without_scopes_has_all_and_one_with_none_has_none() {
        assert_eq!(Scopes::of_key(None), Scopes::ALL);
        assert_eq!(Scopes::of_key(Some(&[])), Scopes::default());
        let known = Scopes::of_key(Some(&["chat".to_owned(), "of:tomorrow".to_owned()]));
        assert!(known.contains(Scope::Chat) && known.iter().count() == 1);
    }

    #[test]
    fn a_role_has_what_the_lesser_role_has() {
        assert_eq!(Scopes::VIEWER.and(Scopes::OPERATOR), Scopes::VIEWER);
        assert_eq!(Scopes::OPERATOR.and(Scopes::ALL), Scopes::OPERATOR);
        assert!(!Scopes::OPERATOR.contains(Scope::KeysWrite) && !Scopes::VIEWER.contains(Scope::Chat));
    }
}
