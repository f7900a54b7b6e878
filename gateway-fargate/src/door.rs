//! What was read on a connection goes through the same door as what comes by webhook.

use channels::Received;
use intake::Outcome;
use runtime::Environment;
use store::HeldLink;

/// Lets messages in, in their order, or drops them as the link's access rules say. Doing it again changes nothing.
pub(crate) async fn take_in(environment: &Environment, held: &HeldLink, received: &[Received]) -> anyhow::Result<()> {
    let account = environment.store.account(held.account);
    let (link, bot) = tokio::try_join!(account.link_get(held.bot, held.id), account.bot_get(held.bot))?;
    let (Some(link), Some(bot)) = (link, bot) else {
        tracing::info!(link = %held.id, "A message starts no turn: its link or bot was deleted.");
        return Ok(());
    };
    for received in received {
        let outcome = intake::admit(environment, &bot, &link, received.clone()).await?;
        if let Outcome::Answered(reason) | Outcome::Dropped(reason) = outcome {
            tracing::info!(link = %link.id, "A message starts no turn: {reason}");
        }
    }
    Ok(())
}
