//! Our frames against tungstenite's, both ways.

use std::io::{self, Cursor, Read, Write};

use proptest::prelude::*;
use tungstenite::protocol::frame::Utf8Bytes;
use tungstenite::protocol::{self, WebSocketConfig};
use websocket::{CloseFrame, Decoder, Message, ProtocolError, Role, encode};

const LIMIT: usize = 300_000;

/// A stream that gives what it was made with and keeps what is written.
struct Tape {
    input: Cursor<Vec<u8>>,
    output: Vec<u8>,
}

impl Read for Tape {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.input.read(into)
    }
}

impl Write for Tape {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.output.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn peer(role: protocol::Role, input: Vec<u8>) -> protocol::WebSocket<Tape> {
    let tape = Tape { input: Cursor::new(input), output: Vec::new() };
    protocol::WebSocket::from_raw_socket(tape, role, Some(WebSocketConfig::default()))
}

fn theirs(message: &Message) -> tungstenite::Message {
    match message.clone() {
        Message::Text(text) => tungstenite::Message::text(text),
        Message::Binary(data) => tungstenite::Message::binary(data),
        Message::Ping(data) => tungstenite::Message::Ping(data.into()),
        Message::Pong(data) => tungstenite::Message::Pong(data.into()),
        Message::Close(close) => tungstenite::Message::Close(
            close.map(|close| protocol::CloseFrame { code: close.code.into(), reason: Utf8Bytes::from(close.reason) }),
        ),
    }
}

fn data() -> impl Strategy<Value = Message> {
    let length = prop_oneof![0..200usize, 125..128usize, 65_530..65_540usize, 100_000..100_100usize];
    prop_oneof![
        ".{0,80}".prop_map(Message::Text),
        length.prop_flat_map(|n| any::<u8>().prop_map(move |byte| Message::Binary(vec![byte; n]))),
        proptest::collection::vec(any::<u8>(), 0..126).prop_map(Message::Ping),
        proptest::collection::vec(any::<u8>(), 0..126).prop_map(Message::Pong),
    ]
}

/// Gives `bytes` to a decoder in pieces of the given sizes, again and again.
fn decode_in_pieces(role: Role, bytes: &[u8], sizes: &[usize]) -> Result<Vec<Message>, ProtocolError> {
    let mut decoder = Decoder::new(role, LIMIT);
    let (mut input, mut messages, mut rest) = (Vec::new(), Vec::new(), bytes);
    for size in sizes.iter().cycle() {
        let (piece, left) = rest.split_at((*size).min(rest.len()));
        input.extend_from_slice(piece);
        rest = left;
        while let Some(message) = decoder.decode(&mut input)? {
            messages.push(message);
        }
        if rest.is_empty() {
            break;
        }
    }
    assert!(!input.is_empty() || input.capacity() == 0, "an empty input keeps {} bytes", input.capacity());
    Ok(messages)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_server_of_tungstenite_reads_what_we_write(sent in proptest::collection::vec(data(), 1..6), mask: [u8; 4]) {
        let mut bytes = Vec::new();
        for message in &sent {
            encode(message, Some(mask), &mut bytes);
        }
        let mut server = peer(protocol::Role::Server, bytes);
        for message in &sent {
            prop_assert_eq!(server.read().unwrap(), theirs(message));
        }
    }

    #[test]
    fn we_read_what_a_server_of_tungstenite_writes(
        sent in proptest::collection::vec(data(), 1..6),
        sizes in proptest::collection::vec(1..20_000usize, 1..5),
    ) {
        let mut server = peer(protocol::Role::Server, Vec::new());
        for message in &sent {
            server.send(theirs(message)).unwrap();
        }
        let bytes = &server.get_ref().output;
        prop_assert_eq!(decode_in_pieces(Role::Client, bytes, &sizes).unwrap(), sent);
    }

    #[test]
    fn fragments_are_joined_with_control_frames_between(
        text in ".{0,300}",
        cuts in proptest::collection::vec(0..300usize, 0..6),
        sizes in proptest::collection::vec(1..50usize, 1..4),
    ) {
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let mut wire = Vec::new();
        let mut start = 0;
        for (index, cut) in cuts.iter().copied().chain([bytes.len()]).enumerate() {
            let is_last = index == cuts.len();
            let mut frame = Vec::new();
            encode(&Message::Binary(bytes[start..cut].to_vec()), None, &mut frame);
            frame[0] = if is_last { 0x80 } else { 0 } | u8::from(index == 0);
            wire.extend_from_slice(&frame);
            if !is_last {
                encode(&Message::Ping(vec![7]), None, &mut wire);
            }
            start = cut;
        }
        let mut read = decode_in_pieces(Role::Client, &wire, &sizes).unwrap();
        read.retain(|message| *message != Message::Ping(vec![7]));
        prop_assert_eq!(read, vec![Message::Text(text)]);
    }

    #[test]
    fn garbage_is_refused_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), sizes in proptest::collection::vec(1..40usize, 1..3)) {
        for role in [Role::Client, Role::Server] {
            if let Ok(messages) = decode_in_pieces(role, &bytes, &sizes) {
                let length: usize = messages.iter().map(|message| match message {
                    Message::Text(text) => text.len(),
                    Message::Binary(data) | Message::Ping(data) | Message::Pong(data) => data.len(),
                    Message::Close(_) => 0,
                }).sum();
                prop_assert!(length <= bytes.len());
            }
        }
    }
}

