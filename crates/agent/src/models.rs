//! Models: which one a bot means, how often it is asked, which one is asked in its place, and what failures mean.
//!
//! ```text
//! Models::answer ── for each of the bot's models, in order
//!   provider   what `provider/model` stands for, and the protocol spoken there
//!   call       the question, in no provider's words;  pictures, thinking, prices
//!   wire       the call in its protocol's words:  openai_chat, openai_responses, anthropic, gemini, bedrock
//!   exchange   one attempt over HTTP;  frames cut the stream,  draft becomes the answer
//!   cooldown   models that failed are left alone for a while
//! ```
//!
//! What is worth another attempt (429, 408, 409, 425, 5xx, no connection, a stream that broke off, an answer that says
//! nothing) is tried again after a while that doubles, or that the provider asks for. A model that still fails, or whose
//! provider refuses the key, asks for payment or does not know the model, gives way to the next; what a provider says
//! against the conversation itself ends it. A model that others follow has two thirds of the time that is left, and one
//! further attempt. Where calls are paid from a budget, an attempt that may have been billed is the last.
//!
//! Half an answer is none. A tool call whose arguments are not JSON is passed on: the tool's result says so to the model.

mod anthropic;
mod aws;
mod bedrock;
mod call;
mod cooldown;
mod demo;
mod draft;
mod exchange;
mod frames;
mod gemini;
mod openai_chat;
mod openai_responses;
mod pictures;
mod prices;
mod provider;
mod thinking;
mod wire;

use std::fmt;
use std::time::Duration;

use domain::account::{FallbackModel, ImageModel};
use domain::{Answer, Usage};
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::time::{Instant, sleep, timeout_at};

use crate::looking::PictureRequest;
use crate::tools::Toolbox;
use crate::transcript::FEWEST_BYTES_PER_TOKEN;
use crate::{AgentConfig, AgentError, BotView, ModelRequest};
use call::{Call, Inquiry};
use cooldown::{Asked, Cooldowns};
use egress::Guard;
use pictures::{Pictures, Sight};
use provider::Target;

pub use aws::AwsAccess;
pub use demo::SET_MODEL_COMMAND;
pub use prices::{price_of, sees};

/// The longest wait that a provider may ask for and get within one [`Models::answer`].
const MAX_RETRY_AFTER: Duration = Duration::from_secs(20);
/// The wait before the first retry; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// The whole of one [`Models::look`], if an answer may take as long.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);
/// What a request costs beside what is written in it, in tokens.
const OVERHEAD_TOKENS: u64 = 200;
/// How many bytes make a token where a provider does not count them.
const BYTES_PER_TOKEN: u64 = 4;
/// How much of what a provider says about a failure is kept, in characters.
const MAX_DETAIL: usize = 500;

/// A model provider's key. It is printed as `…` and goes nowhere but into a request's header.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a key as it was pasted or read from a file: without the line's end.
    pub fn new(text: impl AsRef<str>) -> Secret {
        Secret(text.as_ref().trim().to_owned())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Why a model did not answer; says what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// It may answer later. It was asked several times already.
    #[error("the model did not answer: {detail}")]
    Temporary {
        /// For the owner.
        detail: String,
        /// How long the provider asked to be left alone.
        retry_after: Option<Duration>,
        /// The provider said no each time, so nothing was billed.
        was_refused: bool,
        /// What to tell the person who waits.
        person: String,
    },
    /// It will not answer until the owner changes something.
    #[error("the model cannot answer: {detail}")]
    Permanent {
        /// For the owner.
        detail: String,
        /// What to tell the person who waits.
        person: String,
    },
}

impl ModelError {
    /// For the owner. Holds neither the key nor a URL.
    pub fn detail(&self) -> &str {
        match self {
            ModelError::Temporary { detail, .. } | ModelError::Permanent { detail, .. } => detail,
        }
    }

    /// What to tell the person when it is not tried again.
    pub fn person(&self) -> &str {
        match self {
            ModelError::Temporary { person, .. } | ModelError::Permanent { person, .. } => person,
        }
    }

    /// A model that did not answer in the end.
    pub fn temporary(detail: impl Into<String>, retry_after: Option<Duration>, was_refused: bool) -> ModelError {
        ModelError::Temporary {
            detail: detail.into(),
            retry_after,
            was_refused,
            person: unreached("my language model"),
        }
    }

