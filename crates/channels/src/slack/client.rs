//! Calls Slack's Web API.

use std::time::Duration;

use bytes::Bytes;
use domain::{Address, Button, Media};
use reqwest::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::rest::{self, file_name, told};
use crate::{DownloadError, SendError};

/// Where Slack's Web API is.
pub const API_BASE: &str = "https://slack.com";

/// The longest that a call may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Names the scopes of the token of a call, with commas between them.
const SCOPES_HEADER: &str = "x-oauth-scopes";

/// Slack's bounds of a button, in characters.
const MAX_LABEL: usize = 75;
const MAX_VALUE: usize = 2000;
/// The most buttons below one message.
const MAX_BUTTONS: usize = 25;

/// What of Slack's errors means that the token does not work.
const UNAUTHORISED: [&str; 8] = [
    "invalid_auth",
    "not_authed",
    "account_inactive",
    "token_revoked",
    "token_expired",
    "org_login_required",
    "team_access_not_granted",
    "not_allowed_token_type",
];

/// What means that nobody is to be reached in the chat.
const UNREACHABLE: [&str; 8] = [
    "channel_not_found",
    "not_in_channel",
    "is_archived",
    "user_not_found",
    "user_disabled",
    "cannot_dm_bot",
    "restricted_action",
    "team_not_found",
];

/// What means trouble on Slack's side.
const TEMPORARY: [&str; 5] =
    ["internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"];

/// A bot's login on Slack. Sealed as JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// `xoxb-…`: "OAuth & Permissions" of the app's page.
    pub bot_token: String,
    /// "Basic Information" of the app's page. Not needed in socket mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<String>,
    /// `xapp-…`, with the scope `connections:write`: only for socket mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_token: Option<String>,
}

/// Shows nothing that is secret.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Calls the Web API with whichever token it is given. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    api_base: String,
    timeout: Duration,
}

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Identity {
    /// The bot's own user, `U…`.
    pub user_id: String,
    /// The handle.
    pub user: String,
    /// The workspace, `T…`.
    pub team_id: String,
    /// Tells a bot's token from a person's.
    #[serde(default)]
    pub bot_id: Option<String>,
}

#[derive(Deserialize)]
struct Reply {
    ok: bool,
    #[serde(default)]
    error: String,
    /// What a missing scope is called.
    #[serde(default)]
    needed: Option<String>,
}

#[derive(Deserialize)]
struct Sent {
    ts: String,
}

#[derive(Deserialize)]
struct UploadUrl {
    upload_url: String,
    file_id: String,
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
    pub async fn auth_test(&self, token: &str) -> Result<Identity, SendError> {
        self.call(token, "auth.test", &json!({})).await
    }

    /// The scopes that a token has; `None`: Slack does not say.
    pub async fn scopes(&self, token: &str) -> Result<Option<Vec<String>>, SendError> {
        let answer = self.answer(token, self.post("auth.test", token, &json!({}))).await?;
        let header = answer.headers.get(SCOPES_HEADER).and_then(|value| value.to_str().ok());
        let listed = |text: &str| text.split(',').map(|scope| scope.trim().to_owned()).collect();
        Ok(header.map(listed))
    }

    /// The address at which an app may open one connection of socket mode, within a minute. `app_token` is `xapp-…`.
    pub async fn open_connection(&self, app_token: &str) -> Result<String, SendError> {
        #[derive(Deserialize)]
        struct Opened {
            url: String,
        }
        let opened: Opened = self.call(app_token, "apps.connections.open", &json!({})).await?;
        Ok(opened.url)
    }

    /// Sends text in Slack's `mrkdwn`, with buttons below it, and returns the message's time stamp: its id in the chat.
    ///
    /// Slack has no idempotency key: after [`SendError::Temporary`] the message may have been sent.
    pub async fn post_message(
        &self,
        token: &str,
        address: &Address,
        text: &str,
        buttons: &[Button],
    ) -> Result<String, SendError> {
        let mut params = message(address, text, buttons);
        if let Some(thread) = &address.thread {
            params["thread_ts"] = thread.as_str().into();
        }
        params["unfurl_links"] = false.into();
        let sent: Sent = self.call(token, "chat.postMessage", &params).await?;
        Ok(sent.ts)
    }

    /// Replaces the text of a message of the bot's own.
    ///
    /// [`SendError::Rejected`] may mean that there is no such message any more.
    pub async fn update_message(
        &self,
        token: &str,
        address: &Address,
        ts: &str,
        text: &str,
        buttons: &[Button],
    ) -> Result<(), SendError> {
        let mut params = message(address, text, buttons);
        params["ts"] = ts.into();
        self.call::<Sent>(token, "chat.update", &params).await.map(|_| ())
    }

