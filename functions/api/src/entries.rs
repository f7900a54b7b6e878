//! The lines of a session's log, as the API shows them.

use domain::{Entry, EntryBody, ToolCall};

use crate::views::{EntryKind, EntryView, ToolCallView};

/// An entry with the fields that its kind has.
pub(crate) fn entry_view(entry: Entry) -> EntryView {
    let mut view = EntryView {
        seq: entry.seq,
        at: entry.at,
        turn: entry.turn,
        kind: EntryKind::User,
        text: String::new(),
        message: None,
        channel: None,
        sender: None,
        command: false,
        messages: vec![],
        tool_calls: vec![],
        tool: None,
        outcome: None,
        model: None,
        usage: None,
        cost: 0,
        stopped_by: None,
        reset_reason: None,
        code: None,
        detail: None,
        is_final: entry.body.is_final(),
    };
    match entry.body {
        EntryBody::User(user) => {
            view.text = user.text;
            view.message = Some(user.message);
            view.channel = Some(user.channel);
            view.sender = Some(user.sender);
            view.command = user.is_command;
        }
        EntryBody::Assistant(answer) => {
            view.kind = EntryKind::Assistant;
            view.text = answer.text;
            let call = |call: ToolCall| ToolCallView { name: call.name, arguments: call.arguments };
            view.tool_calls = answer.tool_calls.into_iter().map(call).collect();
            view.model = Some(answer.model);
            view.usage = Some(answer.usage);
            view.cost = answer.cost;
        }
        EntryBody::ToolResult(result) => {
            view.kind = EntryKind::ToolResult;
            view.text = result.text;
            view.tool = Some(result.name);
            view.outcome = Some(result.outcome);
        }
        EntryBody::Asked { code, text, .. } => {
            view.kind = EntryKind::Asked;
            view.text = text;
            view.code = Some(code);
        }
        EntryBody::Failed { text, detail } => {
            view.kind = EntryKind::Failed;
            view.text = text;
            view.detail = Some(detail);
        }
        EntryBody::Notice { text } => {
            view.kind = EntryKind::Notice;
            view.text = text;
        }
        EntryBody::Stopped { by } => {
            view.kind = EntryKind::Stopped;
            view.stopped_by = Some(by);
        }
        EntryBody::Reset { reason } => {
            view.kind = EntryKind::Reset;
            view.reset_reason = Some(reason);
        }
        EntryBody::Compaction { summary, model, usage, cost, .. } => {
            view.kind = EntryKind::Compaction;
            view.text = summary;
            view.model = Some(model);
            view.usage = Some(usage);
            view.cost = cost;
        }
        EntryBody::Dropped { messages, summary } => {
            view.kind = EntryKind::Dropped;
            view.text = summary.unwrap_or_default();
            view.messages = messages.into_iter().map(|user| user.message).collect();
        }
    }
    view
}
