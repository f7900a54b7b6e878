//! What clients of `OpenAI` ask for: queued like any message, refused with words that both sides know.

use api::views::{EntryPage, ProblemView};
use axum::body::Body;
use axum::http::Request;
use domain::turn::Head;
use domain::{Answer, EntryBody, Inbound, Task};
use lambda_http::RequestExt;
use queues::Queue;
use serde_json::{Value, json};

use crate::chat::{commit, user};
use crate::harness::Api;

const PATH: &str = "/v1/chat/completions";

/// The error in `OpenAI`'s way, of an answer that should be a problem.
fn error(problem: &ProblemView) -> (&str, &str) {
    let error = problem.error.as_ref().unwrap();
    assert_eq!(error.message, problem.detail);
    (&error.kind, &error.message)
}

#[tokio::test]
async fn what_a_bot_cannot_do_is_refused_before_it_is_queued() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let said = json!([{ "role": "user", "content": "hello" }]);
    let ask = |more: Value| {
        let mut request = json!({ "model": "Tidy", "messages": said });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    for (more, word) in [
        (json!({ "n": 2 }), "one answer"),
        (json!({ "tools": [{ "type": "function" }] }), "tools of its own"),
        (json!({ "response_format": { "type": "json_object" } }), "text"),
        (json!({ "user": "" }), "user"),
        (json!({ "messages": [] }), "last message"),
        (json!({ "messages": "hello" }), "does not fit"),
    ] {
        let answer = api.post(PATH, ask(more)).await;
        assert!(answer.problem(400).contains(word), "{}", answer.body);
        assert_eq!(error(&answer.read::<ProblemView>(400)).0, "invalid_request_error");
    }
    let unknown = api.post(PATH, json!({ "model": "gull", "messages": said })).await.read::<ProblemView>(404);
    assert_eq!(error(&unknown).0, "invalid_request_error");
    let stranger = api.call_as("lt_none", "POST", PATH, Some(ask(json!({})))).await.read::<ProblemView>(401);
    assert_eq!(error(&stranger).0, "authentication_error");
    assert!(api.get("/v1/bots/gull").await.read::<ProblemView>(404).error.is_none(), "other routes say it once");
    api.call_as(&api.key, "POST", "/v1/bots/Tidy/pause", None).await;
    assert!(api.post(PATH, ask(json!({}))).await.problem(409).contains("/resume"));
    api.call_as(&api.key, "POST", "/v1/bots/Tidy/archive", None).await;
    let resting = api.post(PATH, ask(json!({}))).await;
    assert!(resting.problem(409).contains("archived") && resting.body.contains("/restore"), "{}", resting.body);
    api.new_bot("gull two").await;
    let models: Value = api.get("/v1/models").await.read(200);
    assert_eq!(models["data"].as_array().unwrap().len(), 1, "{models}");
    api.get("/v1/models/Tidy").await.problem(409);
    api.delete("/v1/bots/Tidy").await;
    assert!(api.post(PATH, ask(json!({}))).await.problem(409).contains("deleted"));
    assert!(api.take_tasks(Queue::Turns).await.is_empty());
}

/// A request whose function ends in so many seconds.
fn in_a_function(api: &Api, secs: u64, body: &Value) -> Request<Body> {
    let mut context = lambda_http::Context::default();
    context.deadline = api.environment.clock.now().as_millis() + secs * 1000;
    let request = Request::post(PATH)
        .header("authorization", format!("Bearer {}", api.key))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()));
    request.unwrap().with_lambda_context(context)
}

async fn taken(api: &Api) -> Inbound {
    match api.take_tasks(Queue::Turns).await.pop() {
        Some(Task::Message(inbound)) => *inbound,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_that_takes_longer_than_its_function_lives_is_not_lost() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    let png = "data:image/png;base64,iVBORw0KGgo=";
    let content =
        json!([{ "type": "text", "text": "What is this?" }, { "type": "image_url", "image_url": { "url": png } }]);
    let body = json!({ "model": bot.id, "messages": [{ "role": "user", "content": content }] });
    let answer = api.raw(in_a_function(&api, 6, &body)).await;
    let detail = answer.problem(504);
    assert_eq!(answer.headers["x-should-retry"], "false");
    assert!(!api.get("/v1/audit").await.body.contains("completions"), "what people say is no change");
    let inbound = taken(&api).await;
    assert_eq!(answer.headers["x-lowtide-session"], inbound.session.as_str());
    assert_eq!((inbound.text.as_str(), inbound.is_owner), ("What is this?", true));
    let media = inbound.attachments[0].media.clone().unwrap();
    let kept = api.environment.store.account(api.account).media_get(bot.id, &media.id).await.unwrap();
    assert_eq!((kept.unwrap().len(), media.mime.as_str()), (8, "image/png"));

    let text = Answer { text: "A heron.".into(), model: "demo".into(), ..Answer::default() };
    commit(&api, &inbound, &Head::default(), vec![EntryBody::User(user(&inbound)), EntryBody::Assistant(text)]).await;
    let path = detail.split("GET ").nth(1).unwrap().split(". ").next().unwrap();
    let page: EntryPage = api.get(path).await.read(200);
    assert_eq!((page.items[1].text.as_str(), page.next), ("A heron.", None));
    let page: EntryPage = api.get(&format!("{path}?limit=1")).await.read(200);
    assert_eq!((page.items.len(), page.next), (1, Some(1)));
    let page: EntryPage = api.get(&format!("{path}?limit=1&after=1")).await.read(200);
    assert_eq!((page.items[0].seq, page.next), (1, None));
}

#[tokio::test]
async fn a_stream_that_ends_too_early_says_where_the_answer_will_be() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let said = json!([{ "role": "user", "content": "hello" }]);
    let answer = api.raw(in_a_function(&api, 6, &json!({ "model": "Tidy", "messages": said, "stream": true }))).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["content-type"]), (200, &"text/event-stream".parse().unwrap()));
    let events: Vec<&str> = answer.body.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect();
    let [first, last] = events.as_slice() else { panic!("{events:?}") };
    assert!(first.contains("chat.completion.chunk"), "{first}");
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["error"]["type"], "server_error");
    assert!(last["error"]["message"].as_str().unwrap().contains("/entries"), "{last}");
}

#[tokio::test]
async fn a_key_that_may_only_chat_is_not_the_owner() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let key = api.key_with(&[api::scope::Scope::Chat]).await;
    let models: Value = api.call_as(&key, "GET", "/v1/models", None).await.read(200);
    assert_eq!(models["data"][0]["id"], "Tidy");
    let shown: Value = api.call_as(&key, "GET", "/v1/models/openclaw%2FTidy", None).await.read(200);
    assert_eq!(shown, models["data"][0]);
    let body =
        json!({ "model": "Tidy", "user": "ann", "messages": [{ "role": "user", "content": "/approve K7Q2 once" }] });
    let mut request = in_a_function(&api, 5, &body);
    request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    assert_eq!(api.raw(request).await.status.as_u16(), 504);
    let inbound = taken(&api).await;
    assert_eq!((inbound.is_owner, inbound.sender.id.as_str()), (false, "ann"));
    assert!(inbound.control.is_some());
}
