//! When two names are one: networks differ in which letters they hold for the same.

/// A network's `CASEMAPPING`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Casemapping {
    Ascii,
    /// What is meant where a network does not say: `[]\~` are the capitals of `{}|^`.
    #[default]
    Rfc1459,
    Rfc1459Strict,
}

impl Casemapping {
    /// By its name in `RPL_ISUPPORT`; names that are not known are taken for the ASCII that they extend.
    pub(super) fn of(name: &str) -> Casemapping {
        match name {
            "rfc1459" => Casemapping::Rfc1459,
            "rfc1459-strict" | "strict-rfc1459" => Casemapping::Rfc1459Strict,
            _ => Casemapping::Ascii,
        }
    }

    /// A name in small letters.
    pub(super) fn fold(self, name: &str) -> String {
        let letter = |c: char| match (self, c) {
            (Casemapping::Ascii, _) => c.to_ascii_lowercase(),
            (_, '[') => '{',
            (_, ']') => '}',
            (_, '\\') => '|',
            (Casemapping::Rfc1459, '~') => '^',
            _ => c.to_ascii_lowercase(),
        };
        name.chars().map(letter).collect()
    }

    pub(super) fn same(self, one: &str, other: &str) -> bool {
        self.fold(one) == self.fold(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_by_the_networks_own_rule() {
        assert!(Casemapping::Rfc1459.same("Heron[~]", "heron{^}"));
        assert!(!Casemapping::Rfc1459Strict.same("heron~", "heron^"));
        assert!(Casemapping::of("rfc1459-strict").same("HERON\\", "heron|"));
        assert!(!Casemapping::of("ascii").same("heron[", "heron{"));
        assert_eq!(Casemapping::of("rfc8265"), Casemapping::Ascii);
    }
}
