//! The digests of SQS: MD5 of body and attributes, which SDKs check, and SHA-256 for content-based deduplication.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use sha2::Sha256;

use crate::sqs::protocol::{MessageAttribute, SqsError};

/// MD5 of a message body, in hexadecimal.
pub(crate) fn body_md5(body: &str) -> String {
    hex::encode(Md5::digest(body.as_bytes()))
}

/// The deduplication id of a body in a queue with `ContentBasedDeduplication`.
pub(crate) fn body_sha256(body: &str) -> String {
    hex::encode(Sha256::digest(body.as_bytes()))
}

/// MD5 of attributes sorted by name; none if there are none.
///
/// Each is its name, its data type, a byte that says text or binary, and its value, each part after its length as
/// four bytes. Source: "Calculating the MD5 message digest for message attributes" in the SQS developer guide.
pub(crate) fn attributes_md5(attributes: &BTreeMap<String, MessageAttribute>) -> Result<Option<String>, SqsError> {
    const TEXT: u8 = 1;
    const BINARY: u8 = 2;
    if attributes.is_empty() {
        return Ok(None);
    }
    let mut digest = Md5::new();
    for (name, attribute) in attributes {
        update_with_length(&mut digest, name.as_bytes());
        update_with_length(&mut digest, attribute.data_type.as_bytes());
        match value_of(name, attribute)? {
            Value::Text(text) => {
                digest.update([TEXT]);
                update_with_length(&mut digest, text.as_bytes());
            }
            Value::Binary(bytes) => {
                digest.update([BINARY]);
                update_with_length(&mut digest, &bytes);
            }
        }
    }
    Ok(Some(hex::encode(digest.finalize())))
}

/// What the attributes count against the message's size: names, types and values.
pub(crate) fn attributes_size(attributes: &BTreeMap<String, MessageAttribute>) -> Result<usize, SqsError> {
    let mut size = 0;
    for (name, attribute) in attributes {
        let value = match value_of(name, attribute)? {
            Value::Text(text) => text.len(),
            Value::Binary(bytes) => bytes.len(),
        };
        size += name.len() + attribute.data_type.len() + value;
    }
    Ok(size)
}

enum Value<'a> {
    Text(&'a str),
    Binary(Vec<u8>),
}

/// The value that the data type names: `String`, `Number` or `Binary`, each with an optional `.label`.
fn value_of<'a>(name: &str, attribute: &'a MessageAttribute) -> Result<Value<'a>, SqsError> {
    let kind = attribute.data_type.split('.').next().unwrap_or_default();
    let value = match kind {
        "String" | "Number" => attribute.string_value.as_deref().map(Value::Text),
        "Binary" => attribute.binary_value.as_deref().and_then(|value| STANDARD.decode(value).ok()).map(Value::Binary),
        _ => {
            return Err(SqsError::invalid_parameter(format!(
                "The message attribute '{name}' has an invalid message attribute type, the set of supported type \
                 prefixes is Binary, Number, and String."
            )));
        }
    };
    match value {
        None | Some(Value::Text("")) => Err(SqsError::invalid_parameter(format!(
            "The message attribute '{name}' must contain non-empty message attribute value for message attribute \
             type '{kind}'."
        ))),
        Some(value) => Ok(value),
    }
}

fn update_with_length(digest: &mut Md5, bytes: &[u8]) {
    // A value is within the 1 MiB limit of its message, or the message is refused.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    digest.update(length.to_be_bytes());
    digest.update(bytes);
}
