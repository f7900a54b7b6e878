//! Discord's interactions.

use axum::Json;
use axum::response::{IntoResponse, Response};
use channels::discord::{
    Interaction, SIGNATURE_HEADER, TIMESTAMP_HEADER, deferred, parse_interaction, pong, seen, told,
};
use channels::signature;
use domain::LinkSettings;
use intake::Outcome;

use crate::Refusal;
use crate::request::Request;

/// Takes one interaction, which has to be answered within three seconds.
pub(crate) async fn receive(mut request: Request<'_>) -> Result<Response, Refusal> {
    let LinkSettings::Discord(settings) = &request.link.settings else { return Err(Refusal::UnknownLink) };
    let (body, now) = (request.body()?, request.environment.clock.now());
    let (timestamp, signature) = (request.header(TIMESTAMP_HEADER), request.header(SIGNATURE_HEADER));
    signature::discord(&settings.public_key, timestamp, signature, &body, now)?;
    let interaction = parse_interaction(&body, &settings.application_id, now);
    let answer = match interaction.map_err(|error| Refusal::BadBody(error.to_string()))? {
        Interaction::Ping => pong(),
        Interaction::Command(received) => match request.admit(*received).await? {
            Outcome::Queued | Outcome::Answered(_) => deferred(),
            Outcome::Dropped(reason) => told(&format!("I do not answer here: {reason}.")),
        },
        Interaction::Press(received) => match request.admit(*received).await? {
            Outcome::Queued | Outcome::Answered(_) => seen(),
            Outcome::Dropped(reason) => told(&format!("This has no effect: {reason}.")),
        },
        Interaction::Ignored(reason) => {
            request.ignore(reason);
            told("I do not know what to do with this.")
        }
    };
    Ok(Json(answer).into_response())
}
