//! Stands in for Lambda's poller: receives batches, hands them to a handler, deletes what was done.

use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use queues::{Queue, Queues, Received};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const BATCH: i32 = 10;
const LONG_POLL: Duration = Duration::from_secs(20);

/// Polls until it is told to stop; then the batch in hand is ended.
pub(super) async fn poll<F, Fut>(queues: Queues, queue: Queue, stop: CancellationToken, work: F) -> anyhow::Result<()>
where
    F: Fn(SqsEvent, Instant) -> Fut,
    Fut: Future<Output = SqsBatchResponse>,
{
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            received = queues.receive(queue, BATCH, LONG_POLL) => received,
        };
        match received {
            Ok(batch) if batch.is_empty() => {}
            Ok(batch) => work_on(&queues, queue, batch, &work).await,
            Err(error) => {
                tracing::warn!("{error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn work_on<F, Fut>(queues: &Queues, queue: Queue, batch: Vec<Received>, work: &F)
where
    F: Fn(SqsEvent, Instant) -> Fut,
    Fut: Future<Output = SqsBatchResponse>,
{
    let mut event = SqsEvent::default();
    event.records = batch.iter().map(record).collect();
    let response = work(event, Instant::now() + queue.time_for_a_batch()).await;
    for message in &batch {
        if response.batch_item_failures.iter().any(|failure| failure.item_identifier == message.id) {
            continue;
        }
        // A task that is not deleted comes again, and its handler sees that it was done.
        if let Err(error) = queues.delete(queue, &message.receipt).await {
            tracing::warn!("{error}");
        }
    }
}

fn record(message: &Received) -> SqsMessage {
    let mut record = SqsMessage::default();
    record.message_id = Some(message.id.clone());
    record.receipt_handle = Some(message.receipt.clone());
    record.body = Some(message.body.clone());
    record.attributes.insert("MessageGroupId".to_owned(), message.group.clone());
    record.attributes.insert("ApproximateReceiveCount".to_owned(), message.receive_count.to_string());
    record
}
