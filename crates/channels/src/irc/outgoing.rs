//! What leaves: lines within the network's 512 bytes, no faster than it bears, and the knowledge that they arrived.
//!
//! IRC confirms nothing. But a server handles lines in their order, so the answer to a `PING` that follows a message
//! tells that the message was taken or refused before it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::casemapping::Casemapping;
use super::flood::Bucket;
use super::incoming;
use super::message::escape;
use crate::SendError;
use crate::held::Say;

/// The most lines at once.
const BURST: u32 = 4;

/// One line for each of these, after that.
const INTERVAL: Duration = Duration::from_secs(2);

/// How many lines may wait before no more messages are taken.
const MAX_WAITING: usize = 8;

/// How many messages are sent before their arrival is asked for.
const MAX_UNCONFIRMED: usize = 4;

/// The longest line with its end, in bytes, as others see it.
const MAX_LINE: usize = 512;

/// The longest id of a message that is named as answered, in bytes.
const MAX_ID: usize = 256;

struct Line {
    text: String,
    /// The message that it is a part of.
    message: Option<u64>,
}

struct Pending {
    number: u64,
    /// Folded.
    target: String,
    id: String,
    lines_left: usize,
    sent: oneshot::Sender<Result<String, SendError>>,
}

/// All that waits to leave, and all that has left and may not have arrived.
pub(super) struct Outgoing {
    lines: VecDeque<Line>,
    pending: VecDeque<Pending>,
    bucket: Bucket,
    last: u64,
    /// The number that the last `PING` asked for.
    asked: u64,
}

impl Outgoing {
    pub(super) fn new(now: Instant) -> Outgoing {
        let bucket = Bucket::new(BURST, INTERVAL, now);
        Outgoing { lines: VecDeque::new(), pending: VecDeque::new(), bucket, last: 0, asked: 0 }
    }

    pub(super) fn has_room(&self) -> bool {
        self.lines.len() < MAX_WAITING
    }

    /// A line that is no message.
    pub(super) fn command(&mut self, text: String) {
        self.lines.push_back(Line { text, message: None });
    }

    /// A message, whose lines others see behind a prefix of `prefix` bytes.
    pub(super) fn say(&mut self, say: Say, prefix: usize, has_tags: bool, casemapping: Casemapping) {
        let target = &say.to.chat;
        let is_target =
            !target.is_empty() && !target.contains([' ', ',', '\0', '\r', '\n']) && !target.starts_with(':');
        let command = format!("PRIVMSG {target} :");
        let room = MAX_LINE.saturating_sub(prefix + command.len() + "\r\n".len());
        let parts = if is_target && room > 40 { split(&say.text, room) } else { vec![] };
        if parts.is_empty() {
            let _ = say.sent.send(Err(SendError::Rejected("no text, or no nick or channel to say it to".to_owned())));
            return;
        }
        let answered = say.to.reply_to.as_ref().filter(|id| has_tags && id.len() <= MAX_ID);
        let tags = answered.map(|id| format!("@+draft/reply={} ", escape(id))).unwrap_or_default();
        self.last += 1;
        let lines_left = parts.len();
        let line = |part| Line { text: format!("{tags}{command}{part}"), message: Some(self.last) };
        self.lines.extend(parts.into_iter().map(line));
        let target = casemapping.fold(target);
        let id = hex::encode(incoming::hash(&[&target, &self.last.to_string(), &say.text]));
        self.pending.push_back(Pending { number: self.last, target, id, lines_left, sent: say.sent });
    }

    /// The next line that may leave now.
    pub(super) fn next(&mut self, now: Instant) -> Option<String> {
        self.ask_for_arrival();
        if self.lines.is_empty() || !self.bucket.take(now) {
            return None;
        }
        let line = self.lines.pop_front()?;
        if let Some(pending) = self.pending.iter_mut().find(|pending| Some(pending.number) == line.message) {
            pending.lines_left -= 1;
        }
        Some(line.text)
    }

    /// When [`next`](Self::next) has something, if nothing new comes.
    pub(super) fn ready_at(&self) -> Option<Instant> {
        (!self.lines.is_empty()).then(|| self.bucket.ready_at())
    }

    fn ask_for_arrival(&mut self) {
        let left = self.pending.iter().take_while(|pending| pending.lines_left == 0);
        let unasked = left.filter(|pending| pending.number > self.asked).map(|pending| pending.number);
        let unasked: Vec<u64> = unasked.collect();
        let Some(newest) = unasked.last() else { return };
        let more_comes = self.lines.iter().any(|line| line.message.is_some());
        if !more_comes || unasked.len() >= MAX_UNCONFIRMED {
            self.asked = *newest;
            self.lines.push_front(Line { text: format!("PING :{newest}"), message: None });
        }
    }

    /// The server has answered the `PING` of this token.
    pub(super) fn arrived(&mut self, token: &str) {
        let Ok(number) = token.parse::<u64>() else { return };
        while self.pending.front().is_some_and(|pending| pending.number <= number) {
            if let Some(pending) = self.pending.pop_front() {
                let _ = pending.sent.send(Ok(pending.id));
            }
        }
    }

    /// The server has refused the oldest message to `target`, which is folded.
    pub(super) fn refused(&mut self, target: &str, why: &str) {
        let Some(at) = self.pending.iter().position(|pending| pending.target == target) else { return };
        if let Some(pending) = self.pending.remove(at) {
            self.lines.retain(|line| line.message != Some(pending.number));
            let _ = pending.sent.send(Err(SendError::Unreachable(why.to_owned())));
        }
    }

    /// The connection is at its end.
    pub(super) fn end(self) {
        for pending in self.pending {
            let why = "the connection ended before the network had confirmed it".to_owned();
            let _ = pending.sent.send(Err(SendError::Temporary(why)));
        }
    }
}

/// Splits a text into lines of at most `room` bytes, at spaces where there are any and never within a character.
pub(super) fn split(text: &str, room: usize) -> Vec<String> {
    let mut parts = Vec::new();
    for line in text.split(['\r', '\n', '\0']) {
        let mut rest = line.trim_end();
        while rest.len() > room {
            let end = rest.floor_char_boundary(room);
            // A space in the first half would make for many short lines.
            let at = rest[..end].rfind(' ').filter(|at| *at > end / 2).unwrap_or(end);
            parts.push(rest[..at].to_owned());
            rest = rest[at..].trim_start();
        }
        if !rest.trim().is_empty() {
            parts.push(rest.to_owned());
        }
    }
    parts
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
