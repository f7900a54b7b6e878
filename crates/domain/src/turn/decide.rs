//! The decisions themselves.

use std::time::Duration;

use super::{
    Action, ActiveTurn, Commit, Event, Expense, MAX_ANSWER, MAX_ARGUMENTS, MAX_CALLS, MAX_STEPS, NO_REPLY, Question,
    ReplyTo, ToolRules, UsageFooter, View, approval, commands, compaction,
};
use crate::budget::{Settlement, dollars};
use crate::entry::{Answer, EntryBody, ResetReason, StoppedBy, ToolCall, ToolOutcome, ToolResult, UserMessage};
use crate::heartbeat::{heartbeat_reply, is_silent_reply};
use crate::message::OutboundId;
use crate::queueing::DropPolicy;
use crate::{Control, Entry, Inbound, MessageId, Outbound, QueueMode, Timestamp, TurnId, Usage, context};

/// The most that an answer may take in its row, in bytes, where a row may have 400 KB and holds more than the answer.
const MAX_WRITTEN_ANSWER: usize = 250_000;

/// How many calls that ask a model are run before it is looked again how much time is left: each may take long.
const MAX_ASKING: usize = 4;

/// How much of a message is told of when it was left out, in characters.
const DROPPED_CHARS: usize = 160;

/// The shortest wait for more messages: a queue counts in seconds.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// The most pieces that an album has, and within what time of each other they come.
const MAX_ALBUM: usize = 10;
const ALBUM_WITHIN: Duration = Duration::from_secs(2);

/// What stands in place of a summary that could not be had.
const NO_SUMMARY: &str = "(The earlier part of this conversation could not be summarised and is not shown.)";

/// Decides what to do next. Pure: the same view and event always give the same actions.
pub fn decide(view: &View<'_>, rules: &dyn ToolRules, event: Event) -> Vec<Action> {
    let Some(turn) = view.turn else {
        return match (event, &view.head.turn) {
            (Event::Loaded, Some(left)) => resume(view, rules, left),
            _ => take_next(view),
        };
    };
    if let Some(by) = is_stopped(view, turn) {
        return stop_turn(view, turn, event, by);
    }
    match event {
        Event::Loaded => resume(view, rules, turn),
        Event::Committed => next_step(view, rules, turn),
        Event::Reserved(Expense::Model(question)) => vec![Action::CallModel { turn: turn.clone(), question }],
        Event::Reserved(Expense::Tools(calls)) => vec![Action::RunTools { turn: turn.clone(), calls }],
        Event::Answered(answer) => answered(view, turn, answer),
        Event::Summarised { keep_from, answer } => summarised(view, turn, keep_from, answer),
        Event::ToolsRan(results) => {
            let cost = cost_of(&results);
            let (turn, settle) = (paid(turn, cost), settlement(turn, Some(cost)));
            let end = Commit { turn: Some(turn.clone()), settle, ..Commit::default() };
            let results = results.into_iter().map(|result| append(&turn, EntryBody::ToolResult(result)));
            results.chain([commit(end)]).collect()
        }
        Event::ModelFailed { text, detail, cost } => failed(view, turn, text, detail, cost),
        Event::OverBudget { text } | Event::Reported { text } => say(view, turn, text, Commit::default()),
    }
}

/// Whether the turn is to end unanswered: the door said so, or a newer message waits in the mode `interrupt`.
fn is_stopped(view: &View<'_>, turn: &ActiveTurn) -> Option<StoppedBy> {
    cutoff(view).filter(|(at, _)| turn.asked_at < *at).map(|(_, by)| by)
}

/// What was received before this time is not answered.
fn cutoff(view: &View<'_>) -> Option<(Timestamp, StoppedBy)> {
    // What a session or a job says interrupts nobody: a person waits for what is under way.
    let asks = |inbound: &&Inbound| inbound.control.is_none() && inbound.is_from_person() && is_new(view, inbound);
    let newest = || view.waiting.iter().filter(asks).map(|inbound| inbound.received_at).max();
    let interrupts = view.queue().mode == QueueMode::Interrupt;
    let message = if interrupts { newest().map(|at| (at, StoppedBy::Message)) } else { None };
    let stop = view.head.stop.as_ref().map(|stop| (stop.at, stop.by));
    // Of both the later one counts.
    [stop, message].into_iter().flatten().max_by_key(|(at, _)| *at)
}

