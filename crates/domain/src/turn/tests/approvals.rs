//! Calls that wait for their owner.

use super::commands::{command, door};
use super::*;

/// A turn that waits for its owner, and the code of its question.
fn waiting(tools: &[&str]) -> (Worker, String) {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded).step(calls(tools));
    let code = code(&worker);
    (worker, code)
}

fn code(worker: &Worker) -> String {
    let turn = worker.head.turn.as_ref().expect("a turn");
    turn.waiting.as_ref().expect("it waits").code.clone()
}

fn is_waiting(worker: &Worker) -> bool {
    worker.head.turn.as_ref().is_some_and(|turn| turn.waiting.is_some())
}

fn owner(n: u32, text: &str) -> Inbound {
    Inbound { is_owner: true, ..command(n, text) }
}

/// Another worker, later, to which these messages came.
fn later(worker: Worker, came: Vec<Inbound>) -> Worker {
    let mut worker = worker.crash(&[]);
    worker.waiting = came;
    worker.trace.clear();
    worker.step(Event::Loaded);
    worker
}

#[test]
fn a_call_that_asks_waits_and_runs_once_it_is_approved() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded).step(calls(&["look", "send", "pay"])).ran(&[("c0-look", "look")]);
    let code = code(&worker).to_lowercase();
    let approve = owner(2, &format!("/approve {code} once"));
    let mut worker = worker.crash(&[]);
    worker.waiting = vec![approve.clone(), approve];
    worker.step(Event::Loaded).ran(&[("c1-send", "send")]).ran(&[("c2-pay", "pay")]).step(says("done"));
    let trace = worker.history().replace(&code, "CODE");
    let (asked, rest) = trace.split_once("outbox [\"\\\"I want").expect("it asks");
    insta::assert_snapshot!(asked, @r#"
    append user "message 1"
    call model, tools true
    append assistant "" +3 calls
    commit, turn open true, outbox []
    run ["look"]
    append result look Ok
    commit, turn open true, outbox []
    ask the owner about ["c1-send"]
    commit, turn waits,
    "#);
    insta::assert_snapshot!(rest.split_once('\n').expect("more").1, @r#"
    finish
    -- crash
    append user "/approve CODE once"
    commit, turn open true, outbox []
    run ["send"]
    append result send Ok
    commit, turn open true, outbox []
    run ["pay"]
    append result pay Ok
    commit, turn open true, outbox []
    call model, tools true
    append assistant "done" +0 calls
    commit, turn open false, outbox ["\"done\" to Some(\"1\")"]
    finish
    "#);
}

#[test]
fn who_does_not_own_the_bot_is_not_told_what_is_asked() {
    let (worker, code) = waiting(&["send"]);
    let told = worker.trace.iter().find(|line| line.contains("turn waits")).expect("it waits");
    assert!(told.contains("needs my owner's approval") && !told.contains("`send`") && !told.contains(&code), "{told}");
    assert!(worker.buttons.is_empty());
}

#[test]
fn the_question_says_what_is_asked_and_has_three_buttons() {
    let mut worker = Worker::with(&[1]);
    worker.waiting[0].is_owner = true;
    worker.step(Event::Loaded).step(calls(&["send"]));
    let view_of = |entry: &Entry| match &entry.body {
        EntryBody::Asked { text, .. } => Some(text.clone()),
        _ => None,
    };
    let text = worker.entries.iter().find_map(view_of).expect("a question");
    insta::assert_snapshot!(text.replace(&code(&worker), "CODE"), @r#"
    I want to do this, and need my owner's approval:

    `send`
    ```
    {}
    ```

    Answer within 10 minutes: `/approve CODE once`, `always` or `deny`.
    "#);
    assert_eq!(code(&worker).len(), 5);
    let labels: Vec<String> =
        worker.buttons.iter().map(|button| format!("{}: {}", button.label, button.command)).collect();
    insta::assert_snapshot!(labels.join("\n").replace(&code(&worker), "CODE"), @r#"
    Allow once: /approve CODE once
    Always: /approve CODE always
    Deny: /approve CODE deny
    "#);
}

#[test]
fn always_holds_for_the_tool_in_this_session() {
    let (worker, code) = waiting(&["send"]);
    let mut worker = later(worker, vec![owner(2, &format!("/approve {code} always"))]);
    worker.ran(&[("c0-send", "send")]).step(calls(&["send", "peek"])).ran(&[("c0-send", "send")]);
    assert!(is_waiting(&worker), "another tool still asks: {}", worker.history());
    assert_eq!(worker.head.settings.approved, ["send"]);
    assert_eq!(worker.history().matches("run [\"send\"]").count(), 2);
}

#[test]
fn an_approval_is_for_the_call_and_not_for_a_later_one_with_the_same_id() {
    let (worker, code) = waiting(&["send"]);
    let mut worker = later(worker, vec![owner(2, &format!("/approve {code}"))]);
    worker.ran(&[("c0-send", "send")]).step(calls(&["send"]));
    assert!(is_waiting(&worker));
    assert_ne!(self::code(&worker), code);
    // The button below the first question is pressed again.
    let worker = later(worker, vec![owner(3, &format!("/approve {code} once"))]);
    assert!(is_waiting(&worker) && !worker.history().contains("run"), "{}", worker.history());
}

#[test]
fn a_denied_call_is_not_run_and_the_model_is_told() {
    let (worker, code) = waiting(&["send", "peek"]);
    let mut worker = later(worker, vec![owner(2, &format!("/approve {code} deny"))]);
    worker.step(says("as you wish"));
    insta::assert_snapshot!(worker.history().replace(&code, "CODE"), @r#"
    append user "/approve CODE deny"
    append result send Error
    append result peek Error
    commit, turn open true, outbox []
    call model, tools true
    append assistant "as you wish" +0 calls
    commit, turn open false, outbox ["\"as you wish\" to Some(\"1\")"]
    finish
    "#);
}

#[test]
fn nobody_answers_in_time() {
    let (mut worker, code) = waiting(&["send"]);
    worker.now = at(699);
    let mut worker = later(worker, vec![]);
    assert_eq!(worker.history(), "finish", "a wake that comes early");
    worker.now = at(700);
    let mut worker = later(worker, vec![]);
    worker.step(says("too bad"));
    let worker = later(worker, vec![owner(2, &format!("/approve {code}"))]);
    assert!(worker.history().contains("Nothing waits for approval under"), "{}", worker.history());
    assert!(!worker.history().contains("run"));
}

#[test]
fn a_decision_in_time_counts_however_late_it_is_read() {
    let (mut worker, code) = waiting(&["send"]);
    worker.now = at(5000);
    let (early, late) = (owner(600, &format!("/approve {code}")), owner(700, &format!("/approve {code}")));
    let worker = later(worker, vec![early]);
    assert!(worker.history().ends_with("run [\"send\"]"), "{}", worker.history());
    let (mut worker, _) = waiting(&["send"]);
    worker.now = at(5000);
    let worker = later(worker, vec![late]);
    assert!(worker.history().ends_with("call model, tools true"), "{}", worker.history());
}

#[test]
fn only_the_owner_may_approve_and_a_wrong_code_says_so() {
    let (worker, code) = waiting(&["send"]);
    let stranger = command(2, &format!("/approve {code} once"));
    let came = vec![stranger, owner(3, "/approve XXXXX"), owner(4, "/approve"), command(5, "/help")];
    let mut worker = later(worker, came);
    let trace = worker.history();
    assert!(trace.contains("append notice \"Only my owner can do that.\""), "{trace}");
    assert!(trace.contains(&format!("What waits has the code `{code}`.")), "{trace}");
    assert!(trace.contains("append notice \"I want to do this"), "{trace}");
    assert!(trace.contains("append notice \"- `/help`"), "{trace}");
    assert!(!trace.contains("run [\"") && trace.ends_with("finish") && is_waiting(&worker), "{trace}");
    worker = later(worker, vec![owner(6, &format!("/approve {code}"))]);
    assert!(worker.history().ends_with("run [\"send\"]"), "{}", worker.history());
}

#[test]
fn what_is_said_while_a_turn_waits_joins_it_and_is_answered_with_it() {
    for mode in [QueueMode::Steer, QueueMode::Followup, QueueMode::Collect] {
        let mut worker = Worker::with(&[1]);
        worker.bot.queue.mode = mode;
        worker.step(Event::Loaded).step(calls(&["send"]));
        let code = code(&worker);
        let mut worker = later(worker, vec![message(2), message(3), owner(4, &format!("/approve {code}")), message(5)]);
        worker.ran(&[("c0-send", "send")]).step(says("done"));
        let trace = worker.history();
        let joined = "append user \"message 2\"\nappend user \"message 3\"\ncommit, turn waits, outbox []\n";
        assert!(trace.starts_with(joined), "{trace}");
        assert!(trace.contains("append assistant \"done\""), "{trace}");
        assert_eq!(trace.matches("append user \"message").count(), 3, "{trace}");
    }
}

#[test]
fn a_stop_and_an_interrupting_message_end_a_turn_that_waits() {
    let (mut worker, code) = waiting(&["send"]);
    let stop = command(2, "/stop");
    door(&mut worker, &stop, StoppedBy::Person);
    let worker = later(worker, vec![stop, owner(3, &format!("/approve {code}"))]);
    let trace = worker.history();
    assert!(trace.starts_with("append stopped by Person\ncommit, turn open false"), "{trace}");
    assert!(trace.contains("Nothing waits") && !trace.contains("run"), "{trace}");

    let (mut worker, _) = waiting(&["send"]);
    worker.bot.queue.mode = QueueMode::Interrupt;
    let worker = later(worker, vec![message(2)]);
    let trace = worker.history();
    assert!(trace.starts_with("append stopped by Message\ncommit, turn open false, outbox []\nappend user"), "{trace}");
}

#[test]
fn a_crash_before_the_question_asks_and_one_after_the_approval_does_not_run_twice() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded);
    // The answer is committed, and its worker dies before it asks.
    let event = calls(&["send"]);
    let Event::Answered(answer) = event else { panic!("an answer") };
    let turn = worker.turn.clone().expect("a turn");
    worker.perform(Action::Append { turn: turn.id, body: EntryBody::Assistant(answer) });
    worker.commit(&Commit { turn: Some(turn), ..Commit::default() });
    let worker = later(worker, vec![]);
    assert!(is_waiting(&worker), "{}", worker.history());
    let approve = owner(2, &format!("/approve {}", code(&worker)));
    let worker = later(worker, vec![approve.clone()]);
    assert!(worker.history().ends_with("run [\"send\"]"), "{}", worker.history());
    // It dies while the tool runs; the decision comes again.
    let worker = later(worker, vec![approve]);
    assert!(worker.history().contains("append result send Unknown"), "{}", worker.history());
    assert!(!worker.history().contains("run"), "{}", worker.history());
}

#[test]
fn a_turn_that_missed_too_much_waits_no_longer() {
    let (mut worker, _) = waiting(&["send"]);
    for n in 2..110 {
        worker = later(worker, vec![message(n)]);
        if !is_waiting(&worker) {
            return;
        }
    }
    panic!("what it asks for is no longer in the end of the log");
}
