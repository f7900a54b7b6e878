//! Streams cut into frames: server-sent events, and Amazon's event streams.

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_types::event_stream::Message;
use bytes::{Bytes, BytesMut};
use serde_json::Value;

use super::Failure;
use super::exchange::reported;

/// One frame of a stream.
#[derive(Debug, PartialEq)]
pub(super) struct Frame {
    /// What kind of event it is, where the stream says so; else empty.
    pub(super) kind: String,
    pub(super) data: Data,
}

#[derive(Debug, PartialEq)]
pub(super) enum Data {
    Json(Value),
    /// The stream's own end mark.
    Done,
}

/// Takes a stream's bytes as they come.
pub(super) enum Frames {
    Events(Events),
    Amazon(Amazon),
}

impl Frames {
    /// The frames that are whole with these bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, Failure> {
        match self {
            Frames::Events(events) => events.push(bytes),
            Frames::Amazon(amazon) => amazon.push(bytes),
        }
    }
}

/// Server-sent events: lines `event:` and `data:`, and an empty one at the end of each.
#[derive(Default)]
pub(super) struct Events {
    line: Vec<u8>,
    kind: String,
    data: String,
}

impl Events {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, Failure> {
        let mut frames = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                frames.extend(self.take_line(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']))?);
            }
        }
        Ok(frames)
    }

    fn take_line(&mut self, line: &str) -> Result<Option<Frame>, Failure> {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => return self.end(),
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // Comments keep the connection open; ids and times to wait are not for us.
            _ => {}
        }
        Ok(None)
    }

    fn end(&mut self) -> Result<Option<Frame>, Failure> {
        let (kind, data) = (std::mem::take(&mut self.kind), std::mem::take(&mut self.data));
        let data = match data.trim() {
            "" => return Ok(None),
            "[DONE]" => Data::Done,
            text => Data::Json(
                serde_json::from_str(text)
                    .map_err(|error| Failure::billed(format!("a part of the answer is not JSON ({error})")))?,
            ),
        };
        Ok(Some(Frame { kind, data }))
    }
}

/// `application/vnd.amazon.eventstream`
#[derive(Default)]
pub(super) struct Amazon {
    decoder: MessageFrameDecoder,
    buffer: BytesMut,
}

impl Amazon {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, Failure> {
        self.buffer.extend_from_slice(bytes);
        let mut frames = Vec::new();
        loop {
            match self.decoder.decode_frame(&mut self.buffer) {
                Ok(DecodedFrame::Incomplete) => return Ok(frames),
                Ok(DecodedFrame::Complete(message)) => frames.push(frame(&message)?),
                Err(error) => return Err(Failure::billed(format!("the event stream is broken ({error})"))),
            }
        }
    }
}

fn frame(message: &Message) -> Result<Frame, Failure> {
    let header = |name: &str| {
        let header = message.headers().iter().find(|header| header.name().as_str() == name)?;
        Some(header.value().as_string().ok()?.as_str().to_owned())
    };
    let payload: &Bytes = message.payload();
    let data: Value = serde_json::from_slice(payload).unwrap_or_default();
    match header(":message-type").as_deref() {
        None | Some("event") => Ok(Frame { kind: header(":event-type").unwrap_or_default(), data: Data::Json(data) }),
        Some(_) => {
            let kind = header(":exception-type").or_else(|| header(":error-code")).unwrap_or_default();
            let said = header(":error-message");
            Err(reported(&kind, said.as_deref().unwrap_or(super::draft::text(&data, "message"))))
        }
    }
}
