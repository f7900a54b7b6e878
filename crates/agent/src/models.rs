//! Models: which one a bot means, how often it is asked, and what its failures mean.
//!
//! A wire format is a module that turns a [`Call`] into one HTTP exchange; it knows nothing of retries.
//! Retries and their time budget are here, the same for every format.

mod demo;
mod openai_chat;
mod prices;
mod provider;

use std::fmt;
use std::time::Duration;

use domain::turn::Question;
use domain::{Answer, Context, Price, Usage};
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::time::{Instant, sleep, timeout_at};

use crate::egress::{self, Guard};
use crate::tools::Toolbox;
use crate::transcript::{self, FEWEST_BYTES_PER_TOKEN, Step};
use crate::{AgentConfig, AgentError, BotView, ModelRequest, prompt, summary};
use provider::Target;

pub use demo::SET_MODEL_COMMAND;
pub use prices::price_of;

/// The longest wait that a provider may ask for and get within one [`Models::answer`].
const MAX_RETRY_AFTER: Duration = Duration::from_secs(20);
/// The wait before the first retry; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// How long an answer may be where it is paid from a budget, in tokens.
const MAX_OUTPUT: u64 = 8_192;
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
            ModelError::Temporary { .. } => {
                "I could not reach my language model just now, so your message is not answered. \
                 Please try again in a while; my owner can see what happened."
            }
            ModelError::Permanent { person, .. } => person,
        }
    }

    fn permanent(detail: impl Into<String>, person: &str) -> ModelError {
        ModelError::Permanent { detail: detail.into(), person: person.to_owned() }
    }
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
    Stop(ModelError),
}

impl Failure {
    fn retry(detail: impl Into<String>) -> Failure {
        Failure::Retry { detail: detail.into(), after: None, is_billed: false }
    }
}

/// One question to a model, in no provider's words.
struct Call<'a> {
    target: Target<'a>,
    key: Option<&'a Secret>,
    system: String,
    steps: Vec<Step<'a>>,
    tools: Tools<'a>,
    price: Option<Price>,
    /// How many tokens the answer may have.
    max_output: Option<u64>,
}

/// What a model is told of tools.
#[derive(Clone, Copy)]
enum Tools<'a> {
    /// Nothing: it has none.
    None,
    Described {
        toolbox: &'a Toolbox,
        may_call: bool,
    },
}

impl<'a> Call<'a> {
    fn of(request: &'a ModelRequest<'_>, target: Target<'a>, toolbox: &'a Toolbox) -> Call<'a> {
        let bot = &request.bot;
        let context = Context::of(request.entries);
        let (system, steps, tools) = match request.question {
            Question::Step { tools } => {
                let tools = Tools::Described { toolbox, may_call: *tools };
                (prompt::system(request), transcript::conversation(request, &context), tools)
            }
            Question::Summary { keep_from, hint } => {
                let steps = vec![Step::User(summary::material(request, &context, *keep_from, hint))];
                (summary::PROMPT.trim_end().to_owned(), steps, Tools::None)
            }
        };
        let max_output = bot.metered.then_some(MAX_OUTPUT);
        Call { target, key: bot.api_key, system, steps, tools, price: bot.price(), max_output }
    }
}

/// The clients that models are reached with.
#[derive(Debug)]
pub(crate) struct Models {
    client: Client,
    /// `None`: any address may be called.
    guard: Option<Guard>,
    timeout: Duration,
    retries: u32,
}

impl Models {
    pub(crate) fn new(config: &AgentConfig) -> Result<Models, AgentError> {
        let guard = (!config.private_models).then(Guard::default);
        // An API does not move; a redirect would take the key and the conversation elsewhere.
        let client = match &guard {
            Some(guard) => guard.client(Policy::none())?,
            None => egress::unguarded_client(Policy::none())?,
        };
        Ok(Models { client, guard, timeout: config.model_timeout, retries: config.model_retries })
    }

    pub(crate) async fn answer(&self, request: &ModelRequest<'_>, toolbox: &Toolbox) -> Result<Answer, ModelError> {
        let bot = &request.bot;
        let Some(reference) = named(bot) else {
            return Ok(demo::answer(request));
        };
        let target = Target::of(reference, bot.base_url)?;
        target.check(self.guard.as_ref(), bot.api_key)?;
        let answer = self.ask_with_retries(&Call::of(request, target, toolbox)).await;
        answer.map_err(|error| redacted(error, bot.api_key))
    }

    /// The most that an answer may cost, in micro-dollars: an upper bound, where a provider's own count of tokens
    /// is not known before. `None` if the price is not known.
    pub(crate) fn estimate(&self, request: &ModelRequest<'_>, toolbox: &Toolbox) -> Option<u64> {
        let bot = &request.bot;
        let price = bot.price()?;
        // Settings that are wrong cost nothing: nobody is asked.
        let Some(Ok(target)) = named(bot).map(|reference| Target::of(reference, bot.base_url)) else {
            return Some(0);
        };
        let bytes = openai_chat::body(&Call::of(request, target, toolbox)).to_string().len() as u64;
        let input = bytes.div_ceil(FEWEST_BYTES_PER_TOKEN) + OVERHEAD_TOKENS;
        Some(price.of(&Usage { input, output: MAX_OUTPUT, cached: 0 }))
    }

    async fn ask_with_retries(&self, call: &Call<'_>) -> Result<Answer, ModelError> {
        let deadline = Instant::now() + self.timeout;
        let mut attempt = 0;
        let mut was_refused = true;
        loop {
            let asked = timeout_at(deadline, openai_chat::ask(&self.client, call)).await;
            let (detail, after, is_billed) = match asked {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Failure::Stop(error))) => return Err(error),
                Ok(Err(Failure::Retry { detail, after, is_billed })) => (detail, after, is_billed),
                Err(_) => (format!("no answer within {} s", self.timeout.as_secs_f32()), None, true),
            };
            was_refused &= !is_billed;
            let wait = after.unwrap_or_else(|| backoff(attempt));
            let too_long = wait > MAX_RETRY_AFTER || Instant::now() + wait >= deadline;
            // What was set aside is enough for one answer, however useless.
            let is_used_up = is_billed && call.max_output.is_some();
            if attempt >= self.retries || too_long || is_used_up {
                let detail = format!("{}: {detail} (attempt {})", call.target.reference(), attempt + 1);
                return Err(ModelError::Temporary { detail, retry_after: after, was_refused });
            }
            attempt += 1;
            tracing::debug!(model = %call.target.reference(), attempt, detail, "The model is asked again");
            sleep(wait).await;
        }
    }
}

/// The model that a bot means, unless it is the demo.
fn named<'a>(bot: &BotView<'a>) -> Option<&'a str> {
    bot.model.filter(|model| *model != demo::NAME)
}

/// What an answer cost, in micro-dollars; 0 if the price is not known. What a provider does not count is counted
/// here, so that a budget cannot be evaded.
fn cost(price: Option<Price>, usage: &Usage, sent: usize, received: usize) -> u64 {
    let count = |tokens: u64, bytes: usize| if tokens > 0 { tokens } else { (bytes as u64).div_ceil(BYTES_PER_TOKEN) };
    let usage = Usage { input: count(usage.input, sent), output: count(usage.output, received), ..*usage };
    price.map_or(0, |price| price.of(&usage))
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
