//! Workspace files.

use api::views::{BotView, FileView, Items};
use axum::body::Body;
use axum::http::{Request, header};

use crate::harness::{Answer, Api};

async fn put(api: &Api, path: &str, content_type: &str, body: impl Into<Body>) -> Answer {
    let request = Request::put(path).header("authorization", format!("Bearer {}", api.key));
    api.raw(request.header("content-type", content_type).body(body.into()).unwrap()).await
}

/// A request for Markdown under a condition.
async fn call_if(api: &Api, method: &str, path: &str, condition: (&str, &str), body: &'static str) -> Answer {
    let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {}", api.key));
    let request = request.header("content-type", "text/markdown").header(condition.0, condition.1);
    api.raw(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn files_are_written_and_read_back() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let path = "/v1/bots/Tidy/files/SOUL.md";
    assert_eq!(put(&api, path, "text/markdown; charset=utf-8", "# Sôul\n").await.status, 204);
    let answer = api.get(path).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "# Sôul\n"));
    assert!(answer.header(header::CONTENT_TYPE).starts_with("text/markdown"));

    assert!(api.get("/v1/bots/Tidy/files/NONE.md").await.problem(404).contains("no file NONE.md"));
    assert!(api.get("/v1/bots/Tidy/files/..%2F..%2Fx.md").await.problem(400).contains("SOUL.md"));
    put(&api, path, "application/octet-stream", "x").await.problem(415);
    put(&api, path, "text/markdown", "x".repeat(256 * 1024 + 1)).await.problem(413);
    assert!(put(&api, path, "text/markdown", vec![b'a', 0xff]).await.problem(400).contains("byte 1"));
    assert_eq!(api.get(path).await.body, "# Sôul\n");
}

#[tokio::test]
async fn files_lie_in_folders() {
    let api = Api::start().await;
    let made = api.new_bot("Tidy").await;
    let path = "/v1/bots/Tidy/files/skills/weather/scripts/now%20or%20later.sh";
    assert_eq!(put(&api, path, "text/plain", "curl\n").await.status, 204);
    let answer = api.get(path).await;
    assert_eq!(answer.body, "curl\n");
    assert!(answer.header(header::CONTENT_TYPE).starts_with("text/plain"));
    let files: Items<FileView> = api.get("/v1/bots/Tidy/files").await.read(200);
    let file = files.items.iter().find(|file| file.name == "skills/weather/scripts/now or later.sh").unwrap();
    assert_eq!((file.size, format!("\"{}\"", file.tag).as_str()), (5, answer.header(header::ETAG)));

    let long = "x".repeat(513);
    for bad in ["a%2F..%2Fb", "a//b", "a/", "..", "a%5Cb", "a%0Ab", &long] {
        let path = format!("/v1/bots/Tidy/files/{bad}");
        assert!(put(&api, &path, "text/plain", "x").await.problem(400).contains("skills/weather/SKILL.md"), "{bad}");
    }
    assert_eq!(api.delete(path).await.status, 204);
    api.get(path).await.problem(404);
    api.delete(path).await.problem(404);
    // Whoever caches the bot learns of each change.
    assert_eq!(api.get("/v1/bots/Tidy").await.read::<BotView>(200).version, made.version + 2);
}

#[tokio::test]
async fn a_file_is_changed_as_it_was_read() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let path = "/v1/bots/Tidy/files/memory/2026-11-22.md";
    let new = ("if-none-match", "*");
    assert_eq!(call_if(&api, "PUT", path, new, "one").await.status, 204);
    assert!(call_if(&api, "PUT", path, new, "two").await.problem(412).contains("Read it again"));
    call_if(&api, "PUT", path, ("if-none-match", "\"x\""), "two").await.problem(400);
    let first = api.get(path).await.header(header::ETAG).to_owned();
    assert_eq!(call_if(&api, "PUT", path, ("if-match", &first), "two").await.status, 204);
    for method in ["PUT", "DELETE"] {
        call_if(&api, method, path, ("if-match", &first), "three").await.problem(412);
    }
    assert_eq!(api.get(path).await.body, "two");
    let second = api.get(path).await.header(header::ETAG).to_owned();
    assert_eq!(call_if(&api, "DELETE", path, ("if-match", &second), "").await.status, 204);
    call_if(&api, "PUT", path, ("if-match", "*"), "four").await.problem(412);
    api.get(path).await.problem(404);
}
