//! What a turn spent its time on, from its acceptance to its delivery, as the log and the outbox tell it.

use domain::{Entry, EntryBody, Timestamp};

use crate::views::{StepKind, StepView};

/// Results that were appended within so many milliseconds are of tools that ran at once.
const AT_ONCE: u64 = 5;

/// The steps of a turn, whose entries these are, in their order.
pub(crate) fn steps(entries: &[&Entry], delivered_at: Option<Timestamp>) -> Vec<StepView> {
    let mut steps = Vec::new();
    let Some(first) = entries.first() else { return steps };
    let mut at = first.at;
    let mut before: Option<&Entry> = None;
    if let EntryBody::User(user) = &first.body {
        let (accepted, began) = (user.received_at.unwrap_or(user.sent_at), first.turn.made_at());
        push(&mut steps, StepKind::Queued, None, accepted, began);
        push(&mut steps, StepKind::Loaded, None, began.max(accepted), first.at);
        before = Some(first);
    }
    for entry in &entries[usize::from(before.is_some())..] {
        if before.is_some_and(|before| matches!(before.body, EntryBody::Asked { .. })) {
            push(&mut steps, StepKind::Approval, None, at, entry.at);
            at = at.max(entry.at);
        }
        match &entry.body {
            EntryBody::Assistant(answer) => {
                push(&mut steps, StepKind::Model, Some(&answer.model), at, entry.at);
                set_cost(&mut steps, answer.cost);
            }
            EntryBody::Compaction { model, cost, .. } => {
                push(&mut steps, StepKind::Summary, Some(model), at, entry.at);
                set_cost(&mut steps, *cost);
            }
            EntryBody::ToolResult(result) => {
                let with = steps.last().filter(|step| step.kind == StepKind::Tool && is_at_once(before, entry));
                let from = with.map_or(at, |step| step.at);
                push(&mut steps, StepKind::Tool, Some(&result.name), from, entry.at);
                set_cost(&mut steps, result.asked.as_ref().map_or(0, |asked| asked.cost));
            }
            EntryBody::Failed { .. } => push(&mut steps, StepKind::Failed, None, at, entry.at),
            EntryBody::User(_)
            | EntryBody::Event(_)
            | EntryBody::Asked { .. }
            | EntryBody::Notice { .. }
            | EntryBody::Stopped { .. }
            | EntryBody::Reset { .. }
            | EntryBody::Dropped { .. } => {}
        }
        at = at.max(entry.at);
        before = Some(entry);
    }
    if let Some(delivered_at) = delivered_at {
        push(&mut steps, StepKind::Delivered, None, at, delivered_at);
    }
    steps
}

fn is_at_once(before: Option<&Entry>, entry: &Entry) -> bool {
    before.is_some_and(|before| {
        matches!(before.body, EntryBody::ToolResult(_))
            && entry.at.as_millis().abs_diff(before.at.as_millis()) <= AT_ONCE
    })
}

/// Clocks of several machines may differ: what ends before it begins took no time.
fn push(steps: &mut Vec<StepView>, kind: StepKind, name: Option<&str>, at: Timestamp, until: Timestamp) {
    let ms = until.as_millis().saturating_sub(at.as_millis());
    steps.push(StepView { kind, name: name.map(str::to_owned), at, ms, cost: 0 });
}

fn set_cost(steps: &mut [StepView], cost: u64) {
    if let Some(step) = steps.last_mut() {
        step.cost = cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        Answer, Channel, EntryId, LinkId, MessageId, Sender, ToolCall, ToolOutcome, ToolResult, TurnId, UserMessage,
    };

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn user(received: u64) -> EntryBody {
        EntryBody::User(UserMessage {
            message: MessageId::of(LinkId::from_parts(at(0), 1), "1"),
            channel: Channel::Telegram,
            sender: Sender { id: "x".into(), name: None, username: None },
            text: "x".into(),
            is_command: false,
            attachments: vec![],
            quote: None,
            sent_at: at(0),
            received_at: Some(at(received)),
        })
    }

    fn answer(cost: u64, calls: usize) -> EntryBody {
        let call = ToolCall { id: "c".into(), name: "clock".into(), arguments: "{}".into() };
        EntryBody::Assistant(Answer { model: "a/x".into(), tool_calls: vec![call; calls], cost, ..Answer::default() })
    }

    fn result(name: &str) -> EntryBody {
        EntryBody::ToolResult(ToolResult {
            call: "c".into(),
            name: name.into(),
            outcome: ToolOutcome::Ok,
            text: String::new(),
            media: vec![],
            asked: None,
        })
    }

    /// The steps of a turn that began at 1100, each in a line.
    fn told(bodies: Vec<(u64, EntryBody)>, delivered: Option<u64>) -> String {
        let turn = TurnId::from_parts(at(1100), 1);
        let entry = |(seq, (ms, body)): (usize, (u64, EntryBody))| Entry {
            seq: seq as u64,
            id: EntryId::from_parts(at(0), seq as u128),
            turn,
            at: at(ms),
            body,
        };
        let entries: Vec<Entry> = bodies.into_iter().enumerate().map(entry).collect();
        let steps = steps(&entries.iter().collect::<Vec<_>>(), delivered.map(at));
        let line = |step: StepView| {
            let (name, from) = (step.name.unwrap_or_default(), step.at.as_millis());
            format!("{:?} {name} {from} +{} ${}", step.kind, step.ms, step.cost)
        };
        steps.into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_turn_is_told_from_its_acceptance_to_its_delivery() {
        let bodies = vec![
            (1110, user(1000)),
            (2000, answer(7, 3)),
            (2500, result("clock")),
            (2502, result("web_fetch")),
            (3000, result("write")),
            (4000, answer(9, 0)),
        ];
        insta::assert_snapshot!(told(bodies, Some(4200)), @r"
        Queued  1000 +100 $0
        Loaded  1100 +10 $0
        Model a/x 1110 +890 $7
        Tool clock 2000 +500 $0
        Tool web_fetch 2000 +502 $0
        Tool write 2502 +498 $0
        Model a/x 3000 +1000 $9
        Delivered  4000 +200 $0
        ");
    }

    #[test]
    fn waiting_for_the_owner_is_a_step_and_clocks_may_differ() {
        let asked = EntryBody::Asked { code: "K".into(), calls: vec![], text: "?".into(), until: at(0) };
        let failed = EntryBody::Failed { text: "No.".into(), detail: "no".into() };
        let bodies = vec![
            (1110, user(1200)),
            (1300, answer(1, 1)),
            (1300, asked),
            (9300, user(9200)),
            (9400, result("x")),
            (9900, failed),
        ];
        insta::assert_snapshot!(told(bodies, None), @r"
        Queued  1200 +0 $0
        Loaded  1200 +0 $0
        Model a/x 1110 +190 $1
        Approval  1300 +8000 $0
        Tool x 9300 +100 $0
        Failed  9400 +500 $0
        ");
        assert_eq!(told(vec![], Some(5)), "");
    }
}
