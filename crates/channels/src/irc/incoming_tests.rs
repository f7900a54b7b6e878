use super::*;

fn me() -> Myself {
    Myself { nick: "Heron".to_owned(), casemapping: Casemapping::Rfc1459, channel_types: "#&".to_owned() }
}

const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

fn read_line(line: &str) -> Incoming {
    read(&Message::parse(line).unwrap(), &me(), &mut Ids::default(), NOW)
}

fn received(line: &str) -> Received {
    match read_line(line) {
        Incoming::Message(received) => *received,
        other => panic!("{line} is {other:?}"),
    }
}

#[test]
fn a_query_is_direct_and_a_channel_is_a_group() {
    let query = received(":Ada[x]!~a@host.example PRIVMSG heron :good \u{2}morning\u{2} \u{3}04,12red");
    assert_eq!(query.text, "good morning red");
    assert_eq!((query.address.kind, query.address.chat.as_str(), query.mentioned), (ChatKind::Direct, "ada{x}", true));
    assert_eq!(query.sender.id, "ada{x}!~a@host.example", "a nick proves nothing");
    assert_eq!(query.sender.name.as_deref(), Some("Ada[x]"));
    assert_eq!(query.sent_at, NOW);

    let line = "@account=Ada;msgid=m1;time=2026-11-18T15:06:40.500Z :ada!~a@h PRIVMSG #Marsh :nice weather";
    let group = received(line);
    assert_eq!((group.address.kind, group.address.chat.as_str(), group.mentioned), (ChatKind::Group, "#marsh", false));
    assert_eq!((group.sender.id.as_str(), group.channel_message_id.as_str()), ("ada", "m1"));
    assert_eq!(group.address.reply_to.as_deref(), Some("m1"));
    assert_eq!(group.sent_at, Timestamp::from_millis(1_795_014_400_500).min(NOW), "no message comes from the future");
}

#[test]
fn the_bot_is_meant_by_its_nick() {
    let said = |text: &str| received(&format!(":ada!a@h PRIVMSG #marsh :{text}"));
    for (text, mentioned, left) in [
        ("heron: /status", true, "/status"),
        ("Heron, hello", true, "hello"),
        ("what do you think, heron?", true, "what do you think, heron?"),
        ("herons: are birds", false, "herons: are birds"),
        ("heron_ is another", false, "heron_ is another"),
        ("ada: heron: x", true, "ada: heron: x"),
        ("/status", true, "/status"),
        ("/status@heron", true, "/status@heron"),
        ("/status@other", false, "/status@other"),
    ] {
        let received = said(text);
        assert_eq!((received.mentioned, received.text.as_str()), (mentioned, left), "{text}");
    }
}

#[test]
fn what_is_not_a_persons_message_is_not_answered() {
    for line in [
        ":irc.example PRIVMSG heron :from a server",
        ":*status!znc@znc.in PRIVMSG heron :from a bouncer",
        ":heron!h@h PRIVMSG #marsh :its own",
        "@bot :other!b@h PRIVMSG #marsh :heron: I am a bot",
        ":ada!a@h PRIVMSG @#marsh :to operators",
        ":ada!a@h PRIVMSG #marsh :  ",
        ":ada!a@h PRIVMSG #marsh :\u{1}VERSION\u{1}",
    ] {
        assert_eq!(read_line(line), Incoming::Ignored, "{line}");
    }
    assert_eq!(received(":ada!a@h PRIVMSG #marsh :\u{1}ACTION waves at heron\u{1}").text, "* ada waves at heron");
    let version = Incoming::Ctcp { nick: "ada".to_owned(), request: "VERSION".to_owned(), argument: String::new() };
    assert_eq!(read_line(":ada!a@h PRIVMSG heron :\u{1}version\u{1}"), version);
}

#[test]
fn a_repeated_message_is_told_from_the_same_words_again() {
    let line = Message::parse("@time=2026-11-18T15:06:40.500Z :ada!a@h PRIVMSG heron :ping").unwrap();
    let mut ids = Ids::default();
    let mut id = || match read(&line, &me(), &mut ids, NOW) {
        Incoming::Message(received) => received.channel_message_id,
        other => panic!("{other:?}"),
    };
    let (first, second) = (id(), id());
    assert_ne!(first, second, "said twice within a millisecond");
    let mut after_restart = Ids::default();
    let Incoming::Message(again) = read(&line, &me(), &mut after_restart, NOW) else { panic!("it is a message") };
    assert_eq!(again.channel_message_id, first, "a bouncer plays it again");
}
