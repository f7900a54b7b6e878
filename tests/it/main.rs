//! End-to-end tests: one binary, one module per promise.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets the unexpected should fail there")]

mod bad_input;
mod crash;
mod definition;
mod dev_process;
mod engine;
mod first_light;
mod functions;
mod host;
mod kill;
mod media;
mod mind;
mod outbox;
mod simulation;
mod telegram_peer;
mod tidy;
