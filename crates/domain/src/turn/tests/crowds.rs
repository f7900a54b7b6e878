//! Many messages at once.

use super::*;

#[test]
fn in_the_mode_interrupt_the_newest_message_is_answered() {
    let mut worker = Worker::with(&[1, 2, 3]);
    worker.bot.queue.mode = QueueMode::Interrupt;
    worker.step(Event::Loaded).step(says("three"));
    insta::assert_snapshot!(worker.history(), @r#"
    append user "message 1"
    append stopped by Message
    commit, turn open false, outbox []
    append user "message 2"
    append stopped by Message
    commit, turn open false, outbox []
    append user "message 3"
    call model, tools true
    append assistant "three" +0 calls
    commit, turn open false, outbox ["\"three\" to Some(\"3\")"]
    finish
    "#);
}

#[test]
fn a_turn_is_interrupted_by_a_message_that_its_door_has_announced() {
    let mut worker = Worker::with(&[1]);
    worker.bot.queue.mode = QueueMode::Interrupt;
    worker.step(Event::Loaded).step(calls(&["look"]));
    let newer = message(2);
    worker.head.stop = Some(Stop { message: newer.message.clone(), at: newer.received_at, by: StoppedBy::Message });
    worker.ran(&[("c0-look", "look")]);
    assert!(
        worker.history().ends_with("append stopped by Message\ncommit, turn open false, outbox []\nfinish"),
        "{}",
        worker.history()
    );
    worker.waiting = vec![newer];
    worker.step(Event::Loaded).step(says("two"));
    assert!(
        worker.head.stop.is_none() && worker.history().ends_with("to Some(\\\"2\\\")\"]\nfinish"),
        "{}",
        worker.history()
    );
}

#[test]
fn messages_that_waited_are_collected_once_nobody_writes_any_more() {
    let collect = |now_ms: u64| {
        let mut worker = Worker::with(&[1, 2]);
        worker.bot.queue.mode = QueueMode::Collect;
        worker.head.updated_at = at(50);
        worker.now = Timestamp::from_millis(now_ms);
        worker.step(Event::Loaded);
        worker.history()
    };
    assert_eq!(collect(2_100), "give back for 1s\nfinish", "the newest is 100 ms old");
    assert!(collect(2_500).starts_with("append user \"message 1\"\nappend user \"message 2\"\ncall model"));
    let mut idle = Worker::with(&[1]);
    idle.bot.queue.mode = QueueMode::Collect;
    idle.now = at(1);
    idle.step(Event::Loaded);
    assert_eq!(idle.history(), "append user \"message 1\"\ncall model, tools true", "nothing was under way");
}

#[test]
fn the_pieces_of_an_album_come_one_by_one_and_share_a_turn() {
    let album = |mode, messages: &[u32], now_ms: u64| {
        let mut worker = Worker::with(messages);
        worker.bot.queue.mode = mode;
        for piece in &mut worker.waiting[..2] {
            piece.album = Some("7".to_owned());
        }
        worker.now = Timestamp::from_millis(now_ms);
        worker.step(Event::Loaded);
        worker.history()
    };
    assert_eq!(album(QueueMode::Followup, &[1, 2, 3], 3_900), "give back for 1s\nfinish", "the rest may be on its way");
    let shared = "append user \"message 1\"\nappend user \"message 2\"\ncall model";
    for (mode, messages) in [
        (QueueMode::Followup, &[1, 2, 3][..]),
        (QueueMode::Steer, &[1, 2, 3]),
        (QueueMode::Interrupt, &[1, 2]),
        (QueueMode::Collect, &[1, 2]),
    ] {
        let history = album(mode, messages, 4_000);
        assert!(history.starts_with(shared) && !history.contains("message 3"), "{mode:?}: {history}");
    }
}

#[test]
fn too_many_messages_are_left_out_and_somebody_is_told() {
    let history = |drop| {
        let mut worker = Worker::with(&[1, 2, 3, 4, 5]);
        worker.bot.queue = QueueSettings { mode: QueueMode::Collect, cap: 2, drop, ..QueueSettings::default() };
        worker.step(Event::Loaded);
        worker.history()
    };
    insta::assert_snapshot!(history(DropPolicy::Summarize), @r#"
    append dropped 3, told true
    commit, turn open false, outbox []
    append user "message 4"
    append user "message 5"
    call model, tools true
    "#);
    insta::assert_snapshot!(history(DropPolicy::Old), @r#"
    append dropped 3, told false
    append notice "Too many messages wait, so I have left out the oldest 3."
    commit, turn open false, outbox ["\"Too many messages wait, so I have left out the oldest 3.\" to Some(\"1\")"]
    append user "message 4"
    append user "message 5"
    call model, tools true
    "#);
    insta::assert_snapshot!(history(DropPolicy::New), @r#"
    append dropped 3, told false
    append notice "Too many messages wait, so I have left out the newest 3."
    commit, turn open false, outbox ["\"Too many messages wait, so I have left out the newest 3.\" to Some(\"3\")"]
    append user "message 1"
    append user "message 2"
    call model, tools true
    "#);
}
