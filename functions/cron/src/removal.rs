//! Bots that were deleted, and whose time is over.

use std::time::Duration;

use domain::{Bot, BotStatus};
use runtime::Environment;

/// How many bots a tick looks at. The rest is removed by the next.
const BATCH: i32 = 10;

/// How long after its time a bot is removed: whoever restores it in the last moment has another clock.
const MARGIN: Duration = Duration::from_secs(60);

/// Removes each bot with all that it has. What is cut short is gone on with by the next tick.
pub(crate) async fn remove_deleted(environment: &Environment) -> anyhow::Result<()> {
    let now = environment.clock.now();
    let mut failed = None;
    for due in environment.store.bots_to_remove(now, BATCH).await? {
        // One that cannot be removed must not hold back the others.
        if let Err(error) = remove(environment, &due).await {
            tracing::error!(bot = %due.id, "A deleted bot was not removed; the next tick goes on: {error:#}");
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn remove(environment: &Environment, due: &Bot) -> anyhow::Result<()> {
    let account = environment.store.account(due.account);
    // The index may lag behind: it may have been restored.
    let Some(bot) = account.bot_get(due.id).await? else { return Ok(()) };
    let is_over = bot.delete_at().is_some_and(|at| at + MARGIN <= environment.clock.now());
    if bot.status == BotStatus::Deleted && is_over {
        account.bot_delete(&bot).await?;
        tracing::info!(account = %bot.account, bot = %bot.id, "A deleted bot was removed.");
    }
    Ok(())
}
