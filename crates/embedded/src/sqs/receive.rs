//! `ReceiveMessage` inside a transaction: which messages are next, and which go to the dead-letter queue instead.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};

use crate::sqs::digest;
use crate::sqs::messages::{Receipt, check_visibility_timeout, sequence_number};
use crate::sqs::protocol::{Message, MessageAttribute, Receive, SqsError};
use crate::sqs::settings::{MAX_WAIT_SECONDS, Redrive};
use crate::sqs::store::{Queue, arn, queue_get};

/// What one look at the queue gave.
pub(crate) struct Received {
    pub(crate) messages: Vec<Message>,
    /// The queue that messages were moved to.
    pub(crate) moved_to: Option<String>,
    /// When the next message becomes visible by itself, in milliseconds since the Unix epoch.
    pub(crate) next_at: Option<i64>,
    /// How long this request may wait for messages, in seconds.
    pub(crate) wait_seconds: u64,
}

/// Oldest first. A standard queue has no order to keep; what has waited longest goes first.
const NEXT_STANDARD: &str = "
SELECT id, message_id, group_id, deduplication_id, sent_at, receives, first_received_at, source_queue, body_md5,
       attributes, system_attributes, body
FROM messages
WHERE queue = ?1 AND visible_at <= ?2 AND expires_at > ?2
ORDER BY visible_at, id LIMIT ?3";

/// In order of sending. A group is closed while any message of it is in flight, and a message waits for a delayed
/// one before it. The plus signs keep SQLite on the index that has the order.
const NEXT_FIFO: &str = "
SELECT id, message_id, group_id, deduplication_id, sent_at, receives, first_received_at, source_queue, body_md5,
       attributes, system_attributes, body
FROM messages m
WHERE queue = ?1 AND +visible_at <= ?2 AND +expires_at > ?2
  AND group_id NOT IN (SELECT group_id FROM messages
                       WHERE queue = ?1 AND visible_at > ?2 AND receives > 0 AND group_id IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM messages before
                  WHERE before.queue = ?1 AND before.group_id = m.group_id AND before.id < m.id
                    AND +before.visible_at > ?2)
ORDER BY id LIMIT ?3";

struct Candidate {
    id: i64,
    message_id: String,
    group_id: Option<String>,
    deduplication_id: Option<String>,
    sent_at: i64,
    receives: i64,
    first_received_at: Option<i64>,
    source_queue: Option<String>,
    body_md5: String,
    attributes: Option<String>,
    system_attributes: Option<String>,
    body: String,
}

impl Candidate {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            message_id: row.get(1)?,
            group_id: row.get(2)?,
            deduplication_id: row.get(3)?,
            sent_at: row.get(4)?,
            receives: row.get(5)?,
            first_received_at: row.get(6)?,
            source_queue: row.get(7)?,
            body_md5: row.get(8)?,
            attributes: row.get(9)?,
            system_attributes: row.get(10)?,
            body: row.get(11)?,
        })
    }
}

/// Takes up to ten messages, each invisible for the visibility timeout from now on.
pub(crate) fn receive(
    connection: &Connection,
    queue: &Queue,
    request: &Receive,
    now: i64,
) -> Result<Received, SqsError> {
    let limits = Limits::of(queue, request)?;
    let mut messages = Vec::new();
    let mut moved_to = None;
    loop {
        // Receives move what is next, so the whole of a round is read before any of it is changed.
        let candidates = next(connection, queue, limits.most - messages.len(), now)?;
        if candidates.is_empty() {
            break;
        }
        for candidate in candidates {
            match &queue.settings.redrive {
                Some(redrive) if candidate.receives >= redrive.max_receives => {
                    move_to_dead_letters(connection, queue, redrive, &candidate, now)?;
                    moved_to = Some(redrive.queue.clone());
                }
                _ => {
                    messages.push(take(connection, queue, request, candidate, &limits, now)?);
                }
            }
        }
        // A visibility timeout of zero leaves messages visible: a second round would take them again.
        if messages.len() >= limits.most || limits.visibility_ms == 0 {
            break;
        }
    }
    Ok(Received {
        messages,
        moved_to,
        next_at: next_visible(connection, queue, now)?,
        wait_seconds: limits.wait_seconds,
    })
}

struct Limits {
    most: usize,
    visibility_ms: i64,
    wait_seconds: u64,
}

impl Limits {
    fn of(queue: &Queue, request: &Receive) -> Result<Self, SqsError> {
        let most = request.max_number_of_messages.unwrap_or(1);
        if !(1..=10).contains(&most) {
            return Err(SqsError::invalid_parameter(format!(
                "Value {most} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if \
                 provided."
            )));
        }
        let wait_seconds = request.wait_time_seconds.unwrap_or_else(|| queue.settings.wait_seconds());
        if !(0..=MAX_WAIT_SECONDS).contains(&wait_seconds) {
            return Err(SqsError::invalid_parameter(format!(
                "Value {wait_seconds} for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= \
                 {MAX_WAIT_SECONDS}, if provided."
            )));
        }
        let visibility_ms = match request.visibility_timeout {
            None => queue.settings.visibility_ms(),
            Some(seconds) => {
                check_visibility_timeout(seconds)?;
                seconds * 1000
            }
        };
        Ok(Self { most: usize::try_from(most).unwrap_or(1), visibility_ms, wait_seconds: wait_seconds.unsigned_abs() })
    }
}

