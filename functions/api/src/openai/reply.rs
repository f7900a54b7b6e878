//! What routes that speak as `OpenAI` does answer with: JSON, or server-sent events.

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{Operation, StatusCode as Code};
use axum::Json;
use axum::http::HeaderValue;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use domain::SessionKey;
use futures::stream::Stream;
use schemars::{JsonSchema, json_schema};
use serde::Serialize;

use super::SESSION_HEADER;
use crate::answers::{media, text_header, with_status};
use crate::streams::Events;

/// An answer as a whole, or as it is written.
pub(crate) enum Reply<T> {
    /// JSON.
    Whole(Option<HeaderValue>, T),
    /// Server-sent events.
    Stream(Response),
}

impl<T> Reply<T> {
    /// An answer that lies in a session.
    pub(super) fn whole(session: &SessionKey, answer: T) -> Reply<T> {
        Reply::Whole(value(session), answer)
    }

    /// A stream of events that come in bundles.
    pub(super) fn stream(session: &SessionKey, bundles: impl Stream<Item = Vec<Event>> + Send + 'static) -> Reply<T> {
        let mut response = Events::from_bundles(bundles).into_response();
        if let Some(session) = value(session) {
            response.headers_mut().insert(SESSION_HEADER, session);
        }
        Reply::Stream(response)
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        match self {
            Reply::Whole(session, answer) => {
                (session.map(|session| [(SESSION_HEADER, session)]), Json(answer)).into_response()
            }
            Reply::Stream(response) => response,
        }
    }
}

impl<T: JsonSchema> OperationOutput for Reply<T> {
    type Inner = T;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<aide::openapi::Response> {
        let mut response = Json::<T>::operation_response(ctx, operation)?;
        let events = media(json_schema!({ "type": "string" }));
        response.content.insert("text/event-stream".to_owned(), events);
        response.headers.insert(SESSION_HEADER.to_string(), text_header("The session that the answer is in."));
        Some(response)
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<Code>, aide::openapi::Response)> {
        with_status::<Self>(200, ctx, operation)
    }
}

/// A session, as a header's value. Keys have no control characters.
pub(super) fn value(session: &SessionKey) -> Option<HeaderValue> {
    HeaderValue::from_bytes(session.as_str().as_bytes()).ok()
}
