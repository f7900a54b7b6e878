//! Stands in for scheduled rules: the sweep of the outbox, and the reading of dead letters.

use std::time::Duration;

use runtime::Environment;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(30);

/// Ticks until it is told to stop.
pub(super) async fn tick(environment: Environment, stop: CancellationToken) -> anyhow::Result<()> {
    let mut interval = tokio::time::interval(EVERY);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = interval.tick() => {}
        }
        if let Err(error) = delivery::sweep_outbox(&environment).await {
            tracing::warn!("The outbox was not swept, the next tick tries again: {error:#}");
        }
        if let Err(error) = api::drain_dead_letters(&environment).await {
            tracing::warn!("The dead letters were not read, the next tick tries again: {error:#}");
        }
    }
}
