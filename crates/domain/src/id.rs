//! Prefixed, time-sortable ids: `bot_01J…`, a ULID behind a prefix that says what it names.
//!
//! Ids of one kind sort by the time of their making, which is how lists come out newest last
//! without a second index. They are made from parts ([`BotId::from_parts`]): this crate has no clock.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::Timestamp;

/// A text that is not an id of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind} id: it should look like `{prefix}01J9Z3…` ({prefix} and 26 letters or digits)")]
pub struct ParseIdError {
    text: String,
    kind: &'static str,
    prefix: &'static str,
}

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(extend("pattern" = concat!("^", $prefix, "[0-7][0-9A-HJKMNP-TV-Z]{25}$")))]
        pub struct $name(Ulid);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            /// Makes an id from the time and 80 random bits (the upper bits of `random` are dropped).
            pub fn from_parts(at: Timestamp, random: u128) -> Self {
                Self(Ulid::from_parts(at.as_millis(), random))
            }

            /// When the id was made.
            pub fn made_at(self) -> Timestamp {
                Timestamp::from_millis(self.0.timestamp_ms())
            }

            /// The random bits that the id was made from.
            pub fn random(self) -> u128 {
                self.0.random()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.strip_prefix($prefix)
                    .filter(|rest| rest.len() == 26)
                    .and_then(|rest| Ulid::from_string(rest).ok())
                    .map(Self)
                    .ok_or_else(|| ParseIdError {
                        text: text.chars().take(64).collect(),
                        kind: $kind,
                        prefix: $prefix,
                    })
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, ParseIdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

prefixed_id!(/** Who owns bots and is billed for them. */ AccountId, "acct_", "account");
prefixed_id!(/** One named bot. */ BotId, "bot_", "bot");
prefixed_id!(/** One bot's login on one channel. */ LinkId, "link_", "link");
prefixed_id!(/** One run of the agent over a session. */ TurnId, "turn_", "turn");
prefixed_id!(/** One line of a session's log. */ EntryId, "ent_", "entry");
prefixed_id!(/** An API key (its public half; the secret is only stored hashed). */ KeyId, "key_", "API key");
prefixed_id!(/** A person who signs in. */ UserId, "user_", "user");
prefixed_id!(/** A browser that is signed in. */ SignInId, "sign_", "sign-in");
prefixed_id!(/** A task that failed for good. */ DeadLetterId, "dead_", "dead letter");
prefixed_id!(/** A process that holds connections. */ HolderId, "holder_", "holder");
prefixed_id!(/** Something that a bot does at its time. */ JobId, "job_", "job");

/// Names one message that a person sent, by what the channel calls it.
///
/// The same message always gets the same id, however often the channel repeats it: this is what
/// makes an accepted message be answered once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct MessageId(String);

impl AccountId {
    /// The account that a person gets of their own. It follows from who they are, so that signing up twice at once makes one.
    pub fn own_of(user: UserId) -> AccountId {
        AccountId::from_parts(user.made_at(), user.random())
    }
}

impl LinkId {
    /// The link of a bot's web chat. Every bot has this one without a record of it, so its id follows from the bot's.
    pub fn web_chat_of(bot: BotId) -> LinkId {
        let digest = Sha256::digest(format!("webchat/{bot}"));
        let random = digest.iter().take(16).fold(0u128, |acc, byte| acc << 8 | u128::from(*byte));
        LinkId::from_parts(bot.made_at(), random)
    }
}

impl JobId {
    /// The run that a system asks for at a link under a key of its own, however often it asks.
    pub fn of_hook(link: LinkId, key: &str) -> JobId {
        let digest = Sha256::digest(format!("hook/{link}/{key}"));
        let random = digest.iter().take(16).fold(0u128, |acc, byte| acc << 8 | u128::from(*byte));
        JobId::from_parts(link.made_at(), random)
    }
}

impl MessageId {
    pub const PREFIX: &'static str = "msg_";

    /// The id of the message that `channel_message_id` names on `link`.
    pub fn of(link: LinkId, channel_message_id: &str) -> MessageId {
        let mut hash = Sha256::new();
        hash.update(link.to_string());
        hash.update([0]);
        hash.update(channel_message_id);
        let digest = hash.finalize();
        let random = digest.iter().take(16).fold(0u128, |acc, byte| acc << 8 | u128::from(*byte));
        MessageId(format!("{}{}", Self::PREFIX, Ulid(random)))
    }

    /// The id of the message that begins a run of a job, however often it is sent.
    pub fn of_run(job: JobId, scheduled: Timestamp) -> MessageId {
        let digest = Sha256::digest(format!("{job}/{scheduled}"));
        let random = digest.iter().take(16).fold(0u128, |acc, byte| acc << 8 | u128::from(*byte));
        MessageId(format!("{}{}", Self::PREFIX, Ulid(random)))
    }

    /// The id under which the same message is asked again, after its turn failed: `msg_….1`, `msg_….2`, …
    pub fn asked_again(&self) -> MessageId {
        let times = self.0.split_once('.').and_then(|(_, times)| times.parse::<u32>().ok()).unwrap_or(0);
        MessageId(format!("{}.{}", self.original(), times.saturating_add(1)))
    }

    /// The id that the message came with, however often it was asked again.
    pub fn original(&self) -> &str {
        self.0.split_once('.').map_or(&self.0, |(original, _)| original)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_round_trip() {
        let early = BotId::from_parts(Timestamp::from_millis(1_000), u128::MAX);
        let late = BotId::from_parts(Timestamp::from_millis(1_001), 0);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(late.to_string().parse(), Ok(late));
        assert_eq!(late.made_at(), Timestamp::from_millis(1_001));
    }

    #[test]
    fn an_id_of_another_kind_is_refused_with_what_to_write() {
        let link = LinkId::from_parts(Timestamp::from_millis(1), 1).to_string();
        let error = link.parse::<BotId>().expect_err("a link is not a bot").to_string();
        assert!(error.contains("not a bot id") && error.contains("bot_"), "{error}");
        assert!("bot_".parse::<BotId>().is_err());
        assert!("bot_ééééééééééééé".parse::<BotId>().is_err());
    }

    #[test]
    fn a_message_keeps_its_id_and_shares_it_with_no_other_link() {
        let one = LinkId::from_parts(Timestamp::from_millis(1), 1);
        let two = LinkId::from_parts(Timestamp::from_millis(1), 2);
        assert_eq!(MessageId::of(one, "5:7"), MessageId::of(one, "5:7"));
        assert_ne!(MessageId::of(one, "5:7"), MessageId::of(one, "5:8"));
        assert_ne!(MessageId::of(one, "5:7"), MessageId::of(two, "5:7"));
        let again = MessageId::of(one, "5:7").asked_again().asked_again();
        assert!(again.as_str().ends_with(".2") && again.original() == MessageId::of(one, "5:7").as_str());
    }
}
