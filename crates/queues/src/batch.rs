//! Batches of which only a part fails: groups run side by side, the records of a group one after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures::StreamExt;

use crate::{Queue, Queues};

/// How many groups of a batch are worked on at once. A batch has ten records at most.
const GROUPS_AT_ONCE: usize = 10;

/// One record of a batch.
#[derive(Clone, Debug)]
pub struct Record {
    /// SQS's id of the message: what a failed record is reported by.
    pub id: String,
    pub body: String,
    pub receipt: String,
    pub group: String,
    /// How often it was received so far, this time included.
    pub receive_count: u32,
}

impl From<SqsMessage> for Record {
    fn from(message: SqsMessage) -> Record {
        let attribute = |name: &str| message.attributes.get(name).cloned();
        Record {
            group: attribute("MessageGroupId").unwrap_or_default(),
            receive_count: attribute("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1),
            id: message.message_id.unwrap_or_default(),
            body: message.body.unwrap_or_default(),
            receipt: message.receipt_handle.unwrap_or_default(),
        }
    }
}

/// Why some records of a group were not done.
#[derive(Debug)]
pub struct RecordError {
    /// How many records at the beginning of the group were done all the same.
    pub done: usize,
    /// When to try the rest again.
    pub retry_after: Duration,
    pub source: anyhow::Error,
}

/// Hands each group's records, in order, to `work`, and reports those that were not done, and only
/// those. They are received again after the delay that the error names.
pub async fn handle_batch<F>(queues: &Queues, queue: Queue, event: SqsEvent, work: F) -> SqsBatchResponse
where
    F: AsyncFn(&[Record]) -> Result<(), RecordError>,
{
    let mut groups: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for message in event.records {
        let record = Record::from(message);
        groups.entry(record.group.clone()).or_default().push(record);
    }
    let work = &work;
    let runs = groups.into_values().map(|records| async move {
        let Err(error) = work(&records).await else { return vec![] };
        tracing::warn!(
            queue = queue.as_str(),
            group = %records[0].group,
            receive_count = records[0].receive_count,
            retry_after_s = error.retry_after.as_secs(),
            "Tasks will be tried again: {:#}",
            error.source
        );
        let failed = records.into_iter().skip(error.done).collect::<Vec<_>>();
        for record in &failed {
            // If this fails the queue's own visibility timeout brings the record back, only later.
            if let Err(error) = queues.release(queue, &record.receipt, error.retry_after).await {
                tracing::debug!(record = %record.id, "A failed task keeps the queue's visibility timeout: {error}");
            }
        }
        failed
    });
    let failed: Vec<Vec<Record>> = futures::stream::iter(runs).buffer_unordered(GROUPS_AT_ONCE).collect().await;
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed.into_iter().flatten().map(failure).collect();
    response
}

fn failure(record: Record) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = record.id;
    failure
}
