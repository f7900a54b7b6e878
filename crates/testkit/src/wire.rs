//! The wire between a worker and AWS: counts what passes, reads what transactions write, loses requests and answers, is cut
//! for a while, and tells when to kill the worker.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use runtime::LocalEndpoints;
use serde_json::Value;
use tokio::sync::{Notify, watch};

use crate::lock;
use crate::loopback::Loopback;

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not arrive. The SDK may send it again.
    LostRequest,
    /// It takes effect, and its answer does not arrive. The SDK may send it again.
    LostAnswer,
    /// The worker dies as it sends it.
    KillBefore,
    /// It takes effect, and the worker dies before it reads the answer.
    KillAfter,
}

impl Fault {
    pub const ALL: [Fault; 4] = [Fault::LostRequest, Fault::LostAnswer, Fault::KillBefore, Fault::KillAfter];
}

#[derive(Default)]
struct Traffic {
    calls: Vec<String>,
    /// The bodies of the transactions among them.
    transactions: Vec<Bytes>,
    /// The number of the request that goes wrong, and how.
    armed: Option<(usize, Fault)>,
}

#[derive(Clone)]
struct Hop {
    service: &'static str,
    upstream: String,
    http: reqwest::Client,
    traffic: Arc<Mutex<Traffic>>,
    killed: Arc<Notify>,
    is_cut: watch::Receiver<bool>,
}

/// A wire in front of the three services.
pub struct Wire {
    servers: [Loopback; 3],
    traffic: Arc<Mutex<Traffic>>,
    killed: Arc<Notify>,
    is_cut: watch::Sender<bool>,
}

impl Wire {
    /// A wire to the services at `endpoints`.
    pub fn to(endpoints: &LocalEndpoints) -> Wire {
        let (traffic, killed) = (Arc::new(Mutex::new(Traffic::default())), Arc::new(Notify::new()));
        let http = reqwest::Client::new();
        let is_cut = watch::Sender::default();
        let server = |service, upstream: &str| {
            let (traffic, killed) = (traffic.clone(), killed.clone());
            let is_cut = is_cut.subscribe();
            let hop = Hop { service, upstream: upstream.to_owned(), http: http.clone(), traffic, killed, is_cut };
            Loopback::serve(Router::new().fallback(pass).with_state(hop))
        };
        let servers =
            [server("DynamoDB", &endpoints.dynamodb), server("S3", &endpoints.s3), server("SQS", &endpoints.sqs)];
        Wire { servers, traffic, killed, is_cut }
    }

    /// Where the worker finds the services.
    pub fn endpoints(&self) -> LocalEndpoints {
        let [dynamodb, s3, sqs] = &self.servers;
        LocalEndpoints { dynamodb: dynamodb.url(), s3: s3.url(), sqs: sqs.url() }
    }

    /// Lets what is sent to the services wait, unanswered, until the wire is mended.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Lets pass what waits, and what is sent from now on.
    pub fn mend(&self) {
        self.is_cut.send_replace(false);
    }

    /// Lets the `n`-th request from now on, from 0, go wrong.
    pub fn arm(&self, n: usize, fault: Fault) {
        let mut traffic = lock(&self.traffic);
        *traffic = Traffic { armed: Some((n, fault)), ..Traffic::default() };
    }

    /// Forgets what passed so far.
    pub fn clear(&self) {
        *lock(&self.traffic) = Traffic::default();
    }

    /// What passed, such as `DynamoDB Query`, in order.
    pub fn calls(&self) -> Vec<String> {
        lock(&self.traffic).calls.clone()
    }

    /// What each transaction that passed writes, such as `Put head`: each write with the kind of its row, which is its
    /// sort key up to the first `#`.
    pub fn transactions(&self) -> Vec<Vec<String>> {
        lock(&self.traffic).transactions.iter().map(|body| writes(body)).collect()
    }

    /// Whether the armed fault has happened.
    pub fn has_struck(&self) -> bool {
        let traffic = lock(&self.traffic);
        traffic.armed.is_some_and(|(n, _)| traffic.calls.len() > n)
    }

    /// Waits for the moment at which the worker is to die.
    pub async fn killed(&self) {
        self.killed.notified().await;
    }
}

async fn pass(State(mut hop): State<Hop>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if hop.is_cut.wait_for(|is_cut| !is_cut).await.is_err() {
        return lost();
    }
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let operation = match target.and_then(|target| target.rsplit('.').next()) {
        Some(operation) => operation.to_owned(),
        None => method.to_string(),
    };
    let fault = {
        let mut traffic = lock(&hop.traffic);
        let n = traffic.calls.len();
        traffic.calls.push(format!("{} {operation}", hop.service));
        if operation == "TransactWriteItems" {
            traffic.transactions.push(body.clone());
        }
        traffic.armed.filter(|(armed, _)| *armed == n).map(|(_, fault)| fault)
    };
    match fault {
        None => hop.forward(method, &uri, headers, body).await,
        Some(Fault::LostRequest) => lost(),
        Some(Fault::LostAnswer) => {
            hop.forward(method, &uri, headers, body).await;
            lost()
        }
        Some(Fault::KillBefore) => hop.kill().await,
        Some(Fault::KillAfter) => {
            hop.forward(method, &uri, headers, body).await;
            hop.kill().await
        }
    }
}

/// The writes of a transaction.
fn writes(body: &[u8]) -> Vec<String> {
    let body: Value = serde_json::from_slice(body).expect("a transaction is JSON");
    let items = body["TransactItems"].as_array().expect("a transaction has items");
    let writes = items.iter().flat_map(|item| item.as_object().expect("a write is an object"));
    let named = writes.map(|(kind, write)| {
        let row = write.get("Item").or(write.get("Key")).expect("a write names its row");
        let sk = row["sk"]["S"].as_str().expect("a row has a sort key");
        format!("{kind} {}", sk.split('#').next().unwrap_or_default())
    });
    named.collect()
}

/// To the SDK a service that is unavailable and an answer that is lost are the same.
fn lost() -> Response {
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

impl Hop {
    async fn forward(&self, method: Method, uri: &Uri, mut headers: HeaderMap, body: Bytes) -> Response {
        headers.remove("host");
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = self.http.request(method, format!("{}{path}", self.upstream)).headers(headers).body(body);
        let Ok(answer) = request.send().await else { return lost() };
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        headers.remove("transfer-encoding");
        match answer.bytes().await {
            Ok(body) => (status, headers, Body::from(body)).into_response(),
            Err(_) => lost(),
        }
    }

    /// Says that the worker is to die, and never answers it.
    async fn kill(&self) -> Response {
        self.killed.notify_one();
        std::future::pending().await
    }
}
