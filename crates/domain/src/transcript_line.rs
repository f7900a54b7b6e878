//! A session's log in the format of OpenClaw's transcripts: JSON Lines, one header and then one line for each entry.
//!
//! OpenClaw's readers find what they know: messages of the roles `user`, `assistant` and `toolResult`, `compaction`,
//! `reset`, and `custom` for what they have no word for. Each line also has an object `lowtide`: the entry in our
//! own words, without the texts and tool calls that stand elsewhere in the line. So reading a line back gives the
//! entry that was written, and nothing long is stored twice.
//!
//! | entry | line |
//! | --- | --- |
//! | `User` | `message`, role `user` |
//! | `Assistant` | `message`, role `assistant` |
//! | `ToolResult` | `message`, role `toolResult` |
//! | `Failed` | `message`, role `assistant`, model `lowtide/failed`, stop reason `error` |
//! | `Notice` | `message`, role `assistant`, model `lowtide/notice` |
//! | `Compaction` | `compaction` |
//! | `Reset` | `reset` |
//! | `Asked`, `Stopped`, `Dropped` | `custom`, type `lowtide.asked`, `lowtide.stopped` and `lowtide.dropped` |

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{Answer, BotId, Entry, EntryBody, EntryId, SessionKey, Timestamp, ToolCall, ToolOutcome};

mod shape;

use shape::{Block, Cost, Line, Lowtide, Message, Peek, Usage};

/// The version of OpenClaw's transcripts that is written.
const VERSION: u32 = 4;

/// What stands for a provider and an API in OpenClaw's words where we are the one who speaks.
const LOWTIDE: &str = "lowtide";

/// The last millisecond that has a date of four digits: what lies behind it is written as this.
const LAST_DATE: u64 = 253_402_300_799_999;

/// A line that does not hold an entry of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error("the line is not one of a transcript: {0}")]
    Malformed(String),
    #[error("OpenClaw itself wrote this line of type `{0}`: without an object `lowtide` it can only be imported")]
    Foreign(String),
    /// A line of a file, counted from 1.
    #[error("line {line}: {error}")]
    At { line: usize, error: Box<LineError> },
}

impl LineError {
    fn malformed(error: impl ToString) -> LineError {
        LineError::Malformed(error.to_string())
    }
}

/// The first line of a file whose first entry is `first`. OpenClaw wants the session's id to be a UUID: it is made
/// from the bot and the key, so all files of a session have the same.
pub fn header(bot: BotId, session: &SessionKey, first: &Entry) -> String {
    let id = uuid(&Sha256::digest(format!("{bot}\0{session}")));
    let lowtide = json!({ "bot": bot, "session": session, "first": first.seq });
    let timestamp = date(first.at);
    json!({ "type": "session", "version": VERSION, "id": id, "timestamp": timestamp, "cwd": "/", "lowtide": lowtide })
        .to_string()
}

