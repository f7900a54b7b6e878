//! The delivery function: renders a reply in its channel's dialect, sends it, and records how far it came.
//!
//! What was sent is recorded after each part. So a reply is sent once, but for one gap: where a channel
//! has no idempotency key (Telegram), a crash between its answer and our record sends that part again.
//!
//! A reply that a session waits for, and no chat, becomes a message in that session (`parent`).

mod outlet;
mod parent;

pub use outlet::{Body, Chunk, Outlet, Part};

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use bytes::Bytes;
use channels::SendError;
use domain::{Channel, Link, LinkStatus, Media, Outbound, Task};
use futures::future::join_all;
use queues::{Queue, Record, RecordError, Retry};
use runtime::Environment;
use store::{Delivery, DeliveryStatus, SecretContext, StoreError};
use tokio::time::Instant;

/// A delivery that fails at this receive becomes a dead letter with its reason: SQS would move it there at
/// the next one, without.
const MAX_RECEIVES: u32 = 8;

/// A part is begun only if this much time is left: what one call may take, and a little to record it.
const TIME_FOR_A_PART: Duration = Duration::from_secs(25);
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// A rate limit up to this long is waited for; a longer one gives the task back to the queue.
const PATIENCE: Duration = Duration::from_secs(3);

/// Takes batches of `outbound.fifo`. Built once per process.
pub struct DeliveryHandler {
    environment: Environment,
    /// Where the replies of each channel leave.
    outlets: HashMap<Channel, Arc<dyn Outlet>>,
}

/// Why a reply was not sent.
enum Failure {
    /// Its link is gone, and with it everybody whom this could matter to.
    Pointless(String),
    /// The channel refuses the bot's token: nothing more is tried with it.
    Unauthorised(String),
    /// It will not be sent unless its owner does something, or ever.
    Dead(String),
    Later(Retry),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Later(error.into())
    }
}

impl DeliveryHandler {
    pub fn new(environment: Environment) -> DeliveryHandler {
        let base = &environment.settings.telegram_api_base;
        let telegram = channels::telegram::Client::new(environment.http.clone(), base).with_timeout(CALL_TIMEOUT);
        DeliveryHandler { environment, outlets: HashMap::new() }
            .with_outlet(Channel::Telegram, Arc::new(outlet::Telegram(telegram)))
    }

    /// The same handler, whose replies to `channel` leave by `outlet`.
    #[must_use]
    pub fn with_outlet(mut self, channel: Channel, outlet: Arc<dyn Outlet>) -> DeliveryHandler {
        self.outlets.insert(channel, outlet);
        self
    }

    /// Sends the replies of a batch. What cannot be sent by `deadline` is left to another invocation.
    pub async fn handle(&self, event: SqsEvent, deadline: Instant) -> SqsBatchResponse {
        let groups = queues::groups(event);
        let outcomes = join_all(groups.iter().map(|records| self.process_group(records, deadline))).await;
        self.environment.queues.report(Queue::Outbound, groups, outcomes).await
    }

    /// Sends one chat's replies, in order: one that must wait holds back those behind it.
    async fn process_group(&self, records: &[Record], deadline: Instant) -> Result<(), RecordError> {
        for (done, record) in records.iter().enumerate() {
            self.process_record(record, deadline).await.map_err(|retry| RecordError { done, retry })?;
        }
        Ok(())
    }

    async fn process_record(&self, record: &Record, deadline: Instant) -> Result<(), Retry> {
        let outbound = match Task::from_body(&record.body) {
            Ok(Task::Deliver(outbound)) => *outbound,
            Ok(_) => return self.bury_record(record, "this task does not belong in outbound.fifo").await,
            Err(error) => return self.bury_record(record, &error.to_string()).await,
        };
        let account = self.environment.store.account(outbound.account);
        let known = account.delivery_get(outbound.bot, &outbound.id).await?;
        let mut delivery = known.unwrap_or_else(|| Delivery::of(outbound));
        if delivery.status == DeliveryStatus::Delivered {
            tracing::debug!(outbound = %delivery.outbound.id, "A reply was delivered before.");
            return Ok(());
        }
        let failure = match self.deliver(&mut delivery, deadline).await {
            Ok(()) => {
                delivery.status = DeliveryStatus::Delivered;
                account.delivery_put(&delivery).await?;
                let waited = self.environment.clock.now().since(delivery.outbound.created_at);
                tracing::info!(outbound = %delivery.outbound.id, waited_ms = waited.as_millis(), "A reply was delivered.");
                return Ok(());
            }
            Err(Failure::Later(retry)) if record.receive_count >= MAX_RECEIVES => {
                Failure::Dead(format!("{:#}", retry.source))
            }
            Err(failure) => failure,
        };
        let reason = match failure {
            Failure::Later(retry) => return Err(retry),
            Failure::Pointless(reason) => {
                tracing::warn!(outbound = %delivery.outbound.id, bot = %delivery.outbound.bot, "A reply reaches nobody: {reason}");
                reason
            }
            Failure::Dead(reason) | Failure::Unauthorised(reason) => {
                tracing::error!(outbound = %delivery.outbound.id, bot = %delivery.outbound.bot, "A reply becomes a dead letter: {reason}");
                let task = Task::Deliver(Box::new(delivery.outbound.clone()));
                let id = format!("{}.{}", delivery.outbound.id, record.id);
                self.environment.queues.bury(&task, &id, &reason).await?;
                reason
            }
        };
        delivery.status = DeliveryStatus::Undeliverable { reason };
        Ok(account.delivery_put(&delivery).await?)
    }

