//! The gateway: the socket over which Discord tells a bot what is written.
//!
//! <https://discord.com/developers/docs/events/gateway>. Three things differ from what libraries do, so that a bot can move
//! from one holder to another without losing a message:
//!
//! - The cursor, and the sequence number of every heartbeat, are those of the last event that is *stored*.
//! - A connection that ends is closed with a code that keeps its session, and the next one resumes it.
//! - While a message is being stored nothing is read; heartbeats go on.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, OptionFuture};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use websocket::{ClientConfig, CloseFrame, Message, WebSocket};

use super::event::{self, Frame, Hello, Ready, Unread};
use super::interaction::{Interaction, deferred, read_interaction, seen};
use crate::Received;
use crate::held::{Ended, Fenced, Hold};

/// The messages of guilds and of direct chats, and what they say. Without `GUILDS` no `GUILD_CREATE` comes, which has
/// hundreds of kilobytes for a large guild.
pub const INTENTS: u32 = 1 << 9 | 1 << 12 | 1 << 15;

/// The longest frame that is taken, in bytes.
const MAX_FRAME: usize = 8 * 1024 * 1024;

/// How long Discord may take for its first word.
const HELLO_WITHIN: Duration = Duration::from_secs(20);

/// Heartbeats leave in steps of this length, and so up to as much too early, which Discord does not mind.
const STEP: Duration = Duration::from_millis(250);

/// How long a message that is being stored may still take once the connection is to end.
const STORE_WITHIN: Duration = Duration::from_secs(10);

/// Discord takes one `IDENTIFY` of a bot in so long, and calls the session of another invalid.
const IDENTIFY_EVERY: Duration = Duration::from_secs(5);

/// The bounds of what Discord's word is taken for: its budget of `IDENTIFY`s is a day's.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// So often the address for resuming is called in vain before Discord is asked where it is now.
const FAILED_CONNECTS: u8 = 3;

/// How long Discord waits for an answer to an interaction.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Any close code but 1000 and 1001 keeps the session.
const KEEP_SESSION: u16 = 4200;

const QUERY: &str = "/?v=10&encoding=json";

mod op {
    pub(super) const DISPATCH: u8 = 0;
    pub(super) const HEARTBEAT: u8 = 1;
    pub(super) const RECONNECT: u8 = 7;
    pub(super) const INVALID_SESSION: u8 = 9;
    pub(super) const HELLO: u8 = 10;
    pub(super) const HEARTBEAT_ACK: u8 = 11;
}

/// What all connections share.
#[derive(Clone)]
pub struct Gateway {
    pub http: reqwest::Client,
    pub tls: Arc<ClientConfig>,
    /// `https://discord.com`, or where a test listens.
    pub api_base: String,
}

/// Where another connection goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    session: String,
    sequence: u64,
    /// `resume_gateway_url`
    url: String,
    /// The bot's user id, which only `READY` tells.
    me: String,
    /// How often `url` could not be reached since it was last.
    #[serde(default)]
    failed_connects: u8,
}

/// `GET /gateway/bot`
#[derive(Deserialize)]
struct GatewayBot {
    url: String,
    session_start_limit: StartLimit,
}

#[derive(Deserialize)]
struct StartLimit {
    remaining: u32,
    /// In milliseconds.
    reset_after: u64,
}

/// Holds one connection, from resuming or identifying until it ends.
///
pub async fn run(
    gateway: &Gateway,
    token: &str,
    cursor: Option<Value>,
    hold: &dyn Hold,
    stop: CancellationToken,
) -> Ended {
    let mut cursor = cursor.and_then(|cursor| serde_json::from_value::<Cursor>(cursor).ok());
    let opened = tokio::select! {
        () = stop.cancelled() => return Ended::Stopped,
        opened = Box::pin(open(gateway, token, &mut cursor, hold)) => opened,
    };
    let socket = match opened {
        Ok(socket) => socket,
        Err(ended) => return ended,
    };
    let mut connection = Connection {
        gateway,
        socket,
        hold,
        token,
        resumes: cursor.is_some(),
        cursor,
        identified_at: None,
        interval: None,
        beat_at: Instant::now() + HELLO_WITHIN,
        is_acknowledged: true,
        storing: None,
    };
    let ended = match connection.flow(&stop).await {
        Ok(never) => match never {},
        Err(ended) => ended,
    };
    connection.close().await;
    // The next connection cannot resume, and identifies itself.
    if let (Ended::Lost(_), None, Some(at)) = (&ended, &connection.cursor, connection.identified_at) {
        drop(connection.socket);
        tokio::select! {
            () = stop.cancelled() => return Ended::Stopped,
            () = hold.pause(IDENTIFY_EVERY.saturating_sub(at.elapsed())) => {}
        }
    }
    ended
}

