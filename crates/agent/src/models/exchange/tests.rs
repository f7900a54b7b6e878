use super::*;

#[test]
fn a_status_says_what_to_do_next() {
    let refused = |status: u16, body: &str| match refused(StatusCode::from_u16(status).unwrap(), None, body.as_bytes())
    {
        Failure::Retry { detail, .. } => format!("retry: {detail}"),
        Failure::Stop { error, .. } => format!("stop: {} / {}", error.detail(), error.person()),
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
