//! Requests that may be sent again: `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).
//!
//! Every `POST` of a caller takes the header. The same request with the same key is done once and has the same answer for a day;
//! another request with that key is refused (422), and so is one while the first is under way (409). A request that was
//! refused, or failed, is forgotten, and begins anew when it is sent again.
//!
//! A process that dies leaves a request of which it is not known how far it came. After a minute it begins again: what it made
//! by then may be made a second time.

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::{Sealed, Timestamp};
use runtime::Environment;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{Actor, RequestLease, RequestName, RequestState, SecretContext};

use crate::auth::{Caller, Visitor};
use crate::extract;
use crate::problem::Problem;

/// The name of a request, given by whoever sends it.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is that of an earlier request.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The longest key, in bytes.
pub(crate) const MAX_KEY: usize = 255;
/// The longest answer that is kept, in bytes: encrypted, it is part of a row of 400 KB at most.
const MAX_ANSWER: usize = 200 * 1024;
/// What an answer says beside its body.
const KEPT: [HeaderName; 4] = [header::CONTENT_TYPE, header::LOCATION, header::ETAG, header::SET_COOKIE];

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    /// `None`: it was too long.
    body: Option<String>,
}

/// Does a request once that says its key; one without is done as it comes.
pub(crate) async fn once(Extension(environment): Extension<Environment>, request: Request, next: Next) -> Response {
    let done = match request.headers().get(HEADER).map(checked) {
        None => return next.run(request).await,
        Some(Ok(key)) => begin(environment, key, request, next).await,
        Some(Err(problem)) => Err(problem),
    };
    done.unwrap_or_else(IntoResponse::into_response)
}

/// The key, as a string of a structured field or as it is.
fn checked(value: &HeaderValue) -> Result<String, Problem> {
    let text = value.to_str().unwrap_or_default().trim();
    let key = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(Problem::bad_request(format!(
            "Idempotency-Key: give 1 to {MAX_KEY} ASCII characters, such as a UUID, and a new one for each new request."
        )));
    }
    Ok(key.to_owned())
}

async fn begin(environment: Environment, key: String, request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let visitor = Visitor::from_request_parts(&mut parts, &environment).await?;
    // The handler need not find out again.
    parts.extensions.insert(visitor);
    // Requests are kept in accounts, and what can be asked for outside of them may be asked for twice.
    let Ok(caller) = visitor.caller() else { return Ok(next.run(Request::from_parts(parts, body)).await) };
    let whole = Request::from_parts(parts.clone(), body);
    let bytes = extract::body(whole, &environment).await?;
    let hash = hash(&parts, &bytes);
    let actor = match caller.actor {
        Actor::Key { id } => id.to_string(),
        Actor::User { id } => id.to_string(),
        Actor::Browser { id } => id.to_string(),
    };
    let name = RequestName { caller: &actor, key: &key };
    let now = environment.clock.now();
    let holder = format!("{:032x}", environment.entropy.next_u128());
    let account = environment.store.account(caller.account);
    match account.request_begin(name, &hash, holder, now).await? {
        RequestState::New(lease) => {
            let request = Request::from_parts(parts, Body::from(bytes));
            // Who hangs up does not stop what has begun.
            let work = tokio::spawn(async move { settle(&environment, caller, lease, next.run(request).await).await });
            work.await.map_err(|error| {
                tracing::error!("A request was not worked on to its end: {error}");
                let detail = "The request failed half-way. See what it did before you send it anew, with another key.";
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
            })
        }
        RequestState::UnderWay(until) => Err(under_way(until, now)),
        RequestState::Answered(sealed) => replay(&environment, caller, &hash, &sealed).await,
        RequestState::Other => Err(Problem::unprocessable(
            "Idempotency-Key: it was given to another request before. Give each request a key of its own.",
        )),
    }
}

/// What tells a request from others.
fn hash(parts: &Parts, body: &[u8]) -> String {
    let kind = parts.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let mut digest = Sha256::new();
    for part in [parts.method.as_str().as_bytes(), parts.uri.to_string().as_bytes(), kind, body] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    format!("{:x}", digest.finalize())
}

