//! The lines of a session's log, as the API shows them.

use std::collections::HashSet;

use domain::heartbeat::{heartbeat_reply, is_silent_reply};
use domain::{BotId, Entry, EntryBody, JobId, Media, ToolCall, TurnId};

use crate::views::{EntryKind, EntryView, KeptFile, ToolCallView};

fn kept_file(media: Media) -> KeptFile {
    KeptFile { id: media.id.to_string(), mime: media.mime, size: media.size, name: media.name }
}

/// Entries of one of the bot's sessions, in their order. `heartbeats` has the turns of earlier entries that are heartbeats, and gets
/// those of these.
pub(crate) fn entry_views(bot: BotId, entries: Vec<Entry>, heartbeats: &mut HashSet<TurnId>) -> Vec<EntryView> {
    let heartbeat = JobId::heartbeat_of(bot);
    let is_heartbeats = |entry: &&Entry| entry.body.messages().iter().any(|user| user.sender.job() == Some(heartbeat));
    heartbeats.extend(entries.iter().filter(is_heartbeats).map(|entry| entry.turn));
    let view = |entry: Entry| {
        let is_heartbeat = heartbeats.contains(&entry.turn);
        entry_view(entry, is_heartbeat)
    };
    entries.into_iter().map(view).collect()
}

/// An entry with the fields that its kind has.
fn entry_view(entry: Entry, is_heartbeat: bool) -> EntryView {
    let mut view = EntryView {
        seq: entry.seq,
        at: entry.at,
        turn: entry.turn,
        kind: EntryKind::User,
        text: String::new(),
        message: None,
        channel: None,
        sender: None,
        author: Default::default(),
        command: false,
        silent: false,
        messages: vec![],
        files: vec![],
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
            view.author = user.sender.author();
            view.sender = Some(user.sender);
            view.command = user.is_command;
            view.files = user.attachments.into_iter().filter_map(|file| file.media).map(kept_file).collect();
        }
        EntryBody::Event(user) => {
            view.kind = EntryKind::Event;
            view.text = user.text;
            view.message = Some(user.message);
            view.channel = Some(user.channel);
            view.sender = Some(user.sender);
        }
        EntryBody::Assistant(answer) => {
            view.kind = EntryKind::Assistant;
            view.silent = answer.tool_calls.is_empty()
                && (is_silent_reply(&answer.text) || (is_heartbeat && heartbeat_reply(&answer.text).is_none()));
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
            view.files = result.media.into_iter().map(kept_file).collect();
            if let Some(asked) = result.asked {
                view.model = Some(asked.model);
                view.usage = Some(asked.usage);
                view.cost = asked.cost;
            }
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
