//! SQS: the AWS JSON protocol on axum over one SQLite file.

mod digest;
mod messages;
mod protocol;
mod receive;
mod settings;
mod store;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

pub(crate) use self::store::Store;

use crate::ids::now_ms;
use crate::sqs::protocol::{
    BatchOf, BatchReply, BatchSucceeded, ChangeVisibility, CreateQueue, Delete, Empty, GetQueueAttributes, GetQueueUrl,
    ListQueues, Message, OfQueue, OneOf, Receive, Send, SetQueueAttributes, SqsError, json_response,
};
use crate::sqs::settings::MAX_MESSAGE_BYTES;
use crate::sqs::store::Queue;
use crate::writer::Durability;

/// A batch of 1 MiB grows up to sixfold when JSON escapes it.
const MAX_REQUEST_BYTES: usize = 8 * 1024 * 1024;

const EXPIRY_SWEEP: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Service {
    store: Arc<Store>,
    url: Arc<str>,
    stop: CancellationToken,
}

/// The service as a router. Queue URLs begin with `url`; long polls end when `stop` is cancelled.
pub(crate) fn router(store: Arc<Store>, url: String, stop: CancellationToken) -> Router {
    Router::new().fallback(answer).layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES)).with_state(Service {
        store,
        url: url.into(),
        stop,
    })
}

/// Deletes what has expired, once a minute.
pub(crate) async fn sweep_until(store: Arc<Store>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EXPIRY_SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match store.expired_delete().await {
            Ok(0) => {}
            Ok(deleted) => tracing::debug!(deleted, "messages past their retention deleted"),
            Err(error) => tracing::warn!(?error, "could not delete expired messages"),
        }
    }
}

async fn answer(State(service): State<Service>, headers: HeaderMap, body: Bytes) -> Response {
    let operation = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .and_then(|target| target.strip_prefix("AmazonSQS."))
        .unwrap_or_default();
    match service.dispatch(operation, &body).await {
        Ok(reply) => json_response(StatusCode::OK, reply),
        Err(error) => error.into_response(),
    }
}

impl Service {
    async fn dispatch(&self, operation: &str, body: &[u8]) -> Result<String, SqsError> {
        match operation {
            "SendMessage" => self.send(parse(body)?).await,
            "SendMessageBatch" => self.send_batch(parse(body)?).await,
            "ReceiveMessage" => self.receive(parse(body)?).await,
            "DeleteMessage" => self.one(Durability::Power, parse(body)?, delete).await,
            "DeleteMessageBatch" => self.batch(Durability::Power, parse(body)?, delete).await,
            "ChangeMessageVisibility" => self.one(Durability::Process, parse(body)?, change_visibility).await,
            "ChangeMessageVisibilityBatch" => self.batch(Durability::Process, parse(body)?, change_visibility).await,
            "CreateQueue" => self.create_queue(parse(body)?).await,
            "GetQueueUrl" => self.get_queue_url(parse(body)?).await,
            "GetQueueAttributes" => self.get_queue_attributes(parse(body)?).await,
            "SetQueueAttributes" => {
                let request: SetQueueAttributes = parse(body)?;
                let name = queue_name(&request.queue_url)?;
                self.store.queue_set(name, request.attributes).await?;
                reply(&Empty {})
            }
            "ListQueues" => {
                let request: ListQueues = parse(body)?;
                let names = self.store.queue_names(request.queue_name_prefix).await?;
                let urls: Vec<String> = names.iter().map(|name| store::url(&self.url, name)).collect();
                reply(&json!({ "QueueUrls": urls }))
            }
            "PurgeQueue" => {
                let request: OfQueue = parse(body)?;
                self.store.queue_purge(queue_name(&request.queue_url)?).await?;
                reply(&Empty {})
            }
            "DeleteQueue" => {
                let request: OfQueue = parse(body)?;
                self.store.queue_delete(queue_name(&request.queue_url)?).await?;
                reply(&Empty {})
            }
            other => Err(SqsError::unsupported_operation(format!("The operation '{other}' is not implemented."))),
        }
    }

    async fn create_queue(&self, request: CreateQueue) -> Result<String, SqsError> {
        let name = request.queue_name;
        self.store.queue_create(name.clone(), request.attributes).await?;
        reply(&json!({ "QueueUrl": store::url(&self.url, &name) }))
    }

    async fn get_queue_url(&self, request: GetQueueUrl) -> Result<String, SqsError> {
        self.store.queue_exists(request.queue_name.clone()).await?;
        reply(&json!({ "QueueUrl": store::url(&self.url, &request.queue_name) }))
    }

    async fn get_queue_attributes(&self, request: GetQueueAttributes) -> Result<String, SqsError> {
        let wanted = request.attribute_names;
        let mut attributes = self.store.queue_attributes(queue_name(&request.queue_url)?).await?;
        if !wanted.iter().any(|name| name == "All") {
            attributes.retain(|name, _| wanted.contains(name));
        }
        reply(&json!({ "Attributes": attributes }))
    }

    async fn send(&self, request: OneOf<Send>) -> Result<String, SqsError> {
        self.one(Durability::Power, request, |connection, queue, message| {
            messages::send(connection, queue, message, now_ms())
        })
        .await
    }