    fn permanent(detail: impl Into<String>, person: &str) -> ModelError {
        ModelError::Permanent { detail: detail.into(), person: person.to_owned() }
    }
}

fn unreached(whom: &str) -> String {
    format!(
        "I could not reach {whom} just now, so your message is not answered. \
         Please try again in a while; my owner can see what happened."
    )
}

/// How one attempt failed.
#[derive(Debug)]
enum Failure {
    /// Worth another attempt, after the time that the provider asked for.
    Retry {
        detail: String,
        after: Option<Duration>,
        /// The model may have answered, of no use, and will be paid for it.
        is_billed: bool,
    },
    Stop {
        error: ModelError,
        /// It has to do with this provider or model alone: another one may answer.
        is_providers: bool,
    },
}

impl Failure {
    fn retry(detail: impl Into<String>) -> Failure {
        Failure::Retry { detail: detail.into(), after: None, is_billed: false }
    }

    /// As [`Failure::retry`], and the model may have worked on it.
    fn billed(detail: impl Into<String>) -> Failure {
        Failure::Retry { detail: detail.into(), after: None, is_billed: true }
    }

    fn of_provider(detail: impl Into<String>, person: &str) -> Failure {
        Failure::Stop { error: ModelError::permanent(detail, person), is_providers: true }
    }

    fn billed_if(mut self, has_begun: bool) -> Failure {
        if let Failure::Retry { is_billed, .. } = &mut self {
            *is_billed |= has_begun;
        }
        self
    }
}

/// How a model failed for good, as far as one question goes.
struct Failed {
    error: ModelError,
    /// Whether another one may be asked.
    may_ask_another: bool,
}

/// How long a model may take.
#[derive(Clone, Copy)]
struct Patience {
    time: Duration,
    retries: u32,
}

/// The clients that models are reached with.
#[derive(Debug)]
pub(crate) struct Models {
    client: Client,
    /// `None`: any address may be called.
    guard: Option<Guard>,
    aws: Option<AwsAccess>,
    timeout: Duration,
    retries: u32,
    cooldowns: Cooldowns,
}

impl Models {
    pub(crate) fn new(config: &AgentConfig) -> Result<Models, AgentError> {
        let guard = (!config.private_models).then(Guard::default);
        // An API does not move; a redirect would take the key and the conversation elsewhere.
        let client = match &guard {
            Some(guard) => guard.client(Policy::none())?,
            None => egress::unguarded_client(Policy::none())?,
        };
        let (timeout, retries, aws) = (config.model_timeout, config.model_retries, config.aws.clone());
        Ok(Models { client, guard, aws, timeout, retries, cooldowns: Cooldowns::default() })
    }

    pub(crate) async fn answer(&self, request: &ModelRequest<'_>, toolbox: &Toolbox) -> Result<Answer, ModelError> {
        self.first_answer(Inquiry::Turn(*request), self.timeout, toolbox).await
    }

    /// Has a bot's image model look at a picture. What it says is the answer's text.
    pub(crate) async fn look(&self, request: &PictureRequest<'_>, toolbox: &Toolbox) -> Result<Answer, ModelError> {
        self.first_answer(Inquiry::Picture(*request), self.timeout.min(LOOK_TIMEOUT), toolbox).await
    }

