//! The turn engine's decisions: `decide(view, event) -> actions`, over a log that is the journal.
//!
//! A worker loads a session's head and the end of its log, hands events to [`decide`], performs the
//! actions in order, and reports what came of them as the next event, until an action says
//! [`Action::Finish`]. The decisions use only the head and the log, so a worker that takes over after a crash
//! goes on where the log ends:
//!
//! - Entries that were appended but not committed yet (`seq >= head.next_seq`) live in the worker's
//!   memory. A simple turn appends the person's message and the answer, and commits once.
//! - An answer with tool calls is committed *before* the tools run, and their results after, so a
//!   finished tool is never run again.
//! - A call that the owner has to approve is committed with its question, and the turn waits, see `approval`.
//! - Tools that must not be repeated run one at a time, each committed before the next. So when a
//!   worker resumes a turn, at most the first of them without a result may be half-done: it is
//!   reported to the model as outcome unknown.
//! - Of two workers on one session only one can write at a place in the log; the other starts anew from what it
//!   finds there.
//! - What changes the head alone (a stop, the sealing of old entries) raises the head's epoch. A worker that saw
//!   another epoch cannot commit: it loads the head again and decides anew.

mod approval;
mod commands;
mod compaction;
mod decide;

use serde::{Deserialize, Serialize};

use crate::budget::{Reserved, Settlement};
use crate::control::Topic;
use crate::entry::{Answer, EntryBody, StoppedBy, ToolCall, ToolResult, UserMessage};
use crate::job::JobRun;
use crate::message::{Address, OutboundId, is_zero};
use crate::{
    AccountId, Bot, BotId, Channel, Control, Entry, Inbound, Job, LinkId, MessageId, Outbound, QueueSettings,
    SessionKey, Thinking, Timestamp, TurnId, Usage,
};

pub use approval::{APPROVAL_TIME, approval_buttons};
pub use decide::{decide, first_message, grouped, pending_calls, taken_by, turn_usage};

/// How many model calls one turn may make. The last one is made without tools, so that it answers.
pub const MAX_STEPS: u32 = 24;

/// How many tools one answer may call; further calls are left out.
pub const MAX_CALLS: usize = 16;

/// The longest answer and the longest arguments of a call that are kept, in bytes.
pub const MAX_ANSWER: usize = 100_000;
pub const MAX_ARGUMENTS: usize = 50_000;

/// On how many channels it is known where an owner wrote.
pub const OWNER_PLACES: usize = 3;

/// What a model writes when it has nothing to say to the person.
pub const NO_REPLY: &str = "NO_REPLY";

/// The state of a session beside its log. Stored in one row, changed by every commit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Head {
    /// Rises with every change of the head alone. A commit names the epoch that its worker saw.
    pub epoch: u64,
    /// The sequence number that the next entry gets.
    pub next_seq: u64,
    /// Entries below this sequence number are in S3.
    pub sealed: u64,
    /// How many workers are known to have begun here without appending anything: those whose task was given out before.
    #[serde(skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// The turn that is under way, if it has committed anything yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<ActiveTurn>,
    /// What was said before this is not answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// The session's own settings of what becomes of waiting messages. `None`: the bot's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueSettings>,
    /// What the session has chosen for itself.
    #[serde(skip_serializing_if = "SessionSettings::is_default")]
    pub settings: SessionSettings,
    /// Where a person last wrote in it: sessions are shared, direct chats of one bot by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<ReplyTo>,
    /// Where the bot's owner wrote in it, the latest first: one place on each of at most [`OWNER_PLACES`] channels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owner_places: Vec<ReplyTo>,
    /// All tokens of the session so far.
    pub usage: Usage,
    /// What its models cost so far, in micro-dollars, as far as their prices are known.
    pub cost: u64,
    pub updated_at: Timestamp,
    /// When the newest message of a person was taken in. `None`: in none yet, or before there was this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<Timestamp>,
}

