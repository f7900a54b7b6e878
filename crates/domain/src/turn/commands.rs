//! What becomes of commands.

use super::decide::{append, ask, commit, other_turn, say, start, user_body};
use super::{Action, ActiveTurn, Commit, Question, SessionSettings, UsageFooter, View, approval, compaction};
use crate::control::{COMMANDS, Choice, Who, word};
use crate::entry::{EntryBody, ResetReason, UserMessage};
use crate::message::ChatKind;
use crate::queueing::QueueChange;
use crate::{Control, Inbound, QueueSettings, Thinking};

/// Carries a command out, in a turn of its own.
pub(super) fn obey(view: &View<'_>, inbound: &Inbound, control: &Control) -> Vec<Action> {
    let mut turn = ActiveTurn::begin(view, inbound);
    let said = append(&turn, user_body(inbound));
    let tell =
        |text: String, commit: Commit| [said.clone()].into_iter().chain(say(view, &turn, text, commit)).collect();
    let only_tell = |text: String| tell(text, Commit::default());
    if !may(inbound, control.who()) {
        return only_tell("Only my owner can do that.".to_owned());
    }
    match control {
        Control::Event => {
            let end = Commit { turn: other_turn(view, &turn), ..Commit::default() };
            vec![append(&turn, EntryBody::Event(UserMessage::of(inbound))), commit(end)]
        }
        Control::Stop => {
            let stopped = matches!(view.entries.last().map(|entry| &entry.body), Some(EntryBody::Stopped { .. }));
            only_tell(if stopped { "Stopped." } else { "There was nothing to stop." }.to_owned())
        }
        Control::New { text } if !text.is_empty() => {
            let first = Inbound { text: text.clone(), control: None, ..inbound.clone() };
            start(view, turn, &[first], Some(ResetReason::New))
        }
        Control::New { .. } | Control::Reset => {
            let reason = if *control == Control::Reset { ResetReason::Reset } else { ResetReason::New };
            let reset = append(&turn, EntryBody::Reset { reason });
            let text = "A new conversation begins. I no longer look at what we said before.".to_owned();
            [said, reset].into_iter().chain(say(view, &turn, text, Commit::default())).collect()
        }
        Control::Approve { code, .. } => only_tell(approval::undecided(view, code)),
        Control::Queue { change } => {
            let (text, queue) = change_queue(view, change);
            tell(text, Commit { queue, ..Commit::default() })
        }
        // It asks the model, and a turn that waits cannot be left for that.
        Control::Compact { .. } if view.head.turn.is_some() => {
            only_tell("I wait for an approval. Ask me to compact once that is decided.".to_owned())
        }
        Control::Compact { hint } => match compaction::asked(view.entries, turn.id) {
            None => only_tell("There is nothing to compact yet.".to_owned()),
            Some(keep_from) => {
                turn.control = Some(control.clone());
                let question = Question::Summary { keep_from, hint: hint.clone() };
                [said].into_iter().chain(ask(view, &turn, question, true)).collect()
            }
        },
        Control::Help => only_tell(help()),
        Control::Whoami => only_tell(whoami(inbound)),
        Control::Model { to } => {
            let (text, settings) = choose_model(view, to, inbound.is_owner);
            tell(text, Commit { settings, ..Commit::default() })
        }
        Control::Think { to } => {
            let (text, settings) = choose_thinking(view, to);
            tell(text, Commit { settings, ..Commit::default() })
        }
        Control::Usage { footer } => {
            let text = match footer {
                UsageFooter::Off => "I no longer tell what an answer took.",
                UsageFooter::Tokens => "Below each answer I tell the tokens that it took.",
                UsageFooter::Full => "Below each answer I tell the tokens that it took, and what it cost.",
            };
            let settings = Some(SessionSettings { usage: *footer, ..view.head.settings.clone() });
            tell(text.to_owned(), Commit { settings, ..Commit::default() })
        }
        Control::Report { what } => vec![said, Action::Report { turn, what: what.clone() }],
        Control::Misread { name } => {
            let info = COMMANDS.iter().find(|info| info.name == name);
            let usage = info.map(|info| format!(" Write `{}`.", info.usage())).unwrap_or_default();
            only_tell(format!("I do not understand that.{usage}"))
        }
    }
}

