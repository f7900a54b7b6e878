//! Calls Discord's REST API.

use std::time::Duration;

use bytes::Bytes;
use domain::control::CommandInfo;
use domain::{Address, Button, Media};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::rest::{self, file_name, told};
use crate::{DownloadError, SendError};

/// Where Discord's API is.
pub const API_BASE: &str = "https://discord.com";

/// The longest that a call may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Discord asks for a name of this form; others are blocked.
const USER_AGENT: &str = concat!("DiscordBot (lowtide, ", env!("CARGO_PKG_VERSION"), ")");

/// The longest nonce, in characters.
const MAX_NONCE: usize = 25;
const MAX_LABEL: usize = 80;
const MAX_CUSTOM_ID: usize = 100;
/// How many buttons stand in a row, and how many rows below a message.
const ROW: usize = 5;
const ROWS: usize = 5;
/// The longest description of a command, in characters.
const MAX_DESCRIPTION: usize = 100;

/// The flags of an application that may read what messages say: one in less than a hundred servers, and a verified one.
/// <https://discord.com/developers/docs/resources/application#application-object-application-flags>
const READS_CONTENT: u64 = 1 << 18 | 1 << 19;

/// Discord's own code for a message that is not there any more.
const UNKNOWN_MESSAGE: u64 = 10008;

/// A bot's login on Discord. Sealed as JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// "Bot" of the application's page.
    pub bot_token: String,
}

/// Shows nothing that is secret.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Calls the REST API with whichever token it is given. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    api_base: String,
    timeout: Duration,
}

/// The bot that a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Me {
    pub id: String,
    /// The handle.
    pub username: String,
}

/// The application that a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Application {
    pub id: String,
    /// Ed25519, in hex: what signs interactions.
    pub verify_key: String,
    #[serde(default)]
    flags: u64,
    /// Where Discord posts interactions; `None`: they come over the gateway.
    pub interactions_endpoint_url: Option<String>,
}

impl Application {
    /// Whether its bot is told what messages say, as [`INTENTS`](super::gateway::INTENTS) ask for. If not, Discord ends
    /// its connections.
    pub fn reads_content(&self) -> bool {
        self.flags & READS_CONTENT != 0
    }
}

#[derive(Deserialize)]
struct Sent {
    id: String,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    message: String,
    /// In seconds, with a fraction.
    retry_after: Option<f64>,
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

    /// Whose token this is. The way to check a token.
    pub async fn me(&self, token: &str) -> Result<Me, SendError> {
        self.read(token, self.request(Method::GET, "/users/@me", Some(token))).await
    }

    /// The application of the token's bot.
    pub async fn application(&self, token: &str) -> Result<Application, SendError> {
        self.read(token, self.request(Method::GET, "/applications/@me", Some(token))).await
    }

    /// Whether the bot is in a server at all.
    pub async fn is_in_server(&self, token: &str) -> Result<bool, SendError> {
        let servers: Vec<Value> =
            self.read(token, self.request(Method::GET, "/users/@me/guilds?limit=1", Some(token))).await?;
        Ok(!servers.is_empty())
    }

    /// Has Discord post interactions to `url`, or with `None` send them over the gateway. Discord tries the address out
    /// before it answers.
    pub async fn set_interactions_url(&self, token: &str, url: Option<&str>) -> Result<(), SendError> {
        let request = self.request(Method::PATCH, "/applications/@me", Some(token));
        self.read::<Value>(token, request.json(&json!({ "interactions_endpoint_url": url }))).await.map(|_| ())
    }

    /// Sets the slash commands that people are offered everywhere, in the place of those there are.
    pub async fn set_commands(
        &self,
        token: &str,
        application: &str,
        commands: &[CommandInfo],
    ) -> Result<(), SendError> {
        let short = |text: &str| text.chars().take(MAX_DESCRIPTION).collect::<String>();
        let commands: Vec<Value> = commands
            .iter()
            .map(|command| {
                let mut described = json!({ "name": command.name, "type": 1, "description": short(command.help) });
                if !command.arguments.is_empty() {
                    let about = short(command.arguments);
                    described["options"] = json!([{ "type": 3, "name": "text", "description": about }]);
                }
                described
            })
            .collect();
        let request = self.request(Method::PUT, &format!("/applications/{application}/commands"), Some(token));
        self.read::<Value>(token, request.json(&commands)).await.map(|_| ())
    }

    /// Sends text in Discord's Markdown, with buttons below it, and returns the message's id.
    ///
    /// `key` names the message: the same again within a few minutes is no second message.
    pub async fn create_message(
        &self,
        token: &str,
        address: &Address,
        content: &str,
        buttons: &[Button],
        key: &str,
    ) -> Result<String, SendError> {
        let message = new_message(address, content, buttons, key);
        let request = self.request(Method::POST, &messages(address), Some(token));
        self.read::<Sent>(token, request.json(&message)).await.map(|sent| sent.id)
    }

    /// Replaces the text of a message of the bot's own.
    ///
    /// [`SendError::Rejected`] may mean that there is no such message any more.
    pub async fn edit_message(
        &self,
        token: &str,
        address: &Address,
        message: &str,
        content: &str,
        buttons: &[Button],
    ) -> Result<(), SendError> {
        let request = self.request(Method::PATCH, &format!("{}/{message}", messages(address)), Some(token));
        self.read::<Sent>(token, request.json(&body(content, buttons))).await.map(|_| ())
    }

    /// Takes a message of the bot's own back.
    pub async fn delete_message(&self, token: &str, address: &Address, message: &str) -> Result<(), SendError> {
        let request = self.request(Method::DELETE, &format!("{}/{message}", messages(address)), Some(token));
        self.answer(token, request).await.map(|_| ())
    }

