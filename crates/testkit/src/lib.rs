//! The outside world, played on loopback: what Lowtide calls, as stateful servers that enforce their protocols.
//!
//! [`cloud`] is the exception: AWS in memory, for simulations on a paused clock, in which no socket can take part.
//!
//! Only tests depend on this crate. The product is run as it is: signing, headers, retries and JSON are exercised,
//! and nothing in it knows that Telegram, a model or Lambda is a stand-in. A test that meets the unexpected should
//! fail there, so this crate panics where a library would return an error.

pub mod cloud;
pub mod discord;
pub mod discord_api;
pub mod exchange;
pub mod kms;
pub mod lambda;
pub mod matrix;
pub mod model;
pub mod slack;
pub mod stack;
pub mod telegram;
pub mod whatsapp;
pub mod wire;

mod loopback;
mod upgrade;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks what a server and a test share. A test that failed meanwhile is no reason to hide its cause.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
