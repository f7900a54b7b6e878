//! What servers send, in the form that models take.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::McpResult;
use crate::tools::picture;
use crate::transcript::cut;

/// The largest schema that a model is shown, in bytes.
const MAX_SCHEMA: usize = 8 * 1024;
/// The largest picture, in bytes.
const MAX_IMAGE: usize = 5_000_000;
/// The longest text of a result, in characters.
const MAX_TEXT: usize = 1_000_000;

/// A schema of one object. One that is none, or too large to show, becomes an object of anything.
pub(super) fn clean_schema(schema: Option<&Value>) -> Value {
    let open = || json!({ "type": "object", "properties": {} });
    let Some(Value::Object(schema)) = schema else { return open() };
    let mut schema = schema.clone();
    schema.remove("$schema");
    schema.insert("type".to_owned(), json!("object"));
    if !schema.get("properties").is_some_and(Value::is_object) {
        schema.insert("properties".to_owned(), json!({}));
    }
    let schema = Value::Object(schema);
    if schema.to_string().len() <= MAX_SCHEMA { schema } else { open() }
}

/// Reads the result of `tools/call`.
pub(super) fn read_result(result: &Value) -> Result<McpResult, String> {
    let mut lines = Vec::new();
    let mut images = Vec::new();
    for part in result["content"].as_array().into_iter().flatten() {
        match part["type"].as_str().unwrap_or_default() {
            "text" => lines.push(text(&part["text"]).to_owned()),
            "image" => match image(part) {
                Ok(image) => images.push(image),
                Err(why) => lines.push(format!("[a picture was left out: {why}]")),
            },
            "resource_link" => lines.push(format!("[{}: {}]", text(&part["name"]), text(&part["uri"]))),
            "resource" => match part["resource"]["text"].as_str() {
                Some(text) => lines.push(text.to_owned()),
                None => lines.push(format!("[{}]", text(&part["resource"]["uri"]))),
            },
            other => lines.push(format!("[content of type `{}` was left out]", cut(other, 40).0)),
        }
    }
    if lines.is_empty() && images.is_empty() && !result["structuredContent"].is_null() {
        lines.push(result["structuredContent"].to_string());
    }
    let joined = lines.join("\n");
    let text = match cut(&joined, MAX_TEXT) {
        (_, 0) => joined,
        (start, more) => format!("{start}\n[{more} characters were left out]"),
    };
    Ok(McpResult { text, images, is_error: result["isError"].as_bool().unwrap_or(false) })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A picture with its real type: a model that is shown a picture under another one refuses the whole conversation.
fn image(part: &Value) -> Result<(String, Bytes), &'static str> {
    let data = text(&part["data"]);
    if data.len() / 4 * 3 > MAX_IMAGE + 2 {
        return Err("it is larger than 5 MB");
    }
    let bytes = BASE64_STANDARD.decode(data).map_err(|_| "it is not base64")?;
    let mime = picture::sniff(&bytes).ok_or("it is no PNG, JPEG, GIF or WebP")?;
    Ok((mime.to_owned(), bytes.into()))
}
