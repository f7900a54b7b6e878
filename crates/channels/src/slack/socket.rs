//! Socket mode: Slack's events over a connection that the app opens, for who has no public address.
//!
//! <https://docs.slack.dev/apis/events-api/using-socket-mode>. Each envelope is acknowledged once what it brings is queued; Slack
//! gives what is not acknowledged to another connection. Before Slack ends a connection it says so, and the next one
//! is opened first.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use websocket::{ClientConfig, CloseFrame, Message, WebSocket};

use super::{BadEvent, Client, Event, Me, parse_command, parse_event, parse_interaction};
use crate::SendError;
use crate::held::{Ended, Hold, finish};

/// The longest frame that is taken, in bytes.
const MAX_FRAME: usize = 4 * 1024 * 1024;

/// Slack pings every few seconds: who hears nothing for so long has no connection.
const SILENCE: Duration = Duration::from_secs(120);

/// How long Slack may take for its first word.
const HELLO_WITHIN: Duration = Duration::from_secs(20);

/// How long a connection that Slack is about to end is still read.
const OLD_FOR: Duration = Duration::from_secs(60);

/// What all connections share.
#[derive(Clone)]
pub struct Socket {
    pub client: Client,
    pub tls: Arc<ClientConfig>,
}

/// One frame of Slack's.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: String,
    envelope_id: Option<String>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    /// Why the connection ends.
    reason: Option<String>,
}

/// What a frame asks for.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Slack is ready.
    Hello,
    /// Take this in, if there is something, and then acknowledge it.
    Take {
        envelope: String,
        event: Event,
    },
    /// Another connection is to take the place of this one.
    Renew,
    /// Nobody may connect any more.
    Disabled,
    Nothing,
}

fn read(text: &str, me: Me<'_>, hold: &dyn Hold) -> Result<Step, BadEvent> {
    let frame: Frame<'_> = serde_json::from_str(text).map_err(|_| BadEvent)?;
    match (frame.kind.as_str(), frame.reason.as_deref()) {
        ("hello", _) => return Ok(Step::Hello),
        ("disconnect", Some("link_disabled")) => return Ok(Step::Disabled),
        ("disconnect", _) => return Ok(Step::Renew),
        _ => {}
    }
    let (Some(envelope), Some(payload)) = (frame.envelope_id, frame.payload) else { return Ok(Step::Nothing) };
    let (payload, now) = (payload.get(), hold.now());
    let event = match frame.kind.as_str() {
        "events_api" => parse_event(payload.as_bytes(), me),
        "interactive" => parse_interaction(payload, me, now),
        "slash_commands" => parse_command(payload, me, now),
        _ => Ok(Event::Ignored("this kind of envelope is not answered")),
    };
    // What cannot be read is acknowledged all the same: it would be no better the next time.
    let event = event.unwrap_or(Event::Ignored("Slack sent an envelope that cannot be read"));
    Ok(Step::Take { envelope, event })
}

/// Holds the connection of an app, whose app-level token (`xapp-…`) is `app_token`, until it ends. `me` is the app's bot.
pub async fn run(socket: &Socket, app_token: &str, me: Me<'_>, hold: &dyn Hold, stop: CancellationToken) -> Ended {
    let opened = tokio::select! {
        () = stop.cancelled() => return Ended::Stopped,
        opened = Box::pin(open_patiently(socket, app_token, hold)) => opened,
    };
    let current = match opened {
        Ok(current) => current,
        Err(ended) => return ended,
    };
    hold.connected();
    let heard = Instant::now();
    let mut connection = Connection { socket, app_token, me, hold, current, old: None, heard };
    let ended = loop {
        match connection.turn(&stop).await {
            Ok(()) => {}
            Err(ended) => break ended,
        }
    };
    connection.close();
    ended
}

/// A connection on which Slack has said hello, after as long as Slack lets nobody connect.
async fn open_patiently(socket: &Socket, app_token: &str, hold: &dyn Hold) -> Result<WebSocket, Ended> {
    loop {
        match socket.client.open_connection(app_token).await {
            Err(SendError::RateLimited { retry_after }) => hold.pause(retry_after).await,
            Err(error) => return Err(refused(error)),
            Ok(url) => return greeted(socket, &url).await,
        }
    }
}

async fn open(socket: &Socket, app_token: &str) -> Result<WebSocket, Ended> {
    greeted(socket, &socket.client.open_connection(app_token).await.map_err(refused)?).await
}

async fn greeted(socket: &Socket, url: &str) -> Result<WebSocket, Ended> {
    let mut opened = WebSocket::connect(url, &socket.tls, MAX_FRAME).await.map_err(lost)?;
    let hello = async {
        loop {
            match opened.next().await.map_err(lost)? {
                Message::Text(text) if text.contains("\"hello\"") => return Ok(()),
                Message::Close(close) => return Err(closed(close.as_ref())),
                _ => {}
            }
        }
    };
    let greeted = timeout(HELLO_WITHIN, hello).await;
    greeted.unwrap_or_else(|_| Err(Ended::Lost("Slack did not greet in time".to_owned())))?;
    Ok(opened)
}

