//! The queues: the task enum's way in and out of SQS, and batches of which only a part fails.

mod batch;
pub mod definition;
mod sends;

pub use batch::{Record, RecordError, Retry, Wait, groups};

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};
use domain::Task;

use crate::sends::{SendsTogether, Sent};

/// Which queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Messages and continuations, in the order of their session.
    Turns,
    /// Replies and notices, in the order of their chat.
    Outbound,
    /// Runs of jobs that begin, in no order. What is lost of it is sent again while its job waits for its end, so it has
    /// no dead letters.
    Jobs,
    TurnsDeadLetters,
    OutboundDeadLetters,
}

impl Queue {
    /// Where tasks of this queue go that failed for good, if they go anywhere.
    pub fn dead_letters(self) -> Option<Queue> {
        match self {
            Queue::Turns | Queue::TurnsDeadLetters => Some(Queue::TurnsDeadLetters),
            Queue::Outbound | Queue::OutboundDeadLetters => Some(Queue::OutboundDeadLetters),
            Queue::Jobs => None,
        }
    }

    /// The queue's name in dead letters and logs: `turns`, `outbound` or `jobs`.
    pub fn as_str(self) -> &'static str {
        match self {
            Queue::Turns | Queue::TurnsDeadLetters => "turns",
            Queue::Outbound | Queue::OutboundDeadLetters => "outbound",
            Queue::Jobs => "jobs",
        }
    }
}

/// SQS did not take or give something. Trying again later may help.
#[derive(Debug, thiserror::Error)]
#[error("could not {what}: {detail}")]
pub struct QueueError {
    what: &'static str,
    detail: String,
}

fn failed(what: &'static str, error: &(dyn Error + 'static)) -> QueueError {
    struct Chain<'a>(&'a (dyn Error + 'static));
    impl fmt::Display for Chain<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}", self.0)?;
            self.0.source().map_or(Ok(()), |source| write!(f, ": {}", Chain(source)))
        }
    }
    QueueError { what, detail: Chain(error).to_string() }
}

/// The addresses of the queues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueUrls {
    pub turns: String,
    pub outbound: String,
    pub jobs: String,
    pub turns_dlq: String,
    pub outbound_dlq: String,
}

/// The way to all queues. Cheap to clone.
#[derive(Clone)]
pub struct Queues {
    sqs: aws_sdk_sqs::Client,
    urls: QueueUrls,
    /// Where tasks are sent together that are sent at the same time.
    sends: Option<SendsTogether>,
}

/// A message that was received, outside Lambda's own polling.
#[derive(Clone, Debug)]
pub struct Received {
    pub id: String,
    pub body: String,
    /// What deletes it, or makes it visible again.
    pub receipt: String,
    pub group: String,
    /// How often it was received so far, this time included.
    pub receive_count: u32,
    /// Why it is in a dead-letter queue, if whoever put it there said so.
    pub reason: Option<String>,
}

const REASON: &str = "reason";

/// SQS hides a message for twelve hours at most, counted from its receive.
const MAX_HIDDEN_SECS: i32 = 42_000;

impl Queues {
    pub fn new(sqs: aws_sdk_sqs::Client, urls: QueueUrls) -> Queues {
        Queues { sqs, urls, sends: None }
    }

    /// The same queues, for a process in which very many send at the same time: tasks are sent by the ten, over a few
    /// connections. Must be used within a Tokio runtime.
    #[must_use]
    pub fn with_sends_together(mut self) -> Queues {
        self.sends = Some(SendsTogether::start(&self));
        self
    }

    pub fn url(&self, queue: Queue) -> &str {
        match queue {
            Queue::Turns => &self.urls.turns,
            Queue::Outbound => &self.urls.outbound,
            Queue::Jobs => &self.urls.jobs,
            Queue::TurnsDeadLetters => &self.urls.turns_dlq,
            Queue::OutboundDeadLetters => &self.urls.outbound_dlq,
        }
    }

