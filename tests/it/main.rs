//! End-to-end tests: one binary, one module per promise.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets the unexpected should fail there")]

mod api_world;
mod approvals;
mod bad_input;
mod crash;
mod cut_short;
mod definition;
mod dev_process;
mod documents;
mod engine;
mod events;
mod first_light;
mod functions;
mod holder;
mod host;
mod idempotency;
mod kill;
mod life;
mod media;
mod mind;
mod openai;
mod outbox;
mod pages;
mod people;
mod rates;
mod reminders;
mod schedules;
mod schedules_cli;
mod schemathesis;
mod simulation;
mod telegram_peer;
mod tenancy;
mod tidy;
mod webhooks;
