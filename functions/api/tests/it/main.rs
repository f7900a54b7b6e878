//! The API as its callers see it: every test sends requests to the router, over the embedded services.

#![allow(clippy::unwrap_used, reason = "the helpers of tests fail the test, as tests themselves do")]

mod abilities;
mod account;
mod approvals;
mod bots;
mod budgets;
mod channels;
mod chat;
mod clones;
mod dashboard;
mod dead_letters;
mod errors;
mod files;
mod harness;
mod life;
mod link_checks;
mod links;
mod models;
mod openai;
mod openapi;
mod prompt;
mod schedules;
mod sign_in;
mod turns;
mod usage;