/// Writes one entry. `parent` is the entry before it. `first_kept` is the id of the first entry that a compaction
/// keeps, if that is known: without it OpenClaw shows its model the summary and nothing from before it.
pub fn write(entry: &Entry, parent: Option<EntryId>, first_kept: Option<EntryId>) -> Result<String, LineError> {
    let mut line = Line::message(entry.id, parent, date(entry.at));
    let mut rest = entry.clone();
    let mut arguments = Vec::new();
    let at = entry.at.as_millis();
    match &mut rest.body {
        EntryBody::User(user) => {
            let content = text_blocks(std::mem::take(&mut user.text));
            line.message = Some(Message { timestamp: user.sent_at.as_millis(), ..Message::new("user", content) });
        }
        EntryBody::Event(user) => line.custom("event", json!({ "text": user.text })),
        EntryBody::Assistant(answer) => {
            let mut content = text_blocks(std::mem::take(&mut answer.text));
            let stop = if answer.tool_calls.is_empty() { "stop" } else { "toolUse" };
            for call in std::mem::take(&mut answer.tool_calls) {
                let (block, kept) = call_block(call)?;
                content.push(block);
                arguments.push(kept);
            }
            let (provider, model) = answer.model.split_once('/').unwrap_or((LOWTIDE, &answer.model));
            line.message = Some(Message { usage: Some(usage(answer)), ..said(content, provider, model, stop, at) });
        }
        EntryBody::ToolResult(result) => {
            let content = text_blocks(std::mem::take(&mut result.text));
            line.message = Some(Message {
                tool_call_id: Some(result.call.clone()),
                tool_name: Some(result.name.clone()),
                is_error: Some(result.outcome != ToolOutcome::Ok),
                timestamp: at,
                ..Message::new("toolResult", content)
            });
        }
        EntryBody::Failed { text, detail } => {
            let content = text_blocks(std::mem::take(text));
            let error_message = Some(std::mem::take(detail));
            line.message = Some(Message { error_message, ..said(content, LOWTIDE, "failed", "error", at) });
        }
        EntryBody::Notice { text } => {
            line.message = Some(said(text_blocks(std::mem::take(text)), LOWTIDE, "notice", "stop", at));
        }
        EntryBody::Compaction { summary, tokens_before, .. } => {
            line.kind = "compaction".to_owned();
            line.summary = Some(std::mem::take(summary));
            line.first_kept_entry_id = first_kept;
            line.tokens_before = Some(*tokens_before);
        }
        EntryBody::Reset { reason } => {
            line.kind = "reset".to_owned();
            line.reason = Some(json!(reason));
        }
        EntryBody::Asked { code, calls, until, .. } => {
            line.custom("asked", json!({ "code": code, "calls": calls, "until": date(*until) }));
        }
        EntryBody::Stopped { by } => line.custom("stopped", json!({ "by": by })),
        EntryBody::Dropped { messages, .. } => line.custom("dropped", json!({ "messages": messages.len() })),
    }
    arguments.truncate(arguments.iter().rposition(Option::is_some).map_or(0, |last| last + 1));
    line.lowtide = Some(Lowtide { entry: rest, arguments });
    serde_json::to_string(&line).map_err(LineError::malformed)
}

/// Reads one line back; `None` for a header.
pub fn read(text: &str) -> Result<Option<Entry>, LineError> {
    let (line, lowtide) = match serde_json::from_str::<Line>(text) {
        Ok(mut line) => match line.lowtide.take() {
            Some(lowtide) if line.kind != "session" => (line, lowtide),
            _ => return peek(text, "an entry without its `lowtide` object").map(|()| None),
        },
        Err(error) => return peek(text, error).map(|()| None),
    };
    let Lowtide { mut entry, arguments } = lowtide;
    let mut message = line.message;
    let mut content = || match &mut message {
        Some(message) => Ok(std::mem::take(&mut message.content)),
        None => Err(LineError::malformed("its message is missing")),
    };
    match &mut entry.body {
        EntryBody::User(user) => user.text = text_of(&mut content()?),
        EntryBody::Assistant(answer) => {
            let mut content = content()?;
            answer.text = text_of(&mut content);
            let calls = content.into_iter().filter(|block| block.kind == shape::TOOL_CALL);
            let kept = arguments.into_iter().chain(std::iter::repeat(None));
            answer.tool_calls = calls.zip(kept).map(|(block, kept)| call_of(block, kept)).collect();
        }
        EntryBody::ToolResult(result) => result.text = text_of(&mut content()?),
        EntryBody::Notice { text } => *text = text_of(&mut content()?),
        EntryBody::Failed { text, detail } => {
            *text = text_of(&mut content()?);
            *detail = message.and_then(|message| message.error_message).unwrap_or_default();
        }
        EntryBody::Compaction { summary, .. } => *summary = line.summary.unwrap_or_default(),
        EntryBody::Event(_)
        | EntryBody::Asked { .. }
        | EntryBody::Reset { .. }
        | EntryBody::Stopped { .. }
        | EntryBody::Dropped { .. } => {}
    }
    Ok(Some(entry))
}

/// A whole file: its header, then `entries`, which are at least one. `before` are entries that stand in the file
/// before this one, as many as one likes: the parent of the first line is looked up there, and what a compaction keeps.
pub fn write_file(bot: BotId, session: &SessionKey, before: &[Entry], entries: &[Entry]) -> Result<String, LineError> {
    let first = entries.first().ok_or_else(|| LineError::malformed("a file without entries"))?;
    let mut text = header(bot, session, first);
    text.push('\n');
    let mut parent = before.last().filter(|last| last.seq + 1 == first.seq).map(|last| last.id);
    for entry in entries {
        let first_kept = match &entry.body {
            EntryBody::Compaction { first_kept, .. } => {
                before.iter().chain(entries).find(|entry| entry.seq == *first_kept).map(|entry| entry.id)
            }
            _ => None,
        };
        text.push_str(&write(entry, parent, first_kept)?);
        text.push('\n');
        parent = Some(entry.id);
    }
    Ok(text)
}

