//! The holder as a process: from its environment variables to its end.

use std::net::SocketAddr;

use anyhow::Context;
use runtime::Environment;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{Holder, health};

/// Where health and metrics are served, unless `LOWTIDE_HEALTH_LISTEN` says otherwise.
const LISTEN: &str = "0.0.0.0:8080";

/// Runs until SIGTERM; with the argument `--health`, only asks the holder of this machine whether it is healthy.
///
/// # Errors
///
/// A setting is missing, the port is taken, or the health check's answer is no.
pub fn main() -> anyhow::Result<()> {
    let listen = std::env::var("LOWTIDE_HEALTH_LISTEN").unwrap_or_else(|_| LISTEN.to_owned());
    let listen: SocketAddr = listen.parse().context("LOWTIDE_HEALTH_LISTEN is not an address like 0.0.0.0:8080")?;
    if std::env::args().nth(1).as_deref() == Some("--health") {
        return Ok(health::probe(SocketAddr::from(([127, 0, 0, 1], listen.port())))?);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(run(listen));
    // A look-up of a name that still waits for its answer would keep the process.
    runtime.shutdown_background();
    ended
}

async fn run(listen: SocketAddr) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let environment = Environment::from_lambda().await?;
    let holder = Holder::new(environment);
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    tracing::info!(address = %listener.local_addr()?, "Health and metrics are served.");
    let stop = CancellationToken::new();
    let server = axum::serve(listener, health::router(holder.clone())).into_future();
    let held = holder.run(stop.clone());
    tokio::pin!(held);
    tokio::select! {
        served = server => served.context("the health server ended")?,
        () = &mut held => {}
        _ = terminate.recv() => {
            stop.cancel();
            held.await;
        }
    }
    Ok(())
}
