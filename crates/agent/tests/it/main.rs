//! The agent over real sockets: a scripted model that checks the protocol, and pages to fetch.

mod demo;
mod failover;
mod fetch;
mod looking;
mod model;
mod protocols;
mod scripted_model;
mod session;
