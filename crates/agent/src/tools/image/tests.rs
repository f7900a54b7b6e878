use std::sync::Mutex;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::get;
use domain::{Entry, SessionKey, Timestamp, TurnId};
use serde_json::json;

use super::*;
use crate::{
    Assignment, BotView, BoxFuture, Expect, FileContent, FileInfo, Host, JobAnswer, JobRequest, NoHost, Place,
    SessionInfo, ToSend,
};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and points";
const JPEG: &[u8] = b"\xff\xd8\xff\xe0 and points";
const GIF: &[u8] = b"GIF89a and points";
const WEBP: &[u8] = b"RIFF\0\0\0\0WEBPVP8 and points";

/// Some files, and what is kept beside them.
#[derive(Default)]
struct Files {
    workspace: Vec<(&'static str, Vec<u8>)>,
    kept: Mutex<Vec<Bytes>>,
}

impl Host for Files {
    fn file_read<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<FileContent>, HostError>> {
        let found = self.workspace.iter().find(|(known, _)| *known == path);
        let content = found.map(|(_, bytes)| FileContent { bytes: bytes.clone().into(), tag: String::new() });
        Box::pin(async { Ok(content) })
    }

    fn media<'a>(&'a self, id: &'a MediaId) -> BoxFuture<'a, Result<Bytes, HostError>> {
        let found = self.kept.lock().unwrap().iter().find(|bytes| MediaId::of(bytes) == *id).cloned();
        Box::pin(async { found.ok_or_else(|| HostError::Refused("There is no such file.".to_owned())) })
    }

    fn media_keep<'a>(
        &'a self,
        bytes: Bytes,
        mime: &'a str,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Media, HostError>> {
        let name = name.map(str::to_owned);
        let media = Media { id: MediaId::of(&bytes), mime: mime.to_owned(), size: bytes.len() as u64, name };
        self.kept.lock().unwrap().push(bytes);
        Box::pin(async { Ok(media) })
    }

    fn files(&self) -> BoxFuture<'_, Result<Vec<FileInfo>, HostError>> {
        Host::files(&NoHost)
    }

    fn file_write<'a>(
        &'a self,
        path: &'a str,
        bytes: Bytes,
        expect: Expect<'a>,
    ) -> BoxFuture<'a, Result<(), HostError>> {
        Host::file_write(&NoHost, path, bytes, expect)
    }

    fn places(&self) -> BoxFuture<'_, Result<Vec<Place>, HostError>> {
        Host::places(&NoHost)
    }

    fn place<'a>(&'a self, session: &'a SessionKey) -> BoxFuture<'a, Result<Option<Place>, HostError>> {
        Host::place(&NoHost, session)
    }

    fn send<'a>(&'a self, call: &'a str, to: &'a Place, what: ToSend) -> BoxFuture<'a, Result<(), HostError>> {
        Host::send(&NoHost, call, to, what)
    }

    fn sessions(&self) -> BoxFuture<'_, Result<Vec<SessionInfo>, HostError>> {
        Host::sessions(&NoHost)
    }

    fn history<'a>(&'a self, session: &'a SessionKey, limit: usize) -> BoxFuture<'a, Result<Vec<Entry>, HostError>> {
        Host::history(&NoHost, session, limit)
    }

    fn say_in<'a>(
        &'a self,
        call: &'a str,
        session: &'a SessionKey,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), HostError>> {
        Host::say_in(&NoHost, call, session, text)
    }

    fn spawn<'a>(&'a self, call: &'a str, work: Assignment) -> BoxFuture<'a, Result<SessionKey, HostError>> {
        Host::spawn(&NoHost, call, work)
    }

    fn jobs<'a>(&'a self, call: &'a str, request: JobRequest) -> BoxFuture<'a, Result<JobAnswer, HostError>> {
        Host::jobs(&NoHost, call, request)
    }
}

impl Files {
    fn kept_count(&self) -> usize {
        self.kept.lock().unwrap().len()
    }

    async fn look(&self, port: u16, arguments: serde_json::Value) -> Result<(String, Vec<Media>), String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let now = Timestamp::from_secs(1_795_356_000);
        let (session, turn) = (SessionKey::main("main"), TurnId::from_parts(now, 1));
        let bot = BotView::default();
        let context = ToolContext { now, bot, session: &session, turn, entries: &[], host: self };
        let tool = Image::new(Guard::new(&[format!("127.0.0.1:{port}")]).unwrap()).unwrap();
        let arguments = serde_json::from_value(arguments).unwrap();
        tool.run(&arguments, &context).await.map_err(|error| match error {
            ToolError::RespondToModel(text) => text,
            ToolError::Fatal(detail) => panic!("{detail}"),
        })
    }

    async fn refusal(&self, port: u16, image: &str) -> String {
        let told = self.look(port, json!({ "image": image })).await.expect_err(image);
        assert_eq!(self.kept_count(), 0, "{image}");
        told
    }
}

