//! One attempt: the request goes out, and the answer is read while it comes.

use std::time::Duration;

use domain::Answer;
use domain::turn::NO_REPLY;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;

use super::call::Call;
use super::draft::{Draft, text};
use super::frames::{Amazon, Events, Frames};
use super::wire::{self, Fold};
use super::{AwsAccess, Failure, MAX_DETAIL, ModelError, cost};
use crate::Progress;
use crate::transcript::cut;

/// The longest response that is read, in bytes.
const MAX_RESPONSE: usize = 8 << 20;
const JSON: &str = "application/json";

pub(super) async fn ask(
    client: &Client,
    call: &Call<'_>,
    aws: Option<&AwsAccess>,
    progress: Option<&dyn Progress>,
) -> Result<Answer, Failure> {
    let outgoing = wire::outgoing(call);
    let mut url = call.target.url(&outgoing.path);
    if let Some((name, value)) = outgoing.query {
        url.query_pairs_mut().append_pair(name, value);
    }
    let body = outgoing.body.to_string();
    let sent = body.len() - call.pictures.bytes().min(body.len());
    let mut request = client.post(url.clone()).header(CONTENT_TYPE, JSON);
    for (name, value) in &outgoing.headers {
        request = request.header(*name, value);
    }
    if let Some(aws) = aws.filter(|_| call.target.is_signed(call.key)) {
        for (name, value) in aws.sign(&url, JSON, body.as_bytes(), call.now).await? {
            request = request.header(name, value);
        }
    }
    let mut response = request.body(body).send().await.map_err(unreachable)?;
    let (status, after) = (response.status(), retry_after(response.headers()));
    if !status.is_success() {
        let (bytes, _) = egress::read_capped(&mut response, MAX_RESPONSE).await.map_err(unreachable)?;
        return Err(refused(status, after, &bytes));
    }
    let mut draft = Draft::default();
    if let Err(failure) = read(&mut response, call, &mut draft, progress).await {
        return Err(failure.billed_if(draft.has_begun()));
    }
    let mut answer = draft.into_answer(&call.target)?;
    let received = answer.text.len() + answer.tool_calls.iter().map(|call| call.arguments.len()).sum::<usize>();
    answer.cost = cost(call, &answer.usage, sent, received);
    if !call.may_call {
        answer.tool_calls.clear();
        answer.native = None;
        if answer.text.trim().is_empty() || (call.is_summary && answer.text.trim() == NO_REPLY) {
            let what = if call.is_summary { "summary" } else { "answer" };
            return Err(Failure::billed(format!("the {what} is empty")));
        }
    }
    Ok(answer)
}

/// Reads a stream or, where a server does not stream, a whole answer: its content type tells.
async fn read(
    response: &mut Response,
    call: &Call<'_>,
    draft: &mut Draft,
    progress: Option<&dyn Progress>,
) -> Result<(), Failure> {
    let mut fold = wire::fold(call.target.api);
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut frames = match content_type.split(';').next().unwrap_or_default().trim() {
        "text/event-stream" => Frames::Events(Events::default()),
        "application/vnd.amazon.eventstream" => Frames::Amazon(Amazon::default()),
        _ => {
            let (bytes, is_cut) = egress::read_capped(response, MAX_RESPONSE).await.map_err(unreachable)?;
            if is_cut {
                return Err(too_long());
            }
            fold.whole(draft, &json(&bytes)?)?;
            tell(progress, draft, 0);
            return Ok(());
        }
    };
    let mut size = 0;
    while let Some(bytes) = response.chunk().await.map_err(unreachable)? {
        size += bytes.len();
        if size > MAX_RESPONSE {
            return Err(too_long());
        }
        let told = draft.text.len();
        take(&mut *fold, &mut frames, &bytes, draft)?;
        tell(progress, draft, told);
    }
    Ok(())
}

/// Takes the next bytes of a stream.
pub(super) fn take(fold: &mut dyn Fold, frames: &mut Frames, bytes: &[u8], draft: &mut Draft) -> Result<(), Failure> {
    frames.push(bytes)?.into_iter().try_for_each(|frame| fold.frame(draft, frame))
}

