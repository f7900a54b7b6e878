//! Calls the `WhatsApp` Cloud API.

use std::time::Duration;

use bytes::Bytes;
use domain::{Address, Button, Media};
use reqwest::RequestBuilder;
use reqwest::multipart::{Form, Part};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::rest::{self, file_name, told};
use crate::{DownloadError, MAX_DOWNLOAD, SendError};

/// Where Meta's Graph API is.
pub const API_BASE: &str = "https://graph.facebook.com";

const VERSION: &str = "v23.0";

/// The longest that a call may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The longest text that buttons stand below, in characters.
pub const MAX_ABOVE_BUTTONS: usize = 1024;

/// Meta's bounds of an interactive message: its buttons, and their labels, in characters.
const MAX_BUTTONS: usize = 3;
const MAX_LABEL: usize = 20;
const MAX_BUTTON_ID: usize = 256;

/// How long one person is left alone when they were sent too much: one message in six seconds is taken.
const PAIR_PAUSE: Duration = Duration::from_secs(6);

/// A bot's login on `WhatsApp`. Sealed as JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Of a system user, so that it does not expire.
    pub access_token: String,
    /// "App settings", "Basic" of the app's page: what signs webhooks.
    pub app_secret: String,
}

/// Shows nothing that is secret.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Calls the API for whichever number and token it is given. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    api_base: String,
    timeout: Duration,
}

/// One number of a business, and the token that works for it.
#[derive(Clone, Copy)]
pub struct Number<'a> {
    pub id: &'a str,
    pub token: &'a str,
}

/// What a number is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Identity {
    pub id: String,
    /// `+1 555 010 0000`
    #[serde(default)]
    pub display_phone_number: String,
}

/// What Meta says of a number and of whom it is shown as. Fields that Meta leaves out are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// `+1 555 010 0000`
    pub display_phone_number: String,
    /// The name that people see.
    pub verified_name: String,
    /// `GREEN`, `YELLOW` or `RED`: what people think of its messages.
    pub quality_rating: String,
    /// `CONNECTED`, or why it is not.
    pub status: String,
    /// Whether Meta approves the name: `APPROVED`, `DECLINED`, …
    pub name_status: String,
    /// Whether the number was shown to be its owner's: `VERIFIED`, `NOT_VERIFIED`, or `EXPIRED` once the code is old.
    pub code_verification_status: String,
}

/// The fields of [`Standing`], as Meta is asked for them.
const STANDING: &str = "display_phone_number,verified_name,quality_rating,status,name_status,code_verification_status";

#[derive(Deserialize)]
struct Sent {
    messages: Vec<Id>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

/// Where a file is, for five minutes.
#[derive(Deserialize)]
struct File {
    url: String,
    file_size: Option<u64>,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Fault,
}

/// What Meta says of a message that it does not deliver: in an answer, or later in a webhook.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Fault {
    /// `None`: it was not Meta that answered.
    #[serde(default)]
    pub(super) code: Option<u64>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    error_data: Details,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Details {
    #[serde(default)]
    details: String,
}

impl Fault {
    /// What it means for the bot's owner, in a sentence.
    pub(super) fn explained(&self) -> String {
        let Fault { code, message, title, error_data: Details { details } } = self;
        let Some(code) = code else {
            return "something on the way to WhatsApp answered in its place".to_owned();
        };
        let advice = match code {
            131_047 => {
                "WhatsApp lets a bot write only within 24 hours after the person's last message. Wait until they write \
                 again, or send them an approved template from Meta's console"
            }
            131_026 => "The person has no WhatsApp, an old one, or has not accepted its terms",
            131_030 => "With a test number, add the person to the list of recipients in \"API Setup\"",
            131_042 | 131_031 => "Look at the payment method and the state of the account in Meta's business manager",
            131_049 | 130_472 => "Meta limits what businesses send to this person; try again tomorrow",
            131_053 | 131_052 => "WhatsApp does not take this file",
            190 => "The access token has expired or was revoked; make one of a system user, which does not expire",
            _ => "Meta's list of error codes says more",
        };
        let said = [details, message, title].into_iter().find(|text| !text.trim().is_empty());
        let said = said.map(|text| format!(" ({})", text.trim().trim_end_matches('.'))).unwrap_or_default();
        format!("{advice}: code {code}{said}")
    }
}

impl Client {
    /// `api_base` is [`API_BASE`], or where a test listens.
    pub fn new(http: reqwest::Client, api_base: &str) -> Client {
        Client { http, api_base: api_base.trim_end_matches('/').to_owned(), timeout: TIMEOUT }
    }

    /// The same client with another limit for each call.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Client {
        Client { timeout, ..self }
    }

    /// What the number is. The way to check a token.
    pub async fn identity(&self, number: Number<'_>) -> Result<Identity, SendError> {
        let url = format!("{}?fields=id,display_phone_number", self.url(number, ""));
        self.read(number, self.http.get(url)).await
    }

    /// How the number stands with Meta.
    pub async fn standing(&self, number: Number<'_>) -> Result<Standing, SendError> {
        let url = format!("{}?fields={STANDING}", self.url(number, ""));
        self.read(number, self.http.get(url)).await
    }

