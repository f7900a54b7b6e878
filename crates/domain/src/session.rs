//! Session keys: which conversation a message belongs to, in OpenClaw's words.
//!
//! | chat | scope | key |
//! | --- | --- | --- |
//! | direct | `main` | `agent:main:main` |
//! | direct | `per-peer` | `agent:main:direct:555` |
//! | direct | `per-channel-peer` | `agent:main:telegram:direct:555` |
//! | direct | `per-account-channel-peer` | `agent:main:telegram:<link>:direct:555` |
//! | group | any | `agent:main:telegram:group:-100[:topic:7]` |
//! | room | any | `agent:main:slack:channel:c1[:thread:9]` |
//! | a program that speaks as with OpenAI, by its `user` | | `agent:main:openai-user:ann` |
//! | the same without one, per conversation | | `agent:main:openai:01J…` |
//! | work that a session gave away | | `agent:main:subagent:01J…` |

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::message::{Channel, ChatKind};
use crate::{Inbound, LinkId, TurnId};

/// The longest key that is taken, in bytes: it is part of a DynamoDB partition key and of an SQS
/// message group.
pub const MAX_SESSION_KEY: usize = 512;

/// The kinds of sessions that nobody writes in.
const SUBAGENT: &str = "subagent";
const CRON: &str = "cron";

/// How long the session of one run of a job is kept.
pub const RUN_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// How a bot's direct chats share sessions (OpenClaw's `session.dmScope`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionScope {
    /// All direct chats of the bot are one conversation.
    #[default]
    Main,
    /// One conversation per person, whatever the channel.
    PerPeer,
    /// One per person and channel.
    PerChannelPeer,
    /// One per person, channel and link.
    PerAccountChannelPeer,
}

/// Names one session of a bot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct SessionKey(String);

/// A text that cannot be a session key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a session key: it should look like `agent:main:main` or `agent:main:telegram:direct:555`, \
     at most {MAX_SESSION_KEY} bytes, without spaces or control characters"
)]
pub struct ParseSessionKeyError(String);

impl SessionKey {
    /// The bot's own conversation, which direct chats share by default.
    pub fn main(agent: &str) -> SessionKey {
        SessionKey(format!("agent:{}:main", segment(agent)))
    }

    /// The session that does the work which a tool call of a turn gave away: the same for the same call.
    pub fn subagent(agent: &str, turn: TurnId, call: &str) -> SessionKey {
        let digest = Sha256::digest(format!("{turn}/{call}"));
        let random = digest.iter().take(16).fold(0u128, |acc, byte| acc << 8 | u128::from(*byte));
        let id = Ulid::from_parts(turn.made_at().as_millis(), random);
        SessionKey(format!("agent:{}:{SUBAGENT}:{id}", segment(agent)))
    }

    /// The conversation of a program that speaks as with `OpenAI` and names its user. No two users share one.
    pub fn openai_user(agent: &str, user: &str) -> SessionKey {
        let mut name = segment(user);
        if name != user {
            name.push_str(&format!("-{}", short_hash(user)));
        }
        SessionKey(format!("agent:{}:openai-user:{name}", segment(agent)))
    }

    /// One conversation of a program that speaks as with `OpenAI`. `id` tells it from all others.
    pub fn openai(agent: &str, id: &str) -> SessionKey {
        SessionKey(format!("agent:{}:openai:{}", segment(agent), segment(id)))
    }

    /// Whether it does work that another session gave away.
    pub fn is_subagent(&self) -> bool {
        self.kind() == Some(SUBAGENT)
    }

    /// Whether people write in it: it is no session that does work for others or at set times.
    pub fn is_of_people(&self) -> bool {
        !matches!(self.kind(), Some(SUBAGENT | CRON))
    }

    /// How the keys of an agent's sessions begin that are not of people, in order.
    pub fn beginnings_of_work(agent: &str) -> [String; 2] {
        [CRON, SUBAGENT].map(|kind| format!("agent:{}:{kind}:", segment(agent)))
    }

    /// Whether it is the conversation of a program that speaks as with `OpenAI`: nobody reads there what it did not ask for.
    pub fn is_of_program(&self) -> bool {
        matches!(self.kind(), Some("openai" | "openai-user"))
    }

