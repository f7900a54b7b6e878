//! `message`: says something in a chat before, or beside, the answer; sends files.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Outcome, Tool, ToolContext, ToolError, path, picture, schema};
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
    /// Path of a workspace file to send.
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
    let places = context.host.places().await?;
    let place = find(&places, target.as_deref()).map_err(ToolError::RespondToModel)?;
    let media = match media {
        None => vec![],
        Some(path) => {
            let path = path::checked(&path).map_err(ToolError::RespondToModel)?;
            let file = context.host.file_read(&path).await?;
            let file = file.ok_or_else(|| ToolError::RespondToModel(format!("There is no file `{path}`.")))?;
            let mime = picture::sniff(&file.bytes).unwrap_or("application/octet-stream");
            vec![context.host.media_keep(file.bytes, mime, path.rsplit('/').next()).await?]
        }
    };
    context.host.send(call, place, ToSend { text: message, media }).await?;
    Ok(format!("It is on its way to {}.", name(place)).into())
}

/// The place that is meant: the first one is where the turn is held.
fn find<'a>(places: &'a [Place], target: Option<&str>) -> Result<&'a Place, String> {
    let Some(target) = target.map(str::trim).filter(|target| !target.is_empty()) else {
        return places.first().ok_or_else(|| "This conversation is held in no chat.".to_owned());
    };
    let fits = |place: &&Place| place.session.as_str() == target || name(place) == target;
    places.iter().find(fits).ok_or_else(|| {
        let shown: String = target.chars().filter(|c| !c.is_control()).take(80).collect();
        let known: Vec<String> = places.iter().take(MAX_PLACES).map(name).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        format!("`{shown}` is no chat that you may write to. You may write to: {known}.")
    })
}

fn name(place: &Place) -> String {
    format!("{}:{}", place.reply.channel, place.reply.address.chat)
}
