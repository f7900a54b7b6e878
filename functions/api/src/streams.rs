//! Answers that are server-sent events (WHATWG HTML, 9.2), as `EventSource` reads them.
//!
//! A stream ends by itself after a minute, or before its function must. `EventSource` then asks again by itself, is let in again or
//! not, and says with `Last-Event-ID` what it had: so who is put out sees nothing more after a minute, and nothing is left out.

use std::convert::Infallible;
use std::str::FromStr;
use std::time::Duration;

use aide::generate::GenContext;
use aide::openapi::Operation;
use aide::operation::{OperationInput, OperationOutput, add_parameters};
use axum::extract::FromRequestParts;
use axum::http::HeaderName;
use axum::http::request::Parts;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream, StreamExt};
use runtime::Environment;
use schemars::json_schema;
use serde::Serialize;
use tokio::time::Instant;

use crate::answers::{media, with_status};
use crate::extract::header_parameter;
use crate::openai::Until;
use crate::problem::Problem;

/// How long a stream lasts at most.
const LONGEST: Duration = Duration::from_secs(60);
/// How long a browser waits before it asks again.
const RETRY: Duration = Duration::from_millis(500);
/// How often a stream that has nothing to say says so, lest somebody between takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A stream of events.
pub(crate) struct Events(Response);

/// What looks for events again and again.
pub(crate) trait Source: Send + 'static {
    /// What is new since the last look.
    fn look(&mut self) -> impl Future<Output = Result<Vec<Event>, Problem>> + Send;

    /// How long to wait before the next look.
    fn pause(&self) -> Duration;
}

impl Events {
    /// The events of a source, until the stream has lasted long enough.
    pub(crate) fn of(source: impl Source, environment: &Environment, Until(until): Until) -> Events {
        let ends = Instant::now() + until.since(environment.clock.now()).min(LONGEST);
        let begin = stream::once(async { vec![Event::default().retry(RETRY).comment("begins")] });
        let looks = stream::unfold((source, true), move |(mut source, is_first)| async move {
            let pause = source.pause();
            if !is_first {
                if Instant::now() + pause >= ends {
                    return None;
                }
                tokio::time::sleep(pause).await;
            }
            match source.look().await {
                Ok(events) => Some((events, (source, false))),
                Err(problem) => {
                    // The browser asks again, and is told then if it lasts.
                    tracing::warn!("A stream of events ends early: {}", problem.detail());
                    None
                }
            }
        });
        Events::from_bundles(begin.chain(looks))
    }

    /// The events of bundles, in their order.
    pub(crate) fn from_bundles(bundles: impl Stream<Item = Vec<Event>> + Send + 'static) -> Events {
        let events = bundles.flat_map(|bundle| stream::iter(bundle.into_iter().map(Ok::<_, Infallible>)));
        let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("working");
        Events(Sse::new(events).keep_alive(keep_alive).into_response())
    }
}

impl IntoResponse for Events {
    fn into_response(self) -> Response {
        self.0
    }
}

impl OperationOutput for Events {
    type Inner = ();

    fn operation_response(_: &mut GenContext, _: &mut Operation) -> Option<aide::openapi::Response> {
        let description = "Server-sent events. The stream ends after a minute at most; ask again with `Last-Event-ID`.";
        let mut response =
            aide::openapi::Response { description: description.to_owned(), ..aide::openapi::Response::default() };
        response.content.insert("text/event-stream".to_owned(), media(json_schema!({ "type": "string" })));
        Some(response)
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<aide::openapi::StatusCode>, aide::openapi::Response)> {
        with_status::<Self>(200, ctx, operation)
    }
}

/// One event of JSON.
pub(crate) fn data<T: Serialize>(value: &T) -> Event {
    // Records of strings and numbers are always JSON, and JSON has no line break.
    Event::default().data(serde_json::to_string(value).unwrap_or_default())
}

/// The id of the last event that a browser had of an earlier stream.
pub(crate) struct LastEventId(Option<String>);

impl LastEventId {
    /// As what it is in this stream.
    pub(crate) fn parse<T: FromStr>(self) -> Result<Option<T>, Problem> {
        let unknown =
            || Problem::bad_request("Last-Event-ID: this is none. Give the `id` of an event, or leave it out.");
        self.0.map(|id| id.parse().map_err(|_| unknown())).transpose()
    }
}

impl FromRequestParts<Environment> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Environment) -> Result<LastEventId, Infallible> {
        let value = parts.headers.get(LAST_EVENT_ID);
        Ok(LastEventId(value.map(|value| value.to_str().unwrap_or_default().to_owned())))
    }
}

impl OperationInput for LastEventId {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let description = "The `id` of the last event of an earlier stream: this one goes on behind it.";
        let parameter = header_parameter(
            "Last-Event-ID",
            description,
            json_schema!({ "type": "string", "pattern": "^[0-9]{1,15}(-[0-9]{1,19})?$" }),
        );
        add_parameters(ctx, operation, [parameter]);
    }
}
