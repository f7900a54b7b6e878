use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::message::{Attachment, AttachmentKind, Channel, Quote, Sender};
use crate::{AskedModel, LinkId, MessageId, ResetReason, StoppedBy, ToolResult, TurnId, UserMessage};

fn text() -> impl Strategy<Value = String> + Clone {
    prop_oneof![
        Just(String::new()),
        ".{0,40}",
        proptest::collection::vec(any::<char>(), 0..12).prop_map(String::from_iter),
        Just("lines\r\nand \"quotes\" \u{2028}\0".to_owned()),
    ]
}

/// Arguments as models write them: compact, spaced, broken over lines, malformed, none at all.
fn arguments() -> impl Strategy<Value = String> {
    let object = text().prop_map(|value| json!({ "z": value, "a": [1, {"b": null}] }));
    prop_oneof![
        text(),
        object.clone().prop_map(|object| object.to_string()),
        object.prop_map(|object| format!("{object:#}")),
        prop::sample::select(vec![
            "",
            "{}",
            " {}",
            "{} ",
            "{ }",
            "{\n}",
            "[]",
            "null",
            "{\"a\":1e999,\"a\":2}",
            "{\"a\": \"\\ud800\"}",
            "{\"a\":",
        ])
        .prop_map(str::to_owned),
    ]
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![any::<u64>(), 1_700_000_000_000..2_000_000_000_000u64].prop_map(Timestamp::from_millis)
}

fn user() -> impl Strategy<Value = UserMessage> {
    let sender = (text(), option::of(text()), option::of(text()));
    let sender = sender.prop_map(|(id, name, username)| Sender { id, name, username });
    let attachment = (text(), option::of(text()), option::of(text()), option::of(any::<u64>()));
    let attachment = attachment.prop_map(|(reference, name, mime, size)| {
        let kind = if size.is_some() { AttachmentKind::Voice } else { AttachmentKind::Location };
        Attachment { kind, reference, name, mime, size, media: None, text: None }
    });
    let quote = (text(), option::of(text()), text());
    let quote = quote.prop_map(|(message, author, text)| Quote { message, author, text });
    let channel = prop::sample::select(Channel::ALL.to_vec());
    let attachments = proptest::collection::vec(attachment, 0..3);
    let rest = (attachments, option::of(quote), time(), any::<bool>());
    (text(), channel, sender, text(), rest).prop_map(|(id, channel, sender, text, rest)| {
        let (attachments, quote, sent_at, is_command) = rest;
        let message = MessageId::of(LinkId::from_parts(Timestamp::default(), 1), &id);
        UserMessage {
            message,
            channel,
            sender,
            text,
            is_command,
            attachments,
            quote,
            sent_at,
            received_at: is_command.then_some(sent_at),
        }
    })
}

