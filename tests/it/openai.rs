//! OpenAI's official client talks to a bot, whose own tools run behind its answers.

use std::time::Duration;

use peers::OpenAiClient;
use serde_json::{Value, json};
use testkit::model::{FakeModel, Reply};

use crate::dev_process::DevProcess;

/// A bot whose model is a fake, and the official client.
struct World {
    dev: DevProcess,
    model: FakeModel,
    client: OpenAiClient,
    _dir: tempfile::TempDir,
}

impl World {
    async fn start() -> World {
        let dir = tempfile::tempdir().unwrap();
        let dev = DevProcess::start(dir.path(), &[]).await;
        let model = FakeModel::start();
        dev.bot("heron", &model.base_url()).await;
        let client = OpenAiClient::new(&format!("{}/v1", dev.url), &dev.key);
        World { dev, model, client, _dir: dir }
    }

    async fn sessions(&self) -> Vec<String> {
        let page = self.dev.api("GET", "/v1/bots/heron/sessions", None).await.1;
        page["items"].as_array().unwrap().iter().map(|it| it["session"].as_str().unwrap().to_owned()).collect()
    }

    async fn kinds(&self, session: &str) -> Vec<String> {
        let (status, page) = self.dev.api("GET", &format!("/v1/bots/heron/sessions/{session}/entries"), None).await;
        assert_eq!((status, &page["next"]), (200, &Value::Null), "{page}");
        page["items"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap().to_owned()).collect()
    }
}

fn said(role: &str, content: &str) -> Value {
    json!({ "role": role, "content": content })
}