    /// Sends text in `WhatsApp`'s markup with buttons below it, and returns the message's id. Below more than
    /// [`MAX_ABOVE_BUTTONS`] characters there are none.
    ///
    /// The API has no idempotency key: after [`SendError::Temporary`] the message may have been sent.
    pub async fn send_text(
        &self,
        number: Number<'_>,
        address: &Address,
        text: &str,
        buttons: &[Button],
    ) -> Result<String, SendError> {
        let buttons = replies(buttons);
        if buttons.is_empty() || text.chars().count() > MAX_ABOVE_BUTTONS {
            return self.send(number, address, "text", json!({ "preview_url": false, "body": text })).await;
        }
        let interactive = json!({ "type": "button", "body": { "text": text }, "action": { "buttons": buttons } });
        self.send(number, address, "interactive", interactive).await
    }

    /// Uploads a file and sends it: pictures, sounds and films as such. Returns the message's id.
    pub async fn send_file(
        &self,
        number: Number<'_>,
        address: &Address,
        media: &Media,
        bytes: Bytes,
    ) -> Result<String, SendError> {
        let length = bytes.len() as u64;
        let file = Part::stream_with_length(bytes, length).file_name(file_name(media));
        let file = file.mime_str(&media.mime).map_err(|_| SendError::Rejected("not a media type".to_owned()))?;
        let form = Form::new().text("messaging_product", "whatsapp").text("type", media.mime.clone());
        let request = self.http.post(self.url(number, "/media")).multipart(form.part("file", file));
        let uploaded: Id = self.read(number, request).await?;
        match kind(&media.mime) {
            "document" => {
                let document = json!({ "id": uploaded.id, "filename": file_name(media) });
                self.send(number, address, "document", document).await
            }
            kind => self.send(number, address, kind, json!({ "id": uploaded.id })).await,
        }
    }

    /// Fetches a file that came with a message, by its id.
    pub async fn download(&self, token: &str, media: &str) -> Result<Bytes, DownloadError> {
        if media.is_empty() || !media.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
            return Err(SendError::Rejected("the file's id is none of Meta's".to_owned()).into());
        }
        let number = Number { id: media, token };
        let file: File = self.read(number, self.http.get(self.url(number, ""))).await?;
        if file.file_size.is_some_and(|size| size > MAX_DOWNLOAD as u64) {
            return Err(DownloadError::TooLarge);
        }
        let url = rest::file_url(&file.url, &self.api_base, &["fbsbx.com", "facebook.com", "whatsapp.net"])?;
        rest::download(self.http.get(url).bearer_auth(token), self.timeout, token).await
    }

    async fn send(
        &self,
        number: Number<'_>,
        address: &Address,
        kind: &str,
        content: Value,
    ) -> Result<String, SendError> {
        let mut message = json!({
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": address.chat,
            "type": kind,
        });
        message[kind] = content;
        if let Some(replied) = &address.reply_to {
            message["context"] = json!({ "message_id": replied });
        }
        let request = self.http.post(self.url(number, "/messages")).json(&message);
        let sent: Sent = self.read(number, request).await?;
        let id = sent.messages.into_iter().next().map(|message| message.id);
        id.ok_or_else(|| SendError::Temporary("an answer without the message's id".to_owned()))
    }

    fn url(&self, number: Number<'_>, path: &str) -> String {
        format!("{}/{VERSION}/{}{path}", self.api_base, number.id)
    }

    async fn read<T: DeserializeOwned>(&self, number: Number<'_>, request: RequestBuilder) -> Result<T, SendError> {
        let answer = rest::call(request.bearer_auth(number.token), self.timeout, number.token).await?;
        if answer.is_success() { answer.json() } else { Err(failure(&answer, number.token)) }
    }
}

/// <https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes>
fn failure(answer: &rest::Answer, token: &str) -> SendError {
    let Refusal { error } = serde_json::from_slice(&answer.body).unwrap_or_default();
    let detail = told(&error.explained(), token);
    let Some(code) = error.code else {
        return match answer.status {
            401 => SendError::Unauthorised(detail),
            429 => answer.rate_limited(),
            status => SendError::Temporary(format!("status {status}: {detail}")),
        };
    };
    match (answer.status, code) {
        (_, 131_056) => SendError::RateLimited { retry_after: PAIR_PAUSE },
        (429, _) | (_, 4 | 80_007 | 130_429) => answer.rate_limited(),
        (401, _) | (_, 0 | 190) if answer.status < 500 => SendError::Unauthorised(detail),
        (_, 131_021 | 131_026 | 131_030 | 131_047 | 131_049 | 130_472) => SendError::Unreachable(detail),
        (500.., _) | (_, 1 | 2 | 131_000 | 131_016) => SendError::Temporary(detail),
        _ => SendError::Rejected(detail),
    }
}

/// What the API calls a file of this type; any other kind of picture, sound or film it takes as a document.
fn kind(mime: &str) -> &'static str {
    match mime {
        "image/jpeg" | "image/png" => "image",
        "audio/aac" | "audio/amr" | "audio/mp4" | "audio/mpeg" | "audio/ogg" => "audio",
        "video/3gpp" | "video/mp4" => "video",
        _ => "document",
    }
}

fn replies(buttons: &[Button]) -> Vec<Value> {
    let fits = |button: &&Button| {
        (1..=MAX_BUTTON_ID).contains(&button.command.chars().count()) && !button.label.trim().is_empty()
    };
    let reply = |button: &Button| {
        let title: String = button.label.chars().take(MAX_LABEL).collect();
        json!({ "type": "reply", "reply": { "id": button.command, "title": title } })
    };
    buttons.iter().filter(fits).take(MAX_BUTTONS).map(reply).collect()
}
