//! SQS: FIFO queues, and standard queues, which are simulated as if each message had a group of its own.
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/> (JSON 1.0, one path, the operation in a
//! header)

mod digest;
mod driver;
mod message;
mod queue;
mod refusal;
mod request;

pub use driver::Queued;
pub use queue::Sent;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use self::message::{Attribute, Draft, Given, Message};
use self::queue::Queue;
use self::refusal::{CONTENT_TYPE, Refusal};
use self::request::{BatchOf, CreateQueue, Entry, GetQueueAttributes, Handle, Receive, Request, name_of};
use super::Cloud;
use super::connector::Answer;

/// The account in addresses and ARNs.
const ACCOUNT: &str = "000000000000";

/// Where the SDK sends its requests.
pub(crate) const ENDPOINT: &str = "http://sqs.sim";

const MOST_AT_ONCE: usize = 10;

/// The service: its queues by name.
#[derive(Default)]
pub(crate) struct Sqs {
    queues: BTreeMap<String, Queue>,
    /// The last sequence number. Messages get theirs in the order in which they arrive, whatever their queue.
    last: u64,
}

/// A request that was read.
pub(crate) struct Incoming {
    pub(crate) operation: String,
    request: Result<Request, Refusal>,
}

impl Incoming {
    pub(crate) fn read(operation: &str, body: &[u8]) -> Incoming {
        Incoming { operation: operation.to_owned(), request: Request::parse(operation, body) }
    }

    pub(crate) fn key(&self) -> String {
        self.request.as_ref().map(Request::key).unwrap_or_default()
    }
}

/// Performs a request. A receive from an empty queue waits for as long as it says.
pub(crate) async fn perform(incoming: Incoming, cloud: &Cloud) -> Answer {
    let answer = match incoming.request {
        Ok(Request::Receive(receive)) => wait_and_receive(receive, cloud).await,
        Ok(request) => {
            let answer = cloud.state().sqs.perform(request, Instant::now());
            cloud.arrivals.notify_waiters();
            answer
        }
        Err(refusal) => Err(refusal),
    };
    match answer {
        Ok(body) => Answer::new(200, CONTENT_TYPE, body.to_string().into_bytes()),
        Err(refusal) => refusal.into_answer(),
    }
}

async fn wait_and_receive(receive: Receive, cloud: &Cloud) -> Result<Value, Refusal> {
    let wait = receive.wait_time_seconds.unwrap_or(0);
    let wait = u64::try_from(wait).ok().filter(|wait| *wait <= 20);
    let wait = wait.ok_or_else(|| Refusal::invalid_parameter("WaitTimeSeconds must be between 0 and 20."))?;
    let until = Instant::now() + Duration::from_secs(wait);
    loop {
        let arrival = cloud.arrivals.notified();
        let now = Instant::now();
        let next = {
            let sqs = &mut cloud.state().sqs;
            let messages = sqs.receive_for(&receive, now)?;
            if !messages.is_empty() || now >= until {
                return Ok(json!({ "Messages": messages }));
            }
            sqs.queue(name_of(&receive.queue_url))?.next_visible(now)
        };
        // Whichever comes first; then it looks again.
        let _ = tokio::time::timeout_at(next.map_or(until, |next| next.min(until)), arrival).await;
    }
}

/// A queue's address.
pub(crate) fn url(name: &str) -> String {
    format!("{ENDPOINT}/{ACCOUNT}/{name}")
}

pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{name}")
}

fn uuid(sequence: u64) -> String {
    format!("00000000-0000-4000-8000-{sequence:012x}")
}

fn seconds(seconds: i64) -> Result<Duration, Refusal> {
    let is_allowed = (0..=43_200).contains(&seconds);
    let seconds = u64::try_from(seconds).ok().filter(|_| is_allowed).map(Duration::from_secs);
    seconds.ok_or_else(|| Refusal::invalid_parameter("VisibilityTimeout must be between 0 and 43200."))
}

impl Sqs {
    fn queue(&mut self, name: &str) -> Result<&mut Queue, Refusal> {
        self.queues.get_mut(name).ok_or_else(|| Refusal::no_such_queue(name))
    }

