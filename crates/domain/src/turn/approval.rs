//! Tool calls that wait for the owner's word.
//!
//! A turn whose next call asks is committed as waiting, and its worker ends: nothing is billed meanwhile. What comes
//! while it waits:
//!
//! - The owner's decision resumes it. So does the end of its time, of which a wake row reminds (`store::approvals`).
//! - An ordinary message joins it, in every queue mode and from every place: it must not be held back, since in a FIFO
//!   group that would hold back the decision behind it. The turn's one answer goes to where the newest message came from.
//! - A command is carried out at once, in a turn of a single commit that leaves the waiting turn as it is.
//! - What stops turns (`/stop`, `/new`, `/reset`, a message in the mode `interrupt`) ends it unanswered.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::decide::{append, commit, cut, go_on, pending_calls, stop_turn, take_in, taken_by, user_body};
use super::{Action, ActiveTurn, Commit, Event, ToolRules, View, commands};
use crate::entry::{EntryBody, StoppedBy, ToolCall, ToolOutcome, ToolResult};
use crate::message::{Button, OutboundId};
use crate::turn::Waiting;
use crate::{Control, Decision, Inbound, Outbound, Timestamp};

/// For how long a call waits for its owner.
pub const APPROVAL_TIME: Duration = Duration::from_secs(600);

/// A turn that has missed this many entries waits no longer: what it asks for must be in the end of the log that a
/// worker loads.
const MAX_MISSED: usize = 100;

/// How much of a call's arguments the owner is shown, in bytes.
const SHOWN_ARGUMENTS: usize = 600;

/// What codes are made of: letters and digits that are not mistaken for each other.
const ALPHABET: &[u8] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";
const CODE_LENGTH: usize = 5;

const DENIED: &str = "The owner denied this call. It was not run. Do not try it again; go on without it, or say what \
                      you would need.";
const NOBODY_ANSWERED: &str = "This call needs the owner's approval, and nobody answered in time. It was not run. Go on \
                               without it, and say that it waits for approval if that matters.";

/// Whether a call has to be approved before it is run.
pub(super) fn asks(view: &View<'_>, rules: &dyn ToolRules, turn: &ActiveTurn, call: &ToolCall) -> bool {
    rules.needs_approval(view.bot, call)
        && !turn.approved.contains(&call.id)
        && !view.head.settings.approved.contains(&call.name)
}

/// Asks the owner about these calls, and ends the worker's work.
pub(super) fn ask_owner(view: &View<'_>, turn: &ActiveTurn, calls: &[&ToolCall]) -> Vec<Action> {
    let code = code_of(turn, calls);
    let until = view.now + APPROVAL_TIME;
    let text = question(calls, &code);
    let outbox = outbound(turn, &code, text.clone(), view.now);
    let calls: Vec<String> = calls.iter().map(|call| call.id.clone()).collect();
    let asked = append(turn, EntryBody::Asked { code: code.clone(), calls: calls.clone(), text, until });
    let turn = ActiveTurn { waiting: Some(Waiting { code, calls, until }), ..turn.clone() };
    vec![asked, commit(Commit { turn: Some(turn), outbox, ..Commit::default() })]
}

/// A turn waits: take in what came, and see whether it goes on.
pub(super) fn wait(view: &View<'_>, turn: &ActiveTurn, waiting: &Waiting) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut joined = turn.clone();
    let mut has_joined = false;
    for inbound in view.waiting {
        if let Some(by) = taken_by(view.entries, &inbound.message) {
            actions.push(Action::Skip { message: inbound.message.clone(), resend: Some(by) });
            continue;
        }
        match &inbound.control {
            None => {
                take_in(&mut joined, inbound);
                actions.push(append(&joined, user_body(inbound)));
                has_joined = true;
            }
            // What joined is committed before the command is looked at.
            Some(_) if has_joined => break,
            Some(control) => {
                actions.extend(command(view, turn, waiting, inbound, control));
                return actions;
            }
        }
    }
    if has_joined {
        actions.push(go_on(joined));
    } else if is_over(view, waiting) {
        actions.extend(refuse(view, turn, waiting, NOBODY_ANSWERED));
    } else {
        actions.push(Action::Finish);
    }
    actions
}

fn command(view: &View<'_>, turn: &ActiveTurn, waiting: &Waiting, inbound: &Inbound, control: &Control) -> Vec<Action> {
    match control {
        // The door has said so already, unless the stop was overtaken by a later one.
        control if control.stops() => stop_turn(view, turn, Event::Loaded, StoppedBy::Person),
        Control::Approve { code, decision } if inbound.is_owner && *code == waiting.code => {
            if inbound.received_at >= waiting.until {
                return refuse(view, turn, waiting, NOBODY_ANSWERED);
            }
            let said = append(turn, user_body(inbound));
            [said].into_iter().chain(decided(view, turn, waiting, *decision)).collect()
        }
        control => commands::obey(view, inbound, control),
    }
}

