//! The shape of a line. One flat structure for all types: JSON that is kept letter by letter ([`RawValue`]) does not
//! go through enums that serde tells apart by a field.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::{Deserialize, Entry, EntryId, RawValue, Serialize};

/// The type of a block that is a tool call.
pub(super) const TOOL_CALL: &str = "toolCall";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) id: EntryId,
    /// Written as `null` where there is none, as OpenClaw does.
    pub(super) parent_id: Option<EntryId>,
    pub(super) timestamp: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<Message>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) summary: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) first_kept_entry_id: Option<EntryId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tokens_before: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) custom_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<Value>,
    #[serde(default)]
    pub(super) lowtide: Option<Lowtide>,
}

impl Line {
    pub(super) fn message(id: EntryId, parent_id: Option<EntryId>, timestamp: String) -> Line {
        Line {
            kind: "message".to_owned(),
            id,
            parent_id,
            timestamp,
            message: None,
            summary: None,
            first_kept_entry_id: None,
            tokens_before: None,
            reason: None,
            custom_type: None,
            data: None,
            lowtide: None,
        }
    }

    pub(super) fn custom(&mut self, name: &str, data: Value) {
        self.kind = "custom".to_owned();
        self.custom_type = Some(format!("lowtide.{name}"));
        self.data = Some(data);
    }
}

/// What OpenClaw has no place for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Lowtide {
    /// The entry, with empty texts and without tool calls.
    #[serde(flatten)]
    pub(super) entry: Entry,
    /// For each tool call its arguments, where the line does not hold them letter by letter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) arguments: Vec<Option<String>>,
}

/// As much of any line as tells what it is.
#[derive(Debug, Deserialize)]
pub(super) struct Peek {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) lowtide: Option<IgnoredAny>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message {
    pub(super) role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tool_call_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tool_name: Option<String>,
    pub(super) content: Vec<Block>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) api: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) provider: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Usage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stop_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error_message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) is_error: Option<bool>,
    /// Milliseconds since the epoch.
    pub(super) timestamp: u64,
}

impl Message {
    pub(super) fn new(role: &str, content: Vec<Block>) -> Message {
        Message {
            role: role.to_owned(),
            tool_call_id: None,
            tool_name: None,
            content,
            api: None,
            provider: None,
            model: None,
            usage: None,
            stop_reason: None,
            error_message: None,
            is_error: None,
            timestamp: 0,
        }
    }
}

/// A part of a message's content.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Block {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) arguments: Option<Box<RawValue>>,
}

impl Block {
    pub(super) fn text(text: String) -> Block {
        Block { kind: "text".to_owned(), text: Some(text), id: None, name: None, arguments: None }
    }

    pub(super) fn call(id: String, name: String, arguments: Box<RawValue>) -> Block {
        Block { kind: TOOL_CALL.to_owned(), text: None, id: Some(id), name: Some(name), arguments: Some(arguments) }
    }
}

/// Tokens of a model call. `input` is without those that came from the cache.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Usage {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cache_read: u64,
    pub(super) cache_write: u64,
    pub(super) total_tokens: u64,
    pub(super) cost: Cost,
}

/// Dollars. Only the total is known.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cost {
    pub(super) input: f64,
    pub(super) output: f64,
    pub(super) cache_read: f64,
    pub(super) cache_write: f64,
    pub(super) total: f64,
}