/// What a session has chosen for itself, by commands; `None` is what the bot has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionSettings {
    /// `provider/model`: the bot's own model or one of its fallbacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
    /// What is told below each answer of what it took.
    #[serde(skip_serializing_if = "UsageFooter::is_off")]
    pub usage: UsageFooter,
    /// Tools whose calls need no more approval.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approved: Vec<String>,
}

/// What is told below each answer of what it took (OpenClaw's `/usage`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageFooter {
    #[default]
    Off,
    Tokens,
    /// Tokens, and what they cost.
    Full,
}

impl UsageFooter {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    fn is_off(&self) -> bool {
        *self == UsageFooter::Off
    }
}

impl SessionSettings {
    fn is_default(&self) -> bool {
        *self == SessionSettings::default()
    }
}

/// A wish to end what is under way, written to the head at the door: the message that says so stands behind the
/// turn in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The message that wants it. When it is taken in itself, the wish is fulfilled.
    pub message: MessageId,
    /// When the door had it: what was received before is not answered.
    pub at: Timestamp,
    pub by: StoppedBy,
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
    /// When its newest message was received.
    #[serde(default)]
    pub asked_at: Timestamp,
    /// The command that it carries out, if it has more than one step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
    /// What is set aside for the model call, or the tools, under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<Reserved>,
    /// What its model calls cost so far, in micro-dollars.
    #[serde(default)]
    pub spent: u64,
    /// Whether the budgets' counters have counted it.
    #[serde(default)]
    pub is_counted: bool,
    /// The run of a job that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Box<JobRun>>,
    /// Whether its newest message is the owner's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_owners: bool,
    /// What it waits for. Nobody works on it meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// The calls of its last answer that were approved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved: Vec<String>,
}

/// Tool calls that the owner was asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Names the question: `/approve` takes it.
    pub code: String,
    /// [`ToolCall::id`] of each.
    pub calls: Vec<String>,
    /// From then on the turn goes on without them.
    pub until: Timestamp,
}

impl ActiveTurn {
    /// Whether who speaks in it may see and change a job: the owner may all, others those of the place that they are in.
    pub fn may_touch(&self, job: &Job) -> bool {
        self.is_owners || job.is_of(&self.reply)
    }

    fn begin(view: &View<'_>, inbound: &Inbound) -> ActiveTurn {
        ActiveTurn {
            id: view.next_turn,
            started_at: view.now,
            steps: 0,
            reply: ReplyTo::of(inbound),
            asked_at: inbound.received_at,
            control: None,
            reserved: None,
            spent: 0,
            is_counted: false,
            job: inbound.job.clone(),
            is_owners: inbound.is_owner,
            waiting: None,
            approved: vec![],
        }
    }
}

/// Where a turn's answer goes: the place that its last message came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyTo {
    pub account: AccountId,
    pub bot: BotId,
    pub link: LinkId,
    pub channel: Channel,
    pub address: Address,
    /// The session that is told the answer, instead of that place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Box<Parent>>,
    /// See [`Inbound::hops`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hops: u32,
}

/// A session that waits for what another session of its bot will say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    pub session: SessionKey,
    /// The session that it waits for.
    pub child: SessionKey,
    /// What the other session is called there.
    pub label: String,
    /// Where the waiting session's own answer goes.
    pub reply: ReplyTo,
    /// How many sessions above this one wait in turn.
    pub depth: u32,
}

impl ReplyTo {
    pub fn of(inbound: &Inbound) -> ReplyTo {
        ReplyTo {
            account: inbound.account,
            bot: inbound.bot,
            link: inbound.link,
            channel: inbound.channel,
            address: inbound.address.clone(),
            parent: inbound.parent.clone(),
            hops: inbound.hops,
        }
    }