    async fn deliver(&self, delivery: &mut Delivery, deadline: Instant) -> Result<(), Failure> {
        let outbound = delivery.outbound.clone();
        if let Some(parent) = &outbound.parent {
            return parent::tell(&self.environment, parent, &outbound).await;
        }
        let account = self.environment.store.account(outbound.account);
        let link = account.link_get(outbound.bot, outbound.link).await?;
        let Some(link) = link else { return Err(Failure::Pointless("its link was deleted".to_owned())) };
        match &link.status {
            LinkStatus::Active => {}
            LinkStatus::Paused => {
                return Err(Failure::Dead("its link is paused; resume it and replay this".to_owned()));
            }
            LinkStatus::Failed { reason } => {
                return Err(Failure::Dead(format!("its link does not work ({reason}); repair it and replay this")));
            }
        }
        let token = self.token(&link).await?;
        let Some(outlet) = self.outlets.get(&outbound.channel) else {
            let label = outbound.channel.label();
            return Err(Failure::Dead(format!(
                "this version of Lowtide sends nothing to {label}; update it and replay this"
            )));
        };
        let sent = self.send(&**outlet, &token, delivery, deadline).await;
        match sent {
            Ok(()) => Ok(()),
            Err(Failure::Unauthorised(reason)) => {
                self.mark_failed(link, &reason).await?;
                Err(Failure::Unauthorised(reason))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Sends what is left of a reply, part by part, and records each.
    async fn send(
        &self,
        outlet: &dyn Outlet,
        token: &str,
        delivery: &mut Delivery,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let Outbound { text, media, buttons, draft, .. } = delivery.outbound.clone();
        let chunks = if text.trim().is_empty() && !media.is_empty() { vec![] } else { outlet.chunks(&text) };
        let mut address = delivery.outbound.address.clone();
        for index in delivery.sent.len()..chunks.len() + media.len() {
            if Instant::now() + TIME_FOR_A_PART > deadline {
                let reason = "the function's time is over; the rest is sent by the next one";
                return Err(Failure::Later(Retry::exactly(Duration::ZERO, reason)));
            }
            if index > 0 {
                // Only the first part quotes what it answers.
                address.reply_to = None;
            }
            let body = match chunks.get(index) {
                Some(chunk) => Body::Text(chunk),
                None => {
                    let file = &media[index - chunks.len()];
                    Body::File(file, self.bytes_of(&delivery.outbound, file).await?)
                }
            };
            // Buttons stand below the end of the text.
            let buttons = if index + 1 == chunks.len() { buttons.as_slice() } else { &[] };
            let replaces = draft.as_deref().filter(|_| index == 0);
            let key = format!("{}.{index}", delivery.outbound.id);
            let part = Part { body, buttons, replaces, key: &key };
            let id = match outlet.send(token, &address, &part).await {
                Err(SendError::RateLimited { retry_after }) if retry_after <= PATIENCE => {
                    tokio::time::sleep(retry_after).await;
                    outlet.send(token, &address, &part).await
                }
                sent => sent,
            };
            delivery.sent.push(id.map_err(|error| failure_of(error, &delivery.outbound))?);
            if index + 1 < chunks.len() + media.len() {
                self.environment.store.account(delivery.outbound.account).delivery_put(delivery).await?;
            }
        }
        Ok(())
    }

    /// The bytes of a file that a reply carries.
    async fn bytes_of(&self, outbound: &Outbound, file: &Media) -> Result<Bytes, Failure> {
        let bytes = self.environment.store.account(outbound.account).media_get(outbound.bot, &file.id).await?;
        bytes.ok_or_else(|| Failure::Dead(format!("the file {} that it carries is not kept any more", file.id)))
    }

    async fn token(&self, link: &Link) -> Result<String, Failure> {
        let Some(sealed) = &link.token else { return Err(Failure::Dead("its link has no token".to_owned())) };
        let context = SecretContext::LinkToken { account: link.account, bot: link.bot, link: link.id };
        match self.environment.store.keyring().open(context, sealed).await {
            Ok(token) => Ok(token),
            Err(StoreError::Corrupt(reason)) => Err(Failure::Dead(reason)),
            Err(error) => Err(error.into()),
        }
    }

    /// Notes that the channel refuses the link's token, so that nothing more is tried with it.
    async fn mark_failed(&self, mut link: Link, reason: &str) -> Result<(), StoreError> {
        let seen = link.version;
        link.version += 1;
        link.updated_at = self.environment.clock.now();
        link.status = LinkStatus::Failed { reason: reason.to_owned() };
        match self.environment.store.account(link.account).link_update(seen, &link).await {
            // Whoever changed it meanwhile may have repaired it.
            Ok(()) | Err(StoreError::Conflict(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn bury_record(&self, record: &Record, reason: &str) -> Result<(), Retry> {
        tracing::error!(record = %record.id, "A record of outbound.fifo becomes a dead letter: {reason}");
        let queues = &self.environment.queues;
        Ok(queues.bury_record(Queue::Outbound, record, reason).await?)
    }
}

/// What an error of a channel means for the reply.
fn failure_of(error: SendError, outbound: &Outbound) -> Failure {
    match error {
        SendError::RateLimited { retry_after } => {
            let source = anyhow::anyhow!("{} allows no more messages to this chat for now", outbound.channel);
            Failure::Later(Retry::after(retry_after, source))
        }
        SendError::Temporary(detail) => Failure::Later(Retry::after(Duration::from_secs(5), anyhow::anyhow!(detail))),
        SendError::Unreachable(detail) => Failure::Dead(format!("nobody can be reached there: {detail}")),
        SendError::Unauthorised(detail) => {
            Failure::Unauthorised(format!("{} refuses the bot's token: {detail}", outbound.channel))
        }
        SendError::Rejected(detail) => Failure::Dead(format!("{} refuses the message: {detail}", outbound.channel)),
    }
}