/// The entries of a file that [`write_file`] wrote, or of several, one behind the other.
pub fn read_file(text: &str) -> Result<Vec<Entry>, LineError> {
    let mut entries = Vec::new();
    for (index, line) in text.split('\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        let entry = read(line).map_err(|error| LineError::At { line: index + 1, error: Box::new(error) })?;
        entries.extend(entry);
    }
    Ok(entries)
}

/// Looks at a line that is no entry of ours: a header is fine, all else is an error that says what it is.
fn peek(text: &str, error: impl ToString) -> Result<(), LineError> {
    match serde_json::from_str::<Peek>(text) {
        Ok(Peek { kind, .. }) if kind == "session" => Ok(()),
        Ok(Peek { kind, lowtide: None }) => Err(LineError::Foreign(kind.chars().take(40).collect())),
        Ok(_) => Err(LineError::malformed(error)),
        Err(error) => Err(LineError::malformed(error)),
    }
}

/// What the bot said, in OpenClaw's shape.
fn said(content: Vec<Block>, provider: &str, model: &str, stop_reason: &str, timestamp: u64) -> Message {
    Message {
        api: Some(LOWTIDE.to_owned()),
        provider: Some(provider.to_owned()),
        model: Some(model.to_owned()),
        usage: Some(Usage::default()),
        stop_reason: Some(stop_reason.to_owned()),
        timestamp,
        ..Message::new("assistant", content)
    }
}

fn usage(answer: &Answer) -> Usage {
    let crate::Usage { input, output, cached, cache_written } = answer.usage;
    Usage {
        input: input.saturating_sub(cached).saturating_sub(cache_written),
        output,
        cache_read: cached,
        cache_write: cache_written,
        total_tokens: input.saturating_add(output),
        // OpenClaw counts dollars.
        cost: Cost { total: answer.cost as f64 / 1e6, ..Cost::default() },
    }
}

/// A text as a message's content. An empty one has no block: there are APIs that refuse empty blocks.
fn text_blocks(text: String) -> Vec<Block> {
    if text.is_empty() { vec![] } else { vec![Block::text(text)] }
}

fn text_of(content: &mut [Block]) -> String {
    content.iter_mut().find_map(|block| block.text.take()).unwrap_or_default()
}

/// A tool call in OpenClaw's shape, and its arguments where they do not stand there letter by letter: they are no JSON
/// object, or have a line break between their parts.
fn call_block(call: ToolCall) -> Result<(Block, Option<String>), LineError> {
    let ToolCall { id, name, arguments } = call;
    let is_object = arguments.starts_with('{');
    match serde_json::from_str::<&RawValue>(&arguments) {
        Ok(raw) if is_object && raw.get().len() == arguments.len() && !arguments.contains(['\n', '\r']) => {
            Ok((Block::call(id, name, raw.to_owned()), None))
        }
        _ => {
            let parsed = serde_json::from_str::<Value>(&arguments).ok().filter(Value::is_object);
            let shown = serde_json::value::to_raw_value(&parsed.unwrap_or_else(|| json!({})));
            Ok((Block::call(id, name, shown.map_err(LineError::malformed)?), Some(arguments)))
        }
    }
}

fn call_of(block: Block, kept: Option<String>) -> ToolCall {
    let arguments = kept.or_else(|| block.arguments.map(|raw| raw.get().to_owned())).unwrap_or_default();
    ToolCall { id: block.id.unwrap_or_default(), name: block.name.unwrap_or_default(), arguments }
}

/// ISO 8601, UTC, with milliseconds.
fn date(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis().min(LAST_DATE)).unwrap_or_default();
    let date = DateTime::from_timestamp_millis(millis).unwrap_or_default();
    date.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A UUID of version 8 (its maker's own kind) from a hash.
fn uuid(hash: &[u8]) -> String {
    let mut bytes: Vec<u8> = hash.iter().copied().take(16).collect();
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests;
