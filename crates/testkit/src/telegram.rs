//! Telegram's Bot API: registered bots, webhooks, and messages that are checked as Telegram checks them.

mod html;
mod message;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Value, json};

use crate::lock;
use crate::loopback::Loopback;

/// What a bot sent, and Telegram took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub token: String,
    pub chat: String,
    pub thread: Option<i64>,
    /// The text as it came: HTML, or plain text if `is_html` is not set.
    pub text_html: String,
    pub is_html: bool,
    /// The message that it quotes.
    pub reply_to: Option<i64>,
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
        let router = Router::new().route("/{bot}/{method}", any(call)).with_state(world.clone());
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
    params: Option<Json<Value>>,
) -> Response {
    let Some(token) = bot.strip_prefix("bot").filter(|token| token.contains(':')) else {
        return error(StatusCode::NOT_FOUND, "Not Found");
    };
    let params = params.map(|Json(params)| params).unwrap_or(Value::Null);
    if !lock(&world).bots.contains_key(token) {
        return failed(Failure::Unauthorised);
    }
    match next_failure(&world, token, &params) {
        Some(Failure::Hang) => std::future::pending().await,
        Some(failure) => failed(failure),
        None => answer(&mut lock(&world), token, &method, &params),
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

fn answer(world: &mut World, token: &str, method: &str, params: &Value) -> Response {
    let result = match method {
        "getMe" => Ok(get_me(&world.bots[token])),
        "setWebhook" => set_webhook(world, token, params),
        "deleteWebhook" => {
            world.bots.get_mut(token).expect("a registered bot").webhook = None;
            Ok(json!(true))
        }
        "sendMessage" => send_message(world, token, params),
        "sendChatAction" => message::check_action(params).map(|()| json!(true)),
        _ => {
            world.refused.push(format!("{method}: there is no such method"));
            return error(StatusCode::NOT_FOUND, "Not Found");
        }
    };
    match result {
        Ok(result) => Json(json!({ "ok": true, "result": result })).into_response(),
        Err(description) => {
            world.refused.push(format!("{method}: {description}: {params}"));
            error(StatusCode::BAD_REQUEST, &format!("Bad Request: {description}"))
        }
    }
}

fn get_me(bot: &Bot) -> Value {
    json!({ "id": bot.id, "is_bot": true, "first_name": bot.username, "username": bot.username })
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
    Ok(json!(true))
}

fn send_message(world: &mut World, token: &str, params: &Value) -> Result<Value, String> {
    let sent = message::check(token, params)?;
    world.messages += 1;
    let chat: i64 = sent.chat.parse().unwrap_or_default();
    let kind = if chat < 0 { "supergroup" } else { "private" };
    let result = json!({
        "message_id": world.messages,
        "date": runtime::Clock::system().now().as_millis() / 1000,
        "chat": { "id": chat, "type": kind },
        "text": sent.text_html,
    });
    world.bots.get_mut(token).expect("a registered bot").sent.push(sent);
    Ok(result)
}

fn error(status: StatusCode, description: &str) -> Response {
    let body = json!({ "ok": false, "error_code": status.as_u16(), "description": description });
    (status, Json(body)).into_response()
}
