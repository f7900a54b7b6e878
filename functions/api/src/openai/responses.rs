//! `POST /v1/responses`: text in, text out.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::Event;
use domain::Bot;
use futures::stream::{self, Stream, StreamExt};
use runtime::Environment;
use serde_json::{Value, json};

use super::answer::{Answered, Follower, Found};
use super::reply::Reply;
use super::said::Said;
use super::thread::{Conversation, Place};
use super::{Until, error_view, find_awake};
use crate::auth::Caller;
use crate::extract::JsonBody;
use crate::problem::Problem;
use crate::streams::data;
use crate::views::{InputIn, MessageIn, OutputPart, OutputView, ResponseCreate, ResponseView};

/// `POST /v1/responses`
pub(crate) async fn create(
    State(environment): State<Environment>,
    caller: Caller,
    until: Until,
    JsonBody(request): JsonBody<ResponseCreate>,
) -> Result<Reply<ResponseView>, Problem> {
    if request.tools.as_ref().is_some_and(|tools| !tools.is_empty()) {
        return Err(Problem::bad_request("tools: a bot runs tools of its own. Leave them out."));
    }
    let said = Said::read(&messages(&request))?;
    let bot = find_awake(&environment, caller, &request.model).await?;
    let user = request.user.as_deref();
    let place = match &request.previous_response_id {
        Some(id) => follow(&environment, &bot, id).await?,
        None => Place::find(&environment, &bot, user, &said).await?,
    };
    let inbound = place.say(&environment, caller, &bot, user, &said).await?;
    let is_live = request.stream.unwrap_or_default();
    let response = ResponseView {
        id: format!("resp_{}", inbound.message),
        object: "response".to_owned(),
        created_at: inbound.received_at.as_secs(),
        status: "in_progress".to_owned(),
        model: request.model,
        instructions: request.instructions,
        previous_response_id: request.previous_response_id,
        output: vec![],
        error: None,
        incomplete_details: None,
        usage: None,
        tools: vec![],
        tool_choice: "none".to_owned(),
        parallel_tool_calls: false,
    };
    let session = place.session.clone();
    let follower = Follower::new(environment.clone(), inbound, place.next, until.0, is_live);
    let conversation = Conversation { environment, bot, place, said };
    if is_live {
        return Ok(Reply::stream(&session, events(response, follower, conversation)));
    }
    let answered = follower.whole().await?;
    conversation.remember(Some(&response.id), &answered).await;
    Ok(Reply::whole(&session, completed(response, &answered)))
}

/// The input as a conversation.
fn messages(request: &ResponseCreate) -> Vec<MessageIn> {
    let message = |role: &str, text: &str| MessageIn { role: role.to_owned(), content: Some(text.to_owned().into()) };
    let mut messages: Vec<MessageIn> =
        request.instructions.iter().map(|instructions| message("system", instructions)).collect();
    match &request.input {
        InputIn::Text(text) => messages.push(message("user", text)),
        InputIn::Messages(said) => messages.extend(said.iter().cloned()),
    }
    messages
}

/// Where an earlier answer is.
async fn follow(environment: &Environment, bot: &Bot, id: &str) -> Result<Place, Problem> {
    let place = Place::after(environment, bot, Some(id)).await?;
    place.ok_or_else(|| {
        let shown: String = id.chars().take(80).collect();
        let detail = format!(
            "previous_response_id: nothing can follow `{shown}`. It is not known, is older than 30 days, or its session \
             went on without it. Leave it out, and give the conversation as `input`."
        );
        Problem::new(StatusCode::NOT_FOUND, detail)
    })
}

fn output(response: &ResponseView, status: &str, text: Option<&str>) -> OutputView {
    OutputView {
        id: response.id.replacen("resp_", "answer_", 1),
        kind: "message".to_owned(),
        status: status.to_owned(),
        role: "assistant".to_owned(),
        content: text.map(part).into_iter().collect(),
    }
}

fn part(text: &str) -> OutputPart {
    OutputPart { kind: "output_text".to_owned(), text: text.to_owned(), annotations: vec![] }
}

fn completed(response: ResponseView, answered: &Answered) -> ResponseView {
    let said = output(&response, "completed", Some(&answered.text));
    ResponseView { status: "completed".to_owned(), output: vec![said], usage: Some(answered.usage.into()), ..response }
}

/// Events, numbered in their order.
struct Numbered {
    response: ResponseView,
    next: u64,
}

impl Numbered {
    fn event(&mut self, kind: &str, mut fields: Value) -> Event {
        fields["type"] = kind.into();
        fields["sequence_number"] = self.next.into();
        self.next += 1;
        data(&fields).event(kind)
    }

    /// About the one text that there is.
    fn of_text(&mut self, kind: &str, mut fields: Value) -> Event {
        fields["item_id"] = output(&self.response, "", None).id.into();
        fields["output_index"] = 0.into();
        fields["content_index"] = 0.into();
        self.event(kind, fields)
    }

    fn begin(&mut self) -> Vec<Event> {
        let (response, item) = (self.response.clone(), output(&self.response, "in_progress", None));
        vec![
            self.event("response.created", json!({ "response": response })),
            self.event("response.in_progress", json!({ "response": response })),
            self.event("response.output_item.added", json!({ "output_index": 0, "item": item })),
            self.of_text("response.content_part.added", json!({ "part": part("") })),
        ]
    }

    fn delta(&mut self, text: &str) -> Event {
        self.of_text("response.output_text.delta", json!({ "delta": text, "logprobs": [] }))
    }

    fn end(&mut self, rest: Option<String>, answered: &Answered) -> Vec<Event> {
        let text = &answered.text;
        let response = completed(self.response.clone(), answered);
        let item = output(&self.response, "completed", Some(text));
        let rest = rest.map(|rest| self.delta(&rest));
        let end = [
            self.of_text("response.output_text.done", json!({ "text": text, "logprobs": [] })),
            self.of_text("response.content_part.done", json!({ "part": part(text) })),
            self.event("response.output_item.done", json!({ "output_index": 0, "item": item })),
            self.event("response.completed", json!({ "response": response })),
        ];
        rest.into_iter().chain(end).collect()
    }

    fn failure(&mut self, problem: &Problem) -> Event {
        let error = error_view(problem.status(), problem.detail());
        self.event("error", json!({ "code": error.kind, "message": error.message, "param": null }))
    }
}

/// The events of a streamed answer.
fn events(
    response: ResponseView,
    follower: Follower,
    conversation: Conversation,
) -> impl Stream<Item = Vec<Event>> + Send + 'static {
    let mut numbered = Numbered { response, next: 0 };
    let first = numbered.begin();
    let rest = stream::unfold(Some((numbered, follower, conversation)), |state| async move {
        let (mut numbered, mut follower, conversation) = state?;
        let answered = match follower.next().await {
            Ok(Found::Text(text)) => {
                return Some((vec![numbered.delta(&text)], Some((numbered, follower, conversation))));
            }
            Ok(Found::End(answered)) => answered,
            Err(problem) => return Some((vec![numbered.failure(&problem)], None)),
        };
        conversation.remember(Some(&numbered.response.id), &answered).await;
        Some((numbered.end(follower.rest(), &answered), None))
    });
    stream::once(async { first }).chain(rest)
}
