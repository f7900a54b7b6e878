use channels::Received;
use channels::telegram::{Update, parse_update, reaction_to, webhook_reply};
use domain::{AttachmentKind, ChatKind, Timestamp};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_secs(1_795_341_700);
const HANDLE: Option<&str> = Some("tidy_example_bot");

fn sample(name: &str) -> Update {
    let path = format!("{}/../../events/telegram/{name}.json", env!("CARGO_MANIFEST_DIR"));
    parse_update(&std::fs::read(path).unwrap(), HANDLE, NOW).unwrap()
}

fn sample_message(name: &str) -> Received {
    message(sample(name))
}

fn message(update: Update) -> Received {
    match update {
        Update::Message(message) => *message,
        Update::Ignored(reason) => panic!("ignored: {reason}"),
    }
}

/// An update with a message from Ada in a group; `fields` are added to the message or replace its own.
fn group(fields: Value) -> Update {
    let mut message = json!({
        "message_id": 7,
        "from": { "id": 5, "is_bot": false, "first_name": "Ada", "last_name": "L." },
        "chat": { "id": -100, "type": "group" },
        "date": 1_795_341_600,
    });
    for (key, value) in fields.as_object().unwrap() {
        message[key] = value.clone();
    }
    parse_update(json!({ "update_id": 1, "message": message }).to_string().as_bytes(), HANDLE, NOW).unwrap()
}

