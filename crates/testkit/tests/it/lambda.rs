//! Invocations wait for the function, and each is answered once.

use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use testkit::lambda::RuntimeApi;

#[tokio::test]
async fn an_invocation_is_answered_once() {
    runtime::install_crypto();
    let lambda = RuntimeApi::start();
    let base = format!("http://{}/2018-06-01/runtime", lambda.authority());
    let function = async {
        let client = Client::new();
        let event = client.get(format!("{base}/invocation/next")).send().await.unwrap();
        let id = event.headers()["lambda-runtime-aws-request-id"].to_str().unwrap().to_owned();
        assert!(event.headers()["lambda-runtime-deadline-ms"].to_str().unwrap().parse::<u64>().is_ok());
        let event: Value = event.json().await.unwrap();
        let response = format!("{base}/invocation/{id}/response");
        let first = client.post(&response).json(&json!({ "saw": event })).send().await.unwrap();
        let second = client.post(&response).json(&json!({})).send().await.unwrap();
        (first.status().as_u16(), second.status().as_u16())
    };
    let (answer, statuses) = tokio::join!(lambda.invoke(json!({ "n": 1 }), Duration::from_secs(10)), function);
    assert_eq!(answer, Ok(json!({ "saw": { "n": 1 } })));
    assert_eq!(statuses, (202, 400));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lambda.assert_clean())).is_err());
}

#[tokio::test]
async fn errors_and_silence_are_errors() {
    runtime::install_crypto();
    let lambda = RuntimeApi::start();
    let base = format!("http://{}/2018-06-01/runtime", lambda.authority());
    let function = async {
        let error = json!({ "errorType": "Panic", "errorMessage": "no" });
        Client::new().post(format!("{base}/init/error")).json(&error).send().await.unwrap();
    };
    let (answer, ()) = tokio::join!(lambda.invoke(json!({}), Duration::from_secs(10)), function);
    assert_eq!(answer.unwrap_err()["errorMessage"], "no");
    let silence = lambda.invoke(json!({}), Duration::from_millis(50)).await;
    assert_eq!(silence.unwrap_err()["errorType"], "Sandbox.Timedout");
    lambda.assert_clean();
}
