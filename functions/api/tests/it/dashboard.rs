//! The dashboard: who gets its page, and how its files are kept.

use std::io::Read;

use axum::body::Body;
use axum::http::{Request, header};

use crate::harness::{Answer, Api};

const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

async fn visit(api: &Api, path: &str, more: &[(header::HeaderName, &str)]) -> Answer {
    let request = Request::get(path).header(header::ACCEPT, BROWSER);
    let request = more.iter().fold(request, |request, (name, value)| request.header(name, *value));
    api.raw(request.body(Body::empty()).unwrap()).await
}

/// The paths of scripts and styles that a page names.
fn assets(page: &str) -> Vec<&str> {
    page.split('"').filter(|text| text.starts_with("/assets/")).collect()
}

#[tokio::test]
async fn browsers_get_the_page_wherever_no_route_is() {
    let api = Api::start().await;
    let page = visit(&api, "/", &[]).await;
    assert_eq!(page.header(header::CONTENT_TYPE), "text/html; charset=utf-8");
    for path in ["/bots/heron/files/SOUL.md", "/sign-in", "/usage"] {
        let other = visit(&api, path, &[]).await;
        assert_eq!((other.status.as_u16(), &other.body), (200, &page.body), "{path}");
    }
    for path in ["/v1/nothing", "/hooks/nothing", "/health/nothing"] {
        visit(&api, path, &[]).await.problem(404);
    }
    let program = Request::get("/bots/heron").header(header::ACCEPT, "application/json");
    api.raw(program.body(Body::empty()).unwrap()).await.problem(404);
    let change = Request::post("/bots/heron").header(header::ACCEPT, BROWSER);
    api.raw(change.body(Body::empty()).unwrap()).await.problem(404);
}

#[tokio::test]
async fn the_page_runs_nothing_but_its_own() {
    let api = Api::start().await;
    let page = visit(&api, "/", &[]).await;
    let policy = page.header(header::CONTENT_SECURITY_POLICY);
    assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
    assert_eq!(page.header(header::CACHE_CONTROL), "no-cache");
}

#[tokio::test]
async fn what_the_page_loads_is_there_and_kept_for_good() {
    let api = Api::start().await;
    let page = visit(&api, "/", &[]).await;
    let assets = assets(&page.body);
    assert!(assets.len() > 20, "{assets:?}");
    for path in assets {
        let asset = visit(&api, path, &[]).await;
        assert_eq!(asset.status, 200, "{path}");
        assert!(asset.header(header::CACHE_CONTROL).contains("immutable"), "{path}");
        assert_eq!(asset.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        let kind = if path.ends_with(".js") { "text/javascript" } else { "" };
        assert!(asset.header(header::CONTENT_TYPE).starts_with(kind), "{path}");
    }
    assert_eq!(visit(&api, "/assets/0/nothing.js", &[]).await.status, 404);
}

#[tokio::test]
async fn a_page_of_another_build_finds_its_files_and_does_not_keep_them() {
    let api = Api::start().await;
    let asset = visit(&api, "/assets/0123456789abcdef/app.js", &[]).await;
    assert_eq!(asset.status, 200);
    assert_eq!(asset.header(header::CACHE_CONTROL), "no-cache");
}

#[tokio::test]
async fn what_a_browser_has_is_not_sent_again() {
    let api = Api::start().await;
    let page = visit(&api, "/", &[]).await;
    let again = visit(&api, "/", &[(header::IF_NONE_MATCH, page.header(header::ETAG))]).await;
    assert_eq!((again.status.as_u16(), again.body.as_str()), (304, ""));
    assert!(again.headers.contains_key(header::CONTENT_SECURITY_POLICY));
    assert_eq!(visit(&api, "/", &[(header::IF_NONE_MATCH, "\"other\"")]).await.status, 200);
}

#[tokio::test]
async fn files_come_compressed_to_who_takes_that() {
    let api = Api::start().await;
    let page = visit(&api, "/", &[]).await;
    let path = *assets(&page.body).iter().find(|path| path.ends_with("app.css")).unwrap();
    let plain = visit(&api, path, &[]).await;
    let request = Request::get(path).header(header::ACCEPT_ENCODING, "gzip, br").body(Body::empty()).unwrap();
    let (parts, bytes) = api.raw_bytes(request).await;
    assert_eq!(parts.headers[header::CONTENT_ENCODING], "gzip");
    assert!(bytes.len() * 2 < plain.body.len(), "{} of {}", bytes.len(), plain.body.len());
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
}
