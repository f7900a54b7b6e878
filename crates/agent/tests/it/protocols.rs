//! Each wire protocol against a model server that is not ours: npm's `@copilotkit/aimock`. A proxy before it keeps the
//! requests as they were sent, and each of them is held to its protocol's rules.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use agent::{AgentConfig, AwsAccess, Mind, ModelRequest, Progress, Secret};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use domain::account::ModelApi;
use domain::{Answer, Attachment, AttachmentKind, EntryBody, Media, MediaId, Thinking};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::scripted_model::{KEY, Reply, ScriptedModel};
use crate::session::{Pictures, Session, agent};

const SCRIPT: &str = r#"
    const { LLMock } = require('@copilotkit/aimock');
    const call = (name, args) => ({ name, arguments: args });
    const mock = new LLMock({ port: 0, host: '127.0.0.1', latency: 10, chunkSize: 8 });
    const begins = (word) => ({ predicate: ({ messages }) =>
        JSON.stringify(messages.filter(({ role }) => role === 'user')).includes(word)
        && !messages.some(({ role }) => role === 'tool') });
    mock.addFixture({ match: begins('time'), response: {
        content: 'I look.', reasoning: 'Hm.',
        toolCalls: [call('current_time', '{}'), call('current_time', '{"zone":"Asia/Tokyo"}')] } });
    mock.addFixture({ match: begins('broken'), response: {
        toolCalls: [call('current_time', '{"zone":')] } });
    mock.addFixture({ match: {}, response: { content: 'It is three here and eleven in Tokyo.' } });
    mock.start().then(() => console.log('serving at ' + mock.url));
    setTimeout(() => process.exit(0), 120000);
"#;

/// The model server in a Node.js process, ended when dropped.
struct Peer {
    _child: Child,
    url: String,
}

impl Peer {
    async fn start() -> Peer {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/npm");
        let help = "aimock is not installed: run `cargo xtask tools`, or the tests through `cargo xtask test`";
        assert!(modules.join("node_modules/@copilotkit/aimock").exists(), "{help}");
        let node = Command::new("node")
            .args(["-e", SCRIPT])
            .current_dir(modules)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = node.expect("Node.js");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let url = loop {
            let line = lines.next_line().await.expect("a line").expect("aimock's address");
            if let Some(url) = line.strip_prefix("serving at ") {
                break url.to_owned();
            }
        };
        Peer { _child: child, url }
    }
}

#[derive(Clone)]
struct Sent {
    path: String,
    headers: HeaderMap,
    body: Value,
}

/// Keeps requests and passes them on.
#[derive(Clone)]
struct Proxy {
    peer: String,
    /// The server takes no notice of the wish for a stream.
    is_whole: bool,
    /// How many requests are refused before the first is passed on.
    limited: Arc<Mutex<u32>>,
    sent: Arc<Mutex<Vec<Sent>>>,
    http: reqwest::Client,
}

impl Proxy {
    async fn start(peer: &Peer, is_whole: bool, limited: u32) -> (Proxy, String) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (limited, sent) = (Arc::new(Mutex::new(limited)), Arc::default());
        let proxy = Proxy { peer: peer.url.clone(), is_whole, limited, sent, http: reqwest::Client::new() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(pass_on).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (proxy, url)
    }

    fn sent(&self) -> Vec<Sent> {
        self.sent.lock().expect("the requests").clone()
    }
}

