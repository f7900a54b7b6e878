//! What Telegram asks of the parameters of a message.

use std::time::Instant;

use serde_json::Value;

use super::{Sent, SentFile, html};

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

/// Checks `sendMessage`, and what `editMessageText` has in common with it. The error is the description that Telegram gives.
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
        id: 0,
        token: token.to_owned(),
        chat,
        thread: thread(params)?,
        text_html: text.to_owned(),
        is_html,
        reply_to: reply_to(params)?,
        buttons: buttons(params)?,
        file: None,
        before: vec![],
        at: Instant::now(),
    })
}

/// Checks `sendPhoto`, `sendDocument` and `sendVoice`.
pub(super) fn check_file(token: &str, method: &str, params: &Value, file: Option<SentFile>) -> Result<Sent, String> {
    let file = file.filter(|file| format!("send{}", file.field).eq_ignore_ascii_case(method));
    let file = file.ok_or_else(|| format!("there is no {} in the request", &method[4..].to_lowercase()))?;
    if file.bytes.is_empty() {
        return Err("file must be non-empty".to_owned());
    }
    let is_picture = [&b"\x89PNG"[..], b"\xff\xd8\xff", b"RIFF"].iter().any(|magic| file.bytes.starts_with(magic));
    if method == "sendPhoto" && (!is_picture || file.bytes.len() > 10 << 20) {
        return Err("IMAGE_PROCESS_FAILED".to_owned());
    }
    Ok(Sent {
        id: 0,
        token: token.to_owned(),
        chat: chat_id(params)?,
        thread: thread(params)?,
        text_html: params["caption"].as_str().unwrap_or_default().to_owned(),
        is_html: params["parse_mode"] == "HTML",
        reply_to: reply_to(params)?,
        buttons: buttons(params)?,
        file: Some(file),
        before: vec![],
        at: Instant::now(),
    })
}

/// <https://core.telegram.org/bots/api#inlinekeyboardmarkup>
fn buttons(params: &Value) -> Result<Vec<(String, String)>, String> {
    let Some(markup) = params.get("reply_markup") else { return Ok(vec![]) };
    let rows = markup["inline_keyboard"].as_array().ok_or("can't parse inline keyboard markup")?;
    let mut buttons = Vec::new();
    for button in rows.iter().flat_map(|row| row.as_array().into_iter().flatten()) {
        let (label, data) = (button["text"].as_str(), button["callback_data"].as_str());
        let label = label.filter(|label| !label.is_empty()).ok_or("can't parse inline keyboard button")?;
        let data = data.filter(|data| (1..=64).contains(&data.len())).ok_or("BUTTON_DATA_INVALID")?;
        buttons.push((label.to_owned(), data.to_owned()));
    }
    Ok(buttons)
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