/// The owner has decided: the turn goes on.
fn decided(view: &View<'_>, turn: &ActiveTurn, waiting: &Waiting, decision: Decision) -> Vec<Action> {
    if decision == Decision::Deny {
        return refuse(view, turn, waiting, DENIED);
    }
    let mut turn = ActiveTurn { waiting: None, ..turn.clone() };
    turn.approved.extend(waiting.calls.iter().cloned());
    let settings = (decision == Decision::Always).then(|| {
        let mut settings = view.head.settings.clone();
        for call in waited_for(view, &turn, waiting) {
            if !settings.approved.contains(&call.name) {
                settings.approved.push(call.name.clone());
            }
        }
        settings
    });
    vec![commit(Commit { turn: Some(turn), settings, ..Commit::default() })]
}

/// The calls are not run, and the turn goes on without them.
fn refuse(view: &View<'_>, turn: &ActiveTurn, waiting: &Waiting, text: &str) -> Vec<Action> {
    let turn = ActiveTurn { waiting: None, ..turn.clone() };
    let result = |call: &ToolCall| ToolResult {
        call: call.id.clone(),
        name: call.name.clone(),
        outcome: ToolOutcome::Error,
        text: text.to_owned(),
        media: vec![],
        asked: None,
    };
    let results = waited_for(view, &turn, waiting).into_iter().map(result);
    let mut actions: Vec<Action> = results.map(|result| append(&turn, EntryBody::ToolResult(result))).collect();
    actions.push(go_on(turn));
    actions
}

fn waited_for<'a>(view: &View<'a>, turn: &ActiveTurn, waiting: &Waiting) -> Vec<&'a ToolCall> {
    pending_calls(view.entries, turn.id).into_iter().filter(|call| waiting.calls.contains(&call.id)).collect()
}

fn is_over(view: &View<'_>, waiting: &Waiting) -> bool {
    let is_question = |body: &EntryBody| matches!(body, EntryBody::Asked { code, .. } if *code == waiting.code);
    let missed = view.entries.iter().rev().take_while(|entry| !is_question(&entry.body)).count();
    view.now >= waiting.until || missed > MAX_MISSED
}

/// What is said to an `/approve` that decides nothing.
pub(super) fn undecided(view: &View<'_>, code: &str) -> String {
    let turn = view.head.turn.as_ref();
    let Some(waiting) = turn.and_then(|turn| turn.waiting.as_ref()) else {
        return match code {
            "" => "Nothing waits for approval.".to_owned(),
            code => format!("Nothing waits for approval under `{code}`. It may have been decided, or taken too long."),
        };
    };
    if !code.is_empty() {
        return format!("Nothing waits for approval under `{code}`. What waits has the code `{}`.", waiting.code);
    }
    let asked = view.entries.iter().rev().find_map(|entry| match &entry.body {
        EntryBody::Asked { code, text, .. } if *code == waiting.code => Some(text.clone()),
        _ => None,
    });
    asked.unwrap_or_else(|| format!("A tool call waits for approval: `/approve {} once|always|deny`.", waiting.code))
}

/// Names a question. The same id of a call may come again in a later step, so the step counts too.
fn code_of(turn: &ActiveTurn, calls: &[&ToolCall]) -> String {
    let ids: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
    let hash = Sha256::digest(format!("{}\0{}\0{}", turn.id, turn.steps, ids.join("\0")));
    let letter = |byte: &u8| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]);
    hash.iter().take(CODE_LENGTH).map(letter).collect()
}

fn question(calls: &[&ToolCall], code: &str) -> String {
    let mut text = "I want to do this, and need my owner's approval:\n".to_owned();
    for call in calls {
        // A fence that the arguments could end would let them write the question.
        let arguments: String = call.arguments.chars().map(|c| if c == '`' { '\'' } else { c }).collect();
        let shown = cut(arguments.clone(), SHOWN_ARGUMENTS);
        let more = if shown.len() < arguments.len() { " …" } else { "" };
        let name = call.name.replace('`', "'");
        text.push_str(&format!("\n`{name}`\n```\n{shown}{more}\n```\n"));
    }
    let minutes = APPROVAL_TIME.as_secs() / 60;
    text.push_str(&format!("\nAnswer within {minutes} minutes: `/approve {code} once`, `always` or `deny`."));
    text
}

/// The three answers to the question `code`.
pub fn approval_buttons(code: &str) -> Vec<Button> {
    let button = |label: &str, decision| Button {
        label: label.to_owned(),
        command: format!("/approve {code} {}", crate::control::word(&decision)),
    };
    vec![button("Allow once", Decision::Once), button("Always", Decision::Always), button("Deny", Decision::Deny)]
}

/// The question on its way to the chat; none where it is read from the log, or where no person reads what is sent. Who does
/// not own the bot is not told what it wants to do: that may be another's secret, and a worker asks the owner elsewhere.
fn outbound(turn: &ActiveTurn, code: &str, text: String, now: Timestamp) -> Vec<Outbound> {
    let is_read_by_a_person = turn.reply.parent.is_none();
    let mut outbox: Vec<Outbound> =
        turn.reply.outbound(OutboundId::question(turn.id, code), text, now).into_iter().collect();
    outbox.retain(|_| is_read_by_a_person);
    for outbound in &mut outbox {
        if turn.is_owners {
            outbound.buttons = approval_buttons(code);
        } else {
            let minutes = APPROVAL_TIME.as_secs() / 60;
            outbound.text = format!(
                "I want to use a tool that needs my owner's approval, and have asked for it. I go on once they have answered, or \
                 without it in {minutes} minutes."
            );
        }
    }
    outbox
}
