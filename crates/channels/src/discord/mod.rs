//! Discord: what its bots are sent, and what they send.
//!
//! An interaction's way in is [`crate::signature::discord`], then [`parse_interaction`]. A reply's way out is [`render()`],
//! then [`Client::create_message`] for each part.

mod client;
mod event;
pub mod gateway;
mod interaction;
mod render;

pub use client::{API_BASE, Application, Client, Credentials, Me};
pub use interaction::{
    BadInteraction, Interaction, SIGNATURE_HEADER, TIMESTAMP_HEADER, deferred, interaction_of, parse_interaction, pong,
    seen, told,
};
pub use render::{MAX_TEXT, render};
pub(crate) use render::{fenced, quoted_lines};
