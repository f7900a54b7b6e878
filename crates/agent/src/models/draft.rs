//! An answer while it comes, in no provider's words.

use std::collections::{BTreeMap, HashSet};

use domain::{Answer, Native, ToolCall, Usage};
use serde_json::Value;

use super::Failure;
use super::provider::Target;

/// An answer's own form is kept up to this size, in bytes: a session's log is read with each step.
const MAX_NATIVE: usize = 100_000;

/// What has come of an answer so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) text: String,
    pub(super) calls: Vec<DraftCall>,
    pub(super) usage: Usage,
    /// The answer as its provider wants it back, if there is more to it than text and calls.
    pub(super) native: Option<Value>,
    /// Why the model ended. `None`: it has not ended yet.
    pub(super) end: Option<String>,
}

/// A tool call while it comes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct DraftCall {
    /// Empty where the server leaves it out.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
}

impl Draft {
    /// Whether anything has come that may be billed.
    pub(super) fn has_begun(&self) -> bool {
        !self.text.is_empty() || !self.calls.is_empty() || self.usage != Usage::default() || self.end.is_some()
    }

    /// The whole answer. A stream that broke off before its end is none, however much of it came.
    pub(super) fn into_answer(self, target: &Target<'_>) -> Result<Answer, Failure> {
        let Some(end) = &self.end else {
            return Err(Failure::billed("the answer broke off before its end"));
        };
        if self.text.trim().is_empty() && self.calls.is_empty() {
            return Err(Failure::billed(format!("the answer is empty (finish reason: {end})")));
        }
        // What refers to ids that had to be made up cannot be sent back as it is.
        let is_native = self.native.is_some() && self.calls.iter().all(|call| !call.id.is_empty());
        let native = self.native.filter(|native| is_native && native.to_string().len() <= MAX_NATIVE);
        Ok(Answer {
            text: self.text,
            tool_calls: named_apart(self.calls),
            native: native.map(|content| Native { api: target.wire_name(), model: target.model.to_owned(), content }),
            model: target.reference(),
            usage: self.usage,
            cost: 0,
        })
    }
}

/// Gives each call an id of its own: results are matched by it, and some servers leave it out.
fn named_apart(drafts: Vec<DraftCall>) -> Vec<ToolCall> {
    let mut taken = HashSet::new();
    let mut calls = Vec::new();
    for (index, DraftCall { mut id, name, arguments }) in drafts.into_iter().enumerate() {
        while id.is_empty() || !taken.insert(id.clone()) {
            id = format!("call_{index}{}", if id.is_empty() { String::new() } else { format!("_{id}") });
        }
        calls.push(ToolCall { id, name, arguments });
    }
    calls
}

/// A part of an answer, for the protocols that number them.
#[derive(Debug)]
pub(super) enum Block {
    Text(String),
    Call(DraftCall),
    /// A thought, with the signature by which its provider knows it again.
    Thought {
        text: String,
        signature: String,
    },
    /// What is only sent back, such as a thought that nobody may read.
    Opaque(Value),
}

/// The parts of an answer by their numbers.
#[derive(Debug, Default)]
pub(super) struct Blocks(BTreeMap<u64, Block>);

impl Blocks {
    pub(super) fn begin(&mut self, at: u64, block: Block) {
        self.0.insert(at, block);
    }

    pub(super) fn text(&mut self, at: u64, more: &str) {
        if let Block::Text(text) = self.0.entry(at).or_insert_with(|| Block::Text(String::new())) {
            text.push_str(more);
        }
    }

    pub(super) fn arguments(&mut self, at: u64, more: &str) {
        if let Some(Block::Call(call)) = self.0.get_mut(&at) {
            call.arguments.push_str(more);
        }
    }

    pub(super) fn thought(&mut self, at: u64, more: &str, signed: &str) {
        let empty = || Block::Thought { text: String::new(), signature: String::new() };
        if let Block::Thought { text, signature } = self.0.entry(at).or_insert_with(empty) {
            text.push_str(more);
            signature.push_str(signed);
        }
    }

    /// What people read of it so far.
    pub(super) fn said(&self) -> String {
        let texts = self.0.values().filter_map(|block| match block {
            Block::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// Ends the draft with these parts. If there are thoughts among them, `native` writes each part in the provider's
    /// own form; `None` if that is not possible.
    pub(super) fn end(&mut self, draft: &mut Draft, native: impl Fn(&Block) -> Option<Value>) {
        let is_thought = |block: &Block| matches!(block, Block::Thought { .. } | Block::Opaque(_));
        let is_silent = |block: &&Block| matches!(block, Block::Text(text) if text.trim().is_empty());
        if self.0.values().any(is_thought) {
            draft.native = self.0.values().filter(|block| !is_silent(block)).map(native).collect::<Option<Value>>();
        }
        draft.text = self.said();
        draft.calls = std::mem::take(&mut self.0)
            .into_values()
            .filter_map(|block| match block {
                Block::Call(call) => Some(call),
                _ => None,
            })
            .collect();
    }
}

/// A call's arguments as the object that some protocols want; `None` if they are not one. No arguments are an empty one.
pub(super) fn object(arguments: &str) -> Option<Value> {
    let json = if arguments.trim().is_empty() { "{}" } else { arguments };
    serde_json::from_str(json).ok().filter(Value::is_object)
}

/// A number of an answer; 0 if it is not there.
pub(super) fn count(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// A text of an answer; empty if it is not there.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
