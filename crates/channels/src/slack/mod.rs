//! Slack: what its apps are sent, and what they send.
//!
//! A request's way in is [`crate::signature::slack`], then [`parse`]. A reply's way out is [`render()`], then
//! [`Client::post_message`] for each part. [`socket`] is the other way in, for apps that Slack cannot reach.

mod client;
mod event;
mod render;
pub mod socket;

pub use client::{API_BASE, Client, Credentials, Identity};
pub use event::{BadEvent, Event, Me, parse, parse_command, parse_event, parse_interaction};
pub(crate) use render::{LIKE_BACKTICK, NO_WIDTH, disguise_marks};
pub use render::{MAX_TEXT, render};

/// Where Slack's signature of a request stands.
pub const SIGNATURE_HEADER: &str = "x-slack-signature";
/// The time that the signature covers, in seconds.
pub const TIMESTAMP_HEADER: &str = "x-slack-request-timestamp";
