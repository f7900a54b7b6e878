//! The cookie of a browser that is signed in.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

/// Its name. Over TLS a prefix has browsers refuse it from anywhere but this very host (RFC 6265bis, 4.1.3.2).
const NAME: &str = "lt_session";
const PREFIX: &str = "__Host-";
/// The secret: 256 bits in hex.
const SECRET_LEN: usize = 64;

/// The secret that a browser sent.
pub(crate) fn secret(headers: &HeaderMap) -> Option<&str> {
    named(headers, NAME).filter(|secret| secret.len() == SECRET_LEN)
}

/// The value of a cookie of this name.
pub(super) fn named<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let name = full_name(name, is_secure(headers));
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// Gives a browser its secret. Pages of other sites never make it send this cookie.
pub(super) fn given(headers: &HeaderMap, secret: &str, age: Duration) -> HeaderValue {
    made(NAME, secret, "Strict", age, is_secure(headers))
}

/// Takes the secret away.
pub(super) fn removed(headers: &HeaderMap) -> HeaderValue {
    made(NAME, "", "Strict", Duration::ZERO, is_secure(headers))
}

/// A cookie; `value` has no characters that a header cannot carry.
pub(super) fn made(name: &str, value: &str, same_site: &str, age: Duration, is_secure: bool) -> HeaderValue {
    let name = full_name(name, is_secure);
    let secure = if is_secure { "; Secure" } else { "" };
    let age = age.as_secs();
    let text = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite={same_site}{secure}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

fn full_name(name: &str, is_secure: bool) -> String {
    let prefix = if is_secure { PREFIX } else { "" };
    format!("{prefix}{name}")
}

/// Whether the browser reached us over TLS, which ended before this process.
pub(crate) fn is_secure(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let secret_text = "ab".repeat(32);
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("theme=dark; lt_sessions=no"));
        assert_eq!(secret(&headers), None);
        headers.append(header::COOKIE, HeaderValue::from_str(&format!("a=b;lt_session={secret_text}; c=d")).unwrap());
        assert_eq!(secret(&headers), Some(secret_text.as_str()));
        // Over TLS it is one that only this host can have set.
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        assert_eq!(secret(&headers), None);
        headers.append(header::COOKIE, HeaderValue::from_str(&format!("__Host-lt_session={secret_text}")).unwrap());
        assert_eq!(secret(&headers), Some(secret_text.as_str()));
    }
}
