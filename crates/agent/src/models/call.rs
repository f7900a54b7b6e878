//! A question to a model, in no provider's words.

use std::borrow::Cow;
use std::collections::HashSet;

use domain::account::ModelApi;
use domain::turn::Question;
use domain::{Context, Price, Thinking, Timestamp};

use super::pictures::Pictures;
use super::provider::Target;
use super::{Secret, candidates, image_candidates, prices, thinking, wire};
use crate::looking::PictureRequest;
use crate::tools::{Tool, Toolbox};
use crate::transcript::{self, Step};
use crate::{BotView, Host, ModelRequest, Progress, prompt, summary};

const LOOK_PROMPT: &str = include_str!("../../prompts/picture.md");

/// How long an answer may be, thoughts aside, in tokens: where it is paid from a budget, and where a provider has to be
/// told.
const MAX_ANSWER_TOKENS: u64 = 8_192;
/// All that is sent back in providers' own form, in bytes; older answers go without their thoughts.
const MAX_NATIVE: usize = 300_000;
/// What a tool call's id may look like wherever it is sent, in characters of `[a-zA-Z0-9_-]` (Bedrock's rule).
const MAX_CALL_ID: usize = 64;

/// One question to a model.
pub(super) struct Call<'a> {
    pub(super) target: Target<'a>,
    pub(super) key: Option<&'a Secret>,
    pub(super) system: String,
    pub(super) steps: Vec<Step<'a>>,
    /// What the model is told of tools; empty if it has none.
    pub(super) tools: Vec<Tool>,
    /// Whether it may call them now.
    pub(super) may_call: bool,
    /// Whether an answer must have a text beside [`domain::turn::NO_REPLY`].
    pub(super) is_summary: bool,
    pub(super) pictures: Pictures,
    pub(super) thinking: Option<Thinking>,
    pub(super) price: Option<Price>,
    /// The length of the answer is bounded, for each call is paid from a budget.
    pub(super) is_metered: bool,
    pub(super) now: Timestamp,
}

/// What a model is asked.
#[derive(Clone, Copy)]
pub(super) enum Inquiry<'a> {
    /// The next step of a turn, or a summary.
    Turn(ModelRequest<'a>),
    /// What is in a picture.
    Picture(PictureRequest<'a>),
}

impl<'a> Inquiry<'a> {
    pub(super) fn bot(&self) -> &BotView<'a> {
        match self {
            Inquiry::Turn(request) => &request.bot,
            Inquiry::Picture(request) => &request.bot,
        }
    }

    /// The same, asked for a bot with another model.
    pub(super) fn by(self, bot: BotView<'a>) -> Inquiry<'a> {
        match self {
            Inquiry::Turn(request) => Inquiry::Turn(ModelRequest { bot, ..request }),
            Inquiry::Picture(request) => Inquiry::Picture(PictureRequest { bot, ..request }),
        }
    }

    /// The bot with each of the models that may be asked, in their order.
    pub(super) fn candidates(&self) -> Vec<BotView<'a>> {
        match self {
            Inquiry::Turn(request) => candidates(&request.bot),
            Inquiry::Picture(request) => image_candidates(&request.bot),
        }
    }

    pub(super) fn host(&self) -> &'a dyn Host {
        match self {
            Inquiry::Turn(request) => request.host,
            Inquiry::Picture(request) => request.host,
        }
    }

    pub(super) fn progress(&self) -> Option<&'a dyn Progress> {
        match self {
            Inquiry::Turn(request) => request.progress,
            Inquiry::Picture(_) => None,
        }
    }

    fn now(&self) -> Timestamp {
        match self {
            Inquiry::Turn(request) => request.now,
            Inquiry::Picture(request) => request.now,
        }
    }
}