    /// The place as somewhere to write to: no message in particular is answered there.
    #[must_use]
    pub fn open(mut self) -> ReplyTo {
        self.address.reply_to = None;
        self.hops = 0;
        self
    }

    /// Whether a message was written in this place.
    fn is_where(&self, inbound: &Inbound) -> bool {
        self.link == inbound.link
            && self.address.chat == inbound.address.chat
            && self.address.thread == inbound.address.thread
    }

    /// The message that `text` becomes on its way there; `None` where replies are read from the log.
    pub fn outbound(&self, id: OutboundId, text: String, now: Timestamp) -> Option<Outbound> {
        (self.parent.is_some() || !self.channel.is_read_from_log()).then(|| Outbound {
            id,
            account: self.account,
            bot: self.bot,
            link: self.link,
            channel: self.channel,
            address: self.address.clone(),
            text,
            media: vec![],
            buttons: vec![],
            draft: None,
            mark: None,
            parent: self.parent.clone(),
            created_at: now,
        })
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A worker has loaded the session: for a message, or to go on with a turn.
    Loaded,
    /// The last [`Action::Commit`] took effect.
    Committed,
    /// The last [`Action::Reserve`] took effect: this may be done.
    Reserved(Expense),
    /// The model answered.
    Answered(Answer),
    /// The model wrote the summary of what is before `keep_from` that [`Question::Summary`] asked for.
    Summarised { keep_from: u64, answer: Answer },
    /// The tools that [`Action::RunTools`] named have run.
    ToolsRan(Vec<ToolResult>),
    /// The model will not answer, however often it is asked. `text` is for the person, `detail` for the owner.
    /// `cost` is `None` if the call may have been billed all the same.
    ModelFailed { text: String, detail: String, cost: Option<u64> },
    /// A budget does not allow what [`Action::Reserve`] asked for. `text` is for the person.
    OverBudget { text: String },
    /// What [`Action::Report`] asked for.
    Reported { text: String },
}

/// What money is set aside for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expense {
    /// The model is asked this.
    Model(Question),
    /// These tools are run, some of which ask a model.
    Tools(Vec<ToolCall>),
}

/// What a model is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The next step of the turn. Without `tools` it can only answer.
    Step { tools: bool },
    /// A summary of the context before `keep_from`. `hint` says what to keep in mind; it may be empty.
    Summary { keep_from: u64, hint: String },
}

/// One conditional transaction: what was appended, the marks of the messages taken in, the outbox and the new head.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commit {
    /// The head's turn from now on.
    pub turn: Option<ActiveTurn>,
    /// What is to be sent, and is queued after the commit.
    pub outbox: Vec<Outbound>,
    /// Puts the budgets' counters right.
    pub settle: Option<Settlement>,
    /// The session's own settings from now on; the inner `None` are the bot's.
    pub queue: Option<Option<QueueSettings>>,
    /// What the session chooses for itself from now on.
    pub settings: Option<SessionSettings>,
}

/// What to do about it, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// This message was taken in before. If its turn has ended, queue its outbox again: it was
    /// committed, but perhaps never queued.
    Skip { message: MessageId, resend: Option<TurnId> },
    /// Append to the log, in memory. A body with messages takes them out of those that wait.
    Append { turn: TurnId, body: EntryBody },
    /// Write it all, then queue the outbox. If a `Failed` entry is among what was
    /// appended, the turn's messages become dead letters.
    Commit(Box<Commit>),
    /// Set the cost of this aside, in the same transaction that commits what was appended.
    Reserve { turn: ActiveTurn, expense: Expense },
    /// Ask the model.
    CallModel { turn: ActiveTurn, question: Question },
    /// Run these calls, all at once: they may be repeated, or it is one alone.
    RunTools { turn: ActiveTurn, calls: Vec<ToolCall> },
    /// Compose a text that needs more than the session.
    Report { turn: ActiveTurn, what: Topic },
    /// Queue a task that goes on with this turn elsewhere.
    Requeue { turn: ActiveTurn },
    /// Give the waiting messages back to their queue for this long: more may come.
    GiveBack { wait: std::time::Duration },
    /// Nothing is left to do.
    Finish,
}

