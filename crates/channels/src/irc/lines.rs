//! Lines from a stream of bytes.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest line with all of its tags, in bytes: 8,191 of tags and 512 of message, and some grace.
const MAX_LINE: usize = 10_000;

/// Reads lines. A read that is given up loses nothing.
pub(super) struct Lines<R> {
    reader: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R) -> Lines<R> {
        Lines { reader, buffer: BytesMut::new() }
    }

    /// The next line without its end; `None` if there is none to come. What is not UTF-8 is replaced.
    pub(super) async fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(line) = self.buffered() {
                return Ok(Some(line));
            }
            if self.buffer.len() > MAX_LINE {
                return Err(io::Error::other(format!("a line of more than {MAX_LINE} bytes")));
            }
            self.buffer.reserve(1024);
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// A line that is here already.
    pub(super) fn buffered(&mut self) -> Option<String> {
        let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
        let line = self.buffer.split_to(end);
        self.buffer.advance(1);
        if self.buffer.is_empty() {
            // What one long line needed is given back.
            self.buffer = BytesMut::new();
        }
        let line = String::from_utf8_lossy(&line);
        Some(line.trim_end_matches('\r').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_end_as_they_like_and_bytes_may_be_anything() {
        let mut lines = Lines::new(&b"PING a\r\nPING b\n\xff\xfe c\r\nhalf"[..]);
        assert_eq!(lines.next().await.unwrap().as_deref(), Some("PING a"));
        assert_eq!(lines.buffered().as_deref(), Some("PING b"));
        assert_eq!(lines.next().await.unwrap().as_deref(), Some("\u{fffd}\u{fffd} c"));
        assert_eq!(lines.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_endless_line_is_an_error() {
        let mut lines = Lines::new(tokio::io::repeat(b'x'));
        assert!(lines.next().await.unwrap_err().to_string().contains("10000 bytes"));
    }
}
