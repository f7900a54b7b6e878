//! The generic webhook: any system posts messages to a bot, and has the replies posted to it. Both are signed in the
//! scheme of Standard Webhooks, <https://www.standardwebhooks.com>.

use std::time::Duration;

use domain::{Address, ChatKind, Sender, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rest::{self, told};
use crate::signature::sign_standard;
use crate::{Received, SendError};

/// Names a message, however often it is posted.
pub const ID_HEADER: &str = "webhook-id";
/// When it was posted, in seconds.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// `v1,` and the signature in base64.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// The longest text of a message, in characters.
pub const MAX_TEXT: usize = 32_000;
/// The longest name of a session or a sender, and the longest id, in characters.
const MAX_NAME: usize = 128;

/// Whose messages and which conversation it is, where nothing is said of it.
const SESSION: &str = "main";
const SENDER: &str = "webhook";

/// How long a system may take to accept a reply.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A message that is not taken; the text tells whoever posted it what to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    #[error(
        "the body is not a message; write {{\"text\": \"…\", \"session\": \"main\", \"sender\": \"…\"}}, of which text is needed"
    )]
    Body,
    #[error("the text has to have 1 to {MAX_TEXT} characters")]
    Text,
    #[error("session, sender and the header webhook-id have 1 to {MAX_NAME} visible ASCII characters without spaces")]
    Name,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Posted {
    text: String,
    session: Option<String>,
    sender: Option<String>,
}

/// Reads one message, named `id` by the header [`ID_HEADER`].
pub fn parse(body: &[u8], id: &str, now: Timestamp) -> Result<Received, BadMessage> {
    let posted: Posted = serde_json::from_slice(body).map_err(|_| BadMessage::Body)?;
    let name = |name: Option<String>, default: &str| {
        let name = name.unwrap_or_else(|| default.to_owned());
        if is_name(&name) { Ok(name) } else { Err(BadMessage::Name) }
    };
    if posted.text.trim().is_empty() || posted.text.chars().count() > MAX_TEXT {
        return Err(BadMessage::Text);
    }
    let (chat, sender) = (name(posted.session, SESSION)?, name(posted.sender, SENDER)?);
    if !is_name(id) {
        return Err(BadMessage::Name);
    }
    Ok(Received {
        channel_message_id: id.to_owned(),
        address: Address { kind: ChatKind::Direct, chat, thread: None, reply_to: None },
        sender: Sender { id: sender, name: None, username: None },
        text: posted.text,
        attachments: vec![],
        quote: None,
        album: None,
        mentioned: true,
        sent_at: now,
    })
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
}

/// What is posted to the system: one part of a reply, in Markdown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reply<'a> {
    /// The conversation, as the system names it.
    pub session: &'a str,
    pub text: &'a str,
    /// Commands that the system may post back, with what they are called.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<ReplyButton<'a>>,
}

/// One command that a reply offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplyButton<'a> {
    pub label: &'a str,
    pub command: &'a str,
}

/// Posts a reply. `http` is a client that reaches only what an owner may name. `id` names the reply: the system tells a
/// repetition by it.
///
/// # Errors
///
/// [`SendError::Rejected`]: the system answers with a 4xx, or the secret cannot sign.
pub async fn post(
    http: &reqwest::Client,
    url: &str,
    secret: &str,
    id: &str,
    reply: &Reply<'_>,
    now: Timestamp,
) -> Result<(), SendError> {
    let body = serde_json::to_vec(reply).map_err(|error| SendError::Rejected(error.to_string()))?;
    let signature = sign_standard(secret, id, now, &body).map_err(|error| SendError::Rejected(error.to_string()))?;
    let request = http
        .post(url)
        .header("content-type", "application/json")
        .header(ID_HEADER, id)
        .header(TIMESTAMP_HEADER, (now.as_millis() / 1000).to_string())
        .header(SIGNATURE_HEADER, signature)
        .body(body);
    let answer = rest::call(request, TIMEOUT, secret).await?;
    let detail = || format!("status {}: {}", answer.status, told(&String::from_utf8_lossy(&answer.body), secret));
    match answer.status {
        200..=299 => Ok(()),
        429 => Err(answer.rate_limited()),
        // The scheme's way to say that nothing more is wanted.
        410 => Err(SendError::Unreachable(detail())),
        408 | 500.. => Err(SendError::Temporary(detail())),
        _ => Err(SendError::Rejected(detail())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, id: &str) -> Result<Received, BadMessage> {
        parse(body.as_bytes(), id, Timestamp::from_secs(7))
    }

    #[test]
    fn a_message_names_its_conversation_and_who_wrote_it() {
        let received =
            read(r#"{"text": "The disk is full", "session": "alerts", "sender": "monitor"}"#, "msg_1").unwrap();
        assert_eq!((received.channel_message_id.as_str(), received.address.chat.as_str()), ("msg_1", "alerts"));
        assert_eq!((received.sender.id.as_str(), received.mentioned), ("monitor", true));
        let short = read(r#"{"text": "hi"}"#, "msg_2").unwrap();
        assert_eq!((short.address.chat.as_str(), short.sender.id.as_str()), (SESSION, SENDER));
    }

    #[test]
    fn what_is_no_message_is_refused_with_advice() {
        for (body, id, why) in [
            ("{}", "m", BadMessage::Body),
            ("[]", "m", BadMessage::Body),
            (r#"{"text": "hi", "txet": 1}"#, "m", BadMessage::Body),
            (r#"{"text": " "}"#, "m", BadMessage::Text),
            (r#"{"text": "hi", "session": "a b"}"#, "m", BadMessage::Name),
            (r#"{"text": "hi", "sender": ""}"#, "m", BadMessage::Name),
            (r#"{"text": "hi"}"#, "", BadMessage::Name),
        ] {
            assert_eq!(read(body, id), Err(why), "{body}");
        }
        let long = format!(r#"{{"text": "{}"}}"#, "é".repeat(MAX_TEXT + 1));
        assert_eq!(read(&long, "m"), Err(BadMessage::Text));
    }
}