async fn pass_on(State(proxy): State<Proxy>, uri: Uri, headers: HeaderMap, bytes: Bytes) -> Response {
    let mut body: Value = serde_json::from_slice(&bytes).expect("JSON");
    proxy.sent.lock().expect("the requests").push(Sent {
        path: uri.to_string(),
        headers: headers.clone(),
        body: body.clone(),
    });
    {
        let mut limited = proxy.limited.lock().expect("the limit");
        if *limited > 0 {
            *limited -= 1;
            let error = json!({ "error": { "type": "rate_limit_error", "message": "slow down" } });
            return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")], axum::Json(error)).into_response();
        }
    }
    // aimock takes everything in this list for a tool.
    if let Some(tools) = body.pointer_mut("/toolConfig/tools").and_then(Value::as_array_mut) {
        tools.retain(|tool| tool.get("cachePoint").is_none());
    }
    let mut path = uri.to_string();
    if proxy.is_whole {
        body.as_object_mut().expect("an object").remove("stream");
        path = path.replace(":streamGenerateContent?alt=sse", ":generateContent").replace("-stream", "");
    }
    let mut request = proxy.http.post(format!("{}{path}", proxy.peer)).json(&body);
    for name in ["authorization", "x-api-key", "anthropic-version", "x-goog-api-key"] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value);
        }
    }
    let response = request.send().await.expect("aimock's answer");
    let status = response.status();
    let kind = response.headers().get(CONTENT_TYPE).cloned().expect("a content type");
    (status, [(CONTENT_TYPE, kind)], Body::from_stream(response.bytes_stream())).into_response()
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Progress for Told {
    fn said(&self, text: &str) {
        self.0.lock().expect("the texts").push(text.to_owned());
    }
}

/// A protocol, the model that is asked in it, and where its base URL ends.
const PROTOCOLS: [(ModelApi, &str, &str); 5] = [
    (ModelApi::OpenaiCompletions, "custom/gpt-5.1", "/v1"),
    (ModelApi::OpenaiResponses, "openai/gpt-5.1", "/v1"),
    (ModelApi::AnthropicMessages, "anthropic/claude-sonnet-4-5", "/v1"),
    (ModelApi::GoogleGenerativeAi, "google/gemini-2.5-flash", "/v1beta"),
    (ModelApi::BedrockConverseStream, "amazon-bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", ""),
];

/// A picture of one white point.
const PNG: &[u8] = &[0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0];

fn picture() -> Media {
    Media { id: MediaId::of(PNG), mime: "image/png".to_owned(), size: PNG.len() as u64, name: None }
}

fn say_with_picture(session: &mut Session, text: &str) {
    session.say(text);
    let Some(EntryBody::User(user)) = session.entries.last_mut().map(|entry| &mut entry.body) else { return };
    user.attachments.push(Attachment {
        kind: AttachmentKind::Image,
        reference: "file".to_owned(),
        name: None,
        mime: None,
        size: None,
        media: Some(picture()),
        text: None,
    });
}

/// Talks to a model until it has answered, as a worker does. Every tool shows a picture.
async fn talk(
    api: ModelApi,
    reference: &str,
    url: &str,
    text: &str,
    thinking: Option<Thinking>,
) -> (Vec<Answer>, Vec<String>) {
    let is_bedrock = api == ModelApi::BedrockConverseStream;
    let credentials = aws_credential_types::Credentials::new("AKIDTEST", "secret", None, None, "test");
    let aws = AwsAccess {
        region: "eu-central-1".to_owned(),
        credentials: aws_credential_types::provider::SharedCredentialsProvider::new(credentials),
        endpoint: Some(url.to_owned()),
    };
    let agent = agent(AgentConfig { private_models: true, aws: Some(aws), ..AgentConfig::default() });
    let (key, host, told) = (Secret::new(KEY), Pictures(vec![(picture().id, PNG)]), Told::default());
    let mut session = Session::default();
    say_with_picture(&mut session, text);
    let mut answers: Vec<Answer> = Vec::new();
    while answers.last().is_none_or(|answer| !answer.tool_calls.is_empty()) {
        assert!(answers.len() < 3, "{api:?} does not come to an end: {answers:?}");
        let request = session.request(Some(reference), Some(url).filter(|_| !is_bedrock), &key);
        let mut bot = request.bot;
        bot.api = Some(api);
        bot.api_key = Some(&key).filter(|_| !is_bedrock);
        bot.thinking = thinking;
        let request = ModelRequest { bot, host: &host, progress: Some(&told), ..request };
        let answer = agent.answer(&request).await.unwrap_or_else(|error| panic!("{api:?}: {error}"));
        answers.push(answer.clone());
        session.take(&agent, answer).await;
        for entry in &mut session.entries {
            if let EntryBody::ToolResult(result) = &mut entry.body {
                result.media = vec![picture()];
            }
        }
    }
    (answers, told.0.into_inner().expect("the texts"))
}

