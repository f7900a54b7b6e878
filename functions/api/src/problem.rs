//! Errors of the API: `application/problem+json` (RFC 9457) that says what to do next.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use queues::QueueError;
use runtime::DoorError;
use store::StoreError;

use crate::views::{OpenAiErrorView, ProblemView};

/// The media type of every error.
pub(crate) const CONTENT_TYPE: &str = "application/problem+json";

/// After how many seconds a request may be repeated when a service did not answer.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// An answer that is an error.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    error: Option<Box<OpenAiErrorView>>,
}

impl Problem {
    /// `detail` is for whoever called: what happened, and what to do about it.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem { status, detail: detail.into(), headers: vec![], error: None }
    }

    /// A field or parameter is not what it should be.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, detail)
    }

    /// The state of things does not allow it now.
    pub(crate) fn conflict(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, detail)
    }

    /// Every field is well formed, and together they cannot be done.
    pub(crate) fn unprocessable(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// The same request may succeed later.
    pub(crate) fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Problem {
        let secs = HeaderValue::from(retry_after.as_secs().max(1));
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_header(header::RETRY_AFTER, secs)
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.headers.push((name, value));
        self
    }

    /// The same, said in `OpenAI`'s way, too.
    pub(crate) fn with_error(self, error: OpenAiErrorView) -> Problem {
        Problem { error: Some(Box::new(error)), ..self }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let view = ProblemView {
            kind: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            error: self.error.as_deref().cloned(),
        };
        // Serialising strings and a number has no way to fail.
        let body = serde_json::to_string(&view).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response();
        for (name, value) in &self.headers {
            response.headers_mut().insert(name, value.clone());
        }
        // For layers that say it otherwise.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match error {
            StoreError::Conflict(what) => {
                Problem::conflict(format!("Not done: {what}. Read it again and decide anew."))
            }
            StoreError::AlreadyTaken(_) => Problem::conflict("Not done: it was done before. Read it again."),
            StoreError::OverBudget(scope) => Problem::conflict(format!(
                "Not done: the {scope}'s budget is used up. Raise it, or wait for its next period."
            )),
            StoreError::Corrupt(detail) => {
                tracing::error!("A record cannot be read: {detail}");
                let detail = "A stored record cannot be read. Repeating the request does not help; the log says which.";
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
            }
            StoreError::Unavailable { what, detail } => {
                tracing::warn!("The store did not answer: could not {what}: {detail}");
                let detail = format!(
                    "Could not {what} just now. Try again in a few seconds; if it was a change, look first whether it \
                     took effect."
                );
                Problem::unavailable(detail, RETRY_AFTER)
            }
        }
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Problem {
        tracing::warn!("A queue did not answer: {error}");
        Problem::unavailable(
            "The queue did not answer. Send the same request again in a few seconds, with the same ids: what was queued \
             before is not queued twice.",
            RETRY_AFTER,
        )
    }
}

impl From<DoorError> for Problem {
    fn from(error: DoorError) -> Problem {
        match error {
            DoorError::Store(error) => error.into(),
            DoorError::Queue(error) => error.into(),
        }
    }
}
