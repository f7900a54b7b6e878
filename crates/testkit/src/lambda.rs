//! Lambda's side of a function: the runtime API, and the function's binary as a process of its own.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use crate::lock;
use crate::loopback::Loopback;

/// A function's answer, or the error that it reported.
type Outcome = Result<Value, Value>;

struct Invocation {
    id: String,
    event: Value,
    /// Milliseconds since the epoch.
    deadline: u64,
}

#[derive(Clone)]
struct Shared {
    invocations: Arc<AsyncMutex<mpsc::UnboundedReceiver<Invocation>>>,
    world: Arc<Mutex<World>>,
}

#[derive(Default)]
struct World {
    invoked: u64,
    waiting: HashMap<String, oneshot::Sender<Outcome>>,
    violations: Vec<String>,
}

/// A server of the runtime API for one function.
pub struct RuntimeApi {
    server: Loopback,
    invocations: mpsc::UnboundedSender<Invocation>,
    world: Arc<Mutex<World>>,
}

impl RuntimeApi {
    pub fn start() -> RuntimeApi {
        let (sender, receiver) = mpsc::unbounded_channel();
        let world = Arc::default();
        let shared = Shared { invocations: Arc::new(AsyncMutex::new(receiver)), world: Arc::clone(&world) };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(respond))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(fail))
            .route("/2018-06-01/runtime/init/error", post(fail_init))
            .with_state(shared);
        RuntimeApi { server: Loopback::serve(router), invocations: sender, world }
    }

    /// `AWS_LAMBDA_RUNTIME_API`: host and port without a scheme.
    pub fn authority(&self) -> String {
        self.server.authority()
    }

    /// Invokes the function. `timeout` is the function's: its deadline lies this far ahead. The error is what the
    /// function reported, or says that it did not answer in time.
    pub async fn invoke(&self, event: Value, timeout: Duration) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut world = lock(&self.world);
            world.invoked += 1;
            let id = format!("00000000-0000-4000-8000-{:012}", world.invoked);
            world.waiting.insert(id.clone(), answer);
            id
        };
        let deadline = (runtime::Clock::system().now() + timeout).as_millis();
        let queued = self.invocations.send(Invocation { id: id.clone(), event, deadline });
        queued.unwrap_or_else(|_| panic!("the runtime API has ended"));
        match tokio::time::timeout(timeout, answered).await {
            Ok(Ok(outcome)) => outcome,
            _ => {
                lock(&self.world).waiting.remove(&id);
                Err(json!({ "errorType": "Sandbox.Timedout", "errorMessage": format!("no answer within {timeout:?}") }))
            }
        }
    }

    /// Starts a function's binary with `env` and what Lambda itself sets, and nothing else of this process's
    /// environment.
    pub fn spawn(&self, binary: &Path, env: &[(String, String)]) -> Function {
        let name = binary.file_name().expect("a binary's path").to_string_lossy().into_owned();
        let log = NamedTempFile::new().expect("a file for the log");
        let output = || Stdio::from(log.reopen().expect("the log's file"));
        let child = Command::new(binary)
            .env_clear()
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", self.authority().as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", &name),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                ("AWS_LAMBDA_LOG_GROUP_NAME", &format!("/aws/lambda/{name}")),
                ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/22/[$LATEST]0123456789abcdef"),
                ("AWS_REGION", "eu-central-1"),
                ("AWS_EC2_METADATA_DISABLED", "true"),
            ])
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output())
            .spawn();
        let child = child.unwrap_or_else(|error| panic!("{} does not start: {error}", binary.display()));
        Function { child, log }
    }

    /// Fails if the function broke the protocol.
    pub fn assert_clean(&self) {
        let world = lock(&self.world);
        assert!(world.violations.is_empty(), "the function broke the protocol: {:#?}", world.violations);
    }
}

/// A function's process. Killed when dropped.
pub struct Function {
    child: Child,
    log: NamedTempFile,
}

impl Function {
    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap_or_default()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn next(State(shared): State<Shared>) -> Response {
    let Some(invocation) = shared.invocations.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let headers = [
        ("lambda-runtime-aws-request-id", invocation.id),
        ("lambda-runtime-deadline-ms", invocation.deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:123456789012:function:lowtide".to_owned()),
        (
            "lambda-runtime-trace-id",
            "Root=1-6b010000-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=0".to_owned(),
        ),
    ];
    let mut response = Json(invocation.event).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().expect("a header's value"));
    }
    response
}

async fn respond(
    State(shared): State<Shared>,
    UrlPath(id): UrlPath<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let is_stream = headers.get("lambda-runtime-function-response-mode").is_some_and(|mode| mode == "streaming");
    let answer = if is_stream { streamed(&body) } else { serde_json::from_slice(&body).map_err(|it| it.to_string()) };
    match answer {
        Ok(answer) => settle(&shared, &id, Ok(answer)),
        Err(error) => {
            let text = String::from_utf8_lossy(&body).into_owned();
            lock(&shared.world).violations.push(format!("the response is not what Lambda takes ({error}): {text}"));
            settle(&shared, &id, Err(json!({ "errorType": "Runtime.MarshalError", "errorMessage": text })))
        }
    }
}

/// A streamed HTTP response (`application/vnd.awslambda.http-integration-response`) as one that is not streamed: JSON with status and
/// headers, eight zero bytes, the body.
fn streamed(response: &[u8]) -> Result<Value, String> {
    let end = response.windows(PRELUDE_END.len()).position(|bytes| bytes == PRELUDE_END);
    let end = end.ok_or("a stream has eight zero bytes behind its status and headers")?;
    let mut answer: Value = serde_json::from_slice(&response[..end]).map_err(|error| error.to_string())?;
    answer["body"] = String::from_utf8_lossy(&response[end + PRELUDE_END.len()..]).into();
    Ok(answer)
}

/// What ends the beginning of a streamed HTTP response.
const PRELUDE_END: &[u8] = &[0; 8];

async fn fail(State(shared): State<Shared>, UrlPath(id): UrlPath<String>, body: Bytes) -> Response {
    settle(&shared, &id, Err(reported(&body)))
}

/// Lambda fails the invocation that the environment was started for.
async fn fail_init(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let mut error = reported(&body);
    if let Some(kind) = headers.get("lambda-runtime-function-error-type").and_then(|kind| kind.to_str().ok()) {
        error["errorType"] = kind.into();
    }
    let waiting: Vec<_> = lock(&shared.world).waiting.drain().collect();
    for (_, answer) in waiting {
        // Whoever waited has given up.
        let _ = answer.send(Err(error.clone()));
    }
    accepted()
}

fn reported(body: &[u8]) -> Value {
    let error = serde_json::from_slice(body).ok().filter(Value::is_object);
    error.unwrap_or_else(|| json!({ "errorMessage": String::from_utf8_lossy(body) }))
}

fn settle(shared: &Shared, id: &str, outcome: Outcome) -> Response {
    let mut world = lock(&shared.world);
    match world.waiting.remove(id) {
        Some(answer) => {
            // Whoever waited has given up.
            let _ = answer.send(outcome);
            accepted()
        }
        None => {
            world.violations.push(format!("an answer for the invocation {id}, which is not in hand"));
            let error = json!({ "errorType": "InvalidRequestID", "errorMessage": "Invalid request ID" });
            (StatusCode::BAD_REQUEST, Json(error)).into_response()
        }
    }
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "status": "OK" }))).into_response()
}
