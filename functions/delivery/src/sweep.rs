//! The sweep of the outbox: replies that were committed and then, it seems, never queued.

use domain::Task;
use runtime::Environment;
use store::keys::OUTBOX_SHARDS;

/// How many overdue replies of one shard a sweep takes.
const BATCH: i32 = 100;

/// Queues overdue replies again and returns how many. A reply that was delivered meanwhile is not sent
/// twice: its record says so.
pub async fn sweep_outbox(environment: &Environment) -> anyhow::Result<usize> {
    let now = environment.clock.now();
    let mut swept = 0;
    for shard in 0..OUTBOX_SHARDS {
        for outbound in environment.store.outbox_overdue(shard, now, BATCH).await? {
            let task = Task::Deliver(Box::new(outbound.clone()));
            environment.queues.send_again(&task, &format!("sweep-{now}")).await?;
            environment.store.outbox_put_off(&outbound, now).await?;
            tracing::warn!(outbound = %outbound.id, bot = %outbound.bot, "An overdue reply was queued again.");
            swept += 1;
        }
    }
    Ok(swept)
}
