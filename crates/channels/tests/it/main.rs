//! The channels as their callers see them: updates in, messages out, calls against a server.

#![allow(clippy::unwrap_used, reason = "a test may panic, and so may the functions it calls")]

mod client;
mod dialects;
mod holder;
mod homeserver;
mod keeper;
mod ngircd;
mod polling;
mod rendering;
mod samples;
mod synapse;
mod updates;