    /// How long the session is kept after it was last written to. `None`: until its bot is removed. A job that works in a
    /// session of its own has a new one for each run, which nobody goes on with.
    pub fn kept_for(&self) -> Option<Duration> {
        let is_of_run = self.kind() == Some(CRON) && self.0.split(':').nth(4) == Some("run");
        is_of_run.then_some(RUN_KEPT)
    }

    /// What follows the agent's name.
    fn kind(&self) -> Option<&str> {
        self.0.split(':').nth(2)
    }

    /// A conversation of the web chat, by its name; names are told apart without case.
    ///
    /// # Errors
    ///
    /// The name cannot stand in a key.
    pub fn web_chat(agent: &str, conversation: &str) -> Result<SessionKey, ParseSessionKeyError> {
        let conversation = conversation.to_lowercase();
        if conversation == "main" {
            return Ok(SessionKey::main(agent));
        }
        format!("agent:{}:{}:direct:{conversation}", segment(agent), Channel::WebChat).parse()
    }

    /// The session that an inbound message belongs to.
    pub fn of(agent: &str, scope: SessionScope, inbound: &Inbound) -> SessionKey {
        let chat = &inbound.address;
        Self::of_chat(
            agent,
            scope,
            inbound.channel,
            inbound.link,
            chat.kind,
            &chat.chat,
            chat.thread.as_deref(),
            &inbound.sender.id,
        )
    }

    #[allow(clippy::too_many_arguments, reason = "one argument per part of the key")]
    fn of_chat(
        agent: &str,
        scope: SessionScope,
        channel: Channel,
        link: LinkId,
        kind: ChatKind,
        chat: &str,
        thread: Option<&str>,
        sender: &str,
    ) -> SessionKey {
        let agent = segment(agent);
        let key = match kind {
            ChatKind::Direct => match scope {
                SessionScope::Main => format!("agent:{agent}:main"),
                SessionScope::PerPeer => format!("agent:{agent}:direct:{}", segment(sender)),
                SessionScope::PerChannelPeer => format!("agent:{agent}:{channel}:direct:{}", segment(sender)),
                SessionScope::PerAccountChannelPeer => {
                    format!("agent:{agent}:{channel}:{}:direct:{}", segment(&link.to_string()), segment(sender))
                }
            },
            ChatKind::Group => match thread {
                Some(topic) => format!("agent:{agent}:{channel}:group:{}:topic:{}", segment(chat), segment(topic)),
                None => format!("agent:{agent}:{channel}:group:{}", segment(chat)),
            },
            ChatKind::Room => match thread {
                Some(thread) => format!("agent:{agent}:{channel}:channel:{}:thread:{}", segment(chat), segment(thread)),
                None => format!("agent:{agent}:{channel}:channel:{}", segment(chat)),
            },
        };
        SessionKey(key)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The longest segment that is written as it is, in bytes.
const MAX_SEGMENT: usize = 96;

/// One segment of a key: lower case as OpenClaw writes them, and short enough that a whole key stays within
/// [`MAX_SESSION_KEY`]. What could be taken for a separator is written as `%3a`, and what is too long ends with its hash: ids
/// that differ in more than case have different segments, or people would share a session.
fn segment(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_control() || c.is_whitespace() || matches!(c, ':' | '#' | '%') {
            let mut bytes = [0; 4];
            clean.extend(c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02x}")));
        } else {
            clean.push(c);
        }
    }
    if clean.len() <= MAX_SEGMENT {
        return clean;
    }
    let hash = short_hash(&clean);
    let mut end = MAX_SEGMENT;
    while !clean.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}-{hash}", &clean[..end])
}

/// The first 64 bits of a text's SHA-256, in hexadecimal.
fn short_hash(text: &str) -> String {
    let digest = Sha256::digest(text);
    let bits = digest.iter().take(8).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    format!("{bits:016x}")
}

impl FromStr for SessionKey {
    type Err = ParseSessionKeyError;

    fn from_str(text: &str) -> Result<SessionKey, ParseSessionKeyError> {
        let fits = text.len() <= MAX_SESSION_KEY
            && text.starts_with("agent:")
            && text.split(':').count() >= 3
            && text.split(':').all(|part| !part.is_empty())
            && !text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '#');
        if fits { Ok(SessionKey(text.to_owned())) } else { Err(ParseSessionKeyError(text.chars().take(80).collect())) }
    }
}

impl TryFrom<String> for SessionKey {
    type Error = ParseSessionKeyError;

