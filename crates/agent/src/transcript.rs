//! The log as a conversation: what every provider's protocol asks of it, settled once.
//!
//! Providers want each tool call answered exactly once, right after the answer that made it. In a
//! [`Step`] a call carries its result, so what is made from steps cannot break that.

use std::borrow::Cow;
use std::collections::HashSet;

use domain::{ChatKind, Entry, EntryBody, MessageId, ToolCall, UserMessage};

/// How much of a conversation a model is shown, in characters: some 25,000 tokens.
pub(crate) const MAX_CHARS: usize = 100_000;
/// A tool result that has to go leaves this much of its beginning behind.
const LEFT_OF_RESULT: usize = 500;
const NO_RESULT: &str = "No result was recorded for this call.";
const LEFT_OUT: &str = "[Earlier messages of this conversation are not shown.]";

/// One step of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// What a person said, as the model reads it.
    User(String),
    Assistant {
        text: &'a str,
        calls: Vec<AnsweredCall<'a>>,
    },
}

/// A tool call with what it gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnsweredCall<'a> {
    pub(crate) call: &'a ToolCall,
    pub(crate) result: Cow<'a, str>,
}

/// The newest part of the log that fits `max_chars`, in whole exchanges: a person's message and all that
/// followed it. The last exchange is always there; if it alone is too long, its oldest tool results
/// are shortened.
pub(crate) fn conversation(entries: &[Entry], chat: ChatKind, max_chars: usize) -> Vec<Step<'_>> {
    let mut steps = steps(entries, chat);
    let start = exchanges_that_fit(&steps, max_chars);
    let left_out = start > 0 || entries.first().is_some_and(|entry| entry.seq > 0);
    steps.drain(..start);
    shorten_results(&mut steps, max_chars);
    if left_out && let Some(Step::User(text)) = steps.first_mut() {
        text.insert_str(0, &format!("{LEFT_OUT}\n\n"));
    }
    steps
}

fn steps<'a>(entries: &'a [Entry], chat: ChatKind) -> Vec<Step<'a>> {
    let users = || entries.iter().filter_map(user);
    let named = chat != ChatKind::Direct || users().map(|user| &user.sender.id).collect::<HashSet<_>>().len() > 1;
    let step = |(at, entry): (usize, &'a Entry)| match &entry.body {
        // A message whose turn failed may have been asked again: its last place is the one that counts.
        EntryBody::User(user) if is_repeated(&entries[at + 1..], &user.message) => None,
        EntryBody::User(user) => Some(Step::User(user_text(user, named))),
        EntryBody::Assistant(answer) if answer.text.trim().is_empty() && answer.tool_calls.is_empty() => None,
        EntryBody::Assistant(answer) => {
            Some(Step::Assistant { text: &answer.text, calls: answered(&answer.tool_calls, &entries[at + 1..]) })
        }
        // Results are found from their calls; one without a call (the view began after it) is left out.
        EntryBody::ToolResult(_) | EntryBody::Failed { .. } => None,
    };
    entries.iter().enumerate().filter_map(step).collect()
}

/// What a person said, if this entry is that.
pub(crate) fn user(entry: &Entry) -> Option<&UserMessage> {
    match &entry.body {
        EntryBody::User(user) => Some(user),
        _ => None,
    }
}

fn is_repeated(later: &[Entry], message: &MessageId) -> bool {
    later.iter().filter_map(user).any(|user| user.message.original() == message.original())
}

/// The calls of one answer with their results, which stand before the next answer: some models count
/// their calls anew in each answer, so the same id may come again later.
fn answered<'a>(calls: &'a [ToolCall], later: &'a [Entry]) -> Vec<AnsweredCall<'a>> {
    let until = later.iter().position(|entry| matches!(entry.body, EntryBody::Assistant(_))).unwrap_or(later.len());
    let result = |call: &ToolCall| {
        later[..until].iter().find_map(|entry| match &entry.body {
            EntryBody::ToolResult(result) if result.call == call.id => Some(result.text.as_str()),
            _ => None,
        })
    };
    calls.iter().map(|call| AnsweredCall { call, result: result(call).unwrap_or(NO_RESULT).into() }).collect()
}

/// Where the conversation begins so that it fits.
fn exchanges_that_fit(steps: &[Step<'_>], max_chars: usize) -> usize {
    let mut start = steps.len();
    let mut size = 0;
    for (at, step) in steps.iter().enumerate().rev() {
        size += step.chars();
        if matches!(step, Step::User(_)) {
            if size > max_chars && start < steps.len() {
                break;
            }
            start = at;
        }
    }
    // A log that begins in the middle of an exchange (or has no person in it at all).
    if start == steps.len() { 0 } else { start }
}

fn shorten_results(steps: &mut [Step<'_>], max_chars: usize) {
    let mut excess = steps.iter().map(Step::chars).sum::<usize>().saturating_sub(max_chars);
    let calls = steps.iter_mut().flat_map(|step| match step {
        Step::User(_) => &mut [][..],
        Step::Assistant { calls, .. } => calls.as_mut_slice(),
    });
    for answered in calls {
        let size = answered.result.chars().count();
        if excess == 0 {
            break;
        }
        if size > LEFT_OF_RESULT * 2 {
            let (beginning, cut) = cut(&answered.result, LEFT_OF_RESULT);
            answered.result = format!("{beginning}\n[{cut} more characters of this result are not shown.]").into();
            excess = excess.saturating_sub(cut);
        }
    }
}

impl Step<'_> {
    fn chars(&self) -> usize {
        match self {
            Step::User(text) => text.chars().count(),
            Step::Assistant { text, calls } => {
                let calls = calls.iter().map(|a| a.call.arguments.chars().count() + a.result.chars().count());
                text.chars().count() + calls.sum::<usize>()
            }
        }
    }
}

/// The first `max` characters of a text, and how many follow them.
pub(crate) fn cut(text: &str, max: usize) -> (&str, usize) {
    match text.char_indices().nth(max) {
        Some((at, _)) => (&text[..at], text[at..].chars().count()),
        None => (text, 0),
    }
}

/// A message as the model reads it: who said it, what it answers, what came with it, and its text.
fn user_text(user: &UserMessage, named: bool) -> String {
    let mut lines = Vec::new();
    if let Some(quote) = &user.quote {
        let author = quote.author.as_deref().map(|author| format!("{}: ", one_line(author))).unwrap_or_default();
        lines.push(format!("> {author}{}", one_line(&quote.text)));
    }
    for attachment in &user.attachments {
        let parts = [attachment.name.clone(), attachment.mime.clone(), attachment.size.map(size)];
        let parts: Vec<String> = parts.into_iter().flatten().map(|part| one_line(&part)).collect();
        let colon = if parts.is_empty() { "" } else { ": " };
        lines.push(format!("[{}{colon}{}]", attachment.kind.as_str(), parts.join(", ")));
    }
    if !user.text.is_empty() {
        lines.push(user.text.clone());
    }
    let text = lines.join("\n");
    if !named {
        return text;
    }
    let sender = &user.sender;
    let name = sender.name.as_deref().or(sender.username.as_deref()).unwrap_or(&sender.id);
    format!("{}: {text}", one_line(name))
}

/// A text that others chose, on one line and of bounded length, so that it cannot pass for a line of its own.
fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|w| !w.is_empty()).collect();
    let line = words.join(" ");
    match cut(&line, 200) {
        (line, 0) => line.to_owned(),
        (beginning, _) => format!("{beginning}…"),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

#[cfg(test)]
mod tests;