fn refused(error: SendError) -> Ended {
    match error {
        SendError::Unauthorised(detail) | SendError::Rejected(detail) | SendError::Unreachable(detail) => {
            Ended::Unauthorised(format!(
                "Slack refuses the app-level token ({detail}). Switch Socket Mode on at api.slack.com/apps, make a token with \
                 the scope connections:write under \"Basic Information\", \"App-Level Tokens\", and give it to the link."
            ))
        }
        SendError::RateLimited { retry_after } => {
            Ended::Lost(format!("Slack lets nobody connect for {} s", retry_after.as_secs()))
        }
        SendError::Temporary(detail) => Ended::Lost(detail),
    }
}

struct Connection<'a> {
    socket: &'a Socket,
    app_token: &'a str,
    me: Me<'a>,
    hold: &'a dyn Hold,
    current: WebSocket,
    /// The one before, which Slack is about to end, and until when it is still read.
    old: Option<(WebSocket, Instant)>,
    heard: Instant,
}

impl Connection<'_> {
    /// Does what comes next.
    async fn turn(&mut self, stop: &CancellationToken) -> Result<(), Ended> {
        let old_ends = self.old.as_ref().map(|(_, until)| *until);
        let old = async {
            match &mut self.old {
                Some((old, _)) => old.next().await,
                None => std::future::pending().await,
            }
        };
        let (message, is_old) = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Ended::Stopped),
            message = old => (message, true),
            message = self.current.next() => (message, false),
            () = tokio::time::sleep_until(old_ends.unwrap_or(self.heard + SILENCE)) => {
                if old_ends.is_none() {
                    return Err(Ended::Lost("Slack is silent".to_owned()));
                }
                self.old = None;
                return Ok(());
            }
        };
        match message {
            Ok(Message::Text(text)) => {
                self.heard = Instant::now();
                finish(self.take(&text, is_old), stop).await.unwrap_or(Err(Ended::Stopped))
            }
            Ok(Message::Close(_)) | Err(_) if is_old => {
                self.old = None;
                Ok(())
            }
            Ok(Message::Close(close)) => Err(closed(close.as_ref())),
            Ok(_) => {
                self.heard = Instant::now();
                Ok(())
            }
            Err(error) => Err(lost(error)),
        }
    }

    async fn take(&mut self, text: &str, is_old: bool) -> Result<(), Ended> {
        let step = read(text, self.me, self.hold);
        match step.map_err(|_| Ended::Lost("Slack sent a frame that is not JSON".to_owned()))? {
            Step::Take { envelope, event } => {
                match event {
                    // Nothing else is read meanwhile.
                    Event::Message(received) => self.hold.accept(vec![*received]).await?,
                    Event::Ignored(reason) => tracing::debug!("An envelope is ignored: {reason}"),
                    Event::Challenge(_) => {}
                }
                self.acknowledge(&envelope, is_old).await
            }
            // Each connection is replaced once.
            Step::Renew if !is_old => {
                let next = Box::pin(open(self.socket, self.app_token)).await?;
                let old = std::mem::replace(&mut self.current, next);
                self.old = Some((old, Instant::now() + OLD_FOR));
                self.hold.connected();
                Ok(())
            }
            Step::Disabled => Err(Ended::Misconfigured(
                "Socket Mode is switched off on the app's page at api.slack.com/apps: switch it on and resume the link"
                    .to_owned(),
            )),
            Step::Renew | Step::Hello | Step::Nothing => Ok(()),
        }
    }

    async fn acknowledge(&mut self, envelope: &str, is_old: bool) -> Result<(), Ended> {
        let message = Message::Text(json!({ "envelope_id": envelope }).to_string());
        match &mut self.old {
            // If it is gone, Slack gives the envelope to the new one, and it counts once.
            Some((old, _)) if is_old => {
                let _ = old.send(&message).await;
                Ok(())
            }
            _ => self.current.send(&message).await.map_err(lost),
        }
    }

    /// For politeness only: Slack sees the end of the connection as well.
    fn close(&mut self) {
        let close = Message::Close(Some(CloseFrame { code: 1000, reason: String::new() }));
        let _ = self.current.send(&close).now_or_never();
    }
}

fn closed(close: Option<&CloseFrame>) -> Ended {
    let code = close.map(|close| close.code.to_string()).unwrap_or_default();
    Ended::Lost(format!("Slack closed the connection {code}"))
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn lost(error: websocket::Error) -> Ended {
    Ended::Lost(error.to_string())
}
