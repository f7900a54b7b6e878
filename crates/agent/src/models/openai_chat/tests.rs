use domain::{Answer, Native, ToolCall, Usage};

use super::*;
use crate::models::testing::{Stream, streamed, whole};

fn failure(json: &str) -> String {
    match whole("custom/m", json) {
        Err(Failure::Retry { detail, after: None, .. }) => detail,
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_are_read() {
    let json = r#"{
        "choices": [{ "message": { "content": "Hi", "tool_calls": null }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": { "cached_tokens": 8 } }
    }"#;
    let usage = Usage { input: 10, output: 2, cached: 8, cache_written: 0 };
    let expected = Answer { text: "Hi".into(), model: "custom/m".into(), usage, ..Answer::default() };
    assert_eq!(whole("custom/m", json).unwrap(), expected);
}

#[test]
fn a_stream_is_put_together() {
    let stream = Stream::events([
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"reasoning_content":"Hm."}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"Let me "}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"see."}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"k\":"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}"#,
        "[DONE]",
    ]);
    let read = streamed("custom/m", &stream).unwrap();
    let call = |id: &str, name: &str, arguments: &str| ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
    };
    assert_eq!(read.text, "Let me see.");
    assert_eq!(read.tool_calls, [call("a", "f", r#"{"k":1}"#), call("b", "g", "{}")]);
    assert_eq!((read.usage.input, read.usage.output), (10, 5));
    let native = Native { api: "openai-completions".into(), model: "m".into(), content: json!({ REASONING: "Hm." }) };
    assert_eq!(read.native, Some(native));
    // Cut anywhere before its end it is no answer.
    for cut in 0..8 {
        let Err(Failure::Retry { detail, .. }) = streamed("custom/m", &stream.cut_after(cut)) else { panic!("{cut}") };
        assert_eq!(detail, "the answer broke off before its end");
    }
}

#[test]
fn what_compatible_servers_do_differently_is_read_too() {
    let text = |message: &str| {
        let json = format!(r#"{{ "choices": [{{ "message": {message} }}], "usage": null }}"#);
        let answer = whole("custom/m", &json).unwrap();
        let calls = answer.tool_calls.iter().map(|call| format!(" {}:{}({})", call.id, call.name, call.arguments));
        format!("{}{}", answer.text, calls.collect::<String>())
    };
    assert_eq!(text(r#"{ "content": [{ "type": "text", "text": "Hi" }, { "type": "text", "text": "!" }] }"#), "Hi!");
    assert_eq!(text(r#"{ "content": null, "refusal": "I will not." }"#), "I will not.");
    let calls = r#"{ "content": "", "tool_calls": [
        { "id": "x", "type": "function", "function": { "name": "a", "arguments": "{\"k\":1}" } },
        { "id": "x", "function": { "name": "b", "arguments": { "k": 2 } } },
        { "function": { "name": "c" } }
    ] }"#;
    assert_eq!(text(calls), r#" x:a({"k":1}) call_1_x:b({"k":2}) call_2:c()"#);
    // All calls with the same number, each whole.
    let stream = Stream::events([
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"p","function":{"name":"f","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"q","function":{"name":"g","arguments":"{}"}}]},"finish_reason":"stop"}]}"#,
    ]);
    let ids: Vec<String> = streamed("custom/m", &stream).unwrap().tool_calls.into_iter().map(|call| call.id).collect();
    assert_eq!(ids, ["p", "q"]);
}

#[test]
fn nothing_and_errors_are_worth_another_attempt() {
    assert_eq!(failure("{}"), "the response has no answer: no choices");
    assert_eq!(failure(r#"{"error":{"message":"overloaded"}}"#), "the response has no answer: overloaded");
    assert_eq!(
        failure(r#"{"choices":[{"message":{"content":" "},"finish_reason":"length"}]}"#),
        "the answer is empty (finish reason: length)"
    );
    let stream = Stream::events([r#"{"choices":[{"delta":{"content":"Hal"}}]}"#, r#"{"error":{"message":"gone"}}"#]);
    assert!(
        matches!(streamed("custom/m", &stream), Err(Failure::Retry { detail, is_billed: true, .. }) if detail.ends_with("gone"))
    );
}
