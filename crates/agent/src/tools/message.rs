//! `message`: says something in a chat before, or beside, the answer; sends files.

use domain::media::type_of_name;
use domain::{EntryBody, Media, MediaId};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Outcome, Output, Tool, ToolContext, ToolError, path, picture, schema};
use crate::{Place, ToSend};

/// The longest text, in characters.
const MAX_TEXT: usize = 20_000;
/// How many places are named to a model that names none of them.
const MAX_PLACES: usize = 20;

pub(super) fn tool() -> Tool {
    Tool {
        name: "message",
        description: "Sends a message, with a file if you like, to this chat or another one that you hold. \
                      Your answer is sent by itself: do not send it with this.",
        parameters: schema::of::<Arguments>(),
        group: "messaging",
        // The host sends it once.
        may_repeat: true,
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// Only `send`.
    action: Option<String>,
    /// Session key or channel:chat, such as telegram:555. Left out: this chat.
    #[serde(alias = "to")]
    target: Option<String>,
    /// Markdown.
    #[serde(default)]
    message: String,
    /// A file to send: a path in your workspace, or the id of a kept file.
    media: Option<String>,
}

pub(super) async fn run(call: &str, arguments: Arguments, context: &ToolContext<'_>) -> Outcome {
    let Arguments { action, target, message, media } = arguments;
    if action.is_some_and(|action| action != "send") {
        return Err(ToolError::RespondToModel("This tool can only `send`.".to_owned()));
    }
    if message.trim().is_empty() && media.is_none() {
        return Err(ToolError::RespondToModel(
            "There is nothing to send: give `message`, `media`, or both.".to_owned(),
        ));
    }
    if message.chars().count() > MAX_TEXT {
        let text = format!("The message is longer than {MAX_TEXT} characters. Send less, or a file.");
        return Err(ToolError::RespondToModel(text));
    }
    let target = target.as_deref().map(str::trim).filter(|target| !target.is_empty());
    // A session may be older than all that are listed.
    let session = target.map_or_else(|| Some(context.session.clone()), |target| target.parse().ok());
    let held = match session {
        Some(session) => context.host.place(&session).await?,
        None => None,
    };
    let place = match (held, target) {
        (Some(place), _) => place,
        (None, Some(target)) => find(context.host.places().await?, target).map_err(ToolError::RespondToModel)?,
        (None, None) => {
            return Err(ToolError::RespondToModel(
                "This conversation is held in no chat. Name one as `target`.".to_owned(),
            ));
        }
    };
    let place = &place;
    let media = match media {
        None => vec![],
        Some(id) if id.parse::<MediaId>().is_ok() => vec![kept(&id, context).await?],
        Some(path) => {
            let path = path::checked(&path).map_err(ToolError::RespondToModel)?;
            let file = context.host.file_read(&path).await?;
            let file = file.ok_or_else(|| ToolError::RespondToModel(format!("There is no file `{path}`.")))?;
            let mime = type_of(&path, &file.bytes);
            vec![context.host.media_keep(file.bytes, mime, path.rsplit('/').next()).await?]
        }
    };
    // What is shown in a chat that reads the log is the log.
    if place.reply.channel.is_read_from_log() && place.session == *context.session && message.trim().is_empty() {
        return Ok(Output { text: "It is shown in this chat.".to_owned(), media });
    }
    context.host.send(call, place, ToSend { text: message, media }).await?;
    Ok(format!("It is on its way to {}.", name(place)).into())
}

/// A file that came with a message or that a tool made.
async fn kept(id: &str, context: &ToolContext<'_>) -> Result<Media, ToolError> {
    let id: MediaId =
        id.parse().map_err(|error: domain::media::BadMediaId| ToolError::RespondToModel(error.to_string()))?;
    let bytes = context.host.media(&id).await?;
    // What is known of it stands in the conversation.
    let known =
        context.entries.iter().rev().find_map(|entry| media_of(&entry.body).find(|media| media.id == id).cloned());
    let unknown = || Media { mime: type_of("", &bytes).to_owned(), size: bytes.len() as u64, name: None, id };
    Ok(known.unwrap_or_else(unknown))
}

fn media_of(body: &EntryBody) -> impl Iterator<Item = &Media> {
    let attached = body.messages().iter().flat_map(|user| &user.attachments);
    let attached = attached.filter_map(|attachment| attachment.media.as_ref());
    let of_tool = match body {
        EntryBody::ToolResult(result) => result.media.as_slice(),
        _ => &[],
    };
    attached.chain(of_tool)
}

/// What a file is: by its bytes, else by its name.
fn type_of(name: &str, bytes: &[u8]) -> &'static str {
    picture::sniff(bytes).or_else(|| type_of_name(name)).unwrap_or("application/octet-stream")
}

/// The place that is meant, of those that may be.
fn find(mut places: Vec<Place>, target: &str) -> Result<Place, String> {
    let fits = |place: &Place| place.session.as_str() == target || name(place) == target;
    if let Some(at) = places.iter().position(fits) {
        return Ok(places.swap_remove(at));
    }
    Err({
        let shown: String = target.chars().filter(|c| !c.is_control()).take(80).collect();
        let known: Vec<String> = places.iter().take(MAX_PLACES).map(name).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        format!(
            "`{shown}` is no chat that you may write to. You may write to: {known}; and to any other one that you hold, by its \
             session key (`sessions_list`)."
        )
    })
}

fn name(place: &Place) -> String {
    format!("{}:{}", place.reply.channel, place.reply.address.chat)
}
