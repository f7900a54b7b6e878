//! What a message costs in calls to AWS, by function and kind.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::ensure;
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use axum::body::Body;
use axum::http::Request;
use delivery::DeliveryHandler;
use domain::access::DmPolicy;
use domain::{AccessPolicy, Bot, Budget, Link, ModelSettings, Price, SessionScope};
use queues::{Queue, Received};
use runtime::Environment;
use serde_json::{Value, json};
use testkit::model::{FakeModel, Reply};
use testkit::stack::Stack;
use testkit::telegram::FakeTelegram;
use testkit::wire::Wire;
use tokio::time::Instant;
use tower::ServiceExt;
use turn::TurnHandler;

use crate::TOKEN;

/// Sessions, and the turns of each: so few that no context is compacted.
const CHATS: usize = 2;
const WARM_UP: usize = 5;
const COUNTED: usize = 25;

const FUNCTIONS: [&str; 3] = ["ingress", "turn", "delivery"];

/// Prints the calls per message of three bots: one that answers, one that has a budget, one that uses a tool first.
/// What Lambda's poller calls (receive and delete) is not among them.
pub(crate) async fn print() -> anyhow::Result<()> {
    println!(
        "calls to AWS per message, mean of {} after {} to warm up, without the poller's:",
        CHATS * COUNTED,
        WARM_UP
    );
    let budget = |bot: &mut Bot| {
        bot.budget = Budget { micros: Some(1_000_000_000), ..Budget::default() };
        bot.model.price = Some(Price { input: 1_000_000, output: 2_000_000, cached: None, ..Price::default() });
    };
    count("an answer", |_| {}, false).await?;
    count("an answer, with a budget", budget, false).await?;
    count("one round of tools", |_| {}, true).await?;
    count("one round of tools, with a budget", budget, true).await
}

/// Calls by kind.
#[derive(Default)]
struct Tally(BTreeMap<String, usize>);

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = |(call, count): (&String, &usize)| format!("{:.2} {call}", *count as f64 / (CHATS * COUNTED) as f64);
        f.write_str(&self.0.iter().map(mean).collect::<Vec<_>>().join(", "))
    }
}

/// What one function did for a message.
struct Work {
    calls: Vec<String>,
    /// The rows that its transactions wrote.
    rows: usize,
}

async fn count(what: &str, change: impl FnOnce(&mut Bot), tool: bool) -> anyhow::Result<()> {
    let world = World::start(change, tool).await?;
    let turns = TurnHandler::new(world.worker.clone())?;
    let deliveries = DeliveryHandler::new(world.worker.clone());
    let mut tallies = FUNCTIONS.map(|_| Tally::default());
    let mut rows = 0;
    for chat in 1..=CHATS {
        for n in 0..WARM_UP + COUNTED {
            let work = world.message(&turns, &deliveries, chat, n).await?;
            for (tally, work) in tallies.iter_mut().zip(work).filter(|_| n >= WARM_UP) {
                rows += work.rows;
                for call in work.calls {
                    *tally.0.entry(call).or_default() += 1;
                }
            }
        }
    }
    world.model.assert_clean();
    println!("  {what}: {:.2} rows written in transactions", rows as f64 / (CHATS * COUNTED) as f64);
    for (function, tally) in FUNCTIONS.iter().zip(&tallies) {
        println!("    {function:<9} {tally}");
    }
    Ok(())
}

/// A bot on Telegram, and workers that reach AWS over a wire.
struct World {
    stack: Stack,
    wire: Wire,
    worker: Environment,
    telegram: FakeTelegram,
    model: FakeModel,
    link: Link,
    secret: String,
}