    /// Asks one model after the other.
    async fn first_answer(
        &self,
        inquiry: Inquiry<'_>,
        timeout: Duration,
        toolbox: &Toolbox,
    ) -> Result<Answer, ModelError> {
        let deadline = Instant::now() + timeout;
        let bots = inquiry.candidates();
        let mut failures: Vec<(String, ModelError)> = Vec::new();
        for (at, bot) in bots.iter().enumerate() {
            let Some(reference) = named(bot) else {
                return match &inquiry {
                    Inquiry::Turn(request) => Ok(demo::answer(&ModelRequest { bot: *bot, ..*request })),
                    Inquiry::Picture(_) => {
                        Err(ModelError::permanent("the demo sees no pictures", "I see no pictures."))
                    }
                };
            };
            let (asked, is_last) = (Asked::of(bot), at + 1 == bots.len());
            if let Some(left) = self.cooldowns.left(asked, Instant::now()).filter(|_| !is_last) {
                let detail = format!("{reference}: it failed before and is left alone for {} s more", left.as_secs());
                failures.push((reference.to_owned(), ModelError::temporary(detail, Some(left), true)));
                continue;
            }
            let time = deadline.saturating_duration_since(Instant::now());
            let patience = match is_last {
                true => Patience { time, retries: self.retries },
                false => Patience { time: time * 2 / 3, retries: self.retries.min(1) },
            };
            let inquiry = inquiry.by(*bot);
            let Failed { error, may_ask_another } = match self.ask(reference, &inquiry, toolbox, patience).await {
                Ok(answer) => {
                    self.cooldowns.answered(asked);
                    return Ok(answer);
                }
                Err(failed) => failed,
            };
            let error = redacted(error, bot.api_key);
            let retry_after = match &error {
                ModelError::Temporary { retry_after, .. } => *retry_after,
                ModelError::Permanent { .. } => None,
            };
            // What is said against a conversation says nothing of the model: other sessions may go on asking it.
            if may_ask_another {
                self.cooldowns.failed(asked, retry_after, Instant::now());
            }
            // Which pictures a model can be shown depends on its protocol.
            let goes_on = may_ask_another || matches!(inquiry, Inquiry::Picture(_));
            if !is_last && goes_on {
                tracing::warn!(
                    model = reference,
                    detail = error.detail(),
                    "Another model is asked in place of this one"
                );
            }
            failures.push((reference.to_owned(), error));
            if !goes_on {
                break;
            }
        }
        Err(together(failures))
    }

    /// Asks one model, several times if need be.
    async fn ask(
        &self,
        reference: &str,
        inquiry: &Inquiry<'_>,
        toolbox: &Toolbox,
        patience: Patience,
    ) -> Result<Answer, Failed> {
        let deadline = Instant::now() + patience.time;
        let of_settings = |error| Failed { error, may_ask_another: true };
        let bot = inquiry.bot();
        let target = Target::of(reference, bot, self.aws.as_ref()).map_err(of_settings)?;
        target.check(self.guard.as_ref(), bot.api_key).map_err(of_settings)?;
        let mut call = Call::of(inquiry, target, toolbox);
        let api = call.target.api;
        let loading = Pictures::load(&mut call.steps, inquiry.host(), sight(reference, inquiry, toolbox), api);
        let late = |detail: String| Failed {
            error: ModelError::temporary(format!("{reference}: {detail}"), None, true),
            may_ask_another: true,
        };
        call.pictures = match timeout_at(deadline, loading).await {
            Ok(pictures) => pictures,
            Err(_) => {
                return Err(late(format!("its pictures were not there within {:.1} s", patience.time.as_secs_f32())));
            }
        };
        let is_look = matches!(inquiry, Inquiry::Picture(_));
        if is_look && call.pictures.len() == 0 {
            let detail = format!("{reference} cannot be shown this picture: it is lost, too large, or of another type");
            return Err(Failed { error: ModelError::permanent(detail, "I cannot see it."), may_ask_another: false });
        }
        let answer = match self.ask_with_retries(&call, inquiry, patience, deadline).await {
            Err(Failed { error: ModelError::Permanent { detail, .. }, may_ask_another: false })
                if call.pictures.len() > 0 && !is_look =>
            {
                // Pictures stay in the transcript: if one of them is at fault, every later message would fail as well.
                tracing::warn!(model = reference, detail, "The conversation was refused; it is tried without pictures");
                call.pictures.leave_out(&mut call.steps);
                self.ask_with_retries(&call, inquiry, patience, deadline).await?
            }
            answered => answered?,
        };
        let tool_calls = answer.tool_calls.into_iter().map(|call| toolbox.as_meant(bot, call)).collect();
        Ok(Answer { tool_calls, ..answer })
    }