fn under_way(until: Timestamp, now: Timestamp) -> Problem {
    let secs = until.since(now).as_secs().clamp(1, 5);
    Problem::conflict("The same request is under way. Send it again in a moment for its answer.")
        .with_header(header::RETRY_AFTER, HeaderValue::from(secs))
}

/// Keeps the answer of a request that was done, and forgets a request that was not.
async fn settle(environment: &Environment, caller: Caller, lease: RequestLease, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let account = environment.store.account(caller.account);
    let is_stream =
        parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let is_done = parts.status.is_success() || parts.status.is_redirection();
    if is_stream || !is_done {
        if let Err(error) = account.request_forget(&lease).await {
            tracing::warn!("A request that was not done cannot be sent again for a minute: {error}");
        }
        return Response::from_parts(parts, body);
    }
    // Bodies of answers are made in memory.
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let answer = Answer {
        status: parts.status.as_u16(),
        headers: kept(&parts.headers),
        body: Some(&bytes)
            .filter(|bytes| bytes.len() <= MAX_ANSWER)
            .and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()),
    };
    if let Err(problem) = keep(environment, caller, &lease, &answer).await {
        // It was done, and saying otherwise would have it done again.
        tracing::warn!("The answer of a request is not kept: {problem:?}");
    }
    Response::from_parts(parts, Body::from(bytes))
}

fn kept(headers: &HeaderMap) -> Vec<(String, String)> {
    let pairs = KEPT.iter().flat_map(|name| headers.get_all(name).iter().map(move |value| (name, value)));
    pairs.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned()))).collect()
}

async fn keep(environment: &Environment, caller: Caller, lease: &RequestLease, answer: &Answer) -> Result<(), Problem> {
    // Serialising texts and numbers has no way to fail.
    let text = serde_json::to_string(answer).unwrap_or_default();
    let context = SecretContext::Answer { account: caller.account, request: lease.hash() };
    let sealed = environment.store.keyring().seal(context, &text).await?;
    if !environment.store.account(caller.account).request_answer(lease, sealed).await? {
        tracing::warn!("A request took longer than its lease, and was begun again meanwhile.");
    }
    Ok(())
}

/// The answer of the first request.
async fn replay(environment: &Environment, caller: Caller, hash: &str, sealed: &Sealed) -> Result<Response, Problem> {
    let context = SecretContext::Answer { account: caller.account, request: hash };
    let text = environment.store.keyring().open(context, sealed).await?;
    let unreadable = |error: &dyn std::fmt::Display| {
        tracing::error!("A kept answer cannot be read: {error}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "It was done, and its answer cannot be read any more.")
    };
    let answer: Answer = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
    let Some(body) = answer.body else {
        let detail = "It was done, and its answer was too long to be kept. Read what it changed.";
        return Err(Problem::conflict(detail));
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(answer.status).map_err(|error| unreadable(&error))?;
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_string_or_a_word() {
        let key = |text: &'static str| checked(&HeaderValue::from_static(text)).ok();
        assert_eq!(key("\"8e03\""), Some("8e03".to_owned()));
        assert_eq!(key(" 8e03 "), Some("8e03".to_owned()));
        assert_eq!([key(""), key("\"\""), key("  ")], [None, None, None]);
        let long = HeaderValue::from_str(&"x".repeat(MAX_KEY + 1)).unwrap();
        assert!(checked(&long).is_err() && checked(&HeaderValue::from_bytes(&[0xe9]).unwrap()).is_err());
    }

    #[test]
    fn requests_are_told_apart_by_all_that_they_say() {
        let parts = |uri: &str, kind: &str| {
            Request::post(uri).header(header::CONTENT_TYPE, kind).body(()).unwrap().into_parts().0
        };
        let all = [
            hash(&parts("/a", "x"), b"1"),
            hash(&parts("/a", "x"), b"2"),
            hash(&parts("/a?b", "x"), b"1"),
            hash(&parts("/a", "y"), b"1"),
            hash(&parts("/a", "x1"), b""),
        ];
        let mut apart = all.to_vec();
        apart.sort_unstable();
        apart.dedup();
        assert_eq!(apart.len(), all.len());
        assert_eq!(all[0], hash(&parts("/a", "x"), b"1"));
    }
}