/// Tells the text so far, if there is more of it than was `told`.
fn tell(progress: Option<&dyn Progress>, draft: &Draft, told: usize) {
    if let Some(progress) = progress.filter(|_| draft.text.len() > told) {
        progress.said(&draft.text);
    }
}

fn json(bytes: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        let text = String::from_utf8_lossy(bytes);
        Failure::retry(format!("the response is not JSON ({error}): {}", cut(&text, 200).0))
    })
}

fn too_long() -> Failure {
    Failure::billed(format!("the response is longer than {MAX_RESPONSE} bytes"))
}

fn unreachable(error: reqwest::Error) -> Failure {
    match egress::describe(&error) {
        // Nothing was sent: the key has characters that no header can hold.
        detail if error.is_builder() => Failure::of_provider(detail, KEY_REFUSED),
        // Once the request is out, the model may work on it, and its provider bill it.
        detail => Failure::Retry { detail, after: None, is_billed: !error.is_connect() },
    }
}

/// A failure that a provider reports in place of an answer, or in the middle of one.
pub(super) fn reported(kind: &str, message: &str) -> Failure {
    let said = if message.is_empty() { kind } else { message };
    let detail = format!("the response has no answer: {}", cut(said, MAX_DETAIL).0);
    match kind {
        "insufficient_quota" => Failure::of_provider(detail, NO_CREDIT),
        _ => Failure::retry(detail),
    }
}

/// What a status other than success means.
fn refused(status: StatusCode, after: Option<Duration>, bytes: &[u8]) -> Failure {
    let body = serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let error = body.get("error").or_else(|| body.pointer("/0/error")).unwrap_or(&body);
    let message = error_message(error);
    let detail = match message.as_str() {
        "" => format!("status {}", status.as_u16()),
        message => format!("status {}: {message}", status.as_u16()),
    };
    let is_about = |words: &str| message.to_ascii_lowercase().contains(words);
    match status.as_u16() {
        // OpenAI reports an empty account as a rate limit, Anthropic as a bad request; waiting does not fill it.
        402 => Failure::of_provider(detail, NO_CREDIT),
        429 if text(error, "code") == "insufficient_quota" => Failure::of_provider(detail, NO_CREDIT),
        400 if is_about("credit balance") => Failure::of_provider(detail, NO_CREDIT),
        408 | 409 | 425 | 429 | 500.. => {
            Failure::Retry { detail, after: after.or_else(|| retry_delay(error)), is_billed: false }
        }
        // Google's word for a bad key.
        400 if is_about("api key not valid") => key_refused(&detail),
        401 | 403 => key_refused(&detail),
        404 => Failure::of_provider(format!("the provider does not know this model or address ({detail})"), NOT_FOUND),
        _ => Failure::Stop {
            error: ModelError::permanent(format!("the model provider refused the request ({detail})"), REQUEST_REFUSED),
            is_providers: false,
        },
    }
}

fn key_refused(detail: &str) -> Failure {
    Failure::of_provider(format!("the model provider refused the key ({detail})"), KEY_REFUSED)
}

const KEY_REFUSED: &str =
    "I can't reach my language model: its provider refused the key. My owner has to check the key.";
const NO_CREDIT: &str =
    "I can't reach my language model: its provider asks for payment. My owner has to check the account there.";
const NOT_FOUND: &str =
    "I can't reach my language model: its provider does not know it. My owner has to check the model's name.";
const REQUEST_REFUSED: &str =
    "My language model's provider refused to process this conversation. My owner can see what it said.";

/// What an error object says, shortened.
fn error_message(error: &Value) -> String {
    let message = match error {
        Value::String(text) => text.as_str(),
        // AWS writes it either way.
        other => match text(other, "message") {
            "" => text(other, "Message"),
            message => message,
        },
    };
    cut(message, MAX_DETAIL).0.to_owned()
}

/// `retry-after-ms`, or `Retry-After` in seconds; a date (which no model provider sends) is not read.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|millis| millis / 1000.0).or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Google's way to say it: `"retryDelay": "17s"` among the details of the error.
fn retry_delay(error: &Value) -> Option<Duration> {
    let details = error["details"].as_array()?;
    let delay = details.iter().find_map(|detail| detail["retryDelay"].as_str())?;
    Duration::try_from_secs_f64(delay.strip_suffix('s')?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests;
