use super::*;

fn failure(bytes: &str) -> String {
    match answer(bytes.as_bytes(), "openai/m".into()) {
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
    let answer = answer(json.as_bytes(), "openai/m".into()).unwrap();
    let usage = Usage { input: 10, output: 2, cached: 8 };
    assert_eq!(
        answer,
        Answer { text: "Hi".into(), tool_calls: vec![], model: "openai/m".into(), usage, cost: 0, native: None }
    );
}

#[test]
fn what_compatible_servers_do_differently_is_read_too() {
    let text = |message: &str| {
        let json = format!(r#"{{ "choices": [{{ "message": {message} }}], "usage": null }}"#);
        let answer = answer(json.as_bytes(), "openai/m".into()).unwrap();
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
}

#[test]
fn garbage_and_nothing_are_worth_another_attempt() {
    assert!(failure("<html>Bad gateway</html>").contains("not a chat completion"));
    assert_eq!(failure("{}"), "the response has no answer: no choices");
    assert_eq!(failure(r#"{"error":{"message":"overloaded"}}"#), "the response has no answer: overloaded");
    assert_eq!(
        failure(r#"{"choices":[{"message":{"content":" "},"finish_reason":"length"}]}"#),
        "the answer is empty (finish reason: length)"
    );
}

#[test]
fn a_status_says_what_to_do_next() {
    let refused = |status: u16, body: &str| match refused(StatusCode::from_u16(status).unwrap(), None, body.as_bytes())
    {
        Failure::Retry { detail, .. } => format!("retry: {detail}"),
        Failure::Stop(error) => format!("stop: {} / {}", error.detail(), error.person()),
    };
    assert_eq!(refused(503, "busy"), "retry: status 503");
    assert_eq!(refused(429, r#"{"error":{"message":"slow down"}}"#), "retry: status 429: slow down");
    assert!(refused(429, r#"{"error":{"message":"m","code":"insufficient_quota"}}"#).ends_with(NO_CREDIT));
    assert!(refused(402, "").ends_with(NO_CREDIT));
    assert!(refused(401, "").ends_with(KEY_REFUSED));
    assert!(refused(404, r#"{"error":"model \"x\" not found"}"#).contains(r#"(status 404: model "x" not found)"#));
    assert!(refused(400, r#"{"error":{"message":"context too long"}}"#).contains("(status 400: context too long)"));
    assert!(refused(302, "").ends_with(REQUEST_REFUSED));
}

#[test]
fn waits_that_a_provider_asks_for_are_read() {
    let after = |name: &'static str, value: &'static str| {
        retry_after(&HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]))
    };
    assert_eq!(after("retry-after", "7"), Some(Duration::from_secs(7)));
    assert_eq!(after("retry-after-ms", "250"), Some(Duration::from_millis(250)));
    assert_eq!(after("retry-after", "-1"), None);
    assert_eq!(after("retry-after", "NaN"), None);
    assert_eq!(after("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), None);
}