    fn try_from(text: String) -> Result<SessionKey, ParseSessionKeyError> {
        text.parse()
    }
}

impl From<SessionKey> for String {
    fn from(key: SessionKey) -> String {
        key.0
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn key(scope: SessionScope, kind: ChatKind, chat: &str, thread: Option<&str>, sender: &str) -> String {
        let link = LinkId::from_parts(Timestamp::from_millis(0), 7);
        SessionKey::of_chat("main", scope, Channel::Telegram, link, kind, chat, thread, sender).to_string()
    }

    #[test]
    fn keys_are_written_as_openclaw_writes_them() {
        use SessionScope::*;
        assert_eq!(key(Main, ChatKind::Direct, "555", None, "555"), "agent:main:main");
        assert_eq!(key(PerPeer, ChatKind::Direct, "555", None, "555"), "agent:main:direct:555");
        assert_eq!(key(PerChannelPeer, ChatKind::Direct, "555", None, "555"), "agent:main:telegram:direct:555");
        assert_eq!(
            key(PerAccountChannelPeer, ChatKind::Direct, "555", None, "555"),
            "agent:main:telegram:link_00000000000000000000000007:direct:555"
        );
        assert_eq!(key(Main, ChatKind::Group, "-100", Some("7"), "555"), "agent:main:telegram:group:-100:topic:7");
        assert_eq!(key(Main, ChatKind::Room, "C1", Some("9"), "555"), "agent:main:telegram:channel:c1:thread:9");
    }

    #[test]
    fn a_strange_peer_can_not_reach_another_session() {
        assert_eq!(
            key(SessionScope::PerPeer, ChatKind::Direct, "x", None, "a:direct:b #\n"),
            "agent:main:direct:a%3adirect%3ab%20%23%0a"
        );
        let long = |end: &str| key(SessionScope::PerPeer, ChatKind::Direct, "x", None, &("é".repeat(4000) + end));
        assert!(long("").len() <= MAX_SESSION_KEY && long("").parse::<SessionKey>().is_ok());
        assert_ne!(long("1"), long("2"));
        let of = |sender: &str| key(SessionScope::PerPeer, ChatKind::Direct, "x", None, sender);
        assert_ne!(of("@x:a-b.org"), of("@x-a:b.org"));
        assert_ne!(of("a%3ab"), of("a:b"));
    }

    #[test]
    fn users_of_a_program_share_no_session() {
        assert_eq!(SessionKey::openai_user("main", "ann").as_str(), "agent:main:openai-user:ann");
        let keys = ["ann", "Ann", "a:b", "a-b", "a b"].map(|user| SessionKey::openai_user("main", user));
        for (index, key) in keys.iter().enumerate() {
            assert_eq!(key.as_str().parse().as_ref(), Ok(key));
            assert!(!keys[..index].contains(key), "{key}");
        }
    }

    #[test]
    fn work_that_is_given_away_has_a_session_of_its_own() {
        let turn = TurnId::from_parts(Timestamp::from_millis(5), 7);
        let key = SessionKey::subagent("Main", turn, "1.call");
        assert_eq!(key, SessionKey::subagent("main", turn, "1.call"));
        assert_ne!(key, SessionKey::subagent("main", turn, "2.call"));
        assert!(key.as_str().starts_with("agent:main:subagent:0000000005"), "{key}");
        assert!(key.is_subagent() && !key.is_of_people());
        assert!(SessionKey::openai("main", "1").is_of_program() && !SessionKey::main("openai").is_of_program());
        let main = SessionKey::main("subagent");
        assert!(!main.is_subagent() && main.is_of_people());
    }

    #[test]
    fn only_sessions_of_runs_are_forgotten() {
        let kept = |key: &str| key.parse::<SessionKey>().unwrap().kept_for();
        assert_eq!(kept("agent:main:cron:job_1:run:1795435200000"), Some(RUN_KEPT));
        for key in ["agent:main:main", "agent:main:cron:daily", "agent:main:telegram:group:run:run"] {
            assert_eq!(kept(key), None, "{key}");
        }
    }

    #[test]
    fn only_keys_parse() {
        assert!("agent:main:main".parse::<SessionKey>().is_ok());
        for bad in ["", "main", "agent:", "agent::main", "agent:main:a b", "agent:main:a#b"] {
            assert!(bad.parse::<SessionKey>().is_err(), "{bad}");
        }
    }
}
