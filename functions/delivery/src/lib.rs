//! The delivery function: renders a reply in its channel's dialect, sends it, and records how far it came.
//!
//! What was sent is recorded after each part ([`Courier`]). So a reply is sent once, but for one gap: where a channel
//! has no idempotency key (Telegram), a crash between its answer and our record sends that part again.
//!
//! A reply that a session waits for, and no chat, becomes a message in that session (`parent`). One that only the link's
//! connection can carry is left for the holder, which has a courier of its own.

mod courier;
mod outlet;
mod parent;

pub use courier::{Attempt, Courier, Done};
pub use outlet::{Body, Chunk, Login, Outlet, Part};

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use domain::{Channel, Task};
use queues::{Queue, Record, RecordError, Retry};
use runtime::Environment;
use tokio::time::Instant;

/// A delivery that fails at this receive becomes a dead letter with its reason: SQS would move it there at
/// the next one, without.
const MAX_RECEIVES: u32 = 8;

const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Takes batches of `outbound.fifo`. Built once per process.
pub struct DeliveryHandler {
    environment: Environment,
    courier: Courier,
}

impl DeliveryHandler {
    pub fn new(environment: Environment) -> DeliveryHandler {
        let (http, settings) = (environment.http.clone(), environment.settings.clone());
        let telegram = channels::telegram::Client::new(http.clone(), &settings.telegram_api_base);
        let slack = channels::slack::Client::new(http.clone(), &settings.slack_api_base);
        let discord = channels::discord::Client::new(http.clone(), &settings.discord_api_base);
        let whatsapp = channels::whatsapp::Client::new(http, &settings.whatsapp_api_base);
        let matrix = outlet::Matrix::new(&environment);
        let webhook = outlet::Webhook::new(&environment);
        let courier = Courier::new(environment.clone())
            .with_outlet(Channel::Telegram, Arc::new(outlet::Telegram(telegram.with_timeout(CALL_TIMEOUT))))
            .with_outlet(Channel::Slack, Arc::new(outlet::Slack(slack.with_timeout(CALL_TIMEOUT))))
            .with_outlet(Channel::Discord, Arc::new(outlet::Discord(discord.with_timeout(CALL_TIMEOUT))))
            .with_outlet(Channel::Matrix, Arc::new(matrix))
            .with_outlet(Channel::WhatsApp, Arc::new(outlet::WhatsApp(whatsapp.with_timeout(CALL_TIMEOUT))))
            .with_outlet(Channel::Webhook, Arc::new(webhook));
        DeliveryHandler { environment, courier }
    }

    /// The same handler, whose replies to `channel` leave by `outlet`.
    #[must_use]
    pub fn with_outlet(mut self, channel: Channel, outlet: Arc<dyn Outlet>) -> DeliveryHandler {
        self.courier = self.courier.with_outlet(channel, outlet);
        self
    }

    /// Sends the replies of a batch. What cannot be sent by `deadline` is left to another invocation.
    pub async fn handle(&self, event: SqsEvent, deadline: Instant) -> SqsBatchResponse {
        let groups = queues::groups(event);
        let work = groups.iter().map(|records| self.process_group(records, deadline));
        self.environment.queues.work(Queue::Outbound, &groups, work).await
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
        let attempt = Attempt { id: &record.id, is_last: record.receive_count >= MAX_RECEIVES };
        self.courier.deliver(outbound, attempt, deadline).await?;
        Ok(())
    }

    async fn bury_record(&self, record: &Record, reason: &str) -> Result<(), Retry> {
        tracing::error!(record = %record.id, "A record of outbound.fifo becomes a dead letter: {reason}");
        let queues = &self.environment.queues;
        Ok(queues.bury_record(Queue::Outbound, record, reason).await?)
    }
}