/// Whether a message was not taken in before.
fn is_new(view: &View<'_>, inbound: &Inbound) -> bool {
    taken_by(view.entries, &inbound.message).is_none()
}

/// Ends a turn unanswered. What its tools gave is kept; an answer that came too late is not, only its cost.
pub(super) fn stop_turn(view: &View<'_>, turn: &ActiveTurn, event: Event, by: StoppedBy) -> Vec<Action> {
    let (results, cost) = match event {
        Event::ToolsRan(results) => {
            let cost = cost_of(&results);
            (results, Some(cost))
        }
        Event::Answered(answer) | Event::Summarised { answer, .. } => (vec![], Some(answer.cost)),
        Event::ModelFailed { cost, .. } => (vec![], cost),
        // Not called yet.
        Event::Reserved(_) => (vec![], Some(0)),
        Event::Loaded | Event::Committed | Event::OverBudget { .. } | Event::Reported { .. } => (vec![], None),
    };
    let results = results.into_iter().map(|result| append(turn, EntryBody::ToolResult(result)));
    let stopped = append(turn, EntryBody::Stopped { by });
    let end = Commit {
        turn: other_turn(view, turn),
        outbox: tell_of_stop(view, turn),
        settle: settlement(turn, cost),
        ..Commit::default()
    };
    results.chain([stopped, commit(end)]).collect()
}

/// A person who stopped a turn knows; a session that waits for its answer does not.
fn tell_of_stop(view: &View<'_>, turn: &ActiveTurn) -> Vec<Outbound> {
    let waits = turn.reply.parent.is_some();
    if waits { reply(view, turn, "The work was stopped before it was done.".to_owned()) } else { vec![] }
}

/// No turn is under way: start one for what waits.
fn take_next(view: &View<'_>) -> Vec<Action> {
    let mut actions = Vec::new();
    for (index, inbound) in view.waiting.iter().enumerate() {
        if let Some(by) = taken_by(view.entries, &inbound.message) {
            actions.push(Action::Skip { message: inbound.message.clone(), resend: Some(by) });
            continue;
        }
        actions.extend(match &inbound.control {
            Some(control) => commands::obey(view, inbound, control),
            None => begin(view, index),
        });
        return actions;
    }
    actions.push(Action::Finish);
    actions
}

/// Begins a turn with the message at `index`, and those behind it that share it.
fn begin(view: &View<'_>, index: usize) -> Vec<Action> {
    let inbound = &view.waiting[index];
    let mut turn = ActiveTurn::begin(view, inbound);
    // No piece of an album interrupts the others.
    turn.asked_at = pieces(view, index).iter().map(|piece| piece.received_at).max().unwrap_or(turn.asked_at);
    if let Some(by) = is_stopped(view, &turn) {
        let stopped = append(&turn, EntryBody::Stopped { by });
        let end = Commit { outbox: tell_of_stop(view, &turn), ..Commit::default() };
        return vec![append(&turn, user_body(inbound)), stopped, commit(end)];
    }
    if let Some(dropped) = drop_some(view, &turn, index) {
        return dropped;
    }
    let collects = view.queue().mode == QueueMode::Collect;
    let wait = if collects { debounce(view) } else { None };
    if let Some(wait) = wait.or_else(|| more_of_album(view, index)) {
        return vec![Action::GiveBack { wait }, Action::Finish];
    }
    let together = if collects { collected(view, index) } else { pieces(view, index) };
    // What jobs and sessions say, and what commands write, does not keep a conversation from growing old.
    let heard_at = view.head.heard_at.unwrap_or(view.head.updated_at);
    let reset = view.bot.resets.due(&inbound.address, heard_at, view.now, &view.bot.time_zone);
    let reset = reset.filter(|_| view.head.next_seq > 0);
    start(view, turn, together, reset)
}