    /// Creates a queue, or accepts one that has these attributes.
    pub(crate) fn create(&mut self, name: &str, attributes: BTreeMap<String, String>) -> Result<(), Refusal> {
        if attributes.get("FifoQueue").is_some_and(|value| value == "true") != name.ends_with(".fifo") {
            return Err(Refusal::invalid_parameter("a queue is FIFO if its name ends with .fifo, and only then"));
        }
        if attributes.get("ContentBasedDeduplication").is_some_and(|value| value == "true") {
            return Err(Refusal::invalid_parameter("deduplication by content is not simulated"));
        }
        if let Some(existing) = self.queues.get(name) {
            return if existing.attributes == attributes { Ok(()) } else { Err(Refusal::queue_exists()) };
        }
        let queue = Queue::new(name, attributes);
        if queue.attributes.contains_key("RedrivePolicy")
            && queue.redrive().is_none_or(|(target, _)| !self.queues.contains_key(&target))
        {
            return Err(Refusal::invalid_parameter("RedrivePolicy names no dead-letter queue that exists."));
        }
        self.queues.insert(name.to_owned(), queue);
        Ok(())
    }

    fn perform(&mut self, request: Request, now: Instant) -> Result<Value, Refusal> {
        match request {
            Request::CreateQueue(CreateQueue { queue_name, attributes }) => {
                self.create(&queue_name, attributes)?;
                Ok(json!({ "QueueUrl": url(&queue_name) }))
            }
            Request::GetQueueUrl(of) => {
                self.queue(&of.queue_name)?;
                Ok(json!({ "QueueUrl": url(&of.queue_name) }))
            }
            Request::GetQueueAttributes(of) => self.attributes(&of, now),
            Request::Send(one) => self.send(name_of(&one.queue_url), one.entry, now),
            Request::SendBatch(batch) => self.batch(batch, |sqs, queue, draft| sqs.send(queue, draft, now)),
            Request::Delete(one) => self.delete(name_of(&one.queue_url), &one.entry, now),
            Request::DeleteBatch(batch) => self.batch(batch, |sqs, queue, handle| sqs.delete(queue, &handle, now)),
            Request::Release(one) => self.release(name_of(&one.queue_url), &one.entry, now),
            Request::ReleaseBatch(batch) => self.batch(batch, |sqs, queue, handle| sqs.release(queue, &handle, now)),
            Request::Receive(receive) => Ok(json!({ "Messages": self.receive_for(&receive, now)? })),
        }
    }

    fn attributes(&mut self, of: &GetQueueAttributes, now: Instant) -> Result<Value, Refusal> {
        let queue = self.queue(name_of(&of.queue_url))?;
        queue.expire(now);
        let hidden = queue.messages.values().filter(|message| message.is_hidden(now)).count();
        let mut attributes = queue.attributes.clone();
        attributes.extend([
            ("QueueArn".to_owned(), queue.arn()),
            ("ApproximateNumberOfMessages".to_owned(), (queue.messages.len() - hidden).to_string()),
            ("ApproximateNumberOfMessagesNotVisible".to_owned(), hidden.to_string()),
            ("ApproximateNumberOfMessagesDelayed".to_owned(), "0".to_owned()),
        ]);
        attributes.retain(|name, _| of.attribute_names.iter().any(|wanted| wanted == name || wanted == "All"));
        Ok(json!({ "Attributes": attributes }))
    }

    fn send(&mut self, queue: &str, draft: Draft, now: Instant) -> Result<Value, Refusal> {
        let sequence = self.last + 1;
        let queue = self.queue(queue)?;
        let (deduplication_id, group) = if queue.is_fifo() {
            (draft.check()?.to_owned(), draft.message_group_id.clone())
        } else {
            draft.check_standard()?;
            (uuid(sequence), uuid(sequence))
        };
        let delay = Duration::from_secs(u64::try_from(draft.delay_seconds).unwrap_or(0));
        queue.expire(now);
        let message = Message {
            id: uuid(sequence),
            body: draft.message_body,
            group,
            deduplication_id,
            attributes: draft.message_attributes,
            sent_at: now,
            visible_at: now + delay,
            receives: 0,
        };
        let digests = (digest::of_body(&message.body), digest::of_attributes(&message.attributes));
        let accepted = queue.send(message, sequence, now);
        self.last = sequence;
        let mut sent = json!({
            "MessageId": accepted.id,
            "MD5OfMessageBody": digests.0,
            "SequenceNumber": format!("{:020}", accepted.sequence),
        });
        if let Some(digest) = digests.1 {
            sent["MD5OfMessageAttributes"] = json!(digest);
        }
        Ok(sent)
    }

    fn delete(&mut self, queue: &str, handle: &Handle, now: Instant) -> Result<Value, Refusal> {
        let queue = self.queue(queue)?;
        queue.expire(now);
        queue.delete(&handle.receipt_handle, now)?;
        Ok(json!({}))
    }

