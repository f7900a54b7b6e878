//! The turn engine's decisions: `decide(head, entries, event) -> actions`, over a log that is the journal.
//!
//! A worker loads a session's head and the end of its log, hands events to [`decide`], performs the
//! actions in order, and reports what came of them as the next event, until an action says
//! [`Action::Finish`]. The decisions use only the log, so a worker that takes over after a crash
//! goes on where the log ends:
//!
//! - Entries that were appended but not committed yet (`seq >= head.next_seq`) live in the worker's
//!   memory. A simple turn appends the person's message and the answer, and commits once.
//! - An answer with tool calls is committed *before* the tools run, and their results after, so a
//!   finished tool is never run again.
//! - Tools that must not be repeated run one at a time, each committed before the next. So when a
//!   worker resumes a turn, at most the first of them without a result may be half-done: it is
//!   reported to the model as outcome unknown.
//! - A commit names the head's version that it saw, so of two workers that hold one session (one is a
//!   zombie whose task was given to another) only one goes on; the other finds out at its next commit,
//!   and starts nothing before it.

use serde::{Deserialize, Serialize};

use crate::entry::{Answer, EntryBody, ToolCall, ToolOutcome, ToolResult, UserMessage};
use crate::message::{Address, OutboundId};
use crate::{AccountId, BotId, Channel, Entry, Inbound, LinkId, MessageId, Outbound, Timestamp, TurnId, Usage};

/// How many model calls one turn may make. The last one is made without tools, so that it answers.
pub const MAX_STEPS: u32 = 24;

/// How many tools one answer may call; further calls are left out.
pub const MAX_CALLS: usize = 16;

/// The longest answer and the longest arguments of a call that are kept, in bytes.
pub const MAX_ANSWER: usize = 100_000;
pub const MAX_ARGUMENTS: usize = 50_000;

/// What a model writes when it has nothing to say to the person.
pub const NO_REPLY: &str = "NO_REPLY";

/// The state of a session beside its log. Stored in one row, changed by every commit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Head {
    /// Counts the commits; a commit names the version that it saw.
    pub version: u64,
    /// The sequence number that the next entry gets.
    pub next_seq: u64,
    /// The turn that is under way, if it has committed anything yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<ActiveTurn>,
    /// All tokens of the session so far.
    pub usage: Usage,
    pub updated_at: Timestamp,
}

/// A turn that has committed something and has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveTurn {
    pub id: TurnId,
    pub started_at: Timestamp,
    /// Model calls that were answered so far.
    pub steps: u32,
    /// Where the answer goes.
    pub reply: ReplyTo,
}

/// Where a turn's answer goes: the place that its last message came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyTo {
    pub account: AccountId,
    pub bot: BotId,
    pub link: LinkId,
    pub channel: Channel,
    pub address: Address,
}

impl ReplyTo {
    pub fn of(inbound: &Inbound) -> ReplyTo {
        ReplyTo {
            account: inbound.account,
            bot: inbound.bot,
            link: inbound.link,
            channel: inbound.channel,
            address: inbound.address.clone(),
        }
    }

    /// Whether a message was written in this place.
    fn is_where(&self, inbound: &Inbound) -> bool {
        self.link == inbound.link
            && self.address.chat == inbound.address.chat
            && self.address.thread == inbound.address.thread
    }

    /// The message that `text` becomes on its way there; `None` where replies are read from the log.
    pub fn outbound(&self, id: OutboundId, text: String, now: Timestamp) -> Option<Outbound> {
        (!self.channel.is_read_from_log()).then(|| Outbound {
            id,
            account: self.account,
            bot: self.bot,
            link: self.link,
            channel: self.channel,
            address: self.address.clone(),
            text,
            created_at: now,
        })
    }
}

/// What becomes of a message that arrives while a turn is under way (OpenClaw's queue modes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueMode {
    /// It joins the turn at its next step.
    #[default]
    Steer,
    /// It gets a turn of its own, afterwards.
    Followup,
    /// All that wait get one turn together, afterwards.
    Collect,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A worker has loaded the session: for a message, or to go on with a turn.
    Loaded,
    /// The last [`Action::Commit`] took effect.
    Committed,
    /// The model answered.
    Answered(Answer),
    /// The tools that [`Action::RunTools`] named have run.
    ToolsRan(Vec<ToolResult>),
    /// The model will not answer, however often it is asked. `text` is for the person, `detail` for the owner.
    ModelFailed { text: String, detail: String },
}

/// What to do about it, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// This message was taken in before. If its turn has ended, queue its outbox again: it was
    /// committed, but perhaps never queued.
    Skip { message: MessageId, resend: Option<TurnId> },
    /// Append to the log, in memory. A `User` body takes its message out of those that wait.
    Append { turn: TurnId, body: EntryBody },
    /// Write what was appended, the marks of the messages taken in, and the outbox, in one conditional
    /// transaction; then queue the outbox. The head gets `turn`. If a `Failed` entry is among what was
    /// appended, the turn's messages become dead letters.
    Commit { turn: Option<ActiveTurn>, outbox: Vec<Outbound> },
    /// Ask the model for the next step of the turn. Without `tools` it can only answer.
    CallModel { turn: ActiveTurn, tools: bool },
    /// Run these calls, all at once: they may be repeated, or it is one alone.
    RunTools { turn: ActiveTurn, calls: Vec<ToolCall> },
    /// Queue a task that goes on with this turn elsewhere.
    Requeue { turn: ActiveTurn },
    /// Nothing is left to do.
    Finish,
}