impl World {
    async fn start(change: impl FnOnce(&mut Bot), tool: bool) -> anyhow::Result<World> {
        let mut stack = Stack::start().await;
        let telegram = FakeTelegram::start();
        telegram.add_bot(TOKEN, "bench_bot");
        let model = FakeModel::start();
        if tool {
            model.answer_with(one_round);
        }
        stack.environment.settings.telegram_api_base = telegram.base_url();
        stack.environment.settings.private_models = true;
        let account = stack.account().await.id;
        let mut bot = stack.draft(account, "bench");
        bot.model = ModelSettings {
            model: Some("custom/bench".to_owned()),
            base_url: Some(model.base_url()),
            ..ModelSettings::default()
        };
        bot.dm_scope = SessionScope::PerChannelPeer;
        change(&mut bot);
        stack.environment.store.account(account).bot_create(&bot).await?;
        let access = AccessPolicy { dm_policy: DmPolicy::Open, ..AccessPolicy::default() };
        let (link, secret) = stack.telegram_link(&bot, TOKEN, access).await;
        let wire = Wire::to(&stack.endpoints());
        let worker = stack.environment_over(&wire.endpoints());
        Ok(World { stack, wire, worker, telegram, model, link, secret })
    }

    /// A message from its webhook to its reply, and what each function did for it.
    async fn message(
        &self,
        turns: &TurnHandler,
        deliveries: &DeliveryHandler,
        chat: usize,
        n: usize,
    ) -> anyhow::Result<[Work; 3]> {
        let update = crate::update(chat, n);
        let request = Request::post(format!("/hooks/telegram/{}", self.link.id))
            .header("x-telegram-bot-api-secret-token", &self.secret)
            .header("content-type", "application/json")
            .body(Body::from(update.to_string()))?;
        self.wire.clear();
        let answer = ingress::router(self.worker.clone()).oneshot(request).await?;
        ensure!(answer.status() == 200, "the webhook was not taken: {}", answer.status());
        let came_in = self.work();

        let deadline = Instant::now() + Duration::from_secs(180);
        let received = self.receive(Queue::Turns).await?;
        let response = turns.handle(event(&received), deadline).await;
        ensure!(response.batch_item_failures.is_empty(), "a turn failed");
        let turn = self.work();
        self.delete(Queue::Turns, &received).await?;

        let sent = self.telegram.sent(TOKEN).len();
        let received = self.receive(Queue::Outbound).await?;
        let response = deliveries.handle(event(&received), deadline).await;
        ensure!(response.batch_item_failures.is_empty(), "a delivery failed");
        ensure!(self.telegram.sent(TOKEN).len() == sent + 1, "a message was not answered");
        let went_out = self.work();
        self.delete(Queue::Outbound, &received).await?;
        Ok([came_in, turn, went_out])
    }

    /// What passed the wire since this was asked last.
    fn work(&self) -> Work {
        let (calls, transactions) = (self.wire.calls(), self.wire.transactions());
        self.wire.clear();
        Work { calls, rows: transactions.iter().map(Vec::len).sum() }
    }

    async fn receive(&self, queue: Queue) -> anyhow::Result<Vec<Received>> {
        let received = self.stack.environment.queues.receive(queue, 10, Duration::from_secs(5)).await?;
        ensure!(received.len() == 1, "one task waits, not {}", received.len());
        Ok(received)
    }

    async fn delete(&self, queue: Queue, received: &[Received]) -> anyhow::Result<()> {
        for message in received {
            self.stack.environment.queues.delete(queue, &message.receipt).await?;
        }
        Ok(())
    }
}

/// Asks for a tool, then answers.
fn one_round(request: &Value) -> Reply {
    let last = request["messages"].as_array().and_then(|messages| messages.last());
    if last.is_some_and(|message| message["role"] == "tool") {
        return Reply::Text("done".to_owned());
    }
    Reply::ToolCalls(vec![("current_time".to_owned(), json!({}))])
}

fn event(received: &[Received]) -> SqsEvent {
    let mut event = SqsEvent::default();
    for message in received {
        let mut record = SqsMessage::default();
        record.message_id = Some(message.id.clone());
        record.body = Some(message.body.clone());
        record.attributes.insert("MessageGroupId".to_owned(), message.group.clone());
        event.records.push(record);
    }
    event
}
