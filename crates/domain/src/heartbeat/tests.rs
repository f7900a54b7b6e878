use super::*;

fn at(text: &str) -> Timestamp {
    let millis = DateTime::parse_from_rfc3339(text).expect("a date").timestamp_millis();
    Timestamp::from_millis(millis.try_into().expect("after 1970"))
}

fn each_half_hour() -> HeartbeatSettings {
    HeartbeatSettings { every_minutes: Some(30), ..HeartbeatSettings::default() }
}

fn facts<'a>() -> Facts<'a> {
    Facts {
        now: at("2026-11-23T12:00:00Z"),
        zone: "UTC",
        note: Some("- water the plants"),
        last_run: None,
        last_news: None,
        has_budget: true,
        is_turn_under_way: false,
    }
}

#[test]
fn a_bot_has_no_heartbeats_unless_it_is_asked_for() {
    assert_eq!(HeartbeatSettings::default().job(), None);
    assert_eq!(heartbeat_gate(&HeartbeatSettings::default(), &facts()), Gate::Skip(SkipReason::Off));
}

#[test]
fn the_model_is_asked_only_if_there_can_be_something_to_do() {
    let settings = each_half_hour();
    let gate = |facts: Facts<'_>| heartbeat_gate(&settings, &facts);
    assert_eq!(gate(facts()), Gate::Run);
    assert_eq!(gate(Facts { note: None, ..facts() }), Gate::Skip(SkipReason::NothingToDo));
    assert_eq!(gate(Facts { note: Some("# Heartbeat\n\n- [ ]\n"), ..facts() }), Gate::Skip(SkipReason::NothingToDo));
    assert_eq!(gate(Facts { is_turn_under_way: true, ..facts() }), Gate::Skip(SkipReason::TurnUnderWay));
    assert_eq!(gate(Facts { has_budget: false, ..facts() }), Gate::Skip(SkipReason::NoBudget));
}

#[test]
fn a_bot_that_waits_for_news_does_not_look_twice_at_the_same() {
    let settings = HeartbeatSettings { only_on_news: true, ..each_half_hour() };
    let gate = |run: Option<&str>, news: Option<&str>| {
        heartbeat_gate(&settings, &Facts { last_run: run.map(at), last_news: news.map(at), ..facts() })
    };
    let (earlier, later) = (Some("2026-11-23T10:00:00Z"), Some("2026-11-23T11:00:00Z"));
    assert_eq!(gate(None, None), Gate::Run);
    assert_eq!(gate(earlier, None), Gate::Skip(SkipReason::NothingNew));
    assert_eq!(gate(later, earlier), Gate::Skip(SkipReason::NothingNew));
    assert_eq!(gate(earlier, later), Gate::Run);
}

#[test]
fn active_hours_are_the_bots_and_may_go_over_midnight() {
    let hours = |start: &str, end: &str| HeartbeatSettings {
        active_hours: Some(ActiveHours { start: start.into(), end: end.into() }),
        ..each_half_hour()
    };
    let runs = |settings: &HeartbeatSettings, now: &str, zone| {
        heartbeat_gate(settings, &Facts { now: at(now), zone, ..facts() }) == Gate::Run
    };
    let day = hours("08:00", "22:30");
    assert!(!runs(&day, "2026-11-23T07:59:59Z", "UTC") && runs(&day, "2026-11-23T08:00:00Z", "UTC"));
    assert!(runs(&day, "2026-11-23T22:29:00Z", "UTC") && !runs(&day, "2026-11-23T22:30:00Z", "UTC"));
    assert!(runs(&day, "2026-11-23T07:30:00Z", "Europe/Berlin") && !runs(&day, "2026-11-23T14:00:00Z", "Asia/Tokyo"));
    let night = hours("22:00", "06:00");
    assert!(runs(&night, "2026-11-23T23:00:00Z", "UTC") && runs(&night, "2026-11-23T05:59:00Z", "UTC"));
    assert!(!runs(&night, "2026-11-23T12:00:00Z", "UTC"));
    assert!(runs(&hours("00:00", "24:00"), "2026-11-23T23:59:00Z", "UTC"));
    for bad in [hours("8", "22:00"), hours("08:00", "08:00"), hours("24:00", "08:00"), hours("08:00", "25:00")] {
        assert_eq!(bad.check(), Err(BadHeartbeat::ActiveHours), "{bad:?}");
    }
}

#[test]
fn settings_are_checked_and_become_a_job() {
    assert_eq!(each_half_hour().check(), Ok(()));
    for minutes in [0, 10_081] {
        let settings = HeartbeatSettings { every_minutes: Some(minutes), ..HeartbeatSettings::default() };
        assert_eq!(settings.check(), Err(BadHeartbeat::Interval));
    }
    let bot = BotId::from_parts(at("2026-11-23T12:00:00Z"), 7);
    assert_eq!(JobId::heartbeat_of(bot).to_string()[4..], bot.to_string()[4..]);
    assert_eq!(serde_json::to_string(&HeartbeatSettings::default()).expect("JSON"), "{}");
}

#[test]
fn a_note_with_nothing_in_it_is_empty() {
    for empty in [
        "",
        "\n \n",
        "# Heartbeat",
        "#\n## Tasks\n",
        "- [ ]\n* [x]\n-\n+ \n",
        "---\n",
        "<!-- Keep this file empty to skip heartbeats.\nAdd tasks below. -->\n# Tasks",
        "# a <!-- never closed\n- water the plants",
        "```\n```",
    ] {
        assert!(is_empty_note(empty), "{empty:?}");
    }
    for note in
        ["#todo", "- [ ] water the plants", "x", "# Tasks\n\nCheck the mail.", "<!-- a --> check <!-- b -->", "- - x"]
    {
        assert!(!is_empty_note(note), "{note:?}");
    }
}

#[test]
fn silent_replies_are_known_and_talk_about_them_is_not() {
    for silent in [
        "NO_REPLY",
        " NO_REPLY\n",
        "**NO_REPLY**",
        "`HEARTBEAT_OK`",
        "HEARTBEAT_OK.",
        "<b>HEARTBEAT_OK</b>",
        "NO_REPLY!!!",
    ] {
        assert!(is_silent_reply(silent), "{silent:?}");
        assert_eq!(heartbeat_reply(silent), None, "{silent:?}");
    }
    for said in ["", "no reply", "I will say NO_REPLY.", "Done.\n\nNO_REPLY", "NO_REPLY_X", "HEARTBEAT_OK all is well"]
    {
        assert!(!is_silent_reply(said), "{said:?}");
    }
}

#[test]
fn an_acknowledgement_is_not_sent_and_a_message_is() {
    assert_eq!(heartbeat_reply("HEARTBEAT_OK all is well"), None);
    assert_eq!(heartbeat_reply("All is well. **HEARTBEAT_OK**"), None);
    assert_eq!(heartbeat_reply(""), None);
    let long = "The plants are dry. ".repeat(20);
    assert_eq!(heartbeat_reply(&format!("HEARTBEAT_OK {long}")).as_deref(), Some(long.trim()));
    assert_eq!(heartbeat_reply("The plants are dry.").as_deref(), Some("The plants are dry."));
    assert_eq!(heartbeat_reply("The plants are dry.\n\nNO_REPLY").as_deref(), Some("The plants are dry."));
    assert_eq!(heartbeat_reply("**Water** the plants!").as_deref(), Some("**Water** the plants!"));
}
