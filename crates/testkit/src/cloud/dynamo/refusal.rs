//! What DynamoDB refuses, in the form that the SDK recognises.

use serde::Serialize;
use serde_json::{Value, json};

use super::item::Item;
use crate::cloud::connector::Answer;

pub(crate) const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    kind: &'static str,
    body: Value,
}

/// Why one action of a transaction did not hold; `None` if it did.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reason {
    pub(crate) code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) item: Option<Item>,
}

const CONDITION_FAILED: &str = "The conditional request failed";

impl Reason {
    pub(crate) fn held() -> Reason {
        Reason { code: "None", message: None, item: None }
    }

    /// With the item as it was, if that was asked for.
    pub(crate) fn failed(item: Option<Item>) -> Reason {
        Reason { code: "ConditionalCheckFailed", message: Some(CONDITION_FAILED), item }
    }
}

impl Refusal {
    fn new(kind: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { kind, body: json!({ "message": message.into() }) }
    }

    pub(crate) fn validation(message: impl Into<String>) -> Refusal {
        Refusal::new("ValidationException", message)
    }

    pub(crate) fn no_such_table(table: &str) -> Refusal {
        Refusal::new("ResourceNotFoundException", format!("Requested resource not found: Table: {table} not found"))
    }

    pub(crate) fn table_exists(table: &str) -> Refusal {
        Refusal::new("ResourceInUseException", format!("Table already exists: {table}"))
    }

    pub(crate) fn other_request_with_the_token() -> Refusal {
        Refusal::new("IdempotentParameterMismatchException", "The token was used for a request with other parameters")
    }

    pub(crate) fn condition_failed(item: Option<Item>) -> Refusal {
        let mut refusal = Refusal::new("ConditionalCheckFailedException", CONDITION_FAILED);
        if let Some(item) = item {
            refusal.body["Item"] = json!(item);
        }
        refusal
    }

    pub(crate) fn cancelled(reasons: &[Reason]) -> Refusal {
        let codes: Vec<&str> = reasons.iter().map(|reason| reason.code).collect();
        let message = format!(
            "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
            codes.join(", ")
        );
        let body = json!({ "Message": message, "CancellationReasons": reasons });
        Refusal { kind: "TransactionCanceledException", body }
    }

    pub(crate) fn into_answer(mut self) -> Answer {
        self.body["__type"] = json!(format!("com.amazonaws.dynamodb.v20120810#{}", self.kind));
        Answer::new(400, CONTENT_TYPE, self.body.to_string().into_bytes())
    }
}
