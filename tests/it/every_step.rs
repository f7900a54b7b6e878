//! Every step of a turn with two tool rounds goes wrong once, in every way: the person still gets one
//! answer, the log has no gap and no repetition, and nothing is left in a queue.

use std::future::Future;
use std::time::{Duration, Instant};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use axum::body::Body;
use axum::http::Request;
use delivery::DeliveryHandler;
use domain::access::DmPolicy;
use domain::turn::QueueMode;
use domain::{AccessPolicy, Bot, Entry, EntryBody, Link, ModelSettings, SessionKey};
use queues::{Queue, Received};
use runtime::Environment;
use serde_json::{Value, json};
use testkit::model::{FakeModel, Reply};
use testkit::stack::Stack;
use testkit::telegram::FakeTelegram;
use testkit::wire::{Fault, Wire};
use tower::ServiceExt;
use turn::TurnHandler;

use crate::dev_process::report;

const TOKEN: &str = "600:every-step";
const WORK_TIME: Duration = Duration::from_secs(180);

/// A bot on Telegram whose model asks for tools twice, and workers that reach AWS over a wire.
struct World {
    stack: Stack,
    wire: Wire,
    worker: Environment,
    telegram: FakeTelegram,
    model: FakeModel,
    bot: Bot,
    link: Link,
    secret: String,
}

impl World {
    async fn start() -> World {
        World::with(QueueMode::default()).await
    }

    async fn with(queue_mode: QueueMode) -> World {
        let mut stack = Stack::start().await;
        let telegram = FakeTelegram::start();
        telegram.add_bot(TOKEN, "step_bot");
        let model = FakeModel::start();
        model.answer_with(two_rounds);
        stack.environment.settings.telegram_api_base = telegram.base_url();
        stack.environment.settings.private_models = true;
        let account = stack.account().await.id;
        let model_settings = ModelSettings {
            model: Some("custom/steps".to_owned()),
            base_url: Some(model.base_url()),
            ..ModelSettings::default()
        };
        let bot = Bot { model: model_settings, queue_mode, ..stack.draft(account, "steps") };
        stack.environment.store.account(account).bot_create(&bot).await.unwrap();
        let access = AccessPolicy { dm_policy: DmPolicy::Open, ..AccessPolicy::default() };
        let (link, secret) = stack.telegram_link(&bot, TOKEN, access).await;
        let wire = Wire::to(&stack.endpoints());
        let worker = stack.environment_over(&wire.endpoints());
        World { stack, wire, worker, telegram, model, bot, link, secret }
    }

    /// Telegram posts the `n`-th message until it is told that it was taken.
    async fn post(&self, n: u32) {
        let update = json!({
            "update_id": n,
            "message": {
                "message_id": n,
                "date": 1_795_341_600,
                "chat": { "id": 5, "type": "private" },
                "from": { "id": 5, "is_bot": false, "first_name": "Ada" },
                "text": format!("question {n}"),
            }
        });
        for _ in 0..10 {
            let request = Request::post(format!("/hooks/telegram/{}", self.link.id))
                .header("x-telegram-bot-api-secret-token", &self.secret)
                .header("content-type", "application/json")
                .body(Body::from(update.to_string()))
                .unwrap();
            let answer = self.until_killed(ingress::router(self.worker.clone()).oneshot(request)).await;
            if answer.is_some_and(|answer| answer.unwrap().status() == 200) {
                return;
            }
        }
        panic!("the message was never taken");
    }

