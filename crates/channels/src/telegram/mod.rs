//! Telegram bots by webhook: reads updates, writes HTML, calls the Bot API.
//!
//! An update's way in is [`verify_secret`], then [`parse_update`]. A reply's way out is [`render()`],
//! then [`Client::send_message`] for each [`Chunk`], with [`Client::send_message_plain`] for one that
//! Telegram finds fault with.
//!
//! The protocol is the Bot API, <https://core.telegram.org/bots/api>.

mod client;
mod object;
mod render;
mod update;
mod webhook;

use domain::Address;
use serde_json::{Value, json};

pub use client::{Client, Me, bot_id};
pub use render::{Chunk, MAX_TEXT, render};
pub use update::{BadUpdate, Update, parse_update};
pub use webhook::{SECRET_HEADER, hash_secret, verify_secret, webhook_reply_typing};

/// The parameters that say which chat and topic a call is about.
fn target(address: &Address) -> Value {
    let mut params = json!({ "chat_id": id_value(&address.chat) });
    if let Some(thread) = &address.thread {
        params["message_thread_id"] = id_value(thread);
    }
    params
}

/// An id as the Bot API wants it: a number where it is one, else the text (`@channel_name`).
fn id_value(id: &str) -> Value {
    id.parse::<i64>().map_or_else(|_| id.into(), Value::from)
}