/// Whether a tool may be run again when it is not known how it ended.
pub trait ToolRules {
    fn may_repeat(&self, tool: &str) -> bool;
}

/// What a decision is made from.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub head: &'a Head,
    /// The end of the log, oldest first, with what was appended and is not committed yet.
    pub entries: &'a [Entry],
    /// The turn in hand, committed or not: the worker keeps it from the last action that named one.
    pub turn: Option<&'a ActiveTurn>,
    /// Messages that came from the queue and were not taken in yet, oldest first.
    pub waiting: &'a [Inbound],
    pub mode: QueueMode,
    /// The id that a new turn gets.
    pub next_turn: TurnId,
    pub now: Timestamp,
    /// The worker must stop soon: start nothing that takes long.
    pub out_of_time: bool,
}

/// Decides what to do next. Pure: the same view and event always give the same actions.
pub fn decide(view: &View<'_>, rules: &impl ToolRules, event: Event) -> Vec<Action> {
    let Some(turn) = view.turn else {
        return match (event, &view.head.turn) {
            (Event::Loaded, Some(left)) => resume(view, rules, left),
            _ => take_next(view),
        };
    };
    match event {
        Event::Loaded => resume(view, rules, turn),
        Event::Committed => next_step(view, rules, turn),
        Event::Answered(answer) => answered(view, turn, answer),
        Event::ToolsRan(results) => {
            let results = results.into_iter().map(|result| append(turn, EntryBody::ToolResult(result)));
            results.chain([Action::Commit { turn: Some(turn.clone()), outbox: vec![] }]).collect()
        }
        Event::ModelFailed { text, detail } => {
            let outbox = turn.reply.outbound(OutboundId::reply(turn.id, 0), text.clone(), view.now);
            vec![
                append(turn, EntryBody::Failed { text, detail }),
                Action::Commit { turn: None, outbox: outbox.into_iter().collect() },
            ]
        }
    }
}

/// No turn is under way: start one for what waits.
fn take_next(view: &View<'_>) -> Vec<Action> {
    let mut actions = Vec::new();
    for (index, inbound) in view.waiting.iter().enumerate() {
        let turn = ActiveTurn { id: view.next_turn, started_at: view.now, steps: 0, reply: ReplyTo::of(inbound) };
        if let Some(by) = taken_by(view.entries, &inbound.message) {
            actions.push(Action::Skip { message: inbound.message.clone(), resend: Some(by) });
            continue;
        }
        let together = match view.mode {
            QueueMode::Collect => collected(view, index),
            QueueMode::Steer | QueueMode::Followup => &view.waiting[index..=index],
        };
        actions.extend(together.iter().map(|inbound| append(&turn, user_body(inbound))));
        actions.extend(call_model(view, &turn, true));
        return actions;
    }
    actions.push(Action::Finish);
    actions
}

/// The messages from `index` on that can share a turn: new ones, to be answered in the same place.
fn collected<'a>(view: &View<'a>, index: usize) -> &'a [Inbound] {
    let waiting = &view.waiting[index..];
    let place = ReplyTo::of(&waiting[0]);
    let fits = |inbound: &&Inbound| place.is_where(inbound) && taken_by(view.entries, &inbound.message).is_none();
    &waiting[..waiting.iter().take_while(fits).count()]
}

/// A worker takes up a turn that another one left.
fn resume(view: &View<'_>, rules: &impl ToolRules, turn: &ActiveTurn) -> Vec<Action> {
    match pending_calls(view.entries, turn.id).first() {
        Some(call) if !rules.may_repeat(&call.name) => {
            let result = ToolResult {
                call: call.id.clone(),
                name: call.name.clone(),
                outcome: ToolOutcome::Unknown,
                text: "Outcome unknown: the worker stopped while this tool ran, so it may or may not have taken \
                       effect. It was not run again. Check before you repeat it."
                    .to_owned(),
            };
            vec![
                append(turn, EntryBody::ToolResult(result)),
                Action::Commit { turn: Some(turn.clone()), outbox: vec![] },
            ]
        }
        _ => next_step(view, rules, turn),
    }
}

