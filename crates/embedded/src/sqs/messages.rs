//! What happens to messages inside a transaction: send with deduplication, delete, and change of visibility.

use rusqlite::{Connection, OptionalExtension, params};

use crate::ids;
use crate::sqs::digest;
use crate::sqs::protocol::{ChangeVisibility, Delete, Send, Sent, SqsError};
use crate::sqs::settings::{MAX_DELAY_SECONDS, MAX_VISIBILITY_SECONDS};
use crate::sqs::store::Queue;

/// How long a FIFO queue remembers a deduplication id, whatever became of the message. Source: "Using the message
/// deduplication ID" in the SQS developer guide.
const DEDUPLICATION_MS: i64 = 5 * 60 * 1000;

/// The bytes that count against the limits of a message and of a batch.
pub(crate) fn size(message: &Send) -> Result<usize, SqsError> {
    Ok(message.message_body.len() + digest::attributes_size(&message.message_attributes)?)
}

/// Stores one message, or finds the one that it repeats.
pub(crate) fn send(connection: &Connection, queue: &Queue, message: Send, now: i64) -> Result<Sent, SqsError> {
    check_contents(queue, &message)?;
    let delay_ms = delay_ms(queue, &message)?;
    let group = group_id(queue, &message)?;
    let deduplication = deduplication_id(queue, &message)?;
    let body_md5 = digest::body_md5(&message.message_body);
    let attributes_md5 = digest::attributes_md5(&message.message_attributes)?;
    let system_attributes_md5 = digest::attributes_md5(&message.message_system_attributes)?;
    let sent = |message_id: String, sequence: i64| Sent {
        message_id,
        body_md5: body_md5.clone(),
        attributes_md5: attributes_md5.clone(),
        system_attributes_md5: system_attributes_md5.clone(),
        sequence_number: queue.settings.fifo.then(|| sequence_number(sequence)),
    };

    // In a queue that deduplicates per group, the same id in two groups names two messages.
    let remembered_as = deduplication.as_deref().map(|id| match &group {
        Some(group) if queue.settings.deduplicates_per_group() => format!("{group}\u{0}{id}"),
        _ => id.to_owned(),
    });
    if let Some(key) = &remembered_as
        && let Some((message_id, sequence)) = repeated(connection, queue, key, now)?
    {
        return Ok(sent(message_id, sequence));
    }

    let message_id = ids::unique_uuid();
    connection
        .prepare_cached(
            "INSERT INTO messages (queue, message_id, group_id, deduplication_id, sent_at, visible_at, expires_at,
                                   body_md5, attributes, system_attributes, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            queue.id,
            message_id,
            group,
            deduplication,
            now,
            now + delay_ms,
            now + queue.settings.retention_ms(),
            body_md5,
            to_json_unless_empty(&message.message_attributes)?,
            to_json_unless_empty(&message.message_system_attributes)?,
            message.message_body,
        ])?;
    let sequence = connection.last_insert_rowid();
    if let Some(key) = &remembered_as {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO deduplications (queue, deduplication_id, message_id, sequence, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![queue.id, key, message_id, sequence, now + DEDUPLICATION_MS])?;
    }
    Ok(sent(message_id, sequence))
}

/// Deletes a message. One that is gone already counts as deleted.
///
/// In a FIFO queue the handle must be of the latest receive and its visibility timeout must still run; a standard
/// queue ignores a stale handle and keeps the message.
pub(crate) fn delete(connection: &Connection, queue: &Queue, request: &Delete, now: i64) -> Result<(), SqsError> {
    let handle = &request.receipt_handle;
    let receipt = Receipt::parse(handle, queue)?;
    let Some(held) = held(connection, queue, receipt)? else {
        return Ok(());
    };
    let latest = held.receives == receipt.receives;
    if queue.settings.fifo && !(latest && held.visible_at > now) {
        return Err(SqsError::receipt_handle_expired(handle));
    }
    if latest {
        connection.prepare_cached("DELETE FROM messages WHERE id = ?1")?.execute([receipt.message])?;
    }
    Ok(())
}

/// Makes a message in flight visible again after the given seconds from now; zero is at once.
pub(crate) fn change_visibility(
    connection: &Connection,
    queue: &Queue,
    request: &ChangeVisibility,
    now: i64,
) -> Result<(), SqsError> {
    let handle = &request.receipt_handle;
    let receipt = Receipt::parse(handle, queue)?;
    let seconds = request.visibility_timeout.ok_or_else(|| SqsError::missing_parameter("VisibilityTimeout"))?;
    check_visibility_timeout(seconds)?;
    let Some(held) = held(connection, queue, receipt)? else {
        return Err(SqsError::invalid_parameter(format!(
            "Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not \
             available for visibility timeout change."
        )));
    };
    if held.receives != receipt.receives {
        return Err(SqsError::receipt_handle_expired(handle));
    }
    if held.visible_at <= now {
        return Err(SqsError::message_not_in_flight());
    }
    connection
        .prepare_cached("UPDATE messages SET visible_at = ?2 WHERE id = ?1")?
        .execute(params![receipt.message, now + seconds * 1000])?;
    Ok(())
}

pub(crate) fn check_visibility_timeout(seconds: i64) -> Result<(), SqsError> {
    if (0..=MAX_VISIBILITY_SECONDS).contains(&seconds) {
        return Ok(());
    }
    Err(SqsError::invalid_parameter(format!(
        "Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and \
         {MAX_VISIBILITY_SECONDS}, if provided."
    )))
}

