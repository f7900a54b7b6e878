//! Turns that another session waits for.

use super::*;

/// What a session that waits says in this one.
fn task() -> Inbound {
    let (waits, child) = (SessionKey::main("main"), SessionKey::subagent("main", turn_id(9), "1.a"));
    let reply = ReplyTo::of(&message(1));
    let label = "book".to_owned();
    let parent = Parent { session: waits.clone(), child: child.clone(), label, reply: reply.clone(), depth: 1 };
    let reply = ReplyTo { parent: Some(Box::new(parent)), ..reply };
    let text = "read the book".to_owned();
    Inbound::from_session(&waits, "Heron", child, message(1).message, text, reply, at(1))
}

#[test]
fn who_waits_is_told_of_silence() {
    let mut worker = Worker::with(&[]);
    worker.waiting = vec![task()];
    worker.step(Event::Loaded).step(says("NO_REPLY"));
    insta::assert_snapshot!(worker.history(), @r#"
    append user "read the book"
    call model, tools true
    append assistant "NO_REPLY" +0 calls
    commit, turn open false, outbox ["\"\" to Some(\"1\")"]
    finish
    "#);
}

#[test]
fn who_waits_is_told_of_a_stop() {
    let mut worker = Worker::with(&[]);
    worker.waiting = vec![task()];
    worker.step(Event::Loaded).step(calls(&["look"]));
    worker.head.stop = Some(Stop { message: message(2).message, at: at(2), by: StoppedBy::Person });
    worker.ran(&[("c0-look", "look")]);
    let told = "outbox [\"\\\"The work was stopped before it was done.\\\" to Some(\\\"1\\\")\"]";
    assert!(worker.history().contains(told), "{}", worker.history());
}

#[test]
fn what_a_session_says_interrupts_nobody() {
    let mut worker = Worker::with(&[1]);
    worker.bot.queue.mode = QueueMode::Interrupt;
    worker.waiting.push(Inbound { message: message(2).message, received_at: at(2), ..task() });
    worker.step(Event::Loaded).step(says("one"));
    assert!(!worker.history().contains("stopped"), "{}", worker.history());
    assert!(worker.history().contains("\"one\\\" to Some"), "{}", worker.history());
}
