use super::*;

fn settings() -> Settings {
    Settings {
        server: "irc.example".to_owned(),
        port: 6697,
        tls: true,
        nick: "heron".to_owned(),
        username: "lowtide".to_owned(),
        realname: "a bot".to_owned(),
        channels: vec!["#marsh".to_owned(), "#reed key".to_owned()],
    }
}

fn sasl() -> Credentials {
    Credentials { sasl: Some(("heron".to_owned(), "se cret".to_owned())), ..Credentials::default() }
}

/// What is said to each of the server's lines, until the registration is over.
fn talk(credentials: &Credentials, lines: &[&str]) -> Result<(Vec<String>, Option<Registered>), Ended> {
    let settings = settings();
    let (mut registration, _) = Registration::open(&settings, credentials)?;
    let mut said = Vec::new();
    for line in lines {
        match registration.on(&Message::parse(line).unwrap())? {
            Step::Say(lines) => said.extend(lines),
            Step::Done(registered) => return Ok((said, Some(registered))),
        }
    }
    Ok((said, None))
}

#[test]
fn a_registration_asks_for_what_is_offered_and_logs_in() {
    let (said, registered) = talk(
        &sasl(),
        &[
            ":irc.example CAP * LS * :multi-prefix echo-message server-time",
            ":irc.example CAP * LS :sasl=EXTERNAL,PLAIN message-tags",
            ":irc.example CAP heron ACK :server-time message-tags sasl",
            "AUTHENTICATE +",
            ":irc.example 900 heron heron!l@h heron :You are now logged in as heron",
            ":irc.example 903 heron :SASL authentication successful",
            "PING :cookie",
            ":irc.example 001 heron :Welcome",
        ],
    )
    .unwrap();
    assert_eq!(
        said,
        [
            "CAP REQ :server-time message-tags sasl",
            "AUTHENTICATE PLAIN",
            "AUTHENTICATE AGhlcm9uAHNlIGNyZXQ=",
            "CAP END",
            "PONG :cookie"
        ]
    );
    let registered = registered.unwrap();
    assert_eq!((registered.nick.as_str(), registered.has_tags), ("heron", true));
}

#[test]
fn a_long_login_is_split_and_a_full_last_part_is_followed_by_an_empty_one() {
    let lines = ["CAP * LS :sasl", "CAP * ACK :sasl", "AUTHENTICATE +"];
    let login = |password: usize| {
        let credentials =
            Credentials { sasl: Some(("heron".to_owned(), "x".repeat(password))), ..Credentials::default() };
        talk(&credentials, &lines).unwrap().0[2..].iter().map(|line| line.len() - 13).collect::<Vec<_>>()
    };
    assert_eq!(login(293), [400, 1], "\\0heron\\0 and 293 bytes are 300, which are 400 in base64");
    assert_eq!(login(296), [400, 4]);
}

#[test]
fn wrong_passwords_and_bans_end_it_for_good() {
    for (line, said) in [
        (":s 904 heron :SASL authentication failed", "SASL login failed"),
        (":s 464 heron :Password incorrect", "Password incorrect"),
        (":s 465 heron :You are banned", "You are banned"),
        ("ERROR :Access denied: Bad password?", "Bad password"),
    ] {
        match talk(&sasl(), &[line]).unwrap_err() {
            Ended::Unauthorised(why) => assert!(why.contains(said), "{why}"),
            other => panic!("{line} gives {other:?}"),
        }
    }
    let error = talk(&sasl(), &[":s ERROR :Closing link"]).unwrap_err();
    assert_eq!(error, Ended::Lost("the server says: Closing link".to_owned()));
}

#[test]
fn a_network_without_sasl_is_told_before_a_password_is_sent() {
    for offer in ["CAP * LS :server-time", "CAP * LS :sasl=EXTERNAL"] {
        assert!(
            matches!(talk(&sasl(), &[offer]), Err(Ended::Misconfigured(why)) if why.contains("NickServ")),
            "{offer}"
        );
    }
    let (said, _) = talk(&Credentials::default(), &["CAP * LS :sasl", ":s 421 * CAP :Unknown command"]).unwrap();
    assert_eq!(said, ["CAP END"]);
}

#[test]
fn a_taken_nick_gets_an_underscore_and_one_that_cannot_be_is_told() {
    let taken = ":s 433 * heron :Nickname is already in use";
    let (said, _) = talk(&Credentials::default(), &[taken, taken]).unwrap();
    assert_eq!(said, ["NICK heron_", "NICK heron__"]);

    let too_long = ":s 432 * heron_ :Nickname too long, max. 5 characters";
    let (said, _) = talk(&Credentials::default(), &[taken, too_long, taken]).unwrap();
    assert_eq!(said, ["NICK heron_", "NICK hero_", "NICK hero__"]);

    let erroneous = talk(&Credentials::default(), &[":s 432 * heron :Erroneous nickname"]).unwrap_err();
    assert!(matches!(erroneous, Ended::Misconfigured(why) if why.contains("choose another one")));
}

#[test]
fn settings_that_would_be_other_commands_are_refused() {
    let base = settings();
    for bad in [
        Settings { nick: "heron\r\nQUIT".to_owned(), ..base.clone() },
        Settings { nick: "a b".to_owned(), ..base.clone() },
        Settings { channels: vec!["marsh".to_owned()], ..base.clone() },
        Settings { channels: vec!["#a,#b".to_owned()], ..base.clone() },
        Settings { realname: "x\nJOIN #y".to_owned(), ..base.clone() },
        Settings { server: String::new(), ..base.clone() },
    ] {
        assert!(matches!(bad.check(), Err(Ended::Misconfigured(_))), "{bad:?}");
    }
    assert_eq!(base.check(), Ok(()));
    let credentials = Credentials { server_password: Some("a\r\nQUIT".to_owned()), ..Credentials::default() };
    assert!(Registration::open(&base, &credentials).is_err());
}