/// What the engine has to know of the tools that a model may call.
pub trait ToolRules {
    /// Whether a call may be made again when it is not known how it ended.
    fn may_repeat(&self, bot: &Bot, call: &ToolCall) -> bool;

    /// Whether the owner has to approve a call before it is made.
    fn needs_approval(&self, bot: &Bot, call: &ToolCall) -> bool;

    /// Whether a call asks a model, which is paid as the bot's own is.
    fn asks_model(&self, _bot: &Bot, _call: &ToolCall) -> bool {
        false
    }
}

/// What a decision is made from.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub bot: &'a Bot,
    pub head: &'a Head,
    /// The end of the log, oldest first, with what was appended and is not committed yet.
    pub entries: &'a [Entry],
    /// The turn in hand, committed or not: the worker keeps it from the last action that named one.
    pub turn: Option<&'a ActiveTurn>,
    /// Messages that came from the queue and were not taken in yet, oldest first.
    pub waiting: &'a [Inbound],
    /// The id that a new turn gets.
    pub next_turn: TurnId,
    pub now: Timestamp,
    /// The worker must stop soon: start nothing that takes long.
    pub out_of_time: bool,
    /// Whether waiting messages may be given back once more, so that others can join them.
    pub may_give_back: bool,
    /// Whether a model call has to be reserved: the bot or its account has a budget.
    pub metered: bool,
    /// How many tokens the model reads at most.
    pub context_window: u64,
}

impl View<'_> {
    /// The session's settings of what becomes of waiting messages.
    fn queue(&self) -> QueueSettings {
        self.head.queue.unwrap_or(self.bot.queue)
    }
}

impl Head {
    /// Notes where a person wrote, if a message shows that.
    pub fn note_place(&mut self, inbound: &Inbound) {
        if !inbound.shows_place() {
            return;
        }
        let place = ReplyTo::of(inbound).open();
        if inbound.is_owner {
            self.owner_places.retain(|before| before.channel != place.channel);
            self.owner_places.insert(0, place.clone());
            self.owner_places.truncate(OWNER_PLACES);
        }
        self.place = Some(place);
    }

    /// Where what concerns the owner goes, the first choice first: where the owner wrote, or else where anybody did.
    pub fn places(&self) -> impl Iterator<Item = &ReplyTo> {
        self.owner_places.iter().chain(&self.place)
    }

    /// The head after a commit of `entries`, which follow this head's log.
    #[must_use]
    pub fn after(&self, entries: &[Entry], commit: &Commit, now: Timestamp) -> Head {
        let mut head = self.clone();
        head.next_seq += entries.len() as u64;
        // A place in the log is taken once. What takes none is told apart by the epoch.
        head.epoch += u64::from(entries.is_empty());
        if !entries.is_empty() {
            head.attempts = 0;
        }
        head.turn.clone_from(&commit.turn);
        head.queue = commit.queue.unwrap_or(head.queue);
        if let Some(settings) = &commit.settings {
            head.settings.clone_from(settings);
        }
        head.updated_at = now;
        let is_from_person = |user: &UserMessage| user.sender.author().is_person();
        let said = entries.iter().filter(|entry| !matches!(entry.body, EntryBody::Event(_)));
        if said.flat_map(|entry| entry.body.messages()).any(is_from_person) {
            head.heard_at = Some(now);
        }
        for entry in entries {
            let fulfilled = |stop: &mut Stop| entry.body.messages().iter().any(|user| user.message == stop.message);
            head.stop.take_if(fulfilled);
            let Some((usage, cost)) = entry.body.taken() else { continue };
            head.usage += usage;
            head.cost += cost;
        }
        head
    }
}

#[cfg(test)]
mod tests;
