//! Workspace files.

use axum::body::Body;
use axum::http::{Request, header};

use crate::harness::{Answer, Api};

async fn put(api: &Api, path: &str, content_type: &str, body: impl Into<Body>) -> Answer {
    let request = Request::put(path).header("authorization", format!("Bearer {}", api.key));
    api.raw(request.header("content-type", content_type).body(body.into()).unwrap()).await
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
    put(&api, "/v1/bots/Tidy/files/run.sh", "text/markdown", "x").await.problem(400);
    put(&api, path, "application/octet-stream", "x").await.problem(415);
    put(&api, path, "text/markdown", "x".repeat(256 * 1024 + 1)).await.problem(413);
    assert!(put(&api, path, "text/markdown", vec![b'a', 0xff]).await.problem(400).contains("byte 1"));
    assert_eq!(api.get(path).await.body, "# Sôul\n");
}