/// The log is committed up to here and the turn is ours: run what the model asked for, or ask it again.
fn next_step(view: &View<'_>, rules: &impl ToolRules, turn: &ActiveTurn) -> Vec<Action> {
    let pending = pending_calls(view.entries, turn.id);
    if !pending.is_empty() {
        if view.out_of_time {
            return vec![Action::Requeue { turn: turn.clone() }, Action::Finish];
        }
        let together = pending.iter().take_while(|call| rules.may_repeat(&call.name)).count().max(1);
        let calls = pending[..together].iter().map(|call| (*call).clone()).collect();
        return vec![Action::RunTools { turn: turn.clone(), calls }];
    }
    let mut actions = Vec::new();
    let mut turn = turn.clone();
    for inbound in view.waiting {
        match taken_by(view.entries, &inbound.message) {
            // Taken in by this very turn, or answered before: either way not again.
            Some(by) => {
                actions.push(Action::Skip { message: inbound.message.clone(), resend: (by != turn.id).then_some(by) })
            }
            // Only from the same place: a turn has one answer, and it goes where its messages came from.
            None if view.mode == QueueMode::Steer && turn.reply.is_where(inbound) => {
                turn.reply = ReplyTo::of(inbound);
                actions.push(append(&turn, user_body(inbound)));
            }
            None => break,
        }
    }
    let appended = actions.iter().any(|action| matches!(action, Action::Append { .. }));
    actions.extend(call_model(view, &turn, appended));
    actions
}

fn answered(view: &View<'_>, turn: &ActiveTurn, answer: Answer) -> Vec<Action> {
    let mut answer = bounded(answer);
    let mut turn = turn.clone();
    turn.steps += 1;
    if turn.steps < MAX_STEPS && !answer.tool_calls.is_empty() {
        return vec![append(&turn, EntryBody::Assistant(answer)), Action::Commit { turn: Some(turn), outbox: vec![] }];
    }
    if !answer.tool_calls.is_empty() {
        answer.tool_calls.clear();
        if answer.text.trim().is_empty() {
            answer.text = format!(
                "I stopped after {MAX_STEPS} steps without reaching an end. Tell me to go on if you want me to."
            );
        }
    }
    let silent = answer.text.trim() == NO_REPLY;
    let outbox =
        if silent { None } else { turn.reply.outbound(OutboundId::reply(turn.id, 0), answer.text.clone(), view.now) };
    vec![
        append(&turn, EntryBody::Assistant(answer)),
        Action::Commit { turn: None, outbox: outbox.into_iter().collect() },
    ]
}

/// Cuts an answer to what a row, and a transaction with all results of its calls, can hold.
fn bounded(mut answer: Answer) -> Answer {
    answer.text = cut(answer.text, MAX_ANSWER);
    answer.tool_calls.truncate(MAX_CALLS);
    for call in &mut answer.tool_calls {
        // Cut arguments are no JSON, which the tool says to the model.
        call.arguments = cut(std::mem::take(&mut call.arguments), MAX_ARGUMENTS);
    }
    answer
}

fn cut(mut text: String, max: usize) -> String {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// Calls the model, or puts the turn off when the worker has no time left for a call.
fn call_model(view: &View<'_>, turn: &ActiveTurn, uncommitted: bool) -> Vec<Action> {
    if !view.out_of_time {
        vec![Action::CallModel { turn: turn.clone(), tools: turn.steps + 1 < MAX_STEPS }]
    } else if uncommitted {
        vec![Action::Commit { turn: Some(turn.clone()), outbox: vec![] }]
    } else {
        vec![Action::Requeue { turn: turn.clone() }, Action::Finish]
    }
}

fn append(turn: &ActiveTurn, body: EntryBody) -> Action {
    Action::Append { turn: turn.id, body }
}

fn user_body(inbound: &Inbound) -> EntryBody {
    EntryBody::User(UserMessage {
        message: inbound.message.clone(),
        channel: inbound.channel,
        sender: inbound.sender.clone(),
        text: inbound.text.clone(),
        attachments: inbound.attachments.clone(),
        quote: inbound.quote.clone(),
        sent_at: inbound.sent_at,
    })
}

/// The turn that took a message in. One whose turn failed is asked again under another id
/// ([`MessageId::asked_again`]), so that a repetition by the queue is not taken for a wish to try again.
pub fn taken_by(entries: &[Entry], message: &MessageId) -> Option<TurnId> {
    let took_in = |entry: &&Entry| matches!(&entry.body, EntryBody::User(user) if user.message == *message);
    entries.iter().rfind(took_in).map(|entry| entry.turn)
}

/// The tool calls of a turn's last answer that have no result yet, in order.
pub fn pending_calls(entries: &[Entry], turn: TurnId) -> Vec<&ToolCall> {
    let is_answer = |entry: &Entry| entry.turn == turn && matches!(entry.body, EntryBody::Assistant(_));
    let Some(at) = entries.iter().rposition(is_answer) else {
        return vec![];
    };
    let EntryBody::Assistant(answer) = &entries[at].body else { return vec![] };
    let done = |call: &ToolCall| {
        entries[at + 1..]
            .iter()
            .any(|entry| matches!(&entry.body, EntryBody::ToolResult(result) if result.call == call.id))
    };
    answer.tool_calls.iter().filter(|call| !done(call)).collect()
}

#[cfg(test)]
mod tests;