    async fn ask_with_retries(
        &self,
        call: &Call<'_>,
        inquiry: &Inquiry<'_>,
        patience: Patience,
        deadline: Instant,
    ) -> Result<Answer, Failed> {
        let mut attempt = 0;
        let mut was_refused = true;
        loop {
            let asking = exchange::ask(&self.client, call, self.aws.as_ref(), inquiry.progress());
            let (detail, after, is_billed) = match timeout_at(deadline, asking).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Failure::Stop { error, is_providers })) => {
                    return Err(Failed { error, may_ask_another: is_providers });
                }
                Ok(Err(Failure::Retry { detail, after, is_billed })) => (detail, after, is_billed),
                Err(_) => (format!("no answer within {:.1} s", patience.time.as_secs_f32()), None, true),
            };
            was_refused &= !is_billed;
            let wait = after.unwrap_or_else(|| backoff(attempt));
            let too_long = wait > MAX_RETRY_AFTER || Instant::now() + wait >= deadline;
            // What was set aside is enough for one answer, however useless.
            let is_used_up = is_billed && call.is_metered;
            if attempt >= patience.retries || too_long || is_used_up {
                let detail = format!("{}: {detail} (attempt {})", call.target.reference(), attempt + 1);
                let error = ModelError::temporary(detail, after, was_refused);
                return Err(Failed { error, may_ask_another: !is_used_up });
            }
            attempt += 1;
            tracing::debug!(model = %call.target.reference(), attempt, detail, "The model is asked again");
            sleep(wait).await;
        }
    }

    /// The most that an answer may cost, in micro-dollars: an upper bound, where a provider's own count of tokens
    /// is not known before, over all models that may give it. `None` if a price is not known.
    pub(crate) fn estimate(&self, request: &ModelRequest<'_>, toolbox: &Toolbox) -> Option<u64> {
        self.estimate_most(Inquiry::Turn(*request), toolbox)
    }

    /// As [`Models::estimate`], of [`Models::look`].
    pub(crate) fn estimate_look(&self, request: &PictureRequest<'_>, toolbox: &Toolbox) -> Option<u64> {
        self.estimate_most(Inquiry::Picture(*request), toolbox)
    }

    fn estimate_most(&self, inquiry: Inquiry<'_>, toolbox: &Toolbox) -> Option<u64> {
        let costs = inquiry.candidates().into_iter().map(|bot| self.estimate_one(&inquiry.by(bot), toolbox));
        costs.collect::<Option<Vec<u64>>>().map(|costs| costs.into_iter().max().unwrap_or(0))
    }

    fn estimate_one(&self, inquiry: &Inquiry<'_>, toolbox: &Toolbox) -> Option<u64> {
        let bot = inquiry.bot();
        let price = bot.price()?;
        let Some(reference) = named(bot) else { return Some(0) };
        // Settings that are wrong cost nothing: nobody is asked.
        let Ok(target) = Target::of(reference, bot, self.aws.as_ref()) else { return Some(0) };
        let mut call = Call::of(inquiry, target, toolbox);
        let pictures = Pictures::count(&mut call.steps, sight(reference, inquiry, toolbox));
        let bytes = wire::outgoing(&call).body.to_string().len() as u64;
        let input = bytes.div_ceil(FEWEST_BYTES_PER_TOKEN) + OVERHEAD_TOKENS + call.picture_tokens(pictures);
        // All of it may be written to the provider's cache, if that is dearer.
        let cache_written = if price.cache_write > Some(price.input) { input } else { 0 };
        Some(price.of(&Usage { input, output: call.most_output(), cached: 0, cache_written }))
    }
}

/// How a model comes to know pictures.
fn sight(reference: &str, inquiry: &Inquiry<'_>, toolbox: &Toolbox) -> Sight {
    match inquiry {
        _ if sees(reference) => Sight::Sees,
        Inquiry::Turn(request) if toolbox.has_looks(&request.bot) => Sight::ByTool,
        Inquiry::Turn(_) | Inquiry::Picture(_) => Sight::Blind,
    }
}

/// A bot as it is with each of its models, in the order in which they are asked: the one that its session chose, its own,
/// and the fallbacks.
fn candidates<'a>(bot: &BotView<'a>) -> Vec<BotView<'a>> {
    let first = BotView { api_key: bot.api_key.or_else(|| key_of(bot, bot.model?)), ..*bot };
    let mut all = vec![first];
    for other in bot.own.into_iter().chain(bot.fallbacks) {
        if all.iter().any(|known| known.model == Some(other.model.as_str())) {
            continue;
        }
        all.push(with_model(bot, other));
    }
    all
}

/// A bot as it is with each of the models that look at pictures for it.
fn image_candidates<'a>(bot: &BotView<'a>) -> Vec<BotView<'a>> {
    let models = bot.image_model.into_iter().flat_map(ImageModel::all);
    models.map(|model| BotView { thinking: None, ..with_model(bot, model) }).collect()
}