/// Connects to where the session of `cursor` is, or, without one, to where Discord takes an `IDENTIFY`. A session whose address
/// is gone is given up.
async fn open(
    gateway: &Gateway,
    token: &str,
    cursor: &mut Option<Cursor>,
    hold: &dyn Hold,
) -> Result<WebSocket, Ended> {
    let Some(session) = cursor else { return connect(gateway, &may_identify(gateway, token, hold).await?).await };
    if session.failed_connects < FAILED_CONNECTS {
        let connected = connect(gateway, &session.url).await;
        match &connected {
            Ok(_) => session.failed_connects = 0,
            Err(_) => {
                session.failed_connects += 1;
                hold.progress(json!(session));
            }
        }
        return connected;
    }
    // If this is not answered either, it is the network, and the session may still be there.
    let url = may_identify(gateway, token, hold).await?;
    if let Ok(socket) = connect(gateway, &session.url).await {
        session.failed_connects = 0;
        return Ok(socket);
    }
    tracing::info!("Discord's address for resuming is gone, and with it the session.");
    *cursor = None;
    hold.progress(Value::Null);
    connect(gateway, &url).await
}

async fn connect(gateway: &Gateway, url: &str) -> Result<WebSocket, Ended> {
    let url = format!("{}{QUERY}", url.trim_end_matches('/'));
    WebSocket::connect(&url, &gateway.tls, MAX_FRAME).await.map_err(lost)
}

/// Where to connect, once Discord allows another `IDENTIFY`: more than 1,000 a day would reset the bot's token.
async fn may_identify(gateway: &Gateway, token: &str, hold: &dyn Hold) -> Result<String, Ended> {
    loop {
        let request = gateway.http.get(format!("{}/api/v10/gateway/bot", gateway.api_base));
        let response = request.header("authorization", format!("Bot {token}")).send().await;
        let response = response.map_err(|error| Ended::Lost(error.without_url().to_string()))?;
        match response.status().as_u16() {
            200 => {}
            401 => return Err(unauthorised()),
            status => return Err(Ended::Lost(format!("Discord answers GET /gateway/bot with {status}"))),
        }
        let bot: GatewayBot = response.json().await.map_err(|error| Ended::Lost(error.without_url().to_string()))?;
        let StartLimit { remaining, reset_after } = bot.session_start_limit;
        if remaining > 0 {
            return Ok(bot.url);
        }
        let wait = Duration::from_millis(reset_after).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        tracing::warn!("Discord allows no further IDENTIFY of a bot for {} s.", wait.as_secs());
        hold.pause(wait).await;
    }
}

struct Connection<'a> {
    gateway: &'a Gateway,
    socket: WebSocket,
    hold: &'a dyn Hold,
    token: &'a str,
    cursor: Option<Cursor>,
    /// Whether the connection goes on with a session.
    resumes: bool,
    /// When it sent its `IDENTIFY`, if it did.
    identified_at: Option<Instant>,
    /// `None` before `HELLO`.
    interval: Option<Duration>,
    /// When the next heartbeat is due, or the first word of Discord.
    beat_at: Instant,
    is_acknowledged: bool,
    /// A message on its way into the queue, and the sequence number that stands for it.
    storing: Option<(u64, BoxFuture<'a, Result<(), Fenced>>)>,
}

