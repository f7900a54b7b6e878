//! Writes down what is said in recordings: an endpoint like OpenAI's `/audio/transcriptions`.

use std::time::Duration;

use bytes::Bytes;
use reqwest::multipart::{Form, Part};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::{AgentConfig, AgentError, BotView};
use egress::Guard;

/// How long a recording may take to be written down.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// What somebody said.
#[derive(Clone, Debug)]
pub struct Recording {
    pub bytes: Bytes,
    /// As sniffed, such as `audio/ogg`.
    pub mime: String,
}

/// Why a recording was not written down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// The bot has nobody who does it.
    #[error("no transcription is set up")]
    NoEars,
    /// For the owner's logs: it may hold what the server said.
    #[error("{0}")]
    Failed(String),
}

/// The client that recordings are sent with.
#[derive(Debug)]
pub(crate) struct Ears {
    client: Client,
    /// `None`: any address may be called.
    guard: Option<Guard>,
}

#[derive(Deserialize)]
struct Transcript {
    text: String,
}

impl Ears {
    pub(crate) fn new(config: &AgentConfig) -> Result<Ears, AgentError> {
        let guard = (!config.private_models).then(Guard::default);
        // As with models: a redirect would take the key and the recording elsewhere.
        let client = match &guard {
            Some(guard) => guard.client(Policy::none())?,
            None => egress::unguarded_client(Policy::none())?,
        };
        Ok(Ears { client, guard })
    }

    pub(crate) async fn listen(&self, bot: &BotView<'_>, recording: Recording) -> Result<String, ListenError> {
        let Some(settings) = &bot.abilities.transcription else { return Err(ListenError::NoEars) };
        let failed = |what: &str| ListenError::Failed(what.to_owned());
        let mut url =
            Url::parse(&settings.base_url).map_err(|_| failed("the transcription's base URL is not a URL"))?;
        if let Some(Err(refused)) = self.guard.as_ref().map(|guard| guard.check_url(&url)) {
            return Err(ListenError::Failed(format!("the transcription's base URL: {refused}")));
        }
        url.set_path(&format!("{}/audio/transcriptions", url.path().trim_end_matches('/')));
        let Recording { bytes, mime } = recording;
        let length = bytes.len() as u64;
        let name = format!("recording.{}", ending(&mime));
        let part = Part::stream_with_length(bytes, length).file_name(name).mime_str(&mime);
        let part = part.map_err(|_| failed("the recording has no media type"))?;
        let form = Form::new().text("model", settings.model.clone()).text("response_format", "json").part("file", part);
        let mut request = self.client.post(url).multipart(form).timeout(TIMEOUT);
        if let Some(key) = &bot.secrets.transcription {
            request = request.bearer_auth(key.expose());
        }
        let no_answer = |error: reqwest::Error| ListenError::Failed(format!("no answer: {}", error.without_url()));
        let mut response = request.send().await.map_err(no_answer)?;
        if response.status() != StatusCode::OK {
            return Err(ListenError::Failed(format!("the transcription's server answered {}", response.status())));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(failed("the transcription is too long"));
            }
            body.extend_from_slice(&chunk);
        }
        let transcript: Transcript =
            serde_json::from_slice(&body).map_err(|_| failed("the transcription's server answered no transcript"))?;
        Ok(transcript.text.trim().to_owned())
    }
}

/// Servers tell formats by the name's ending.
fn ending(mime: &str) -> &str {
    match mime {
        "audio/mpeg" => "mp3",
        "audio/mp4" => "m4a",
        _ => mime.split('/').nth(1).unwrap_or("bin"),
    }
}
