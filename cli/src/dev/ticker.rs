//! Stands in for the rule that wakes the cron function, and keeps the list of dead letters new.

use std::time::Duration;

use runtime::Environment;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(30);

/// Ticks until it is told to stop.
pub(super) async fn tick(environment: Environment, stop: CancellationToken) -> anyhow::Result<()> {
    let mut interval = tokio::time::interval(EVERY);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    if let Err(error) = cron::send_again(&environment).await {
        tracing::warn!("Runs that were claimed before this start are sent by a later tick: {error:#}");
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = interval.tick() => {}
        }
        if let Err(error) = cron::tick(&environment).await {
            tracing::warn!("What is due was not done, the next tick does it: {error:#}");
        }
        if let Err(error) = api::drain_dead_letters(&environment).await {
            tracing::warn!("The dead letters were not read, the next tick tries again: {error:#}");
        }
    }
}
