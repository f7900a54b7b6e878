//! The real binary against a small server that answers as the API does.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected should fail there")]

mod abilities;
mod chat;
mod commands;
mod fake_api;
