//! From a `PRIVMSG` to the message that it brings.

use std::collections::VecDeque;

use chrono::DateTime;
use domain::{Address, ChatKind, Sender, Timestamp};
use sha2::{Digest, Sha256};

use super::casemapping::Casemapping;
use super::message::Message;
use crate::Received;

/// How many of the last messages are remembered to tell a repeated one from another.
const RECENT: usize = 64;

/// What the bot is on its network.
#[derive(Debug)]
pub(super) struct Myself {
    pub(super) nick: String,
    pub(super) casemapping: Casemapping,
    /// What the names of channels begin with.
    pub(super) channel_types: String,
}

impl Myself {
    pub(super) fn is(&self, nick: &str) -> bool {
        self.casemapping.same(&self.nick, nick)
    }

    pub(super) fn is_channel(&self, target: &str) -> bool {
        target.starts_with(|first| self.channel_types.contains(first))
    }
}

/// What somebody sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Message(Box<Received>),
    /// A question of a client to a client.
    Ctcp {
        nick: String,
        request: String,
        argument: String,
    },
    /// Nothing to answer.
    Ignored,
}

/// Reads a `PRIVMSG` that came at the moment `now`.
pub(super) fn read(message: &Message, me: &Myself, ids: &mut Ids, now: Timestamp) -> Incoming {
    let (nick, target) = (message.nick(), message.param(0));
    // Servers have no user, bouncers speak as `*status`, and bots that say that they are bots are not answered.
    if !message.source.contains('!') || nick.starts_with('*') || me.is(nick) || message.has_tag("bot") {
        return Incoming::Ignored;
    }
    let is_direct = me.is(target);
    if !is_direct && !me.is_channel(target) {
        return Incoming::Ignored;
    }
    let said = match ctcp(message.last()) {
        Some(("ACTION", action)) => format!("* {nick} {}", plain(action)),
        Some((request, argument)) if is_direct => {
            return Incoming::Ctcp {
                nick: nick.to_owned(),
                request: request.to_ascii_uppercase(),
                argument: argument.to_owned(),
            };
        }
        Some(_) => return Incoming::Ignored,
        None => plain(message.last()),
    };
    let text = without_address(said.trim(), me);
    if said.trim().is_empty() {
        return Incoming::Ignored;
    }
    let mentioned = is_direct || has_word(&said, me) || domain::command::parse(text, Some(&me.nick)).is_some();
    let written = message.tag("time").and_then(time);
    Incoming::Message(Box::new(Received {
        channel_message_id: ids.of(message, written.unwrap_or(now)),
        address: Address {
            kind: if is_direct { ChatKind::Direct } else { ChatKind::Group },
            chat: me.casemapping.fold(if is_direct { nick } else { target }),
            thread: None,
            reply_to: message.tag("msgid").filter(|_| !is_direct).map(str::to_owned),
        },
        sender: Sender {
            id: match message.tag("account") {
                Some(account) => me.casemapping.fold(account),
                // Only the nick has the network's own rule.
                None => me.casemapping.fold(nick) + &message.source[nick.len()..].to_ascii_lowercase(),
            },
            name: Some(nick.to_owned()),
            username: None,
        },
        text: text.to_owned(),
        attachments: vec![],
        quote: None,
        album: None,
        mentioned,
        sent_at: written.filter(|written| *written <= now).unwrap_or(now),
    }))
}

/// The command and what follows it, of a text that is one: <https://modern.ircdocs.horse/ctcp>
fn ctcp(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('\u{1}')?;
    let inner = inner.strip_suffix('\u{1}').unwrap_or(inner);
    Some(inner.split_once(' ').unwrap_or((inner, "")))
}

/// A text without styles and colours: <https://modern.ircdocs.horse/formatting>
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\u{3}' => rest = after_color(rest, 2, |c| c.is_ascii_digit()),
            '\u{4}' => rest = after_color(rest, 6, |c| c.is_ascii_hexdigit()),
            c if c.is_control() && c != '\t' => {}
            c => plain.push(c),
        }
    }
    plain
}

/// What stands behind a colour: up to `most` digits, and as many after a comma.
fn after_color(text: &str, most: usize, is_digit: fn(char) -> bool) -> &str {
    let digits = |text: &str| text.chars().take(most).take_while(|c| is_digit(*c)).count();
    let first = digits(text);
    let rest = &text[first..];
    match rest.strip_prefix(',') {
        Some(background) if first > 0 && digits(background) > 0 => &background[digits(background)..],
        _ => rest,
    }
}

/// What is said after `heron:` or `heron,`.
fn without_address<'a>(text: &'a str, me: &Myself) -> &'a str {
    match text.split_once([':', ',']) {
        Some((name, said)) if me.is(name) && !said.trim().is_empty() => said.trim_start(),
        _ => text,
    }
}

/// Whether the bot's nick stands in a text as a word of its own.
fn has_word(text: &str, me: &Myself) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "_-[]\\`^{}|".contains(c);
    text.split(|c| !is_part(c)).any(|word| me.is(word))
}

fn time(tag: &str) -> Option<Timestamp> {
    let millis = DateTime::parse_from_rfc3339(tag).ok()?.timestamp_millis();
    Some(Timestamp::from_millis(u64::try_from(millis).ok()?))
}

/// Names messages where the network does not.
#[derive(Debug, Default)]
pub(super) struct Ids {
    recent: VecDeque<[u8; 16]>,
}

impl Ids {
    /// The network's own id; else one of the time, sender, target and text, and how often that came before.
    fn of(&mut self, message: &Message, time: Timestamp) -> String {
        if let Some(id) = message.tag("msgid") {
            return id.to_owned();
        }
        let millis = time.as_millis().to_string();
        let same = hash(&[&millis, &message.source, message.param(0), message.last()]);
        let occurrence = self.recent.iter().filter(|recent| **recent == same).count();
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(same);
        hex::encode(hash(&[&hex::encode(same), &occurrence.to_string()]))
    }
}

/// The beginning of a digest of parts, which cannot run into each other: no line of IRC has a NUL.
pub(super) fn hash(parts: &[&str]) -> [u8; 16] {
    let digest = Sha256::digest(parts.join("\0"));
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    short
}

#[cfg(test)]
#[path = "incoming_tests.rs"]
mod tests;
