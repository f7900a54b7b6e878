//! The model, its tools and the channel, scripted: what they do follows from the world's randomness and from what they are asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent::{BotView, Mind, ModelError, ModelRequest, ToolContext};
use channels::SendError;
use delivery::{Body, Chunk, Login, Outlet, Part};
use domain::turn::{Question, ToolRules};
use domain::{Address, Answer, Bot, Context, EntryBody, ToolCall, ToolOutcome, ToolResult, Usage};
use futures::future::BoxFuture;
use testkit::cloud::Fate;
use tokio::time::{Instant, sleep};

use super::weather::{BODY, Weather, wait_at};

/// What a call may cost at most, in micro-dollars.
pub(super) const ESTIMATE: u64 = 1000;

/// A tool that may be repeated, one that must not, and one that must not and asks its owner first.
const LOOK: &str = "look";
const PAY: &str = "pay";
pub(super) const SEND: &str = "send";

/// The scripted model. It answers what it was asked, now and then after some rounds of tools.
pub(super) struct Script {
    pub(super) weather: Arc<Weather>,
    /// The guard of tools is off: nothing is said to be unrepeatable.
    pub(super) repeat_all: bool,
    /// The guard of approvals is off: nothing is said to need one.
    pub(super) approve_all: bool,
    pub(super) window: u64,
    /// It takes its time, so that turns outlive their invocations.
    pub(super) is_slow: bool,
    pub(super) ledger: Mutex<Ledger>,
}

/// What the outside world has seen of the bot.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    calls: u64,
    /// What the provider will bill, lost answers included.
    pub(super) billed: u64,
    /// How often each call of an unrepeatable tool was carried out.
    pub(super) payments: BTreeMap<String, u32>,
}

impl Script {
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn think(&self, request: &ModelRequest<'_>) -> Result<Answer, ModelError> {
        let weather = &self.weather;
        let body = BODY.try_with(|body| body.name.clone()).unwrap_or_default();
        let (asked, rounds) = asked(request);
        weather.count(|counts| counts.model_calls += 1);
        weather.note(format!("{body} asks the model: {:?} about {asked:?}", request.question));
        let fate = wait_at("the model, before it reads").await;
        let secs = weather.random(|rng| if self.is_slow { rng.u64(10..60) } else { rng.u64(0..4) });
        sleep(Duration::from_secs(secs)).await;
        if fate == Fate::Lose || (weather.is_storm() && weather.chance(30)) {
            weather.note(format!("{body}: the model is busy"));
            return Err(ModelError::temporary("busy", None, true));
        }
        let cost = if request.bot.metered { weather.random(|rng| rng.u64(0..=ESTIMATE)) } else { 0 };
        let answer = self.answer_for(request, &asked, rounds, cost);
        self.ledger().billed += cost;
        // The answer is paid for, and lost on its way.
        if wait_at("the model, after it answered").await == Fate::Lose {
            let detail = "the connection broke".to_owned();
            return Err(ModelError::temporary(detail, None, false));
        }
        Ok(answer)
    }

    fn answer_for(&self, request: &ModelRequest<'_>, asked: &str, rounds: usize, cost: u64) -> Answer {
        let mut answer = Answer {
            native: None,
            text: format!("answer to {asked}"),
            tool_calls: vec![],
            model: "script/one".to_owned(),
            usage: Usage { output: 1, ..Usage::default() },
            cost,
        };
        match request.question {
            Question::Summary { .. } => answer.text = "what was said".to_owned(),
            Question::Step { tools } if *tools && rounds < 4 && self.weather.chance(400) => {
                let count = self.weather.random(|rng| rng.usize(1..4));
                answer.tool_calls = (0..count).map(|_| self.tool_call()).collect();
                answer.text.clear();
            }
            Question::Step { .. } => {}
        }
        answer
    }

    fn tool_call(&self) -> ToolCall {
        let mut ledger = self.ledger();
        ledger.calls += 1;
        let name = [LOOK, LOOK, PAY, PAY, SEND][self.weather.random(|rng| rng.usize(0..5))];
        ToolCall { id: format!("call-{}", ledger.calls), name: name.to_owned(), arguments: "{}".to_owned() }
    }
}

/// What the model is asked, by the person's messages since the last answer, and how many rounds of tools there were since.
fn asked(request: &ModelRequest<'_>) -> (String, usize) {
    let entries = Context::of(request.entries).entries;
    let mut asked: Vec<&str> = Vec::new();
    let mut rounds = 0;
    for entry in entries {
        match &entry.body {
            EntryBody::User(user) if !user.is_command => asked.push(&user.text),
            EntryBody::Assistant(answer) if !answer.tool_calls.is_empty() => rounds += 1,
            body if body.is_final() => {
                asked.clear();
                rounds = 0;
            }
            _ => {}
        }
    }
    (asked.join(" + "), rounds)
}

impl ToolRules for Script {
    fn may_repeat(&self, _: &Bot, call: &ToolCall) -> bool {
        call.name == LOOK || self.repeat_all
    }

    fn needs_approval(&self, _: &Bot, call: &ToolCall) -> bool {
        call.name == SEND && !self.approve_all
    }
}

