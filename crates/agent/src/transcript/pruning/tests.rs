use domain::turn::Question;
use domain::{Answer, EntryId, ToolCall, ToolOutcome, TurnId};

use super::*;

const START: Timestamp = Timestamp::from_secs(1_795_356_000);
/// Of 10,000 tokens are 3,000 the limit for trimming (12,000 bytes) and 5,000 that for clearing (20,000 bytes).
const WINDOW: u64 = 10_000;

/// A log of turns, one a minute from `START` on: each is an answer with a result of so many bytes, and a final answer.
fn log(results: &[usize]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for (turn, bytes) in results.iter().enumerate() {
        let at = START + Duration::from_secs(60 * turn as u64);
        let result = ToolResult {
            call: "a".into(),
            name: "web_fetch".into(),
            outcome: ToolOutcome::Ok,
            text: format!("<{}>", "x".repeat(bytes - 2)),
            media: vec![],
            asked: None,
        };
        let answer = || EntryBody::Assistant(Answer::default());
        let asks = || {
            let call = ToolCall { id: "a".into(), name: "web_fetch".into(), arguments: "{}".into() };
            EntryBody::Assistant(Answer { tool_calls: vec![call], ..Answer::default() })
        };
        for body in [asks(), EntryBody::ToolResult(result), answer()] {
            let seq = entries.len() as u64;
            let turn = TurnId::from_parts(START, turn as u128);
            entries.push(Entry { seq, id: EntryId::from_parts(at, u128::from(seq)), turn, at, body });
        }
    }
    entries
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// The sequence numbers of what was pruned, with what is left in bytes.
fn sizes(pruned: &Pruned) -> Vec<(u64, usize)> {
    pruned.iter().map(|(seq, text)| (*seq, text.len())).collect()
}

const TRIMMED: usize = 3_000 + "\n[3000 characters of this old tool result are left out here.]\n".len();

#[test]
fn a_warm_cache_is_left_alone() {
    let entries = log(&[6_000, 6_000, 6_000]);
    let last = START + minutes(2);
    assert_eq!(sizes(&prune(&entries, WINDOW, last + minutes(5))), []);
    assert_eq!(sizes(&prune(&entries, WINDOW, last + minutes(6))), [(1, TRIMMED), (4, TRIMMED)]);
}

#[test]
fn old_results_are_trimmed_to_their_ends() {
    let entries = log(&[6_000, 4_000, 6_000, 6_000]);
    let pruned = prune(&entries, WINDOW, START + minutes(30));
    // The second is short enough, and the last has fewer than three answers behind it.
    assert_eq!(sizes(&pruned), [(1, TRIMMED), (7, TRIMMED)]);
    assert!(pruned[&1].starts_with("<xxx") && pruned[&1].ends_with("xxx>"));
    assert!(pruned[&1].contains("x\n[3000 characters of this old tool result are left out here.]\nx"));
}

#[test]
fn results_are_trimmed_between_their_characters() {
    let text = trimmed(&"ä".repeat(5_000)).unwrap();
    assert_eq!(text.matches('ä').count(), 3_000);
    assert_eq!(trimmed(&"ä".repeat(4_000)), None);
}

#[test]
fn little_is_not_pruned() {
    assert_eq!(sizes(&prune(&log(&[5_000, 3_000, 2_000]), WINDOW, START + minutes(30))), []);
    assert_eq!(sizes(&prune(&log(&[60_000]), WINDOW, START + minutes(30))), []);
    assert_eq!(sizes(&prune(&[], WINDOW, START)), []);
}

#[test]
fn what_is_still_too_much_is_cleared_from_the_oldest_on() {
    let entries = log(&[4_000, 6_000, 3_000, 8_000, 8_000]);
    let pruned = prune(&entries, WINDOW, START + minutes(30));
    // Trimming saves 2,937 + 4,937 bytes of about 29,000; clearing the first one is enough then.
    assert_eq!(sizes(&pruned), [(1, CLEARED.len()), (4, TRIMMED), (10, TRIMMED)]);
    assert_eq!(pruned[&1], CLEARED);
}

#[test]
fn the_present_turn_is_not_pruned() {
    let mut entries = log(&[6_000, 6_000, 6_000, 6_000]);
    assert_eq!(prune(&entries, WINDOW, START + minutes(30)).len(), 3);
    let last = entries[11].turn;
    entries.iter_mut().for_each(|entry| entry.turn = last);
    assert_eq!(sizes(&prune(&entries, WINDOW, START + minutes(30))), []);
}

#[test]
fn what_was_pruned_stays_pruned_in_the_same_way() {
    let mut entries = log(&[6_000, 6_000, 6_000, 6_000]);
    let pause = START + minutes(30);
    let after_pause = prune(&entries, WINDOW, pause);
    assert_eq!(after_pause.len(), 3);
    // The conversation goes on: nothing changes in what the cache knows, however much is added.
    for mut entry in log(&[9_000, 9_000, 9_000, 9_000]) {
        entry.seq += 12;
        entry.turn = TurnId::from_parts(pause, entry.seq.into());
        entry.at = entry.at + minutes(30);
        let now = entry.at;
        entries.push(entry);
        assert_eq!(prune(&entries, WINDOW, now), after_pause);
    }
    // Until the next pause.
    assert!(prune(&entries, WINDOW, pause + minutes(30)).len() > 3);
}

#[test]
fn the_conversation_shows_what_is_left() {
    let entries = log(&[6_000, 6_000, 6_000, 6_000]);
    let workspace = crate::Workspace::default();
    let request = crate::ModelRequest {
        bot: crate::BotView { context_window: Some(WINDOW), ..crate::BotView::default() },
        chat: domain::ChatKind::Direct,
        workspace: &workspace,
        entries: &entries,
        question: &Question::Step { tools: true },
        host: &crate::NoHost,
        progress: None,
        now: START + minutes(30),
    };
    let shown = crate::transcript::conversation(&request, &domain::Context::of(&entries));
    let results = shown.iter().filter_map(|step| match step {
        crate::transcript::Step::Assistant { calls, .. } => calls.first().map(|answered| answered.result.len()),
        crate::transcript::Step::User { .. } => None,
    });
    assert_eq!(results.collect::<Vec<_>>(), [TRIMMED, TRIMMED, TRIMMED, 6_000]);
}
