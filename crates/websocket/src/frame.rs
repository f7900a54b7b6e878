//! Frames of RFC 6455: bytes to messages and back, without I/O.

use std::mem;

/// One message, or one control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<CloseFrame>),
}

/// Why a peer closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    pub code: u16,
    pub reason: String,
}

/// What a peer did that RFC 6455 forbids, or that we do not take. The connection is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("a frame uses an extension that was not agreed on")]
    ReservedBits,
    #[error("a frame has the unknown opcode {0}")]
    UnknownOpcode(u8),
    #[error("a control frame is fragmented or longer than 125 bytes")]
    BadControl,
    #[error("a server's frame is masked, or a client's is not")]
    WrongMask,
    #[error("a frame's length is not written in its shortest form")]
    BadLength,
    #[error("a message begins within another, or goes on without having begun")]
    BadFragment,
    #[error("a text is not UTF-8")]
    NotUtf8,
    #[error("a close frame has half a code")]
    BadClose,
    #[error("a message is longer than {limit} bytes")]
    TooLong { limit: usize },
}

/// Which end of a connection reads. A client's frames are masked, a server's are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Client,
    Server,
}

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const MAX_CONTROL: usize = 125;

struct Header {
    fin: bool,
    opcode: u8,
    mask: Option<[u8; 4]>,
    /// Bytes of the header itself.
    size: usize,
    payload: usize,
}

/// Makes messages of bytes. Between messages it holds no memory.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    limit: usize,
    /// Opcode and payload of a message of which only the beginning is here.
    begun: Option<(u8, Vec<u8>)>,
}

impl Decoder {
    /// For the end `role` of a connection; a message may have `limit` bytes.
    pub fn new(role: Role, limit: usize) -> Decoder {
        Decoder { role, limit, begun: None }
    }

    /// Takes the next message from the beginning of `input`. `None`: it is not all there yet. What was used is
    /// removed, and an input that is used up gives its memory back.
    pub fn decode(&mut self, input: &mut Vec<u8>) -> Result<Option<Message>, ProtocolError> {
        let mut used = 0;
        let message = loop {
            let Some(header) = self.header(&input[used..])? else { break None };
            let start = used + header.size;
            let Some(payload) = input.get_mut(start..start + header.payload) else { break None };
            if let Some(mask) = header.mask {
                apply_mask(mask, payload);
            }
            used = start + header.payload;
            if let Some(message) = self.frame(&header, payload)? {
                break Some(message);
            }
        };
        if used == input.len() {
            mem::take(input);
        } else {
            input.drain(..used);
        }
        Ok(message)
    }

    fn header(&self, input: &[u8]) -> Result<Option<Header>, ProtocolError> {
        let [first, second, rest @ ..] = input else { return Ok(None) };
        let (fin, opcode) = (first & FIN != 0, first & 0x0F);
        if first & 0x70 != 0 {
            return Err(ProtocolError::ReservedBits);
        }
        let is_control = match opcode {
            CONTINUATION | TEXT | BINARY => false,
            CLOSE | PING | PONG => true,
            unknown => return Err(ProtocolError::UnknownOpcode(unknown)),
        };
        let is_masked = second & MASKED != 0;
        if is_masked != (self.role == Role::Server) {
            return Err(ProtocolError::WrongMask);
        }
        let short = usize::from(second & 0x7F);
        if is_control && (!fin || short > MAX_CONTROL) {
            return Err(ProtocolError::BadControl);
        }
        let (payload, extended) = match (short, rest) {
            (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 2),
            (127, [a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 8),
            (126 | 127, _) => return Ok(None),
            (short, _) => (short as u64, 0),
        };
        if (extended == 2 && payload < 126) || (extended == 8 && payload <= u64::from(u16::MAX)) {
            return Err(ProtocolError::BadLength);
        }
        let so_far = self.begun.as_ref().map_or(0, |(_, begun)| begun.len());
        let room = if is_control { MAX_CONTROL } else { self.limit.saturating_sub(so_far) };
        let payload = usize::try_from(payload).ok().filter(|payload| *payload <= room);
        let payload = payload.ok_or(ProtocolError::TooLong { limit: self.limit })?;
        let mask = match (is_masked, rest.get(extended..extended + 4)) {
            (false, _) => None,
            (true, Some(&[a, b, c, d])) => Some([a, b, c, d]),
            (true, _) => return Ok(None),
        };
        let size = 2 + extended + if is_masked { 4 } else { 0 };
        Ok(Some(Header { fin, opcode, mask, size, payload }))
    }

    /// What a whole frame makes: a message, or only a part of one.
    fn frame(&mut self, header: &Header, payload: &[u8]) -> Result<Option<Message>, ProtocolError> {
        match header.opcode {
            PING => return Ok(Some(Message::Ping(payload.to_vec()))),
            PONG => return Ok(Some(Message::Pong(payload.to_vec()))),
            CLOSE => return read_close(payload).map(|close| Some(Message::Close(close))),
            _ => {}
        }
        let (opcode, data) = match (header.opcode, self.begun.take()) {
            (CONTINUATION, Some((opcode, mut begun))) => {
                begun.extend_from_slice(payload);
                (opcode, begun)
            }
            (TEXT | BINARY, None) => (header.opcode, payload.to_vec()),
            _ => return Err(ProtocolError::BadFragment),
        };
        if !header.fin {
            self.begun = Some((opcode, data));
            return Ok(None);
        }
        if opcode == BINARY {
            return Ok(Some(Message::Binary(data)));
        }
        String::from_utf8(data).map(|text| Some(Message::Text(text))).map_err(|_| ProtocolError::NotUtf8)
    }
}

fn read_close(payload: &[u8]) -> Result<Option<CloseFrame>, ProtocolError> {
    match payload {
        [] => Ok(None),
        [_] => Err(ProtocolError::BadClose),
        [high, low, reason @ ..] => {
            let reason = std::str::from_utf8(reason).map_err(|_| ProtocolError::NotUtf8)?.to_owned();
            Ok(Some(CloseFrame { code: u16::from_be_bytes([*high, *low]), reason }))
        }
    }
}

fn apply_mask(mask: [u8; 4], payload: &mut [u8]) {
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// Writes a message as one frame. A client gives a `mask`, new and unforeseeable for each frame; a server none.
///
/// A close frame's reason is cut to what fits, and so is what a ping or pong carries.
pub fn encode(message: &Message, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let close;
    let (opcode, payload): (u8, &[u8]) = match message {
        Message::Text(text) => (TEXT, text.as_bytes()),
        Message::Binary(data) => (BINARY, data),
        Message::Ping(data) => (PING, &data[..data.len().min(MAX_CONTROL)]),
        Message::Pong(data) => (PONG, &data[..data.len().min(MAX_CONTROL)]),
        Message::Close(None) => (CLOSE, &[]),
        Message::Close(Some(CloseFrame { code, reason })) => {
            let mut end = reason.len().min(MAX_CONTROL - 2);
            while !reason.is_char_boundary(end) {
                end -= 1;
            }
            close = [&code.to_be_bytes(), &reason.as_bytes()[..end]].concat();
            (CLOSE, &close)
        }
    };
    out.reserve(payload.len() + 14);
    out.push(FIN | opcode);
    let masked = if mask.is_some() { MASKED } else { 0 };
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..=125), _) => out.push(masked | short),
        (_, Ok(medium)) => {
            out.push(masked | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask.unwrap_or_default()[..if mask.is_some() { 4 } else { 0 }]);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(mask, &mut out[start..]);
    }
}
