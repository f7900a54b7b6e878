//! Asking a model: conversations, retries, and what each failure means.

use std::time::{Duration, Instant};

use agent::{AgentConfig, ModelError, Secret, Workspace, WorkspaceFile};
use domain::{Answer, Usage};
use serde_json::Value;

use crate::scripted_model::{KEY, Reply, ScriptedModel};
use crate::session::{Session, agent};

fn config() -> AgentConfig {
    AgentConfig { private_models: true, ..AgentConfig::default() }
}

async fn ask(config: AgentConfig, replies: Vec<Reply>) -> Result<Answer, ModelError> {
    let model = ScriptedModel::start(replies).await;
    let mut session = Session::default();
    session.say("hi");
    let key = Secret::new(KEY);
    let answer = agent(config).answer(&session.request(Some("openai/gpt-5.1"), Some(&model.url), &key)).await;
    model.finish();
    answer
}

async fn fails(replies: Vec<Reply>) -> ModelError {
    let error = ask(config(), replies).await.expect_err("a failure");
    assert!(!error.to_string().contains(KEY) && !error.to_string().contains("127.0.0.1"), "{error}");
    error
}

/// The conversation as it went over the wire, the system prompt shortened.
fn messages(request: &Value) -> String {
    let line = |message: &Value| {
        let calls = message["tool_calls"].as_array().into_iter().flatten();
        let calls = calls.map(|call| format!(" {}:{}", call["id"], call["function"]));
        let text = message["content"].as_str().unwrap_or("–");
        let text = if message["role"] == "system" { "…" } else { text };
        let id = message["tool_call_id"].as_str().map(|id| format!("({id})")).unwrap_or_default();
        format!("{}{id}: {text}{}\n", message["role"].as_str().unwrap_or_default(), calls.collect::<String>())
    };
    request["messages"].as_array().into_iter().flatten().map(line).collect()
}