    async fn send_batch(&self, request: BatchOf<Send>) -> Result<String, SqsError> {
        let mut size = 0;
        for entry in &request.entries {
            size += messages::size(&entry.entry).unwrap_or_default();
        }
        if size > MAX_MESSAGE_BYTES {
            return Err(SqsError::batch_too_long(size, MAX_MESSAGE_BYTES));
        }
        self.batch(Durability::Power, request, |connection, queue, message| {
            messages::send(connection, queue, message, now_ms())
        })
        .await
    }

    /// Looks at the queue at once, then whenever it changes or a message becomes visible, until the wait is over.
    async fn receive(&self, request: Receive) -> Result<String, SqsError> {
        let name = queue_name(&request.queue_url)?;
        let arrivals = self.store.arrivals(&name);
        let started = Instant::now();
        loop {
            let mut arrival = std::pin::pin!(arrivals.notified());
            // Registered before the look, so that nothing that arrives after it is missed.
            arrival.as_mut().enable();
            let look = request.clone();
            let received = self
                .store
                .receive(
                    name.clone(),
                    move |connection, queue| receive::receive(connection, queue, &look, now_ms()),
                    |received| received.moved_to.clone(),
                )
                .await?;
            let deadline = started + Duration::from_secs(received.wait_seconds);
            if !received.messages.is_empty() || Instant::now() >= deadline || self.stop.is_cancelled() {
                return reply(&Messages { messages: received.messages });
            }
            let until = match received.next_at {
                Some(at) => {
                    let ms = u64::try_from(at - now_ms()).unwrap_or_default();
                    deadline.min(Instant::now() + Duration::from_millis(ms))
                }
                None => deadline,
            };
            tokio::select! {
                () = arrival => {}
                () = tokio::time::sleep_until(until) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    async fn one<E, T>(
        &self,
        durability: Durability,
        request: OneOf<E>,
        work: impl FnOnce(&Connection, &Queue, E) -> Result<T, SqsError> + std::marker::Send + 'static,
    ) -> Result<String, SqsError>
    where
        E: std::marker::Send + 'static,
        T: Serialize + std::marker::Send + 'static,
    {
        let name = queue_name(&request.queue_url)?;
        let done = self
            .store
            .change(durability, name, move |connection, queue| work(connection, queue, request.entry))
            .await?;
        reply(&done)
    }

    /// Runs `work` for each entry in one transaction. An entry that fails has changed nothing: all checks of an
    /// operation come before its first write.
    async fn batch<E, T>(
        &self,
        durability: Durability,
        request: BatchOf<E>,
        work: impl Fn(&Connection, &Queue, E) -> Result<T, SqsError> + std::marker::Send + 'static,
    ) -> Result<String, SqsError>
    where
        E: std::marker::Send + 'static,
        T: Serialize + std::marker::Send + 'static,
    {
        check_batch(request.entries.iter().map(|entry| entry.id.as_str()))?;
        let name = queue_name(&request.queue_url)?;
        let done = self
            .store
            .change(durability, name, move |connection, queue| {
                let mut done = BatchReply { successful: Vec::new(), failed: Vec::new() };
                for entry in request.entries {
                    match work(connection, queue, entry.entry) {
                        Ok(reply) => done.successful.push(BatchSucceeded { id: entry.id, reply }),
                        Err(error) if error.is_fault() => return Err(error),
                        Err(error) => done.failed.push(error.into_failed(entry.id)),
                    }
                }
                Ok(done)
            })
            .await?;
        reply(&done)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Messages {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<Message>,
}

fn delete(connection: &Connection, queue: &Queue, request: Delete) -> Result<Empty, SqsError> {
    messages::delete(connection, queue, &request, now_ms())?;
    Ok(Empty {})
}

fn change_visibility(connection: &Connection, queue: &Queue, request: ChangeVisibility) -> Result<Empty, SqsError> {
    messages::change_visibility(connection, queue, &request, now_ms())?;
    Ok(Empty {})
}

fn check_batch<'a>(ids: impl ExactSizeIterator<Item = &'a str>) -> Result<(), SqsError> {
    match ids.len() {
        0 => return Err(SqsError::empty_batch()),
        1..=10 => {}
        count => return Err(SqsError::too_many_entries(count)),
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut seen = HashSet::new();
    for id in ids {
        if id.is_empty() || id.len() > 80 || !id.chars().all(allowed) {
            return Err(SqsError::invalid_batch_entry_id());
        }
        if !seen.insert(id) {
            return Err(SqsError::ids_not_distinct(id));
        }
    }
    Ok(())
}

/// The last segment of a queue URL. The rest names the port of the process that gave it out.
fn queue_name(url: &str) -> Result<String, SqsError> {
    match url.trim_end_matches('/').rsplit('/').next() {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(SqsError::missing_parameter("QueueUrl")),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, SqsError> {
    // Smithy clients may leave the body of an empty request out.
    let body = if body.is_empty() { b"{}" } else { body };
    Ok(serde_json::from_slice(body)?)
}

fn reply(value: &impl Serialize) -> Result<String, SqsError> {
    Ok(serde_json::to_string(value)?)
}
