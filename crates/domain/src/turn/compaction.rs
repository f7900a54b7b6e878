//! When the context is compacted, and how much of it stays as it is.

use crate::entry::EntryBody;
use crate::{Context, Entry, TurnId};

/// What is kept free of the model's window for the answer, in tokens (OpenClaw's `reserveTokens`).
const RESERVE_TOKENS: u64 = 20_000;

/// How much of the newest conversation stays as it was said, in tokens (OpenClaw's `keepRecentTokens`).
const KEEP_TOKENS: u64 = 20_000;

/// A longer context is compacted even if it has few tokens: a turn loads the end of the log, not all of it.
const MAX_ENTRIES: usize = 160;
const KEEP_ENTRIES: usize = 40;

/// The sequence number from which on the conversation is kept as it is, if it must be compacted now. `coming` tokens
/// are about to be appended: counted only a turn later, they would first push out what no summary tells of.
pub(super) fn due(entries: &[Entry], turn: TurnId, coming: u64, window: u64) -> Option<u64> {
    let context = Context::of(entries);
    let limit = window - RESERVE_TOKENS.min(window / 4);
    let too_long = context.tokens() + coming > limit || context.entries.len() > MAX_ENTRIES;
    // Once a turn: what is too long even then, the transcript shortens.
    let is_done = entries.iter().any(|entry| entry.turn == turn && matches!(entry.body, EntryBody::Compaction { .. }));
    if too_long && !is_done { keep_from(&context, turn, KEEP_TOKENS.min(window / 5)) } else { None }
}

/// The same when a person asks for it: little is kept.
pub(super) fn asked(entries: &[Entry], turn: TurnId) -> Option<u64> {
    keep_from(&Context::of(entries), turn, 0)
}

/// The first exchange from which on no more than `keep` tokens and [`KEEP_ENTRIES`] follow, or else the last exchange.
/// The turn in hand is always kept. `None`: nothing is before it.
fn keep_from(context: &Context<'_>, turn: TurnId, keep: u64) -> Option<u64> {
    let entries = context.entries;
    let mut kept = None;
    for at in (1..entries.len()).rev() {
        // A turn that waited may have others between its entries.
        let is_first = || entries[..at].iter().all(|entry| entry.turn != entries[at].turn);
        let begins = matches!(entries[at].body, EntryBody::User(_)) && is_first();
        if !begins {
            continue;
        }
        let is_small = crate::context::tokens_of(&entries[at..]) <= keep && entries.len() - at <= KEEP_ENTRIES;
        if kept.is_some() && !is_small {
            break;
        }
        if kept.is_none() || is_small {
            kept = Some(at);
        }
    }
    let own = entries.iter().position(|entry| entry.turn == turn).unwrap_or(entries.len());
    let at = kept.unwrap_or(own).min(own);
    let has_something_before =
        entries[..at].iter().any(|entry| matches!(entry.body, EntryBody::User(_) | EntryBody::Assistant(_)));
    has_something_before.then(|| entries.get(at).map_or_else(|| entries[at - 1].seq + 1, |entry| entry.seq))
}
