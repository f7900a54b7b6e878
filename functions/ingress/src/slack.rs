//! Slack's requests: events, slash commands and pressed buttons come to one address.

use axum::response::{IntoResponse, Response};
use channels::signature;
use channels::slack::{Event, Me, SIGNATURE_HEADER, TIMESTAMP_HEADER, parse};
use domain::LinkSettings;

use crate::Refusal;
use crate::request::Request;

/// Takes one request. Slack wants its answer within three seconds, and shows the text of an answer to a command.
pub(crate) async fn receive(mut request: Request<'_>) -> Result<Response, Refusal> {
    let LinkSettings::Slack(settings) = &request.link.settings else { return Err(Refusal::UnknownLink) };
    let body = request.body()?;
    let (secret, now) = (request.signing_secret().await?, request.environment.clock.now());
    let (timestamp, signature) = (request.header(TIMESTAMP_HEADER), request.header(SIGNATURE_HEADER));
    signature::slack(&secret, timestamp, signature, &body, now)?;
    let me = Me { user: &settings.bot_user, team: &settings.team };
    match parse(&body, me, now).map_err(|error| Refusal::BadBody(error.to_string()))? {
        Event::Challenge(challenge) => return Ok(challenge.into_response()),
        Event::Ignored(reason) => request.ignore(reason),
        Event::Message(received) => {
            request.admit(*received).await?;
        }
    }
    Ok(().into_response())
}