    /// Shows "… is typing" for ten seconds, or until the next message.
    pub async fn typing(&self, token: &str, address: &Address) -> Result<(), SendError> {
        let request = self.request(Method::POST, &format!("{}/typing", chat(address)), Some(token));
        self.answer(token, request).await.map(|_| ())
    }

    /// Sends a file, and returns the message's id.
    pub async fn send_file(
        &self,
        token: &str,
        address: &Address,
        media: &Media,
        bytes: Bytes,
        key: &str,
    ) -> Result<String, SendError> {
        let name = file_name(media);
        let mut message = new_message(address, "", &[], key);
        message["attachments"] = json!([{ "id": 0, "filename": name }]);
        let length = bytes.len() as u64;
        let file = Part::stream_with_length(bytes, length).file_name(name);
        let file = file.mime_str(&media.mime).map_err(|_| SendError::Rejected("not a media type".to_owned()))?;
        let form = Form::new().text("payload_json", message.to_string()).part("files[0]", file);
        let request = self.request(Method::POST, &messages(address), Some(token));
        self.read::<Sent>(token, request.multipart(form)).await.map(|sent| sent.id)
    }

    /// Puts the answer to an interaction that was deferred in its place, and returns the message's id. `interaction` is
    /// its token, which works for 15 minutes.
    ///
    /// [`SendError::Rejected`]: it does not work any more.
    pub async fn answer_interaction(
        &self,
        application: &str,
        interaction: &str,
        content: &str,
        buttons: &[Button],
    ) -> Result<String, SendError> {
        let path = format!("/webhooks/{application}/{interaction}/messages/@original");
        let request = self.request(Method::PATCH, &path, None);
        match self.read::<Sent>(interaction, request.json(&body(content, buttons))).await {
            // Nothing is said of the bot's own token here.
            Err(SendError::Unauthorised(detail) | SendError::Unreachable(detail)) => Err(SendError::Rejected(detail)),
            sent => sent.map(|sent| sent.id),
        }
    }

    /// Fetches a file that came with a message, by its address.
    pub async fn download(&self, url: &str) -> Result<Bytes, DownloadError> {
        let url = rest::file_url(url, &self.api_base, &["discordapp.com", "discordapp.net"])?;
        rest::download(self.http.get(url), self.timeout, "").await
    }

    fn request(&self, method: Method, path: &str, token: Option<&str>) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/api/v10{path}", self.api_base));
        let request = request.header("user-agent", USER_AGENT);
        match token {
            Some(token) => request.header("authorization", format!("Bot {token}")),
            None => request,
        }
    }

    async fn read<T: DeserializeOwned>(&self, secret: &str, request: RequestBuilder) -> Result<T, SendError> {
        self.answer(secret, request).await?.json()
    }

    async fn answer(&self, secret: &str, request: RequestBuilder) -> Result<rest::Answer, SendError> {
        let answer = rest::call(request, self.timeout, secret).await?;
        if answer.is_success() { Ok(answer) } else { Err(failure(&answer, secret)) }
    }
}

/// <https://discord.com/developers/docs/topics/opcodes-and-status-codes>
fn failure(answer: &rest::Answer, secret: &str) -> SendError {
    let refusal: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
    let detail = told(&format!("{} (code {})", refusal.message, refusal.code), secret);
    match answer.status {
        401 => SendError::Unauthorised(detail),
        404 if refusal.code == UNKNOWN_MESSAGE => SendError::Rejected(detail),
        403 | 404 => SendError::Unreachable(detail),
        429 => match refusal.retry_after.and_then(rest::pause) {
            Some(retry_after) => SendError::RateLimited { retry_after },
            // Without a word of the API the address is blocked, by what stands before it.
            None => answer.rate_limited(),
        },
        400..=499 => SendError::Rejected(detail),
        status => SendError::Temporary(format!("status {status}: {detail}")),
    }
}

/// A thread is a channel of its own.
fn chat(address: &Address) -> String {
    format!("/channels/{}", address.thread.as_ref().unwrap_or(&address.chat))
}

fn messages(address: &Address) -> String {
    format!("{}/messages", chat(address))
}

fn new_message(address: &Address, content: &str, buttons: &[Button], key: &str) -> Value {
    let mut message = body(content, buttons);
    message["nonce"] = nonce(key).into();
    message["enforce_nonce"] = true.into();
    if let Some(replied) = &address.reply_to {
        message["message_reference"] = json!({ "message_id": replied, "fail_if_not_exists": false });
    }
    message
}

/// What a message says, and whom that rings: nobody, whatever a model writes.
fn body(content: &str, buttons: &[Button]) -> Value {
    json!({ "content": content, "allowed_mentions": { "parse": [] }, "components": components(buttons) })
}

fn nonce(key: &str) -> String {
    let mut nonce = hex::encode(Sha256::digest(key));
    nonce.truncate(MAX_NONCE);
    nonce
}

/// Buttons in rows. A button's id is its command.
fn components(buttons: &[Button]) -> Vec<Value> {
    let fits = |button: &&Button| {
        (1..=MAX_CUSTOM_ID).contains(&button.command.chars().count()) && !button.label.trim().is_empty()
    };
    let buttons: Vec<Value> = buttons
        .iter()
        .filter(fits)
        .map(|button| {
            let label: String = button.label.chars().take(MAX_LABEL).collect();
            json!({ "type": 2, "style": 2, "label": label, "custom_id": button.command })
        })
        .collect();
    buttons.chunks(ROW).take(ROWS).map(|row| json!({ "type": 1, "components": row })).collect()
}
