//! Who may talk to a bot: direct-message policy, allowlists, pairing, group mention gating.
//!
//! The words and defaults are OpenClaw's (`dmPolicy`, `allowFrom`, `groupPolicy`, …). Both doors, the
//! webhook function and the holder, ask [`AccessPolicy::check`] and nobody else.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::message::{Address, ChatKind, Sender};

/// Who may write to the bot in a direct chat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DmPolicy {
    /// A stranger gets a code, and is let in when the owner approves it.
    #[default]
    Pairing,
    /// Only who is in `allow_from` or was paired.
    Allowlist,
    /// Everybody.
    Open,
    /// Nobody.
    Disabled,
}

/// In which groups the bot listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupPolicy {
    /// Only groups that are listed in `groups`, and there only senders in `group_allow_from` if it is
    /// not empty.
    #[default]
    Allowlist,
    /// Every group.
    Open,
    /// None.
    Disabled,
}

/// What holds in one group, or in all others (`*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GroupRule {
    /// Answer only when mentioned or replied to.
    #[serde(alias = "requireMention")]
    pub require_mention: bool,
}

impl Default for GroupRule {
    fn default() -> GroupRule {
        GroupRule { require_mention: true }
    }
}

/// The access rules of one link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AccessPolicy {
    #[serde(alias = "dmPolicy")]
    pub dm_policy: DmPolicy,
    /// Sender ids (or `@handles`) of who owns the bot: they approve what its tools ask for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
    /// Sender ids (or `@handles`), `*` for everybody.
    #[serde(alias = "allowFrom", skip_serializing_if = "Vec::is_empty")]
    pub allow_from: Vec<String>,
    #[serde(alias = "groupPolicy")]
    pub group_policy: GroupPolicy,
    /// Sender ids that may speak to the bot in groups; empty: whoever is in the group.
    #[serde(alias = "groupAllowFrom", skip_serializing_if = "Vec::is_empty")]
    pub group_allow_from: Vec<String>,
    /// Rules by chat id; `*` stands for every other group.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, GroupRule>,
    /// Words that count as a mention, compared without case, beside the bot's own handle.
    #[serde(alias = "mentionPatterns", skip_serializing_if = "Vec::is_empty")]
    pub mention_patterns: Vec<String>,
}

/// What the door does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Allow,
    /// A stranger: send a pairing code, do not process the message.
    Pair,
    /// Drop it politely, for this reason.
    Ignore(&'static str),
}

impl AccessPolicy {
    /// Whether a sender owns the bot.
    pub fn is_owner(&self, sender: &Sender) -> bool {
        self.owners.iter().any(|owner| owner.trim() != "*" && names(owner, sender))
    }

    /// Decides about one message.
    ///
    /// `mentioned` says whether the channel marked the message as addressed to the bot (its handle,
    /// a reply to it, a command). `paired` says whether the owner has approved this sender.
    pub fn check(&self, address: &Address, sender: &Sender, text: &str, mentioned: bool, paired: bool) -> Access {
        match address.kind {
            ChatKind::Direct => self.check_direct(sender, paired),
            ChatKind::Group | ChatKind::Room => self.check_group(address, sender, text, mentioned),
        }
    }

    fn check_direct(&self, sender: &Sender, paired: bool) -> Access {
        let known = paired || lists(&self.allow_from, sender);
        match self.dm_policy {
            DmPolicy::Disabled => Access::Ignore("direct messages are disabled"),
            DmPolicy::Open => Access::Allow,
            _ if known => Access::Allow,
            DmPolicy::Pairing => Access::Pair,
            DmPolicy::Allowlist => Access::Ignore("the sender is not in the allowlist"),
        }
    }

    fn check_group(&self, address: &Address, sender: &Sender, text: &str, mentioned: bool) -> Access {
        let rule = self.groups.get(&address.chat).or_else(|| self.groups.get("*"));
        match self.group_policy {
            GroupPolicy::Disabled => return Access::Ignore("groups are disabled"),
            GroupPolicy::Allowlist if rule.is_none() => return Access::Ignore("the group is not in the allowlist"),
            GroupPolicy::Allowlist | GroupPolicy::Open => {}
        }
        if !self.group_allow_from.is_empty() && !lists(&self.group_allow_from, sender) {
            return Access::Ignore("the sender is not in the group allowlist");
        }
        let must_mention = rule.copied().unwrap_or_default().require_mention;
        if must_mention && !mentioned && !self.mentions(text) {
            return Access::Ignore("the bot was not mentioned");
        }
        Access::Allow
    }

    fn mentions(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.mention_patterns.iter().filter(|p| !p.trim().is_empty()).any(|p| text.contains(&p.trim().to_lowercase()))
    }
}