#[test]
fn a_direct_message() {
    insta::assert_debug_snapshot!(sample_message("text"), @r#"
    Received {
        channel_message_id: "100000001:41",
        address: Address {
            kind: Direct,
            chat: "100000001",
            thread: None,
            reply_to: None,
        },
        sender: Sender {
            id: "100000001",
            name: Some(
                "Ada",
            ),
            username: Some(
                "ada_example",
            ),
        },
        text: "Good morning! 🌊 When is low tide at Mont-Saint-Michel today? 🕰\u{fe0f}",
        attachments: [],
        quote: None,
        album: None,
        mentioned: true,
        sent_at: Timestamp(
            1795341600000,
        ),
    }
    "#);
}

#[test]
fn a_mention_in_a_group_is_answered_by_a_reply() {
    let message = sample_message("group-mention");
    assert_eq!(message.address.kind, ChatKind::Group);
    assert_eq!(message.address.reply_to.as_deref(), Some("512"));
    assert_eq!(message.channel_message_id, "-1002000000001:512");
    assert!(message.mentioned);
}

#[test]
fn a_topic_is_a_thread_and_its_opening_is_no_quote() {
    let message = sample_message("topic-thread");
    assert_eq!(message.address.thread.as_deref(), Some("17"));
    assert_eq!(message.quote, None);
    assert!(message.mentioned, "the offset of the mention counts an emoji as two units");
}

#[test]
fn a_reply_quotes_what_it_answers() {
    insta::assert_debug_snapshot!(sample_message("reply").quote, @r#"
    Some(
        Quote {
            message: "44",
            author: Some(
                "Tidy",
            ),
            text: "Low tide is at 14:12. 🏖\u{fe0f}",
        },
    )
    "#);
    let chosen = message(group(json!({
        "text": "this one",
        "quote": { "text": "14:12" },
        "reply_to_message": {
            "message_id": 6, "chat": { "id": -100, "type": "group" }, "date": 1,
            "from": { "id": 9, "first_name": "Tidy", "is_bot": true, "username": "Tidy_Example_Bot" },
            "text": "at 14:12",
        },
    })));
    assert!(chosen.mentioned, "a reply to the bot is for the bot");
    assert_eq!(chosen.quote.unwrap().text, "14:12");
}

#[test]
fn a_long_quote_is_shortened_by_characters() {
    let message = message(group(json!({
        "text": "why?",
        "reply_to_message": {
            "message_id": 6, "chat": { "id": -100, "type": "group" }, "date": 1, "caption": "🌊".repeat(600),
        },
    })));
    let quote = message.quote.unwrap();
    assert_eq!(quote.text, "🌊".repeat(500));
    assert_eq!(quote.author, None);
    assert!(!message.mentioned);
}

#[test]
fn files_are_kept_by_reference() {
    let photo = sample_message("caption-photo");
    assert_eq!(photo.text, "What bird is this? 🐦");
    insta::assert_debug_snapshot!(photo.attachments, @r#"
    [
        Attachment {
            kind: Image,
            reference: "AgACAgIAAxkBAAIBphotoL",
            name: None,
            mime: Some(
                "image/jpeg",
            ),
            size: Some(
                164310,
            ),
            media: None,
            text: None,
        },
    ]
    "#);
    insta::assert_debug_snapshot!(sample_message("document").attachments, @r#"
    [
        Attachment {
            kind: Document,
            reference: "BQACAgIAAxkBAAIBdocument",
            name: Some(
                "tide-table-2026.pdf",
            ),
            mime: Some(
                "application/pdf",
            ),
            size: Some(
                48213,
            ),
            media: None,
            text: None,
        },
    ]
    "#);
    insta::assert_debug_snapshot!(sample_message("voice").attachments, @r#"
    [
        Attachment {
            kind: Voice,
            reference: "AwACAgIAAxkBAAIBvoice",
            name: None,
            mime: Some(
                "audio/ogg",
            ),
            size: Some(
                27844,
            ),
            media: None,
            text: None,
        },
    ]
    "#);
}

#[test]
fn what_has_no_file_is_kept_as_text() {
    let place = message(group(json!({ "location": { "latitude": 48.6361, "longitude": -1.5115 } })));
    assert_eq!(place.attachments[0].reference, "48.6361,-1.5115");
    let contact = message(group(json!({ "contact": { "phone_number": "+33 1", "first_name": "Sam" } })));
    assert_eq!(contact.attachments[0].name.as_deref(), Some("Sam"));
    let sticker = message(group(json!({ "sticker": { "file_id": "s", "emoji": "👍" } })));
    assert_eq!((sticker.text.as_str(), sticker.attachments[0].kind), ("👍", AttachmentKind::Sticker));
    let animation = message(group(json!({ "animation": { "file_id": "a" }, "document": { "file_id": "a" } })));
    assert_eq!(animation.attachments.len(), 1, "Telegram sends an animation twice");
}

#[test]
fn in_a_group_only_what_is_for_the_bot_mentions_it() {
    let mentioned = |fields| message(group(fields)).mentioned;
    let mention = |text: &str, offset: i64, length: i64| {
        mentioned(json!({ "text": text, "entities": [{ "type": "mention", "offset": offset, "length": length }] }))
    };
    assert!(mention("@Tidy_Example_Bot hi", 0, 17), "handles have no case");
    assert!(!mention("@tidy_example_bot2 hi", 0, 18));
    assert!(!mention("🌊@tidy_example_bot", 1, 17), "an offset within a character marks nothing");
    assert!(!mention("hi", i64::MAX, i64::MAX));
    assert!(!mentioned(json!({ "text": "@tidy_example_bot without the mark" })));
    assert!(mentioned(json!({ "text": "/help" })));
    assert!(mentioned(json!({ "text": "/help@tidy_example_bot" })));
    assert!(!mentioned(json!({ "text": "/help@other_bot" })));
    assert!(mentioned(json!({
        "caption": "@tidy_example_bot",
        "caption_entities": [{ "type": "mention", "offset": 0, "length": 17 }],
        "video": { "file_id": "v" },
    })));
    let user = json!({ "id": 9, "first_name": "Tidy", "is_bot": true, "username": "tidy_example_bot" });
    assert!(mentioned(json!({
        "text": "Tidy", "entities": [{ "type": "text_mention", "offset": 0, "length": 4, "user": user }],
    })));
}

#[test]
fn a_command_is_kept_as_it_was_written() {
    assert_eq!(sample_message("start").text, "/start invite-2026");
}

#[test]
fn what_is_not_answered_says_why() {
    let parse = |update: Value| parse_update(update.to_string().as_bytes(), HANDLE, NOW).unwrap();
    let bot = json!({ "id": 9, "first_name": "Other", "is_bot": true });
    let updates = [
        sample("edited"),
        sample("unknown-kind"),
        parse(json!({ "update_id": 1 })),
        parse(json!({ "update_id": 1, "channel_post": {} })),
        parse(json!({ "update_id": 1, "callback_query": { "id": "1", "from": bot } })),
        parse(json!({ "update_id": 1, "my_chat_member": {} })),
        group(json!({ "new_chat_members": [bot] })),
        group(json!({ "dice": { "emoji": "🎲", "value": 3 } })),
        group(json!({ "text": "hi", "from": bot })),
        group(json!({ "text": "hi", "from": null })),
        group(json!({ "text": "hi", "sender_chat": { "id": -100, "type": "group" } })),
        group(json!({ "text": "hi", "chat": { "id": -100, "type": "channel" } })),
        group(json!({ "text": "hi", "chat": { "id": -100, "type": "hologram" } })),
    ];
    let reasons: Vec<&str> = updates
        .into_iter()
        .map(|update| match update {
            Update::Ignored(reason) => reason,
            Update::Message(message) => panic!("answered: {message:?}"),
        })
        .collect();
    insta::assert_snapshot!(reasons.join("\n"), @r#"
    edited messages are not answered
    this kind of update is not answered
    this kind of update is not answered
    channel posts are not answered
    a button without a command is not answered
    changes of membership are not answered
    service messages and kinds without text or file are not answered
    service messages and kinds without text or file are not answered
    bots are not answered
    a message without a sender is not answered
    anonymous admins and channels are not answered: no person to check the access of
    channel posts are not answered
    this kind of chat is not known
    "#);
}

#[test]
fn a_body_that_is_no_update_is_refused_without_repeating_it() {
    let bodies: [&[u8]; 6] = [
        b"",
        b"{\"update_id\": 1, \"message\": {\"text\": \"my secret",
        b"{\"update_id\": \"my secret\"}",
        b"{\"message\": {}}",
        b"my secret",
        b"{\"update_id\": 1, \"message\": {\"text\": \"\xff\"}}",
    ];
    let errors: Vec<String> =
        bodies.iter().map(|body| parse_update(body, HANDLE, NOW).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(errors.join("\n"), @r#"
    the body is not a Telegram update: the JSON ends too early at line 1, column 0
    the body is not a Telegram update: the JSON ends too early at line 1, column 47
    the body is not a Telegram update: a field is missing or not of the type that the Bot API gives it at line 1, column 25
    the body is not a Telegram update: a field is missing or not of the type that the Bot API gives it at line 1, column 14
    the body is not a Telegram update: the JSON is malformed at line 1, column 1
    the body is not a Telegram update: the JSON is malformed at line 1, column 39
    "#);
}

#[test]
fn a_time_that_no_clock_shows_is_no_panic() {
    assert_eq!(message(group(json!({ "text": "hi", "date": -1 }))).sent_at.as_millis(), 0);
    assert_eq!(message(group(json!({ "text": "hi", "date": i64::MAX }))).sent_at.as_millis(), u64::MAX);
}

#[test]
fn a_press_is_a_message_that_says_the_buttons_command() {
    let press = |data: Value, chat: &str| {
        let query = json!({
            "id": "77",
            "from": { "id": 5, "is_bot": false, "first_name": "Ada" },
            "message": { "message_id": 3, "message_thread_id": 9, "is_topic_message": true, "date": 0,
                         "chat": { "id": -100, "type": chat } },
            "data": data,
        });
        let update = json!({ "update_id": 1, "callback_query": query }).to_string();
        parse_update(update.as_bytes(), HANDLE, NOW).unwrap()
    };
    let pressed = message(press(json!("/approve K7Q2 once"), "supergroup"));
    assert_eq!((pressed.channel_message_id.as_str(), pressed.text.as_str()), ("cb:77", "/approve K7Q2 once"));
    assert_eq!((pressed.address.chat.as_str(), pressed.address.thread.as_deref()), ("-100", Some("9")));
    assert!(pressed.mentioned && pressed.sent_at == NOW && pressed.sender.id == "5");
    for (data, chat) in [(json!("hello"), "group"), (Value::Null, "group"), (json!("/stop"), "channel")] {
        assert!(matches!(press(data, chat), Update::Ignored(_)));
    }
}

#[test]
fn a_new_reaction_names_its_message_and_is_no_message_itself() {
    let reaction = |old: Value, new: Value, chat: Value| {
        let reaction = json!({
            "chat": chat, "message_id": 42, "date": 1_795_341_600, "old_reaction": old, "new_reaction": new,
            "user": { "id": 5, "first_name": "Ada" },
        });
        let update = json!({ "update_id": 77, "message_reaction": reaction });
        parse_update(update.to_string().as_bytes(), HANDLE, NOW).unwrap()
    };
    assert_eq!(reaction_to(&sample_message("reaction").channel_message_id), Some("100000001:44"));
    let thumb = json!({ "type": "emoji", "emoji": "👍" });
    let fire = json!({ "type": "emoji", "emoji": "🔥" });
    let own = json!({ "type": "custom_emoji", "custom_emoji_id": "9" });
    let direct = json!({ "id": 5, "type": "private" });
    let Update::Message(received) = reaction(json!([thumb]), json!([thumb, fire, own]), direct.clone()) else {
        panic!("it is told of")
    };
    assert_eq!(received.text, "🔥 an emoji of their own");
    assert_eq!(reaction_to(&received.channel_message_id), Some("5:42"));
    assert_eq!(received.sender.id, "5");
    assert_eq!(webhook_reply(&received.channel_message_id, &received.address), json!({}), "nobody writes an answer");
    assert_eq!(reaction_to("5:42"), None);
    assert!(matches!(reaction(json!([thumb]), json!([]), direct), Update::Ignored(_)), "it is taken back");
    let forum = json!({ "id": -100, "type": "supergroup", "is_forum": true });
    assert!(matches!(reaction(json!([]), json!([fire]), forum), Update::Ignored(_)), "its topic is not known");
}
