//! The part of a log that a model is shown: since the last reset, or a summary and what came after it.

use crate::Media;
use crate::entry::{Entry, EntryBody};

/// A token is about four bytes of English, and fewer characters of most other scripts.
const BYTES_PER_TOKEN: usize = 4;

/// A picture counts as much as this many bytes of text: about 1,500 tokens.
const BYTES_OF_PICTURE: usize = 6_000;

/// What the prompt and the descriptions of the tools take, in tokens, as long as no provider has said better.
const PROMPT_TOKENS: u64 = 3000;

/// What a model is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Context<'a> {
    /// What takes the place of everything before `entries`.
    pub summary: Option<&'a str>,
    pub entries: &'a [Entry],
    /// Whether what is before `entries` is left out without a summary, because it was not loaded.
    pub is_cut: bool,
}

impl<'a> Context<'a> {
    /// The context that the end of a log, oldest first, makes.
    pub fn of(entries: &'a [Entry]) -> Context<'a> {
        let is_marker = |entry: &Entry| matches!(entry.body, EntryBody::Reset { .. } | EntryBody::Compaction { .. });
        let is_cut = entries.first().is_some_and(|entry| entry.seq > 0);
        let Some(at) = entries.iter().rposition(is_marker) else { return Context { summary: None, entries, is_cut } };
        match &entries[at].body {
            EntryBody::Compaction { summary, first_kept, .. } => {
                let from = entries.iter().position(|entry| entry.seq >= *first_kept).unwrap_or(at);
                let from = from.max(after_reset(&entries[..at]));
                Context { summary: Some(summary), entries: &entries[from..], is_cut: false }
            }
            _ => Context { summary: None, entries: &entries[at + 1..], is_cut: false },
        }
    }

    /// How many tokens a model will count for it, about: what the last answer's provider counted, and what came since.
    pub fn tokens(&self) -> u64 {
        let counted = self.entries.iter().enumerate().rev().find_map(|(at, entry)| match &entry.body {
            EntryBody::Assistant(answer) if answer.usage.input > 0 => {
                Some((at, answer.usage.input + answer.usage.output))
            }
            EntryBody::Compaction { .. } => Some((self.entries.len(), 0)),
            _ => None,
        });
        match counted {
            Some((at, tokens)) if at < self.entries.len() => tokens + tokens_of(&self.entries[at + 1..]),
            _ => PROMPT_TOKENS + self.summary.map_or(0, |text| tokens_in(text.len())) + tokens_of(self.entries),
        }
    }
}

/// Where the entries begin that no reset has put aside.
fn after_reset(entries: &[Entry]) -> usize {
    entries.iter().rposition(|entry| matches!(entry.body, EntryBody::Reset { .. })).map_or(0, |at| at + 1)
}

/// How many tokens entries take, about.
pub fn tokens_of(entries: &[Entry]) -> u64 {
    tokens_in(entries.iter().map(|entry| bytes(&entry.body)).sum())
}

/// How many tokens what is about to be appended will take, about.
pub fn tokens_of_bodies<'a>(bodies: impl Iterator<Item = &'a EntryBody>) -> u64 {
    tokens_in(bodies.map(bytes).sum())
}

fn tokens_in(bytes: usize) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN) as u64
}

/// What pictures take of a model's window, in bytes of text.
fn picture<'a>(media: impl Iterator<Item = &'a Media>) -> usize {
    media.filter(|media| media.is_image()).count() * BYTES_OF_PICTURE
}

/// The bytes of an entry that a model reads.
fn bytes(body: &EntryBody) -> usize {
    match body {
        EntryBody::User(user) => {
            let attached =
                user.attachments.iter().map(|a| a.text.as_ref().map_or(0, String::len) + picture(a.media.iter()));
            user.text.len() + user.quote.as_ref().map_or(0, |quote| quote.text.len()) + attached.sum::<usize>() + 16
        }
        EntryBody::Event(user) => user.text.len() + 48,
        EntryBody::Assistant(answer) => {
            answer.text.len() + answer.tool_calls.iter().map(|call| call.arguments.len() + 40).sum::<usize>()
        }
        EntryBody::ToolResult(result) => result.text.len() + picture(result.media.iter()) + 16,
        EntryBody::Dropped { summary, .. } => summary.as_ref().map_or(0, String::len),
        EntryBody::Asked { .. }
        | EntryBody::Failed { .. }
        | EntryBody::Notice { .. }
        | EntryBody::Stopped { .. }
        | EntryBody::Reset { .. }
        | EntryBody::Compaction { .. } => 0,
    }
}
