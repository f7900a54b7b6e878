//! Slack: what its apps are sent, and what they send.

mod render;

pub(crate) use render::{LIKE_BACKTICK, NO_WIDTH, disguise_marks};
pub use render::{MAX_TEXT, render};
