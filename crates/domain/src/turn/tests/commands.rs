//! Commands, stops, resets and compaction.

use super::*;
use crate::command;

/// A message that is a command.
pub(super) fn command(n: u32, text: &str) -> Inbound {
    let control = Control::of(&command::parse(text, None).expect("a command"));
    Inbound { text: text.to_owned(), control: Some(control.expect("one of the engine's")), ..message(n) }
}

/// What the door does with a message that must not wait.
pub(super) fn door(worker: &mut Worker, inbound: &Inbound, by: StoppedBy) {
    worker.head.epoch += 1;
    worker.head.stop = Some(Stop { message: inbound.message.clone(), at: inbound.received_at, by });
}

#[test]
fn who_does_not_own_a_bot_chooses_among_the_models_that_its_owner_named() {
    let chosen = |is_owner, model: &str| {
        let mut worker = Worker::with(&[]);
        worker.bot.model.model = Some("openai/small".to_owned());
        worker.bot.model.fallbacks =
            vec![crate::account::FallbackModel { model: "other/large".to_owned(), ..Default::default() }];
        worker.waiting = vec![Inbound { is_owner, ..command(1, &format!("/model {model}")) }];
        worker.step(Event::Loaded);
        worker.head.settings.model
    };
    assert_eq!(chosen(true, "openai/dearest").as_deref(), Some("openai/dearest"));
    assert_eq!(chosen(false, "openai/dearest"), None);
    assert_eq!(chosen(false, "other/large").as_deref(), Some("other/large"));
}

/// What the door makes of a reaction.
fn event(n: u32) -> Inbound {
    Inbound { text: "reacted with 👍".to_owned(), control: Some(Control::Event), ..message(n) }
}

#[test]
fn an_event_is_kept_and_nobody_answers() {
    let mut worker = Worker::with(&[]);
    worker.waiting = vec![event(1), message(2)];
    worker.step(Event::Loaded).step(says("two"));
    let mut worker = worker.crash(&[]);
    worker.waiting.push(event(1));
    worker.step(Event::Loaded);
    insta::assert_snapshot!(worker.history(), @r#"
    append event "reacted with 👍"
    commit, turn open false, outbox []
    append user "message 2"
    call model, tools true
    append assistant "two" +0 calls
    commit, turn open false, outbox ["\"two\" to Some(\"2\")"]
    finish
    -- crash
    skip, resend true
    finish
    "#);
}

#[test]
fn an_event_does_not_disturb_a_turn_that_is_under_way() {
    for mode in [QueueMode::Steer, QueueMode::Interrupt, QueueMode::Collect] {
        let mut worker = Worker::with(&[1]);
        worker.bot.queue.mode = mode;
        worker.step(Event::Loaded).step(calls(&["look"]));
        worker.waiting.push(event(2));
        worker.ran(&[("c0-look", "look")]);
        worker.step(says("one"));
        let history = worker.history();
        let (answer, after) = history.split_once("append assistant \"one\"").expect("it is answered");
        assert!(!answer.contains("event") && after.contains("append event \"reacted with 👍\""), "{mode:?}: {history}");
    }
}

#[test]
fn a_message_behind_an_event_joins_the_turn_all_the_same() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded).step(calls(&["look"]));
    worker.waiting.extend([event(2), message(3)]);
    worker.ran(&[("c0-look", "look")]);
    assert!(worker.history().contains("append user \"message 3\""), "{}", worker.history());
    worker.step(says("one and three"));
    assert!(worker.history().contains("append event \"reacted with 👍\""), "{}", worker.history());
}

#[test]
fn an_event_keeps_no_conversation_young() {
    let mut worker = Worker::with(&[1]);
    worker.bot.resets.reset = ResetPolicy { mode: ResetMode::Idle, idle_minutes: Some(10), at_hour: None };
    worker.step(Event::Loaded).step(says("one"));
    let mut worker = worker.crash(&[]);
    worker.waiting = vec![event(2)];
    worker.now = at(100 + 400);
    worker.step(Event::Loaded);
    assert_eq!(worker.head.updated_at, at(500));
    let mut worker = worker.crash(&[3]);
    worker.now = at(100 + 700);
    worker.step(Event::Loaded);
    assert!(worker.history().contains("append reset Idle"), "{}", worker.history());
    assert!(!event(1).shows_place());
}

#[test]
fn a_stop_ends_the_turn_within_its_step_and_keeps_what_its_tools_gave() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded).step(calls(&["look"]));
    let stop = command(2, "/stop");
    door(&mut worker, &stop, StoppedBy::Person);
    worker.ran(&[("c0-look", "look")]);
    let mut worker = worker.crash(&[1]);
    worker.waiting.push(stop);
    worker.step(Event::Loaded);
    assert!(worker.head.stop.is_none(), "the wish is fulfilled");
    let mut worker = worker.crash(&[3]);
    worker.step(Event::Loaded).step(says("three"));
    insta::assert_snapshot!(worker.history(), @r#"
    append user "message 1"
    call model, tools true
    append assistant "" +1 calls
    commit, turn open true, outbox []
    run ["look"]
    append result look Ok
    append stopped by Person
    commit, turn open false, outbox []
    finish
    -- crash
    skip, resend true
    append user "/stop"
    append notice "Stopped."
    commit, turn open false, outbox ["\"Stopped.\" to Some(\"2\")"]
    finish
    -- crash
    append user "message 3"
    call model, tools true
    append assistant "three" +0 calls
    commit, turn open false, outbox ["\"three\" to Some(\"3\")"]
    finish
    "#);
}

