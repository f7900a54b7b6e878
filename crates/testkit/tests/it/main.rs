//! The stand-ins, seen by who calls them: what is right is taken, what is wrong is refused and remembered.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected should fail there")]

mod cloud;
mod kms;
mod lambda;
mod model;
mod telegram;
