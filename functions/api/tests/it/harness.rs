//! A whole API in one process: the router over embedded services, and a Telegram that answers as the real one does.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::scope::Scope;
use api::views::ProblemView;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::response::Parts;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::routing::post;
use axum::{Json, Router};
use domain::{Account, AccountId, Budget, KeyId, Task, Timestamp};
use embedded::Embedded;
use queues::{Queue, Queues};
use runtime::{AwsClients, Clock, Entropy, Environment, LocalEndpoints, Settings, http_client, install_crypto};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use store::{Keyring, Store};
use tower::ServiceExt;

/// A token that the fake Telegram knows; its bot is `@tidy_bot`.
pub(crate) const TOKEN: &str = "100:good";
/// Another one; its bot is `@other_bot`.
pub(crate) const OTHER_TOKEN: &str = "200:good";
/// The fake refuses this one.
pub(crate) const REFUSED_TOKEN: &str = "300:refused";
/// The fake has trouble of its own with this one.
pub(crate) const TROUBLED_TOKEN: &str = "500:trouble";
/// The fake knows whose this is, and takes no webhook for it.
pub(crate) const NO_WEBHOOK_TOKEN: &str = "400:no_webhook";

pub(crate) struct Api {
    pub(crate) environment: Environment,
    /// The key of the account that most tests act as.
    pub(crate) key: String,
    pub(crate) account: AccountId,
    pub(crate) telegram: Telegram,
    router: Router,
    _embedded: Embedded,
    _dir: tempfile::TempDir,
}

/// One answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(&name).unwrap_or_else(|| panic!("no header {name}: {self:?}")).to_str().unwrap()
    }

    /// The body of an answer that should have this status.
    pub(crate) fn read<T: DeserializeOwned>(&self, status: u16) -> T {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The detail of an answer that should be a problem of this status.
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(self.header(header::CONTENT_TYPE), "application/problem+json");
        let problem: ProblemView = self.read(status);
        assert_eq!((problem.status, problem.kind.as_str()), (status, "about:blank"));
        assert!(!problem.title.is_empty());
        problem.detail
    }
}

impl Api {
    /// An API that Telegram can reach.
    pub(crate) async fn start() -> Api {
        Api::start_at(Some("https://bots.example")).await
    }

    pub(crate) async fn start_at(public_url: Option<&str>) -> Api {
        Api::start_with(public_url, |_| {}).await
    }

    /// An API whose settings are changed by `change`.
    pub(crate) async fn start_with(public_url: Option<&str>, change: impl FnOnce(&mut Settings)) -> Api {
        install_crypto();
        let dir = tempfile::tempdir().unwrap();
        let embedded = Embedded::start(dir.path()).await.unwrap();
        let endpoints = embedded.endpoints();
        let aws = AwsClients::local(&LocalEndpoints {
            dynamodb: endpoints.dynamodb.clone(),
            s3: endpoints.s3.clone(),
            sqs: endpoints.sqs.clone(),
        });
        let keyring = Keyring::local([7; 32]).unwrap();
        let store = Store::new(aws.dynamo, aws.s3, "lowtide".to_owned(), "lowtide".to_owned(), keyring);
        store.create_missing().await.unwrap();
        let telegram = Telegram::start().await;
        let mut environment = Environment {
            store,
            queues: Queues::create_missing(aws.sqs).await.unwrap(),
            clock: Clock::system(),
            entropy: Entropy::system(),
            settings: Settings {
                public_url: public_url.map(str::to_owned),
                telegram_api_base: telegram.base.clone(),
                ..Settings::default()
            },
            http: http_client().unwrap(),
            bedrock: None,
        };
        change(&mut environment.settings);
        let (account, key) = new_account(&environment, "Ada").await;
        let router = api::router(environment.clone());
        Api { environment, key, account, telegram, router, _embedded: embedded, _dir: dir }
    }

    /// Makes a further account and returns a key of it.
    pub(crate) async fn other_key(&self) -> String {
        new_account(&self.environment, "Grace").await.1
    }

    /// Makes a key of the account that has these scopes and no others.
    pub(crate) async fn key_with(&self, scopes: &[Scope]) -> String {
        let now = self.environment.clock.now();
        let id = KeyId::from_parts(now, self.environment.entropy.next_u128());
        let key = self.environment.entropy.secret("lt_");
        let scopes = scopes.iter().map(ToString::to_string).collect();
        let account = self.environment.store.account(self.account);
        account.api_key_create(id, "narrow", Some(scopes), &key, now).await.unwrap();
        key
    }

