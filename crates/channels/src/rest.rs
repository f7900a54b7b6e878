//! What calls to the channels' JSON APIs have in common.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::RequestBuilder;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::de::DeserializeOwned;

use crate::{DownloadError, MAX_DOWNLOAD, SendError};

/// How long to pause when a channel asks for a pause without saying for how long.
pub(crate) const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// The longest pause that a channel's word is taken for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

/// How much of an answer is read, in bytes.
const MAX_BODY: usize = 1 << 20;

/// How much of a channel's words is shown, in characters.
const MAX_DETAIL: usize = 300;

/// What a channel answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// How long the channel wants to be left alone, if it says so.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// [`SendError::Temporary`]: it is none; something on the way answered instead of the channel.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, SendError> {
        serde_json::from_slice(&self.body)
            .map_err(|_| SendError::Temporary(format!("status {} with a body of an unknown shape", self.status)))
    }

    /// The error that a rate limit is.
    pub(crate) fn rate_limited(&self) -> SendError {
        SendError::RateLimited { retry_after: self.retry_after.unwrap_or(DEFAULT_RETRY_AFTER) }
    }
}

/// Sends a request whose answer has at most 1 MB. `secret` is taken out of whatever is told of a failure.
pub(crate) async fn call(request: RequestBuilder, timeout: Duration, secret: &str) -> Result<Answer, SendError> {
    let failed = |error: reqwest::Error| SendError::Temporary(told(&network_error(error, timeout), secret));
    let mut response = request.timeout(timeout).send().await.map_err(failed)?;
    let status = response.status().as_u16();
    // Discord writes fractions of a second.
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<f64>().ok());
    let headers = std::mem::take(response.headers_mut());
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(SendError::Temporary(format!("status {status} with a body of more than 1 MB")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, retry_after: seconds.and_then(pause), headers, body: body.freeze() })
}

/// Fetches a file of at most [`MAX_DOWNLOAD`] bytes.
pub(crate) async fn download(request: RequestBuilder, timeout: Duration, secret: &str) -> Result<Bytes, DownloadError> {
    let failed = |error: reqwest::Error| SendError::Temporary(told(&network_error(error, timeout), secret));
    let mut response = request.timeout(timeout).send().await.map_err(failed)?;
    if !response.status().is_success() {
        let status = response.status().as_u16();
        return Err(SendError::Temporary(format!("status {status} instead of a file")).into());
    }
    let mut bytes = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if bytes.len() + chunk.len() > MAX_DOWNLOAD {
            return Err(DownloadError::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// The address of a file, if it is where the channel keeps files: at one of `hosts` or below it, or where a test listens,
/// `api_base`. A token goes nowhere else, and what people send names no other place.
pub(crate) fn file_url(text: &str, api_base: &str, hosts: &[&str]) -> Result<url::Url, SendError> {
    let refuse = || SendError::Rejected("the file is not where the channel keeps files".to_owned());
    let url = url::Url::parse(text).map_err(|_| refuse())?;
    let host = url.host_str().unwrap_or_default();
    let is_below = |known: &&str| host == *known || host.strip_suffix(*known).is_some_and(|rest| rest.ends_with('.'));
    let is_theirs = url.scheme() == "https" && hosts.iter().any(is_below);
    let is_api = url::Url::parse(api_base).is_ok_and(|api| api.origin() == url.origin());
    if is_theirs || is_api { Ok(url) } else { Err(refuse()) }
}

/// A pause of so many seconds, within reason.
pub(crate) fn pause(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().map(|pause| pause.min(MAX_RETRY_AFTER))
}

/// A channel's words, without the secret and not too many.
pub(crate) fn told(text: &str, secret: &str) -> String {
    let text = if secret.is_empty() { text.to_owned() } else { text.replace(secret, "<token>") };
    text.chars().take(MAX_DETAIL).collect()
}

fn network_error(error: reqwest::Error, timeout: Duration) -> String {
    // A URL may hold a token.
    let error = error.without_url();
    if error.is_timeout() {
        return format!("no answer within {timeout:?}");
    }
    let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

/// What a file is called in a chat.
pub(crate) fn file_name(media: &domain::Media) -> String {
    media.name.clone().unwrap_or_else(|| {
        let ending = media.mime.split(['/', ';', '+']).nth(1).unwrap_or("bin");
        format!("file.{ending}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_has_no_secret_and_is_short() {
        assert_eq!(told("no: xoxb-1 is wrong", "xoxb-1"), "no: <token> is wrong");
        assert_eq!(told(&"é".repeat(400), "").chars().count(), MAX_DETAIL);
    }

    #[test]
    fn a_token_goes_only_where_the_channel_keeps_files() {
        let is_fine = |url: &str| file_url(url, "http://127.0.0.1:7", &["slack.com"]).is_ok();
        for good in ["https://files.slack.com/a", "https://slack.com/a", "http://127.0.0.1:7/a"] {
            assert!(is_fine(good), "{good}");
        }
        for bad in [
            "http://files.slack.com/a",
            "https://evilslack.com/a",
            "https://slack.com.evil.example/a",
            "https://slack.com@evil.example/a",
            "http://127.0.0.1:8/a",
            "file:///etc/passwd",
            "F123",
        ] {
            assert!(!is_fine(bad), "{bad}");
        }
    }

    #[test]
    fn pauses_are_within_reason() {
        assert_eq!(pause(0.25), Some(Duration::from_millis(250)));
        assert_eq!(pause(1e9), Some(MAX_RETRY_AFTER));
        assert_eq!((pause(-1.0), pause(f64::NAN)), (None, None));
    }
}
