//! Errors: every one is a problem that says what to do.

use api::views::{AccountView, Health};
use axum::body::Body;
use axum::http::{Request, header};
use serde_json::json;

use crate::harness::Api;

#[tokio::test]
async fn health_needs_no_key() {
    let api = Api::start().await;
    let answer = api.raw(Request::get("/health").body(Body::empty()).unwrap()).await;
    let health: Health = answer.read(200);
    assert_eq!((health.status.as_str(), health.version.as_str()), ("ok", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn everything_else_needs_a_key_that_exists() {
    let api = Api::start().await;
    let answer = api.raw(Request::get("/v1/bots").body(Body::empty()).unwrap()).await;
    assert!(answer.problem(401).contains("Authorization: Bearer lt_"));
    assert!(answer.header(header::WWW_AUTHENTICATE).starts_with("Bearer"));

    for wrong in ["not-a-key", "", "lt_", "lt_0123456789abcdef", &format!("lt_{}", "x".repeat(5000))] {
        let answer = api.call_as(wrong, "GET", "/v1/bots", None).await;
        answer.problem(401);
        assert!(wrong.len() < 4 || !answer.body.contains(wrong), "{}", answer.body);
    }
    let basic = Request::get("/v1/bots").header("authorization", format!("Basic {}", api.key));
    api.raw(basic.body(Body::empty()).unwrap()).await.problem(401);
    // Whoever has no key learns nothing about bodies either.
    let request = Request::post("/v1/bots").header("content-type", "application/json").body(Body::from("{"));
    api.raw(request.unwrap()).await.problem(401);

    let account: AccountView = api.get("/v1/account").await.read(200);
    assert_eq!((account.id, account.name.as_str()), (api.account, "Ada"));
}

#[tokio::test]
async fn unknown_routes_and_wrong_methods_are_told() {
    let api = Api::start().await;
    assert!(api.get("/v1/robots").await.problem(404).contains("no route GET /v1/robots"));
    assert!(api.get("/v1/bots/x/robots").await.problem(404).contains("no route"));
    for path in ["/health", "/v1/bots", "/v1/bots/x", "/v1/bots/x/links/y", "/v1/dead-letters"] {
        let answer = api.call_as(&api.key, "PUT", path, None).await;
        assert!(answer.problem(405).contains("does not take PUT"), "{path}");
        assert!(answer.header(header::ALLOW).contains("GET"), "{path}");
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_with_the_place() {
    let api = Api::start().await;
    let send = async |content_type: Option<&str>, body: String| {
        let mut request = Request::post("/v1/bots").header("authorization", format!("Bearer {}", api.key));
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        api.raw(request.body(Body::from(body)).unwrap()).await
    };
    let json = Some("application/json");
    let detail = send(json, "{\n  \"name\": }".to_owned()).await.problem(400);
    assert!(detail.contains("line 2, column 11"), "{detail}");
    let detail = send(json, "{\"name\": \"x\"".to_owned()).await.problem(400);
    assert!(detail.contains("ends too early"), "{detail}");
    let detail = send(json, "{\"name\": 7}".to_owned()).await.problem(400);
    assert!(detail.contains("invalid type") && detail.contains("line 1"), "{detail}");
    let detail = send(json, "{\"name\": \"x\", \"colour\": 1}".to_owned()).await.problem(400);
    assert!(detail.contains("unknown field `colour`") && detail.contains("time_zone"), "{detail}");
    assert!(send(None, "{}".to_owned()).await.problem(415).contains("application/json"));
    send(Some("text/plain"), "{}".to_owned()).await.problem(415);

    let name = json!({ "name": "x".repeat(256 * 1024) }).to_string();
    assert!(send(json, name).await.problem(413).contains("256 KiB"));
    let padded = format!("{}{}", json!({ "name": "Big" }), " ".repeat(256 * 1024 - 14));
    assert_eq!(padded.len(), 256 * 1024);
    assert_eq!(send(Some("application/json; charset=utf-8"), padded).await.status, 201);
}

#[tokio::test]
async fn another_accounts_key_finds_nothing() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    let stranger = api.other_key().await;
    for id in [bot.id.to_string(), "Tidy".to_owned()] {
        for path in ["", "/chat", "/sessions", "/files", "/files/SOUL.md", "/links"] {
            let path = format!("/v1/bots/{id}{path}");
            assert!(api.call_as(&stranger, "GET", &path, None).await.problem(404).contains("no bot"), "{path}");
        }
        let path = format!("/v1/bots/{id}");
        api.call_as(&stranger, "DELETE", &path, None).await.problem(404);
        api.call_as(&stranger, "PATCH", &path, Some(json!({ "name": "Mine" }))).await.problem(404);
        api.call_as(&stranger, "POST", &format!("{path}/chat"), Some(json!({ "text": "hi" }))).await.problem(404);
    }
    // The same name is free there.
    assert_eq!(api.call_as(&stranger, "POST", "/v1/bots", Some(json!({ "name": "Tidy" }))).await.status, 201);
    assert_eq!(api.get("/v1/bots/Tidy").await.read::<api::views::BotView>(200), bot);
}
