//! Calls a homeserver's client-server API in a bot's name.
//!
//! The access token travels in a header, and what a homeserver answers is shown without it. Where a
//! homeserver may be is for the caller's `reqwest::Client` to say: its address comes from a link's settings.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::SendError;

/// The longest that an ordinary call may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long to pause when a homeserver asks for a pause without saying for how long.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// The longest pause that a homeserver's word is taken for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

/// How much of an answer is read, in bytes: more than a lean sync of a busy bot, less than the holder's memory.
const MAX_BODY: usize = 32 << 20;

/// How much of a homeserver's words is shown, in characters.
const MAX_DETAIL: usize = 200;

/// What a link's owner enters, and what is kept sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Of the bot's own account.
    pub access_token: String,
}

/// A bot's login on its homeserver. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    homeserver: Url,
    token: String,
    timeout: Duration,
}

/// Shows where, and not with which token.
impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("homeserver", &self.homeserver.as_str()).finish_non_exhaustive()
    }
}

/// A homeserver's address that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a homeserver's address: give its base URL, such as https://matrix.example.org")]
pub struct BadHomeserver(String);

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Identity {
    /// `@bot:example.org`
    pub user_id: String,
    /// The name that people see and write to mention the bot; the homeserver's `whoami` does not tell it.
    #[serde(skip)]
    pub display_name: Option<String>,
    /// The session that the token is of; an application service has none.
    pub device_id: Option<String>,
}

impl Identity {
    /// The name in the id: `bot` of `@bot:example.org`.
    pub fn localpart(&self) -> &str {
        super::message::localpart(&self.user_id)
    }
}

/// What a call gives up on, before it is told as a [`SendError`].
pub(super) enum CallError {
    Failed(SendError),
    /// The homeserver's own name for what it refuses, its status, and its words.
    Refused {
        status: u16,
        code: String,
        detail: String,
    },
}

impl From<CallError> for SendError {
    fn from(error: CallError) -> SendError {
        match error {
            CallError::Failed(error) => error,
            CallError::Refused { status, code, detail } => match (status, code.as_str()) {
                (401, _) | (_, "M_UNKNOWN_TOKEN" | "M_MISSING_TOKEN" | "M_USER_DEACTIVATED") => {
                    SendError::Unauthorised(detail)
                }
                (403 | 404, _) => SendError::Unreachable(detail),
                _ => SendError::Rejected(detail),
            },
        }
    }
}

/// <https://spec.matrix.org/v1.11/client-server-api/#standard-error-response>
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    errcode: String,
    #[serde(default)]
    error: String,
    retry_after_ms: Option<u64>,
}

#[derive(Deserialize)]
struct DisplayName {
    displayname: Option<String>,
}

impl Client {
    /// `homeserver` is the base URL that Matrix clients are given, `https://matrix.example.org`. The time to connect is a
    /// setting of `http`.
    ///
    /// # Errors
    ///
    /// [`BadHomeserver`]: not an `http` or `https` URL.
    pub fn new(http: reqwest::Client, homeserver: &str, token: &str) -> Result<Client, BadHomeserver> {
        let bad = || BadHomeserver(homeserver.chars().take(100).collect());
        let homeserver = Url::parse(homeserver.trim()).map_err(|_| bad())?;
        let has_login = !homeserver.username().is_empty() || homeserver.password().is_some();
        if !matches!(homeserver.scheme(), "http" | "https") || homeserver.host().is_none() || has_login {
            return Err(bad());
        }
        Ok(Client { http, homeserver, token: token.trim().to_owned(), timeout: TIMEOUT })
    }