#[test]
fn a_close_frame_says_why() {
    let close = Message::Close(Some(CloseFrame { code: 4004, reason: "Authentication failed.".to_owned() }));
    let mut bytes = Vec::new();
    encode(&close, None, &mut bytes);
    assert_eq!(decode_in_pieces(Role::Client, &bytes, &[1]).unwrap(), vec![close]);
    let long = Message::Close(Some(CloseFrame { code: 1000, reason: "ä".repeat(200) }));
    let mut bytes = Vec::new();
    encode(&long, Some([1, 2, 3, 4]), &mut bytes);
    assert!(bytes.len() <= 2 + 4 + 125);
    assert!(peer(protocol::Role::Server, bytes).read().unwrap().is_close());
}

#[test]
fn what_the_standard_forbids_is_refused() {
    let cases: [(&[u8], ProtocolError); 9] = [
        (&[0xC1, 0], ProtocolError::ReservedBits),
        (&[0x83, 0], ProtocolError::UnknownOpcode(3)),
        (&[0x09, 0], ProtocolError::BadControl),
        (&[0x89, 126, 0, 126], ProtocolError::BadControl),
        (&[0x81, 0x80, 0, 0, 0, 0], ProtocolError::WrongMask),
        (&[0x81, 126, 0, 5], ProtocolError::BadLength),
        (&[0x80, 0], ProtocolError::BadFragment),
        (&[0x81, 1, 0xFF], ProtocolError::NotUtf8),
        (&[0x82, 127, 0, 0, 0, 0, 0xFF, 0, 0, 0], ProtocolError::TooLong { limit: LIMIT }),
    ];
    for (bytes, error) in cases {
        assert_eq!(decode_in_pieces(Role::Client, bytes, &[1]), Err(error), "{bytes:x?}");
    }
}

#[test]
fn fragments_together_may_not_be_longer_than_the_limit() {
    let mut bytes = Vec::new();
    encode(&Message::Binary(vec![0; LIMIT / 2 + 1]), None, &mut bytes);
    bytes[0] = 0x02;
    let second = bytes.len();
    bytes.extend_from_within(..);
    bytes[second] = 0x80;
    assert_eq!(decode_in_pieces(Role::Client, &bytes, &[9000]), Err(ProtocolError::TooLong { limit: LIMIT }));
}
