//! `WhatsApp` by Meta's Cloud API: what its numbers are sent, and what they send.
//!
//! A request's way in is [`crate::signature::meta`], then [`parse`]. A reply's way out is [`render()`], then
//! [`Client::send_text`] for each part.

mod client;
mod event;
mod render;

pub use client::{API_BASE, Client, Credentials, Identity, MAX_ABOVE_BUTTONS, Number, Standing};
pub use event::{BadEvent, Event, SIGNATURE_HEADER, parse};
pub use render::{MAX_TEXT, render};
