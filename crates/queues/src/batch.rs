//! Batches of which only a part fails: groups run side by side, the records of a group one after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Queue, Queues};
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};

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

/// A batch's records by message group, in order within each: what may be worked on side by side.
pub fn groups(event: SqsEvent) -> Vec<Vec<Record>> {
    let mut groups: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for message in event.records {
        let record = Record::from(message);
        groups.entry(record.group.clone()).or_default().push(record);
    }
    groups.into_values().collect()
}

impl Queues {
    /// Tells SQS, by way of the function's response, which records were not done, and only those. They
    /// are received again after the delay that their group's error names.
    pub async fn report(
        &self,
        queue: Queue,
        groups: Vec<Vec<Record>>,
        outcomes: Vec<Result<(), RecordError>>,
    ) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        for (records, outcome) in groups.into_iter().zip(outcomes) {
            let Err(error) = outcome else { continue };
            tracing::warn!(
                queue = queue.as_str(),
                group = %records[0].group,
                receive_count = records[0].receive_count,
                retry_after_s = error.retry_after.as_secs(),
                "Tasks will be tried again: {:#}",
                error.source
            );
            for record in records.into_iter().skip(error.done) {
                // If this fails the queue's own visibility timeout brings the record back, only later.
                if let Err(error) = self.release(queue, &record.receipt, error.retry_after).await {
                    tracing::debug!(record = %record.id, "A failed task keeps the queue's visibility timeout: {error}");
                }
                response.batch_item_failures.push(failure(record));
            }
        }
        response
    }
}

fn failure(record: Record) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = record.id;
    failure
}