    /// Queues a task where it belongs. Returns once SQS has it. The same task again within five
    /// minutes is taken as a repetition and dropped by SQS.
    pub async fn send(&self, task: &Task) -> Result<(), QueueError> {
        self.send_as(task, None).await
    }

    /// Queues a task again that SQS may have dropped as a repetition: `attempt` tells it apart.
    pub async fn send_again(&self, task: &Task, attempt: &str) -> Result<(), QueueError> {
        self.send_as(task, Some(attempt)).await
    }

    async fn send_as(&self, task: &Task, attempt: Option<&str>) -> Result<(), QueueError> {
        let mut deduplication = deduplication_id(task);
        if let Some(attempt) = attempt {
            deduplication = sqs_id(&format!("{attempt}.{deduplication}"));
        }
        let sent = Sent { queue: queue_of(task), group: group(task), deduplication, body: task.to_body() };
        match &self.sends {
            Some(sends) => sends.send(sent).await,
            None => self.send_one(sent).await,
        }
    }

    async fn send_one(&self, sent: Sent) -> Result<(), QueueError> {
        let request = self.sqs.send_message().queue_url(self.url(sent.queue));
        let request = match sent.queue {
            Queue::Jobs => request,
            _ => request.message_group_id(sent.group).message_deduplication_id(sent.deduplication),
        };
        request.message_body(sent.body).send().await.map_err(|e| failed("queue a task", &e))?;
        Ok(())
    }

    /// Queues several tasks of one queue, in order; at most ten per call go over the wire together.
    pub async fn send_all(&self, tasks: &[Task]) -> Result<(), QueueError> {
        for chunk in tasks.chunks(10) {
            let [first, ..] = chunk else { return Ok(()) };
            let mut entries = Vec::with_capacity(chunk.len());
            for (index, task) in chunk.iter().enumerate() {
                let entry = SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .message_group_id(group(task))
                    .message_deduplication_id(deduplication_id(task))
                    .message_body(task.to_body());
                entries.push(entry.build().map_err(|e| failed("describe a task", &e))?);
            }
            let request = self.sqs.send_message_batch().queue_url(self.url(queue_of(first)));
            let output = request.set_entries(Some(entries)).send().await.map_err(|e| failed("queue tasks", &e))?;
            if let Some(refused) = output.failed().first() {
                let detail = refused.message().unwrap_or(refused.code()).to_owned();
                return Err(QueueError { what: "queue tasks", detail });
            }
        }
        Ok(())
    }

    /// Queues tasks of `jobs`, each with the time after which it is to be received: in whole seconds, rounded up, 15
    /// minutes at most. Returns which of them SQS did not take: they may be tried again.
    pub async fn send_later(&self, tasks: &[(Task, Duration)]) -> Result<Vec<Task>, QueueError> {
        let mut refused = vec![];
        for chunk in tasks.chunks(10) {
            let mut entries = Vec::with_capacity(chunk.len());
            for (index, (task, delay)) in chunk.iter().enumerate() {
                let entry = SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .delay_seconds(delay_secs(*delay))
                    .message_body(task.to_body());
                entries.push(entry.build().map_err(|e| failed("describe a task", &e))?);
            }
            let request = self.sqs.send_message_batch().queue_url(self.url(Queue::Jobs)).set_entries(Some(entries));
            let output = request.send().await.map_err(|e| failed("queue tasks", &e))?;
            let places = output.failed().iter().filter_map(|entry| entry.id().parse::<usize>().ok());
            refused.extend(places.filter_map(|place| Some(chunk.get(place)?.0.clone())));
        }
        Ok(refused)
    }

    /// Puts a task into the dead-letter queue of its queue, with the reason. Doing so again with the same
    /// `id` within five minutes changes nothing.
    pub async fn bury(&self, task: &Task, id: &str, reason: &str) -> Result<(), QueueError> {
        self.bury_body(queue_of(task), &task.to_body(), &group(task), id, reason).await
    }

