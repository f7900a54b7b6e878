//! Matrix: files that people send there are fetched from the bot's homeserver, in its name.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use channels::Received;
use domain::link::MatrixSettings;
use domain::{Address, Attachment, AttachmentKind, ChatKind, LinkSettings, Sender, SessionKey, Timestamp};
use serde_json::json;
use testkit::stack::Stack;

use super::{World, open};

const TOKEN: &str = "syt_heron";

/// A homeserver with one file, `mxc://example.org/notes`, which takes whatever is sent.
async fn homeserver(calls: Arc<Mutex<Vec<String>>>) -> String {
    async fn answer(State(calls): State<Arc<Mutex<Vec<String>>>>, request: Request) -> (StatusCode, Vec<u8>) {
        let path = request.uri().path().to_owned();
        calls.lock().unwrap().push(format!("{} {path}", request.method()));
        if request.headers().get("authorization").is_none_or(|token| token.as_bytes() != b"Bearer syt_heron") {
            return (StatusCode::UNAUTHORIZED, br#"{"errcode":"M_MISSING_TOKEN"}"#.to_vec());
        }
        match path.as_str() {
            "/_matrix/client/v1/media/download/example.org/notes" => {
                (StatusCode::OK, b"The key is under the mat.".to_vec())
            }
            "/_matrix/client/v1/media/download/example.org/large" => (StatusCode::OK, vec![b'x'; (20 << 20) + 1]),
            path if path.contains("/send/") => (StatusCode::OK, br#"{"event_id":"$reply"}"#.to_vec()),
            _ => (StatusCode::NOT_FOUND, json!({ "errcode": "M_NOT_FOUND" }).to_string().into_bytes()),
        }
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = Router::new().fallback(answer).with_state(calls);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn files_are_fetched_from_the_homeserver_with_the_token() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let server = homeserver(calls.clone()).await;
    let mut stack = Stack::start().await;
    stack.environment.settings.fetch_allow = vec![server.clone()];
    let settings = MatrixSettings { homeserver: format!("http://{server}"), user: "@heron:example.org".to_owned() };
    let credentials = json!({ "access_token": TOKEN }).to_string();
    let world = World::start(stack, LinkSettings::Matrix(settings), &credentials, None, open()).await;
    for (event, reference, size, said) in [
        ("$1", "mxc://example.org/notes", Some(25), "The key is under the mat."),
        ("$2", "mxc://example.org/gone", None, "[It could not be read: the channel did not give it out.]"),
        ("$3", "https://elsewhere.example/notes", None, "[It could not be read: the channel did not give it out.]"),
        // What a person's client says of a file's size may be wrong.
        ("$4", "mxc://example.org/large", Some(7), "[It could not be read: it is larger than 20 MB.]"),
    ] {
        let file = Attachment {
            kind: AttachmentKind::Document,
            reference: reference.to_owned(),
            name: Some("notes.txt".to_owned()),
            mime: Some("text/plain".to_owned()),
            size,
            media: None,
            text: None,
        };
        let received = Received {
            channel_message_id: event.to_owned(),
            address: Address { kind: ChatKind::Direct, chat: "!den:example.org".into(), thread: None, reply_to: None },
            sender: Sender { id: "@ada:example.org".into(), name: Some("ada".into()), username: None },
            text: "Look".to_owned(),
            attachments: vec![file],
            quote: None,
            album: None,
            mentioned: true,
            sent_at: Timestamp::from_secs(1_795_000_000),
        };
        let environment = &world.stack.environment;
        let now = environment.clock.now();
        let session = SessionKey::main("main");
        let inbound = received.into_inbound(&world.bot, world.link.id, world.link.channel, session, now);
        environment.take_in(&world.bot, inbound).await.unwrap();
        world.work().await;
        assert_eq!(world.files_said().await, [Some(said.to_owned())], "{reference}");
    }
    let sent = calls.lock().unwrap().iter().filter(|call| call.contains("/send/m.room.message/")).count();
    assert_eq!(sent, 4, "each is answered");
}