fn next(connection: &Connection, queue: &Queue, most: usize, now: i64) -> Result<Vec<Candidate>, SqsError> {
    let query = if queue.settings.fifo { NEXT_FIFO } else { NEXT_STANDARD };
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map(params![queue.id, now, most], Candidate::from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn next_visible(connection: &Connection, queue: &Queue, now: i64) -> Result<Option<i64>, SqsError> {
    let next = connection
        .prepare_cached("SELECT min(visible_at) FROM messages WHERE queue = ?1 AND visible_at > ?2")?
        .query_row([queue.id, now], |row| row.get(0))?;
    Ok(next)
}

fn take(
    connection: &Connection,
    queue: &Queue,
    request: &Receive,
    candidate: Candidate,
    limits: &Limits,
    now: i64,
) -> Result<Message, SqsError> {
    let receives = candidate.receives + 1;
    let first_received_at = candidate.first_received_at.unwrap_or(now);
    connection
        .prepare_cached("UPDATE messages SET visible_at = ?2, receives = ?3, first_received_at = ?4 WHERE id = ?1")?
        .execute(params![candidate.id, now + limits.visibility_ms, receives, first_received_at])?;
    let receipt = Receipt { queue: queue.id, message: candidate.id, receives };
    let attributes = system_attributes(queue, request, &candidate, receives, first_received_at)?;
    let message_attributes = message_attributes(request, candidate.attributes.as_deref())?;
    Ok(Message {
        message_id: candidate.message_id,
        receipt_handle: receipt.to_handle(),
        body_md5: candidate.body_md5,
        body: candidate.body,
        attributes,
        attributes_md5: digest::attributes_md5(&message_attributes)?,
        message_attributes,
    })
}

fn system_attributes(
    queue: &Queue,
    request: &Receive,
    candidate: &Candidate,
    receives: i64,
    first_received_at: i64,
) -> Result<BTreeMap<&'static str, String>, SqsError> {
    let wanted = |name: &str| {
        let names = request.message_system_attribute_names.iter().chain(&request.attribute_names);
        names.into_iter().any(|wanted| wanted == name || wanted == "All")
    };
    let trace = candidate
        .system_attributes
        .as_deref()
        .map(serde_json::from_str::<BTreeMap<String, MessageAttribute>>)
        .transpose()?
        .and_then(|mut kept| kept.remove("AWSTraceHeader"))
        .and_then(|header| header.string_value);
    let fifo = queue.settings.fifo;
    let all = [
        ("ApproximateReceiveCount", Some(receives.to_string())),
        ("SentTimestamp", Some(candidate.sent_at.to_string())),
        ("ApproximateFirstReceiveTimestamp", Some(first_received_at.to_string())),
        ("SenderId", Some("embedded".to_owned())),
        ("MessageGroupId", candidate.group_id.clone()),
        ("MessageDeduplicationId", candidate.deduplication_id.clone()),
        ("SequenceNumber", fifo.then(|| sequence_number(candidate.id))),
        ("DeadLetterQueueSourceArn", candidate.source_queue.as_deref().map(arn)),
        ("AWSTraceHeader", trace),
    ];
    Ok(all.into_iter().filter(|(name, _)| wanted(name)).filter_map(|(name, value)| Some((name, value?))).collect())
}

/// The attributes asked for: by name, by prefix (`prefix.*`), or all (`All`, `.*`).
fn message_attributes(request: &Receive, kept: Option<&str>) -> Result<BTreeMap<String, MessageAttribute>, SqsError> {
    let Some(kept) = kept else {
        return Ok(BTreeMap::new());
    };
    let mut attributes: BTreeMap<String, MessageAttribute> = serde_json::from_str(kept)?;
    attributes.retain(|name, _| {
        request.message_attribute_names.iter().any(|wanted| {
            wanted == "All"
                || wanted == name
                || wanted.strip_suffix(".*").is_some_and(|prefix| name.starts_with(prefix))
        })
    });
    Ok(attributes)
}

/// Moves a message with its id, body, attributes, group and receive count.
///
/// A FIFO target restarts the retention period, a standard target does not (see "Setting-up dead-letter queue
/// retention" in the SQS developer guide).
fn move_to_dead_letters(
    connection: &Connection,
    queue: &Queue,
    redrive: &Redrive,
    candidate: &Candidate,
    now: i64,
) -> Result<(), SqsError> {
    let target = queue_get(connection, &redrive.queue)?;
    let since = if target.settings.fifo { now } else { candidate.sent_at };
    connection
        .prepare_cached(
            "INSERT INTO messages (queue, message_id, group_id, deduplication_id, sent_at, visible_at, expires_at,
                                   receives, first_received_at, source_queue, body_md5, attributes,
                                   system_attributes, body)
             SELECT ?2, message_id, group_id, deduplication_id, ?3, ?4, ?5, receives, first_received_at, ?6, body_md5,
                    attributes, system_attributes, body
             FROM messages WHERE id = ?1",
        )?
        .execute(params![candidate.id, target.id, since, now, since + target.settings.retention_ms(), queue.name,])?;
    connection.prepare_cached("DELETE FROM messages WHERE id = ?1")?.execute([candidate.id])?;
    tracing::debug!(
        queue = %queue.name,
        target = %redrive.queue,
        message_id = %candidate.message_id,
        "message moved to the dead-letter queue"
    );
    Ok(())
}