impl<'a> Call<'a> {
    /// The call without its pictures: those are in the steps, and [`Pictures::load`] brings them.
    pub(super) fn of(inquiry: &'a Inquiry<'_>, target: Target<'a>, toolbox: &Toolbox) -> Call<'a> {
        let bot = inquiry.bot();
        let (system, mut steps, tools, may_call) = match inquiry {
            Inquiry::Turn(request) => {
                let context = Context::of(request.entries);
                match request.question {
                    Question::Step { tools } => {
                        let steps = transcript::conversation(request, &context);
                        (prompt::system(request), steps, toolbox.declared(bot), *tools)
                    }
                    Question::Summary { keep_from, hint } => {
                        let steps = vec![Step::said(summary::material(request, &context, *keep_from, hint))];
                        (summary::PROMPT.trim_end().to_owned(), steps, vec![], false)
                    }
                }
            }
            Inquiry::Picture(PictureRequest { picture, prompt, .. }) => {
                let text = if prompt.is_empty() { "What is in this picture?" } else { *prompt };
                let steps = vec![Step::User { text: text.to_owned(), pictures: vec![*picture] }];
                (LOOK_PROMPT.trim_end().to_owned(), steps, vec![], false)
            }
        };
        keep_native(&mut steps, &target, bot.thinking);
        for answered in steps.iter_mut().flat_map(Step::calls_mut) {
            if let Cow::Owned(declared) = toolbox.as_declared(bot, &answered.call) {
                answered.call = Cow::Owned(declared);
            }
        }
        name_apart(&mut steps);
        let is_summary = matches!(inquiry, Inquiry::Turn(ModelRequest { question: Question::Summary { .. }, .. }));
        Call {
            key: bot.api_key,
            thinking: if is_summary { None } else { bot.thinking },
            price: bot.price(),
            is_metered: bot.metered,
            now: inquiry.now(),
            pictures: Pictures::default(),
            target,
            system,
            steps,
            tools,
            may_call,
            is_summary,
        }
    }

    /// The most tokens that an answer may have, thoughts included.
    pub(super) fn most_output(&self) -> u64 {
        MAX_ANSWER_TOKENS + self.thinking.map_or(0, thinking::budget)
    }

    /// As [`Call::most_output`], where the answer has to be bounded.
    pub(super) fn max_output(&self) -> Option<u64> {
        self.is_metered.then(|| self.most_output())
    }

    /// Whether the model's last answer waits for the results of its calls, and its thoughts are not known: it was
    /// another model, or thought nothing. Anthropic's models must not begin to think then.
    pub(super) fn is_amid_others_thoughts(&self) -> bool {
        matches!(self.steps.last(), Some(Step::Assistant { calls, native: None, .. }) if !calls.is_empty())
    }

    /// How many tokens its pictures take at most.
    pub(super) fn picture_tokens(&self, pictures: usize) -> u64 {
        pictures as u64 * prices::picture_tokens(&self.target.reference())
    }
}

/// Leaves only what the same model wrote in the same protocol, the newest of it, and nothing if the model is not to
/// think.
fn keep_native(steps: &mut [Step<'_>], target: &Target<'_>, thinking: Option<Thinking>) {
    let mut room = MAX_NATIVE;
    for step in steps.iter_mut().rev() {
        let Step::Assistant { native, calls, .. } = step else { continue };
        *native = native.filter(|kept| {
            let is_own = kept.api == target.wire_name() && kept.model == target.model;
            // An answer that the engine has cut is not what it was.
            let is_whole = target.native_calls(&kept.content).is_none_or(|kept| kept == calls.len());
            let size = kept.content.to_string().len();
            let fits = is_own && is_whole && thinking != Some(Thinking::Off) && size <= room;
            room -= if fits { size } else { 0 };
            fits
        });
    }
}

/// Gives each call an id that is the conversation's only one and that every protocol takes.
fn name_apart(steps: &mut [Step<'_>]) {
    let is_fine = |id: &str| {
        let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        (1..=MAX_CALL_ID).contains(&id.len()) && id.chars().all(is_letter)
    };
    let mut taken = HashSet::new();
    for (at, step) in steps.iter_mut().enumerate() {
        let Step::Assistant { calls, native, .. } = step else { continue };
        for (index, answered) in calls.iter_mut().enumerate() {
            if is_fine(&answered.call.id) && taken.insert(answered.call.id.clone()) {
                continue;
            }
            let mut id = format!("call_{at}_{index}");
            while !taken.insert(id.clone()) {
                id.push('_');
            }
            answered.call.to_mut().id = id;
            // It names the call by its former id, but for Google's, which knows none.
            *native = native.filter(|native| native.api == wire::name(ModelApi::GoogleGenerativeAi));
        }
    }
}
