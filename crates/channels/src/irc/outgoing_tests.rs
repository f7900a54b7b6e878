use domain::{Address, ChatKind};
use proptest::prelude::*;
use tokio::sync::oneshot::Receiver;

use super::*;

fn say(target: &str, text: &str, reply_to: Option<&str>) -> (Say, Receiver<Result<String, SendError>>) {
    let (sent, told) = oneshot::channel();
    let to =
        Address { kind: ChatKind::Group, chat: target.to_owned(), thread: None, reply_to: reply_to.map(str::to_owned) };
    (Say { to, text: text.to_owned(), sent }, told)
}

fn queue(outgoing: &mut Outgoing, target: &str, text: &str) -> Receiver<Result<String, SendError>> {
    let (say, told) = say(target, text, None);
    outgoing.say(say, 40, false, Casemapping::Rfc1459);
    told
}

/// All lines, with the second that each left in.
async fn leave(outgoing: &mut Outgoing) -> Vec<(u64, String)> {
    let start = Instant::now();
    let mut left = Vec::new();
    loop {
        while let Some(line) = outgoing.next(Instant::now()) {
            left.push((start.elapsed().as_secs(), line));
        }
        let Some(at) = outgoing.ready_at() else { return left };
        tokio::time::sleep_until(at).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_has_arrived_when_the_server_answers_what_was_asked_after_it() {
    let mut outgoing = Outgoing::new(Instant::now());
    let mut one = queue(&mut outgoing, "#marsh", "one");
    let mut two = queue(&mut outgoing, "#marsh", "two");
    let left = leave(&mut outgoing).await;
    let lines: Vec<&str> = left.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(lines, ["PRIVMSG #marsh :one", "PRIVMSG #marsh :two", "PING :2"], "one question for both");
    assert!(one.try_recv().is_err(), "nothing is known yet");

    outgoing.refused("#marsh", "Cannot send to channel");
    let refused = one.try_recv().unwrap().unwrap_err();
    assert_eq!(refused, SendError::Unreachable("Cannot send to channel".to_owned()));
    outgoing.arrived("alive");
    assert!(two.try_recv().is_err());
    outgoing.arrived("2");
    assert!(!two.try_recv().unwrap().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn lines_leave_no_faster_than_networks_bear() {
    let mut outgoing = Outgoing::new(Instant::now());
    let mut told: Vec<_> = (0..6).map(|n| queue(&mut outgoing, "#marsh", &format!("line {n}"))).collect();
    let left = leave(&mut outgoing).await;
    let seconds: Vec<u64> = left.iter().map(|(second, _)| *second).collect();
    assert_eq!(seconds, [0, 0, 0, 0, 2, 4, 6, 8], "six messages and two questions: {left:?}");
    outgoing.end();
    for told in &mut told {
        assert!(matches!(told.try_recv().unwrap(), Err(SendError::Temporary(_))), "nobody is left without an answer");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_stops_in_the_middle() {
    let mut outgoing = Outgoing::new(Instant::now());
    let mut long = queue(&mut outgoing, "gone", &"word ".repeat(600));
    assert!(outgoing.next(Instant::now()).is_some());
    outgoing.refused("gone", "No such nick");
    assert!(matches!(long.try_recv().unwrap(), Err(SendError::Unreachable(_))));
    assert!(leave(&mut outgoing).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_names_what_it_answers_where_the_network_has_tags() {
    let mut outgoing = Outgoing::new(Instant::now());
    let (answer, _told) = say("#marsh", "yes", Some("m;1"));
    outgoing.say(answer, 40, true, Casemapping::Rfc1459);
    assert_eq!(outgoing.next(Instant::now()).as_deref(), Some(r"@+draft/reply=m\:1 PRIVMSG #marsh :yes"));
}

#[tokio::test(start_paused = true)]
async fn what_would_be_another_command_is_refused() {
    let mut outgoing = Outgoing::new(Instant::now());
    for target in ["", "a b", "#a,#b", "x\r\nQUIT", ":x"] {
        let mut told = queue(&mut outgoing, target, "text");
        assert!(matches!(told.try_recv().unwrap(), Err(SendError::Rejected(_))), "{target:?}");
    }
    let mut empty = queue(&mut outgoing, "#marsh", " \n ");
    assert!(matches!(empty.try_recv().unwrap(), Err(SendError::Rejected(_))));
    let _told = queue(&mut outgoing, "#marsh", "one\r\nQUIT :two");
    let left = leave(&mut outgoing).await;
    assert_eq!(left[1].1, "PRIVMSG #marsh :QUIT :two");
}

proptest! {
    #[test]
    fn no_part_is_too_long_and_no_word_is_lost(text in "([a-zé漢🐦]{1,70} ?){0,40}", room in 41_usize..450) {
        let parts = split(&text, room);
        prop_assert!(parts.iter().all(|part| part.len() <= room && !part.is_empty()));
        let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        prop_assert_eq!(letters(&parts.concat()), letters(&text));
    }
}