#[test]
fn an_answer_that_comes_after_a_stop_is_not_sent() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded);
    door(&mut worker, &command(2, "/stop"), StoppedBy::Person);
    worker.step(says("too late"));
    insta::assert_snapshot!(worker.history(), @r#"
    append user "message 1"
    call model, tools true
    append stopped by Person
    commit, turn open false, outbox []
    finish
    "#);
}

#[test]
fn what_waits_before_a_stop_is_not_answered_and_what_comes_after_it_is() {
    let mut worker = Worker::with(&[1, 3]);
    let stop = command(2, "/stop");
    door(&mut worker, &stop, StoppedBy::Person);
    worker.waiting.insert(1, stop);
    worker.step(Event::Loaded);
    insta::assert_snapshot!(worker.history(), @r#"
    append user "message 1"
    append stopped by Person
    commit, turn open false, outbox []
    append user "/stop"
    append notice "Stopped."
    commit, turn open false, outbox ["\"Stopped.\" to Some(\"2\")"]
    append user "message 3"
    call model, tools true
    "#);
}

#[test]
fn a_resumed_turn_is_stopped_too() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded).step(calls(&["pay"]));
    let mut worker = worker.crash(&[1]);
    door(&mut worker, &command(2, "/new"), StoppedBy::Person);
    worker.step(Event::Loaded);
    assert!(
        worker
            .history()
            .ends_with("append stopped by Person\ncommit, turn open false, outbox []\nskip, resend true\nfinish"),
        "{}",
        worker.history()
    );
}

#[test]
fn new_and_reset_put_what_was_said_aside() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded).step(says("one"));
    let mut worker = worker.crash(&[]);
    worker.waiting = vec![command(2, "/new"), command(3, "/reset"), command(4, "/new hello again")];
    worker.step(Event::Loaded).step(says("hello"));
    let trace = worker.history();
    insta::assert_snapshot!(trace.split_once("-- crash").expect("it crashed").1, @r#"

    append user "/new"
    append reset New
    append notice "A new conversation begins. I no longer look at what we said before."
    commit, turn open false, outbox ["\"A new conversation begins. I no longer look at what we said before.\" to Some(\"2\")"]
    append user "/reset"
    append reset Reset
    append notice "A new conversation begins. I no longer look at what we said before."
    commit, turn open false, outbox ["\"A new conversation begins. I no longer look at what we said before.\" to Some(\"3\")"]
    append reset New
    append user "hello again"
    call model, tools true
    append assistant "hello" +0 calls
    commit, turn open false, outbox ["\"hello\" to Some(\"4\")"]
    finish
    "#);
    let context = crate::Context::of(&worker.entries);
    assert_eq!(context.entries.len(), 2, "the model sees the new conversation only");
}

#[test]
fn a_session_that_was_idle_begins_anew() {
    let mut worker = Worker::with(&[1]);
    let reset = ResetPolicy { mode: ResetMode::Idle, idle_minutes: Some(10), at_hour: None };
    worker.bot.resets.reset = reset;
    worker.step(Event::Loaded).step(says("one"));
    let mut worker = worker.crash(&[2]);
    worker.now = at(100 + 600);
    worker.step(Event::Loaded);
    assert!(
        worker.history().ends_with("append reset Idle\nappend user \"message 2\"\ncall model, tools true"),
        "{}",
        worker.history()
    );
}

/// What a heartbeat says does not keep a conversation young that nobody writes in.
#[test]
fn only_people_keep_a_conversation_from_growing_old() {
    let mut worker = Worker::with(&[1]);
    worker.bot.resets.reset = ResetPolicy { mode: ResetMode::Idle, idle_minutes: Some(10), at_hour: None };
    worker.step(Event::Loaded).step(says("one"));
    assert_eq!(worker.head.heard_at, Some(worker.head.updated_at));
    let mut worker = worker.crash(&[2]);
    worker.waiting[0].sender.id = "cron:job_1".into();
    worker.now = at(100 + 400);
    worker.step(Event::Loaded).step(says("all is well"));
    assert_eq!(worker.head.updated_at, at(500));
    assert!(worker.head.heard_at < Some(at(500)));
    let mut worker = worker.crash(&[3]);
    worker.now = at(100 + 700);
    worker.step(Event::Loaded);
    assert!(worker.history().contains("append reset Idle"), "{}", worker.history());
}

