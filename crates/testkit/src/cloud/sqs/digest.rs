//! The digests that come with messages: SDKs compare them with what they sent or got.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest, Md5};

use super::message::Attribute;

pub(crate) fn of_body(body: &str) -> String {
    hex::encode(Md5::digest(body.as_bytes()))
}

/// Of attributes by name; none if there are none. See "Calculating the MD5 message digest for message attributes" in
/// the SQS developer guide: name, type, a byte that says text or binary, and value, each text behind its length.
pub(crate) fn of_attributes(attributes: &BTreeMap<String, Attribute>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut digest = Md5::new();
    for (name, attribute) in attributes {
        update(&mut digest, name.as_bytes());
        update(&mut digest, attribute.data_type.as_bytes());
        match (&attribute.string_value, &attribute.binary_value) {
            (Some(text), _) => {
                digest.update([1]);
                update(&mut digest, text.as_bytes());
            }
            (None, binary) => {
                digest.update([2]);
                update(&mut digest, &BASE64.decode(binary.as_deref().unwrap_or_default()).unwrap_or_default());
            }
        }
    }
    Some(hex::encode(digest.finalize()))
}

fn update(digest: &mut Md5, bytes: &[u8]) {
    digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    digest.update(bytes);
}
