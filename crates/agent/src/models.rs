//! Models: which one a bot means, how often it is asked, and what its failures mean.
//!
//! A wire format is a module that turns a [`Call`] into one HTTP exchange; it knows nothing of retries.
//! Retries and their time budget are here, the same for every format.

mod demo;
mod openai_chat;
mod provider;

use std::fmt;
use std::time::Duration;

use domain::Answer;
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::time::{Instant, sleep, timeout_at};

use crate::egress::{self, Guard};
use crate::tools::Toolbox;
use crate::transcript::{self, Step};
use crate::{AgentConfig, AgentError, ModelRequest, prompt};
use provider::Target;

pub use demo::SET_MODEL_COMMAND;

/// The longest wait that a provider may ask for and get within one [`Models::answer`].
const MAX_RETRY_AFTER: Duration = Duration::from_secs(20);
/// The wait before the first retry; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
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

    fn expose(&self) -> &str {
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
    },
    Stop(ModelError),
}

impl Failure {
    fn retry(detail: impl Into<String>) -> Failure {
        Failure::Retry { detail: detail.into(), after: None }
    }
}

/// One question to a model, in no provider's words.
struct Call<'a> {
    target: &'a Target<'a>,
    key: Option<&'a Secret>,
    system: String,
    steps: Vec<Step<'a>>,
    toolbox: &'a Toolbox,
    /// Whether tools may be called; they are described either way.
    tools: bool,
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
        let Some(reference) = bot.model.filter(|model| *model != demo::NAME) else {
            return Ok(demo::answer(request));
        };
        let target = Target::of(reference, bot.base_url)?;
        target.check(self.guard.as_ref(), bot.api_key)?;
        let call = Call {
            target: &target,
            key: bot.api_key,
            system: prompt::system(request),
            steps: transcript::conversation(request.entries, request.chat, transcript::MAX_CHARS),
            toolbox,
            tools: request.tools,
        };
        let answer = self.ask_with_retries(&call).await;
        answer.map_err(|error| redacted(error, bot.api_key))
    }

    async fn ask_with_retries(&self, call: &Call<'_>) -> Result<Answer, ModelError> {
        let deadline = Instant::now() + self.timeout;
        let mut attempt = 0;
        loop {
            let asked = timeout_at(deadline, openai_chat::ask(&self.client, call)).await;
            let (detail, after) = match asked {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Failure::Stop(error))) => return Err(error),
                Ok(Err(Failure::Retry { detail, after })) => (detail, after),
                Err(_) => (format!("no answer within {} s", self.timeout.as_secs_f32()), None),
            };
            let wait = after.unwrap_or_else(|| backoff(attempt));
            let too_long = wait > MAX_RETRY_AFTER || Instant::now() + wait >= deadline;
            if attempt >= self.retries || too_long {
                let detail = format!("{}: {detail} (attempt {})", call.target.reference(), attempt + 1);
                return Err(ModelError::Temporary { detail, retry_after: after });
            }
            attempt += 1;
            tracing::debug!(model = %call.target.reference(), attempt, detail, "The model is asked again");
            sleep(wait).await;
        }
    }
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
