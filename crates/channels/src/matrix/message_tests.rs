use serde_json::json;

use super::*;

fn me() -> Identity {
    Identity { user_id: "@heron:example.org".to_owned(), display_name: Some("Grey Heron".to_owned()), device_id: None }
}

fn event(content: Value) -> Event {
    Event {
        kind: "m.room.message".to_owned(),
        event_id: "$event".to_owned(),
        sender: "@ada:example.org".to_owned(),
        origin_server_ts: json!(1_795_000_000_000_u64),
        content,
        ..Event::default()
    }
}

fn text(body: &str) -> Event {
    event(json!({ "msgtype": "m.text", "body": body }))
}

fn read_in(event: &Event, is_direct: bool, answered: Option<&Event>) -> Option<Received> {
    let place = Place { room: "!marsh:example.org", is_direct, sender_name: Some("Ada".to_owned()), answered };
    read(event, place, &me())
}

#[test]
fn only_what_people_say_is_a_message() {
    let kind_of = |event: &Event| kind(event, &me());
    assert_eq!(kind_of(&text("hello")), Kind::Message);
    assert_eq!(kind_of(&Event { sender: me().user_id, ..text("my own") }), Kind::Ignored);
    assert_eq!(kind_of(&event(json!({ "msgtype": "m.notice", "body": "I am a bot" }))), Kind::Ignored);
    assert_eq!(kind_of(&event(json!({}))), Kind::Ignored, "taken back");
    let edit =
        json!({ "msgtype": "m.text", "body": "* x", "m.relates_to": { "rel_type": "m.replace", "event_id": "$1" } });
    assert_eq!(kind_of(&event(edit)), Kind::Ignored);
    assert_eq!(kind_of(&Event { kind: "m.room.encrypted".to_owned(), ..event(json!({})) }), Kind::Encrypted);
    assert_eq!(kind_of(&Event { kind: "m.reaction".to_owned(), ..event(json!({})) }), Kind::Ignored);
}

#[test]
fn in_a_room_the_bot_is_meant_by_mention_name_or_command() {
    let mentioned = |event: &Event| read_in(event, false, None).unwrap().mentioned;
    for (body, expected) in [
        ("what about it, grey heron?", true),
        ("@heron:example.org hello", true),
        ("heron, hello", true),
        ("herons are birds", false),
        ("@heron:example.orgs", false),
        ("nothing", false),
        ("/status", true),
        ("/status@other", false),
    ] {
        assert_eq!(mentioned(&text(body)), expected, "{body}");
    }
    let pill = json!({ "msgtype": "m.text", "body": "look", "m.mentions": { "user_ids": ["@heron:example.org"] } });
    assert!(mentioned(&event(pill)));
    let other = json!({ "msgtype": "m.text", "body": "look", "m.mentions": { "user_ids": ["@ada:example.org"] } });
    assert!(!mentioned(&event(other)));

    let command = read_in(&text("Grey Heron: /status now"), false, None).unwrap();
    assert_eq!((command.text.as_str(), command.mentioned), ("/status now", true));
    assert_eq!(command.address.reply_to.as_deref(), Some("$event"));
    assert_eq!(command.sender.username.as_deref(), Some("ada:example.org"), "@ada is somebody else elsewhere");
    let direct = read_in(&text("nothing"), true, None).unwrap();
    assert_eq!((direct.mentioned, direct.address.reply_to, direct.address.kind), (true, None, ChatKind::Direct));
}

#[test]
fn an_answer_has_its_quotation_apart_and_one_to_the_bot_is_meant_for_it() {
    let body = "> <@heron:example.org> I think\n> so\n\nwhy?";
    let content =
        json!({ "msgtype": "m.text", "body": body, "m.relates_to": { "m.in_reply_to": { "event_id": "$1" } } });
    let own = Event { sender: me().user_id, event_id: "$1".to_owned(), ..text("I think\nso") };
    let received = read_in(&event(content.clone()), false, Some(&own)).unwrap();
    assert_eq!((received.text.as_str(), received.mentioned), ("why?", true));
    let quote = received.quote.unwrap();
    assert_eq!(
        (quote.message.as_str(), quote.author.as_deref(), quote.text.as_str()),
        ("$1", Some("heron"), "I think\nso")
    );

    let others = Event { sender: "@bo:example.org".to_owned(), ..text("I think so") };
    assert!(!read_in(&event(content), false, Some(&others)).unwrap().mentioned);
    assert_eq!(without_quotation("> a plain quotation\nstays"), "> a plain quotation\nstays");
}

#[test]
fn a_thread_is_a_place_and_its_fallback_is_no_answer() {
    let relates = json!({
        "rel_type": "m.thread", "event_id": "$root", "is_falling_back": true, "m.in_reply_to": { "event_id": "$last" },
    });
    let received = read_in(&event(json!({ "msgtype": "m.text", "body": "hi", "m.relates_to": relates })), true, None);
    let received = received.unwrap();
    assert_eq!((received.address.thread.as_deref(), received.quote), (Some("$root"), None));
}

#[test]
fn files_are_attachments_and_their_captions_are_text() {
    let file = |more: Value| {
        let mut content =
            json!({ "body": "cat.png", "url": "mxc://example.org/1", "info": { "mimetype": "image/png", "size": 9 } });
        content.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        read_in(&event(content), true, None).unwrap()
    };
    let plain = file(json!({ "msgtype": "m.image" }));
    assert_eq!(plain.text, "", "a file's name is not what was said");
    let attachment = &plain.attachments[0];
    assert_eq!((attachment.kind, attachment.reference.as_str()), (AttachmentKind::Image, "mxc://example.org/1"));
    assert_eq!((attachment.name.as_deref(), attachment.size), (Some("cat.png"), Some(9)));
    let caption = file(json!({ "msgtype": "m.image", "filename": "cat.png", "body": "my cat" }));
    assert_eq!((caption.text.as_str(), caption.attachments[0].name.as_deref()), ("my cat", Some("cat.png")));
    let voice = file(json!({ "msgtype": "m.audio", "org.matrix.msc3245.voice": {} }));
    assert_eq!(voice.attachments[0].kind, AttachmentKind::Voice);
    let place = file(json!({ "msgtype": "m.location", "geo_uri": "geo:52.5,13.4" }));
    assert_eq!(place.attachments[0].reference, "52.5,13.4");

    let elsewhere = event(json!({ "msgtype": "m.file", "body": "x", "url": "http://169.254.169.254/" }));
    assert!(read_in(&elsewhere, true, None).is_none_or(|received| received.attachments.is_empty()));
}

#[test]
fn content_of_any_shape_is_survived() {
    for content in [
        json!([]),
        json!({ "msgtype": 7 }),
        json!({ "msgtype": "m.text", "body": ["x"] }),
        json!({ "msgtype": "m.text", "body": "" }),
        json!({ "msgtype": "m.image", "body": {}, "url": 3 }),
        json!({ "msgtype": "m.emote", "body": "   " }),
    ] {
        assert!(read_in(&event(content.clone()), true, None).is_none(), "{content}");
    }
    let odd = json!({ "msgtype": "m.text", "body": "é", "m.relates_to": [], "m.mentions": { "user_ids": "x" } });
    assert_eq!(read_in(&event(odd), true, None).unwrap().text, "é");
}