    pub(crate) async fn raw(&self, request: Request<Body>) -> Answer {
        let (parts, bytes) = self.raw_bytes(request).await;
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8_lossy(&bytes).into_owned() }
    }

    /// An answer whose body has not come yet.
    pub(crate) async fn open(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// An answer whose body is no text.
    pub(crate) async fn raw_bytes(&self, request: Request<Body>) -> (Parts, Bytes) {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        (parts, axum::body::to_bytes(body, usize::MAX).await.unwrap())
    }

    pub(crate) async fn call_as(&self, key: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"));
        let request = match body {
            Some(json) => request.header("content-type", "application/json").body(Body::from(json.to_string())),
            None => request.body(Body::empty()),
        };
        self.raw(request.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call_as(&self.key, "GET", path, None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call_as(&self.key, "DELETE", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call_as(&self.key, "POST", path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call_as(&self.key, "PATCH", path, Some(body)).await
    }

    /// Makes a bot and returns its view.
    pub(crate) async fn new_bot(&self, name: &str) -> api::views::BotView {
        self.post("/v1/bots", json!({ "name": name })).await.read(201)
    }

    /// Takes all tasks out of a queue.
    pub(crate) async fn take_tasks(&self, queue: Queue) -> Vec<Task> {
        let mut tasks = Vec::new();
        loop {
            let received = self.environment.queues.receive(queue, 10, Duration::ZERO).await.unwrap();
            if received.is_empty() {
                return tasks;
            }
            for message in received {
                tasks.push(Task::from_body(&message.body).unwrap());
                self.environment.queues.delete(queue, &message.receipt).await.unwrap();
            }
        }
    }
}

async fn new_account(environment: &Environment, name: &str) -> (AccountId, String) {
    let now: Timestamp = environment.clock.now();
    let id = AccountId::from_parts(now, environment.entropy.next_u128());
    let key = environment.entropy.secret("lt_");
    let account = environment.store.account(id);
    account
        .account_put(&Account { id, name: name.to_owned(), budget: Budget::default(), created_at: now })
        .await
        .unwrap();
    account
        .api_key_create(KeyId::from_parts(now, environment.entropy.next_u128()), "test", None, &key, now)
        .await
        .unwrap();
    (id, key)
}

/// A stand-in for the Bot API that keeps the webhooks as Telegram does.
#[derive(Clone)]
pub(crate) struct Telegram {
    base: String,
    calls: Arc<Mutex<Vec<(String, String, Value)>>>,
}

impl Telegram {
    async fn start() -> Telegram {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let telegram = Telegram { base, calls: Arc::default() };
        let router = Router::new().route("/{bot}/{method}", post(answer)).with_state(telegram.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        telegram
    }

    /// The token, method and parameters of the calls since the last time, `getMe` left out.
    pub(crate) fn take_calls(&self) -> Vec<(String, String, Value)> {
        let mut calls = std::mem::take(&mut *self.calls.lock().unwrap());
        calls.retain(|(_, method, _)| method != "getMe");
        calls
    }
}

async fn answer(
    State(telegram): State<Telegram>,
    Path((bot, method)): Path<(String, String)>,
    Json(parameters): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let token = bot.strip_prefix("bot").unwrap().to_owned();
    telegram.calls.lock().unwrap().push((token.clone(), method.clone(), parameters));
    let error = |status: u16, description: &str| {
        let body = json!({ "ok": false, "error_code": status, "description": description });
        (StatusCode::from_u16(status).unwrap(), Json(body))
    };
    let username = match token.as_str() {
        TOKEN => "tidy_bot",
        OTHER_TOKEN => "other_bot",
        NO_WEBHOOK_TOKEN if method == "setWebhook" => {
            return error(400, "Bad Request: bad webhook: HTTPS url must be provided for webhook");
        }
        NO_WEBHOOK_TOKEN => "lonely_bot",
        TROUBLED_TOKEN => return error(502, "Bad Gateway"),
        _ => return error(401, "Unauthorized"),
    };
    let result = match method.as_str() {
        "getMe" => json!({ "id": 100, "is_bot": true, "first_name": "Tidy", "username": username }),
        "setWebhook" | "deleteWebhook" | "setMyCommands" => json!(true),
        other => panic!("the API should not call {other}"),
    };
    (StatusCode::OK, Json(json!({ "ok": true, "result": result })))
}
