//! `sessions_list`, `sessions_history`, `sessions_send`, `sessions_spawn`: the bot's other conversations, and work
//! that it gives to itself.

use domain::{Entry, EntryBody, SessionKey};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Outcome, Tool, ToolContext, ToolError, outside, schema};
use crate::Assignment;
use crate::transcript::cut;

const MAX_SESSIONS: usize = 50;
/// How many entries are shown when the model does not say, and at most.
const DEFAULT_ENTRIES: usize = 20;
const MAX_ENTRIES: usize = 100;
/// How much of an entry, and of all of them, is shown, in characters.
const MAX_ENTRY: usize = 1_500;
const MAX_HISTORY: usize = 20_000;
/// The longest task or message, in characters.
const MAX_TEXT: usize = 20_000;
const MAX_LABEL: usize = 60;

fn of(name: &'static str, description: &'static str, parameters: serde_json::Value) -> Tool {
    // What is said and spawned, the host says and spawns once.
    Tool { name, description, parameters, group: "sessions", may_repeat: true }
}

pub(super) fn list_tool() -> Tool {
    of("sessions_list", "Lists your conversations: with people first, newest first.", schema::of::<List>())
}

pub(super) fn history_tool() -> Tool {
    of("sessions_history", "Shows the end of one of your conversations.", schema::of::<History>())
}

pub(super) fn send_tool() -> Tool {
    let description = "Says something in another one of your conversations; what you answer there is sent to its chat.";
    of("sessions_send", description, schema::of::<Send>())
}

pub(super) fn spawn_tool() -> Tool {
    let description = "Gives a piece of work to a helper of yours, who works on it in a conversation of its own. \
                       Its result comes to you later as a message; tell the person that you wait, or answer NO_REPLY.";
    of("sessions_spawn", description, schema::of::<Spawn>())
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct List {}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct History {
    #[serde(alias = "session_key")]
    session_key: String,
    /// How many entries. Left out: 20.
    limit: Option<usize>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Send {
    #[serde(alias = "session_key")]
    session_key: String,
    message: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Spawn {
    /// Everything that the helper has to know: it sees nothing of this conversation.
    task: String,
    /// A few words.
    label: Option<String>,
}

pub(super) async fn list(_: List, context: &ToolContext<'_>) -> Outcome {
    let sessions = context.host.sessions().await?;
    let line = |info: &crate::SessionInfo| {
        let here = if info.session == *context.session { " (this one)" } else { "" };
        format!("{}{here}", info.session)
    };
    let lines: Vec<String> = sessions.iter().take(MAX_SESSIONS).map(line).collect();
    Ok(if lines.is_empty() { "There are none.".to_owned() } else { lines.join("\n") }.into())
}

pub(super) async fn history(arguments: History, context: &ToolContext<'_>) -> Outcome {
    let session = key(&arguments.session_key)?;
    let limit = arguments.limit.unwrap_or(DEFAULT_ENTRIES).clamp(1, MAX_ENTRIES);
    let entries = context.host.history(&session, limit).await?;
    let lines: Vec<String> = entries.iter().filter_map(line).collect();
    // The newest matter most.
    let (mut room, mut from) = (MAX_HISTORY, lines.len());
    while from > 0 && lines[from - 1].len() <= room {
        room -= lines[from - 1].len();
        from -= 1;
    }
    let text = lines[from..].join("\n");
    if text.is_empty() {
        return Ok("Nothing was said there yet.".into());
    }
    // Others wrote it.
    Ok(outside::framed(session.as_str(), &text, MAX_HISTORY).into())
}

pub(super) async fn send(call: &str, arguments: Send, context: &ToolContext<'_>) -> Outcome {
    let session = key(&arguments.session_key)?;
    let message = text("message", &arguments.message)?;
    if session == *context.session {
        let text = "This is the conversation that you are in: just answer.".to_owned();
        return Err(ToolError::RespondToModel(text));
    }
    context.host.say_in(call, &session, message).await?;
    Ok(format!("It was said in {session}; the answer goes to its chat.").into())
}

pub(super) async fn spawn(call: &str, arguments: Spawn, context: &ToolContext<'_>) -> Outcome {
    let task = text("task", &arguments.task)?.to_owned();
    let label = arguments.label.as_deref().map(str::trim).filter(|label| !label.is_empty());
    let label = cut(label.unwrap_or_else(|| task.lines().next().unwrap_or_default()), MAX_LABEL).0.to_owned();
    let session = context.host.spawn(call, Assignment { task, label }).await?;
    Ok(format!("A helper works on it in {session}. Its result comes to you as a message.").into())
}

/// The key of a session. The host knows only the bot's own ones, and refuses others.
fn key(text: &str) -> Result<SessionKey, ToolError> {
    text.trim().parse().map_err(|_| {
        let shown: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
        ToolError::RespondToModel(format!("You hold no conversation `{shown}`. `sessions_list` names yours."))
    })
}

fn text<'a>(field: &str, text: &'a str) -> Result<&'a str, ToolError> {
    match text.chars().count() {
        0 => Err(ToolError::RespondToModel(format!("`{field}` is empty."))),
        1..=MAX_TEXT => Ok(text),
        _ => Err(ToolError::RespondToModel(format!("`{field}` is longer than {MAX_TEXT} characters."))),
    }
}

/// An entry as a line, if somebody said something.
fn line(entry: &Entry) -> Option<String> {
    let (who, text) = match &entry.body {
        EntryBody::User(user) => (user.sender.name.as_deref().unwrap_or(&user.sender.id), &user.text),
        EntryBody::Assistant(answer) => ("you", &answer.text),
        EntryBody::Notice { text } | EntryBody::Failed { text, .. } => ("you", text),
        _ => return None,
    };
    if text.trim().is_empty() {
        return None;
    }
    let (shown, left_out) = cut(text, MAX_ENTRY);
    let rest = if left_out > 0 { format!(" [… {left_out} more characters]") } else { String::new() };
    Some(format!("{who}: {shown}{rest}"))
}
