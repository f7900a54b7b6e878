use domain::{Answer, EntryBody};

use super::*;
use crate::models::testing::{Stream, request_after, result, said, streamed, thinker, whole};

fn stream() -> Stream {
    Stream::events([
        r#"{"type":"message_start","message":{"usage":{"input_tokens":5,"cache_read_input_tokens":80,"cache_creation_input_tokens":15,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"What time?"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"xyz"}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"I look."}}"#,
        r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_1","name":"current_time","input":{}}}"#,
        r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"zone\":"}}"#,
        r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"\"UTC\"}"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":40}}"#,
        r#"{"type":"message_stop"}"#,
    ])
}

#[test]
fn a_signed_thought_goes_back_to_the_model_that_had_it() {
    let answer = streamed("anthropic/claude-sonnet-4-5", &stream()).unwrap();
    assert_eq!((answer.text.as_str(), answer.tool_calls[0].arguments.as_str()), ("I look.", r#"{"zone":"UTC"}"#));
    // All that was read counts as input, from the cache or not.
    let usage = domain::Usage { input: 100, output: 40, cached: 80, cache_written: 15 };
    assert_eq!(answer.usage, usage);
    let native = answer.native.clone().unwrap();
    insta::assert_snapshot!(native.content, @r#"[{"signature":"c2ln","thinking":"What time?","type":"thinking"},{"data":"xyz","type":"redacted_thinking"},{"text":"I look.","type":"text"},{"id":"toolu_1","input":{"zone":"UTC"},"name":"current_time","type":"tool_use"}]"#);

    let log = vec![said("Time?"), EntryBody::Assistant(answer), result("toolu_1", "noon")];
    let request = request_after(thinker("anthropic/claude-sonnet-4-5"), log.clone());
    assert_eq!(request["messages"][1]["content"], native.content);
    assert_eq!(request["thinking"]["budget_tokens"], 16_384);
    assert!(request["max_tokens"].as_u64() > Some(16_384));
    // Another model gets text and calls alone, and cannot begin to think in the middle.
    let request = request_after(thinker("anthropic/claude-opus-4-5"), log);
    let kinds: Vec<&str> =
        request["messages"][1]["content"].as_array().unwrap().iter().map(|b| text(b, "type")).collect();
    assert_eq!(kinds, ["text", "tool_use"]);
    assert_eq!(request.get("thinking"), None);
}

#[test]
fn at_most_four_marks_are_set_and_the_newest_messages_have_two() {
    let answer = |text: &str| EntryBody::Assistant(Answer { text: text.into(), ..Answer::default() });
    let log = vec![said("one"), answer("1"), said("two"), answer("2"), said("three"), said("four")];
    let request = request_after(thinker("anthropic/claude-opus-4-6"), log);
    assert_eq!(request.to_string().matches("cache_control").count(), 4);
    let is_marked = |value: &Value| value.get("cache_control").is_some();
    assert!(is_marked(&request["system"][0]) && is_marked(request["tools"].as_array().unwrap().last().unwrap()));
    let messages = request["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 5, "what follows from the same side is one message");
    let marked = |at: usize| is_marked(messages[at]["content"].as_array().unwrap().last().unwrap());
    assert_eq!([0, 2, 4].map(marked), [false, true, true]);
    assert_eq!(request["output_config"]["effort"], "high");
}

#[test]
fn a_stream_that_fails_or_is_cut_is_no_answer() {
    for cut in 0..11 {
        let Err(Failure::Retry { detail, is_billed: true, .. }) = streamed("anthropic/c", &stream().cut_after(cut))
        else {
            panic!("{cut}")
        };
        assert_eq!(detail, "the answer broke off before its end");
    }
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    assert!(matches!(streamed("anthropic/c", &Stream::events([error])), Err(Failure::Retry { is_billed: false, .. })));
    let begun = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hal"}}"#;
    let failed = streamed("anthropic/c", &Stream::events([begun, error]));
    assert!(matches!(failed, Err(Failure::Retry { is_billed: true, .. })), "{failed:?}");
    let empty = r#"{"type":"message","content":[],"stop_reason":"refusal"}"#;
    assert!(matches!(whole("anthropic/c", empty), Err(Failure::Retry { detail, .. }) if detail.contains("refusal")));
}

#[test]
fn arguments_that_are_no_object_go_back_as_an_empty_one() {
    let json = r#"{"content":[{"type":"tool_use","id":"a","name":"read","input":"oops"}],"stop_reason":"tool_use"}"#;
    let mut answer = whole("anthropic/c", json).unwrap();
    answer.tool_calls[0].arguments = "{oops".into();
    let request =
        request_after(thinker("anthropic/c"), vec![said("x"), EntryBody::Assistant(answer), result("a", "bad")]);
    assert_eq!(request["messages"][1]["content"][0]["input"], json!({}));
}
