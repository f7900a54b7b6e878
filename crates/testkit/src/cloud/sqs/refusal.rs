//! What SQS refuses, in the form that the SDK recognises.

use serde_json::{Value, json};

use crate::cloud::connector::Answer;

pub(crate) const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// An error: its shape for the body, and the code of the older protocol for the header, which the SDK reads.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    shape: &'static str,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(shape: &'static str, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { shape, code, message: message.into() }
    }

    pub(crate) fn no_such_queue(name: &str) -> Refusal {
        let code = "AWS.SimpleQueueService.NonExistentQueue";
        Refusal::new("com.amazonaws.sqs#QueueDoesNotExist", code, format!("The specified queue {name} does not exist."))
    }

    pub(crate) fn queue_exists() -> Refusal {
        let message = "A queue already exists with the same name and different attributes";
        Refusal::new("com.amazonaws.sqs#QueueNameExists", "QueueAlreadyExists", message)
    }

    pub(crate) fn invalid_parameter(message: impl Into<String>) -> Refusal {
        let shape = "com.amazon.coral.service#InvalidParameterValueException";
        Refusal::new(shape, "InvalidParameterValue", message)
    }

    pub(crate) fn invalid_message_contents() -> Refusal {
        let message = "The message contains characters outside the allowed set.";
        Refusal::new("com.amazonaws.sqs#InvalidMessageContents", "InvalidMessageContents", message)
    }

    pub(crate) fn receipt_handle_is_invalid() -> Refusal {
        let message = "The input receipt handle is invalid.";
        Refusal::new("com.amazonaws.sqs#ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", message)
    }

    pub(crate) fn receipt_handle_has_expired() -> Refusal {
        let reason = "Reason: The receipt handle has expired.";
        Refusal::invalid_parameter(format!("The value for parameter ReceiptHandle is invalid. {reason}"))
    }

    pub(crate) fn not_in_flight() -> Refusal {
        let code = "AWS.SimpleQueueService.MessageNotInflight";
        Refusal::new("com.amazonaws.sqs#MessageNotInflight", code, "The specified message isn't in flight.")
    }

    pub(crate) fn batch(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal::new("com.amazonaws.sqs#BatchRequestRefused", code, message)
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Refusal {
        Refusal::new("com.amazon.coral.service#SerializationException", "MalformedInput", message)
    }

    pub(crate) fn not_simulated(operation: &str) -> Refusal {
        let code = "AWS.SimpleQueueService.UnsupportedOperation";
        Refusal::new("com.amazonaws.sqs#UnsupportedOperation", code, format!("{operation} is not simulated"))
    }

    /// The same error as one of a batch's failures.
    pub(crate) fn to_failed(&self, id: &str) -> Value {
        json!({ "Id": id, "SenderFault": true, "Code": self.code, "Message": self.message })
    }

    pub(crate) fn into_answer(self) -> Answer {
        let body = json!({ "__type": self.shape, "message": self.message });
        let answer = Answer::new(400, CONTENT_TYPE, body.to_string().into_bytes());
        answer.with("x-amzn-query-error", format!("{};Sender", self.code))
    }
}
