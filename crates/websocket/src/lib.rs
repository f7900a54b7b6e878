//! A WebSocket client (RFC 6455) for a process that holds very many connections, almost all of them idle.
//!
//! An idle connection over TLS takes about 8 KB of memory: no buffer outlives what it was filled with, all connections
//! share one TLS configuration, and extensions (compression) are not spoken. Pings are answered, and fragments are
//! joined; the rest is the caller's.

mod connect;
mod frame;
mod wire;

pub use connect::tls_config;
pub use frame::{CloseFrame, Decoder, Message, ProtocolError, Role, encode};
pub use rustls::ClientConfig;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use crate::wire::Wire;

/// Why a connection did not open, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the address cannot be used: {0}")]
    BadUrl(String),
    /// The answer to the upgrade. `status` 0: it was no HTTP.
    #[error("the server refused the WebSocket with status {status}")]
    Refused { status: u16, retry_after: Option<Duration> },
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the server broke the WebSocket protocol: {0}")]
    Protocol(#[from] ProtocolError),
}

/// An open connection.
pub struct WebSocket {
    wire: Wire,
    decoder: Decoder,
    /// What was received and is no whole message yet.
    received: Vec<u8>,
}

impl WebSocket {
    /// Opens `url`, `wss://…` or `ws://…`. Messages longer than `limit` bytes end the connection.
    pub async fn connect(url: &str, tls: &Arc<ClientConfig>, limit: usize) -> Result<WebSocket, Error> {
        // On the heap: else whoever awaits this carries the space for a handshake for as long as it lives.
        let (wire, received) = Box::pin(connect::open(url, tls)).await?;
        Ok(WebSocket { wire, decoder: Decoder::new(Role::Client, limit), received })
    }

    /// The next message. A ping was answered when it is returned; after a close frame nothing comes.
    ///
    /// Nothing is lost if the future is dropped before it is done.
    pub async fn next(&mut self) -> Result<Message, Error> {
        loop {
            if let Some(message) = self.decoder.decode(&mut self.received)? {
                if let Message::Ping(data) = &message {
                    self.queue(&Message::Pong(data.clone()))?;
                    self.wire.flush().await?;
                }
                return Ok(message);
            }
            self.wire.exchange(&mut self.received).await?;
        }
    }

    /// Sends a message. If the future is dropped before it is done, the rest leaves with the next call.
    pub async fn send(&mut self, message: &Message) -> Result<(), Error> {
        self.queue(message)?;
        Ok(self.wire.flush().await?)
    }

    fn queue(&mut self, message: &Message) -> Result<(), Error> {
        let mut frame = Vec::new();
        encode(message, Some(random()?), &mut frame);
        Ok(self.wire.queue(&frame)?)
    }
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the operating system gives no randomness"))?;
    Ok(bytes)
}
