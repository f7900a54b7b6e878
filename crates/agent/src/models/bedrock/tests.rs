use domain::EntryBody;

use super::*;
use crate::models::testing::{Stream, request_after, result, said, streamed, thinker};

const CLAUDE: &str = "bedrock/eu.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn stream() -> Stream {
    let event = |name, payload| ("event", name, payload);
    Stream::amazon([
        event("messageStart", r#"{"role":"assistant"}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Hm."}}}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2ln"}}}"#),
        event("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"text":"I look."}}"#),
        event(
            "contentBlockStart",
            r#"{"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"a","name":"current_time"}}}"#,
        ),
        event("contentBlockDelta", r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"zone\":"}}}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":"\"UTC\"}"}}}"#),
        event("messageStop", r#"{"stopReason":"tool_use"}"#),
        event(
            "metadata",
            r#"{"usage":{"inputTokens":5,"outputTokens":9,"cacheReadInputTokens":80,"cacheWriteInputTokens":15}}"#,
        ),
    ])
}

#[test]
fn a_signed_thought_goes_back_to_the_model_that_had_it() {
    let answer = streamed(CLAUDE, &stream()).unwrap();
    assert_eq!((answer.text.as_str(), answer.tool_calls[0].arguments.as_str()), ("I look.", r#"{"zone":"UTC"}"#));
    assert_eq!(answer.usage, domain::Usage { input: 100, output: 9, cached: 80, cache_written: 15 });
    let native = answer.native.clone().unwrap().content;
    let log = vec![said("Time?"), EntryBody::Assistant(answer), result("a", "noon")];
    let request = request_after(thinker(CLAUDE), log);
    assert_eq!(request["messages"][1]["content"], native);
    assert_eq!(native[0]["reasoningContent"]["reasoningText"], json!({ "text": "Hm.", "signature": "c2ln" }));
    assert_eq!(request["additionalModelRequestFields"]["thinking"]["budget_tokens"], 16_384);
    assert_eq!(request.to_string().matches("cachePoint").count(), 4);
    let last = request["messages"].as_array().unwrap().last().unwrap();
    assert_eq!(last["content"][0]["toolResult"]["content"][0]["text"], "noon");
}

#[test]
fn only_models_that_know_points_are_given_them() {
    let points = |model| request_after(thinker(model), vec![said("hi")]).to_string().matches("cachePoint").count();
    let nova = request_after(thinker("bedrock/amazon.nova-lite-v1:0"), vec![said("hi")]);
    assert!(!nova["toolConfig"].to_string().contains("cachePoint"));
    assert_eq!((points("bedrock/amazon.nova-lite-v1:0"), points("bedrock/meta.llama4-v1:0")), (2, 0));
}

#[test]
fn a_stream_that_fails_or_is_cut_is_no_answer() {
    for cut in 0..8 {
        let failed = streamed(CLAUDE, &stream().cut_after(cut));
        assert!(matches!(failed, Err(Failure::Retry { is_billed: true, .. })), "{cut} {failed:?}");
    }
    assert!(streamed(CLAUDE, &stream().cut_after(9)).is_ok(), "without its usage it is whole");
    let failed =
        streamed(CLAUDE, &Stream::amazon([("exception", "throttlingException", r#"{"message":"slow down"}"#)]));
    assert!(matches!(failed, Err(Failure::Retry { detail, is_billed: false, .. }) if detail.ends_with("slow down")));
}