/// Appends what begins a turn and asks the model.
pub(super) fn start(
    view: &View<'_>,
    mut turn: ActiveTurn,
    messages: &[Inbound],
    reset: Option<ResetReason>,
) -> Vec<Action> {
    let mut actions: Vec<Action> = reset.map(|reason| append(&turn, EntryBody::Reset { reason })).into_iter().collect();
    for inbound in messages {
        take_in(&mut turn, inbound);
        actions.push(append(&turn, user_body(inbound)));
    }
    // What is put aside needs no summary.
    let question = if reset.is_some() { step(&turn) } else { question(view, &turn, &actions) };
    actions.extend(ask(view, &turn, question, true));
    actions
}

/// Adds a message to a turn: the answer goes where the newest one came from.
pub(super) fn take_in(turn: &mut ActiveTurn, inbound: &Inbound) {
    turn.reply = ReplyTo::of(inbound);
    turn.is_owners = inbound.is_owner;
    turn.asked_at = turn.asked_at.max(inbound.received_at);
}

/// For how long to wait for more messages: those that waited behind a turn are answered once nobody writes any more.
fn debounce(view: &View<'_>) -> Option<Duration> {
    let (first, last) = (view.waiting.first()?, view.waiting.last()?);
    let has_waited = first.received_at < view.head.updated_at;
    let left = view.queue().debounce().checked_sub(view.now.since(last.received_at))?;
    (view.may_give_back && has_waited && !left.is_zero()).then(|| left.max(SHORTEST_WAIT))
}

/// For how long to wait for the other pieces of an album: a channel posts them one by one.
fn more_of_album(view: &View<'_>, index: usize) -> Option<Duration> {
    let pieces = pieces(view, index);
    let newest = pieces.last().filter(|last| last.album.is_some())?;
    let is_coming = pieces.len() < MAX_ALBUM && view.now.since(newest.received_at) < ALBUM_WITHIN;
    (view.may_give_back && is_coming).then_some(SHORTEST_WAIT)
}

/// The message at `index`, and behind it the other pieces of its album.
fn pieces<'a>(view: &View<'a>, index: usize) -> &'a [Inbound] {
    let waiting = &view.waiting[index..];
    let (first, place) = (&waiting[0], ReplyTo::of(&waiting[0]));
    let fits = |inbound: &&Inbound| {
        first.album.is_some() && inbound.album == first.album && place.is_where(inbound) && is_new(view, inbound)
    };
    &waiting[..waiting.iter().take_while(fits).count().max(1)]
}

/// Leaves messages out if more wait than the cap allows.
fn drop_some(view: &View<'_>, turn: &ActiveTurn, index: usize) -> Option<Vec<Action>> {
    let asks = |inbound: &&Inbound| inbound.control.is_none() && inbound.job.is_none() && is_new(view, inbound);
    let waiting: Vec<&Inbound> = view.waiting[index..].iter().filter(asks).collect();
    let settings = view.queue();
    let surplus = waiting.len().checked_sub(settings.cap as usize).filter(|surplus| *surplus > 0)?;
    let dropped = match settings.drop {
        DropPolicy::Summarize | DropPolicy::Old => &waiting[..surplus],
        DropPolicy::New => &waiting[waiting.len() - surplus..],
    };
    let summary = (settings.drop == DropPolicy::Summarize).then(|| summary_of(dropped));
    let messages = dropped.iter().map(|inbound| UserMessage::of(inbound)).collect();
    let mut turn = turn.clone();
    turn.reply = ReplyTo::of(dropped[0]);
    let text = match (&summary, settings.drop) {
        (Some(_), _) => None,
        (None, DropPolicy::New) => Some(format!("Too many messages wait, so I have left out the newest {surplus}.")),
        (None, _) => Some(format!("Too many messages wait, so I have left out the oldest {surplus}.")),
    };
    let dropped = append(&turn, EntryBody::Dropped { messages, summary });
    Some(match text {
        None => vec![dropped, commit(Commit::default())],
        Some(text) => [dropped].into_iter().chain(say(view, &turn, text, Commit::default())).collect(),
    })
}

