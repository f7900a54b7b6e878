//! Meta's requests: messages to a `WhatsApp` number, and what became of those that it sent.

use axum::response::{IntoResponse, Response};
use channels::signature;
use channels::telegram::verify_secret;
use channels::whatsapp::{Event, SIGNATURE_HEADER, parse};
use domain::LinkSettings;
use store::Notice;

use crate::Refusal;
use crate::request::Request;

/// Answers Meta, which tries the address out with the token that the owner entered there.
pub(crate) fn challenge(request: &Request<'_>) -> Result<Response, Refusal> {
    let query = |name: &str| request.query.get(name).map(String::as_str);
    let expected = request.link.webhook_secret_sha256.as_deref().unwrap_or_default();
    if !verify_secret(query("hub.verify_token"), expected) {
        return Err(Refusal::Unsigned(
            "hub.verify_token is not this link's: copy it from the answer that made the link.",
        ));
    }
    match query("hub.challenge") {
        Some(challenge) if query("hub.mode") == Some("subscribe") => Ok(challenge.to_owned().into_response()),
        _ => Err(Refusal::BadBody("hub.mode has to be subscribe, and hub.challenge something".to_owned())),
    }
}

/// Takes one request, which may hold several messages.
pub(crate) async fn receive(mut request: Request<'_>) -> Result<Response, Refusal> {
    let LinkSettings::WhatsApp(settings) = &request.link.settings else { return Err(Refusal::UnknownLink) };
    let body = request.body()?;
    let secret = request.signing_secret().await?;
    signature::meta(&secret, request.header(SIGNATURE_HEADER), &body)?;
    let events = parse(&body, &settings.phone_number_id);
    for event in events.map_err(|error| Refusal::BadBody(error.to_string()))? {
        match event {
            Event::Message(received) => {
                request.admit(*received).await?;
            }
            Event::Failed { message, recipient, reason } => {
                not_delivered(&request, &message, &recipient, &reason).await?
            }
            Event::Ignored(reason) => request.ignore(reason),
        }
    }
    Ok(().into_response())
}

/// Tells the owner that a message did not arrive: Meta says so only after it took it. Once of each message.
async fn not_delivered(request: &Request<'_>, message: &str, recipient: &str, reason: &str) -> Result<(), Refusal> {
    tracing::warn!(link = %request.link.id, "A message was accepted and not delivered: {reason}");
    let message: String = message.chars().take(200).collect();
    let notice = Notice {
        about: format!("whatsapp.{}.{message}", request.link.id),
        bot: Some(request.bot.id),
        text: format!("A WhatsApp message of {} to {recipient} was not delivered. {reason}.", request.bot.name),
        at: request.environment.clock.now(),
    };
    request.environment.store.account(request.link.account).notice_put(&notice).await?;
    Ok(())
}
