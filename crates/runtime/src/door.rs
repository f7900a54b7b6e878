//! The door to the engine: how a message that was let in gets to its session.

use domain::turn::Stop;
use domain::{Bot, Inbound, QueueMode, StoppedBy, Task};

use crate::Environment;

/// A message was not taken. The channel, or whoever sent it, should send it again.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    #[error(transparent)]
    Store(#[from] store::StoreError),
    #[error(transparent)]
    Queue(#[from] queues::QueueError),
}

impl Environment {
    /// Queues a message for its session. What must not wait behind a running turn (`/stop`, `/new`, and a person's
    /// message in the queue mode `interrupt`) is noted in the session's head first, so that the turn ends within its step.
    ///
    /// Doing it again with the same message changes nothing.
    pub async fn take_in(&self, bot: &Bot, inbound: Inbound) -> Result<(), DoorError> {
        if let Some(by) = self.stops(bot, &inbound).await? {
            let stop = Stop { message: inbound.message.clone(), at: inbound.received_at, by };
            let account = self.store.account(bot.account);
            account.session_stop(bot.id, &inbound.session, &stop, self.clock.now()).await?;
        }
        self.queues.send(&Task::Message(Box::new(inbound))).await?;
        Ok(())
    }

    /// Whether a message ends what is under way.
    async fn stops(&self, bot: &Bot, inbound: &Inbound) -> Result<Option<StoppedBy>, DoorError> {
        if let Some(control) = &inbound.control {
            return Ok(control.stops().then_some(StoppedBy::Person));
        }
        if inbound.is_from_session() {
            return Ok(None);
        }
        let head = self.store.account(bot.account).session_head(bot.id, &inbound.session).await?;
        // With nothing in the log there is at most a turn that has not committed yet.
        let mode = head.and_then(|head| head.queue).unwrap_or(bot.queue).mode;
        Ok((mode == QueueMode::Interrupt).then_some(StoppedBy::Message))
    }
}