#[tokio::test]
async fn tools_are_called_in_parallel_and_pictures_shown() {
    let peer = Peer::start().await;
    for (api, reference, base) in PROTOCOLS {
        for (is_whole, thinking) in [(false, None), (true, None), (false, Some(Thinking::Low))] {
            let (proxy, url) = Proxy::start(&peer, is_whole, 0).await;
            let url = format!("{url}{base}");
            let (answers, told) = talk(api, reference, &url, "What time is it, here and in Tokyo?", thinking).await;
            let [first, last] = answers.as_slice() else { panic!("{api:?}: {answers:?}") };
            let zones: Vec<&str> = first.tool_calls.iter().map(|call| call.arguments.as_str()).collect();
            assert!(matches!(zones.as_slice(), ["{}" | "", r#"{"zone":"Asia/Tokyo"}"#]), "{api:?}: {zones:?}");
            assert_eq!(last.text, "It is three here and eleven in Tokyo.", "{api:?}");
            assert_eq!((first.model.as_str(), told.last()), (reference, Some(&last.text)), "{api:?}");
            assert!(is_whole || told.len() > 2, "{api:?} told of its answers only {told:?}");

            let sent = proxy.sent();
            assert_eq!(sent.len(), 2, "{api:?}");
            sent.iter().for_each(|sent| check(api, sent));
            let pictures = sent.iter().map(|sent| sent.body.to_string().matches(&base64(PNG)).count());
            assert_eq!(pictures.collect::<Vec<_>>(), [1, 3], "{api:?}: one of the person, one of each tool");
        }
    }
}

#[tokio::test]
async fn limits_are_waited_for_and_malformed_calls_told_to_the_model() {
    let peer = Peer::start().await;
    for (api, reference, base) in PROTOCOLS {
        let (proxy, url) = Proxy::start(&peer, false, 1).await;
        let (answers, _) = talk(api, reference, &format!("{url}{base}"), "Make a broken call", None).await;
        assert_eq!(answers.len(), 2, "{api:?}");
        assert_eq!(answers[0].tool_calls.len(), 1, "{api:?}");
        let sent = proxy.sent();
        assert_eq!(sent.len(), 3, "{api:?}: once in vain");
        assert_eq!(sent[0].body, sent[1].body, "{api:?}");
        sent.iter().for_each(|sent| check(api, sent));
    }
}

#[tokio::test]
async fn the_text_so_far_is_told_from_its_beginning() {
    let peer = Peer::start().await;
    for (api, reference, base) in PROTOCOLS {
        let (_, url) = Proxy::start(&peer, false, 0).await;
        let (answers, told) = talk(api, reference, &format!("{url}{base}"), "hello", None).await;
        assert!(!told.is_empty() && told.iter().all(|text| answers[0].text.starts_with(text)), "{api:?}: {told:?}");
        assert!(told.is_sorted_by_key(String::len), "{told:?}");
    }
}

#[tokio::test]
async fn the_newest_pictures_are_shown_and_the_older_told_of() {
    let model = ScriptedModel::start([Reply::Text("Ten herons.")]).await;
    let (agent, key) = (agent(AgentConfig { private_models: true, ..AgentConfig::default() }), Secret::new(KEY));
    let pictures: Vec<&'static [u8]> = (0..10u8).map(|n| &*[PNG, &[n]].concat().leak()).collect();
    let host = Pictures(pictures.iter().map(|bytes| (MediaId::of(bytes), *bytes)).collect());
    let mut session = Session::default();
    for (id, _) in &host.0 {
        say_with_picture(&mut session, "look");
        let Some(EntryBody::User(user)) = session.entries.last_mut().map(|entry| &mut entry.body) else { return };
        user.attachments[0].media = Some(Media { id: id.clone(), ..picture() });
    }
    let request = session.request(Some("custom/m"), Some(&model.url), &key);
    agent.answer(&ModelRequest { host: &host, ..request }).await.expect("an answer");
    let request = model.finish().remove(0).to_string();
    assert_eq!(request.matches("data:image/png;base64,").count(), 8);
    assert_eq!(request.matches("is not shown: there are newer ones.").count(), 2);
    assert!(!request.contains(&base64(pictures[1])) && request.contains(&base64(pictures[2])));
}

/// Asks a model that is shown one picture, and returns the requests with what came of it.
async fn show(
    api: ModelApi,
    bytes: &'static [u8],
    replies: Vec<Reply>,
) -> (Vec<String>, Result<Answer, agent::ModelError>) {
    let model = ScriptedModel::start(replies).await;
    let agent = agent(AgentConfig { private_models: true, model_retries: 0, ..AgentConfig::default() });
    let (key, host) = (Secret::new(KEY), Pictures(vec![(picture().id, bytes)]));
    let mut session = Session::default();
    say_with_picture(&mut session, "look");
    let mut request = session.request(Some("custom/m"), Some(&model.url), &key);
    request.bot.api = Some(api);
    let answer = agent.answer(&ModelRequest { host: &host, ..request }).await;
    (model.finish().iter().map(Value::to_string).collect(), answer)
}

#[tokio::test]
async fn a_picture_that_is_refused_does_not_end_the_conversation() {
    let refused = || Reply::Status(400, "Could not process image");
    let (sent, answer) = show(ModelApi::OpenaiCompletions, PNG, vec![refused(), Reply::Text("Well.")]).await;
    assert_eq!(answer.expect("an answer").text, "Well.");
    assert_eq!((sent.len(), sent[0].contains(&base64(PNG)), sent[1].contains(&base64(PNG))), (2, true, false));
    assert!(sent[1].contains("[A picture (image/png) is not shown: your provider refused it"), "{}", sent[1]);

    // Once: without its pictures, what is said against a conversation is final as ever.
    let (sent, answer) = show(ModelApi::OpenaiCompletions, PNG, vec![refused(), refused()]).await;
    assert!(matches!(answer, Err(agent::ModelError::Permanent { .. })) && sent.len() == 2, "{answer:?}");
}

#[tokio::test]
async fn a_picture_has_the_type_of_its_bytes_and_no_other() {
    let (sent, _) = show(ModelApi::OpenaiCompletions, b"GIF89a...", vec![Reply::Text("A heron.")]).await;
    assert!(sent[0].contains("data:image/gif;base64,"), "it is called a PNG: {}", sent[0]);
    let (sent, _) = show(ModelApi::OpenaiCompletions, b"<svg>", vec![Reply::Text("Nothing.")]).await;
    assert!(sent[0].contains("you cannot see pictures of its type") && !sent[0].contains("base64"), "{}", sent[0]);
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Holds a request to its protocol's rules.
fn check(api: ModelApi, sent: &Sent) {
    let Sent { path, headers, body } = sent;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    match api {
        ModelApi::OpenaiCompletions => {
            assert_eq!((path.as_str(), header("authorization")), ("/v1/chat/completions", format!("Bearer {KEY}")));
            assert_eq!((&body["stream"], &body["stream_options"]["include_usage"]), (&json!(true), &json!(true)));
            let mut open = BTreeSet::new();
            for message in list(&body["messages"]) {
                if message["role"] == "tool" {
                    assert!(message["content"].is_string(), "{message}");
                    assert!(open.remove(&message["tool_call_id"].to_string()), "{message} answers nothing");
                    continue;
                }
                assert!(open.is_empty(), "{open:?} has no answer before {message}");
                open.extend(list(&message["tool_calls"]).iter().map(|call| call["id"].to_string()));
            }
            assert!(open.is_empty(), "{open:?}");
        }
        ModelApi::OpenaiResponses => {
            assert_eq!((path.as_str(), header("authorization")), ("/v1/responses", format!("Bearer {KEY}")));
            assert_eq!((&body["store"], &body["stream"]), (&json!(false), &json!(true)));
            let items = list(&body["input"]);
            let ids = |kind: &str| -> Vec<String> {
                items.iter().filter(|item| item["type"] == kind).map(|item| item["call_id"].to_string()).collect()
            };
            assert_eq!(ids("function_call"), ids("function_call_output"));
            let last_call = items.iter().rposition(|item| item["type"] == "function_call").unwrap_or(0);
            let first = items.iter().position(|item| item["type"] == "function_call_output").unwrap_or(items.len());
            assert!(last_call < first);
        }
        ModelApi::AnthropicMessages => {
            assert_eq!((path.as_str(), header("x-api-key")), ("/v1/messages", KEY.to_owned()));
            assert_eq!(header("anthropic-version"), "2023-06-01");
            assert!(body["max_tokens"].as_u64() > body["thinking"]["budget_tokens"].as_u64());
            alternates(&list(&body["messages"]), "/type", "tool_use", "/id", "tool_result", "/tool_use_id");
            assert!((2..=4).contains(&body.to_string().matches("cache_control").count()));
            assert!(list(&body["tools"]).last().is_some_and(|tool| tool.get("cache_control").is_some()));
            assert!(body["system"][0].get("cache_control").is_some());
        }
        ModelApi::GoogleGenerativeAi => {
            assert_eq!(path, "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse");
            assert_eq!(header("x-goog-api-key"), KEY);
            let contents = list(&body["contents"]);
            for (at, content) in contents.iter().enumerate() {
                assert_eq!(content["role"], if at % 2 == 0 { "user" } else { "model" });
                let calls = |content: &Value, kind: &str| {
                    let parts = list(&content["parts"]);
                    parts.iter().filter_map(|part| part.get(kind)).map(|call| call["name"].clone()).collect::<Vec<_>>()
                };
                let next = contents.get(at + 1).map(|next| calls(next, "functionResponse")).unwrap_or_default();
                assert_eq!(calls(content, "functionCall"), next);
            }
        }
        ModelApi::BedrockConverseStream => {
            assert_eq!(path, "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream");
            let signature = header("authorization");
            assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIDTEST/"), "{signature}");
            assert!(signature.contains("/eu-central-1/bedrock/aws4_request"), "{signature}");
            let messages = list(&body["messages"]);
            alternates(&messages, "", "toolUse", "/toolUse/toolUseId", "toolResult", "/toolResult/toolUseId");
            assert!((3..=4).contains(&body.to_string().matches("cachePoint").count()));
            assert!(list(&body["toolConfig"]["tools"]).last().is_some_and(|tool| tool.get("cachePoint").is_some()));
        }
    }
}

/// Roles alternate, and each call is answered once in the message after it. A part's kind stands at `kind`, or is its
/// field.
fn alternates(messages: &[Value], kind: &str, call: &str, call_id: &str, result: &str, result_id: &str) {
    let ids = |message: &Value, wanted: &str, id: &str| -> BTreeSet<String> {
        let is_wanted = |part: &&Value| match kind {
            "" => part.get(wanted).is_some(),
            kind => part.pointer(kind).is_some_and(|kind| kind == wanted),
        };
        let parts = message["content"].as_array().cloned().unwrap_or_default();
        let ids: Vec<String> =
            parts.iter().filter(is_wanted).map(|part| part.pointer(id).expect("an id").to_string()).collect();
        let unique: BTreeSet<String> = ids.iter().cloned().collect();
        assert_eq!(ids.len(), unique.len(), "{message}");
        unique
    };
    for (at, message) in messages.iter().enumerate() {
        assert_eq!(message["role"], if at % 2 == 0 { "user" } else { "assistant" }, "{messages:?}");
        let answered = messages.get(at + 1).map(|next| ids(next, result, result_id)).unwrap_or_default();
        assert_eq!(ids(message, call, call_id), answered);
        let nothing = BTreeSet::new();
        assert!(at > 0 || ids(message, result, result_id) == nothing);
    }
    assert!(messages.len() % 2 == 1, "the last message is a user's");
}
