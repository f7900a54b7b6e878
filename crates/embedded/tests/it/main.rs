//! The three services through the AWS SDK, as callers see them.

// A test says what went wrong best by failing where it did.
#![allow(clippy::unwrap_used)]

mod crash;
mod dynamodb;
mod lifecycle;
mod s3;
mod services;
mod sqs_fifo;
mod sqs_standard;
mod throughput;