impl Mind for Script {
    fn answer<'a>(&'a self, request: &'a ModelRequest<'a>) -> BoxFuture<'a, Result<Answer, ModelError>> {
        Box::pin(self.think(request))
    }

    fn run_tool<'a>(&'a self, call: &'a ToolCall, _: &'a ToolContext<'a>) -> BoxFuture<'a, ToolResult> {
        Box::pin(async move {
            wait_at(&format!("{} ({}), before it runs", call.name, call.id)).await;
            if call.name != LOOK {
                *self.ledger().payments.entry(call.id.clone()).or_default() += 1;
                self.weather.note(format!("{} is carried out", call.id));
            }
            wait_at(&format!("{} ({}), after it ran", call.name, call.id)).await;
            let (name, text) = (call.name.clone(), "done".to_owned());
            ToolResult { call: call.id.clone(), name, outcome: ToolOutcome::Ok, text, media: vec![], asked: None }
        })
    }

    fn estimate(&self, _: &ModelRequest<'_>) -> Option<u64> {
        Some(ESTIMATE)
    }

    fn tool_names(&self, _: &BotView<'_>) -> Vec<String> {
        [LOOK, PAY, SEND].map(str::to_owned).into()
    }

    fn context_window(&self, _: &BotView<'_>) -> u64 {
        self.window
    }
}

/// The channel that replies leave by.
pub(super) struct Post {
    pub(super) weather: Arc<Weather>,
    /// It has idempotency keys.
    pub(super) has_keys: bool,
    pub(super) sent: Mutex<Sent>,
    /// What people will say to the questions that they have read.
    pub(super) decisions: Mutex<Vec<Decided>>,
}

/// What somebody will write about a question.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) at: Instant,
    pub(super) chat: String,
    pub(super) text: String,
}

/// What people read.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Chat, key and text of each message that appeared, in order.
    pub(super) messages: Vec<(String, String, String)>,
    keys: BTreeSet<String>,
    /// How often a message may have been sent without its worker knowing.
    pub(super) unsure: u64,
}

impl Post {
    pub(super) fn decisions(&self) -> MutexGuard<'_, Vec<Decided>> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody reads a question: they answer in time or late, once or twice, or never.
    fn consider(&self, chat: &str, text: &str) {
        let Some(code) = text.split("`/approve ").nth(1).and_then(|rest| rest.split(' ').next()) else { return };
        let decide = |word: &str, secs: std::ops::Range<u64>| {
            let at = Instant::now() + Duration::from_secs(self.weather.random(|rng| rng.u64(secs)));
            self.decisions().push(Decided { at, chat: chat.to_owned(), text: format!("/approve {code} {word}") });
        };
        match self.weather.random(|rng| rng.u32(0..10)) {
            0..=2 => decide("once", 1..60),
            3 => decide("once", 500..700),
            4 => decide("always", 1..90),
            5 => decide("deny", 1..60),
            6 => {
                decide("once", 1..30);
                decide("deny", 1..30);
            }
            7 => {
                decide("once", 1..30);
                decide("once", 20..90);
            }
            _ => {}
        }
    }

    pub(super) fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many characters the channel takes at once.
const LIMIT: usize = 90;

/// The parts that a text is sent in. What is said of a question is sent whole, so that its code is.
pub(super) fn parts_of(text: &str) -> Vec<String> {
    if text.contains("my owner's approval") {
        return vec![text.to_owned()];
    }
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(LIMIT).map(|part| part.iter().collect()).collect()
}

impl Outlet for Post {
    fn chunks(&self, markdown: &str) -> Vec<Chunk> {
        let chunk = |part: String| Chunk { markup: part.clone(), plain: part };
        parts_of(markdown).into_iter().map(chunk).collect()
    }

    fn send<'a>(
        &'a self,
        _: Login<'a>,
        to: &'a Address,
        part: &'a Part<'a>,
    ) -> BoxFuture<'a, Result<String, SendError>> {
        Box::pin(async move {
            let key = part.key;
            let text = match &part.body {
                Body::Text(chunk) => chunk.plain.clone(),
                Body::File(media, _) => media.id.to_string(),
            };
            let place = format!("the channel, with {text:?} ({key})");
            if wait_at(&format!("{place}, before it arrives")).await == Fate::Lose {
                return Err(SendError::Temporary("no connection".to_owned()));
            }
            let is_new = self.sent().keys.insert(key.to_owned());
            if is_new && (key.contains(".ask.") || key.contains(".ask-owner.")) {
                self.consider(&to.chat, &text);
            }
            if is_new || !self.has_keys {
                self.sent().messages.push((to.chat.clone(), key.to_owned(), text.clone()));
                self.weather.count(|counts| counts.replies += 1);
                self.weather.note(format!("chat {} reads {text:?} ({key})", to.chat));
            }
            if wait_at(&format!("{place}, after it was sent")).await == Fate::Lose {
                self.sent().unsure += 1;
                return Err(SendError::Temporary("no answer".to_owned()));
            }
            Ok(key.to_owned())
        })
    }
}
