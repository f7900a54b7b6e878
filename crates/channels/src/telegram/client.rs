//! Calls the Bot API.
//!
//! The token is part of every URL there, so no error of this module shows a URL, and what Telegram
//! answers is searched for the token before it is shown.

use std::time::Duration;

use domain::{Address, Button};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{id_value, keyboard, target};
use crate::SendError;

/// The longest that a call may take, connecting and reading included.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long to pause when Telegram asks for a pause without saying for how long.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// The kinds of updates that are asked for. Of groups Telegram tells reactions to administrators only.
pub(super) const ALLOWED_UPDATES: [&str; 4] = ["message", "edited_message", "callback_query", REACTIONS];

/// A kind of updates that bots do not get unless they ask for it.
pub const REACTIONS: &str = "message_reaction";

/// What Telegram says of an edit that changes nothing.
const NOT_MODIFIED: &str = "message is not modified";
/// The most commands that a bot's menu shows.
const MAX_COMMANDS: usize = 100;
const MAX_COMMAND_NAME: usize = 32;
/// The longest description of a command, in characters.
const MAX_COMMAND_HELP: usize = 256;

/// What Telegram calls chats that nobody reads any more (or that the bot may not write to), in the
/// description of a 400.
const UNREACHABLE: [&str; 12] = [
    "chat not found",
    "user not found",
    "user is deactivated",
    "peer_id_invalid",
    "group is deactivated",
    "bot was kicked",
    "bot is not a member",
    "have no rights to send",
    "not enough rights to send",
    "chat_write_forbidden",
    "message thread not found",
    "topic_closed",
];

/// Calls the Bot API with whichever token it is given. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) http: reqwest::Client,
    pub(super) api_base: String,
    pub(super) timeout: Duration,
}

/// The bot that a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Me {
    pub id: i64,
    /// The handle, without `@`.
    pub username: String,
    pub first_name: String,
    /// Whether people may add it to groups; a choice of its maker's with `@BotFather`, as the next one is.
    pub can_join_groups: Option<bool>,
    /// Whether it is shown everything that is said in groups, and not only what is meant for it.
    pub can_read_all_group_messages: Option<bool>,
}

/// What Telegram knows of a bot's webhook: <https://core.telegram.org/bots/api#webhookinfo>
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WebhookInfo {
    /// Empty where none is set.
    pub url: String,
    /// How many updates wait to be fetched or posted.
    #[serde(default)]
    pub pending_update_count: u64,
    /// When an update last could not be posted, in seconds since the epoch.
    pub last_error_date: Option<u64>,
    /// Why it could not.
    pub last_error_message: Option<String>,
    /// `None`: the kinds that bots get unless they ask for others: all of ours but reactions.
    pub allowed_updates: Option<Vec<String>>,
}

impl WebhookInfo {
    /// The kinds of updates that are needed, and are not posted.
    pub fn left_out(&self) -> Vec<&'static str> {
        let is_missing = |kind: &&str| match &self.allowed_updates {
            Some(all) => !all.iter().any(|it| it == kind),
            None => *kind == REACTIONS,
        };
        ALLOWED_UPDATES.into_iter().filter(is_missing).collect()
    }
}

/// The bot's id, which its token begins with and keeps when it is replaced: `123` of `123:AAF…`.
pub fn bot_id(token: &str) -> Option<&str> {
    token.split_once(':').map(|(id, _)| id).filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()))
}

impl Client {
    /// `api_base` is `https://api.telegram.org` or another server of the Bot API. The time to connect
    /// is a setting of `http` (10 s is plenty); a whole call takes 30 s at most.
    pub fn new(http: reqwest::Client, api_base: &str) -> Client {
        Client { http, api_base: api_base.trim_end_matches('/').to_owned(), timeout: TIMEOUT }
    }

    /// The same client with another limit for a whole call.
    pub fn with_timeout(self, timeout: Duration) -> Client {
        Client { timeout, ..self }
    }

    /// Whose token this is. The way to check a token.
    pub async fn get_me(&self, token: &str) -> Result<Me, SendError> {
        Ok(self.call(token, "getMe", &json!({})).await?)
    }

    /// Lets Telegram send updates to `url`, each with `secret` (1–256 of `A-Za-z0-9_-`) in the header
    /// [`SECRET_HEADER`](super::SECRET_HEADER). Replaces the webhook before it; updates that wait are
    /// kept.
    pub async fn set_webhook(&self, token: &str, url: &str, secret: &str) -> Result<(), SendError> {
        let params = json!({
            "url": url,
            "secret_token": secret,
            "allowed_updates": ALLOWED_UPDATES,
            "max_connections": 40,
            "drop_pending_updates": false,
        });
        self.call::<Value>(token, "setWebhook", &params).await?;
        Ok(())
    }

    /// What Telegram knows of the webhook.
    pub async fn webhook_info(&self, token: &str) -> Result<WebhookInfo, SendError> {
        let mut info: WebhookInfo = self.call(token, "getWebhookInfo", &json!({})).await?;
        info.last_error_message = info.last_error_message.map(|message| redact(&message, token));
        Ok(info)
    }

