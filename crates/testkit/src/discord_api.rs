//! Discord's REST API: one application, and messages that are checked as Discord checks them.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::lock;
use crate::loopback::Loopback;

/// The flag of an application in less than a hundred servers that may read what messages say.
pub const MESSAGE_CONTENT: u64 = 1 << 19;

/// The longest message, in characters.
const MAX_TEXT: usize = 2000;

/// A message in a channel, as it looks now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscordMessage {
    pub id: String,
    /// Where it stands; the token of an interaction that it answers.
    pub place: String,
    pub content: String,
    pub nonce: String,
    pub reply_to: Option<String>,
    /// Label and id of each button below it.
    pub buttons: Vec<(String, String)>,
}

#[derive(Default)]
struct Guild {
    token: String,
    public_key: String,
    messages: Vec<DiscordMessage>,
    commands: Vec<Value>,
    interactions_url: Option<String>,
    /// Of the application: what its intents are.
    flags: u64,
    /// The ids of the servers that the bot is in.
    servers: Vec<String>,
    failures: Vec<(u16, Value)>,
    /// Interactions that wait for their answers.
    deferred: Vec<String>,
    counter: u64,
    /// How often it was said that the bot is typing.
    typing: usize,
}

/// An application with the id 900, its bot `@heron`, and channels whose ids begin with 7.
pub struct FakeDiscordApi {
    guild: Arc<Mutex<Guild>>,
    server: Loopback,
}

impl FakeDiscordApi {
    /// `public_key` is what it tells of the key that it would sign interactions with.
    pub fn start(token: &str, public_key: &str) -> FakeDiscordApi {
        let guild = Guild {
            token: token.to_owned(),
            public_key: public_key.to_owned(),
            flags: MESSAGE_CONTENT,
            servers: vec!["600".to_owned()],
            ..Guild::default()
        };
        let guild = Arc::new(Mutex::new(guild));
        let router = Router::new()
            .route("/api/v10/users/@me", get(me))
            .route("/api/v10/users/@me/guilds", get(servers))
            .route("/api/v10/applications/@me", get(application).patch(change_application))
            .route("/api/v10/applications/{id}/commands", put(set_commands))
            .route("/api/v10/channels/{channel}/messages", post(create))
            .route("/api/v10/channels/{channel}/messages/{message}", patch(edit))
            .route("/api/v10/channels/{channel}/typing", post(show_typing))
            .route("/api/v10/webhooks/{id}/{token}/messages/@original", patch(answer))
            .with_state(guild.clone());
        FakeDiscordApi { guild, server: Loopback::serve(router) }
    }

    /// What stands in for `https://discord.com`.
    pub fn base_url(&self) -> String {
        self.server.url()
    }

    /// Notes that an interaction was deferred: its token works from now on.
    pub fn defer(&self, token: &str) {
        lock(&self.guild).deferred.push(token.to_owned());
    }

    /// Lets the next call that needs the bot's token fail once.
    pub fn fail_next(&self, status: u16, body: Value) {
        lock(&self.guild).failures.push((status, body));
    }

    pub fn messages(&self) -> Vec<DiscordMessage> {
        lock(&self.guild).messages.clone()
    }

    /// How often the bot said that it is typing.
    pub fn typing(&self) -> usize {
        lock(&self.guild).typing
    }

    /// The names of the slash commands.
    pub fn commands(&self) -> Vec<String> {
        lock(&self.guild).commands.iter().map(|command| text(command, "name")).collect()
    }

    pub fn interactions_url(&self) -> Option<String> {
        lock(&self.guild).interactions_url.clone()
    }

    /// Has Discord post interactions elsewhere.
    pub fn set_interactions_url(&self, url: &str) {
        lock(&self.guild).interactions_url = Some(url.to_owned());
    }

    /// Sets the application's flags, [`MESSAGE_CONTENT`] at first.
    pub fn set_flags(&self, flags: u64) {
        lock(&self.guild).flags = flags;
    }

    /// Takes the bot out of all servers.
    pub fn leave_servers(&self) {
        lock(&self.guild).servers.clear();
    }
}

type Shared = State<Arc<Mutex<Guild>>>;
type Refused = (StatusCode, Json<Value>);

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn refused(status: u16, code: u64, message: &str) -> Refused {
    (StatusCode::from_u16(status).expect("a status"), Json(json!({ "code": code, "message": message })))
}

impl Guild {
    fn check(&mut self, headers: &HeaderMap) -> Result<(), Refused> {
        if let Some((status, body)) = self.failures.pop() {
            return Err((StatusCode::from_u16(status).expect("a status"), Json(body)));
        }
        let expected = format!("Bot {}", self.token);
        match headers.get("authorization") {
            Some(token) if token.as_bytes() == expected.as_bytes() => Ok(()),
            _ => Err(refused(401, 0, "401: Unauthorized")),
        }
    }
}

async fn me(State(shared): Shared, headers: HeaderMap) -> Result<Json<Value>, Refused> {
    lock(&shared).check(&headers)?;
    Ok(Json(json!({ "id": "900", "username": "heron", "bot": true })))
}

