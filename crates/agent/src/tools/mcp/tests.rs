use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::Abilities;
use serde_json::json;

use super::*;
use crate::{Secret, Secrets};

/// A server that insists on the protocol: its token, its session, its version, its order.
#[derive(Default)]
struct Server {
    opened: AtomicUsize,
    lists: AtomicUsize,
    closed: AtomicUsize,
    /// The next request of a session finds that it is not known any more.
    forgets: AtomicBool,
}

const TOKEN: &str = "tok-5e9a";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and what follows";

async fn answer(State(server): State<Arc<Server>>, headers: HeaderMap, body: String) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if header("authorization") != format!("Bearer {TOKEN}") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    assert_eq!(header("accept"), "application/json, text/event-stream");
    let message: Value = serde_json::from_str(&body).unwrap();
    let id = &message["id"];
    let result = |result: Value| axum::Json(json!({ "jsonrpc": "2.0", "id": id, "result": result })).into_response();
    if message["method"] == "initialize" {
        server.opened.fetch_add(1, Ordering::Relaxed);
        let welcome = json!({ "protocolVersion": "2025-03-26", "capabilities": { "tools": {} } });
        return ([("mcp-session-id", "session-1")], result(welcome)).into_response();
    }
    assert_eq!((header("mcp-session-id"), header("mcp-protocol-version")), ("session-1".into(), "2025-03-26".into()));
    if server.forgets.swap(false, Ordering::Relaxed) {
        return StatusCode::NOT_FOUND.into_response();
    }
    match message["method"].as_str().unwrap() {
        "notifications/initialized" => StatusCode::ACCEPTED.into_response(),
        "tools/list" => {
            server.lists.fetch_add(1, Ordering::Relaxed);
            let schema = json!({ "$schema": "x", "properties": { "a": { "type": "string" } } });
            match message["params"]["cursor"].as_str() {
                None => result(json!({ "nextCursor": "2", "tools": [
                    { "name": "echo", "description": "é".repeat(2_000), "inputSchema": schema },
                    { "name": "echo" },
                    { "description": "nameless" },
                ] })),
                // The same cursor again leads nowhere.
                Some(_) => result(json!({ "nextCursor": "2", "tools": [{ "name": "../x", "inputSchema": "none" }] })),
            }
        }
        "tools/call" => match message["params"]["name"].as_str().unwrap() {
            "echo" => {
                let text = message["params"]["arguments"]["a"].as_str().unwrap();
                let note = json!({ "jsonrpc": "2.0", "method": "notifications/progress" });
                let other = json!({ "jsonrpc": "2.0", "id": 99, "result": { "content": [{ "type": "text", "text": "not this" }] } });
                let own = json!({ "jsonrpc": "2.0", "id": id, "result": { "content": [
                    { "type": "text", "text": text },
                    { "type": "resource_link", "name": "log", "uri": "file:///log" },
                    { "type": "audio", "data": "" },
                ] } });
                let events =
                    format!(": hello\r\n\r\ndata: {note}\r\n\r\nevent: message\r\ndata: {other}\n\ndata:{own}\n\n");
                ([("content-type", "text/event-stream; charset=utf-8")], events).into_response()
            }
            "fails" => result(json!({ "isError": true, "content": [{ "type": "text", "text": "no such city" }] })),
            "picture" => result(json!({ "content": [
                { "type": "image", "mimeType": "image/jpeg", "data": BASE64_STANDARD.encode(PNG) },
                { "type": "image", "mimeType": "image/png", "data": BASE64_STANDARD.encode("<svg/>") },
                { "type": "image", "mimeType": "image/png", "data": "???" },
                { "type": "image", "mimeType": "image/png", "data": "A".repeat(6_700_000) },
            ] })),
            "huge" => result(json!({ "content": [{ "type": "text", "text": "x".repeat(8_000_000) }] })),
            "slow" => {
                tokio::time::sleep(Duration::from_secs(30)).await;
                StatusCode::OK.into_response()
            }
            "moved" => (StatusCode::FOUND, [("location", "http://169.254.169.254/")]).into_response(),
            "garbage" => "<html>".into_response(),
            _ => {
                let error = json!({ "code": -32602, "message": format!("unknown tool, you sent {TOKEN}") });
                axum::Json(json!({ "jsonrpc": "2.0", "id": id, "error": error })).into_response()
            }
        },
        other => panic!("{other}"),
    }
}

