//! A queue's attributes: their defaults, their bounds, and what the store reads of them.
//!
//! Source of names, defaults and bounds: `CreateQueue` in the Amazon SQS API reference.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::sqs::protocol::SqsError;

/// Body and attributes of one message, and of all messages of a batch together, in bytes.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

pub(crate) const MAX_VISIBILITY_SECONDS: i64 = 43_200;
pub(crate) const MAX_DELAY_SECONDS: i64 = 900;
pub(crate) const MAX_WAIT_SECONDS: i64 = 20;

/// Name, default and bounds of the numeric attributes, all in seconds but the size.
const NUMBERS: [(&str, i64, i64, i64); 5] = [
    ("VisibilityTimeout", 30, 0, MAX_VISIBILITY_SECONDS),
    ("DelaySeconds", 0, 0, MAX_DELAY_SECONDS),
    ("MessageRetentionPeriod", 345_600, 60, 1_209_600),
    ("ReceiveMessageWaitTimeSeconds", 0, 0, MAX_WAIT_SECONDS),
    ("MaximumMessageSize", MAX_MESSAGE_BYTES as i64, 1024, MAX_MESSAGE_BYTES as i64),
];

/// Kept and returned, without effect here.
const INERT: [&str; 6] = [
    "Policy",
    "RedriveAllowPolicy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
    "FifoThroughputLimit",
];

/// Where messages go after `max_receives` receives without a delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redrive {
    pub(crate) queue: String,
    pub(crate) max_receives: i64,
}

/// A queue's attributes, with the defaults filled in.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    values: BTreeMap<String, String>,
    pub(crate) fifo: bool,
    pub(crate) redrive: Option<Redrive>,
}

#[derive(Deserialize)]
struct RedrivePolicy {
    #[serde(rename = "deadLetterTargetArn")]
    target: String,
    #[serde(rename = "maxReceiveCount")]
    max_receives: serde_json::Value,
}

impl Settings {
    /// The settings that `CreateQueue` asks for, or the error it answers.
    pub(crate) fn create(name: &str, given: &BTreeMap<String, String>) -> Result<Self, SqsError> {
        check_name(name)?;
        let fifo = given.get("FifoQueue").is_some_and(|value| value == "true");
        if fifo != name.ends_with(".fifo") {
            return Err(SqsError::invalid_parameter(
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must \
                 end with .fifo suffix and be 1 to 80 in length.",
            ));
        }
        Self::default_of(fifo).with(given)
    }

    fn default_of(fifo: bool) -> Self {
        let mut values: BTreeMap<String, String> =
            NUMBERS.iter().map(|(name, default, ..)| ((*name).to_owned(), default.to_string())).collect();
        if fifo {
            values.insert("FifoQueue".into(), "true".into());
            values.insert("ContentBasedDeduplication".into(), "false".into());
            values.insert("DeduplicationScope".into(), "queue".into());
            values.insert("FifoThroughputLimit".into(), "perQueue".into());
        }
        Self { values, fifo, redrive: None }
    }

    /// The settings as the store kept them.
    pub(crate) fn stored(json: &str) -> Result<Self, SqsError> {
        let values: BTreeMap<String, String> = serde_json::from_str(json)?;
        let fifo = values.contains_key("FifoQueue");
        let redrive = values.get("RedrivePolicy").map(|policy| redrive(policy)).transpose()?;
        Ok(Self { values, fifo, redrive })
    }

