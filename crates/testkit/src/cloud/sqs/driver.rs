//! The queues as whoever drives a world sees them: what Lambda does around a function, and what a check looks at.
//!
//! All of it happens at once and without a network. A queue that does not exist is a mistake of the test.

use std::collections::{BTreeMap, BTreeSet};

use aws_lambda_events::event::sqs::{SqsMessage, SqsMessageAttribute};
use tokio::time::Instant;

use super::message::{Given, Message};
use super::queue::{Queue, Sent};
use super::{digest, system_attributes};
use crate::cloud::Cloud;

/// A message that lies in a queue.
#[derive(Clone, Debug)]
pub struct Queued {
    pub id: String,
    pub body: String,
    pub group: String,
    /// How often it was received so far.
    pub receives: u32,
    /// Until when it is hidden; `None` if it is visible.
    pub hidden_until: Option<Instant>,
    /// Its message attributes that are texts.
    pub attributes: BTreeMap<String, String>,
}

impl Cloud {
    fn with_queue<T>(&self, name: &str, look: impl FnOnce(&mut Queue, Instant) -> T) -> T {
        let (mut state, now) = (self.state(), Instant::now());
        let queue = state.sqs.queue(name).unwrap_or_else(|_| panic!("there is no queue {name}"));
        queue.expire(now);
        look(queue, now)
    }

    /// How many messages a queue holds, hidden ones included.
    pub fn queue_len(&self, queue: &str) -> usize {
        self.with_queue(queue, |queue, _| queue.messages.len())
    }

    /// The messages of a queue, oldest first.
    pub fn queued(&self, queue: &str) -> Vec<Queued> {
        self.with_queue(queue, |queue, now| queue.messages.values().map(|message| queued(message, now)).collect())
    }

    /// Receives up to `max` messages, as Lambda's poller does: of one group, or of all. What was received too often
    /// goes to the dead-letter queue, as SQS does it: when it would be received once more.
    pub fn receive(&self, queue: &str, max: usize, group: Option<&str>) -> Vec<SqsMessage> {
        let given = self.state().sqs.receive(queue, max, group, None, Instant::now());
        let given = given.unwrap_or_else(|refusal| panic!("{queue} gives nothing: {refusal:?}"));
        self.arrivals.notify_waiters();
        given.into_iter().map(|given| sqs_message(queue, given)).collect()
    }

    /// Deletes a received message. `false`: the receipt is no longer good, and the message stays.
    pub fn delete(&self, queue: &str, receipt: &str) -> bool {
        let deleted = self.with_queue(queue, |queue, now| queue.delete(receipt, now));
        // The next message of its group may be received now.
        self.arrivals.notify_waiters();
        deleted.is_ok()
    }

    /// The groups that have a message to give now, sorted. It may turn out to be one for the dead-letter queue.
    pub fn groups_ready(&self, queue: &str) -> Vec<String> {
        self.with_queue(queue, |queue, now| {
            let groups: BTreeSet<&str> = queue.ready(now).map(|(_, message)| message.group.as_str()).collect();
            groups.into_iter().map(str::to_owned).collect()
        })
    }

    /// When the next message that is hidden becomes visible.
    pub fn next_visible(&self, queue: &str) -> Option<Instant> {
        self.with_queue(queue, |queue, now| queue.next_visible(now))
    }

    /// Every message that a queue has accepted, in order. Repetitions that it dropped, copies of
    /// [`Cloud::duplicate`] and what was moved here as a dead letter are not among them.
    pub fn sent(&self, queue: &str) -> Vec<Sent> {
        let sent = |message: &Message| Sent {
            id: message.id.clone(),
            body: message.body.clone(),
            group: message.group.clone(),
            deduplication_id: message.deduplication_id.clone(),
            at: message.sent_at,
        };
        self.with_queue(queue, |queue, _| queue.history.iter().map(sent).collect())
    }

    /// Puts a copy of a message that was sent, by its place in [`Cloud::sent`], at the end of its group, whether that
    /// message is still there or not: what a queue may do that delivers at least once.
    pub fn duplicate(&self, queue: &str, index: usize) {
        let mut state = self.state();
        state.sqs.last += 1;
        let (sequence, now) = (state.sqs.last, Instant::now());
        let queue = state.sqs.queue(queue).unwrap_or_else(|_| panic!("there is no queue {queue}"));
        let copy = Message { sent_at: now, visible_at: now, ..queue.history[index].clone() };
        queue.messages.insert(sequence, copy);
        self.arrivals.notify_waiters();
    }
}

fn queued(message: &Message, now: Instant) -> Queued {
    let text = |(name, attribute): (&String, &super::Attribute)| Some((name.clone(), attribute.string_value.clone()?));
    Queued {
        id: message.id.clone(),
        body: message.body.clone(),
        group: message.group.clone(),
        receives: message.receives,
        hidden_until: Some(message.visible_at).filter(|at| *at > now),
        attributes: message.attributes.iter().filter_map(text).collect(),
    }
}

/// The message as it stands in a function's event.
fn sqs_message(queue: &str, given: Given) -> SqsMessage {
    let Given { message, receipt } = given;
    let mut event = SqsMessage::default();
    let attributes = system_attributes(&message, receipt);
    event.attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    // Attributes that are bytes are left out: nothing here sends any.
    let texts = message.attributes.into_iter().filter_map(|(name, attribute)| {
        let mut text = SqsMessageAttribute::default();
        text.string_value = Some(attribute.string_value?);
        text.data_type = Some(attribute.data_type);
        Some((name, text))
    });
    event.message_attributes = texts.collect();
    event.md5_of_body = Some(digest::of_body(&message.body));
    event.message_id = Some(message.id);
    event.receipt_handle = Some(receipt.to_handle(queue));
    event.body = Some(message.body);
    event.event_source = Some("aws:sqs".to_owned());
    event
}
