use domain::EntryBody;
use domain::account::ModelApi::OpenaiResponses;

use super::*;
use crate::models::testing::{Stream, request_after, result, said, streamed_over, thinker};

const OUTPUT: &str = r#"[
    {"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"},
    {"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"I look."}]},
    {"type":"function_call","id":"fc_1","call_id":"call_a","name":"current_time","arguments":"{}"}
]"#;

fn stream() -> Stream {
    let output: Value = serde_json::from_str(OUTPUT).unwrap();
    let done = json!({ "type": "response.completed", "response": {
        "status": "completed", "error": null, "output": output,
        "usage": { "input_tokens": 90, "output_tokens": 30, "input_tokens_details": { "cached_tokens": 64 } },
    } });
    let item = json!({ "type": "response.output_item.done", "item": output[0] });
    Stream::events([
        r#"{"type":"response.created","response":{"status":"in_progress"}}"#,
        &item.to_string(),
        r#"{"type":"response.output_text.delta","delta":"I "}"#,
        r#"{"type":"response.output_text.delta","delta":"look."}"#,
        &done.to_string(),
    ])
}

#[test]
fn encrypted_thoughts_go_back_as_they_came() {
    let answer = streamed_over(OpenaiResponses, "openai/gpt-5.1", &stream()).unwrap();
    assert_eq!((answer.text.as_str(), answer.tool_calls[0].id.as_str()), ("I look.", "call_a"));
    assert_eq!((answer.usage.input, answer.usage.output, answer.usage.cached), (90, 30, 64));
    let log = vec![said("Time?"), EntryBody::Assistant(answer), result("call_a", "noon")];
    let bot = crate::BotView { api: Some(OpenaiResponses), ..thinker("openai/gpt-5.1") };
    let request = request_after(bot, log.clone());
    let input = request["input"].as_array().unwrap();
    assert_eq!(Value::from(input[1..4].to_vec()), serde_json::from_str::<Value>(OUTPUT).unwrap());
    assert_eq!(input[4], json!({ "type": "function_call_output", "call_id": "call_a", "output": "noon" }));
    assert_eq!((&request["store"], &request["include"][0]), (&json!(false), &json!("reasoning.encrypted_content")));
    assert_eq!(request["reasoning"]["effort"], "high");
    let other = request_after(crate::BotView { model: Some("openai/gpt-4o"), ..bot }, log);
    assert!(!other.to_string().contains("gAAA") && other.get("include").is_none() && other.get("reasoning").is_none());
}

#[test]
fn a_stream_that_fails_or_is_cut_is_no_answer() {
    for cut in 0..5 {
        let failed = streamed_over(OpenaiResponses, "openai/m", &stream().cut_after(cut));
        assert!(matches!(failed, Err(Failure::Retry { is_billed: true, .. })), "{cut} {failed:?}");
    }
    for (event, is_permanent) in [
        (r#"{"type":"response.failed","response":{"error":{"code":"server_error","message":"no"}}}"#, false),
        (r#"{"type":"error","code":"insufficient_quota","message":"pay"}"#, true),
    ] {
        let failed = streamed_over(OpenaiResponses, "openai/m", &Stream::events([event]));
        assert_eq!(matches!(failed, Err(Failure::Stop { is_providers: true, .. })), is_permanent, "{failed:?}");
    }
}