    /// These settings after `SetQueueAttributes` with `given`.
    pub(crate) fn with(mut self, given: &BTreeMap<String, String>) -> Result<Self, SqsError> {
        for (name, value) in given {
            let invalid = || SqsError::invalid_attribute_value(format!("Invalid value for the parameter {name}."));
            if let Some((_, _, least, most)) = NUMBERS.iter().find(|(known, ..)| known == name) {
                let number: i64 = value.parse().map_err(|_| invalid())?;
                if number < *least || number > *most {
                    return Err(invalid());
                }
            } else if name == "RedrivePolicy" {
                if value.is_empty() {
                    self.redrive = None;
                    self.values.remove(name);
                    continue;
                }
                self.redrive = Some(redrive(value)?);
            } else if matches!(name.as_str(), "FifoQueue" | "ContentBasedDeduplication") {
                let on: bool = value.parse().map_err(|_| invalid())?;
                if !self.fifo {
                    if on {
                        return Err(SqsError::invalid_attribute_name(name));
                    }
                    continue;
                }
                if name == "FifoQueue" && !on {
                    return Err(invalid());
                }
            } else if name == "DeduplicationScope" {
                if !self.fifo {
                    return Err(SqsError::invalid_attribute_name(name));
                }
                if !matches!(value.as_str(), "queue" | "messageGroup") {
                    return Err(invalid());
                }
            } else if !INERT.contains(&name.as_str()) {
                return Err(SqsError::invalid_attribute_name(name));
            }
            self.values.insert(name.clone(), value.clone());
        }
        Ok(self)
    }

    /// Whether `given` asks for a value that these settings do not have.
    pub(crate) fn differ_from(&self, given: &BTreeMap<String, String>) -> Option<String> {
        let differs = |(name, value): &(&String, &String)| {
            let have = self.values.get(*name);
            have != Some(*value) && !(have.is_none() && matches!(value.as_str(), "" | "false"))
        };
        given.iter().find(differs).map(|(name, _)| name.clone())
    }

    pub(crate) fn to_json(&self) -> Result<String, SqsError> {
        Ok(serde_json::to_string(&self.values)?)
    }

    pub(crate) fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    pub(crate) fn visibility_ms(&self) -> i64 {
        self.number("VisibilityTimeout") * 1000
    }

    pub(crate) fn delay_ms(&self) -> i64 {
        self.number("DelaySeconds") * 1000
    }

    pub(crate) fn retention_ms(&self) -> i64 {
        self.number("MessageRetentionPeriod") * 1000
    }

    pub(crate) fn wait_seconds(&self) -> i64 {
        self.number("ReceiveMessageWaitTimeSeconds")
    }

    pub(crate) fn max_message_bytes(&self) -> usize {
        usize::try_from(self.number("MaximumMessageSize")).unwrap_or(MAX_MESSAGE_BYTES)
    }

    pub(crate) fn content_based_deduplication(&self) -> bool {
        self.is("ContentBasedDeduplication", "true")
    }

    pub(crate) fn deduplicates_per_group(&self) -> bool {
        self.is("DeduplicationScope", "messageGroup")
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.values.get(name).is_some_and(|have| have == value)
    }

    /// Values are checked before they are kept, so a missing or odd one is a file of an older build.
    fn number(&self, name: &str) -> i64 {
        let kept = self.values.get(name).and_then(|value| value.parse().ok());
        kept.or_else(|| NUMBERS.iter().find(|(known, ..)| *known == name).map(|(_, default, ..)| *default))
            .unwrap_or_default()
    }
}

fn check_name(name: &str) -> Result<(), SqsError> {
    let stem = name.strip_suffix(".fifo").unwrap_or(name);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if stem.is_empty() || name.len() > 80 || !stem.chars().all(allowed) {
        return Err(SqsError::invalid_parameter(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.",
        ));
    }
    Ok(())
}

fn redrive(policy: &str) -> Result<Redrive, SqsError> {
    let invalid =
        || SqsError::invalid_attribute_value(format!("Value {policy} for parameter RedrivePolicy is invalid."));
    let policy: RedrivePolicy = serde_json::from_str(policy).map_err(|_| invalid())?;
    // Consoles and templates write the count as a number or as a string; SQS takes both.
    let max_receives = match &policy.max_receives {
        serde_json::Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    };
    let max_receives = max_receives.filter(|count| (1..=1000).contains(count)).ok_or_else(invalid)?;
    let queue = policy.target.rsplit(':').next().filter(|name| !name.is_empty()).ok_or_else(invalid)?;
    Ok(Redrive { queue: queue.to_owned(), max_receives })
}
