//! Telegram's Bot API: registered bots, webhooks, and messages that are checked as Telegram checks them.

mod form;
mod html;
mod message;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Json, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde_json::{Map, Value, json};

use crate::lock;
use crate::loopback::Loopback;

pub use form::SentFile;

/// The largest file that bots are given, in bytes.
const MAX_DOWNLOAD: usize = 20 << 20;

/// What a bot sent, and Telegram took, as it looks now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub id: i64,
    pub token: String,
    pub chat: String,
    pub thread: Option<i64>,
    /// The text as it came: HTML, or plain text if `is_html` is not set.
    pub text_html: String,
    pub is_html: bool,
    /// The message that it quotes.
    pub reply_to: Option<i64>,
    /// Label and data of each button below it.
    pub buttons: Vec<(String, String)>,
    pub file: Option<SentFile>,
    /// It was sent with others, as an album.
    pub is_in_album: bool,
    /// What it said before each edit.
    pub before: Vec<String>,
    pub at: Instant,
}

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 429; `retry_after` is in seconds.
    RateLimit { retry_after: u64 },
    /// 403: the person has blocked the bot.
    Forbidden,
    /// 502 with a body of the Bot API.
    ServerError,
    /// 401: the token was revoked.
    Unauthorised,
    /// No answer at all.
    Hang,
    /// 200 with a body that is no JSON.
    Garbage,
}

#[derive(Default)]
struct Bot {
    id: i64,
    username: String,
    webhook: Option<(String, String)>,
    /// The kinds of updates that were asked for with the webhook.
    allowed_updates: Value,
    /// What a method says in its answer beside what it would say by itself, or in its place.
    told: HashMap<String, Map<String, Value>>,
    commands: Vec<String>,
    /// By `file_id`.
    files: HashMap<String, Bytes>,
    /// How often it said that it is typing.
    typing: usize,
    sent: Vec<Sent>,
    /// Failures to come, each for the calls of one chat or for any.
    failures: VecDeque<(Option<String>, Failure)>,
}

#[derive(Default)]
struct World {
    bots: HashMap<String, Bot>,
    messages: i64,
    refused: Vec<String>,
}

type Shared = Arc<Mutex<World>>;

/// A server of the Bot API.
pub struct FakeTelegram {
    server: Loopback,
    world: Shared,
}

impl FakeTelegram {
    pub fn start() -> FakeTelegram {
        let world = Shared::default();
        let router = Router::new()
            .route("/{bot}/{method}", any(call))
            .route("/file/{bot}/files/{id}", get(file))
            .layer(DefaultBodyLimit::disable())
            .with_state(world.clone());
        FakeTelegram { server: Loopback::serve(router), world }
    }

    /// What stands for `https://api.telegram.org`.
    pub fn base_url(&self) -> String {
        self.server.url()
    }

    /// Registers a bot. Calls with other tokens are answered with 401.
    pub fn add_bot(&self, token: &str, username: &str) {
        let id = token.split(':').next().and_then(|id| id.parse().ok());
        let id = id.expect("a token is `<bot id>:<secret>`");
        let bot = Bot { id, username: username.to_owned(), ..Bot::default() };
        lock(&self.world).bots.insert(token.to_owned(), bot);
    }

    /// What the bot has sent so far, in order.
    pub fn sent(&self, token: &str) -> Vec<Sent> {
        lock(&self.world).bots.get(token).map(|bot| bot.sent.clone()).unwrap_or_default()
    }

    /// Puts a file where people have sent it to the bot.
    pub fn add_file(&self, token: &str, file_id: &str, bytes: impl Into<Bytes>) {
        let mut world = lock(&self.world);
        let bot = world.bots.get_mut(token).expect("files are for a registered bot");
        bot.files.insert(file_id.to_owned(), bytes.into());
    }

    /// The names of the commands in the bot's menu.
    pub fn commands(&self, token: &str) -> Vec<String> {
        lock(&self.world).bots.get(token).map(|bot| bot.commands.clone()).unwrap_or_default()
    }

    /// How often the bot said by itself that it is typing.
    pub fn typing(&self, token: &str) -> usize {
        lock(&self.world).bots.get(token).map_or(0, |bot| bot.typing)
    }