fn summary_of(dropped: &[&Inbound]) -> String {
    let mut text = format!("[{} messages were left out because too many waited. They began:]", dropped.len());
    for inbound in dropped {
        let line: String = inbound.text.chars().take(DROPPED_CHARS).map(|c| if c == '\n' { ' ' } else { c }).collect();
        text.push_str(&format!("\n- {line}"));
    }
    text
}

/// The messages from `index` on that can share a turn: new ones, to be answered in the same place.
fn collected<'a>(view: &View<'a>, index: usize) -> &'a [Inbound] {
    let waiting = &view.waiting[index..];
    let place = ReplyTo::of(&waiting[0]);
    let fits = |inbound: &&Inbound| {
        inbound.control.is_none() && inbound.job.is_none() && place.is_where(inbound) && is_new(view, inbound)
    };
    // The run of a job is a turn of its own.
    &waiting[..waiting.iter().take_while(fits).count().max(1)]
}

/// A worker takes up a turn that another one left.
fn resume(view: &View<'_>, rules: &dyn ToolRules, turn: &ActiveTurn) -> Vec<Action> {
    let mut turn = turn.clone();
    // The call may have been made and billed.
    turn.spent += turn.reserved.take().map_or(0, |reserved| reserved.micros);
    if let Some(by) = is_stopped(view, &turn) {
        return stop_turn(view, &turn, Event::Loaded, by);
    }
    match pending_calls(view.entries, turn.id).first() {
        // One that waits for approval has not run.
        Some(call)
            if !rules.may_repeat(view.bot, call)
                && turn.waiting.is_none()
                && !approval::asks(view, rules, &turn, call) =>
        {
            let result = ToolResult {
                call: call.id.clone(),
                name: call.name.clone(),
                outcome: ToolOutcome::Unknown,
                text: "Outcome unknown: the worker stopped while this tool ran, so it may or may not have taken \
                       effect. It was not run again. Check before you repeat it."
                    .to_owned(),
                media: vec![],
                asked: None,
            };
            vec![append(&turn, EntryBody::ToolResult(result)), go_on(turn)]
        }
        _ => next_step(view, rules, &turn),
    }
}

/// The log is committed up to here and the turn is ours: run what the model asked for, or ask it again.
fn next_step(view: &View<'_>, rules: &dyn ToolRules, turn: &ActiveTurn) -> Vec<Action> {
    if let Some(waiting) = &turn.waiting {
        return approval::wait(view, turn, waiting);
    }
    let pending = pending_calls(view.entries, turn.id);
    if !pending.is_empty() {
        if view.out_of_time {
            return vec![Action::Requeue { turn: turn.clone() }, Action::Finish];
        }
        let asks = |call: &&ToolCall| approval::asks(view, rules, turn, call);
        let asking = pending.iter().take_while(|call| asks(call)).count();
        if asking > 0 {
            return approval::ask_owner(view, turn, &pending[..asking]);
        }
        let is_shared = |call: &&&ToolCall| rules.may_repeat(view.bot, call) && !asks(call);
        let asks_model = |call: &ToolCall| rules.asks_model(view.bot, call);
        let mut asking = 0;
        let in_time = |call: &&&ToolCall| {
            asking += usize::from(asks_model(call));
            asking <= MAX_ASKING
        };
        let together = pending.iter().take_while(is_shared).take_while(in_time).count().max(1);
        let calls: Vec<ToolCall> = pending[..together].iter().map(|call| (*call).clone()).collect();
        let turn = turn.clone();
        if view.metered && calls.iter().any(asks_model) {
            return vec![Action::Reserve { turn, expense: Expense::Tools(calls) }];
        }
        return vec![Action::RunTools { turn, calls }];
    }
    let mut actions = Vec::new();
    let mut turn = turn.clone();
    for inbound in view.waiting {
        match taken_by(view.entries, &inbound.message) {
            // Taken in by this very turn, or answered before: either way not again.
            Some(by) => {
                actions.push(Action::Skip { message: inbound.message.clone(), resend: (by != turn.id).then_some(by) });
            }
            // Only from the same place: a turn has one answer, and it goes where its messages came from.
            None if view.queue().mode == QueueMode::Steer
                && inbound.control.is_none()
                && inbound.job.is_none()
                && turn.job.is_none()
                && turn.reply.is_where(inbound) =>
            {
                take_in(&mut turn, inbound);
                actions.push(append(&turn, user_body(inbound)));
            }
            // Kept when the turn has ended.
            None if inbound.control == Some(Control::Event) => {}
            None => break,
        }
    }
    let appended = actions.iter().any(|action| matches!(action, Action::Append { .. }));
    let question = question(view, &turn, &actions);
    actions.extend(ask(view, &turn, question, appended));
    actions
}