/// The 20 digits of a FIFO message's sequence number. They grow within the file, hence within every group.
pub(crate) fn sequence_number(row: i64) -> String {
    format!("{row:020}")
}

/// Which message was received, and at which of its receives. Sent as hexadecimal: callers must not read it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Receipt {
    pub(crate) queue: i64,
    pub(crate) message: i64,
    pub(crate) receives: i64,
}

impl Receipt {
    pub(crate) fn to_handle(self) -> String {
        hex::encode(format!("{}.{}.{}", self.queue, self.message, self.receives))
    }

    fn parse(handle: &str, queue: &Queue) -> Result<Self, SqsError> {
        let invalid = SqsError::receipt_handle_is_invalid;
        let bytes = hex::decode(handle).map_err(|_| invalid())?;
        let text = String::from_utf8(bytes).map_err(|_| invalid())?;
        let mut numbers = text.split('.').map(str::parse);
        let (Some(Ok(of)), Some(Ok(message)), Some(Ok(receives)), None) =
            (numbers.next(), numbers.next(), numbers.next(), numbers.next())
        else {
            return Err(invalid());
        };
        if of != queue.id {
            return Err(invalid());
        }
        Ok(Self { queue: of, message, receives })
    }
}

struct Held {
    receives: i64,
    visible_at: i64,
}

fn held(connection: &Connection, queue: &Queue, receipt: Receipt) -> Result<Option<Held>, SqsError> {
    let held = connection
        .prepare_cached("SELECT receives, visible_at FROM messages WHERE id = ?1 AND queue = ?2")?
        .query_row([receipt.message, queue.id], |row| Ok(Held { receives: row.get(0)?, visible_at: row.get(1)? }))
        .optional()?;
    Ok(held)
}

fn repeated(connection: &Connection, queue: &Queue, key: &str, now: i64) -> Result<Option<(String, i64)>, SqsError> {
    let original = connection
        .prepare_cached(
            "SELECT message_id, sequence FROM deduplications
             WHERE queue = ?1 AND deduplication_id = ?2 AND expires_at > ?3",
        )?
        .query_row(params![queue.id, key, now], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(original)
}

fn check_contents(queue: &Queue, message: &Send) -> Result<(), SqsError> {
    if message.message_body.is_empty() {
        return Err(SqsError::missing_parameter("MessageBody"));
    }
    // Source: `SendMessage` in the API reference. Rust's `char` has no surrogates to exclude.
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    if !message.message_body.chars().all(allowed) {
        return Err(SqsError::invalid_message_contents());
    }
    if message.message_attributes.len() > 10 {
        return Err(SqsError::invalid_parameter("Number of message attributes exceeds the allowed maximum 10."));
    }
    let limit = queue.settings.max_message_bytes();
    if size(message)? > limit {
        return Err(SqsError::invalid_parameter(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
        )));
    }
    Ok(())
}

fn delay_ms(queue: &Queue, message: &Send) -> Result<i64, SqsError> {
    match message.delay_seconds {
        None => Ok(queue.settings.delay_ms()),
        // AWS lets a FIFO sender say zero, which means what it would do anyway.
        Some(0) if queue.settings.fifo => Ok(queue.settings.delay_ms()),
        Some(seconds) if queue.settings.fifo => Err(SqsError::invalid_parameter(format!(
            "Value {seconds} for parameter DelaySeconds is invalid. Reason: The request include parameter that is \
             not valid for this queue type."
        ))),
        Some(seconds) if (0..=MAX_DELAY_SECONDS).contains(&seconds) => Ok(seconds * 1000),
        Some(seconds) => Err(SqsError::invalid_parameter(format!(
            "Value {seconds} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= \
             {MAX_DELAY_SECONDS}."
        ))),
    }
}

/// Required in a FIFO queue. A standard queue keeps it (AWS uses it for fair sharing) and orders nothing by it.
fn group_id(queue: &Queue, message: &Send) -> Result<Option<String>, SqsError> {
    let Some(group) = &message.message_group_id else {
        return if queue.settings.fifo { Err(SqsError::missing_parameter("MessageGroupId")) } else { Ok(None) };
    };
    check_id("MessageGroupId", group)?;
    Ok(Some(group.clone()))
}

fn deduplication_id(queue: &Queue, message: &Send) -> Result<Option<String>, SqsError> {
    match &message.message_deduplication_id {
        Some(_) if !queue.settings.fifo => Err(SqsError::invalid_parameter(
            "The request include parameter MessageDeduplicationId that is not valid for this queue type.",
        )),
        Some(id) => {
            check_id("MessageDeduplicationId", id)?;
            Ok(Some(id.clone()))
        }
        None if !queue.settings.fifo => Ok(None),
        None if queue.settings.content_based_deduplication() => Ok(Some(digest::body_sha256(&message.message_body))),
        None => Err(SqsError::invalid_parameter(
            "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided \
             explicitly.",
        )),
    }
}

/// 1 to 128 printable ASCII characters without the space.
fn check_id(name: &str, id: &str) -> Result<(), SqsError> {
    if id.is_empty() || id.len() > 128 || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SqsError::invalid_parameter(format!(
            "Value {id} for parameter {name} is invalid. Reason: {name} can only include alphanumeric and \
             punctuation characters. 1 to 128 in length."
        )));
    }
    Ok(())
}

fn to_json_unless_empty<T: serde::Serialize>(
    attributes: &std::collections::BTreeMap<String, T>,
) -> Result<Option<String>, SqsError> {
    if attributes.is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::to_string(attributes)?))
}