    fn release(&mut self, queue: &str, handle: &Handle, now: Instant) -> Result<Value, Refusal> {
        let after = handle.visibility_timeout.ok_or_else(|| Refusal::malformed("there is no VisibilityTimeout"))?;
        let queue = self.queue(queue)?;
        queue.expire(now);
        queue.release(&handle.receipt_handle, seconds(after)?, now)?;
        Ok(json!({}))
    }

    /// Performs each entry of a batch by itself.
    fn batch<E>(
        &mut self,
        batch: BatchOf<E>,
        mut perform: impl FnMut(&mut Sqs, &str, E) -> Result<Value, Refusal>,
    ) -> Result<Value, Refusal> {
        let queue = name_of(&batch.queue_url).to_owned();
        self.queue(&queue)?;
        let ids: BTreeSet<&str> = batch.entries.iter().map(|entry| entry.id.as_str()).collect();
        if ids.len() < batch.entries.len() {
            return Err(Refusal::batch("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "An id is repeated."));
        }
        if ids.is_empty() {
            return Err(Refusal::batch("AWS.SimpleQueueService.EmptyBatchRequest", "There is no entry."));
        }
        if ids.len() > MOST_AT_ONCE {
            let message = format!("{} entries are too many.", ids.len());
            return Err(Refusal::batch("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", message));
        }
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for Entry { id, entry } in batch.entries {
            match perform(self, &queue, entry) {
                Ok(mut done) => {
                    done["Id"] = json!(id);
                    successful.push(done);
                }
                Err(refusal) => failed.push(refusal.to_failed(&id)),
            }
        }
        Ok(json!({ "Successful": successful, "Failed": failed }))
    }

    /// Receives, and moves what was received too often to the dead-letter queue.
    fn receive(
        &mut self,
        queue: &str,
        most: usize,
        group: Option<&str>,
        visibility: Option<Duration>,
        now: Instant,
    ) -> Result<Vec<Given>, Refusal> {
        let queue = self.queue(queue)?;
        queue.expire(now);
        let visibility = visibility.unwrap_or_else(|| queue.visibility());
        let (given, moved) = queue.receive(most, group, visibility, now);
        if let Some((target, _)) = queue.redrive() {
            for message in moved {
                self.last += 1;
                let sequence = self.last;
                // The target's retention counts from now on.
                self.queue(&target)?.messages.insert(sequence, Message { sent_at: now, visible_at: now, ..message });
            }
        }
        Ok(given)
    }

    fn receive_for(&mut self, receive: &Receive, now: Instant) -> Result<Vec<Value>, Refusal> {
        let name = name_of(&receive.queue_url);
        let most = usize::try_from(receive.max_number_of_messages.unwrap_or(1)).unwrap_or(0);
        if !(1..=MOST_AT_ONCE).contains(&most) {
            return Err(Refusal::invalid_parameter("MaxNumberOfMessages must be between 1 and 10."));
        }
        let visibility = receive.visibility_timeout.map(seconds).transpose()?;
        let given = self.receive(name, most, None, visibility, now)?;
        Ok(given.into_iter().map(|given| received(name, receive, given)).collect())
    }
}

/// What SQS says about a message beside its body and its attributes.
fn system_attributes(message: &Message, receipt: message::Receipt) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("ApproximateReceiveCount", message.receives.to_string()),
        ("MessageGroupId", message.group.clone()),
        ("MessageDeduplicationId", message.deduplication_id.clone()),
        ("SequenceNumber", format!("{:020}", receipt.sequence)),
    ])
}

fn received(queue: &str, receive: &Receive, given: Given) -> Value {
    let Given { message, receipt } = given;
    let is_wanted = |names: &[String], name: &str| names.iter().any(|wanted| wanted == name || wanted == "All");
    let mut system = system_attributes(&message, receipt);
    system.retain(|name, _| {
        is_wanted(&receive.message_system_attribute_names, name) || is_wanted(&receive.attribute_names, name)
    });
    let attributes: BTreeMap<String, Attribute> =
        message.attributes.into_iter().filter(|(name, _)| is_wanted(&receive.message_attribute_names, name)).collect();
    let mut received = json!({
        "MessageId": message.id,
        "ReceiptHandle": receipt.to_handle(queue),
        "MD5OfBody": digest::of_body(&message.body),
        "Body": message.body,
        "Attributes": system,
        "MessageAttributes": attributes,
    });
    if let Some(digest) = digest::of_attributes(&attributes) {
        received["MD5OfMessageAttributes"] = json!(digest);
    }
    received
}
