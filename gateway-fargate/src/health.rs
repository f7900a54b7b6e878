//! Health, readiness and metrics over HTTP.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::Holder;

/// How long [`probe`] waits.
const PROBE_WITHIN: Duration = Duration::from_secs(3);

/// `/healthz`: the process works on its links, or could not for less than two minutes. `/readyz`: it does, and the other holders
/// know of it. `/metrics`: for Prometheus.
pub fn router(holder: Holder) -> Router {
    Router::new()
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(holder)
}

async fn healthy(State(holder): State<Holder>) -> impl IntoResponse {
    if holder.is_healthy() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the table of leases has not been written for two minutes\n")
    }
}

async fn ready(State(holder): State<Holder>) -> impl IntoResponse {
    if holder.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the table of leases cannot be written\n")
    }
}

async fn metrics(State(holder): State<Holder>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], holder.metrics().render(holder.now()))
}

/// Asks the holder at `address` whether it is healthy, without an HTTP client: a container without a shell checks itself.
///
/// # Errors
///
/// Nobody answers, or not with 200.
pub fn probe(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, PROBE_WITHIN)?;
    stream.set_read_timeout(Some(PROBE_WITHIN))?;
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    match answer.get(..12) {
        Some(b"HTTP/1.0 200" | b"HTTP/1.1 200") => Ok(()),
        _ => Err(io::Error::other("the holder does not say that it is healthy")),
    }
}
