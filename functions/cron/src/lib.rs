//! The cron function: what is due each minute.

use domain::Task;
use runtime::Environment;
use store::keys::OUTBOX_SHARDS;

/// How many overdue replies of one shard a tick takes. The rest is taken by the next.
const BATCH: i32 = 100;

/// Does what is due. When nothing is, this costs one read per shard of the outbox.
pub async fn tick(environment: &Environment) -> anyhow::Result<()> {
    let swept = sweep_outbox(environment).await?;
    if swept > 0 {
        tracing::warn!(swept, "Overdue replies were queued again.");
    }
    Ok(())
}

/// Queues overdue replies again and returns how many. A reply that was delivered meanwhile is not sent
/// twice: its record says so.
async fn sweep_outbox(environment: &Environment) -> anyhow::Result<usize> {
    let now = environment.clock.now();
    let mut swept = 0;
    for shard in 0..OUTBOX_SHARDS {
        for outbound in environment.store.outbox_overdue(shard, now, BATCH).await? {
            let task = Task::Deliver(Box::new(outbound.clone()));
            environment.queues.send_again(&task, &format!("sweep-{now}")).await?;
            environment.store.outbox_put_off(&outbound, now).await?;
            tracing::info!(outbound = %outbound.id, bot = %outbound.bot, "An overdue reply was queued again.");
            swept += 1;
        }
    }
    Ok(swept)
}