async fn server() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new()
        // What a server says of a file does not count.
        .route("/photo", get(async || ([("content-type", "text/html")], JPEG)))
        .route("/page", get(async || ([("content-type", "image/png")], "<html>")))
        .route("/moved", get(async || Redirect::temporary("/photo")))
        .route("/inside", get(async || Redirect::temporary("http://169.254.169.254/latest/meta-data/")))
        .route("/localhost", get(async move || Redirect::temporary(&format!("http://localhost:{port}/photo"))))
        .route("/large", get(async || [PNG, &vec![0; MAX_SIZE]].concat()))
        .route("/gone", get(async || StatusCode::GONE));
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

#[tokio::test]
async fn a_file_of_the_workspace_is_kept_and_shown() {
    let files = Files { workspace: vec![("photos/heron.txt", PNG.to_vec())], ..Files::default() };
    let arguments = json!({ "image": " ./photos/heron.txt", "prompt": "Which bird?" });
    let (told, media) = files.look(1, arguments).await.unwrap();
    let id = MediaId::of(PNG);
    assert_eq!(told, format!("A picture (image/png, 19 bytes), kept as {id}.\nTo look for: Which bird?"));
    let name = Some("heron.txt".to_owned());
    assert_eq!(media, [Media { id, mime: "image/png".to_owned(), size: 19, name }]);
    assert_eq!(files.kept_count(), 1);
}

#[tokio::test]
async fn a_kept_file_is_shown_as_it_is() {
    let files =
        Files { kept: Mutex::new(vec![Bytes::from_static(GIF), Bytes::from_static(b"text")]), ..Files::default() };
    let id = MediaId::of(GIF);
    let (_, media) = files.look(1, json!({ "image": id })).await.unwrap();
    assert_eq!(media, [Media { id, mime: "image/gif".to_owned(), size: GIF.len() as u64, name: None }]);
    assert_eq!(files.kept_count(), 2, "it is not kept again");
    let told = files.look(1, json!({ "image": MediaId::of(b"text") })).await.expect_err("text");
    assert_eq!(told, "This is no picture that can be looked at: PNG, JPEG, GIF or WebP.");
    let told = files.look(1, json!({ "image": MediaId::of(b"other") })).await.expect_err("unknown");
    assert_eq!(told, "There is no such file.");
}

#[tokio::test]
async fn a_url_is_fetched_kept_and_shown() {
    let (port, files) = (server().await, Files::default());
    for (scheme, path) in [("http", "photo"), ("HTTP", "moved")] {
        let url = format!("{scheme}://127.0.0.1:{port}/{path}");
        let (_, media) = files.look(port, json!({ "image": url })).await.unwrap();
        assert_eq!((media[0].mime.as_str(), &media[0].id), ("image/jpeg", &MediaId::of(JPEG)));
    }
    assert_eq!(files.kept_count(), 2);
}

#[tokio::test]
async fn what_is_fetched_is_public_and_a_picture() {
    let (port, files) = (server().await, Files::default());
    for (path, why) in [
        ("inside", "`169.254.169.254` is not a public address"),
        ("localhost", "`localhost` is not a public address"),
        ("large", "The picture is larger than 5000000 bytes."),
        ("page", "This is no picture that can be looked at: PNG, JPEG, GIF or WebP."),
        ("gone", "The server answered with status 410 Gone."),
    ] {
        let told = files.refusal(port, &format!("http://127.0.0.1:{port}/{path}")).await;
        assert!(told.contains(why), "{path}: {told}");
    }
    for url in
        ["http://10.0.0.1/x.png", "http://localhost/x.png", "http://127.0.0.1:1/x.png", "http://user@example.com/"]
    {
        let told = files.refusal(port, url).await;
        assert!(told.starts_with("The URL is refused: "), "{url}: {told}");
    }
}

#[tokio::test]
async fn only_pictures_of_the_workspace_are_shown() {
    let large = [PNG, &vec![0; MAX_SIZE]].concat();
    let workspace = vec![("large.png", large), ("notes.png", b"# Notes".to_vec()), ("empty.png", vec![])];
    let files = Files { workspace, ..Files::default() };
    for (path, expected) in [
        ("large.png", "The picture is larger than 5000000 bytes."),
        ("notes.png", "This is no picture that can be looked at: PNG, JPEG, GIF or WebP."),
        ("empty.png", "This is no picture that can be looked at: PNG, JPEG, GIF or WebP."),
        ("other.png", "The workspace has no file `other.png`."),
    ] {
        assert_eq!(files.refusal(1, path).await, expected);
    }
    for path in ["../x.png", "/etc/passwd", "file:///etc/passwd", "data:image/png;base64,//8="] {
        let told = files.refusal(1, path).await;
        assert!(told.contains("is not a path in the workspace"), "{path}: {told}");
    }
}

#[test]
fn pictures_are_known_by_their_bytes() {
    for (bytes, mime) in [(PNG, "image/png"), (JPEG, "image/jpeg"), (GIF, "image/gif"), (WEBP, "image/webp")] {
        assert_eq!(picture_type(bytes).unwrap(), mime);
    }
    for bytes in [&b""[..], b"\x89PNG", b"GIF88a..", b"RIFF\0\0\0\0WAVEfmt ", b"<svg/>", b"%PDF-1.7", b"BM"] {
        assert!(picture_type(bytes).is_err(), "{bytes:?}");
    }
}
