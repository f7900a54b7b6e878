//! The end of the SDK's wire: what would go over a socket is answered from the state in memory.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use tokio::time::Instant;

use super::network::{Call, Fate, Network};
use super::{Cloud, dynamo, s3, sqs};

/// One HTTP answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &str, body: Vec<u8>) -> Answer {
        Answer { status, headers: vec![("content-type".to_owned(), content_type.to_owned())], body }
    }

    pub(crate) fn with(mut self, header: &str, value: impl Into<String>) -> Answer {
        self.headers.push((header.to_owned(), value.into()));
        self
    }

    /// To the SDK a service that is unavailable and an answer that is lost are the same.
    fn lost() -> Answer {
        Answer { status: 503, headers: vec![], body: vec![] }
    }
}

impl From<Answer> for HttpResponse {
    fn from(answer: Answer) -> HttpResponse {
        let status = answer.status.try_into().expect("a status of HTTP");
        let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
        for (name, value) in answer.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// A request that was read and waits to be performed.
enum Request {
    Dynamo(dynamo::Incoming),
    Sqs(sqs::Incoming),
    S3(s3::Incoming),
}

impl Request {
    fn of(request: &HttpRequest) -> Request {
        let host = request.uri().split('/').nth(2).unwrap_or_default();
        let body = request.body().bytes().expect("a body that is in memory");
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        match host {
            "dynamodb.sim" => Request::Dynamo(dynamo::Incoming::read(operation, body)),
            "sqs.sim" => Request::Sqs(sqs::Incoming::read(operation, body)),
            "s3.sim" => Request::S3(s3::Incoming::read(request, body)),
            _ => panic!("nothing is simulated at {host}"),
        }
    }

    fn call(&self) -> Call {
        let (service, operation, key) = match self {
            Request::Dynamo(incoming) => ("DynamoDB", incoming.operation.clone(), incoming.key()),
            Request::Sqs(incoming) => ("SQS", incoming.operation.clone(), incoming.key()),
            Request::S3(incoming) => ("S3", incoming.operation().to_owned(), incoming.key()),
        };
        Call { service, operation, key }
    }

    async fn perform(self, cloud: &Cloud) -> Answer {
        match self {
            Request::Dynamo(incoming) => incoming.perform(&mut cloud.state().dynamo, Instant::now()),
            Request::Sqs(incoming) => sqs::perform(incoming, cloud).await,
            Request::S3(incoming) => incoming.perform(&mut cloud.state().s3),
        }
    }
}

/// Takes the SDK's requests to the cloud over a network.
#[derive(Clone)]
struct Connector {
    cloud: Cloud,
    network: Arc<dyn Network>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connector").field(&self.network).finish()
    }
}

impl Connector {
    async fn answer(self, request: HttpRequest) -> Answer {
        let request = Request::of(&request);
        let call = request.call();
        self.cloud.state().calls.push(call.clone());
        if self.network.before(&call).await == Fate::Lose {
            return Answer::lost();
        }
        let answer = request.perform(&self.cloud).await;
        if self.network.after(&call).await == Fate::Lose {
            return Answer::lost();
        }
        answer
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move { Ok(connector.answer(request).await.into()) })
    }
}

/// What the SDK asks for a connector at every request.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedHttp(SharedHttpConnector);

impl SimulatedHttp {
    pub(crate) fn new(cloud: Cloud, network: Arc<dyn Network>) -> SimulatedHttp {
        SimulatedHttp(SharedHttpConnector::new(Connector { cloud, network }))
    }
}

impl HttpClient for SimulatedHttp {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        self.0.clone()
    }
}

/// The time that the SDK signs with: tokio's, which a simulation has paused, from a fixed day on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SimulatedTime(pub(super) Instant);

/// The beginning of 2027.
const FIRST_DAY: Duration = Duration::from_secs(1_798_761_600);

impl TimeSource for SimulatedTime {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + FIRST_DAY + self.0.elapsed()
    }
}