fn lists(list: &[String], sender: &Sender) -> bool {
    list.iter().any(|entry| names(entry, sender))
}

fn names(entry: &str, sender: &Sender) -> bool {
    let entry = entry.trim();
    entry == "*"
        || entry == sender.id
        || sender
            .username
            .as_deref()
            .is_some_and(|handle| entry.strip_prefix('@').is_some_and(|listed| listed.eq_ignore_ascii_case(handle)))
}

/// Letters of a pairing code: upper case and digits without `0 O 1 I`, which people confuse.
const CODE_LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// The 8-letter code that a stranger gets, from 40 random bits.
pub fn pairing_code(random: u64) -> String {
    (0..8).map(|i| char::from(CODE_LETTERS[(random >> (i * 5) & 31) as usize])).collect()
}

/// How long a pairing code may be approved, in seconds (OpenClaw: one hour).
pub const PAIRING_TTL_SECS: u64 = 3600;

/// How many codes may wait for approval on one link (OpenClaw: three).
pub const PAIRING_MAX_PENDING: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn direct() -> Address {
        Address { kind: ChatKind::Direct, chat: "5".into(), thread: None, reply_to: None }
    }

    fn group(chat: &str) -> Address {
        Address { kind: ChatKind::Group, chat: chat.into(), thread: None, reply_to: None }
    }

    fn ada() -> Sender {
        Sender { id: "5".into(), name: Some("Ada".into()), username: Some("ada_l".into()) }
    }

    #[test]
    fn direct_messages_follow_the_policy() {
        let policy = |dm_policy, allow: &[&str]| AccessPolicy {
            dm_policy,
            allow_from: allow.iter().map(|s| (*s).to_owned()).collect(),
            ..AccessPolicy::default()
        };
        let check = |p: &AccessPolicy, paired| p.check(&direct(), &ada(), "hi", false, paired);
        assert_eq!(check(&policy(DmPolicy::Open, &[]), false), Access::Allow);
        assert_eq!(check(&policy(DmPolicy::Pairing, &[]), false), Access::Pair);
        assert_eq!(check(&policy(DmPolicy::Pairing, &[]), true), Access::Allow);
        assert_eq!(check(&policy(DmPolicy::Pairing, &["5"]), false), Access::Allow);
        assert_eq!(check(&policy(DmPolicy::Allowlist, &["@Ada_L"]), false), Access::Allow);
        assert!(
            matches!(check(&policy(DmPolicy::Allowlist, &["ada_l"]), false), Access::Ignore(_)),
            "an id is not a handle"
        );
        assert!(matches!(check(&policy(DmPolicy::Disabled, &["*"]), true), Access::Ignore(_)));
    }

    #[test]
    fn an_owner_is_named() {
        let owned = |owners: &[&str]| {
            let owners = owners.iter().map(|owner| (*owner).to_owned()).collect();
            AccessPolicy { owners, ..AccessPolicy::default() }.is_owner(&ada())
        };
        assert!(owned(&["5"]) && owned(&["6", "@Ada_L"]));
        assert!(!owned(&[]) && !owned(&["*"]) && !owned(&["6", "*"]), "nobody owns a bot as one of all");
    }

    #[test]
    fn groups_need_to_be_listed_and_the_bot_to_be_mentioned() {
        let closed = AccessPolicy::default();
        assert!(matches!(closed.check(&group("-1"), &ada(), "hi", true, false), Access::Ignore(_)));

        let mut listed = AccessPolicy { mention_patterns: vec!["Tidy".into()], ..AccessPolicy::default() };
        listed.groups.insert("-1".into(), GroupRule::default());
        assert_eq!(listed.check(&group("-1"), &ada(), "hi", true, false), Access::Allow);
        assert_eq!(listed.check(&group("-1"), &ada(), "hey tidy, hi", false, false), Access::Allow);
        assert!(matches!(listed.check(&group("-1"), &ada(), "hi", false, false), Access::Ignore(_)));
        assert!(matches!(listed.check(&group("-2"), &ada(), "hi", true, false), Access::Ignore(_)));

        listed.groups.insert("*".into(), GroupRule { require_mention: false });
        assert_eq!(listed.check(&group("-2"), &ada(), "hi", false, false), Access::Allow);
        listed.group_allow_from = vec!["6".into()];
        assert!(matches!(listed.check(&group("-2"), &ada(), "hi", true, false), Access::Ignore(_)));
    }

    #[test]
    fn a_code_has_eight_letters_that_nobody_confuses() {
        for random in [0, u64::MAX, 0x1234_5678_9abc_def0] {
            let code = pairing_code(random);
            assert_eq!(code.len(), 8);
            assert!(!code.contains(['0', 'O', '1', 'I']), "{code}");
        }
    }
}