#[tokio::test]
async fn a_conversation_with_tools() {
    let model = ScriptedModel::start([
        Reply::Calls(&[("a", "current_time", "{}"), ("b", "current_time", "{\"zone\":\"Asia/Tokyo\"}")]),
        Reply::Calls(&[("a", "nonsense", "{oops")]),
        Reply::Text("It is three here and eleven in Tokyo."),
    ])
    .await;
    let agent = agent(config());
    let key = Secret::new(KEY);
    let files = vec![WorkspaceFile { name: "SOUL.md".into(), text: "You are patient.".into() }];
    let mut session = Session { workspace: Workspace { files }, ..Session::default() };
    session.say("What time is it, here and in Tokyo?");
    for _ in 0..2 {
        let answer = agent.answer(&session.request(Some("custom/org/m"), Some(&model.url), &key)).await;
        session.take(&agent, answer.expect("tool calls")).await;
    }
    let mut last = session.request(Some("custom/org/m"), Some(&model.url), &key);
    last.tools = false;
    let answer = agent.answer(&last).await.expect("an answer");
    assert_eq!(answer.text, "It is three here and eleven in Tokyo.");
    assert_eq!(answer.model, "custom/org/m");
    assert_eq!(answer.usage, Usage { input: 100, output: 7, cached: 60 });

    let requests = model.finish();
    assert_eq!(requests[0]["model"], "org/m");
    assert_eq!(requests[0]["tool_choice"], "auto");
    assert_eq!(requests[2]["tool_choice"], "none");
    assert!(requests[0]["messages"][0]["content"].as_str().is_some_and(|system| system.contains("You are patient.")));
    assert_eq!(requests[0]["messages"][0], requests[2]["messages"][0]);
    insta::assert_snapshot!(messages(&requests[2]), @r#"
    system: …
    user: What time is it, here and in Tokyo?
    assistant: – "a":{"arguments":"{}","name":"current_time"} "b":{"arguments":"{\"zone\":\"Asia/Tokyo\"}","name":"current_time"}
    tool(a): 2026-11-22T15:00:00+01:00, Sunday, Europe/Berlin
    tool(b): 2026-11-22T23:00:00+09:00, Sunday, Asia/Tokyo
    assistant: – "a":{"arguments":"{}","name":"nonsense"}
    tool(a): There is no tool `nonsense`; there are: current_time, web_fetch.
    "#);
}

#[tokio::test]
async fn failures_that_pass_are_asked_again() {
    for failure in
        [Reply::Status(500, "oops"), Reply::RetryAfter(429, "0"), Reply::Garbage, Reply::Empty, Reply::Status(529, "")]
    {
        let answer = ask(config(), vec![failure, Reply::Text("Hello")]).await.expect("an answer");
        assert_eq!(answer.text, "Hello");
    }
}

#[tokio::test]
async fn failures_that_last_are_temporary() {
    let error = fails(vec![Reply::Status(500, "oops"), Reply::Garbage, Reply::Status(503, "still down")]).await;
    let ModelError::Temporary { detail, retry_after: None } = &error else { panic!("{error:?}") };
    assert_eq!(detail, "openai/gpt-5.1: status 503: still down (attempt 3)");
    assert!(error.person().contains("Please try again in a while"));
}

#[tokio::test]
async fn a_provider_that_asks_for_a_long_pause_gets_it() {
    let error = fails(vec![Reply::RetryAfter(429, "90")]).await;
    let ModelError::Temporary { retry_after, .. } = error else { panic!("{error:?}") };
    assert_eq!(retry_after, Some(Duration::from_secs(90)));
}

#[tokio::test]
async fn short_pauses_are_kept() {
    let start = Instant::now();
    ask(config(), vec![Reply::RetryAfter(503, "1"), Reply::Text("Hello")]).await.expect("an answer");
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_model_that_hangs_is_given_up_in_time() {
    let start = Instant::now();
    let config = AgentConfig { model_timeout: Duration::from_millis(300), ..config() };
    let error = ask(config, vec![Reply::Hang]).await.expect_err("a timeout");
    assert!(matches!(&error, ModelError::Temporary { .. }), "{error:?}");
    assert!(error.detail().contains("no answer within 0.3 s"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn failures_for_the_owner_are_not_asked_again() {
    for (status, person) in [
        (401, "refused the key"),
        (403, "refused the key"),
        (402, "asks for payment"),
        (404, "does not know it"),
        (400, "refused to process"),
    ] {
        let error = fails(vec![Reply::Status(status, "the key sk-test-key is no good")]).await;
        assert!(matches!(&error, ModelError::Permanent { .. }), "{error:?}");
        assert!(error.person().contains(person), "{status}: {}", error.person());
        assert!(error.detail().contains("the key … is no good"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_temporary() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    drop(listener);
    let (session, key) = (Session::default(), Secret::new(KEY));
    let config = AgentConfig { model_retries: 1, ..config() };
    let error = agent(config).answer(&session.request(Some("openai/m"), Some(&url), &key)).await.expect_err("nobody");
    assert!(matches!(&error, ModelError::Temporary { .. }), "{error:?}");
    assert!(error.detail().contains("no connection") && error.detail().contains("(attempt 2)"), "{error}");
}

#[tokio::test]
async fn in_the_cloud_a_model_on_a_private_address_is_not_called() {
    let model = ScriptedModel::start([]).await;
    let (session, key) = (Session::default(), Secret::new(KEY));
    let agent = agent(AgentConfig { model_retries: 0, ..AgentConfig::default() });
    for url in [model.url.clone(), model.url.replace("127.0.0.1", "localhost")] {
        let request = session.request(Some("openai/m"), Some(&url), &key);
        let error = agent.answer(&request).await.expect_err("refused");
        assert!(error.detail().contains("is not a public address"), "{error}");
        assert!(matches!(error, ModelError::Permanent { .. }));
    }
    model.finish();
}

#[tokio::test]
async fn a_key_that_cannot_be_sent_is_the_owners_affair() {
    let agent = agent(config());
    let (session, key) = (Session::default(), Secret::new("sk\u{0}bad\n"));
    let request = session.request(Some("openai/m"), None, &key);
    let asking = agent.answer(&request);
    // Workers hold it across threads.
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let error = is_send(asking).await.expect_err("a bad key");
    assert!(matches!(&error, ModelError::Permanent { .. }), "{error:?}");
    assert!(!error.detail().contains("bad"), "{error}");
}
