//! What Telegram asks of the parameters of a message.

use std::time::Instant;

use serde_json::Value;

use super::{Sent, html};

/// The longest message, in UTF-16 units after its markup is taken out.
const MAX_TEXT: usize = 4096;

/// Which chat a call is for.
pub(super) fn chat_id(params: &Value) -> Result<String, String> {
    match &params["chat_id"] {
        Value::Number(id) if id.is_i64() && id.as_i64() != Some(0) => Ok(id.to_string()),
        Value::String(id) if id.starts_with('@') || id.parse::<i64>().is_ok_and(|id| id != 0) => Ok(id.clone()),
        Value::Null => Err("chat_id is empty".to_owned()),
        _ => Err("chat not found".to_owned()),
    }
}

/// Checks `sendMessage`. The error is the description that Telegram gives.
pub(super) fn check(token: &str, params: &Value) -> Result<Sent, String> {
    let chat = chat_id(params)?;
    let text = params["text"].as_str().ok_or("message text is empty")?;
    let is_html = match &params["parse_mode"] {
        Value::Null => false,
        mode if mode == "HTML" => true,
        _ => return Err("unsupported parse_mode".to_owned()),
    };
    let shown = if is_html {
        html::text_of(text).map_err(|reason| format!("can't parse entities: {reason}"))?
    } else {
        text.to_owned()
    };
    let shown = shown.trim();
    if shown.is_empty() {
        return Err("message text is empty".to_owned());
    }
    if shown.encode_utf16().count() > MAX_TEXT {
        return Err("message is too long".to_owned());
    }
    Ok(Sent {
        token: token.to_owned(),
        chat,
        thread: thread(params)?,
        text_html: text.to_owned(),
        is_html,
        reply_to: reply_to(params)?,
        at: Instant::now(),
    })
}

/// Checks `sendChatAction`.
pub(super) fn check_action(params: &Value) -> Result<(), String> {
    chat_id(params)?;
    thread(params)?;
    if params["action"] == "typing" { Ok(()) } else { Err("wrong parameter action in request".to_owned()) }
}

fn thread(params: &Value) -> Result<Option<i64>, String> {
    match &params["message_thread_id"] {
        Value::Null => Ok(None),
        id => id.as_i64().map(Some).ok_or_else(|| "message_thread_id must be an integer".to_owned()),
    }
}

/// <https://core.telegram.org/bots/api#replyparameters>
fn reply_to(params: &Value) -> Result<Option<i64>, String> {
    if params.get("reply_to_message_id").is_some() {
        return Err("reply_to_message_id was replaced by reply_parameters".to_owned());
    }
    let reply = match &params["reply_parameters"] {
        Value::Null => return Ok(None),
        Value::Object(reply) => reply,
        _ => return Err("can't parse reply parameters JSON object".to_owned()),
    };
    let quoted = reply.get("message_id").and_then(Value::as_i64);
    let quoted = quoted.ok_or("can't parse reply parameters: message_id must be an integer")?;
    let without = reply.get("allow_sending_without_reply");
    if without.is_some_and(|without| !without.is_boolean()) {
        return Err("can't parse reply parameters: allow_sending_without_reply must be a Boolean".to_owned());
    }
    Ok(Some(quoted))
}