async fn leave(State(server): State<Arc<Server>>) {
    server.closed.fetch_add(1, Ordering::Relaxed);
}

async fn serve() -> (String, Arc<Server>) {
    let server = Arc::new(Server::default());
    let app = Router::new()
        .route("/mcp", post(answer).delete(leave))
        .layer(axum::extract::DefaultBodyLimit::max(10_000_000))
        .with_state(Arc::clone(&server));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp?key=hidden", listener.local_addr().unwrap());
    #[allow(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, server)
}

fn mcp(private_servers: bool) -> Mcp {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let limits = Limits { list: Duration::from_secs(5), call: Duration::from_secs(5) };
    Mcp::with_limits(Guard::default(), private_servers, limits).unwrap()
}

fn abilities(servers: &[(&str, &str)]) -> Abilities {
    let server = |url: &str| McpServer { url: url.to_owned(), token: None, repeatable: vec![] };
    Abilities {
        mcp: servers.iter().map(|(name, url)| ((*name).to_owned(), server(url))).collect(),
        ..Abilities::default()
    }
}

fn secrets() -> Secrets {
    Secrets { mcp: [("home".to_owned(), Secret::new(TOKEN))].into(), ..Secrets::default() }
}

async fn call(mcp: &Mcp, url: &str, tool: &str, arguments: Value) -> Result<McpResult, String> {
    let (abilities, secrets) = (abilities(&[("home", url)]), secrets());
    let bot = BotView { abilities: &abilities, secrets: &secrets, ..BotView::default() };
    mcp.call(&bot, turn(1), "home", tool, arguments.as_object().unwrap().clone()).await
}

fn turn(n: u128) -> TurnId {
    TurnId::from_parts(domain::Timestamp::from_secs(1), n)
}

#[tokio::test]
async fn a_turn_has_one_session_with_a_server() {
    let (url, server) = serve().await;
    let mcp = mcp(true);
    let count = || [&server.opened, &server.closed].map(|count| count.load(Ordering::Relaxed));
    let (abilities, secrets) = (abilities(&[("home", &url)]), secrets());
    let bot = BotView { abilities: &abilities, secrets: &secrets, ..BotView::default() };
    mcp.tools(&bot, turn(1)).await;
    let echo = || call(&mcp, &url, "echo", json!({ "a": "x" }));
    let (one, other) = tokio::join!(echo(), echo());
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(count(), [1, 0], "the list and both calls");

    server.forgets.store(true, Ordering::Relaxed);
    assert!(echo().await.is_ok(), "a server that was started anew is greeted anew");
    assert_eq!(count(), [2, 0]);
    mcp.turn_ended(turn(2)).await;
    assert_eq!(count(), [2, 0], "that is another turn");
    mcp.turn_ended(turn(1)).await;
    assert_eq!(count(), [2, 1]);
}

#[tokio::test]
async fn servers_are_listed_and_the_broken_ones_named() {
    let (url, server) = serve().await;
    let abilities = abilities(&[("down", "http://127.0.0.1:1/?key=hidden"), ("home", &url), ("locked", &url)]);
    let secrets = secrets();
    let bot = BotView { abilities: &abilities, secrets: &secrets, ..BotView::default() };
    let mcp = mcp(true);
    let offers = mcp.tools(&bot, turn(1)).await;

    let names: Vec<_> = offers.tools.iter().map(|tool| (tool.server.as_str(), tool.name.as_str())).collect();
    assert_eq!(names, [("home", "echo"), ("home", "../x")]);
    assert_eq!(offers.tools[0].description.chars().count(), 1_000);
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    assert_eq!(offers.tools[0].parameters, schema);
    assert_eq!(offers.tools[1].parameters, json!({ "type": "object", "properties": {} }));

    let [(down, refused), (locked, unauthorized)] = &offers.failed[..] else { panic!("{:?}", offers.failed) };
    assert_eq!((down.as_str(), locked.as_str()), ("down", "locked"));
    assert!(refused.contains("no connection") && !refused.contains("hidden"), "{refused}");
    assert!(unauthorized.contains("the owner has to give it a token"), "{unauthorized}");

    assert_eq!(mcp.tools(&bot, turn(2)).await.tools, offers.tools);
    mcp.turn_ended(turn(1)).await;
    // Two pages, once: the second time the list is remembered.
    assert_eq!((server.lists.load(Ordering::Relaxed), server.closed.load(Ordering::Relaxed)), (2, 1));
}

