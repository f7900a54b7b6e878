//! Tasks that many send at the same time, sent together.

use std::collections::HashSet;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use together::Together;

use crate::{Queue, QueueError, Queues, failed};

/// The most messages that SQS takes in one call, and the most bytes of them all, with room for what surrounds them.
const MOST: usize = 10;
const MOST_BYTES: usize = 200 * 1024;

/// How many calls are made at the same time.
const CALLS: usize = 8;

/// A task on its way.
pub(crate) struct Sent {
    pub(crate) queue: Queue,
    pub(crate) group: String,
    pub(crate) deduplication: String,
    pub(crate) body: String,
}

/// Sends tasks by the ten.
#[derive(Clone)]
pub(crate) struct SendsTogether(Together<Sent, Result<(), QueueError>>);

impl SendsTogether {
    pub(crate) fn start(queues: &Queues) -> SendsTogether {
        let queues = Queues { sends: None, ..queues.clone() };
        SendsTogether(Together::start(CALLS, MOST, move |sent: Vec<Sent>| {
            let queues = queues.clone();
            async move { queues.send_together(sent).await }
        }))
    }

    pub(crate) async fn send(&self, sent: Sent) -> Result<(), QueueError> {
        let ended = || QueueError { what: "queue a task", detail: "the process is about to end".to_owned() };
        self.0.ask(sent).await.unwrap_or_else(|| Err(ended()))
    }
}

impl Queues {
    /// Sends tasks of any queues, and tells of each whether SQS has it.
    async fn send_together(&self, sent: Vec<Sent>) -> Vec<Result<(), QueueError>> {
        let mut outcomes = Vec::with_capacity(sent.len());
        let mut rest = sent.into_iter().peekable();
        while let Some(first) = rest.next() {
            let (queue, mut bytes) = (first.queue, first.body.len());
            let mut batch = vec![first];
            while let Some(next) = rest.next_if(|it| it.queue == queue && bytes + it.body.len() <= MOST_BYTES) {
                bytes += next.body.len();
                batch.push(next);
            }
            outcomes.extend(self.send_batch(queue, batch).await);
        }
        outcomes
    }

    async fn send_batch(&self, queue: Queue, mut batch: Vec<Sent>) -> Vec<Result<(), QueueError>> {
        if batch.len() == 1 {
            return match batch.pop() {
                Some(only) => vec![self.send_one(only).await],
                None => vec![],
            };
        }
        let count = batch.len();
        match self.try_send_batch(queue, batch).await {
            Ok(refused) => (0..count).map(|at| if refused.contains(&at) { Err(busy()) } else { Ok(()) }).collect(),
            Err(QueueError { what, detail }) => {
                (0..count).map(|_| Err(QueueError { what, detail: detail.clone() })).collect()
            }
        }
    }

    /// Returns the places of what SQS did not take.
    async fn try_send_batch(&self, queue: Queue, batch: Vec<Sent>) -> Result<HashSet<usize>, QueueError> {
        let mut entries = Vec::with_capacity(batch.len());
        for (index, sent) in batch.into_iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(sent.body);
            let entry = match queue {
                Queue::Jobs => entry,
                _ => entry.message_group_id(sent.group).message_deduplication_id(sent.deduplication),
            };
            entries.push(entry.build().map_err(|e| failed("describe a task", &e))?);
        }
        let request = self.sqs.send_message_batch().queue_url(self.url(queue)).set_entries(Some(entries));
        let output = request.send().await.map_err(|e| failed("queue tasks", &e))?;
        Ok(output.failed().iter().filter_map(|entry| entry.id().parse().ok()).collect())
    }
}

fn busy() -> QueueError {
    QueueError { what: "queue a task", detail: "SQS did not take it".to_owned() }
}