    /// Whether a user, such as the bot itself, is an administrator of a group.
    pub async fn is_administrator(&self, token: &str, chat: &str, user: i64) -> Result<bool, SendError> {
        #[derive(Deserialize)]
        struct Member {
            status: String,
        }
        let params = json!({ "chat_id": id_value(chat), "user_id": user });
        let member: Member = self.call(token, "getChatMember", &params).await?;
        Ok(matches!(member.status.as_str(), "administrator" | "creator"))
    }

    /// Ends the webhook; updates that wait are kept for up to 24 hours.
    pub async fn delete_webhook(&self, token: &str) -> Result<(), SendError> {
        self.call::<Value>(token, "deleteWebhook", &json!({ "drop_pending_updates": false })).await?;
        Ok(())
    }

    /// Sets the menu of commands that people are offered: name and description of each. What Telegram would not
    /// take (names other than 1–32 of `a-z0-9_`, more than 100) is left out.
    pub async fn set_commands(&self, token: &str, commands: &[(&str, &str)]) -> Result<(), SendError> {
        let fits = |name: &str| {
            (1..=MAX_COMMAND_NAME).contains(&name.len())
                && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        };
        let commands: Vec<Value> = commands
            .iter()
            .filter(|(name, help)| fits(name) && !help.is_empty())
            .take(MAX_COMMANDS)
            .map(|(name, help)| {
                json!({ "command": name, "description": help.chars().take(MAX_COMMAND_HELP).collect::<String>() })
            })
            .collect();
        self.call::<Value>(token, "setMyCommands", &json!({ "commands": commands })).await?;
        Ok(())
    }

    /// Sends one [`Chunk`](super::Chunk)'s HTML with buttons below it, and returns the id of the new message.
    ///
    /// [`SendError::Rejected`] may mean that Telegram cannot read the markup; then
    /// [`send_message_plain`](Client::send_message_plain) with the same chunk is the way out. Telegram
    /// has no idempotency key: after [`SendError::Temporary`] the message may have been sent.
    pub async fn send_message(
        &self,
        token: &str,
        address: &Address,
        html: &str,
        buttons: &[Button],
    ) -> Result<i64, SendError> {
        self.send(token, address, html, Some("HTML"), buttons).await
    }

    /// Sends text as it is.
    pub async fn send_message_plain(
        &self,
        token: &str,
        address: &Address,
        text: &str,
        buttons: &[Button],
    ) -> Result<i64, SendError> {
        self.send(token, address, text, None, buttons).await
    }

    /// Replaces the text of a message by HTML. The same text again is no error.
    ///
    /// [`SendError::Rejected`] may mean the markup, or that there is no such message any more.
    pub async fn edit_message(
        &self,
        token: &str,
        address: &Address,
        message: &str,
        html: &str,
        buttons: &[Button],
    ) -> Result<(), SendError> {
        self.edit(token, address, message, html, Some("HTML"), buttons).await
    }

    /// Replaces the text of a message by text as it is.
    pub async fn edit_message_plain(
        &self,
        token: &str,
        address: &Address,
        message: &str,
        text: &str,
        buttons: &[Button],
    ) -> Result<(), SendError> {
        self.edit(token, address, message, text, None, buttons).await
    }

    /// Takes a message of the bot's own back.
    pub async fn delete_message(&self, token: &str, address: &Address, message: &str) -> Result<(), SendError> {
        let params = json!({ "chat_id": id_value(&address.chat), "message_id": id_value(message) });
        self.call::<Value>(token, "deleteMessage", &params).await?;
        Ok(())
    }

    /// Shows "typing…" for five seconds, or until the next message.
    pub async fn send_typing(&self, token: &str, address: &Address) -> Result<(), SendError> {
        let mut params = target(address);
        params["action"] = "typing".into();
        self.call::<Value>(token, "sendChatAction", &params).await?;
        Ok(())
    }

    async fn send(
        &self,
        token: &str,
        address: &Address,
        text: &str,
        parse_mode: Option<&str>,
        buttons: &[Button],
    ) -> Result<i64, SendError> {
        let mut params = target(address);
        params["text"] = text.into();
        if let Some(mode) = parse_mode {
            params["parse_mode"] = mode.into();
        }
        if let Some(keyboard) = keyboard(buttons) {
            params["reply_markup"] = keyboard;
        }
        if let Some(message) = &address.reply_to {
            params["reply_parameters"] =
                json!({ "message_id": id_value(message), "allow_sending_without_reply": true });
        }
        let sent: SentMessage = match self.call(token, "sendMessage", &params).await {
            Err(CallError::Migrated(chat)) => {
                params["chat_id"] = chat.into();
                self.call(token, "sendMessage", &params).await?
            }
            other => other?,
        };
        Ok(sent.message_id)
    }

