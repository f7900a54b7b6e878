//! The webhook's secret, and the answer that its request may carry.

use domain::Address;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{callback_of, reaction_to, target};

/// The header in which Telegram repeats the `secret_token` that was given to `setWebhook`.
pub const SECRET_HEADER: &str = "x-telegram-bot-api-secret-token";

/// What is kept of a webhook's secret: its SHA-256 in lower-case hex.
pub fn hash_secret(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

/// Whether a request's [`SECRET_HEADER`] is the secret that has the hash `expected_sha256_hex`.
///
/// Takes the same time wherever the two differ. A missing header, or a hash that is none, is `false`.
pub fn verify_secret(header: Option<&str>, expected_sha256_hex: &str) -> bool {
    let (Some(secret), Ok(expected)) = (header, hex::decode(expected_sha256_hex)) else { return false };
    Sha256::digest(secret).as_slice().ct_eq(&expected).into()
}

/// The body of a webhook's 200 for a message that was taken: a button's press is answered, a reaction is not, and for
/// anything else "typing…" is shown in the chat.
///
/// Telegram takes one method call from the answer to its own request, which saves a request of ours.
/// The result of the call is not told.
pub fn webhook_reply(channel_message_id: &str, address: &Address) -> Value {
    match callback_of(channel_message_id) {
        Some(query) => json!({ "method": "answerCallbackQuery", "callback_query_id": query }),
        None if reaction_to(channel_message_id).is_some() => json!({}),
        None => typing(address),
    }
}

fn typing(address: &Address) -> Value {
    let mut call = target(address);
    call["method"] = "sendChatAction".into();
    call["action"] = "typing".into();
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_itself_passes() {
        let hash = hash_secret("tide-secret_1");
        assert!(verify_secret(Some("tide-secret_1"), &hash));
        assert!(verify_secret(Some("tide-secret_1"), &hash.to_uppercase()));
        assert!(!verify_secret(Some("tide-secret_2"), &hash));
        assert!(!verify_secret(Some(&hash), &hash), "the hash is not the secret");
        assert!(!verify_secret(Some(""), ""));
        assert!(!verify_secret(Some("tide-secret_1"), "not hex"));
        assert!(!verify_secret(None, &hash));
    }

    #[test]
    fn typing_goes_to_the_topic() {
        let mut address = Address { kind: domain::ChatKind::Group, chat: "-100".into(), thread: None, reply_to: None };
        assert_eq!(
            webhook_reply("-100:7", &address),
            json!({ "method": "sendChatAction", "chat_id": -100, "action": "typing" })
        );
        address.thread = Some("17".into());
        assert_eq!(webhook_reply("-100:7", &address)["message_thread_id"], 17);
    }

    #[test]
    fn a_press_is_answered() {
        let address = Address { kind: domain::ChatKind::Direct, chat: "5".into(), thread: None, reply_to: None };
        assert_eq!(
            webhook_reply("cb:99", &address),
            json!({ "method": "answerCallbackQuery", "callback_query_id": "99" })
        );
    }
}
