//! `web_fetch`: a page from the public web as text that a model can read.

mod nesting;
mod page;

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use reqwest::{Client, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::timeout;
use url::Url;

use super::{Tool, ToolError, outside, schema};
use crate::AgentError;
use crate::transcript::cut;
use egress::{Guard, Refused};

pub(super) const NAME: &str = "web_fetch";

/// How much of a response is read, in bytes.
const MAX_BODY: usize = 2_000_000;
/// All of it: redirects, the body, and making sense of the page.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How much of a page the model gets when it does not say, and at most, in characters.
const DEFAULT_CHARS: usize = 20_000;
const MAX_CHARS: usize = 50_000;
/// Some sites refuse clients that do not say who they are.
pub(super) const AGENT: &str = concat!("Mozilla/5.0 (compatible; Lowtide/", env!("CARGO_PKG_VERSION"), ")");

pub(super) fn describe() -> Tool {
    Tool {
        name: NAME,
        description: "Fetches a public web page or a text or JSON file, and gives its readable content.",
        parameters: schema::of::<Arguments>(),
        group: "web",
        may_repeat: true,
    }
}

/// The arguments. OpenClaw's skills write them in camel case, which is understood too.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// The http or https URL.
    url: String,
    /// How a page is given. Left out: markdown.
    #[serde(alias = "extractMode")]
    extract_mode: Option<ExtractMode>,
    /// How many characters to give at most. Left out: 20000; no more than 50000.
    #[serde(alias = "maxChars")]
    max_chars: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ExtractMode {
    #[default]
    Markdown,
    Text,
}

/// The client that pages are fetched with.
#[derive(Debug)]
pub(super) struct WebFetch {
    guard: Guard,
    client: Client,
}

/// What a server sent.
struct Body {
    /// Where it came from after all redirects.
    url: Url,
    /// The media type without its parameters, in lower case; empty if none was sent.
    media_type: String,
    text: String,
    cut_off: bool,
}

impl WebFetch {
    pub(super) fn new(guard: Guard) -> Result<WebFetch, AgentError> {
        Ok(WebFetch { client: guard.client(guard.redirects())?, guard })
    }

    pub(super) async fn run(&self, arguments: &Arguments) -> Result<String, ToolError> {
        let url = Url::parse(arguments.url.trim())
            .map_err(|error| respond(format!("`{}` is not a URL: {error}.", cut(&arguments.url, 200).0)))?;
        self.guard.check_url(&url).map_err(|refused| respond(refusal(&refused)))?;
        let mode = arguments.extract_mode.unwrap_or_default();
        let max_chars = arguments.max_chars.map_or(DEFAULT_CHARS, |max| usize::try_from(max).unwrap_or(MAX_CHARS));
        let read = async { readable(self.get(url).await?, mode, max_chars.clamp(1, MAX_CHARS)).await };
        let too_slow = |_| Err(respond(format!("The page could not be read within {} s.", TIMEOUT.as_secs())));
        timeout(TIMEOUT, read).await.unwrap_or_else(too_slow)
    }

    async fn get(&self, url: Url) -> Result<Body, ToolError> {
        let request = self.client.get(url).header(USER_AGENT, AGENT).header(ACCEPT, "text/html, */*;q=0.5");
        let failed = |error| respond(format!("The page could not be fetched: {}.", egress::describe(&error)));
        let mut response = request.send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(respond(format!("The server answered with status {}.", response.status())));
        }
        let (media_type, charset) = content_type(&response);
        if !is_text(&media_type) {
            let size = response.content_length().map(|size| format!(" of {size} bytes")).unwrap_or_default();
            let text = format!("This is a file{size} of type {media_type}, which cannot be read as text.");
            return Err(respond(text));
        }
        let (bytes, cut_off) = egress::read_capped(&mut response, MAX_BODY).await.map_err(failed)?;
        Ok(Body { url: response.url().clone(), media_type, text: decode(&bytes, &charset), cut_off })
    }
}

fn respond(text: String) -> ToolError {
    ToolError::RespondToModel(text)
}

fn refusal(refused: &Refused) -> String {
    format!("The URL is refused: {refused}.")
}

/// Media type and charset, both in lower case and empty where the server does not say.
fn content_type(response: &Response) -> (String, String) {
    let header = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let header = header.to_ascii_lowercase();
    let mut parts = header.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_owned();
    let charset = parts.find_map(|part| part.strip_prefix("charset=")).unwrap_or_default();
    (media_type, charset.trim_matches('"').to_owned())
}

fn is_text(media_type: &str) -> bool {
    media_type.is_empty()
        || media_type.starts_with("text/")
        || media_type.ends_with("+json")
        || media_type.ends_with("+xml")
        || matches!(
            media_type,
            "application/json"
                | "application/xml"
                | "application/x-ndjson"
                | "application/yaml"
                | "application/javascript"
        )
}

/// UTF-8, or the one old encoding that is still common and whose bytes are its characters.
fn decode(bytes: &[u8], charset: &str) -> String {
    match charset {
        "iso-8859-1" | "latin1" | "windows-1252" => bytes.iter().copied().map(char::from).collect(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

async fn readable(body: Body, mode: ExtractMode, max_chars: usize) -> Result<String, ToolError> {
    let Body { url, media_type, text, cut_off } = body;
    let address = url.to_string();
    let text = if matches!(media_type.as_str(), "text/html" | "application/xhtml+xml") {
        // Long pages take a processor for hundreds of milliseconds.
        let page = tokio::task::spawn_blocking(move || page::readable(&text, url.as_str(), mode)).await;
        page.map_err(|error| ToolError::Fatal(format!("reading a page: {error}")))?.map_err(respond)?
    } else {
        text
    };
    let mut framed = outside::framed(&address, &text, max_chars);
    if cut_off {
        framed.push_str(&format!("\n(Only the first {MAX_BODY} bytes were read.)"));
    }
    Ok(framed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_by_their_charset() {
        assert_eq!(decode(b"caf\xe9", "iso-8859-1"), "café");
        assert_eq!(decode("café".as_bytes(), "utf-8"), "café");
        assert_eq!(decode(b"caf\xe9", ""), "caf\u{fffd}");
    }
}