    /// Takes a message of the bot's own back.
    pub async fn delete_message(&self, token: &str, address: &Address, ts: &str) -> Result<(), SendError> {
        let params = json!({ "channel": address.chat, "ts": ts });
        self.call::<Value>(token, "chat.delete", &params).await.map(|_| ())
    }

    /// Uploads a file and shows it in a chat. Returns the file's id: Slack does not tell the message's.
    pub async fn send_file(
        &self,
        token: &str,
        address: &Address,
        media: &Media,
        bytes: Bytes,
    ) -> Result<String, SendError> {
        let name = file_name(media);
        let url = format!("{}/api/files.getUploadURLExternal", self.api_base);
        let form = [("filename", name.clone()), ("length", bytes.len().to_string())];
        // This method, unlike the others, takes no JSON.
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.http.post(url).bearer_auth(token).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let upload: UploadUrl = self.read(token, request.body(body)).await?;
        let answer = rest::call(self.http.post(upload.upload_url).body(bytes), self.timeout, token).await?;
        if !answer.is_success() {
            return Err(SendError::Temporary(format!("status {} to an uploaded file", answer.status)));
        }
        let mut params = json!({ "channel_id": address.chat, "files": [{ "id": upload.file_id, "title": name }] });
        if let Some(thread) = &address.thread {
            params["thread_ts"] = thread.as_str().into();
        }
        self.call::<Value>(token, "files.completeUploadExternal", &params).await?;
        Ok(upload.file_id)
    }

    /// Fetches a file that came with a message, by its private address.
    pub async fn download(&self, token: &str, url: &str) -> Result<Bytes, DownloadError> {
        let url = rest::file_url(url, &self.api_base, &["slack.com"])?;
        rest::download(self.http.get(url).bearer_auth(token), self.timeout, token).await
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        token: &str,
        method: &str,
        params: &Value,
    ) -> Result<T, SendError> {
        self.read(token, self.post(method, token, params)).await
    }

    fn post(&self, method: &str, token: &str, params: &Value) -> reqwest::RequestBuilder {
        self.http.post(format!("{}/api/{method}", self.api_base)).bearer_auth(token).json(params)
    }

    async fn read<T: serde::de::DeserializeOwned>(
        &self,
        token: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<T, SendError> {
        self.answer(token, request).await?.json()
    }

    /// An answer that says that the call was done.
    async fn answer(&self, token: &str, request: reqwest::RequestBuilder) -> Result<rest::Answer, SendError> {
        let answer = rest::call(request, self.timeout, token).await?;
        if answer.status == 429 {
            return Err(answer.rate_limited());
        }
        let reply: Reply = answer.json()?;
        if reply.ok { Ok(answer) } else { Err(failure(&reply, &answer, token)) }
    }
}

/// <https://docs.slack.dev/reference/methods> says what each method's errors mean.
fn failure(reply: &Reply, answer: &rest::Answer, token: &str) -> SendError {
    let error = reply.error.as_str();
    let needed = reply.needed.as_ref().map(|scope| format!("; add the scope {scope} to the app and install it again"));
    let detail = told(&format!("{error}{}", needed.unwrap_or_default()), token);
    if error == "ratelimited" || error == "rate_limited" {
        answer.rate_limited()
    } else if UNAUTHORISED.contains(&error) {
        SendError::Unauthorised(detail)
    } else if UNREACHABLE.contains(&error) {
        SendError::Unreachable(detail)
    } else if TEMPORARY.contains(&error) || answer.status >= 500 {
        SendError::Temporary(detail)
    } else {
        SendError::Rejected(detail)
    }
}

/// The parameters that a new and a changed message share. Buttons stand in an attachment: in blocks of its own the text
/// would have a lower limit.
fn message(address: &Address, text: &str, buttons: &[Button]) -> Value {
    let mut params = json!({ "channel": address.chat, "text": text });
    let fits =
        |button: &&Button| (1..=MAX_VALUE).contains(&button.command.chars().count()) && !button.label.trim().is_empty();
    let elements: Vec<Value> = buttons
        .iter()
        .filter(fits)
        .take(MAX_BUTTONS)
        .enumerate()
        .map(|(index, button)| {
            let label: String = button.label.chars().take(MAX_LABEL).collect();
            json!({
                "type": "button",
                "action_id": format!("command.{index}"),
                "text": { "type": "plain_text", "text": label },
                "value": button.command,
            })
        })
        .collect();
    // An empty list takes the buttons of a message that is changed away.
    params["attachments"] = match elements.is_empty() {
        true => json!([]),
        false => json!([{ "fallback": "Buttons", "blocks": [{ "type": "actions", "elements": elements }] }]),
    };
    params
}
