//! The model answers from its script, keeps its books, and remembers violations.

use std::panic::{AssertUnwindSafe, catch_unwind};

use reqwest::{Client, Response};
use serde_json::{Value, json};
use testkit::model::{FakeModel, Reply};

async fn ask(model: &FakeModel, key: &str, messages: Value) -> Response {
    let body = json!({ "model": "m", "messages": messages });
    let request = Client::new().post(format!("{}/chat/completions", model.base_url())).bearer_auth(key);
    request.json(&body).send().await.unwrap()
}

fn hello() -> Value {
    json!([{ "role": "system", "content": "You are a bot." }, { "role": "user", "content": "hello" }])
}

#[tokio::test]
async fn it_follows_its_script_and_then_echoes() {
    runtime::install_crypto();
    let model = FakeModel::start();
    model.script(vec![
        Reply::ToolCalls(vec![("look".to_owned(), json!({ "at": "sea" }))]),
        Reply::Status(429, "{}".to_owned(), Some(7)),
    ]);
    let called: Value = ask(&model, "k", hello()).await.json().await.unwrap();
    let call = &called["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!(*call, json!({ "name": "look", "arguments": "{\"at\":\"sea\"}" }));
    let limited = ask(&model, "k", hello()).await;
    assert_eq!((limited.status().as_u16(), &limited.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    let echoed: Value = ask(&model, "k", hello()).await.json().await.unwrap();
    assert_eq!(echoed["choices"][0]["message"]["content"], "echo: hello");

    let ledger = model.ledger();
    assert_eq!((model.requests().len(), ledger.answers), (3, 2));
    let used = |answer: &Value| answer["usage"]["prompt_tokens"].as_u64().unwrap();
    assert_eq!(ledger.prompt_tokens, used(&called) + used(&echoed));
    model.assert_clean();
}

#[tokio::test]
async fn violations_are_refused_and_remembered() {
    runtime::install_crypto();
    let model = FakeModel::start();
    model.require_key("sk-right");
    assert_eq!(ask(&model, "sk-wrong", hello()).await.status(), 401);
    let answered = json!([hello()[0], hello()[1], { "role": "tool", "tool_call_id": "x", "content": "y" }]);
    assert_eq!(ask(&model, "sk-right", answered).await.status(), 400);
    assert_eq!(ask(&model, "sk-right", hello()).await.status(), 200);
    assert!(catch_unwind(AssertUnwindSafe(|| model.assert_clean())).is_err());
}
