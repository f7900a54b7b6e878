//! IRC: what its channels and people are sent.

mod render;

pub use render::{MAX_LINE, render};