    /// The same client with another limit for an ordinary call; files and the long poll have their own.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Client {
        Client { timeout, ..self }
    }

    /// Where it calls.
    pub fn homeserver(&self) -> &Url {
        &self.homeserver
    }

    /// Whose token this is, with the name that people see.
    pub async fn whoami(&self) -> Result<Identity, SendError> {
        let mut me: Identity = self.get(&["_matrix", "client", "v3", "account", "whoami"]).await?;
        let name = self.get(&["_matrix", "client", "v3", "profile", &me.user_id, "displayname"]).await;
        me.display_name = match name {
            Ok(DisplayName { displayname }) => displayname.filter(|name| !name.trim().is_empty()),
            // A bot without a profile answers to its id.
            Err(CallError::Refused { .. }) => None,
            Err(CallError::Failed(error)) => return Err(error),
        };
        Ok(me)
    }

    /// Checks that a homeserver is there and takes the token, and returns whose it is.
    ///
    /// # Errors
    ///
    /// [`SendError::Rejected`]: what answers is no homeserver. [`SendError::Unauthorised`]: it does not take the token.
    pub async fn check(&self) -> Result<Identity, SendError> {
        self.versions().await?;
        self.whoami().await
    }

    /// The versions of the specification that the homeserver knows, oldest first.
    ///
    /// # Errors
    ///
    /// [`SendError::Rejected`]: what answers is no homeserver.
    pub async fn versions(&self) -> Result<Vec<String>, SendError> {
        #[derive(Deserialize)]
        struct Versions {
            #[serde(default)]
            versions: Vec<String>,
        }
        let answer: Result<Versions, CallError> = self.get(&["_matrix", "client", "versions"]).await;
        match answer {
            Ok(Versions { versions }) if !versions.is_empty() => Ok(versions),
            // Some homeservers look at the token even here.
            Err(error @ CallError::Refused { status: 401, .. }) => Err(error.into()),
            Err(CallError::Failed(error)) => Err(error),
            _ => Err(SendError::Rejected(format!(
                "{} answers, but not as a Matrix homeserver: give the base URL that Matrix clients use",
                self.homeserver
            ))),
        }
    }

    /// The URL of a path, each part of which is encoded.
    pub(super) fn url(&self, path: &[&str]) -> Url {
        let mut url = self.homeserver.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, CallError> {
        self.read(self.request(Method::GET, self.url(path))).await
    }

    pub(super) async fn post(&self, path: &[&str], body: &Value) -> Result<Value, CallError> {
        self.read(self.request(Method::POST, self.url(path)).json(body)).await
    }

    pub(super) async fn put<T: DeserializeOwned>(&self, path: &[&str], body: &Value) -> Result<T, CallError> {
        self.read(self.request(Method::PUT, self.url(path)).json(body)).await
    }

    /// A call in the bot's name.
    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url).bearer_auth(&self.token).timeout(self.timeout)
    }

    /// Sends a request and reads the homeserver's answer.
    pub(super) async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CallError> {
        let body = self.body(request, MAX_BODY).await?.ok_or_else(|| {
            CallError::Failed(SendError::Temporary(format!("the answer is longer than {} MB", MAX_BODY >> 20)))
        })?;
        serde_json::from_slice(&body).map_err(|error| {
            let what = format!("an answer that is not Matrix: line {}, column {}", error.line(), error.column());
            CallError::Failed(SendError::Temporary(what))
        })
    }

    /// The body of an answer, `None` if it is longer than `limit` bytes.
    pub(super) async fn body(&self, request: RequestBuilder, limit: usize) -> Result<Option<Bytes>, CallError> {
        let response = request.send().await.map_err(|error| self.network_error(error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        self.collect(response, limit).await
    }

    async fn collect(&self, mut response: Response, limit: usize) -> Result<Option<Bytes>, CallError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.network_error(error))? {
            if body.len() + chunk.len() > limit {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body.freeze()))
    }

    async fn refusal(&self, response: Response) -> CallError {
        let status = response.status().as_u16();
        let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = match self.collect(response, 64 << 10).await {
            Ok(body) => body.unwrap_or_default(),
            Err(error) => return error,
        };
        let refusal: Refusal = serde_json::from_slice(&body).unwrap_or_default();
        if status == 429 || refusal.errcode == "M_LIMIT_EXCEEDED" {
            let said = refusal.retry_after_ms.map(Duration::from_millis).or(header.map(Duration::from_secs));
            let retry_after = said.unwrap_or(DEFAULT_RETRY_AFTER).min(MAX_RETRY_AFTER);
            return CallError::Failed(SendError::RateLimited { retry_after });
        }
        let text = if refusal.error.is_empty() { &refusal.errcode } else { &refusal.error };
        let text: String = self.without_token(text).chars().take(MAX_DETAIL).collect();
        let detail = format!("status {status} {}: {text}", refusal.errcode);
        if status >= 500 || refusal.errcode.is_empty() && status != 401 {
            // Without a name for it, it was not the homeserver that refused but something on the way.
            return CallError::Failed(SendError::Temporary(detail));
        }
        CallError::Refused { status, code: refusal.errcode, detail }
    }

    fn network_error(&self, error: reqwest::Error) -> CallError {
        let error = error.without_url();
        let text = if error.is_timeout() {
            "no answer in time".to_owned()
        } else {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            format!("{error}{source}")
        };
        CallError::Failed(SendError::Temporary(self.without_token(&text)))
    }

    fn without_token(&self, text: &str) -> String {
        if self.token.is_empty() { text.to_owned() } else { text.replace(&self.token, "<token>") }
    }

    /// Joins a room that the bot was invited to.
    pub(super) async fn join(&self, room: &str) -> Result<(), CallError> {
        self.post(&["_matrix", "client", "v3", "rooms", room, "join"], &json!({})).await.map(|_| ())
    }

    /// Leaves a room, or declines an invitation to it, with the reason that its people see.
    pub(super) async fn leave(&self, room: &str, reason: &str) -> Result<(), CallError> {
        self.post(&["_matrix", "client", "v3", "rooms", room, "leave"], &json!({ "reason": reason })).await.map(|_| ())
    }
}
