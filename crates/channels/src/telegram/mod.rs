//! Telegram bots by webhook or long poll: reads updates, writes HTML, calls the Bot API.
//!
//! An update's way in is [`verify_secret`], then [`parse_update`]. A reply's way out is [`render()`],
//! then [`Client::send_message`] for each [`Chunk`], with [`Client::send_message_plain`] for one that
//! Telegram finds fault with.
//!
//! The protocol is the Bot API, <https://core.telegram.org/bots/api>.

mod client;
mod files;
mod object;
pub mod polling;
mod render;
mod update;
mod webhook;

use domain::{Address, Button};
use serde_json::{Value, json};

pub use crate::DownloadError;
pub use client::{Client, Me, REACTIONS, WebhookInfo, bot_id};
pub use files::{MAX_DOWNLOAD, album};
pub use render::{Chunk, MAX_TEXT, render};
pub use update::{BadUpdate, Update, callback_of, parse_update, reaction_to};
pub use webhook::{SECRET_HEADER, hash_secret, verify_secret, webhook_reply};

/// The parameters that say which chat and topic a call is about.
fn target(address: &Address) -> Value {
    let mut params = json!({ "chat_id": id_value(&address.chat) });
    if let Some(thread) = &address.thread {
        params["message_thread_id"] = id_value(thread);
    }
    params
}

/// The longest data of a button, in bytes.
const MAX_CALLBACK: usize = 64;

/// Buttons below a message, one in a row; `None` if there are none that Telegram would take.
fn keyboard(buttons: &[Button]) -> Option<Value> {
    let fits = |button: &&Button| (1..=MAX_CALLBACK).contains(&button.command.len()) && !button.label.is_empty();
    let rows: Vec<Value> = buttons
        .iter()
        .filter(fits)
        .map(|button| json!([{ "text": button.label, "callback_data": button.command }]))
        .collect();
    (!rows.is_empty()).then(|| json!({ "inline_keyboard": rows }))
}

/// An id as the Bot API wants it: a number where it is one, else the text (`@channel_name`).
fn id_value(id: &str) -> Value {
    id.parse::<i64>().map_or_else(|_| id.into(), Value::from)
}