    /// Runs a worker; `None` if it was killed.
    async fn until_killed<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.wire.killed() => None,
        }
    }

    /// Works until nothing is left in the queues, as Lambda would, with a new worker after each death.
    /// With `twice`, every batch is given to two workers one after the other.
    async fn work(&self, twice: bool) {
        for _ in 0..40 {
            let turns = TurnHandler::new(self.worker.clone()).unwrap();
            let deliveries = DeliveryHandler::new(self.worker.clone());
            let deadline = Instant::now() + WORK_TIME;
            let mut idle = true;
            for queue in [Queue::Turns, Queue::Outbound] {
                let received = self.stack.environment.queues.receive(queue, 10, Duration::ZERO).await.unwrap();
                if received.is_empty() {
                    continue;
                }
                idle = false;
                for _ in 0..=usize::from(twice) {
                    let response = match queue {
                        Queue::Turns => self.until_killed(turns.handle(event(&received), deadline)).await,
                        _ => self.until_killed(deliveries.handle(event(&received), deadline)).await,
                    };
                    self.settle(queue, &received, response).await;
                }
            }
            if idle {
                return;
            }
        }
        panic!("the work never ends");
    }

    /// What Lambda does after an invocation; what was not done is there again at once.
    async fn settle(&self, queue: Queue, received: &[Received], response: Option<SqsBatchResponse>) {
        let queues = &self.stack.environment.queues;
        for message in received {
            let failed = response.as_ref().is_none_or(|response| {
                response.batch_item_failures.iter().any(|failure| failure.item_identifier == message.id)
            });
            if failed {
                // A receipt that is not valid any more belongs to a message that was deleted before.
                let _ = queues.release(queue, &message.receipt, Duration::ZERO).await;
            } else {
                let _ = queues.delete(queue, &message.receipt).await;
            }
        }
    }

    async fn log(&self) -> Vec<Entry> {
        let account = self.stack.environment.store.account(self.bot.account);
        let session = SessionKey::main("main");
        account.session_read(self.bot.id, &session, 0, 1000).await.unwrap().entries
    }

    /// Checks everything that was promised, after `messages` messages. Telegram has no idempotency key, so
    /// a worker that dies between sending and recording it sends again: this happened up to `gaps` times.
    async fn check(&self, messages: u32, gaps: usize, what: &str) {
        let log = self.log().await;
        let kinds: Vec<&str> = log.iter().map(kind).collect();
        let turn = ["user", "calls", "result", "result", "calls", "result", "answer"];
        let expected: Vec<&str> = (0..messages).flat_map(|_| turn).collect();
        assert_eq!(kinds, expected, "{what}");
        assert!(log.iter().enumerate().all(|(i, entry)| entry.seq == i as u64), "{what}: a gap");
        let sent: Vec<String> = self.telegram.sent(TOKEN).into_iter().map(|sent| sent.text_html).collect();
        let mut distinct = sent.clone();
        distinct.dedup();
        let answers: Vec<String> = (1..=messages).map(|n| format!("answer to question {n}")).collect();
        assert_eq!(distinct, answers, "{what}");
        assert!(sent.len() - distinct.len() <= gaps, "{what}: sent twice: {sent:?}");
        for queue in [Queue::TurnsDeadLetters, Queue::OutboundDeadLetters] {
            assert!(self.stack.take(queue).await.is_empty(), "{what}: a dead letter");
        }
        self.model.assert_clean();
    }
}

fn kind(entry: &Entry) -> &'static str {
    match &entry.body {
        EntryBody::User(_) => "user",
        EntryBody::Assistant(answer) if answer.tool_calls.is_empty() => "answer",
        EntryBody::Assistant(_) => "calls",
        EntryBody::ToolResult(_) => "result",
        EntryBody::Failed { .. } => "failed",
    }
}

/// The model: two tools at once, then one more, then the answer. It looks only at the request.
fn two_rounds(request: &Value) -> Reply {
    let messages = request["messages"].as_array().unwrap();
    let asked = messages.iter().rposition(|message| message["role"] == "user").unwrap();
    let clock = || ("current_time".to_owned(), json!({}));
    match messages[asked..].iter().filter(|message| message["role"] == "tool").count() {
        0 => Reply::ToolCalls(vec![clock(), clock()]),
        2 => Reply::ToolCalls(vec![clock()]),
        _ => Reply::Text(format!("answer to {}", messages[asked]["content"].as_str().unwrap())),
    }
}

