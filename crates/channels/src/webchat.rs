//! Web chat: messages that come through our own API, the terminal and the dashboard.

use domain::{Address, ChatKind, Sender, Timestamp};

use crate::Received;

/// In characters.
pub const MAX_TEXT: usize = 32_000;
/// In characters.
pub const MAX_CONVERSATION: usize = 64;
/// In characters.
pub const MAX_MESSAGE_ID: usize = 128;

/// A message that is not taken; the text tells whoever called the API what to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    #[error("the message is empty; send 1 to {MAX_TEXT} characters, or a file")]
    Empty,
    #[error("the message has {0} characters; send {MAX_TEXT} at most, and more as further messages")]
    TooLong(usize),
    #[error("the conversation's name must be 1 to {MAX_CONVERSATION} of the letters A-Z a-z 0-9 _ . -; try `main`")]
    Conversation,
    #[error(
        "the message id must be 1 to {MAX_MESSAGE_ID} visible ASCII characters without spaces; a random UUID is a good one"
    )]
    MessageId,
}

/// Checks and accepts one message of `conversation`.
///
/// `message_id` is chosen by who sends, and names the message within the conversation: the same id
/// again is the same message again, not a new one. Who brings files need not say anything.
pub fn received(
    conversation: &str,
    sender: &Sender,
    message_id: &str,
    text: &str,
    brings_files: bool,
    at: Timestamp,
) -> Result<Received, BadMessage> {
    check_conversation(conversation)?;
    check_message_id(message_id)?;
    check_text(text, brings_files)?;
    let address = Address { kind: ChatKind::Direct, chat: conversation.to_owned(), thread: None, reply_to: None };
    Ok(Received {
        // A conversation's name has no colon, so no two pairs share an id.
        channel_message_id: format!("{conversation}:{message_id}"),
        address,
        sender: sender.clone(),
        text: text.to_owned(),
        attachments: Vec::new(),
        quote: None,
        album: None,
        mentioned: true,
        sent_at: at,
    })
}

fn check_conversation(name: &str) -> Result<(), BadMessage> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let fits = (1..=MAX_CONVERSATION).contains(&name.len());
    if fits && name.chars().all(is_letter) { Ok(()) } else { Err(BadMessage::Conversation) }
}

fn check_message_id(id: &str) -> Result<(), BadMessage> {
    let fits = (1..=MAX_MESSAGE_ID).contains(&id.len());
    if fits && id.chars().all(|c| c.is_ascii_graphic()) { Ok(()) } else { Err(BadMessage::MessageId) }
}

fn check_text(text: &str, brings_files: bool) -> Result<(), BadMessage> {
    if text.trim().is_empty() && !brings_files {
        return Err(BadMessage::Empty);
    }
    match text.chars().count() {
        0..=MAX_TEXT => Ok(()),
        count => Err(BadMessage::TooLong(count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_message(conversation: &str, id: &str, text: &str) -> Result<Received, BadMessage> {
        let sender = Sender { id: "key_1".into(), name: None, username: None };
        received(conversation, &sender, id, text, false, Timestamp::from_secs(1))
    }

    #[test]
    fn a_message_is_addressed_to_the_bot_and_named_within_its_conversation() {
        let message = try_message("main", "a1", "hello").unwrap();
        assert_eq!(message.channel_message_id, "main:a1");
        assert!(message.mentioned);
        assert_eq!(message.address.chat, "main");
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_advice() {
        let errors = [
            try_message("", "a1", "hi"),
            try_message("a:b", "a1", "hi"),
            try_message(&"x".repeat(65), "a1", "hi"),
            try_message("main", "a 1", "hi"),
            try_message("main", &"é".repeat(65), "hi"),
            try_message("main", "a1", " \n"),
            try_message("main", "a1", &"é".repeat(32_001)),
        ];
        let errors: Vec<String> = errors.into_iter().map(|result| result.unwrap_err().to_string()).collect();
        insta::assert_snapshot!(errors.join("\n"), @r#"
        the conversation's name must be 1 to 64 of the letters A-Z a-z 0-9 _ . -; try `main`
        the conversation's name must be 1 to 64 of the letters A-Z a-z 0-9 _ . -; try `main`
        the conversation's name must be 1 to 64 of the letters A-Z a-z 0-9 _ . -; try `main`
        the message id must be 1 to 128 visible ASCII characters without spaces; a random UUID is a good one
        the message id must be 1 to 128 visible ASCII characters without spaces; a random UUID is a good one
        the message is empty; send 1 to 32000 characters, or a file
        the message has 32001 characters; send 32000 at most, and more as further messages
        "#);
        assert!(try_message(&"x".repeat(64), &"y".repeat(128), &"é".repeat(32_000)).is_ok());
    }
}
