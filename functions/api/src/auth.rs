//! Who calls: the account that an API key belongs to.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use domain::AccountId;
use runtime::Environment;

use crate::problem::Problem;

/// What every API key begins with.
const KEY_PREFIX: &str = "lt_";
/// Longer texts are no keys and are not looked up.
const MAX_KEY: usize = 128;

/// Whose request it is. A handler that takes one is only run for a key that exists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) account: AccountId,
}

impl FromRequestParts<Environment> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, environment: &Environment) -> Result<Caller, Problem> {
        let key = bearer(&parts.headers)
            .ok_or_else(|| unauthorised("This route needs a key: send the header `Authorization: Bearer lt_…`."))?;
        let owner = environment.store.api_key_find(key).await?;
        let owner = owner.ok_or_else(|| unauthorised("This key is not known. Copy it again, or make a new one."))?;
        Ok(Caller { account: owner.account })
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let key = key.trim();
    let fits = scheme.eq_ignore_ascii_case("bearer") && key.starts_with(KEY_PREFIX) && key.len() <= MAX_KEY;
    fits.then_some(key)
}

fn unauthorised(detail: &str) -> Problem {
    let challenge = HeaderValue::from_static("Bearer realm=\"lowtide\"");
    Problem::new(StatusCode::UNAUTHORIZED, detail).with_header(header::WWW_AUTHENTICATE, challenge)
}
