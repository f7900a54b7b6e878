//! The server's side of a WebSocket's beginning.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use websocket::{Message, encode};

/// The longest request, in bytes.
const MAX_REQUEST: usize = 16 * 1024;

/// The head of a request, and what came behind it.
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) rest: Vec<u8>,
}

impl Request {
    /// Reads a request; `None` if there is none.
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
                break end + 4;
            }
            match stream.read_buf(&mut bytes).await {
                Ok(1..) if bytes.len() < MAX_REQUEST => {}
                _ => return None,
            }
        };
        let rest = bytes.split_off(end);
        Some(Request { head: String::from_utf8_lossy(&bytes).into_owned(), rest })
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

/// Answers a request for a WebSocket that carries this `sec-websocket-key`. Whether the client took it.
pub(crate) async fn accept(stream: &mut (impl AsyncWrite + Unpin), key: &str) -> bool {
    let accept = BASE64.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(response.as_bytes()).await.is_ok()
}

/// Sends a message to the client. Whether it left.
pub(crate) async fn send(stream: &mut (impl AsyncWrite + Unpin), message: &Message) -> bool {
    let mut bytes = Vec::new();
    encode(message, None, &mut bytes);
    stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok()
}