    /// Puts a body that is not a task of this build into the dead-letter queue of `queue`, with the reason.
    pub async fn bury_record(&self, queue: Queue, record: &Record, reason: &str) -> Result<(), QueueError> {
        self.bury_body(queue, &record.body, &record.group, &record.id, reason).await
    }

    async fn bury_body(&self, queue: Queue, body: &str, group: &str, id: &str, reason: &str) -> Result<(), QueueError> {
        let Some(dead_letters) = queue.dead_letters() else { return Ok(()) };
        // SQS refuses control characters here, and a provider's text may hold any.
        let reason: String =
            reason.chars().filter(|c| !c.is_control() && !matches!(c, '\u{FFFE}' | '\u{FFFF}')).collect();
        let value = MessageAttributeValue::builder().data_type("String").string_value(truncate(&reason, 2000));
        let value = value.build().map_err(|e| failed("describe a dead letter", &e))?;
        let request = self.sqs.send_message().queue_url(self.url(dead_letters));
        let request = request.message_group_id(sqs_id(group)).message_deduplication_id(sqs_id(id));
        let request = request.message_attributes(REASON, value).message_body(body);
        request.send().await.map_err(|e| failed("queue a dead letter", &e))?;
        Ok(())
    }

    /// Receives up to ten messages, waiting up to `wait` (20 s at most) for the first.
    pub async fn receive(&self, queue: Queue, max: i32, wait: Duration) -> Result<Vec<Received>, QueueError> {
        let request = self
            .sqs
            .receive_message()
            .queue_url(self.url(queue))
            .max_number_of_messages(max)
            .wait_time_seconds(i32::try_from(wait.as_secs()).unwrap_or(20).min(20))
            .message_attribute_names(REASON)
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let output = request.send().await.map_err(|e| failed("receive tasks", &e))?;
        Ok(output.messages.unwrap_or_default().into_iter().map(received).collect())
    }

    /// How many messages of a queue wait for the end of their delay. AWS says so approximately.
    pub async fn len_delayed(&self, queue: Queue) -> Result<usize, QueueError> {
        let name = QueueAttributeName::ApproximateNumberOfMessagesDelayed;
        let request = self.sqs.get_queue_attributes().queue_url(self.url(queue)).attribute_names(name.clone());
        let output = request.send().await.map_err(|e| failed("look at a queue", &e))?;
        let count = output.attributes().and_then(|attributes| attributes.get(&name)?.parse().ok());
        Ok(count.unwrap_or_default())
    }

    pub async fn delete(&self, queue: Queue, receipt: &str) -> Result<(), QueueError> {
        let request = self.sqs.delete_message().queue_url(self.url(queue)).receipt_handle(receipt);
        request.send().await.map_err(|e| failed("delete a task", &e))?;
        Ok(())
    }

    /// Lets a received message be received again after `delay`.
    pub async fn release(&self, queue: Queue, receipt: &str, delay: Duration) -> Result<(), QueueError> {
        let request = self.sqs.change_message_visibility().queue_url(self.url(queue)).receipt_handle(receipt);
        let request =
            request.visibility_timeout(i32::try_from(delay.as_secs()).unwrap_or(MAX_HIDDEN_SECS).min(MAX_HIDDEN_SECS));
        request.send().await.map_err(|e| failed("release a task", &e))?;
        Ok(())
    }

