//! What requests carry, read with errors that say what to change: path, query, bodies, preconditions.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use runtime::Environment;
use serde::de::DeserializeOwned;

use crate::MAX_BODY;
use crate::problem::Problem;

/// The values of a path's `{…}` segments, percent-decoded.
pub(crate) struct Segments<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static> FromRequestParts<Environment> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, environment: &Environment) -> Result<Segments<T>, Problem> {
        let Path(values) = Path::from_request_parts(parts, environment).await.map_err(|error| {
            Problem::bad_request(format!("The path cannot be read: {error}. Percent-encode names as UTF-8."))
        })?;
        Ok(Segments(values))
    }
}

/// The query string.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static> FromRequestParts<Environment> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, environment: &Environment) -> Result<Parameters<T>, Problem> {
        let query = Query::from_request_parts(parts, environment).await;
        let Query(values) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
        Ok(Parameters(values))
    }
}

/// A body of JSON.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Environment> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, environment: &Environment) -> Result<JsonBody<T>, Problem> {
        if media_type(request.headers()).as_deref() != Some("application/json") {
            return Err(unsupported("application/json"));
        }
        let bytes = body(request, environment).await?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(JsonBody(value)),
            Err(error) => Err(Problem::bad_request(json_error(&error))),
        }
    }
}

/// A body of Markdown or plain text, in UTF-8.
pub(crate) struct TextBody(pub(crate) String);

impl FromRequest<Environment> for TextBody {
    type Rejection = Problem;

    async fn from_request(request: Request, environment: &Environment) -> Result<TextBody, Problem> {
        if !matches!(media_type(request.headers()).as_deref(), Some("text/markdown" | "text/plain")) {
            return Err(unsupported("text/markdown"));
        }
        let bytes = body(request, environment).await?;
        let text = String::from_utf8(bytes.into());
        text.map(TextBody).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Problem::bad_request(format!("The text is not UTF-8 from byte {at} on. Send it as UTF-8."))
        })
    }
}

/// The body's media type without its parameters, in lower case.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn unsupported(wanted: &str) -> Problem {
    let detail = format!("This body is not understood. Send `Content-Type: {wanted}`.");
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
}

async fn body(request: Request, environment: &Environment) -> Result<Bytes, Problem> {
    Bytes::from_request(request, environment).await.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("The body is too large. Send {} KiB at most.", MAX_BODY / 1024);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        }
        _ => Problem::bad_request("The body ended too early. Send the request again."),
    })
}

/// What is wrong and where.
fn json_error(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Data => {
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or_default();
            format!("The JSON does not fit at line {line}, column {column}: {what}.")
        }
        Category::Eof => format!("The JSON ends too early, at line {line}, column {column}."),
        Category::Syntax | Category::Io => format!("The body is not JSON from line {line}, column {column} on."),
    }
}

/// The `ETag` of a record of this version.
pub(crate) fn etag(version: u64) -> [(header::HeaderName, HeaderValue); 1] {
    // Digits between quotation marks are always a header's value.
    let value = HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"0\""));
    [(header::ETAG, value)]
}

/// Refuses a change that was made against another version than the one that is stored.
pub(crate) fn check_if_match(headers: &HeaderMap, version: u64) -> Result<(), Problem> {
    let Some(wanted) = headers.get(header::IF_MATCH) else { return Ok(()) };
    let wanted = wanted.to_str().unwrap_or_default();
    let current = format!("\"{version}\"");
    if wanted.split(',').map(str::trim).any(|tag| tag == "*" || tag == current) {
        return Ok(());
    }
    let detail = format!("If-Match does not name the current version, {current}. Read it again and decide anew.");
    Err(Problem::new(StatusCode::PRECONDITION_FAILED, detail))
}
