//! Matrix: what its rooms are sent.

mod render;

pub use render::{Chunk, MAX_HTML, render};
