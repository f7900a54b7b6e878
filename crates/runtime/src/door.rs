//! The door to the engine: how a message that was let in gets to its session.

use domain::turn::{ReplyTo, Stop};
use domain::{Bot, ChatKind, Control, Inbound, QueueMode, StoppedBy, Task};
use store::Heard;

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
        let inbound = self.decided_where_it_was_asked(bot, inbound).await?;
        if let Some(by) = self.stops(bot, &inbound).await? {
            let stop = Stop { message: inbound.message.clone(), at: inbound.received_at, by };
            let account = self.store.account(bot.account);
            account.session_stop(bot.id, &inbound.session, &stop, self.clock.now()).await?;
        }
        let heard = inbound.shows_place().then(|| heard(&inbound));
        let task = Task::Message(Box::new(inbound));
        let (sent, ()) = tokio::join!(self.queues.send(&task), async {
            if let Some(heard) = heard {
                Box::pin(self.note_heard(bot, &heard)).await;
            }
        });
        Ok(sent?)
    }

    /// An owner may decide in any chat what was asked in another one: the decision goes to the session that waits.
    async fn decided_where_it_was_asked(&self, bot: &Bot, inbound: Inbound) -> Result<Inbound, DoorError> {
        let Some(Control::Approve { code, .. }) = inbound.control.as_ref().filter(|_| inbound.is_owner) else {
            return Ok(inbound);
        };
        // It is a part of a key.
        if code.is_empty() || !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(inbound);
        }
        let asked = self.store.account(bot.account).approval_get(bot.id, code).await?;
        Ok(match asked {
            Some(asked) => Inbound { session: asked.wake.session, ..inbound },
            None => inbound,
        })
    }

    /// Notes when and where a person wrote, for lists of bots and for what goes where people wrote last, and the owner's chat.
    /// A message is not refused for it.
    async fn note_heard(&self, bot: &Bot, heard: &Heard) {
        if let Err(error) = self.store.account(bot.account).bot_heard(bot, heard, self.clock.now()).await {
            tracing::warn!(bot = %bot.id, "When a person last wrote is not up to date: {error}");
        }
    }

    /// Whether a message ends what is under way.
    async fn stops(&self, bot: &Bot, inbound: &Inbound) -> Result<Option<StoppedBy>, DoorError> {
        if let Some(control) = &inbound.control {
            return Ok(control.stops().then_some(StoppedBy::Person));
        }
        if !inbound.is_from_person() {
            return Ok(None);
        }
        let head = self.store.account(bot.account).session_head(bot.id, &inbound.session).await?;
        // With nothing in the log there is at most a turn that has not committed yet.
        let mode = head.and_then(|head| head.queue).unwrap_or(bot.queue).mode;
        Ok((mode == QueueMode::Interrupt).then_some(StoppedBy::Message))
    }
}

/// What is to be noted of a person's message.
fn heard(inbound: &Inbound) -> Heard {
    let Inbound { session, is_owner, address, channel, .. } = inbound;
    let is_owners_chat = *is_owner && address.kind == ChatKind::Direct && !channel.is_read_from_log();
    let owner_chat = is_owners_chat.then(|| ReplyTo::of(inbound).open());
    let session = Some(session.clone()).filter(|session| !session.is_of_program());
    Heard { session, is_owner: *is_owner, owner_chat }
}