    /// A person or an admin takes away what the bot sent.
    pub fn remove(&self, token: &str, id: i64) {
        if let Some(bot) = lock(&self.world).bots.get_mut(token) {
            bot.sent.retain(|sent| sent.id != id);
        }
    }

    /// Waits until the bot has sent `n` messages and returns all. Panics after `timeout`.
    pub async fn wait_for(&self, token: &str, n: usize, timeout: Duration) -> Vec<Sent> {
        let deadline = Instant::now() + timeout;
        loop {
            let sent = self.sent(token);
            if sent.len() >= n {
                return sent;
            }
            assert!(Instant::now() < deadline, "only {} of {n} messages within {timeout:?}: {sent:?}", sent.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Has the answers to `method`, `getMe`, `getWebhookInfo` or `getChatMember`, say something in a field: what is
    /// chosen with `@BotFather`, what has become of updates, what the bot is in groups.
    pub fn tell(&self, token: &str, method: &str, field: &str, value: impl Into<Value>) {
        let mut world = lock(&self.world);
        let bot = world.bots.get_mut(token).expect("answers are for a registered bot");
        bot.told.entry(method.to_owned()).or_default().insert(field.to_owned(), value.into());
    }

    /// The webhook that was set: its URL and its secret.
    pub fn webhook(&self, token: &str) -> Option<(String, String)> {
        lock(&self.world).bots.get(token)?.webhook.clone()
    }

    /// Lets a call of the bot fail: the next one that no earlier failure is for.
    pub fn fail_next(&self, token: &str, failure: Failure) {
        self.queue_failure(token, None, failure);
    }

    /// Lets a call of the bot for one chat fail, whatever it does elsewhere.
    pub fn fail_next_in(&self, token: &str, chat: &str, failure: Failure) {
        self.queue_failure(token, Some(chat.to_owned()), failure);
    }

    fn queue_failure(&self, token: &str, chat: Option<String>, failure: Failure) {
        let mut world = lock(&self.world);
        let bot = world.bots.get_mut(token).expect("failures are for a registered bot");
        bot.failures.push_back((chat, failure));
    }

    /// Fails if a call was malformed, or a failure that a test prepared never happened.
    pub fn assert_clean(&self) {
        let world = lock(&self.world);
        assert!(world.refused.is_empty(), "Telegram refused calls: {:#?}", world.refused);
        for (token, bot) in &world.bots {
            assert!(bot.failures.is_empty(), "prepared failures of {token} never happened: {:?}", bot.failures);
        }
    }
}

async fn call(
    State(world): State<Shared>,
    Path((bot, method)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(token) = bot.strip_prefix("bot").filter(|token| token.contains(':')) else {
        return error(StatusCode::NOT_FOUND, "Not Found");
    };
    let (params, files) = match form::boundary(&headers) {
        Some(boundary) => match form::read(&body, &boundary) {
            Ok(form) => form,
            Err(reason) => return refuse(&mut lock(&world), &method, reason, &Value::Null),
        },
        None => (serde_json::from_slice(&body).unwrap_or(Value::Null), vec![]),
    };
    if !lock(&world).bots.contains_key(token) {
        return failed(Failure::Unauthorised);
    }
    match next_failure(&world, token, &params) {
        Some(Failure::Hang) => std::future::pending().await,
        Some(failure) => failed(failure),
        None => answer(&mut lock(&world), token, &method, &params, files),
    }
}

/// The failure that is next for this call.
fn next_failure(world: &Shared, token: &str, params: &Value) -> Option<Failure> {
    let mut world = lock(world);
    let failures = &mut world.bots.get_mut(token)?.failures;
    let chat = message::chat_id(params).ok();
    let at = failures.iter().position(|(only, _)| only.is_none() || *only == chat)?;
    failures.remove(at).map(|(_, failure)| failure)
}

fn failed(failure: Failure) -> Response {
    match failure {
        Failure::RateLimit { retry_after } => {
            let body = json!({
                "ok": false,
                "error_code": 429,
                "description": format!("Too Many Requests: retry after {retry_after}"),
                "parameters": { "retry_after": retry_after },
            });
            (StatusCode::TOO_MANY_REQUESTS, Json(body)).into_response()
        }
        Failure::Forbidden => error(StatusCode::FORBIDDEN, "Forbidden: bot was blocked by the user"),
        Failure::ServerError => error(StatusCode::BAD_GATEWAY, "Bad Gateway"),
        Failure::Unauthorised => error(StatusCode::UNAUTHORIZED, "Unauthorized"),
        Failure::Garbage | Failure::Hang => "<html>The proxy has no answer".into_response(),
    }
}

fn answer(world: &mut World, token: &str, method: &str, params: &Value, files: Vec<SentFile>) -> Response {
    let result = match method {
        "getMe" => Ok(get_me(&world.bots[token])),
        "setWebhook" => set_webhook(world, token, params),
        "getWebhookInfo" => Ok(webhook_info(&world.bots[token])),
        "getChatMember" => message::chat_id(params).map(|_| {
            told(&world.bots[token], method, json!({ "status": "member", "user": { "id": params["user_id"] } }))
        }),
        "deleteWebhook" => {
            world.bots.get_mut(token).expect("a registered bot").webhook = None;
            Ok(json!(true))
        }
        "sendMessage" => message::check(token, params).map(|sent| take(world, sent)),
        "sendPhoto" | "sendDocument" | "sendVoice" => {
            message::check_file(token, method, params, files).map(|sent| take(world, sent))
        }
        "sendMediaGroup" => message::check_album(token, params, files)
            .map(|album| album.into_iter().map(|sent| take(world, sent)).collect()),
        "editMessageText" => edit(world, token, params),
        "deleteMessage" => delete(world, token, params),
        "getFile" => get_file(&world.bots[token], params),
        "setMyCommands" => set_commands(world, token, params),
        "sendChatAction" => message::check_action(params).map(|()| {
            world.bots.get_mut(token).expect("a registered bot").typing += 1;
            json!(true)
        }),
        _ => {
            world.refused.push(format!("{method}: there is no such method"));
            return error(StatusCode::NOT_FOUND, "Not Found");
        }
    };
    match result {
        Ok(result) => Json(json!({ "ok": true, "result": result })).into_response(),
        Err(description) => refuse(world, method, description, params),
    }
}

/// What depends on what others did meanwhile is no fault of the caller.
const NOBODYS_FAULT: [&str; 4] =
    ["message is not modified", "message to edit not found", "message to delete not found", "file is too big"];

fn refuse(world: &mut World, method: &str, description: String, params: &Value) -> Response {
    if !NOBODYS_FAULT.iter().any(|fate| description.starts_with(fate)) {
        world.refused.push(format!("{method}: {description}: {params}"));
    }
    error(StatusCode::BAD_REQUEST, &format!("Bad Request: {description}"))
}

fn set_commands(world: &mut World, token: &str, params: &Value) -> Result<Value, String> {
    let commands = params["commands"].as_array().ok_or("can't parse BotCommand array")?;
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let mut names = Vec::new();
    for command in commands {
        let (name, help) = (command["command"].as_str(), command["description"].as_str());
        let name = name.filter(|name| (1..=32).contains(&name.len()) && name.chars().all(is_name));
        let name = name.ok_or("BOT_COMMAND_INVALID")?;
        help.filter(|help| (1..=256).contains(&help.chars().count())).ok_or("BOT_COMMAND_DESCRIPTION_INVALID")?;
        names.push(name.to_owned());
    }
    if names.len() > 100 {
        return Err("BOT_COMMANDS_TOO_MUCH".to_owned());
    }
    world.bots.get_mut(token).expect("a registered bot").commands = names;
    Ok(json!(true))
}

fn get_file(bot: &Bot, params: &Value) -> Result<Value, String> {
    let id = params["file_id"].as_str().unwrap_or_default();
    let file = bot.files.get(id).ok_or("wrong file_id or the file is temporarily unavailable")?;
    if file.len() > MAX_DOWNLOAD {
        return Err("file is too big".to_owned());
    }
    Ok(json!({ "file_id": id, "file_size": file.len(), "file_path": format!("files/{id}") }))
}

/// Gives out the bytes of a file.
async fn file(State(world): State<Shared>, Path((bot, id)): Path<(String, String)>) -> Response {
    let token = bot.strip_prefix("bot").unwrap_or_default();
    match lock(&world).bots.get(token).and_then(|bot| bot.files.get(&id)) {
        Some(bytes) => bytes.clone().into_response(),
        None => error(StatusCode::NOT_FOUND, "Not Found"),
    }
}

/// Finds a message of the bot's own.
fn own<'a>(world: &'a mut World, token: &str, params: &Value, what: &str) -> Result<&'a mut Sent, String> {
    let chat = message::chat_id(params)?;
    let id = params["message_id"].as_i64().ok_or("message identifier is not specified")?;
    let sent = &mut world.bots.get_mut(token).expect("a registered bot").sent;
    let found = sent.iter_mut().find(|sent| sent.id == id && sent.chat == chat);
    found.ok_or_else(|| format!("message to {what} not found"))
}

fn edit(world: &mut World, token: &str, params: &Value) -> Result<Value, String> {
    if params.get("reply_parameters").is_some() || params.get("message_thread_id").is_some() {
        return Err("an edit says neither a topic nor a quotation".to_owned());
    }
    let new = message::check(token, params)?;
    let sent = own(world, token, params, "edit")?;
    if sent.file.is_some() {
        return Err("there is no text in the message to edit".to_owned());
    }
    if (&new.text_html, new.is_html, &new.buttons) == (&sent.text_html, sent.is_html, &sent.buttons) {
        return Err("message is not modified: specified new message content is the same".to_owned());
    }
    sent.before.push(std::mem::replace(&mut sent.text_html, new.text_html));
    (sent.is_html, sent.buttons) = (new.is_html, new.buttons);
    Ok(shown(sent))
}

fn delete(world: &mut World, token: &str, params: &Value) -> Result<Value, String> {
    let id = own(world, token, params, "delete")?.id;
    world.bots.get_mut(token).expect("a registered bot").sent.retain(|sent| sent.id != id);
    Ok(json!(true))
}

fn get_me(bot: &Bot) -> Value {
    let me = json!({
        "id": bot.id, "is_bot": true, "first_name": bot.username, "username": bot.username,
        "can_join_groups": true, "can_read_all_group_messages": false,
    });
    told(bot, "getMe", me)
}

fn webhook_info(bot: &Bot) -> Value {
    let url = bot.webhook.as_ref().map(|(url, _)| url.as_str()).unwrap_or_default();
    let mut info = json!({ "url": url, "has_custom_certificate": false, "pending_update_count": 0 });
    if !bot.allowed_updates.is_null() {
        info["allowed_updates"] = bot.allowed_updates.clone();
    }
    told(bot, "getWebhookInfo", info)
}

/// An answer with what a test has a method say.
fn told(bot: &Bot, method: &str, mut answer: Value) -> Value {
    for (field, value) in bot.told.get(method).into_iter().flatten() {
        answer[field] = value.clone();
    }
    answer
}

fn set_webhook(world: &mut World, token: &str, params: &Value) -> Result<Value, String> {
    let url = params["url"].as_str().unwrap_or_default();
    // The real one takes https alone; a test's webhook is on loopback.
    if !url.starts_with("https://") && !url.starts_with("http://127.0.0.1") {
        return Err("bad webhook: An HTTPS URL must be provided for webhook".to_owned());
    }
    let secret = params["secret_token"].as_str().unwrap_or_default();
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if secret.len() > 256 || !secret.chars().all(is_allowed) {
        return Err("secret token contains unallowed characters".to_owned());
    }
    let bot = world.bots.get_mut(token).expect("a registered bot");
    bot.webhook = Some((url.to_owned(), secret.to_owned()));
    bot.allowed_updates = params["allowed_updates"].clone();
    Ok(json!(true))
}

fn take(world: &mut World, mut sent: Sent) -> Value {
    world.messages += 1;
    sent.id = world.messages;
    let result = shown(&sent);
    world.bots.get_mut(&sent.token).expect("a registered bot").sent.push(sent);
    result
}

/// A message as Telegram shows it to the bot.
fn shown(sent: &Sent) -> Value {
    let chat: i64 = sent.chat.parse().unwrap_or_default();
    let kind = if chat < 0 { "supergroup" } else { "private" };
    json!({
        "message_id": sent.id,
        "date": runtime::Clock::system().now().as_millis() / 1000,
        "chat": { "id": chat, "type": kind },
        "text": sent.text_html,
    })
}

fn error(status: StatusCode, description: &str) -> Response {
    let body = json!({ "ok": false, "error_code": status.as_u16(), "description": description });
    (status, Json(body)).into_response()
}