/// Whatever a model writes fits into a row.
#[test]
fn an_answer_that_takes_too_much_room_is_cut() {
    let mut worker = Worker::with(&[1]);
    let call = |n: u32| ToolCall {
        id: format!("call-{n}"),
        name: "look".into(),
        arguments: format!("{{\"text\":\"{}\"}}", "\\\"".repeat(20_000)),
    };
    let huge = Answer { text: "\n".repeat(90_000), tool_calls: (0..16).map(call).collect(), ..answer("") };
    worker.step(Event::Loaded).step(Event::Answered(huge));
    let written = serde_json::to_string(&worker.entries).unwrap();
    assert!(written.len() < 300_000, "{}", written.len());
    let kept = worker.entries.iter().find_map(|entry| match &entry.body {
        EntryBody::Assistant(answer) => Some(answer.tool_calls.len()),
        _ => None,
    });
    assert_eq!(kept, Some(16), "no call is lost, so that each gets its result");
}

#[test]
fn a_long_context_is_compacted_before_the_model_is_asked() {
    let mut worker = Worker::with(&[1]);
    worker.window = 8_000;
    worker.step(Event::Loaded).step(says(&"word ".repeat(2_200)));
    worker.waiting = vec![message(2)];
    worker.turn = None;
    worker.step(Event::Loaded).step(says(&format!("{}two", "word ".repeat(300))));
    worker.waiting = vec![message(3)];
    worker.turn = None;
    worker
        .step(Event::Loaded)
        .step(Event::Summarised { keep_from: 2, answer: answer("they said words") })
        .step(says("three"));
    insta::assert_snapshot!(worker.history().replace("word ", ""), @r#"
    append user "message 1"
    call model, tools true
    append assistant "" +0 calls
    commit, turn open false, outbox ["\"\" to Some(\"1\")"]
    finish
    append user "message 2"
    call model, tools true
    append assistant "two" +0 calls
    commit, turn open false, outbox ["\"two\" to Some(\"2\")"]
    finish
    append user "message 3"
    call model, summary up to 2 ""
    append compaction "they said words", kept from 2
    commit, turn open true, outbox []
    call model, tools true
    append assistant "three" +0 calls
    commit, turn open false, outbox ["\"three\" to Some(\"3\")"]
    finish
    "#);
    let context = crate::Context::of(&worker.entries);
    assert_eq!((context.summary, context.entries[0].seq), (Some("they said words"), 2));
    assert_eq!(worker.head.cost, 4 * 7, "the summary is paid for, too");
}

#[test]
fn a_conversation_goes_on_without_what_can_not_be_summarised() {
    let mut worker = Worker::with(&[1]);
    worker.window = 8_000;
    worker.step(Event::Loaded).step(says(&"word ".repeat(6_000)));
    worker.waiting = vec![message(2)];
    worker.turn = None;
    worker.step(Event::Loaded).step(Event::ModelFailed { text: "no".into(), detail: "no".into(), cost: Some(0) });
    assert!(
        worker.history().ends_with("commit, turn open true, outbox []\ncall model, tools true"),
        "{}",
        worker.history()
    );
}

#[test]
fn a_person_may_ask_for_a_compaction() {
    let mut worker = Worker::with(&[]);
    worker.waiting = vec![command(1, "/compact")];
    worker.step(Event::Loaded);
    worker.waiting = vec![message(2)];
    worker.step(Event::Loaded).step(says("two"));
    worker.waiting = vec![command(3, "/compact the names")];
    worker.step(Event::Loaded);
    let mut worker = worker.crash(&[]);
    worker.waiting = vec![command(3, "/compact the names")];
    worker.step(Event::Loaded).step(Event::Summarised { keep_from: 4, answer: answer("names") });
    insta::assert_snapshot!(worker.history(), @r#"
    append user "/compact"
    append notice "There is nothing to compact yet."
    commit, turn open false, outbox ["\"There is nothing to compact yet.\" to Some(\"1\")"]
    finish
    append user "message 2"
    call model, tools true
    append assistant "two" +0 calls
    commit, turn open false, outbox ["\"two\" to Some(\"2\")"]
    finish
    append user "/compact the names"
    call model, summary up to 4 "the names"
    -- crash
    append user "/compact the names"
    call model, summary up to 4 "the names"
    append compaction "names", kept from 4
    append notice "Compacted: from now on I know the earlier part of this conversation by a summary."
    commit, turn open false, outbox ["\"Compacted: from now on I know the earlier part of this conversation by a summary.\" to Some(\"3\")"]
    finish
    "#);
}

#[test]
fn a_session_may_have_its_own_queue_settings() {
    let mut worker = Worker::with(&[]);
    worker.waiting = vec![
        command(1, "/queue collect debounce:2s"),
        command(2, "/queue"),
        command(3, "/queue sideways"),
        command(4, "/queue cap:0"),
    ];
    worker.step(Event::Loaded);
    assert_eq!(
        worker.head.queue.map(|queue| queue.to_string()).as_deref(),
        Some("collect debounce:2000ms cap:20 drop:summarize")
    );
    let trace = worker.history();
    assert_eq!(trace.matches("append notice \"Messages that wait: `collect debounce:2000ms").count(), 2, "{trace}");
    assert!(trace.contains("I do not know `sideways`") && trace.contains("cap 1 to 1000"), "{trace}");
    worker.waiting = vec![command(5, "/queue default")];
    worker.step(Event::Loaded);
    assert_eq!(worker.head.queue, None);
}