#[tokio::test]
async fn a_streamed_conversation_goes_on_in_one_session_with_tools_behind_it() {
    let world = World::start().await;
    let clock = Reply::ToolCalls(vec![("current_time".to_owned(), json!({}))]);
    world.model.script(vec![clock, Reply::Text("It is noon.".to_owned())]);
    let mut messages = vec![said("system", "Be brief."), said("user", "What time is it?")];
    let mut answers = vec![];
    for next in ["And now?", "Thank you.", ""] {
        let options = json!({ "include_usage": true });
        let request = json!({ "model": "openclaw/heron", "messages": messages, "stream_options": options });
        let answer = world.client.call("stream", request).await.unwrap();
        let text = answer["final"]["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
        assert_eq!(answer["pieces"].as_array().unwrap().iter().filter_map(Value::as_str).collect::<String>(), text);
        assert_eq!(answer["final"]["choices"][0]["finish_reason"], "stop");
        assert!(answer["usage"]["total_tokens"].as_u64().unwrap() > 0, "{answer}");
        messages.extend([said("assistant", &text), said("user", next)]);
        answers.push(text);
    }
    assert_eq!(answers, ["It is noon.", "echo: And now?", "echo: Thank you."]);

    let sessions = world.sessions().await;
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert!(sessions[0].starts_with("agent:main:openai:"), "{sessions:?}");
    let kinds = world.kinds(&sessions[0]).await;
    let answered = ["user", "assistant", "tool_result", "assistant", "user", "assistant", "user", "assistant"];
    assert_eq!(kinds, answered, "the client's history is not said again");
    let first = world.model.requests()[0]["messages"].to_string();
    assert!(first.contains("Be brief."), "{first}");
    world.model.assert_clean();
    assert!(world.dev.stop().await.success());
}

#[tokio::test]
async fn an_answer_is_streamed_while_it_is_written() {
    let world = World::start().await;
    world.model.pause(Duration::from_secs(4));
    let request = json!({ "model": "heron", "messages": [said("user", "one two three four five six seven eight")] });
    let answer = world.client.call("stream", request).await.unwrap();
    let pieces: Vec<&str> = answer["pieces"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(pieces.len() > 1, "{pieces:?}");
    assert_eq!(pieces.concat(), "echo: one two three four five six seven eight");
}

#[tokio::test]
async fn a_user_has_a_session_and_what_was_metered_is_told() {
    let world = World::start().await;
    for text in ["hello", "again"] {
        let request = json!({ "model": "heron", "user": "ann", "messages": [said("user", text)] });
        let answer = world.client.call("complete", request).await.unwrap();
        assert_eq!(answer["choices"][0]["message"]["content"], format!("echo: {text}"));
        assert_eq!(answer["object"], "chat.completion");
    }
    assert_eq!(world.sessions().await, ["agent:main:openai-user:ann"]);
    let ledger = world.model.ledger();
    let usage =
        world.dev.api("GET", "/v1/bots/heron/sessions/agent:main:openai-user:ann", None).await.1["usage"].take();
    assert_eq!(
        (usage["input"].as_u64(), usage["output"].as_u64()),
        (Some(ledger.prompt_tokens), Some(ledger.completion_tokens))
    );
    let report = world.dev.api("GET", "/v1/usage/report?by=channel&bot=heron", None).await.1["items"][0].take();
    assert_eq!(
        (report["name"].as_str(), report["turns"].as_u64(), &report["usage"]),
        (Some("webchat"), Some(2), &usage)
    );

    // The conversation forks: the second branch knows the first answer and not the second.
    let first = [said("user", "one"), said("assistant", "echo: one")];
    let ask = async |messages: Vec<Value>| {
        let answer = world.client.call("complete", json!({ "model": "heron", "messages": messages })).await.unwrap();
        answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    };
    assert_eq!(ask(vec![first[0].clone()]).await, "echo: one");
    assert_eq!(ask([&first[..], &[said("user", "two")]].concat()).await, "echo: two");
    let fork = ask([&first[..], &[said("user", "three")]].concat()).await;
    assert!(fork.contains("User: one\nYou: echo: one") && fork.contains("three") && !fork.contains("two"), "{fork}");
    assert_eq!(world.sessions().await.len(), 3);
}

#[tokio::test]
async fn responses_follow_each_other() {
    let world = World::start().await;
    let clock = Reply::ToolCalls(vec![("current_time".to_owned(), json!({}))]);
    world.model.script(vec![clock, Reply::Text("It is noon.".to_owned())]);
    let request = json!({ "model": "heron", "instructions": "Be brief.", "input": "What time is it?" });
    let first = world.client.call("streamResponse", request).await.unwrap();
    let text: String = first["pieces"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!((text.as_str(), &first["final"]["output_text"]), ("It is noon.", &json!("It is noon.")));
    let events = first["events"].as_array().unwrap();
    assert_eq!((&events[0], &events[events.len() - 1]), (&json!("response.created"), &json!("response.completed")));

    let next = json!({ "model": "heron", "input": "And now?", "previous_response_id": first["final"]["id"] });
    let second = world.client.call("respond", next.clone()).await.unwrap();
    assert_eq!((&second["status"], &second["output_text"]), (&json!("completed"), &json!("echo: And now?")));
    assert!(second["usage"]["total_tokens"].as_u64().unwrap() > 0, "{second}");
    assert_eq!(world.sessions().await.len(), 1);
    let fork = world.client.call("streamResponse", next).await.unwrap_err();
    assert_eq!(fork["name"], "NotFoundError", "the session went on meanwhile: {fork}");
    world.model.assert_clean();
}

#[tokio::test]
async fn errors_are_what_the_client_knows() {
    let world = World::start().await;
    assert_eq!(world.client.call("models", json!({})).await, Ok(json!(["tidy", "heron"])));
    let ask = |model: &str| json!({ "model": model, "messages": [said("user", "hello")] });
    let unknown = world.client.call("complete", ask("gull")).await.unwrap_err();
    assert_eq!((&unknown["name"], &unknown["type"]), (&json!("NotFoundError"), &json!("invalid_request_error")));
    assert!(unknown["message"].as_str().unwrap().contains("GET /v1/bots"), "{unknown}");

    let stranger = OpenAiClient::new(&format!("{}/v1", world.dev.url), "lt_unknown");
    let refused = stranger.call("stream", ask("heron")).await.unwrap_err();
    assert_eq!((&refused["name"], &refused["type"]), (&json!("AuthenticationError"), &json!("authentication_error")));

    world.model.always(Reply::Status(401, "no".to_owned(), None));
    let failed = world.client.call("complete", ask("heron")).await.unwrap_err();
    assert_eq!((failed["status"].as_u64(), &failed["type"]), (Some(502), &json!("server_error")), "{failed}");
    let failed = world.client.call("stream", ask("heron")).await.unwrap_err();
    assert!(failed["message"].as_str().unwrap().contains("did not answer"), "{failed}");
}