    /// Creates the queues where they are missing, as `template.yaml` states them. For the local mode
    /// and tests: a deployment's are made by CloudFormation.
    pub async fn create_missing(sqs: aws_sdk_sqs::Client) -> Result<Queues, QueueError> {
        let mut urls = HashMap::new();
        for definition in definition::QUEUES {
            let mut attributes = definition.attributes();
            if let Some((target, receives)) = definition.redrive {
                let url: &String = urls.get(target).ok_or_else(|| QueueError {
                    what: "create the queues",
                    detail: format!("{target} must be defined before the queue that it serves"),
                })?;
                let request = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn);
                let output = request.send().await.map_err(|e| failed("look at a queue", &e))?;
                let arn = output.attributes().and_then(|a| a.get(&QueueAttributeName::QueueArn)).cloned();
                let policy = serde_json::json!({
                    "deadLetterTargetArn": arn.unwrap_or_default(),
                    "maxReceiveCount": receives.to_string(),
                });
                attributes.insert(QueueAttributeName::RedrivePolicy, policy.to_string());
            }
            let request = sqs.create_queue().queue_name(definition.name).set_attributes(Some(attributes));
            let output = request.send().await.map_err(|e| failed("create a queue", &e))?;
            urls.insert(definition.name, output.queue_url.unwrap_or_default());
        }
        let mut url = |name: &str| urls.remove(name).unwrap_or_default();
        let urls = QueueUrls {
            turns: url("turns.fifo"),
            outbound: url("outbound.fifo"),
            jobs: url("jobs"),
            turns_dlq: url("turns-dlq.fifo"),
            outbound_dlq: url("outbound-dlq.fifo"),
        };
        Ok(Queues::new(sqs, urls))
    }
}

fn received(message: aws_sdk_sqs::types::Message) -> Received {
    let system = |name: MessageSystemAttributeName| message.attributes().and_then(|a| a.get(&name)).cloned();
    let reason = message.message_attributes().and_then(|a| a.get(REASON)).and_then(|v| v.string_value());
    Received {
        group: system(MessageSystemAttributeName::MessageGroupId).unwrap_or_default(),
        receive_count: system(MessageSystemAttributeName::ApproximateReceiveCount)
            .and_then(|count| count.parse().ok())
            .unwrap_or(1),
        reason: reason.map(str::to_owned),
        id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        receipt: message.receipt_handle.unwrap_or_default(),
    }
}

/// Which queue carries a task.
pub fn queue_of(task: &Task) -> Queue {
    match task {
        Task::Message(_) | Task::Continue(_) => Queue::Turns,
        Task::Deliver(_) => Queue::Outbound,
        Task::Job(_) | Task::JobsDue(_) => Queue::Jobs,
    }
}

/// The message group of a task: what must keep its order, a session or a chat.
fn group(task: &Task) -> String {
    match task {
        Task::Message(inbound) => sqs_id(&format!("{}/{}", inbound.bot, inbound.session)),
        Task::Continue(turn) => sqs_id(&format!("{}/{}", turn.bot, turn.session)),
        Task::Deliver(outbound) => sqs_id(&outbound.group()),
        // Their queue has no groups.
        Task::Job(fire) => fire.job.to_string(),
        Task::JobsDue(due) => due.shard.to_string(),
    }
}

/// What makes a task the same task, for SQS's five minutes.
fn deduplication_id(task: &Task) -> String {
    match task {
        Task::Message(inbound) => sqs_id(inbound.message.as_str()),
        // A turn may go on several times: each time from a later commit.
        Task::Continue(turn) => sqs_id(&format!("{}.{}.{}", turn.turn, turn.next_seq, turn.epoch)),
        Task::Deliver(outbound) => sqs_id(outbound.id.as_str()),
        Task::Job(fire) => format!("{}.{}", fire.job, fire.run.scheduled),
        Task::JobsDue(due) => format!("{}.{}", due.shard, due.until),
    }
}

/// A group or deduplication id has at most 128 letters, digits and punctuation marks. What does not
/// fit is hashed, so that different ids stay different.
fn sqs_id(text: &str) -> String {
    if (1..=128).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic()) {
        return text.to_owned();
    }
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(text))
}

/// The longest delay that SQS takes, in seconds.
const MAX_DELAY_SECS: i32 = 900;

/// Whole seconds, so that nothing comes before its time.
fn delay_secs(delay: Duration) -> i32 {
    let secs = delay.as_millis().div_ceil(1000);
    i32::try_from(secs).unwrap_or(MAX_DELAY_SECS).min(MAX_DELAY_SECS)
}

fn truncate(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    if end == 0 { "unknown" } else { &text[..end] }
}