fn event(received: &[Received]) -> SqsEvent {
    let mut event = SqsEvent::default();
    for message in received {
        let mut record = SqsMessage::default();
        record.message_id = Some(message.id.clone());
        record.receipt_handle = Some(message.receipt.clone());
        record.body = Some(message.body.clone());
        record.attributes.insert("MessageGroupId".to_owned(), message.group.clone());
        // As if it came for the first time: faults are not the task's doing.
        record.attributes.insert("ApproximateReceiveCount".to_owned(), "1".to_owned());
        event.records.push(record);
    }
    event
}

#[tokio::test]
async fn every_call_to_aws_goes_wrong_once_in_every_way() {
    let world = World::start().await;
    world.wire.clear();
    world.post(1).await;
    world.work(false).await;
    let calls = world.wire.calls();
    world.check(1, 0, "without a fault").await;

    let mut message = 1;
    let (mut struck, mut gaps) = (0, 0);
    // The calls that tell a later turn from the first one (the session is not new) come at the same places.
    for n in 0..calls.len() {
        for fault in Fault::ALL {
            message += 1;
            world.wire.arm(n, fault);
            world.post(message).await;
            world.work(false).await;
            struck += usize::from(world.wire.has_struck());
            let place = world.wire.calls().get(n).cloned().unwrap_or_default();
            gaps += usize::from(place == "DynamoDB PutItem" && fault == Fault::KillBefore);
            world.wire.clear();
            world.check(message, gaps, &format!("{fault:?} at call {n}, {place}")).await;
        }
    }
    report(&format!("{struck} faults at {} calls, {gaps} of them in the gap: {calls:?}", calls.len()));
    assert_eq!(gaps, 1, "the record of a delivery is the only place where a reply may be sent twice");
    assert!(struck >= calls.len() * 3, "the faults must strike: {struck}");
}

#[tokio::test]
async fn every_batch_is_handled_twice() {
    let world = World::start().await;
    for message in 1..=3 {
        world.post(message).await;
        world.post(message).await;
        world.work(true).await;
    }
    world.check(3, 0, "everything twice").await;
}

/// A function whose time is over hands its turn over; what waited in the same batch is not lost with it.
#[tokio::test]
async fn a_turn_that_is_handed_over_takes_no_message_with_it() {
    let world = World::with(QueueMode::Followup).await;
    for message in 1..=4 {
        world.post(message).await;
    }
    let received = world.stack.environment.queues.receive(Queue::Turns, 10, Duration::ZERO).await.unwrap();
    assert_eq!(received.len(), 4, "they came in one batch");
    let turns = TurnHandler::new(world.worker.clone()).unwrap();
    let response = turns.handle(event(&received), Instant::now() + Duration::from_secs(1)).await;
    assert_eq!(response.batch_item_failures.len(), 3, "the first was taken in, the others come again");
    world.settle(Queue::Turns, &received, Some(response)).await;
    world.work(false).await;
    world.check(4, 0, "handed over").await;
}

/// What a turn costs in calls to AWS, once a worker knows the bot.
#[tokio::test]
async fn a_turn_without_tools_costs_one_read_and_one_transaction() {
    let world = World::start().await;
    world.model.echo();
    let turns = TurnHandler::new(world.worker.clone()).unwrap();
    for (n, expected) in
        [(1, None), (2, Some(["DynamoDB Query", "DynamoDB TransactWriteItems", "SQS SendMessageBatch"]))]
    {
        world.post(n).await;
        let received = world.stack.environment.queues.receive(Queue::Turns, 10, Duration::ZERO).await.unwrap();
        world.wire.clear();
        turns.handle(event(&received), Instant::now() + WORK_TIME).await;
        for message in &received {
            world.stack.environment.queues.delete(Queue::Turns, &message.receipt).await.unwrap();
        }
        if let Some(expected) = expected {
            assert_eq!(world.wire.calls(), expected);
        }
    }
}
