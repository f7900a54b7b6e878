//! `WhatsApp`'s Cloud API: what its numbers are sent, and what they send.

mod render;

pub use render::{MAX_TEXT, render};
