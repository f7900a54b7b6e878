//! Discord: what its bots are sent, and what they send.

mod render;

pub use render::{MAX_TEXT, render};
pub(crate) use render::{fenced, quoted_lines};