impl Connection<'_> {
    /// Works until the connection is to end.
    async fn flow(&mut self, stop: &CancellationToken) -> Result<std::convert::Infallible, Ended> {
        loop {
            let is_storing = self.storing.is_some();
            let stored = OptionFuture::from(self.storing.as_mut().map(|(_, storing)| storing));
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.store_rest().await?;
                    return Err(Ended::Stopped);
                }
                Some(stored) = stored => self.stored(stored)?,
                () = tokio::time::sleep_until(self.beat_at) => self.beat_due().await?,
                // What is not stored holds back what comes next.
                message = self.socket.next(), if !is_storing => self.message(message.map_err(lost)?).await?,
            }
        }
    }

    /// Lets a message that is on its way arrive, for a while.
    async fn store_rest(&mut self) -> Result<(), Ended> {
        let Some((_, storing)) = &mut self.storing else { return Ok(()) };
        match tokio::time::timeout(STORE_WITHIN, storing).await {
            Ok(stored) => self.stored(stored),
            // It is not in the cursor, so Discord sends it again to whoever resumes.
            Err(_) => Ok(()),
        }
    }

    fn stored(&mut self, stored: Result<(), Fenced>) -> Result<(), Ended> {
        let sequence = self.storing.take().map(|(sequence, _)| sequence);
        stored?;
        // What Discord said meanwhile has not been read yet.
        self.is_acknowledged = true;
        self.advance(sequence);
        Ok(())
    }

    fn advance(&mut self, sequence: Option<u64>) {
        let (Some(cursor), Some(sequence)) = (&mut self.cursor, sequence) else { return };
        cursor.sequence = sequence;
        self.hold.progress(json!(cursor));
    }

    async fn beat_due(&mut self) -> Result<(), Ended> {
        let Some(interval) = self.interval else {
            return Err(Ended::Lost("Discord did not greet in time".to_owned()));
        };
        if !self.is_acknowledged && self.storing.is_none() {
            return Err(Ended::Lost("Discord does not answer heartbeats".to_owned()));
        }
        self.beat_at = in_step(self.beat_at + interval, interval);
        self.beat().await
    }

    async fn beat(&mut self) -> Result<(), Ended> {
        self.is_acknowledged = false;
        // Whoever takes over resumes from what is stored, and Discord must not have forgotten what came after it.
        let stored = self.hold.stored().and_then(|stored| serde_json::from_value::<Cursor>(stored).ok());
        let is_current = |stored: &Cursor| self.cursor.as_ref().is_some_and(|it| it.session == stored.session);
        let sequence = stored.filter(is_current).map(|stored| stored.sequence);
        self.send(&json!({ "op": op::HEARTBEAT, "d": sequence })).await
    }

    async fn message(&mut self, message: Message) -> Result<(), Ended> {
        match message {
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(frame) => self.frame(frame).await,
                Err(_) => Err(Ended::Lost("Discord sent a frame that is not JSON".to_owned())),
            },
            Message::Close(close) => Err(self.closed(close)),
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => Ok(()),
        }
    }

    async fn frame(&mut self, frame: Frame<'_>) -> Result<(), Ended> {
        let data = frame.data.map(serde_json::value::RawValue::get).unwrap_or_default();
        match frame.op {
            op::DISPATCH => self.dispatch(frame.kind.as_deref().unwrap_or_default(), data, frame.sequence),
            op::HELLO => {
                let hello: Hello = serde_json::from_str(data).map_err(|_| unread("HELLO"))?;
                let interval = Duration::from_millis(hello.heartbeat_interval.max(1));
                self.interval = Some(interval);
                // The first one at random, so that a reconnecting crowd does not beat in step.
                self.beat_at = in_step(Instant::now() + interval.mul_f64(fastrand::f64()), interval);
                self.introduce().await
            }
            op::HEARTBEAT => self.beat().await,
            op::HEARTBEAT_ACK => {
                self.is_acknowledged = true;
                Ok(())
            }
            op::RECONNECT => Err(Ended::Lost("Discord asks for a new connection".to_owned())),
            op::INVALID_SESSION => {
                if data != "true" {
                    self.forget_session();
                }
                Err(Ended::Lost("Discord does not know the session any more".to_owned()))
            }
            _ => Ok(()),
        }
    }

    async fn introduce(&mut self) -> Result<(), Ended> {
        let introduction = match (&self.cursor, self.resumes) {
            (Some(Cursor { session, sequence, .. }), true) => {
                json!({ "op": 6, "d": { "token": self.token, "session_id": session, "seq": sequence } })
            }
            _ => {
                self.identified_at = Some(Instant::now());
                json!({
                    "op": 2,
                    "d": {
                        "token": self.token,
                        "intents": INTENTS,
                        "properties": { "os": "linux", "browser": "lowtide", "device": "lowtide" },
                    },
                })
            }
        };
        self.send(&introduction).await
    }

    fn dispatch(&mut self, kind: &str, data: &str, sequence: Option<u64>) -> Result<(), Ended> {
        match kind {
            "READY" => {
                let ready: Ready = serde_json::from_str(data).map_err(|_| unread("READY"))?;
                self.cursor = Some(Cursor {
                    session: ready.session_id,
                    sequence: 0,
                    url: ready.resume_gateway_url,
                    me: ready.user.id,
                    failed_connects: 0,
                });
                self.hold.connected();
            }
            "RESUMED" => self.hold.connected(),
            "MESSAGE_CREATE" => {
                let me = self.cursor.as_ref().map(|cursor| cursor.me.as_str()).unwrap_or_default();
                match event::read_message(data, me) {
                    Ok(received) => {
                        self.storing = Some((sequence.unwrap_or_default(), self.hold.accept(vec![received])));
                        return Ok(());
                    }
                    Err(Unread::Ignored(reason)) => tracing::debug!("A message is ignored: {reason}"),
                    Err(Unread::Malformed) => tracing::warn!("Discord sent a message that cannot be read."),
                }
            }
            // Where the application has no address of its own for them.
            "INTERACTION_CREATE" => match read_interaction(data) {
                Ok((Interaction::Command(received), callback)) => {
                    self.take_interaction(sequence, *received, callback, deferred());
                    return Ok(());
                }
                Ok((Interaction::Press(received), callback)) => {
                    self.take_interaction(sequence, *received, callback, seen());
                    return Ok(());
                }
                Ok((Interaction::Ping, _)) => {}
                Ok((Interaction::Ignored(reason), _)) => tracing::debug!("An interaction is ignored: {reason}"),
                Err(error) => tracing::warn!("Discord sent something that cannot be read: {error}"),
            },
            _ => {}
        }
        self.advance(sequence);
        Ok(())
    }

    /// Takes what a person chose, and tells Discord so once it is stored. Without that they are shown that it failed,
    /// although it has not.
    fn take_interaction(&mut self, sequence: Option<u64>, received: Received, callback: Option<String>, answer: Value) {
        let (storing, gateway) = (self.hold.accept(vec![received]), self.gateway);
        let take = async move {
            storing.await?;
            let Some(path) = callback else { return Ok(()) };
            let request = gateway.http.post(format!("{}/api/v10{path}", gateway.api_base)).timeout(ANSWER_WITHIN);
            let answered = request.json(&answer).send().await.and_then(reqwest::Response::error_for_status);
            if let Err(error) = answered {
                tracing::info!("Discord was not told that an interaction was seen: {}", error.without_url());
            }
            Ok(())
        };
        self.storing = Some((sequence.unwrap_or_default(), Box::pin(take)));
    }

    fn closed(&mut self, close: Option<CloseFrame>) -> Ended {
        let Some(CloseFrame { code, reason }) = close else {
            return Ended::Lost("Discord closed the connection".to_owned());
        };
        match code {
            4004 => unauthorised(),
            4013 | 4014 => Ended::Misconfigured(
                "Discord does not let this bot read messages. At https://discord.com/developers/applications open the \
                 application, choose Bot, switch on \"Message Content Intent\" under \"Privileged Gateway Intents\", \
                 and save; then resume the link."
                    .to_owned(),
            ),
            4010..=4012 => Ended::Misconfigured(format!(
                "Discord refuses the connection for good: {code} {reason}. Bots in 2,500 guilds or more need shards, \
                 which Lowtide does not have."
            )),
            4003 | 4007 | 4009 => {
                self.forget_session();
                Ended::Lost(format!("Discord closed the session: {code} {reason}"))
            }
            _ => Ended::Lost(format!("Discord closed the connection: {code} {reason}")),
        }
    }

    fn forget_session(&mut self) {
        self.cursor = None;
        self.hold.progress(Value::Null);
    }

    async fn send(&mut self, value: &Value) -> Result<(), Ended> {
        self.socket.send(&Message::Text(value.to_string())).await.map_err(lost)
    }

    /// Says good-bye so that the session is kept; if that does not leave at once, the end of TCP says the same.
    async fn close(&mut self) {
        let close = Message::Close(Some(CloseFrame { code: KEEP_SESSION, reason: String::new() }));
        let _ = self.socket.send(&close).now_or_never();
    }
}

/// The last step of all connections at or before this time. A process with thousands of connections wakes for a step's
/// heartbeats once, instead of for each.
fn in_step(at: Instant, interval: Duration) -> Instant {
    if interval < 4 * STEP {
        return at;
    }
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let since = at.saturating_duration_since(*ORIGIN.get_or_init(Instant::now));
    let over = since.as_nanos() % STEP.as_nanos();
    at - Duration::from_nanos(u64::try_from(over).unwrap_or_default())
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn lost(error: websocket::Error) -> Ended {
    Ended::Lost(error.to_string())
}

fn unread(what: &str) -> Ended {
    Ended::Lost(format!("Discord's {what} cannot be read"))
}

fn unauthorised() -> Ended {
    Ended::Unauthorised(
        "Discord refuses the bot's token. Make a new one at https://discord.com/developers/applications (the \
         application, Bot, Reset Token) and give it to the link."
            .to_owned(),
    )
}
