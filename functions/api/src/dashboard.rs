//! The dashboard: one page and its modules, which are part of this binary.
//!
//! The page is served for `/` and for every other path that no route has, if a browser asks; its own router does the rest. What
//! it loads lies below `/assets/{version}`, where the version is a hash of all assets, so that browsers keep them for good and
//! still never mix two builds.

use std::io::Write;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use runtime::Environment;
use sha2::{Digest, Sha256};

/// Paths below these are the API's and the channels': an unknown one is an error, not a page.
const NOT_PAGES: [&str; 4] = ["v1", "hooks", "health", "assets"];

/// Where the page names the assets' version.
const VERSION: &str = "{version}";

/// Everything comes from here, nothing is inline, and no other page shows ours in a frame.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

const CHECK_EACH_TIME: HeaderValue = HeaderValue::from_static("no-cache");
const KEEP_FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

macro_rules! assets {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../assets/", $path)))),*]
    };
}

/// Paths below `assets/`, and what is there.
const ASSETS: &[(&str, &[u8])] = assets![
    "api.js",
    "app.css",
    "app.js",
    "bot_page.js",
    "channels.js",
    "chart.js",
    "chat_files.js",
    "cron.js",
    "dom.js",
    "format.js",
    "forms.js",
    "icon.svg",
    "icons.js",
    "invitations.js",
    "live.js",
    "markdown.js",
    "pages/add_channel.js",
    "pages/approvals.js",
    "pages/audit.js",
    "pages/bots.js",
    "pages/browsers.js",
    "pages/channels.js",
    "pages/chat.js",
    "pages/dead_letters.js",
    "pages/files.js",
    "pages/keys.js",
    "pages/members.js",
    "pages/new_bot.js",
    "pages/notices.js",
    "pages/schedules.js",
    "pages/session.js",
    "pages/sessions.js",
    "pages/settings.js",
    "pages/settings_abilities.js",
    "pages/settings_model.js",
    "pages/sign_in.js",
    "pages/skills.js",
    "pages/spend.js",
    "pages/usage.js",
    "pages/usage_report.js",
    "paging.js",
    "roles.js",
    "router.js",
    "theme.js",
    "ui.js",
    "who.js",
];

const INDEX: &str = include_str!("../assets/index.html");

/// A file as it is sent.
struct Asset {
    path: &'static str,
    plain: Bytes,
    /// The same, compressed.
    gzip: Bytes,
    tag: String,
}

struct Dashboard {
    version: String,
    index: Asset,
    assets: Vec<Asset>,
}

static DASHBOARD: LazyLock<Dashboard> = LazyLock::new(|| {
    let mut all = Sha256::new();
    for (path, bytes) in ASSETS {
        all.update(path.as_bytes());
        all.update(bytes);
    }
    let version = first_digits(all);
    let index = asset("index.html", INDEX.replace(VERSION, &version).into());
    let assets = ASSETS.iter().map(|(path, bytes)| asset(path, Bytes::from_static(bytes))).collect();
    Dashboard { version, index, assets }
});

fn asset(path: &'static str, plain: Bytes) -> Asset {
    let tag = format!("\"{}\"", first_digits(Sha256::new().chain_update(&plain)));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory has no way to fail; what is not compressed is sent as it is.
    let gzip = encoder.write_all(&plain).and_then(|()| encoder.finish()).map_or_else(|_| Bytes::new(), Bytes::from);
    Asset { path, plain, gzip, tag }
}

/// The first 64 bits of a hash, in hexadecimal.
fn first_digits(hash: Sha256) -> String {
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The page, and what it loads.
pub(crate) fn routes() -> Router<Environment> {
    Router::new().route("/", get(page)).route("/assets/{version}/{*path}", get(file))
}

/// Whether a request that no route takes is a browser's for a page.
pub(crate) fn is_page(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let first = uri.path().trim_start_matches('/').split('/').next().unwrap_or_default();
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    matches!(*method, Method::GET | Method::HEAD) && !NOT_PAGES.contains(&first) && accepted.contains("text/html")
}

/// `GET /`, and every page of the dashboard.
pub(crate) async fn page(headers: HeaderMap) -> Response {
    let mut response = send(&DASHBOARD.index, CHECK_EACH_TIME, &headers);
    let more = response.headers_mut();
    more.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    more.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// `GET /assets/{version}/{*path}`
async fn file(Path((version, path)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let found = DASHBOARD.assets.iter().find(|asset| asset.path == path);
    // A page of another build may be open still.
    let cache = if version == DASHBOARD.version { KEEP_FOR_GOOD } else { CHECK_EACH_TIME };
    found.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |asset| send(asset, cache, &headers))
}

fn send(asset: &Asset, cache: HeaderValue, request: &HeaderMap) -> Response {
    let says = |name: HeaderName, word: &str| {
        request.get_all(name).iter().filter_map(|value| value.to_str().ok()).any(|value| value.contains(word))
    };
    let common = [
        (header::CACHE_CONTROL, cache),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let tag = [(header::ETAG, asset.tag.clone())];
    if says(header::IF_NONE_MATCH, &asset.tag) {
        return (StatusCode::NOT_MODIFIED, common, tag).into_response();
    }
    let kind = [(header::CONTENT_TYPE, content_type(asset.path))];
    if says(header::ACCEPT_ENCODING, "gzip") && !asset.gzip.is_empty() {
        return (common, tag, kind, [(header::CONTENT_ENCODING, "gzip")], asset.gzip.clone()).into_response();
    }
    (common, tag, kind, asset.plain.clone()).into_response()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/html; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn text(path: &str) -> &'static str {
        let found = ASSETS.iter().find(|(known, _)| *known == path);
        std::str::from_utf8(found.unwrap_or_else(|| panic!("{path} is not served")).1).unwrap()
    }

    /// What a module imports, as paths below `assets/`.
    fn imports(path: &str) -> Vec<String> {
        let dir = Path::new(path).parent().unwrap();
        let quoted = text(path).lines().filter(|line| line.starts_with("import ") || line.starts_with("} from "));
        let relative = quoted.filter_map(|line| line.split('"').nth(1));
        let joined = relative.map(|name| match name.strip_prefix("../") {
            Some(above) => dir.parent().unwrap().join(above),
            None => dir.join(name.strip_prefix("./").unwrap()),
        });
        joined.map(|path| path.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_import_is_served_and_every_module_is_named_in_the_page() {
        for (path, _) in ASSETS.iter().filter(|(path, _)| path.ends_with(".js")) {
            for import in imports(path) {
                assert!(!text(&import).is_empty(), "{path} imports {import}, which is empty");
            }
            assert!(INDEX.contains(&format!("/assets/{VERSION}/{path}\"")), "index.html does not load {path} ahead");
        }
    }

    #[test]
    fn every_file_of_the_directory_is_served() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        let mut count = 0;
        for dir in [root.clone(), root.join("pages")] {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() && path.file_name().unwrap() != "index.html" {
                    text(path.strip_prefix(&root).unwrap().to_str().unwrap());
                    count += 1;
                }
            }
        }
        assert_eq!(count, ASSETS.len());
    }

    #[test]
    fn nothing_writes_markup_and_nothing_comes_from_elsewhere() {
        for (path, _) in ASSETS.iter().filter(|(path, _)| path.ends_with(".js")) {
            for banned in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
                assert!(!text(path).contains(banned), "{path} uses {banned}");
            }
        }
        assert!(!INDEX.contains("<style") && !INDEX.contains("style=") && !INDEX.contains("//"), "{INDEX}");
    }
}