    async fn edit(
        &self,
        token: &str,
        address: &Address,
        message: &str,
        text: &str,
        parse_mode: Option<&str>,
        buttons: &[Button],
    ) -> Result<(), SendError> {
        let mut params = json!({ "chat_id": id_value(&address.chat), "message_id": id_value(message), "text": text });
        if let Some(mode) = parse_mode {
            params["parse_mode"] = mode.into();
        }
        if let Some(keyboard) = keyboard(buttons) {
            params["reply_markup"] = keyboard;
        }
        match self.call::<Value>(token, "editMessageText", &params).await.map_err(SendError::from) {
            Err(SendError::Rejected(detail)) if detail.contains(NOT_MODIFIED) => Ok(()),
            edited => edited.map(|_| ()),
        }
    }

    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        token: &str,
        method: &str,
        params: &Value,
    ) -> Result<T, CallError> {
        let url = format!("{}/bot{}/{method}", self.api_base, checked(token)?);
        self.read(token, self.http.post(url).json(params)).await
    }

    /// Sends a request and reads the Bot API's answer.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        token: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<T, CallError> {
        let request = request.timeout(self.timeout);
        let response = request.send().await.map_err(|e| self.network_error(e, token))?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|e| self.network_error(e, token))?;
        read_reply(status, &body, token)
    }

    pub(super) fn network_error(&self, error: reqwest::Error, token: &str) -> SendError {
        let error = error.without_url();
        let text = if error.is_timeout() {
            format!("no answer within {:?}", self.timeout)
        } else {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            format!("{error}{source}")
        };
        SendError::Temporary(redact(&text, token))
    }
}

/// What becomes of a call that failed.
pub(super) enum CallError {
    Failed(SendError),
    /// The group has become a supergroup, which is another chat: send there.
    Migrated(i64),
    /// Somebody else reads the bot's updates, or a webhook takes them.
    Conflict(String),
}

impl From<SendError> for CallError {
    fn from(error: SendError) -> CallError {
        CallError::Failed(error)
    }
}

impl From<CallError> for SendError {
    fn from(error: CallError) -> SendError {
        match error {
            CallError::Failed(error) => error,
            CallError::Conflict(description) => SendError::Temporary(description),
            // Only what is sent follows a migration, and only once.
            CallError::Migrated(chat) => SendError::Unreachable(format!("the group moved to the chat {chat}")),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct SentMessage {
    pub(super) message_id: i64,
}

/// <https://core.telegram.org/bots/api#making-requests>
#[derive(Deserialize)]
struct Reply {
    ok: bool,
    /// Read after the verdict, so that a result of a new shape is told from a body of another kind.
    #[serde(default)]
    result: Value,
    error_code: Option<u16>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Parameters,
}

/// <https://core.telegram.org/bots/api#responseparameters>
#[derive(Default, Deserialize)]
struct Parameters {
    migrate_to_chat_id: Option<i64>,
    /// In seconds.
    retry_after: Option<u64>,
}

fn read_reply<T: DeserializeOwned>(status: u16, body: &[u8], token: &str) -> Result<T, CallError> {
    let Ok(reply) = serde_json::from_slice::<Reply>(body) else {
        return Err(SendError::Temporary(format!("status {status} with a body that is not the Bot API's")).into());
    };
    if !reply.ok {
        let status = reply.error_code.unwrap_or(status);
        return Err(failure(status, redact(&reply.description, token), &reply.parameters));
    }
    serde_json::from_value(reply.result)
        .map_err(|_| SendError::Temporary("a result of an unknown shape".to_owned()).into())
}

/// <https://core.telegram.org/api/errors> says what the codes mean.
fn failure(status: u16, description: String, parameters: &Parameters) -> CallError {
    if let Some(chat) = parameters.migrate_to_chat_id {
        return CallError::Migrated(chat);
    }
    if status == 409 {
        return CallError::Conflict(description);
    }
    let error = match status {
        // 401 for a revoked token, 404 for one that never was: the methods called here all exist.
        401 | 404 => SendError::Unauthorised(description),
        403 => SendError::Unreachable(description),
        429 => SendError::RateLimited {
            retry_after: parameters.retry_after.map_or(DEFAULT_RETRY_AFTER, Duration::from_secs),
        },
        400 if is_unreachable(&description) => SendError::Unreachable(description),
        400 | 413 => SendError::Rejected(description),
        _ => SendError::Temporary(format!("status {status}: {description}")),
    };
    error.into()
}

fn is_unreachable(description: &str) -> bool {
    let description = description.to_lowercase();
    UNREACHABLE.iter().any(|phrase| description.contains(phrase))
}

/// The token, if it is one.
pub(super) fn checked(token: &str) -> Result<&str, SendError> {
    if is_token(token) {
        return Ok(token);
    }
    Err(SendError::Unauthorised("it does not look like 123456:ABC-def; copy it from @BotFather again".to_owned()))
}

/// Whether a token has the shape `<bot id>:<secret>`. Anything else would make another URL.
fn is_token(token: &str) -> bool {
    token.split_once(':').is_some_and(|(id, secret)| {
        let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let id_fits = !id.is_empty() && id.chars().all(|c| c.is_ascii_digit());
        id_fits && !secret.is_empty() && secret.chars().all(is_letter)
    })
}

/// Takes the token out of a text that came from outside.
fn redact(text: &str, token: &str) -> String {
    text.replace(token, "<token>")
}