async fn application(State(shared): Shared, headers: HeaderMap) -> Result<Json<Value>, Refused> {
    let mut guild = lock(&shared);
    guild.check(&headers)?;
    Ok(Json(json!({
        "id": "900", "verify_key": guild.public_key, "flags": guild.flags,
        "interactions_endpoint_url": guild.interactions_url,
    })))
}

async fn servers(State(shared): Shared, headers: HeaderMap) -> Result<Json<Value>, Refused> {
    let mut guild = lock(&shared);
    guild.check(&headers)?;
    Ok(Json(guild.servers.iter().map(|id| json!({ "id": id, "name": "Marsh" })).collect()))
}

async fn change_application(
    State(shared): Shared,
    headers: HeaderMap,
    Json(change): Json<Value>,
) -> Result<Json<Value>, Refused> {
    let mut guild = lock(&shared);
    guild.check(&headers)?;
    guild.interactions_url = change["interactions_endpoint_url"].as_str().map(str::to_owned);
    Ok(Json(json!({ "id": "900" })))
}

async fn set_commands(
    State(shared): Shared,
    headers: HeaderMap,
    Json(commands): Json<Vec<Value>>,
) -> Result<Json<Value>, Refused> {
    let mut guild = lock(&shared);
    guild.check(&headers)?;
    for command in &commands {
        let (name, description) = (text(command, "name"), text(command, "description"));
        let is_name = (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if !is_name || !(1..=100).contains(&description.chars().count()) {
            return Err(refused(400, 50035, "Invalid Form Body"));
        }
    }
    guild.commands.clone_from(&commands);
    Ok(Json(commands.into()))
}

async fn create(State(shared): Shared, Path(channel): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let mut guild = lock(&shared);
    let sent = (|| {
        guild.check(&headers)?;
        let message: Value = serde_json::from_slice(&body).map_err(|_| refused(400, 50109, "no JSON"))?;
        if !channel.starts_with('7') {
            return Err(refused(404, 10003, "Unknown Channel"));
        }
        check_content(&message)?;
        let nonce = text(&message, "nonce");
        if nonce.len() > 25 || message["enforce_nonce"] != true {
            return Err(refused(400, 50035, "Invalid Form Body"));
        }
        if let Some(same) = guild.messages.iter().find(|sent| sent.place == channel && sent.nonce == nonce) {
            return Ok(same.id.clone());
        }
        let reply_to = message["message_reference"]["message_id"].as_str().map(str::to_owned);
        Ok(guild.add(channel.clone(), &message, nonce, reply_to))
    })();
    reply(sent)
}

async fn show_typing(State(shared): Shared, headers: HeaderMap) -> Result<StatusCode, Refused> {
    let mut guild = lock(&shared);
    guild.check(&headers)?;
    guild.typing += 1;
    Ok(StatusCode::NO_CONTENT)
}

async fn edit(
    State(shared): Shared,
    Path((channel, id)): Path<(String, String)>,
    headers: HeaderMap,
    Json(change): Json<Value>,
) -> Response {
    let mut guild = lock(&shared);
    let edited = (|| {
        guild.check(&headers)?;
        check_content(&change)?;
        let found = guild.messages.iter_mut().find(|message| message.place == channel && message.id == id);
        let message = found.ok_or_else(|| refused(404, 10008, "Unknown Message"))?;
        (message.content, message.buttons) = (text(&change, "content"), buttons(&change));
        Ok(id.clone())
    })();
    reply(edited)
}

async fn answer(
    State(shared): Shared,
    Path((application, token)): Path<(String, String)>,
    Json(message): Json<Value>,
) -> Response {
    let mut guild = lock(&shared);
    let answered = (|| {
        check_content(&message)?;
        if application != "900" || !guild.deferred.contains(&token) {
            return Err(refused(404, 10015, "Unknown Webhook"));
        }
        guild.messages.retain(|message| message.place != token);
        Ok(guild.add(token.clone(), &message, String::new(), None))
    })();
    reply(answered)
}

fn reply(sent: Result<String, Refused>) -> Response {
    match sent {
        Ok(id) => Json(json!({ "id": id })).into_response(),
        Err(refused) => refused.into_response(),
    }
}

fn check_content(message: &Value) -> Result<(), Refused> {
    let content = text(message, "content");
    let rings = message["allowed_mentions"]["parse"].as_array().is_none_or(|parse| !parse.is_empty());
    if content.trim().is_empty() || content.chars().count() > MAX_TEXT || rings {
        return Err(refused(400, 50035, "Invalid Form Body"));
    }
    Ok(())
}

impl Guild {
    fn add(&mut self, place: String, message: &Value, nonce: String, reply_to: Option<String>) -> String {
        self.counter += 1;
        let id = self.counter.to_string();
        let content = text(message, "content");
        let buttons = buttons(message);
        self.messages.push(DiscordMessage { id: id.clone(), place, content, nonce, reply_to, buttons });
        id
    }
}

fn buttons(message: &Value) -> Vec<(String, String)> {
    let rows = message["components"].as_array().into_iter().flatten();
    let buttons = rows.flat_map(|row| row["components"].as_array().into_iter().flatten());
    buttons.map(|button| (text(button, "label"), text(button, "custom_id"))).collect()
}
