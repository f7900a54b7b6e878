//! The AWS JSON 1.0 protocol of SQS: request and reply bodies, and errors in the form the SDK maps to its types.
//!
//! Source: the Amazon SQS API reference and the Smithy `awsQueryCompatible` trait, which adds the
//! `x-amzn-query-error` header with the code of the older query protocol.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::ids;
use crate::writer::StoreError;

/// An error answer. `shape` names it in the body, `query_code` in the header (the SDK reads the latter).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SqsError {
    status: StatusCode,
    shape: &'static str,
    query_code: &'static str,
    message: String,
}

impl SqsError {
    fn sender(shape: &'static str, query_code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, shape, query_code, message: message.into() }
    }

    pub(crate) fn queue_does_not_exist() -> Self {
        Self::sender(
            "com.amazonaws.sqs#QueueDoesNotExist",
            "AWS.SimpleQueueService.NonExistentQueue",
            "The specified queue does not exist.",
        )
    }

    pub(crate) fn queue_name_exists(message: impl Into<String>) -> Self {
        Self::sender("com.amazonaws.sqs#QueueNameExists", "QueueAlreadyExists", message)
    }

    pub(crate) fn invalid_attribute_name(name: &str) -> Self {
        Self::sender(
            "com.amazonaws.sqs#InvalidAttributeName",
            "InvalidAttributeName",
            format!("Unknown Attribute {name}."),
        )
    }

    pub(crate) fn invalid_attribute_value(message: impl Into<String>) -> Self {
        Self::sender("com.amazonaws.sqs#InvalidAttributeValue", "InvalidAttributeValue", message)
    }

    pub(crate) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::sender("com.amazon.coral.service#InvalidParameterValueException", "InvalidParameterValue", message)
    }

    pub(crate) fn missing_parameter(name: &str) -> Self {
        Self::sender(
            "com.amazon.coral.service#MissingRequiredParameterException",
            "MissingParameter",
            format!("The request must contain the parameter {name}."),
        )
    }

    pub(crate) fn invalid_message_contents() -> Self {
        Self::sender(
            "com.amazonaws.sqs#InvalidMessageContents",
            "InvalidMessageContents",
            "The message contains characters outside the allowed set.",
        )
    }

    pub(crate) fn receipt_handle_is_invalid() -> Self {
        Self::sender(
            "com.amazonaws.sqs#ReceiptHandleIsInvalid",
            "ReceiptHandleIsInvalid",
            "The input receipt handle is invalid.",
        )
    }

    pub(crate) fn receipt_handle_expired(handle: &str) -> Self {
        Self::invalid_parameter(format!(
            "Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
        ))
    }

    pub(crate) fn message_not_in_flight() -> Self {
        Self::sender(
            "com.amazonaws.sqs#MessageNotInflight",
            "AWS.SimpleQueueService.MessageNotInflight",
            "The specified message isn't in flight.",
        )
    }

    pub(crate) fn empty_batch() -> Self {
        Self::sender(
            "com.amazonaws.sqs#EmptyBatchRequest",
            "AWS.SimpleQueueService.EmptyBatchRequest",
            "There should be at least one entry in the request.",
        )
    }

    pub(crate) fn too_many_entries(count: usize) -> Self {
        Self::sender(
            "com.amazonaws.sqs#TooManyEntriesInBatchRequest",
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            format!("Maximum number of entries per request are 10. You have sent {count}."),
        )
    }

    pub(crate) fn ids_not_distinct(id: &str) -> Self {
        Self::sender(
            "com.amazonaws.sqs#BatchEntryIdsNotDistinct",
            "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            format!("Id {id} repeated."),
        )
    }

    pub(crate) fn invalid_batch_entry_id() -> Self {
        Self::sender(
            "com.amazonaws.sqs#InvalidBatchEntryId",
            "AWS.SimpleQueueService.InvalidBatchEntryId",
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores, 80 at most.",
        )
    }

    pub(crate) fn batch_too_long(size: usize, limit: usize) -> Self {
        Self::sender(
            "com.amazonaws.sqs#BatchRequestTooLong",
            "AWS.SimpleQueueService.BatchRequestTooLong",
            format!("Batch requests cannot be longer than {limit} bytes. You have sent {size} bytes."),
        )
    }

    pub(crate) fn unsupported_operation(message: impl Into<String>) -> Self {
        Self::sender("com.amazonaws.sqs#UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation", message)
    }

    /// Whether the store failed, rather than the request.
    pub(crate) fn is_fault(&self) -> bool {
        self.status.is_server_error()
    }

    /// The same error as one entry of a batch's `Failed` list.
    pub(crate) fn into_failed(self, id: String) -> BatchFailed {
        BatchFailed {
            id,
            sender_fault: self.status == StatusCode::BAD_REQUEST,
            code: self.query_code,
            message: self.message,
        }
    }
}

impl From<StoreError> for SqsError {
    fn from(error: StoreError) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            shape: "com.amazon.coral.service#InternalFailure",
            query_code: "InternalFailure",
            message: error.to_string(),
        }
    }
}

