//! Replies that were committed and, it seems, never queued; turns that waited in vain.

use domain::{Outbound, Task, Timestamp};
use runtime::Environment;
use store::Approval;
use store::keys::OUTBOX_SHARDS;

/// How many rows of one shard a tick takes. The rest is taken by the next.
const BATCH: i32 = 100;

/// Wakes the turns that have waited long enough. Who is woken too early or twice does nothing.
pub async fn wake_turns(environment: &Environment) -> anyhow::Result<()> {
    let now = environment.clock.now();
    for approval in environment.store.wakes_due(now, BATCH).await? {
        if let Err(error) = wake(environment, &approval, now).await {
            tracing::error!(turn = %approval.wake.turn, "A turn was not woken: {error:#}");
        }
    }
    Ok(())
}

async fn wake(environment: &Environment, approval: &Approval, now: Timestamp) -> anyhow::Result<()> {
    environment.store.wake_put_off(approval, now).await?;
    let task = Task::Continue(approval.wake.clone());
    environment.queues.send_again(&task, &format!("wake-{now}")).await?;
    tracing::info!(turn = %approval.wake.turn, bot = %approval.wake.bot, "A turn that nobody answered was woken.");
    Ok(())
}

/// Queues overdue replies again and returns how many. A reply that was delivered meanwhile is not sent
/// twice: its record says so.
pub(crate) async fn sweep_outbox(environment: &Environment) -> anyhow::Result<usize> {
    let now = environment.clock.now();
    let mut swept = 0;
    for shard in 0..OUTBOX_SHARDS {
        for outbound in environment.store.outbox_overdue(shard, now, BATCH).await? {
            match send_again(environment, &outbound, now).await {
                Ok(()) => swept += 1,
                // One reply that cannot be queued must not hold back the others.
                Err(error) => tracing::error!(outbound = %outbound.id, "An overdue reply was not queued: {error:#}"),
            }
        }
    }
    Ok(swept)
}

async fn send_again(environment: &Environment, outbound: &Outbound, now: Timestamp) -> anyhow::Result<()> {
    // Put off first: one that SQS refuses is tried again a minute later, not before all others.
    environment.store.outbox_put_off(outbound, now).await?;
    let task = Task::Deliver(Box::new(outbound.clone()));
    environment.queues.send_again(&task, &format!("sweep-{now}")).await?;
    tracing::info!(outbound = %outbound.id, bot = %outbound.bot, "An overdue reply was queued again.");
    Ok(())
}
