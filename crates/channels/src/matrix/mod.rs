//! Matrix bots over a homeserver's client-server API: one long poll brings what is said, calls bring the answers.
//!
//! A message's way in is [`run`], which a holder keeps going. A reply's way out is [`render()`], then
//! [`Client::send_text`] for each [`Chunk`]: it needs no connection, and a transaction id makes it safe to repeat.
//! Rooms with end-to-end encryption cannot be read; whoever writes there is told so once.
//!
//! The protocol: <https://spec.matrix.org/v1.11/client-server-api/>

mod client;
mod errands;
mod event;
mod message;
mod outlet;
mod render;
mod rooms;
mod sync;

pub use client::{BadHomeserver, Client, Credentials, Identity};
pub use render::{Chunk, MAX_HTML, escape, render};
pub use sync::{InvitePolicy, Invited, by_access, run};
