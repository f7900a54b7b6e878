//! The sample requests in `events/`, as the channels' documentation describes them, are read as what they are.

use channels::{discord, slack, webhook, whatsapp};
use domain::{AttachmentKind, ChatKind, Timestamp};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_200);
const ME: slack::Me<'_> = slack::Me { user: "U0BOT00000", team: "T123ABC456" };
const NUMBER: &str = "106540352242922";

fn sample(name: &str) -> Vec<u8> {
    let path = format!("{}/../../events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn slack_message(name: &str) -> channels::Received {
    match slack::parse(&sample(name), ME, NOW) {
        Ok(slack::Event::Message(received)) => *received,
        other => panic!("{other:?}"),
    }
}

#[test]
fn slacks_events() {
    let direct = slack_message("slack/message");
    assert_eq!(direct.channel_message_id, "D123ABC456:1700000000.000200");
    assert_eq!(direct.text, "Can you read this (https://example.com/notes) & sum it up?");
    assert!(direct.mentioned && direct.address.kind == ChatKind::Direct);
    assert_eq!(direct.sent_at, Timestamp::from_secs(1_700_000_000));

    let mention = slack_message("slack/mention-in-thread-with-file");
    assert_eq!(mention.text, "what is in #general's report?");
    assert_eq!(mention.address.thread.as_deref(), Some("1700000000.000200"));
    let [file] = mention.attachments.as_slice() else { panic!("{mention:?}") };
    assert_eq!(
        (file.kind, file.name.as_deref(), file.size),
        (AttachmentKind::Document, Some("report.pdf"), Some(52_341))
    );
    assert!(file.reference.ends_with("/download/report.pdf"));

    let challenge = slack::parse(&sample("slack/url-verification"), ME, NOW);
    assert!(matches!(challenge, Ok(slack::Event::Challenge(text)) if text.starts_with("3eZbrw1a")));
    let payload = String::from_utf8(sample("slack/button")).unwrap();
    let Ok(slack::Event::Message(press)) = slack::parse_interaction(&payload, ME, NOW) else { panic!("no press") };
    assert_eq!((press.text.as_str(), press.sender.username.as_deref()), ("/approve K7Q2 once", Some("ada")));
}

#[test]
fn a_text_of_slack_may_hold_anything_between_its_angle_brackets() {
    for (written, read) in [
        ("a < b", "a < b"),
        ("<!here> and <!subteam^S1|@ops>", "@here and @ops"),
        ("<@U2|ada> in <#C1>", "@ada in #C1"),
        ("<mailto:a@b.example|a@b.example>", "a@b.example (mailto:a@b.example)"),
        ("&lt;b&gt; &amp;amp;", "<b> &amp;"),
        ("<>", ""),
        ("<!>", "@"),
    ] {
        let body = serde_json::json!({ "type": "event_callback", "team_id": "T123ABC456", "event": {
            "type": "message", "channel": "D1", "channel_type": "im", "user": "U5", "text": written, "ts": "1.2",
        } });
        let Ok(slack::Event::Message(message)) = slack::parse(body.to_string().as_bytes(), ME, NOW) else {
            panic!("{written}")
        };
        assert_eq!(message.text, read);
    }
}

#[test]
fn discords_interactions() {
    let parse = |name: &str| discord::parse_interaction(&sample(name), "845027738276462632", NOW).unwrap();
    assert_eq!(parse("discord/ping"), discord::Interaction::Ping);
    let discord::Interaction::Command(command) = parse("discord/command") else { panic!("no command") };
    assert_eq!((command.text.as_str(), command.address.kind), ("/model openai/gpt-5.1", ChatKind::Room));
    assert_eq!(command.sender.name.as_deref(), Some("Countess"));
    let token = discord::interaction_of(&command.address);
    assert_eq!(token, Some("aW50ZXJhY3Rpb246ODQ2NDYyNjM5MTM0NjA1MzEyOnNhbXBsZQ"));
    let discord::Interaction::Press(press) = parse("discord/button") else { panic!("no press") };
    assert_eq!((press.text.as_str(), press.address.kind), ("/approve K7Q2 deny", ChatKind::Direct));
    assert_eq!(discord::interaction_of(&press.address), None);
}

#[test]
fn a_token_that_would_leave_its_path_is_not_kept() {
    let body = String::from_utf8(sample("discord/command")).unwrap();
    let body = body.replace("aW50ZXJhY3Rpb246ODQ2NDYyNjM5MTM0NjA1MzEyOnNhbXBsZQ", "../../users/@me");
    let read = discord::parse_interaction(body.as_bytes(), "845027738276462632", NOW).unwrap();
    let discord::Interaction::Command(command) = read else { panic!("no command") };
    assert_eq!(command.address.reply_to, None);
}

#[test]
fn metas_webhooks() {
    let parse = |name: &str| whatsapp::parse(&sample(name), NUMBER).unwrap();
    let [whatsapp::Event::Message(text)] = &parse("whatsapp/text")[..] else { panic!("no message") };
    assert_eq!((text.text.as_str(), text.sender.name.as_deref()), ("Does it come in another color?", Some("Ada")));
    let events = parse("whatsapp/voice-and-location");
    let kinds: Vec<AttachmentKind> = events
        .iter()
        .map(|event| match event {
            whatsapp::Event::Message(message) => message.attachments[0].kind,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, [AttachmentKind::Voice, AttachmentKind::Location]);
    let [whatsapp::Event::Failed { recipient, reason, .. }] = &parse("whatsapp/failed")[..] else {
        panic!("no failure")
    };
    assert!(recipient == "4915550001" && reason.contains("code 131047 (Message failed to send"), "{reason}");
    let elsewhere = whatsapp::parse(&sample("whatsapp/text"), "1").unwrap();
    assert!(matches!(elsewhere[..], [whatsapp::Event::Ignored(_)]));
}

#[test]
fn the_generic_webhooks_message() {
    let message = webhook::parse(&sample("webhook/message"), "msg_1", NOW).unwrap();
    assert_eq!((message.address.chat.as_str(), message.sender.id.as_str()), ("alerts", "monitor"));
}