fn usage_strategy() -> impl Strategy<Value = crate::Usage> {
    any::<(u64, u64, u64, u64)>().prop_map(|(input, output, cached, cache_written)| crate::Usage {
        input,
        output,
        cached,
        cache_written,
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    let call = (text(), text(), arguments()).prop_map(|(id, name, arguments)| ToolCall { id, name, arguments });
    let calls = proptest::collection::vec(call, 0..4);
    let model = prop_oneof![text(), Just("openai/gpt-5/mini".to_owned())];
    (text(), calls, model, usage_strategy(), any::<u64>()).prop_map(|(text, tool_calls, model, usage, cost)| Answer {
        text,
        tool_calls,
        native: None,
        model,
        usage,
        cost,
    })
}

fn body() -> impl Strategy<Value = EntryBody> {
    let outcome = prop::sample::select(vec![ToolOutcome::Ok, ToolOutcome::Error, ToolOutcome::Unknown]);
    let asked = (text(), usage_strategy(), any::<u64>());
    let asked = option::of(asked.prop_map(|(model, usage, cost)| AskedModel { model, usage, cost }));
    let result = (text(), text(), outcome, text(), asked);
    let result = result.prop_map(|(call, name, outcome, text, asked)| {
        EntryBody::ToolResult(ToolResult { call, name, outcome, text, media: vec![], asked })
    });
    let by = prop::sample::select(vec![StoppedBy::Person, StoppedBy::Message]);
    let reason =
        prop::sample::select(vec![ResetReason::New, ResetReason::Reset, ResetReason::Daily, ResetReason::Idle]);
    let compaction = (text(), any::<u64>(), any::<u64>(), text(), (usage_strategy(), any::<u64>()));
    let compaction = compaction.prop_map(|(summary, first_kept, tokens_before, model, (usage, cost))| {
        EntryBody::Compaction { summary, first_kept, tokens_before, model, usage, cost }
    });
    let dropped = (proptest::collection::vec(user(), 0..3), option::of(text()));
    prop_oneof![
        // Boxed: all of them together are too much for a test's stack.
        user().prop_map(EntryBody::User).boxed(),
        user().prop_map(EntryBody::Event).boxed(),
        answer().prop_map(EntryBody::Assistant).boxed(),
        result.boxed(),
        (text(), text(), time()).prop_map(|(text, code, until)| EntryBody::Asked {
            calls: vec![code.clone()],
            code,
            text,
            until
        }),
        (text(), text()).prop_map(|(text, detail)| EntryBody::Failed { text, detail }),
        text().prop_map(|text| EntryBody::Notice { text }),
        by.prop_map(|by| EntryBody::Stopped { by }),
        reason.prop_map(|reason| EntryBody::Reset { reason }),
        compaction,
        dropped.prop_map(|(messages, summary)| EntryBody::Dropped { messages, summary }),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    (any::<u64>(), any::<u128>(), time(), body()).prop_map(|(seq, random, at, body)| {
        let turn = TurnId::from_parts(at, random);
        Entry { seq, id: EntryId::from_parts(at, random), turn, at, body }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_entry_is_read_back_as_it_was(entry in entry(), parent in option::of(any::<u128>())) {
        let parent = parent.map(|random| EntryId::from_parts(entry.at, random));
        let line = write(&entry, parent, parent).unwrap();
        prop_assert!(!line.contains(['\n', '\r']), "{line}");
        prop_assert_eq!(read(&line).unwrap(), Some(entry));
        let json: Value = serde_json::from_str(&line.replace("\\ud800", "").replace("1e999", "1")).unwrap();
        prop_assert_eq!(&json["parentId"], &json!(parent));
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,60}") {
        prop_assert!(read(&text).is_err());
    }
}

const AT: Timestamp = Timestamp::from_millis(1_795_347_230_138);

fn at_seq(seq: u64, body: EntryBody) -> Entry {
    Entry { seq, id: EntryId::from_parts(AT, seq.into()), turn: TurnId::from_parts(AT, 7), at: AT, body }
}

fn json_of(entry: &Entry) -> Value {
    serde_json::from_str(&write(entry, None, None).unwrap()).unwrap()
}

fn call(arguments: &str) -> ToolCall {
    ToolCall { id: "call_1".into(), name: "write".into(), arguments: arguments.into() }
}

fn answer_with(text: &str, tool_calls: Vec<ToolCall>) -> Entry {
    let usage = crate::Usage { input: 100, output: 5, cached: 40, cache_written: 20 };
    let answer =
        Answer { text: text.into(), tool_calls, model: "openai/gpt-5".into(), usage, cost: 1_500, native: None };
    at_seq(3, EntryBody::Assistant(answer))
}

#[test]
fn an_answer_has_openclaws_shape() {
    let line = json_of(&answer_with("Mock reply.", vec![call(r#"{"path": "a.md"}"#)]));
    let expected = json!({
        "role": "assistant",
        "content": [
            { "type": "text", "text": "Mock reply." },
            { "type": "toolCall", "id": "call_1", "name": "write", "arguments": { "path": "a.md" } },
        ],
        "api": "lowtide",
        "provider": "openai",
        "model": "gpt-5",
        "usage": {
            "input": 40, "output": 5, "cacheRead": 40, "cacheWrite": 20, "totalTokens": 105,
            "cost": { "input": 0.0, "output": 0.0, "cacheRead": 0.0, "cacheWrite": 0.0, "total": 0.0015 },
        },
        "stopReason": "toolUse",
        "timestamp": 1_795_347_230_138u64,
    });
    assert_eq!(line["message"], expected);
    assert_eq!((&line["type"], &line["parentId"]), (&json!("message"), &Value::Null));
    assert_eq!(line["timestamp"], "2026-11-22T11:33:50.138Z");
    assert_eq!(line["lowtide"]["seq"], 3);
}

#[test]
fn the_other_entries_have_openclaws_shape() {
    let result = ToolResult {
        call: "call_1".into(),
        name: "write".into(),
        outcome: ToolOutcome::Unknown,
        text: "?".into(),
        media: vec![],
        asked: None,
    };
    let message = json_of(&at_seq(0, EntryBody::ToolResult(result)))["message"].take();
    assert_eq!((&message["toolCallId"], &message["isError"]), (&json!("call_1"), &json!(true)));
    let failed = EntryBody::Failed { text: "Sorry.".into(), detail: "status 500".into() };
    let message = json_of(&at_seq(0, failed))["message"].take();
    assert_eq!((&message["stopReason"], &message["errorMessage"]), (&json!("error"), &json!("status 500")));
    let message = json_of(&at_seq(0, EntryBody::Notice { text: "Hi.".into() }))["message"].take();
    assert_eq!((&message["provider"], &message["model"]), (&json!("lowtide"), &json!("notice")));
    let line = json_of(&at_seq(0, EntryBody::Reset { reason: ResetReason::New }));
    assert_eq!((&line["type"], &line["reason"]), (&json!("reset"), &json!("new")));
    let line = json_of(&at_seq(0, EntryBody::Stopped { by: StoppedBy::Person }));
    assert_eq!((&line["type"], &line["customType"]), (&json!("custom"), &json!("lowtide.stopped")));
}

#[test]
fn no_text_and_no_arguments_are_stored_twice() {
    let line = write(&answer_with("needle", vec![call(r#"{"path": "haystack"}"#), call("malformed")]), None, None);
    let line = line.unwrap();
    for once in ["needle", "haystack", "malformed"] {
        assert_eq!(line.matches(once).count(), 1, "{once}: {line}");
    }
    let line = json_of(&answer_with("", vec![call("malformed"), call("{}")]));
    assert_eq!(line["message"]["content"][0]["arguments"], json!({}));
    assert_eq!(line["lowtide"]["arguments"], json!(["malformed"]));
}

#[test]
fn a_file_begins_with_a_header_and_links_its_lines() {
    let notice = |seq| at_seq(seq, EntryBody::Notice { text: format!("line\n{seq}") });
    let compaction = |first_kept| EntryBody::Compaction {
        summary: "so far".into(),
        first_kept,
        tokens_before: 9,
        model: "m".into(),
        usage: crate::Usage::default(),
        cost: 0,
    };
    let before = [notice(4), notice(5)];
    let entries = [notice(6), at_seq(7, compaction(5)), at_seq(8, compaction(3))];
    let (bot, session) = (BotId::from_parts(AT, 1), SessionKey::main("main"));
    let text = write_file(bot, &session, &before, &entries).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let id = lines[0]["id"].as_str().unwrap();
    assert_eq!((&lines[0]["type"], &lines[0]["version"]), (&json!("session"), &json!(4)));
    assert!(id.len() == 36 && id.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && id.as_bytes()[14] == b'8', "{id}");
    assert_eq!(lines[1]["parentId"], json!(before[1].id));
    assert_eq!(lines[2]["parentId"], json!(entries[0].id));
    assert_eq!(lines[2]["firstKeptEntryId"], json!(before[1].id));
    assert!(lines[3].get("firstKeptEntryId").is_none(), "it stands in no line that is known");
    assert_eq!(read_file(&text).unwrap(), entries);
    assert_eq!(read_file(&format!("{text}{text}")).unwrap().len(), 6, "files may be put together");

    let first = write_file(bot, &session, &[], &[notice(0)]).unwrap();
    assert!(first.lines().nth(1).unwrap().contains(r#""parentId":null"#));
    assert!(write_file(bot, &session, &before, &[]).is_err());
}

#[test]
fn lines_that_openclaw_wrote_are_refused_with_a_reason() {
    let header =
        r#"{"type":"session","version":3,"id":"3c9add3f-38af","timestamp":"2026-11-22T11:55:15.543Z","cwd":"/w"}"#;
    assert_eq!(read(header).unwrap(), None);
    let native = [
        r#"{"type":"message","id":"5227c19f","parentId":"b1f17779","timestamp":"2026-11-22T11:55:16.120Z","message":{"role":"user","content":"hello fresh","timestamp":1795348514144}}"#,
        r#"{"type":"reset","id":"d78acdf9","parentId":"506e047d","timestamp":"2026-11-22T11:29:25.288Z","reason":"new"}"#,
    ];
    for (line, kind) in native.into_iter().zip(["message", "reset"]) {
        assert_eq!(read(line), Err(LineError::Foreign(kind.into())));
    }
    let error = read_file(&format!("{header}\n{}\n", native[0])).unwrap_err().to_string();
    assert!(error.starts_with("line 2: OpenClaw itself wrote this line") && error.contains("imported"), "{error}");
    let cut = write(&answer_with("x", vec![]), None, None).unwrap().replace("\"seq\":3,", "");
    assert!(matches!(read(&cut), Err(LineError::Malformed(reason)) if reason.contains("seq")));
}
