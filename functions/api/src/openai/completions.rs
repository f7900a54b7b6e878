//! `POST /v1/chat/completions`

use axum::extract::State;
use axum::response::sse::Event;
use domain::Timestamp;
use futures::stream::{self, Stream, StreamExt};
use runtime::Environment;
use serde_json::json;

use super::answer::{Answered, Follower, Found};
use super::reply::Reply;
use super::said::Said;
use super::thread::{Conversation, Place};
use super::{Until, error_view, find_awake};
use crate::auth::Caller;
use crate::extract::JsonBody;
use crate::problem::Problem;
use crate::streams::data;
use crate::views::{Choice, Chunk, ChunkChoice, Completion, CompletionCreate, CompletionUsage, Delta, MessageOut};

/// `POST /v1/chat/completions`
pub(crate) async fn create(
    State(environment): State<Environment>,
    caller: Caller,
    until: Until,
    JsonBody(request): JsonBody<CompletionCreate>,
) -> Result<Reply<Completion>, Problem> {
    check(&request)?;
    let said = Said::read(&request.messages)?;
    let bot = find_awake(&environment, caller, &request.model).await?;
    let user = request.user.as_deref();
    let place = Place::find(&environment, &bot, user, &said).await?;
    let inbound = place.say(&environment, caller, &bot, user, &said).await?;
    let head =
        ChunkHead { id: format!("chatcmpl-{}", inbound.message), created: inbound.received_at, model: request.model };
    let session = place.session.clone();
    let is_live = request.stream.unwrap_or_default();
    let follower = Follower::new(environment.clone(), inbound, place.next, until.0, is_live);
    // A user's session is found by the user.
    let conversation = user.is_none().then(|| Conversation { environment, bot, place, said });
    if is_live {
        let wants_usage = request.stream_options.and_then(|options| options.include_usage).unwrap_or_default();
        return Ok(Reply::stream(&session, chunks(head, follower, conversation, wants_usage)));
    }
    let answered = follower.whole().await?;
    if let Some(conversation) = conversation {
        conversation.remember(None, &answered).await;
    }
    Ok(Reply::whole(&session, head.completion(answered)))
}

/// Refuses what would be answered otherwise than its client believes.
fn check(request: &CompletionCreate) -> Result<(), Problem> {
    if request.n.is_some_and(|n| n != 1) {
        return Err(Problem::bad_request("n: a bot gives one answer. Leave it out."));
    }
    if request.tools.as_ref().is_some_and(|tools| !tools.is_empty()) {
        return Err(Problem::bad_request(
            "tools: a bot runs tools of its own. Leave them out, and give it tools with `lowtide bots tools`.",
        ));
    }
    if request.response_format.as_ref().is_some_and(|format| format.kind != "text") {
        return Err(Problem::bad_request("response_format: a bot writes text. Leave it out, and say what you want."));
    }
    Ok(())
}

/// What all chunks of an answer have in common.
struct ChunkHead {
    id: String,
    created: Timestamp,
    model: String,
}

impl ChunkHead {
    fn completion(self, answered: Answered) -> Completion {
        let message = MessageOut { role: "assistant".to_owned(), content: answered.text, refusal: None };
        let choice = Choice { index: 0, message, finish_reason: "stop".to_owned(), logprobs: None };
        Completion {
            id: self.id,
            object: "chat.completion".to_owned(),
            created: self.created.as_secs(),
            model: self.model,
            choices: vec![choice],
            usage: answered.usage.into(),
        }
    }

    fn chunk(&self, choice: Option<(Delta, Option<&str>)>, usage: Option<CompletionUsage>) -> Chunk {
        let choice =
            choice.map(|(delta, finish)| ChunkChoice { index: 0, delta, finish_reason: finish.map(str::to_owned) });
        Chunk {
            id: self.id.clone(),
            object: "chat.completion.chunk".to_owned(),
            created: self.created.as_secs(),
            model: self.model.clone(),
            choices: choice.into_iter().collect(),
            usage,
        }
    }

    fn text(&self, text: String) -> Event {
        let delta = Delta { role: None, content: Some(text) };
        data(&self.chunk(Some((delta, None)), None))
    }
}

/// The events of a streamed answer.
fn chunks(
    head: ChunkHead,
    follower: Follower,
    conversation: Option<Conversation>,
    wants_usage: bool,
) -> impl Stream<Item = Vec<Event>> + Send + 'static {
    let delta = Delta { role: Some("assistant".to_owned()), content: Some(String::new()) };
    let first = vec![data(&head.chunk(Some((delta, None)), None))];
    let rest = stream::unfold(Some((head, follower, conversation)), move |state| async move {
        let (head, mut follower, conversation) = state?;
        let answered = match follower.next().await {
            Ok(Found::Text(text)) => {
                let events = vec![head.text(text)];
                return Some((events, Some((head, follower, conversation))));
            }
            Ok(Found::End(answered)) => answered,
            Err(problem) => return Some((vec![failure(&problem)], None)),
        };
        if let Some(conversation) = conversation {
            conversation.remember(None, &answered).await;
        }
        let mut events: Vec<Event> = follower.rest().map(|text| head.text(text)).into_iter().collect();
        events.push(data(&head.chunk(Some((Delta::default(), Some("stop"))), None)));
        if wants_usage {
            events.push(data(&head.chunk(None, Some(answered.usage.into()))));
        }
        events.push(Event::default().data("[DONE]"));
        Some((events, None))
    });
    stream::once(async { first }).chain(rest)
}

/// The event that ends a stream whose answer will not come.
fn failure(problem: &Problem) -> Event {
    data(&json!({ "error": error_view(problem.status(), problem.detail()) }))
}
