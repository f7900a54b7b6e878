//! The requests of SQS.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::message::{Draft, Receipt};
use super::refusal::Refusal;

pub(crate) enum Request {
    CreateQueue(CreateQueue),
    GetQueueUrl(CreateQueue),
    GetQueueAttributes(GetQueueAttributes),
    Send(OneOf<Draft>),
    SendBatch(BatchOf<Draft>),
    Receive(Receive),
    Delete(OneOf<Handle>),
    DeleteBatch(BatchOf<Handle>),
    Release(OneOf<Handle>),
    ReleaseBatch(BatchOf<Handle>),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateQueue {
    pub(crate) queue_name: String,
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetQueueAttributes {
    pub(crate) queue_url: String,
    #[serde(default)]
    pub(crate) attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OneOf<E> {
    pub(crate) queue_url: String,
    #[serde(flatten)]
    pub(crate) entry: E,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BatchOf<E> {
    pub(crate) queue_url: String,
    #[serde(default = "Vec::new")]
    pub(crate) entries: Vec<Entry<E>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Entry<E> {
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) entry: E,
}

/// What a delete or a change of visibility names.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Handle {
    pub(crate) receipt_handle: String,
    pub(crate) visibility_timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
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

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::malformed(format!("The request is not known: {error}")))
}

/// The queue's name in its address.
pub(crate) fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

impl Request {
    pub(crate) fn parse(operation: &str, body: &[u8]) -> Result<Request, Refusal> {
        Ok(match operation {
            "CreateQueue" => Request::CreateQueue(parse(body)?),
            "GetQueueUrl" => Request::GetQueueUrl(parse(body)?),
            "GetQueueAttributes" => Request::GetQueueAttributes(parse(body)?),
            "SendMessage" => Request::Send(parse(body)?),
            "SendMessageBatch" => Request::SendBatch(parse(body)?),
            "ReceiveMessage" => Request::Receive(parse(body)?),
            "DeleteMessage" => Request::Delete(parse(body)?),
            "DeleteMessageBatch" => Request::DeleteBatch(parse(body)?),
            "ChangeMessageVisibility" => Request::Release(parse(body)?),
            "ChangeMessageVisibilityBatch" => Request::ReleaseBatch(parse(body)?),
            _ => return Err(Refusal::not_simulated(operation)),
        })
    }

    /// The queue, and what of it is meant: a group, or the sequence number of a message.
    pub(crate) fn key(&self) -> String {
        let sent = |url: &str, draft: Option<&Draft>| {
            format!("{} {}", name_of(url), draft.map(|draft| draft.message_group_id.as_str()).unwrap_or_default())
        };
        let held = |url: &str, handle: Option<&Handle>| {
            let name = name_of(url);
            let receipt = handle.and_then(|handle| Receipt::parse(&handle.receipt_handle, name).ok());
            format!("{name} {}", receipt.map(|receipt| receipt.sequence.to_string()).unwrap_or_default())
        };
        match self {
            Request::CreateQueue(of) | Request::GetQueueUrl(of) => of.queue_name.clone(),
            Request::GetQueueAttributes(of) => name_of(&of.queue_url).to_owned(),
            Request::Receive(of) => name_of(&of.queue_url).to_owned(),
            Request::Send(one) => sent(&one.queue_url, Some(&one.entry)),
            Request::SendBatch(batch) => sent(&batch.queue_url, batch.entries.first().map(|entry| &entry.entry)),
            Request::Delete(one) | Request::Release(one) => held(&one.queue_url, Some(&one.entry)),
            Request::DeleteBatch(batch) | Request::ReleaseBatch(batch) => {
                held(&batch.queue_url, batch.entries.first().map(|entry| &entry.entry))
            }
        }
    }
}
