//! Old tool results are shortened once a provider's cache of the conversation is cold (OpenClaw's `contextPruning`, mode
//! `cache-ttl`). The log is untouched.
//!
//! What is pruned is decided from the log alone, at the last place where nothing was answered for longer than a cache
//! lives. So what a model was shown after such a pause stays the same, to the letter, while its cache is warm.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::context::tokens_of;
use domain::{Entry, EntryBody, Timestamp, ToolResult};

use super::cut;

/// How long a provider keeps a conversation in its cache: Anthropic, too, unless a mark asks for more.
const CACHE_TTL: Duration = Duration::from_secs(5 * 60);
/// Results since this many answers ago are kept.
const KEPT_ANSWERS: usize = 3;
/// A longer result is trimmed, in characters, to this much of its beginning and its end.
const MAX_RESULT: usize = 4_000;
const LEFT_OF_EACH_END: usize = 1_500;
const CLEARED: &str = "[Old tool result content cleared]";

/// What stands in place of old tool results, by the sequence numbers of their entries.
pub(super) type Pruned = BTreeMap<u64, String>;

/// Trims old results if the conversation takes more than three tenths of the window, and clears them, the oldest first,
/// as long as it takes half of it.
pub(super) fn prune(entries: &[Entry], window: u64, now: Timestamp) -> Pruned {
    let mut pruned = Pruned::new();
    let before = &entries[..cold_point(entries, now)];
    let tokens = tokens_of(before);
    let answers = || before.iter().enumerate().rev().filter(|(_, entry)| matches!(entry.body, EntryBody::Assistant(_)));
    let Some((kept, _)) = answers().nth(KEPT_ANSWERS - 1) else { return pruned };
    if tokens * 10 <= window * 3 {
        return pruned;
    }
    // The results that the model works with at this moment.
    let present = entries.last().map(|entry| entry.turn);
    let old = || before[..kept].iter().filter(|entry| Some(entry.turn) != present).filter_map(result);
    let mut left = tokens * BYTES_PER_TOKEN;
    for (seq, result) in old() {
        if let Some(text) = trimmed(&result.text) {
            left -= (result.text.len() - text.len()) as u64;
            pruned.insert(seq, text);
        }
    }
    for (seq, result) in old() {
        if left * 2 < window * BYTES_PER_TOKEN {
            break;
        }
        let shown = pruned.get(&seq).unwrap_or(&result.text).len();
        if shown > CLEARED.len() {
            left -= (shown - CLEARED.len()) as u64;
            pruned.insert(seq, CLEARED.to_owned());
        }
    }
    pruned
}

/// As [`tokens_of`] counts them.
const BYTES_PER_TOKEN: u64 = 4;

/// Where the newest entry stands (or the next one, at `now`) that came when the answer before it was no longer in a
/// cache; 0 if there is none.
fn cold_point(entries: &[Entry], now: Timestamp) -> usize {
    let (mut cold, mut answered) = (0, None);
    let times = entries.iter().map(|entry| entry.at).chain([now]);
    for (index, at) in times.enumerate() {
        if answered.is_some_and(|answered| at.since(answered) > CACHE_TTL) {
            cold = index;
        }
        if entries.get(index).is_some_and(|entry| matches!(entry.body, EntryBody::Assistant(_))) {
            answered = Some(at);
        }
    }
    cold
}

fn result(entry: &Entry) -> Option<(u64, &ToolResult)> {
    match &entry.body {
        EntryBody::ToolResult(result) => Some((entry.seq, result)),
        _ => None,
    }
}

/// The beginning and the end of a result that is too long.
fn trimmed(text: &str) -> Option<String> {
    let chars = text.chars().count();
    if chars <= MAX_RESULT {
        return None;
    }
    let left_out = chars - 2 * LEFT_OF_EACH_END;
    let (beginning, _) = cut(text, LEFT_OF_EACH_END);
    let end = &text[cut(text, chars - LEFT_OF_EACH_END).0.len()..];
    Some(format!("{beginning}\n[{left_out} characters of this old tool result are left out here.]\n{end}"))
}

#[cfg(test)]
mod tests;
