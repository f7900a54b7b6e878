//! Routes that speak as `OpenAI` does, so that its clients can talk to bots: `model` is a bot.
//!
//! A message goes the way of every other one, through the queue into a session, and its answer is read from the
//! session's log. `thread` finds the session, `said` reads what the client sent, `answer` waits for what the bot says.

pub(crate) mod answer;
pub(crate) mod completions;
mod reply;
pub(crate) mod responses;
mod said;
mod thread;

use std::convert::Infallible;
use std::time::Duration;

use aide::OperationInput;
use axum::Json;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::{Bot, Timestamp};
use runtime::Environment;
use store::PageRange;

use crate::auth::Caller;
use crate::bots;
use crate::chat;
use crate::extract::Segments;
use crate::problem::Problem;
use crate::views::{ModelEntry, ModelList, OpenAiErrorView};

/// The longest body of these routes, in bytes: clients send whole conversations, with pictures. Lambda takes 6 MB.
pub(crate) const MAX_BODY: usize = 5 << 20;

/// Names the session of an answer.
pub(crate) const SESSION_HEADER: HeaderName = HeaderName::from_static("x-lowtide-session");

/// How long an answer is waited for where nothing limits it: as long as official clients wait.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// What is left of a function's time when waiting ends.
const RESERVE: Duration = Duration::from_secs(5);

/// Until when an answer may be waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until(pub(crate) Timestamp);

impl OperationInput for Until {}

impl FromRequestParts<Environment> for Until {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, environment: &Environment) -> Result<Until, Infallible> {
        let patience = environment.clock.now() + MAX_WAIT;
        let deadline = parts.extensions.get::<lambda_http::Context>().map(|context| context.deadline);
        let deadline = deadline.map(|at| Timestamp::from_millis(at.saturating_sub(RESERVE.as_millis() as u64)));
        Ok(Until(deadline.map_or(patience, |deadline| deadline.min(patience))))
    }
}

/// How many bots are looked at for the list of models, the oldest first: clients read it whole. A bot beyond them is found by its
/// name all the same.
const MAX_MODELS: u32 = 1_000;

/// `GET /v1/models`: bots that answer.
pub(crate) async fn list(State(environment): State<Environment>, caller: Caller) -> Result<Json<ModelList>, Problem> {
    let range = PageRange { after: None, limit: MAX_MODELS };
    let page = environment.store.account(caller.account).bot_page(&range, environment.clock.now()).await?;
    let awake = page.items.iter().map(|line| &line.bot).filter(|bot| bot.silence().is_none());
    Ok(Json(ModelList { object: "list".to_owned(), data: awake.map(entry).collect() }))
}

/// `GET /v1/models/{model}`
pub(crate) async fn show(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(model): Segments<String>,
) -> Result<Json<ModelEntry>, Problem> {
    Ok(Json(entry(&find_awake(&environment, caller, &model).await?)))
}

fn entry(bot: &Bot) -> ModelEntry {
    ModelEntry {
        id: bot.name.clone(),
        object: "model".to_owned(),
        created: bot.created_at.as_secs(),
        owned_by: "lowtide".to_owned(),
    }
}

/// The bot that a client calls a model.
async fn find(environment: &Environment, caller: Caller, model: &str) -> Result<Bot, Problem> {
    let name = ["lowtide/", "openclaw/"].into_iter().find_map(|prefix| model.strip_prefix(prefix));
    bots::find(environment, caller, name.unwrap_or(model)).await
}

/// The bot, if it answers.
async fn find_awake(environment: &Environment, caller: Caller, model: &str) -> Result<Bot, Problem> {
    let bot = find(environment, caller, model).await?;
    chat::check_awake(&bot).map_err(final_problem)?;
    Ok(bot)
}

/// A problem after which clients do not send the same again by themselves.
fn final_problem(problem: Problem) -> Problem {
    problem.with_header(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"))
}

/// Lets each problem say the same in `OpenAI`'s way.
pub(crate) async fn explain(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let error = error_view(problem.status(), problem.detail());
    problem.with_error(error).into_response()
}

/// What `OpenAI` would say.
fn error_view(status: StatusCode, message: &str) -> OpenAiErrorView {
    let kind = match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    };
    OpenAiErrorView { message: message.to_owned(), kind: kind.to_owned(), code: None, param: None }
}