/// What the model is to be asked next, after what is about to be appended.
fn question(view: &View<'_>, turn: &ActiveTurn, actions: &[Action]) -> Question {
    let (keep_from, hint) = match &turn.control {
        Some(Control::Compact { hint }) => (compaction::asked(view.entries, turn.id), hint.clone()),
        _ => {
            let appended = actions.iter().filter_map(|action| match action {
                Action::Append { body, .. } => Some(body),
                _ => None,
            });
            let coming = context::tokens_of_bodies(appended);
            (compaction::due(view.entries, turn.id, coming, view.context_window), String::new())
        }
    };
    keep_from.map_or_else(|| step(turn), |keep_from| Question::Summary { keep_from, hint })
}

fn step(turn: &ActiveTurn) -> Question {
    Question::Step { tools: turn.steps + 1 < MAX_STEPS }
}

/// Asks the model, setting its cost aside first where there is a budget; or puts the turn off when the worker has
/// no time left for a call.
pub(super) fn ask(view: &View<'_>, turn: &ActiveTurn, question: Question, uncommitted: bool) -> Vec<Action> {
    let turn = turn.clone();
    if !view.out_of_time {
        vec![match view.metered {
            true => Action::Reserve { turn, expense: Expense::Model(question) },
            false => Action::CallModel { turn, question },
        }]
    } else if uncommitted {
        vec![go_on(turn)]
    } else {
        vec![Action::Requeue { turn }, Action::Finish]
    }
}

fn answered(view: &View<'_>, turn: &ActiveTurn, answer: Answer) -> Vec<Action> {
    let mut answer = bounded(answer);
    let settle = settlement(turn, Some(answer.cost));
    let mut turn = paid(turn, answer.cost);
    turn.steps += 1;
    // A later answer may use the same ids for other calls.
    turn.approved.clear();
    if turn.steps < MAX_STEPS && !answer.tool_calls.is_empty() {
        let outbox = beside_calls(view, &turn, &answer.text);
        let appended = append(&turn, EntryBody::Assistant(answer));
        return vec![appended, commit(Commit { turn: Some(turn), outbox, settle, ..Commit::default() })];
    }
    if !answer.tool_calls.is_empty() {
        answer.tool_calls.clear();
        if answer.text.trim().is_empty() {
            answer.text = format!(
                "I stopped after {MAX_STEPS} steps without reaching an end. Tell me to go on if you want me to."
            );
        }
    }
    let outbox = match (said(&turn, &answer.text), &turn.reply.parent) {
        (Some(text), _) => reply(view, &turn, with_footer(view, &turn, text, &answer)),
        // A session that waits is told that there is nothing, or it would wait for ever. Nobody waits for a job.
        (None, Some(_)) if turn.job.is_none() => reply(view, &turn, String::new()),
        (None, _) => vec![],
    };
    let answered = append(&turn, EntryBody::Assistant(answer));
    vec![answered, commit(Commit { outbox, settle, ..Commit::default() })]
}

/// What an answer says beside its calls, as a message of its own where people see nothing of it otherwise. If its worker dies
/// before it is queued, the sweep of the outbox finds it.
fn beside_calls(view: &View<'_>, turn: &ActiveTurn, text: &str) -> Vec<Outbound> {
    let is_for_people = turn.reply.parent.is_none() && turn.job.is_none();
    if !is_for_people || text.trim().is_empty() || !view.bot.streaming.sends_each_step(turn.reply.channel) {
        return vec![];
    }
    let id = OutboundId::reply(turn.id, turn.steps);
    said(turn, text).and_then(|text| turn.reply.outbound(id, text, view.now)).into_iter().collect()
}

