use domain::EntryBody;

use super::*;
use crate::models::testing::{Stream, request_after, result, said, streamed, thinker, whole};

fn stream() -> Stream {
    Stream::events([
        r#"{"candidates":[{"content":{"parts":[{"text":"Hm.","thought":true}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"I "}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"look."}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"current_time","args":{"zone":"UTC"}},"thoughtSignature":"c2ln"},{"functionCall":{"name":"current_time"}}]}}]}"#,
        r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":50,"candidatesTokenCount":8,"thoughtsTokenCount":20,"cachedContentTokenCount":32}}"#,
    ])
}

#[test]
fn signed_calls_go_back_as_they_came() {
    let answer = streamed("google/gemini-3-flash-preview", &stream()).unwrap();
    let ids: Vec<&str> = answer.tool_calls.iter().map(|call| call.id.as_str()).collect();
    assert_eq!((answer.text.as_str(), ids), ("I look.", vec!["call_0", "call_1"]));
    assert_eq!((answer.usage.input, answer.usage.output, answer.usage.cached), (50, 28, 32));
    let native = answer.native.clone().unwrap().content;
    let once = [EntryBody::Assistant(answer), result("call_0", "noon"), result("call_1", "one")];
    // The same ids again: Google's own form knows none.
    let log: Vec<EntryBody> = [said("Time?")].into_iter().chain(once.clone()).chain(once).collect();
    let request = request_after(thinker("google/gemini-3-flash-preview"), log.clone());
    assert_eq!((&request["contents"][1]["parts"], &request["contents"][3]["parts"]), (&native, &native));
    assert_eq!(request["contents"][2]["parts"][1]["functionResponse"]["response"]["result"], "one");
    assert_eq!(request["generationConfig"]["thinkingConfig"]["thinkingLevel"], "high");
    // Another Gemini 3 is told that nobody has signed.
    let request = request_after(thinker("google/gemini-3.1-pro-preview"), log);
    assert_eq!(request["contents"][1]["parts"][1]["thoughtSignature"], UNSIGNED);
}

#[test]
fn a_stream_that_fails_or_is_cut_is_no_answer() {
    for cut in 0..5 {
        let failed = streamed("google/g", &stream().cut_after(cut));
        assert!(matches!(failed, Err(Failure::Retry { is_billed: true, .. })), "{cut} {failed:?}");
    }
    let blocked = whole("google/g", r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#);
    assert!(matches!(blocked, Err(Failure::Retry { detail, .. }) if detail.contains("SAFETY")));
    let error = r#"{"error":{"code":503,"status":"UNAVAILABLE","message":"overloaded"}}"#;
    assert!(matches!(streamed("google/g", &Stream::events([error])), Err(Failure::Retry { .. })));
}