fn may(inbound: &Inbound, who: Who) -> bool {
    match who {
        Who::Anyone => true,
        Who::OwnerInGroups => inbound.is_owner || inbound.address.kind == ChatKind::Direct,
        Who::Owner => inbound.is_owner,
    }
}

fn help() -> String {
    let line = |info: &crate::control::CommandInfo| {
        let who = match info.who {
            Who::Anyone => "",
            Who::OwnerInGroups => " (in groups: my owner)",
            Who::Owner => " (my owner)",
        };
        format!("- `{}` {}{who}", info.usage(), info.help)
    };
    COMMANDS.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn whoami(inbound: &Inbound) -> String {
    let sender = &inbound.sender;
    let name = sender.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let handle = sender.username.as_ref().map(|username| format!(", @{username}")).unwrap_or_default();
    let owner = if inbound.is_owner { "You own me." } else { "You do not own me." };
    format!(
        "You are `{}`{name}{handle} on {}. {owner}\nChat `{}`, session `{}`.",
        sender.id, inbound.channel, inbound.address.chat, inbound.session
    )
}

fn choose_model(view: &View<'_>, to: &Choice<String>, is_owner: bool) -> (String, Option<SessionSettings>) {
    let bot = &view.bot.model;
    let Some(own) = bot.model.as_deref() else {
        return ("I run on the built-in demo model. My owner can give me a better one.".to_owned(), None);
    };
    let settings = &view.head.settings;
    let chosen = |model: Option<String>| Some(SessionSettings { model, ..settings.clone() });
    match to {
        Choice::Show => {
            let current = settings.model.as_deref().unwrap_or(own);
            let mut models: Vec<&str> = vec![own];
            models.extend(bot.fallbacks.iter().map(|fallback| fallback.model.as_str()));
            models.extend((!models.contains(&current)).then_some(current));
            let line = |model: &&str| {
                let mark = if *model == current { " (now)" } else { "" };
                format!("- `{model}`{mark}")
            };
            let lines: Vec<String> = models.iter().map(line).collect();
            (format!("Models:\n{}\nChoose with `/model provider/model` or `/model default`.", lines.join("\n")), None)
        }
        Choice::Default => (format!("From now on I think with `{own}`."), chosen(None)),
        // A model that its owner did not name may cost them anything.
        Choice::To(model) if bot.reach(model).is_some() && (is_owner || bot.lists(model)) => {
            (format!("From now on I think with `{model}`."), chosen((model != own).then(|| model.clone())))
        }
        Choice::To(model) => {
            let model: String = model.chars().take(80).filter(|c| *c != '`').collect();
            (format!("I cannot use `{model}`. `/models` lists what can be chosen."), None)
        }
    }
}

fn choose_thinking(view: &View<'_>, to: &Choice<Thinking>) -> (String, Option<SessionSettings>) {
    let settings = &view.head.settings;
    let level = |thinking: Option<Thinking>| {
        let level = thinking.or(view.bot.model.thinking);
        format!("Thinking: {}.", level.map_or_else(|| "as the model sees fit".to_owned(), |level| word(&level)))
    };
    let chosen = |thinking| (level(thinking), Some(SessionSettings { thinking, ..settings.clone() }));
    match to {
        Choice::Show => (level(settings.thinking), None),
        Choice::Default => chosen(None),
        Choice::To(thinking) => chosen(Some(*thinking)),
    }
}

fn change_queue(view: &View<'_>, change: &QueueChange) -> (String, Option<Option<QueueSettings>>) {
    let show = |settings: QueueSettings| format!("Messages that wait: `{settings}`.");
    match (change, change.apply(view.queue())) {
        (_, Err(error)) => (format!("Not changed: {error}."), None),
        (QueueChange::Unknown { word }, _) => {
            let help = "`/queue steer|followup|collect|interrupt|default debounce:500ms cap:20 drop:summarize|old|new`";
            (format!("I do not know `{word}`. Write {help}."), None)
        }
        (QueueChange::Show, _) => (show(view.queue()), None),
        (_, Ok(queue)) => (show(queue.unwrap_or(view.bot.queue)), Some(queue)),
    }
}