fn with_model<'a>(bot: &BotView<'a>, other: &'a FallbackModel) -> BotView<'a> {
    BotView {
        model: Some(&other.model),
        base_url: other.base_url.as_deref(),
        api: other.api,
        api_key: key_of(bot, &other.model),
        price: other.price,
        context_window: other.context_window,
        ..*bot
    }
}

/// The key of a model's provider.
fn key_of<'a>(bot: &BotView<'a>, model: &str) -> Option<&'a Secret> {
    let provider = provider::name_of(model);
    let given = [bot.model.zip(bot.api_key), bot.own_key];
    let of_provider = |(model, key)| (provider::name_of(model) == provider).then_some(key);
    bot.secrets.providers.get(provider).or_else(|| given.into_iter().flatten().find_map(of_provider))
}

/// What is told when no model answered, each with its error.
fn together(mut failures: Vec<(String, ModelError)>) -> ModelError {
    if failures.len() == 1
        && let Some((_, error)) = failures.pop()
    {
        return error;
    }
    let told = failures.iter().map(|(reference, error)| match error.detail() {
        detail if detail.starts_with(reference.as_str()) => detail.to_owned(),
        detail => format!("{reference}: {detail}"),
    });
    let detail = told.collect::<Vec<_>>().join("; ");
    let names = failures.iter().map(|(reference, _)| reference.as_str()).collect::<Vec<_>>().join(", ");
    let mut waits = Vec::new();
    let (mut is_temporary, mut nothing_billed) = (false, true);
    for (_, error) in &failures {
        if let ModelError::Temporary { retry_after, was_refused, .. } = error {
            is_temporary = true;
            nothing_billed &= was_refused;
            waits.extend(*retry_after);
        }
    }
    match failures.pop() {
        // What a provider says against the conversation is so for all of them.
        Some((_, ModelError::Permanent { person, .. })) if !is_temporary => {
            ModelError::Permanent { detail, person: format!("{person} (I asked {names}.)") }
        }
        _ => ModelError::Temporary {
            detail,
            retry_after: waits.into_iter().min(),
            was_refused: nothing_billed,
            person: unreached(&format!("any of my language models ({names})")),
        },
    }
}

/// The model that a bot means, unless it is the demo.
fn named<'a>(bot: &BotView<'a>) -> Option<&'a str> {
    bot.model.filter(|model| *model != demo::NAME)
}

/// What an answer cost, in micro-dollars; 0 if the price is not known. What a provider does not count is counted
/// here, so that a budget cannot be evaded. `sent` are the request's bytes without its pictures.
fn cost(call: &Call<'_>, usage: &Usage, sent: usize, received: usize) -> u64 {
    let tokens = |bytes: usize| (bytes as u64).div_ceil(BYTES_PER_TOKEN);
    let input = match usage.input {
        0 => tokens(sent) + call.picture_tokens(call.pictures.len()),
        counted => counted,
    };
    let output = if usage.output > 0 { usage.output } else { tokens(received) };
    call.price.map_or(0, |price| price.of(&Usage { input, output, ..*usage }))
}

/// Between half and the whole of a time that doubles: many workers that failed together do not come
/// back together.
fn backoff(attempt: u32) -> Duration {
    FIRST_BACKOFF * 2u32.saturating_pow(attempt.min(5)) / 100 * fastrand::u32(50..=100)
}

/// Providers quote a refused key in what they say.
fn redacted(mut error: ModelError, key: Option<&Secret>) -> ModelError {
    let (ModelError::Temporary { detail, .. } | ModelError::Permanent { detail, .. }) = &mut error;
    if let Some(key) = key.map(Secret::expose).filter(|key| !key.is_empty()) {
        *detail = detail.replace(key, "…");
    }
    error
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_printed() {
        let key = Secret::new("sk-secret");
        assert_eq!(format!("{:?}", Some(&key)), "Some(…)");
        let error = ModelError::permanent("401: bad key sk-secret", "No.");
        assert_eq!(redacted(error, Some(&key)).detail(), "401: bad key …");
    }

    #[test]
    fn waits_grow_and_stay_bounded() {
        for attempt in 0..40 {
            let whole = FIRST_BACKOFF * 2u32.pow(attempt.min(5));
            assert!((whole / 2..=whole).contains(&backoff(attempt)), "{attempt}");
        }
    }
}