fn summarised(view: &View<'_>, turn: &ActiveTurn, keep_from: u64, answer: Answer) -> Vec<Action> {
    let settle = settlement(turn, Some(answer.cost));
    let before = crate::Context::of(view.entries).tokens();
    let summary = cut(answer.text, MAX_ANSWER);
    let compaction = EntryBody::Compaction {
        summary,
        first_kept: keep_from,
        tokens_before: before,
        model: answer.model,
        usage: answer.usage,
        cost: answer.cost,
    };
    compacted(view, &paid(turn, answer.cost), compaction, settle)
}

/// Goes on after a compaction, or tells the person who wanted it.
fn compacted(view: &View<'_>, turn: &ActiveTurn, compaction: EntryBody, settle: Option<Settlement>) -> Vec<Action> {
    let appended = append(turn, compaction);
    if turn.control.is_some() {
        let text = "Compacted: from now on I know the earlier part of this conversation by a summary.".to_owned();
        return [appended].into_iter().chain(say(view, turn, text, Commit { settle, ..Commit::default() })).collect();
    }
    vec![appended, commit(Commit { turn: Some(turn.clone()), settle, ..Commit::default() })]
}

fn failed(view: &View<'_>, turn: &ActiveTurn, text: String, detail: String, cost: Option<u64>) -> Vec<Action> {
    let settle = settlement(turn, cost);
    let spent = cost.or(turn.reserved.as_ref().map(|reserved| reserved.micros)).unwrap_or(0);
    if let Question::Summary { keep_from, .. } = question(view, turn, &[])
        && turn.control.is_none()
    {
        // The conversation goes on without what could not be summarised; the log has it all.
        let compaction = EntryBody::Compaction {
            summary: NO_SUMMARY.to_owned(),
            first_kept: keep_from,
            tokens_before: crate::Context::of(view.entries).tokens(),
            model: String::new(),
            usage: crate::Usage::default(),
            cost: 0,
        };
        return compacted(view, &paid(turn, spent), compaction, settle);
    }
    // Its owner is told by the job's history, and once it is switched off.
    let is_heartbeat = turn.job.as_ref().is_some_and(|run| run.is_heartbeat);
    let outbox = if is_heartbeat { vec![] } else { reply(view, turn, text.clone()) };
    let failed = append(turn, EntryBody::Failed { text, detail });
    vec![failed, commit(Commit { outbox, settle, ..Commit::default() })]
}

/// Ends a turn with words of the bot's own.
pub(super) fn say(view: &View<'_>, turn: &ActiveTurn, text: String, mut end: Commit) -> Vec<Action> {
    end.turn = other_turn(view, turn);
    end.outbox = reply(view, turn, text.clone());
    vec![append(turn, EntryBody::Notice { text }), commit(end)]
}

/// The turn that waits while `turn` carries a command out: it is left as it is.
pub(super) fn other_turn(view: &View<'_>, turn: &ActiveTurn) -> Option<ActiveTurn> {
    view.head.turn.clone().filter(|other| other.id != turn.id)
}

/// What of an answer is sent; `None`: nobody is to hear it.
fn said(turn: &ActiveTurn, text: &str) -> Option<String> {
    match &turn.job {
        Some(run) if run.is_heartbeat => heartbeat_reply(text),
        Some(_) => (!is_silent_reply(text)).then(|| text.to_owned()),
        None => (text.trim() != NO_REPLY).then(|| text.to_owned()),
    }
}

/// An answer as it is sent: with a line of what its turn took, if the session wants one.
fn with_footer(view: &View<'_>, turn: &ActiveTurn, text: String, answer: &Answer) -> String {
    let footer = view.head.settings.usage;
    if footer == UsageFooter::Off || text.trim().is_empty() {
        return text;
    }
    let (mut usage, mut cost) = turn_usage(view.entries, turn.id);
    usage += answer.usage;
    cost += answer.cost;
    let Usage { input, output, cached, .. } = usage;
    let mut line = format!("{} in ({} cached), {} out", grouped(input), grouped(cached), grouped(output));
    if footer == UsageFooter::Full {
        line.push_str(&format!(", {}", dollars(cost)));
    }
    format!("{}\n\n_{line}_", text.trim_end())
}

