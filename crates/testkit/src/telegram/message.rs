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
        is_in_album: false,
        before: vec![],
        at: Instant::now(),
    })
}

/// Checks `sendPhoto`, `sendDocument` and `sendVoice`.
pub(super) fn check_file(token: &str, method: &str, params: &Value, files: Vec<SentFile>) -> Result<Sent, String> {
    let [file] = <[SentFile; 1]>::try_from(files).map_err(|files| format!("one file, not {}", files.len()))?;
    let file = Some(file).filter(|file| format!("send{}", file.field).eq_ignore_ascii_case(method));
    let file = file.ok_or_else(|| format!("there is no {} in the request", &method[4..].to_lowercase()))?;
    check_bytes(&file, method == "sendPhoto")?;
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
        is_in_album: false,
        before: vec![],
        at: Instant::now(),
    })
}

fn check_bytes(file: &SentFile, is_photo: bool) -> Result<(), String> {
    if file.bytes.is_empty() {
        return Err("file must be non-empty".to_owned());
    }
    let is_picture = [&b"\x89PNG"[..], b"\xff\xd8\xff", b"RIFF"].iter().any(|magic| file.bytes.starts_with(magic));
    if is_photo && (!is_picture || file.bytes.len() > 10 << 20) {
        return Err("IMAGE_PROCESS_FAILED".to_owned());
    }
    Ok(())
}

/// Checks `sendMediaGroup` of photos: <https://core.telegram.org/bots/api#sendmediagroup>
pub(super) fn check_album(token: &str, params: &Value, mut files: Vec<SentFile>) -> Result<Vec<Sent>, String> {
    let media = params["media"].as_array().ok_or("can't parse media JSON object")?;
    if !(2..=10).contains(&media.len()) {
        return Err("there must be 2-10 media in an album".to_owned());
    }
    if params.get("reply_markup").is_some() {
        return Err("an album has no buttons".to_owned());
    }
    let mut album = Vec::new();
    for piece in media {
        let name = piece["media"].as_str().and_then(|media| media.strip_prefix("attach://"));
        let at = files.iter().position(|file| piece["type"] == "photo" && Some(file.field.as_str()) == name);
        let file = files.swap_remove(at.ok_or("wrong file identifier/HTTP URL specified")?);
        check_bytes(&file, true)?;
        album.push(Sent {
            id: 0,
            token: token.to_owned(),
            chat: chat_id(params)?,
            thread: thread(params)?,
            text_html: piece["caption"].as_str().unwrap_or_default().to_owned(),
            is_html: false,
            reply_to: reply_to(params)?,
            buttons: vec![],
            file: Some(file),
            is_in_album: true,
            before: vec![],
            at: Instant::now(),
        });
    }
    if files.is_empty() { Ok(album) } else { Err("a file is no part of the album".to_owned()) }
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
