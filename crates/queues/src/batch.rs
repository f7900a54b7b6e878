//! Batches of which only a part fails: groups run side by side, the records of a group one after the other.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures::future::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::{Queue, Queues};

/// A batch that takes longer than this does not hold back the groups of it that are done.
const LONG_BATCH: Duration = Duration::from_secs(1);

/// The longest wait between two receives of a task.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

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

/// How long what was not done stays hidden before it is given out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// At least this long, and longer with each receive: something failed.
    Growing(Duration),
    /// As long as this: nothing failed, it is only not time yet.
    Exactly(Duration),
}

/// Something is to be tried again later.
#[derive(Debug)]
pub struct Retry {
    pub wait: Wait,
    pub source: anyhow::Error,
}

/// The shortest wait before a failed task is tried again.
const SOON: Duration = Duration::from_secs(3);

impl Retry {
    /// After what failed by no fault of the task.
    pub fn soon(source: impl Into<anyhow::Error>) -> Retry {
        Retry::after(SOON, source)
    }

    /// After at least `wait`.
    pub fn after(wait: Duration, source: impl Into<anyhow::Error>) -> Retry {
        Retry { wait: Wait::Growing(wait), source: source.into() }
    }

    /// After `wait`; nothing failed.
    pub fn exactly(wait: Duration, reason: &'static str) -> Retry {
        Retry { wait: Wait::Exactly(wait), source: anyhow::anyhow!(reason) }
    }

    /// Whether something failed: it is not only that the time has not come yet.
    pub fn is_failure(&self) -> bool {
        matches!(self.wait, Wait::Growing(_))
    }

    /// The same after an attempt whose number is known better than by how often the task was received.
    #[must_use]
    pub fn after_attempt(self, attempt: u32) -> Retry {
        Retry { wait: Wait::Exactly(hidden_for(self.wait, attempt)), source: self.source }
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Retry {
    fn from(error: E) -> Retry {
        Retry::soon(error)
    }
}

/// Why some records of a group were not done.
#[derive(Debug)]
pub struct RecordError {
    /// How many records at the beginning of the group were done all the same.
    pub done: usize,
    /// When to try the rest again.
    pub retry: Retry,
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
    /// Works on the groups of a batch side by side and tells SQS, by way of the function's response, which records were not
    /// done, and only those. They are received again after the delay that their group's error names.
    ///
    /// `work` is what is to be done for each of `groups`, in their order. Who is done does not wait for the others: a group whose
    /// work failed is given back at once, and the records of one that is done are deleted when the batch takes longer than
    /// a second, so that what was written to it meanwhile can be received. A panic is a failure of its group alone.
    pub async fn work<F>(
        &self,
        queue: Queue,
        groups: &[Vec<Record>],
        work: impl IntoIterator<Item = F>,
    ) -> SqsBatchResponse
    where
        F: Future<Output = Result<(), RecordError>>,
    {
        let long = Instant::now() + LONG_BATCH;
        let at_work = watch::Sender::new(groups.len());
        let attempt = async |group: usize, work: F| {
            let outcome = AssertUnwindSafe(work).catch_unwind().await;
            at_work.send_modify(|left| *left = left.saturating_sub(1));
            let Err(error) = outcome.unwrap_or_else(|panic| Err(panicked(&*panic))) else {
                let all = async { at_work.subscribe().wait_for(|left| *left == 0).await.map(drop) };
                if timeout_at(long, all).await.is_err() {
                    self.delete_done(queue, &groups[group]).await;
                }
                return vec![];
            };
            self.give_back(queue, &groups[group], error).await
        };
        let running: FuturesUnordered<_> = work.into_iter().enumerate().map(|(n, work)| attempt(n, work)).collect();
        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = running.concat().await;
        response
    }

    /// Gives the records of a group back that were not done.
    async fn give_back(&self, queue: Queue, records: &[Record], error: RecordError) -> Vec<BatchItemFailure> {
        let Retry { wait, source } = error.retry;
        tracing::warn!(
            queue = queue.as_str(),
            group = %records[0].group,
            receive_count = records[0].receive_count,
            ?wait,
            "Tasks will be tried again: {source:#}"
        );
        let (done, open) = records.split_at(error.done.min(records.len()));
        // A group gives nothing out while one of its records is in flight.
        self.delete_done(queue, done).await;
        // All for as long as the first: they keep their order.
        let after = hidden_for(wait, open.first().map_or(1, |record| record.receive_count));
        for record in open {
            // If this fails the queue's own visibility timeout brings the record back, only later.
            if let Err(error) = self.release(queue, &record.receipt, after).await {
                tracing::debug!(record = %record.id, "A failed task keeps the queue's visibility timeout: {error}");
            }
        }
        open.iter().map(failure).collect()
    }

    /// Deletes the records of a group that is done. What is not deleted here is deleted at the end of the batch.
    async fn delete_done(&self, queue: Queue, records: &[Record]) {
        for record in records {
            if let Err(error) = self.delete(queue, &record.receipt).await {
                tracing::debug!(record = %record.id, "A task that is done is not deleted early: {error}");
            }
        }
    }
}

/// The work of a group ended in a panic.
fn panicked(panic: &(dyn Any + Send)) -> RecordError {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text =
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "of an unknown kind".to_owned());
    RecordError { done: 0, retry: Retry::soon(anyhow::anyhow!("a panic, which is a mistake in this program: {text}")) }
}

/// 3 s, 9 s, 27 s, … up to a quarter of an hour.
fn hidden_for(wait: Wait, receive_count: u32) -> Duration {
    match wait {
        Wait::Exactly(wait) => wait,
        Wait::Growing(at_least) => {
            let grown = Duration::from_secs(3_u64.saturating_pow(receive_count.clamp(1, 8)));
            at_least.max(grown).min(LONGEST_WAIT)
        }
    }
}

fn failure(record: &Record) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier.clone_from(&record.id);
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_with_each_receive_and_never_pass_a_quarter_of_an_hour() {
        let wait = Wait::Growing(Duration::from_secs(5));
        let waits: Vec<u64> = (1..=9).map(|count| hidden_for(wait, count).as_secs()).collect();
        assert_eq!(waits, [5, 9, 27, 81, 243, 729, 900, 900, 900]);
        assert_eq!(hidden_for(Wait::Exactly(Duration::ZERO), 5), Duration::ZERO);
    }
}
