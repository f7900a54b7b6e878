//! Messages, as they are sent, kept and given out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::refusal::Refusal;

/// One message attribute. Its binary value is in base64, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Attribute {
    pub(crate) data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) string_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) binary_value: Option<String>,
}

/// What a sender gives.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Draft {
    #[serde(default)]
    pub(crate) message_body: String,
    #[serde(default)]
    pub(crate) message_attributes: BTreeMap<String, Attribute>,
    #[serde(default)]
    pub(crate) message_group_id: String,
    pub(crate) message_deduplication_id: Option<String>,
    #[serde(default)]
    pub(crate) delay_seconds: i64,
}

/// A message in a queue. In flight while it was received at least once and is not visible.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) group: String,
    pub(crate) deduplication_id: String,
    pub(crate) attributes: BTreeMap<String, Attribute>,
    pub(crate) sent_at: Instant,
    pub(crate) visible_at: Instant,
    pub(crate) receives: u32,
}

impl Message {
    pub(crate) fn is_hidden(&self, now: Instant) -> bool {
        self.visible_at > now
    }

    pub(crate) fn is_in_flight(&self, now: Instant) -> bool {
        self.receives > 0 && self.is_hidden(now)
    }
}

/// A message that was given out, and what deletes it.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) message: Message,
    pub(crate) receipt: Receipt,
}

/// Which message was received, and at which of its receives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receipt {
    pub(crate) sequence: u64,
    pub(crate) receives: u32,
}

impl Receipt {
    pub(crate) fn to_handle(self, queue: &str) -> String {
        format!("{queue}.{}.{}", self.sequence, self.receives)
    }

    pub(crate) fn parse(handle: &str, queue: &str) -> Result<Receipt, Refusal> {
        let numbers = handle.strip_prefix(queue).and_then(|rest| rest.strip_prefix('.')?.split_once('.'));
        let receipt = numbers.and_then(|(sequence, receives)| {
            Some(Receipt { sequence: sequence.parse().ok()?, receives: receives.parse().ok()? })
        });
        receipt.ok_or_else(Refusal::receipt_handle_is_invalid)
    }
}

const LONGEST_BODY: usize = 1024 * 1024;

impl Draft {
    /// What SQS asks of a message of any queue.
    fn check_content(&self) -> Result<(), Refusal> {
        let size = self.message_body.len();
        if !(1..=LONGEST_BODY).contains(&size) {
            return Err(Refusal::invalid_parameter(format!("A body has 1 to {LONGEST_BODY} bytes, not {size}.")));
        }
        // Source: `SendMessage` in the API reference. Rust's `char` has no surrogates to exclude.
        let is_allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
        let values = self.message_attributes.values().filter_map(|attribute| attribute.string_value.as_deref());
        if !values.chain([self.message_body.as_str()]).all(|text| text.chars().all(is_allowed)) {
            return Err(Refusal::invalid_message_contents());
        }
        for (name, attribute) in &self.message_attributes {
            let is_text = matches!(attribute.data_type.split('.').next(), Some("String" | "Number"));
            let value = if is_text { &attribute.string_value } else { &attribute.binary_value };
            if value.as_ref().is_none_or(String::is_empty) {
                return Err(Refusal::invalid_parameter(format!("The message attribute '{name}' has no value.")));
            }
        }
        Ok(())
    }

    /// What SQS asks of a message of a standard queue.
    pub(crate) fn check_standard(&self) -> Result<(), Refusal> {
        self.check_content()?;
        if self.message_deduplication_id.is_some() || !self.message_group_id.is_empty() {
            return Err(Refusal::invalid_parameter("Deduplication ids and groups are for FIFO queues."));
        }
        if !(0..=900).contains(&self.delay_seconds) {
            return Err(Refusal::invalid_parameter("DelaySeconds must be >= 0 and <= 900."));
        }
        Ok(())
    }

    /// What SQS asks of a message of a FIFO queue.
    pub(crate) fn check(&self) -> Result<&str, Refusal> {
        self.check_content()?;
        if self.delay_seconds != 0 {
            return Err(Refusal::invalid_parameter("A message of a FIFO queue has no delay of its own."));
        }
        check_id("MessageGroupId", &self.message_group_id)?;
        let deduplication = self.message_deduplication_id.as_deref().unwrap_or_default();
        check_id("MessageDeduplicationId", deduplication)?;
        Ok(deduplication)
    }
}

/// 1 to 128 printable ASCII characters without the space.
fn check_id(name: &str, id: &str) -> Result<(), Refusal> {
    if (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Refusal::invalid_parameter(format!(
        "Value {id} for parameter {name} is invalid. Reason: {name} can only include alphanumeric and punctuation \
         characters. 1 to 128 in length."
    )))
}