#[tokio::test]
async fn a_call_is_answered_by_a_stream_or_at_once() {
    let (url, _) = serve().await;
    let mcp = mcp(true);
    let said = call(&mcp, &url, "echo", json!({ "a": "grüß\n\ndich" })).await.unwrap();
    assert_eq!(said.text, "grüß\n\ndich\n[log: file:///log]\n[content of type `audio` was left out]");
    let failed = call(&mcp, &url, "fails", json!({})).await.unwrap();
    assert_eq!((failed.text.as_str(), failed.is_error), ("no such city", true));
    let seen = call(&mcp, &url, "picture", json!({})).await.unwrap();
    assert_eq!(seen.images, [("image/png".to_owned(), Bytes::from_static(PNG))]);
    assert_eq!(
        seen.text,
        "[a picture was left out: it is no PNG, JPEG, GIF or WebP]\n[a picture was left out: it is not base64]\n[a picture was left out: it is larger than 5 MB]"
    );
}

#[tokio::test]
async fn what_fails_is_told_without_secrets() {
    let (url, _) = serve().await;
    let mut mcp = mcp(true);
    let why = async |mcp: &Mcp, tool: &str| call(mcp, &url, tool, json!({})).await.unwrap_err();
    assert_eq!(
        why(&mcp, "nothing").await,
        "The MCP server `home` could not run `nothing`: it refused `tools/call`: unknown tool, you sent …."
    );
    assert!(why(&mcp, "huge").await.contains("larger than 8 MB"));
    assert!(why(&mcp, "moved").await.contains("redirects are not followed"));
    assert!(why(&mcp, "garbage").await.contains("not one of the Model Context Protocol"));
    mcp.limits.call = Duration::from_millis(200);
    assert_eq!(why(&mcp, "slow").await, "The MCP server `home` could not run `slow`: it took longer than 0.2 s.");
}

#[tokio::test]
async fn private_servers_are_refused_unless_allowed() {
    let (url, server) = serve().await;
    let refused = call(&mcp(false), &url, "echo", json!({ "a": "x" })).await.unwrap_err();
    assert_eq!(refused, "The MCP server `home` could not run `echo`: `127.0.0.1` is not a public address.");
    assert_eq!(server.closed.load(Ordering::Relaxed), 0);
}

#[test]
fn every_name_becomes_one_that_models_take() {
    assert_eq!(model_name("home", "list-files"), "mcp_home_list-files");
    let hostile = ["../", "a.b", "a b", "a/b", "", "é", &"x".repeat(200), &format!("{}y", "x".repeat(199))];
    let tools = hostile.map(|name| McpTool {
        server: "home".to_owned(),
        name: name.to_owned(),
        description: String::new(),
        parameters: Value::Null,
    });
    for tool in &tools {
        let name = model_name(&tool.server, &tool.name);
        assert!(name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)), "{name}");
        assert_eq!(by_model_name(&tools, &name), Some(tool));
    }
    assert_eq!(by_model_name(&tools, "mcp_home_a_b"), None);
}

#[test]
fn a_schema_too_large_is_left_open() {
    let large = json!({ "type": "object", "properties": { "a": { "description": "x".repeat(9_000) } } });
    assert_eq!(clean_schema(Some(&large)), json!({ "type": "object", "properties": {} }));
}
