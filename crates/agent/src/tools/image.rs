//! `image`: looks at a picture.

use std::time::Duration;

use bytes::Bytes;
use domain::{Media, MediaId, ToolCall};
use reqwest::Client;
use reqwest::header::{ACCEPT, USER_AGENT};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::timeout;
use url::Url;

use super::web_fetch::AGENT;
use super::{Tool, ToolContext, ToolError, path, picture, schema};
use crate::transcript::cut;
use crate::{AgentError, HostError};
use egress::Guard;

pub(crate) const NAME: &str = "image";

/// The largest picture that is looked at, in bytes.
const MAX_SIZE: usize = 5_000_000;
/// How much of the prompt is repeated, in characters.
const MAX_PROMPT: usize = 2_000;
const TIMEOUT: Duration = Duration::from_secs(20);

pub(super) fn describe() -> Tool {
    Tool {
        name: NAME,
        description: "Shows you a picture (PNG, JPEG, GIF or WebP, at most 5 MB), or tells you what another model sees \
                      in it.",
        parameters: schema::of::<Arguments>(),
        group: "media",
        may_repeat: true,
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// A file of the workspace by its path, a kept file by its id, or an http(s) URL.
    image: String,
    /// What to look for in it.
    prompt: Option<String>,
}

/// The client that pictures are fetched with.
#[derive(Debug)]
pub(super) struct Image {
    guard: Guard,
    client: Client,
}

impl Image {
    pub(super) fn new(guard: Guard) -> Result<Image, AgentError> {
        Ok(Image { client: guard.client(guard.redirects())?, guard })
    }

    /// The picture itself goes with the result, for the model, or the one that looks for it, to see.
    pub(super) async fn run(
        &self,
        arguments: &Arguments,
        context: &ToolContext<'_>,
    ) -> Result<(String, Vec<Media>), ToolError> {
        let wanted = arguments.image.trim();
        let media = if let Ok(id) = wanted.parse::<MediaId>() {
            let bytes = context.host.media(&id).await.map_err(failed)?;
            let mime = picture_type(&bytes)?;
            Media { id, mime: mime.to_owned(), size: bytes.len() as u64, name: None }
        } else if is_url(wanted) {
            let too_slow = |_| Err(respond(format!("The picture could not be read within {} s.", TIMEOUT.as_secs())));
            let bytes = timeout(TIMEOUT, self.fetch(wanted)).await.unwrap_or_else(too_slow)?;
            kept(bytes, None, context).await?
        } else {
            let path = path::checked(wanted).map_err(respond)?;
            let file = context.host.file_read(&path).await.map_err(failed)?;
            let file = file.ok_or_else(|| respond(format!("The workspace has no file `{path}`.")))?;
            kept(file.bytes, path.rsplit('/').next(), context).await?
        };
        Ok((told(&media, arguments.prompt.as_deref()), vec![media]))
    }

    async fn fetch(&self, url: &str) -> Result<Bytes, ToolError> {
        let url = Url::parse(url).map_err(|error| respond(format!("This is not a URL: {error}.")))?;
        self.guard.check_url(&url).map_err(|refused| respond(format!("The URL is refused: {refused}.")))?;
        let failed = |error| respond(format!("The picture could not be fetched: {}.", egress::describe(&error)));
        let request = self.client.get(url).header(USER_AGENT, AGENT).header(ACCEPT, "image/*");
        let mut response = request.send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(respond(format!("The server answered with status {}.", response.status())));
        }
        let (bytes, cut_off) = egress::read_capped(&mut response, MAX_SIZE).await.map_err(failed)?;
        if cut_off { Err(too_large()) } else { Ok(bytes.into()) }
    }
}

/// What a call wants to know of its picture; empty if it does not say.
pub(crate) fn prompt_of(call: &ToolCall) -> String {
    let arguments = serde_json::from_str::<Arguments>(&call.arguments).ok();
    let prompt = arguments.and_then(|arguments| arguments.prompt).unwrap_or_default();
    cut(prompt.trim(), MAX_PROMPT).0.to_owned()
}

/// A case-blind look at the scheme: any other text with a colon may be a file's name.
fn is_url(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

async fn kept(bytes: Bytes, name: Option<&str>, context: &ToolContext<'_>) -> Result<Media, ToolError> {
    let mime = picture_type(&bytes)?;
    context.host.media_keep(bytes, mime, name).await.map_err(failed)
}

/// What kind of picture these bytes are, whatever they were called.
fn picture_type(bytes: &[u8]) -> Result<&'static str, ToolError> {
    if bytes.len() > MAX_SIZE {
        return Err(too_large());
    }
    let not_a_picture = || respond("This is no picture that can be looked at: PNG, JPEG, GIF or WebP.");
    picture::sniff(bytes).ok_or_else(not_a_picture)
}

fn told(media: &Media, prompt: Option<&str>) -> String {
    let mut told = format!("A picture ({}, {} bytes), kept as {}.", media.mime, media.size, media.id);
    if let Some(prompt) = prompt.map(str::trim).filter(|prompt| !prompt.is_empty()) {
        told.push_str(&format!("\nTo look for: {}", cut(prompt, MAX_PROMPT).0));
    }
    told
}

fn too_large() -> ToolError {
    respond(format!("The picture is larger than {MAX_SIZE} bytes."))
}

fn respond(text: impl Into<String>) -> ToolError {
    ToolError::RespondToModel(text.into())
}

fn failed(error: HostError) -> ToolError {
    match error {
        HostError::Failed(detail) => ToolError::Fatal(detail),
        refused => respond(refused.to_string()),
    }
}

#[cfg(test)]
mod tests;