impl From<rusqlite::Error> for SqsError {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<serde_json::Error> for SqsError {
    fn from(error: serde_json::Error) -> Self {
        Self::sender("com.amazon.coral.service#SerializationException", "MalformedInput", error.to_string())
    }
}

impl IntoResponse for SqsError {
    fn into_response(self) -> Response {
        let fault = if self.status == StatusCode::BAD_REQUEST {
            "Sender"
        } else {
            tracing::error!(error = %self.message, "SQS could not answer a request");
            "Receiver"
        };
        let body = json!({ "__type": self.shape, "message": self.message }).to_string();
        let mut response = json_response(self.status, body);
        if let Ok(value) = HeaderValue::from_str(&format!("{};{fault}", self.query_code)) {
            response.headers_mut().insert("x-amzn-query-error", value);
        }
        response
    }
}

/// A reply in the protocol's content type with a request id, which the SDK logs.
pub(crate) fn json_response(status: StatusCode, body: String) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
    if let Ok(id) = HeaderValue::from_str(&ids::unique_uuid()) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateQueue {
    pub(crate) queue_name: String,
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetQueueUrl {
    pub(crate) queue_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListQueues {
    #[serde(default)]
    pub(crate) queue_name_prefix: String,
}

/// `PurgeQueue` and `DeleteQueue`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OfQueue {
    pub(crate) queue_url: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetQueueAttributes {
    pub(crate) queue_url: String,
    #[serde(default)]
    pub(crate) attribute_names: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SetQueueAttributes {
    pub(crate) queue_url: String,
    pub(crate) attributes: BTreeMap<String, String>,
}

/// The three message operations that come alone and in batches.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OneOf<E> {
    pub(crate) queue_url: String,
    #[serde(flatten)]
    pub(crate) entry: E,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BatchOf<E> {
    pub(crate) queue_url: String,
    #[serde(default = "Vec::new")]
    pub(crate) entries: Vec<BatchEntry<E>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BatchEntry<E> {
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) entry: E,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Send {
    #[serde(default)]
    pub(crate) message_body: String,
    pub(crate) delay_seconds: Option<i64>,
    #[serde(default)]
    pub(crate) message_attributes: BTreeMap<String, MessageAttribute>,
    #[serde(default)]
    pub(crate) message_system_attributes: BTreeMap<String, MessageAttribute>,
    pub(crate) message_group_id: Option<String>,
    pub(crate) message_deduplication_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Delete {
    pub(crate) receipt_handle: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ChangeVisibility {
    pub(crate) receipt_handle: String,
    pub(crate) visibility_timeout: Option<i64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Receive {
    pub(crate) queue_url: String,
    pub(crate) max_number_of_messages: Option<i64>,
    pub(crate) visibility_timeout: Option<i64>,
    pub(crate) wait_time_seconds: Option<i64>,
    /// The older name of `MessageSystemAttributeNames`.
    #[serde(default)]
    pub(crate) attribute_names: Vec<String>,
    #[serde(default)]
    pub(crate) message_system_attribute_names: Vec<String>,
    #[serde(default)]
    pub(crate) message_attribute_names: Vec<String>,
}

/// One message attribute. `binary_value` stays in base64, as it travels.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MessageAttribute {
    pub(crate) data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) string_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) binary_value: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sent {
    #[serde(rename = "MessageId")]
    pub(crate) message_id: String,
    #[serde(rename = "MD5OfMessageBody")]
    pub(crate) body_md5: String,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    pub(crate) attributes_md5: Option<String>,
    #[serde(rename = "MD5OfMessageSystemAttributes", skip_serializing_if = "Option::is_none")]
    pub(crate) system_attributes_md5: Option<String>,
    #[serde(rename = "SequenceNumber", skip_serializing_if = "Option::is_none")]
    pub(crate) sequence_number: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Message {
    #[serde(rename = "MessageId")]
    pub(crate) message_id: String,
    #[serde(rename = "ReceiptHandle")]
    pub(crate) receipt_handle: String,
    #[serde(rename = "MD5OfBody")]
    pub(crate) body_md5: String,
    #[serde(rename = "Body")]
    pub(crate) body: String,
    #[serde(rename = "Attributes", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attributes: BTreeMap<&'static str, String>,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    pub(crate) attributes_md5: Option<String>,
    #[serde(rename = "MessageAttributes", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) message_attributes: BTreeMap<String, MessageAttribute>,
}

/// A batch's reply: what succeeded and what failed, each entry under its id.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BatchReply<T> {
    pub(crate) successful: Vec<BatchSucceeded<T>>,
    pub(crate) failed: Vec<BatchFailed>,
}

#[derive(Debug, Serialize)]
pub(crate) struct BatchSucceeded<T> {
    #[serde(rename = "Id")]
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) reply: T,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BatchFailed {
    pub(crate) id: String,
    pub(crate) sender_fault: bool,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// An empty reply: `{}`.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Empty {}
