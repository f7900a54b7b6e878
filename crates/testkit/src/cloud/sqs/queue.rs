//! One queue: its messages in order, what it remembers, and the rules by which it gives messages out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::message::{Given, Message, Receipt};
use super::refusal::Refusal;

/// How long a deduplication id is remembered, whatever becomes of its message.
const DEDUPLICATION: Duration = Duration::from_secs(5 * 60);

/// A message as it was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub id: String,
    pub body: String,
    pub group: String,
    pub deduplication_id: String,
    pub at: Instant,
}

/// What the queue does with a message that it was sent.
pub(crate) struct Accepted {
    pub(crate) id: String,
    pub(crate) sequence: u64,
}

pub(crate) struct Queue {
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
    /// By sequence number, which grows with each message of the service.
    pub(crate) messages: BTreeMap<u64, Message>,
    /// Until when which deduplication ids are remembered, and of which message.
    remembered: BTreeMap<String, (Instant, String, u64)>,
    /// Every message that was accepted, in order.
    pub(crate) history: Vec<Message>,
}

impl Queue {
    pub(crate) fn new(name: &str, attributes: BTreeMap<String, String>) -> Queue {
        let name = name.to_owned();
        Queue { name, attributes, messages: BTreeMap::new(), remembered: BTreeMap::new(), history: vec![] }
    }

    pub(crate) fn arn(&self) -> String {
        super::arn(&self.name)
    }

    pub(crate) fn is_fifo(&self) -> bool {
        self.name.ends_with(".fifo")
    }

    fn seconds(&self, attribute: &str, default: u64) -> Duration {
        Duration::from_secs(self.attributes.get(attribute).and_then(|text| text.parse().ok()).unwrap_or(default))
    }

    /// For how long a received message is hidden, unless the receiver says otherwise.
    pub(crate) fn visibility(&self) -> Duration {
        self.seconds("VisibilityTimeout", 30)
    }

    /// The dead-letter queue's name, and after how many receives a message goes there.
    pub(crate) fn redrive(&self) -> Option<(String, u32)> {
        let policy: Value = serde_json::from_str(self.attributes.get("RedrivePolicy")?).ok()?;
        let target = policy["deadLetterTargetArn"].as_str()?.rsplit(':').next()?.to_owned();
        let receives = &policy["maxReceiveCount"];
        let receives = receives.as_u64().or_else(|| receives.as_str()?.parse().ok())?;
        Some((target, u32::try_from(receives).ok()?))
    }

    /// Forgets what has passed its time.
    pub(crate) fn expire(&mut self, now: Instant) {
        let retention = self.seconds("MessageRetentionPeriod", 4 * 24 * 3600);
        self.messages.retain(|_, message| now < message.sent_at + retention);
        self.remembered.retain(|_, (until, ..)| now < *until);
    }

    /// Takes a message under this sequence number, or finds the one that it repeats.
    pub(crate) fn send(&mut self, message: Message, sequence: u64, now: Instant) -> Accepted {
        if let Some((_, id, sequence)) = self.remembered.get(&message.deduplication_id) {
            return Accepted { id: id.clone(), sequence: *sequence };
        }
        let id = message.id.clone();
        self.remembered.insert(message.deduplication_id.clone(), (now + DEDUPLICATION, id.clone(), sequence));
        self.history.push(message.clone());
        self.messages.insert(sequence, message);
        Accepted { id, sequence }
    }

    /// What may be given out now, in order: a group is closed while a message of it is in flight, and a message waits
    /// for those of its group before it.
    pub(crate) fn ready(&self, now: Instant) -> impl Iterator<Item = (u64, &Message)> {
        let in_flight = self.messages.values().filter(|message| message.is_in_flight(now));
        let mut closed: BTreeSet<&str> = in_flight.map(|message| message.group.as_str()).collect();
        self.messages.iter().filter_map(move |(sequence, message)| {
            if closed.contains(message.group.as_str()) {
                return None;
            }
            if message.is_hidden(now) {
                closed.insert(&message.group);
                return None;
            }
            Some((*sequence, message))
        })
    }

    /// Gives out up to `most` messages, of one group or of all. Those that were received too often are taken out and
    /// come back as the second part.
    pub(crate) fn receive(
        &mut self,
        most: usize,
        group: Option<&str>,
        visibility: Duration,
        now: Instant,
    ) -> (Vec<Given>, Vec<Message>) {
        let limit = self.redrive().map_or(u32::MAX, |(_, receives)| receives);
        let (mut given, mut moved) = (Vec::new(), Vec::new());
        loop {
            let wanted = |message: &Message| group.is_none_or(|group| message.group == group);
            let ready = self.ready(now).filter(|(_, message)| wanted(message)).take(most - given.len());
            let ready: Vec<u64> = ready.map(|(sequence, _)| sequence).collect();
            if ready.is_empty() {
                break;
            }
            for sequence in ready {
                let Some(message) = self.messages.get_mut(&sequence) else { continue };
                if message.receives >= limit {
                    moved.extend(self.messages.remove(&sequence));
                } else {
                    message.receives += 1;
                    message.visible_at = now + visibility;
                    let receipt = Receipt { sequence, receives: message.receives };
                    given.push(Given { message: message.clone(), receipt });
                }
            }
            // A visibility timeout of zero leaves messages visible: a second round would take them again.
            if given.len() >= most || visibility.is_zero() {
                break;
            }
        }
        (given, moved)
    }

    /// Deletes a message. One that is gone already counts as deleted; one that was received anew since, or became
    /// visible again, stays.
    pub(crate) fn delete(&mut self, handle: &str, now: Instant) -> Result<(), Refusal> {
        let receipt = Receipt::parse(handle, &self.name)?;
        let Some(message) = self.messages.get(&receipt.sequence) else { return Ok(()) };
        if message.receives != receipt.receives || !message.is_hidden(now) {
            return Err(Refusal::receipt_handle_has_expired());
        }
        self.messages.remove(&receipt.sequence);
        Ok(())
    }

    /// Lets a message in flight be received again after this time from now on.
    pub(crate) fn release(&mut self, handle: &str, after: Duration, now: Instant) -> Result<(), Refusal> {
        let receipt = Receipt::parse(handle, &self.name)?;
        let Some(message) = self.messages.get_mut(&receipt.sequence) else {
            let reason = "Message does not exist or is not available for visibility timeout change.";
            return Err(Refusal::invalid_parameter(format!("The receipt handle is invalid. Reason: {reason}")));
        };
        if message.receives != receipt.receives {
            return Err(Refusal::receipt_handle_has_expired());
        }
        if !message.is_hidden(now) {
            return Err(Refusal::not_in_flight());
        }
        message.visible_at = now + after;
        Ok(())
    }

    /// When the next hidden message becomes visible by itself.
    pub(crate) fn next_visible(&self, now: Instant) -> Option<Instant> {
        self.messages.values().map(|message| message.visible_at).filter(|at| *at > now).min()
    }
}