/// What a turn has taken so far, as far as its entries are at hand, and what that cost in micro-dollars.
pub fn turn_usage(entries: &[Entry], turn: TurnId) -> (Usage, u64) {
    let (mut usage, mut cost) = (Usage::default(), 0);
    for entry in entries.iter().filter(|entry| entry.turn == turn) {
        if let Some((more, micros)) = entry.body.taken() {
            usage += more;
            cost += micros;
        }
    }
    (usage, cost)
}

/// `1,234,567`
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn reply(view: &View<'_>, turn: &ActiveTurn, text: String) -> Vec<Outbound> {
    turn.reply.outbound(OutboundId::reply(turn.id, 0), text, view.now).into_iter().collect()
}

/// What the models cost that tools asked, in micro-dollars.
fn cost_of(results: &[ToolResult]) -> u64 {
    let costs = results.iter().filter_map(|result| result.asked.as_ref()).map(|asked| asked.cost);
    costs.fold(0, u64::saturating_add)
}

/// The turn after a call whose cost is known.
fn paid(turn: &ActiveTurn, cost: u64) -> ActiveTurn {
    ActiveTurn { reserved: None, spent: turn.spent.saturating_add(cost), ..turn.clone() }
}

fn settlement(turn: &ActiveTurn, cost: Option<u64>) -> Option<Settlement> {
    Some(Settlement { reserved: turn.reserved.clone()?, micros: cost? })
}

pub(super) fn commit(commit: Commit) -> Action {
    Action::Commit(Box::new(commit))
}

/// Commits what was appended; the turn goes on.
pub(super) fn go_on(turn: ActiveTurn) -> Action {
    commit(Commit { turn: Some(turn), ..Commit::default() })
}

/// Cuts an answer to what a row, and a transaction with all results of its calls, can hold.
fn bounded(mut answer: Answer) -> Answer {
    answer.text = cut(answer.text, MAX_ANSWER);
    answer.tool_calls.truncate(MAX_CALLS);
    for call in &mut answer.tool_calls {
        // Cut arguments are no JSON, which the tool says to the model.
        call.arguments = cut(std::mem::take(&mut call.arguments), MAX_ARGUMENTS);
    }
    if written_len(&answer) > MAX_WRITTEN_ANSWER {
        answer.native = None;
    }
    while written_len(&answer) > MAX_WRITTEN_ANSWER {
        let texts = answer.tool_calls.iter_mut().map(|call| &mut call.arguments).chain([&mut answer.text]);
        let Some(longest) = texts.max_by_key(|text| text.len()).filter(|text| !text.is_empty()) else { break };
        let half = longest.len() / 2;
        *longest = cut(std::mem::take(longest), half);
    }
    answer
}

/// How many bytes an answer takes in its row. Quotes and line breaks take two there, other control characters six.
fn written_len(answer: &Answer) -> usize {
    serde_json::to_string(answer).map_or(usize::MAX, |text| text.len())
}

pub(super) fn cut(mut text: String, max: usize) -> String {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

pub(super) fn append(turn: &ActiveTurn, body: EntryBody) -> Action {
    Action::Append { turn: turn.id, body }
}

pub(super) fn user_body(inbound: &Inbound) -> EntryBody {
    EntryBody::User(UserMessage::of(inbound))
}

/// The turn that took a message in. One whose turn failed is asked again under another id
/// ([`MessageId::asked_again`]), so that a repetition by the queue is not taken for a wish to try again.
pub fn taken_by(entries: &[Entry], message: &MessageId) -> Option<TurnId> {
    let took_in = |entry: &&Entry| entry.body.messages().iter().any(|user| user.message == *message);
    entries.iter().rfind(took_in).map(|entry| entry.turn)
}

/// The message that a turn began with, as far as its entries are at hand.
pub fn first_message(entries: &[Entry], turn: TurnId) -> Option<&MessageId> {
    let own = entries.iter().filter(|entry| entry.turn == turn);
    own.flat_map(|entry| entry.body.messages()).map(|user| &user.message).next()
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
