//! What leaves a session: replies, questions to its owner, and the messages of turns that failed.

use domain::turn::{self, ActiveTurn, ReplyTo};
use domain::{Entry, EntryBody, Inbound, Outbound, OutboundId, SessionKey, Task, TurnId};
use queues::Retry;
use store::{DeliveryStatus, Notice, StoreError};

use super::{Interruption, Worker};

impl Worker<'_> {
    /// Tells the owner of a question that is asked where they may not see it. To tell them again changes nothing.
    pub(super) async fn tell_owner(&self, Asked { turn, code, text: question }: Asked<'_>) -> Result<(), StoreError> {
        let bot = &self.context.bot;
        let text = format!(
            "{} waits for an approval in the session {}. `lowtide approvals allow {code}` or `deny {code}` decides it.\n\n{question}",
            bot.name, self.session
        );
        let at = self.environment.clock.now();
        let notice = Notice { about: format!("approval.{code}"), bot: Some(bot.id), text, at };
        let account = self.environment.store.account(bot.account);
        account.notice_put(&notice).await?;
        // The bot at hand may be older than what its owner wrote.
        let chat = account.bot_get(bot.id).await?.and_then(|bot| bot.heard_in.owner_chat);
        let Some(chat) = chat else { return Ok(()) };
        let link = account.link_get(bot.id, chat.link).await?;
        if !link.is_some_and(|link| link.is_active()) {
            return Ok(());
        }
        let said = format!("In the session {}:\n\n{question}", self.session);
        let asked = chat.outbound(OutboundId::question_elsewhere(turn, code), said, at);
        if let Some(asked) = asked.map(|asked| Outbound { buttons: turn::approval_buttons(code), ..asked })
            // The row first: what is written and not queued is found by the sweep.
            && account.outbox_put(&asked).await?
            && let Err(error) = self.queue(&[asked]).await
        {
            tracing::warn!(bot = %bot.id, %turn, "The owner is asked a minute late: {:#}", error.source);
        }
        Ok(())
    }

    pub(super) async fn queue(&self, outbox: &[Outbound]) -> Result<(), Retry> {
        let tasks: Vec<Task> = outbox.iter().map(|outbound| Task::Deliver(Box::new(outbound.clone()))).collect();
        Ok(self.environment.queues.send_all(&tasks).await?)
    }

    /// A turn that a task was to go on with has ended meanwhile: perhaps in a worker that died before it queued the reply.
    pub(super) async fn resend_of_continued(&mut self) -> Result<(), Interruption> {
        let under_way = self.head.turn.as_ref().map(|turn| turn.id);
        for turn in std::mem::take(&mut self.continued) {
            if self.is_repeated && under_way != Some(turn) {
                self.resend(turn).await?;
            }
        }
        Ok(())
    }

    /// Queues a committed reply again, unless it was delivered.
    pub(super) async fn resend(&self, turn: TurnId) -> Result<(), Retry> {
        let bot = &self.context.bot;
        let account = self.environment.store.account(bot.account);
        let first = domain::turn::first_message(&self.entries, turn);
        match account.delivery_of_turn(bot.id, &self.session, turn, first).await? {
            Some(delivery) if delivery.status == DeliveryStatus::Pending => self.queue(&[delivery.outbound]).await,
            _ => Ok(()),
        }
    }

    /// Puts the messages of a turn that failed for good into the dead-letter queue, so that its owner
    /// can see them and have them asked again.
    pub(super) async fn bury(&self, turn: TurnId) -> Result<(), Retry> {
        let reason = self.entries.iter().rev().find_map(|entry| match &entry.body {
            EntryBody::Failed { detail, .. } if entry.turn == turn => Some(detail.as_str()),
            _ => None,
        });
        let Some(active) = &self.turn else { return Ok(()) };
        for entry in self.entries.iter().filter(|entry| entry.turn == turn) {
            let EntryBody::User(user) = &entry.body else { continue };
            if user.is_command {
                continue;
            }
            let task = Task::Message(Box::new(inbound_of(&active.reply, &self.session, user)));
            let id = format!("{turn}.{}", user.message);
            self.environment.queues.bury(&task, &id, reason.unwrap_or("unknown")).await?;
            tracing::error!(
                bot = %self.context.bot.id,
                %turn,
                message = %user.message,
                "The turn failed and its message is a dead letter: {}",
                reason.unwrap_or("unknown")
            );
        }
        Ok(())
    }
}

/// A question to the owner that a turn waits with.
pub(super) struct Asked<'a> {
    turn: TurnId,
    code: &'a str,
    text: &'a str,
}

impl<'a> Asked<'a> {
    /// What `turn` has asked in the absence of its owner, if that is among `entries`.
    pub(super) fn among(entries: &'a [Entry], turn: Option<&ActiveTurn>) -> Option<Asked<'a>> {
        let turn = turn.filter(|turn| !turn.is_owners || turn.reply.parent.is_some())?;
        let waiting = turn.waiting.as_ref()?;
        entries.iter().rev().find_map(|entry| match &entry.body {
            EntryBody::Asked { code, text, .. } if *code == waiting.code => Some(Asked { turn: turn.id, code, text }),
            _ => None,
        })
    }
}

/// The message as it is asked again: from what the log keeps of it, and where its turn's answer goes.
fn inbound_of(reply: &ReplyTo, session: &SessionKey, user: &domain::UserMessage) -> Inbound {
    Inbound {
        is_owner: false,
        account: reply.account,
        bot: reply.bot,
        link: reply.link,
        channel: user.channel,
        message: user.message.asked_again(),
        session: session.clone(),
        address: reply.address.clone(),
        sender: user.sender.clone(),
        text: user.text.clone(),
        control: None,
        parent: reply.parent.clone(),
        job: None,
        hops: reply.hops,
        attachments: user.attachments.clone(),
        quote: user.quote.clone(),
        album: None,
        sent_at: user.sent_at,
        received_at: user.sent_at,
    }
}
