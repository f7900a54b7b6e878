//! Every step of a turn with two tool rounds is repeated once and fails once, in every way: the person still gets one
//! answer, the log has no gap and no repetition, nothing is left in a queue, and a budget is neither overspent nor
//! forgotten.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use agent::{Agent, AgentConfig, BotView, Mind, ModelError, ModelRequest, ToolContext};
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use axum::body::Body;
use axum::http::Request;
use delivery::DeliveryHandler;
use domain::access::DmPolicy;
use domain::turn::ToolRules;
use domain::{
    AccessPolicy, Answer, Bot, Budget, Entry, EntryBody, Link, ModelSettings, Price, QueueMode, QueueSettings,
    SessionKey, SessionScope, ToolCall, ToolResult, Usage,
};
use futures::future::BoxFuture;
use queues::{Queue, Received};
use runtime::Environment;
use serde_json::{Value, json};
use store::{PageRange, Spent};
use testkit::model::{FakeModel, Reply};
use testkit::stack::Stack;
use testkit::telegram::FakeTelegram;
use testkit::wire::{Fault, Wire};
use tokio::time::Instant;
use tower::ServiceExt;
use turn::TurnHandler;

use crate::dev_process::report;

const TOKEN: &str = "600:every-step";
/// The chats of the bot's owners.
const OWNERS: std::ops::Range<u32> = 900..1000;
const WORK_TIME: Duration = Duration::from_secs(180);

/// After this many messages the next ones are written in another chat, so that no context gets so long that it is
/// compacted.
const MESSAGES_OF_A_CHAT: u32 = 16;

/// What the model costs.
const PRICE: Price = Price { input: 1_000_000, output: 2_000_000, cached: None, cache_write: None };

/// A bot on Telegram whose model asks for tools twice, and workers that reach AWS over a wire.
pub(crate) struct World {
    pub(crate) stack: Stack,
    wire: Wire,
    pub(crate) worker: Environment,
    telegram: FakeTelegram,
    pub(crate) model: FakeModel,
    pub(crate) bot: Bot,
    link: Link,
    secret: String,
    /// Made once: what a worker forgets when it dies is in the handler.
    mind: Arc<dyn Mind>,
}

impl World {
    async fn start() -> World {
        World::with(|_| {}).await
    }

    /// A world whose bot may spend this much in a month.
    async fn with_budget(budget: Budget) -> World {
        World::with(|bot| (bot.budget, bot.model.price) = (budget, Some(PRICE))).await
    }

    /// A world whose bot is changed before it is stored.
    pub(crate) async fn with(change: impl FnOnce(&mut Bot)) -> World {
        let mut stack = Stack::start().await;
        let telegram = FakeTelegram::start();
        telegram.add_bot(TOKEN, "step_bot");
        let model = FakeModel::start();
        model.answer_with(two_rounds);
        stack.environment.settings.telegram_api_base = telegram.base_url();
        stack.environment.settings.private_models = true;
        let account = stack.account().await.id;
        let mut bot = stack.draft(account, "steps");
        bot.model = ModelSettings {
            model: Some("custom/steps".to_owned()),
            base_url: Some(model.base_url()),
            ..ModelSettings::default()
        };
        bot.dm_scope = SessionScope::PerChannelPeer;
        change(&mut bot);
        stack.environment.store.account(account).bot_create(&bot).await.unwrap();
        let owners = OWNERS.map(|owner| owner.to_string()).collect();
        let access = AccessPolicy { dm_policy: DmPolicy::Open, owners, ..AccessPolicy::default() };
        let (link, secret) = stack.telegram_link(&bot, TOKEN, access).await;
        let wire = Wire::to(&stack.endpoints());
        let worker = stack.environment_over(&wire.endpoints());
        let mind = Arc::new(agent());
        World { stack, wire, worker, telegram, model, bot, link, secret, mind }
    }

    /// Telegram posts the `n`-th message until it is told that it was taken.
    pub(crate) async fn post(&self, n: u32) {
        self.post_text(chat_of(n), n, &format!("question {n}")).await;
    }

    async fn post_text(&self, chat: u32, n: u32, text: &str) {
        let update = json!({
            "update_id": n,
            "message": {
                "message_id": n,
                "date": 1_795_341_600,
                "chat": { "id": chat, "type": "private" },
                "from": { "id": chat, "is_bot": false, "first_name": "Ada" },
                "text": text,
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

    fn turns(&self) -> TurnHandler {
        TurnHandler::with_mind(self.worker.clone(), self.mind.clone())
    }

    /// Works until nothing is left in the queues, as Lambda would, with a new worker after each death.
    /// With `twice`, every batch is given to two workers one after the other.
    pub(crate) async fn work(&self, twice: bool) {
        for _ in 0..40 {
            let turns = self.turns();
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

    async fn log(&self, chat: u32) -> Vec<Entry> {
        let account = self.stack.environment.store.account(self.bot.account);
        account.session_read(self.bot.id, &session(chat), 0, 1000).await.unwrap().entries
    }

    /// What the bot's counter says.
    async fn spent(&self) -> Spent {
        let period = self.bot.budget.period.containing(self.stack.environment.clock.now());
        self.stack.environment.store.account(self.bot.account).spent(Some(self.bot.id), &period).await.unwrap()
    }

    /// What the answers that the model gave cost, at least: each one is rounded up by itself.
    fn cost(&self) -> u64 {
        let ledger = self.model.ledger();
        PRICE.of(&Usage { input: ledger.prompt_tokens, output: ledger.completion_tokens, ..Usage::default() })
    }

    /// The counter never holds more than the limit, nor less than the model's answers cost.
    async fn check_spent(&self, what: &str) {
        let Budget { micros, turns, .. } = self.bot.budget;
        let spent = self.spent().await;
        assert!(micros.is_none_or(|limit| spent.micros <= limit), "{what}: overspent: {spent:?}");
        assert!(turns.is_none_or(|limit| spent.turns <= limit), "{what}: too many turns: {spent:?}");
        assert!(spent.micros >= self.cost(), "{what}: {spent:?}, and the answers cost {}", self.cost());
    }

    /// Checks everything that was promised, after `messages` messages. Telegram has no idempotency key, so
    /// a worker that dies between sending and recording it sends again: this happened up to `gaps` times.
    async fn check(&self, messages: u32, gaps: usize, what: &str) {
        let chat = chat_of(messages);
        let log = self.log(chat).await;
        let kinds: Vec<&str> = log.iter().map(kind).collect();
        let turn = ["user", "calls", "result", "result", "calls", "result", "answer"];
        let expected: Vec<&str> = (1..=messages).filter(|n| chat_of(*n) == chat).flat_map(|_| turn).collect();
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
        if self.bot.budget.is_limited() {
            self.check_spent(what).await;
            assert_eq!(self.spent().await.turns, u64::from(messages), "{what}: each message is one turn");
        }
    }
}

fn agent() -> Agent {
    Agent::new(AgentConfig { private_models: true, ..AgentConfig::default() }).unwrap()
}

/// The agent, with a turn of its own.
struct Odd {
    agent: Agent,
    /// Its tools all ask their owner and must not be repeated.
    asks: bool,
    /// This message brings it down.
    poison: Option<&'static str>,
}

impl ToolRules for Odd {
    fn may_repeat(&self, bot: &Bot, call: &ToolCall) -> bool {
        !self.asks && self.agent.may_repeat(bot, call)
    }

    fn needs_approval(&self, bot: &Bot, call: &ToolCall) -> bool {
        self.asks || self.agent.needs_approval(bot, call)
    }
}

impl Mind for Odd {
    fn answer<'a>(&'a self, request: &'a ModelRequest<'a>) -> BoxFuture<'a, Result<Answer, ModelError>> {
        let newest = request.entries.iter().flat_map(|entry| entry.body.messages()).last();
        let is_poison = newest.is_some_and(|user| self.poison.is_some_and(|poison| user.text == poison));
        assert!(!is_poison, "this message kills");
        self.agent.answer(request)
    }

    fn run_tool<'a>(&'a self, call: &'a ToolCall, context: &'a ToolContext<'a>) -> BoxFuture<'a, ToolResult> {
        self.agent.run_tool(call, context)
    }

    fn estimate(&self, request: &ModelRequest<'_>) -> Option<u64> {
        self.agent.estimate(request)
    }

    fn tool_names(&self, bot: &BotView<'_>) -> Vec<String> {
        self.agent.tool_names(bot)
    }

    fn context_window(&self, bot: &BotView<'_>) -> u64 {
        self.agent.context_window(bot)
    }
}

/// The chat that the `n`-th message is written in.
fn chat_of(n: u32) -> u32 {
    1 + n / MESSAGES_OF_A_CHAT
}

fn session(chat: u32) -> SessionKey {
    format!("agent:main:telegram:direct:{chat}").parse().unwrap()
}

fn kind(entry: &Entry) -> &'static str {
    match &entry.body {
        EntryBody::User(_) => "user",
        EntryBody::Assistant(answer) if answer.tool_calls.is_empty() => "answer",
        EntryBody::Assistant(_) => "calls",
        EntryBody::ToolResult(_) => "result",
        EntryBody::Notice { .. } => "notice",
        EntryBody::Asked { .. } => "asked",
        EntryBody::Event(_)
        | EntryBody::Failed { .. }
        | EntryBody::Stopped { .. }
        | EntryBody::Reset { .. }
        | EntryBody::Compaction { .. }
        | EntryBody::Dropped { .. } => "other",
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

pub(crate) fn event(received: &[Received]) -> SqsEvent {
    let mut event = SqsEvent::default();
    for message in received {
        let mut record = SqsMessage::default();
        record.message_id = Some(message.id.clone());
        record.receipt_handle = Some(message.receipt.clone());
        record.body = Some(message.body.clone());
        record.attributes.insert("MessageGroupId".to_owned(), message.group.clone());
        record.attributes.insert("ApproximateReceiveCount".to_owned(), message.receive_count.to_string());
        event.records.push(record);
    }
    event
}

#[tokio::test]
async fn every_call_to_aws_goes_wrong_once_in_every_way() {
    Box::pin(every_fault(World::start().await)).await;
}

/// The same where each model call is reserved in a commit of its own, and its cost is settled with its answer.
#[tokio::test]
async fn every_call_to_aws_of_a_bot_with_a_budget_goes_wrong_once_in_every_way() {
    let world = World::with_budget(plenty()).await;
    let spent = Box::pin(every_fault(world)).await;
    report(&format!(
        "{} micro-dollars for {} turns, in calls that were answered or may have been",
        spent.micros, spent.turns
    ));
}

/// Lets every call to AWS of a message go wrong, one message per fault, and checks each time that nothing came of it.
async fn every_fault(world: World) -> Spent {
    world.wire.clear();
    world.post(1).await;
    world.work(false).await;
    let calls = world.wire.calls();
    world.check(1, 0, "without a fault").await;
    let exact: u64 = world.log(chat_of(1)).await.iter().map(cost).sum();
    if world.bot.budget.is_limited() {
        assert_eq!(world.spent().await.micros, exact, "without a fault the counter is exact");
    }

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
    world.spent().await
}

/// A budget that never ends, and is kept account of all the same.
fn plenty() -> Budget {
    Budget { micros: Some(1_000_000_000), turns: Some(1_000_000), ..Budget::default() }
}

/// What an entry cost.
fn cost(entry: &Entry) -> u64 {
    match &entry.body {
        EntryBody::Assistant(answer) => answer.cost,
        _ => 0,
    }
}

/// A message whose tools ask: whatever goes wrong between the question and the answer, each call is asked for once, and
/// runs once or is said to have an unknown outcome.
#[tokio::test]
async fn every_call_to_aws_of_an_approval_goes_wrong_once_in_every_way() {
    let mut world = World::start().await;
    world.mind = Arc::new(Odd { agent: agent(), asks: true, poison: None });
    let state = world.stack.environment.store.account(world.bot.account);
    let mut number = 0;
    let mut calls = 1;
    let (mut n, mut struck) = (0, 0);
    while n < calls {
        // In a chat of its own: a long conversation is compacted, which asks the model once more.
        let owner = OWNERS.start + u32::try_from(n).unwrap();
        for fault in Fault::ALL {
            let what = format!("{fault:?} at call {n}");
            let first = number;
            number += 1;
            world.wire.arm(n, fault);
            world.post_text(owner, number, "do it").await;
            world.work(false).await;
            let mut questions = 0;
            while let [approval] = state.approval_list().await.unwrap().as_slice() {
                questions += 1;
                number += 1;
                world.post_text(owner, number, &format!("/approve {} once", approval.code)).await;
                world.work(false).await;
            }
            struck += usize::from(world.wire.has_struck());
            calls = calls.max(if n == 0 { world.wire.calls().len() } else { 0 });
            world.wire.clear();

            let log = world.log(owner).await;
            let mine: Vec<&Entry> = log.iter().filter(|entry| entry.turn == log.last().unwrap().turn).collect();
            let count = |wanted: &str| mine.iter().filter(|entry| kind(entry) == wanted).count();
            assert_eq!((questions, count("asked")), (2, 2), "{what}: one question for each of the model's answers");
            assert_eq!(
                (count("result"), count("answer")),
                (3, 1),
                "{what}: {:?}",
                mine.iter().map(|e| format!("{:?}", e.body)).collect::<Vec<_>>()
            );
            assert_eq!(count("user"), (number - first) as usize, "{what}: each message is taken in once");
            assert!(state.session_head(world.bot.id, &session(owner)).await.unwrap().unwrap().turn.is_none(), "{what}");
        }
        n += 1;
    }
    report(&format!("{struck} faults at {calls} calls of a message with two questions"));
    assert!(struck >= calls * 3, "the faults must strike: {struck}");
    for queue in [Queue::TurnsDeadLetters, Queue::OutboundDeadLetters] {
        assert!(world.stack.take(queue).await.is_empty(), "a dead letter");
    }
}

#[tokio::test]
async fn every_batch_is_handled_twice() {
    for world in [World::start().await, World::with_budget(plenty()).await] {
        for message in 1..=3 {
            world.post(message).await;
            world.post(message).await;
            world.work(true).await;
        }
        world.check(3, 0, "everything twice").await;
        let mut exact = 0;
        for chat in 1..=chat_of(3) {
            exact += world.log(chat).await.iter().map(cost).sum::<u64>();
        }
        assert!(!world.bot.budget.is_limited() || world.spent().await.micros == exact, "what is repeated costs once");
    }
}

/// Workers that die spend what they had reserved, and not more: a budget that comes to its end does so for good, and
/// everybody is answered, by the model or with the bot's own words.
#[tokio::test]
async fn workers_that_die_do_not_overspend_a_budget() {
    // Calls under way have 8,192 tokens of output reserved: 16,384 micro-dollars and what was said.
    let world = World::with_budget(Budget { micros: Some(150_000), ..Budget::default() }).await;
    let mut told = 0;
    let mut message = 0;
    for n in 0..40 {
        message += 1;
        world.wire.arm(n, if n % 2 == 0 { Fault::KillBefore } else { Fault::KillAfter });
        world.post(message).await;
        world.work(false).await;
        world.wire.clear();
        world.check_spent(&format!("killed at call {n}")).await;
        let log = world.log(chat_of(message)).await;
        told += usize::from(log.last().is_some_and(|last| kind(last) == "notice"));
        assert!(log.last().is_some_and(|last| last.body.is_final()), "message {message} was not answered: {log:?}");
    }
    assert!(0 < told && told < 40, "some are answered, and some are told why they are not: {told}");
    let notices = world.stack.environment.store.account(world.bot.account);
    let notices = notices.notice_page(&PageRange::default(), world.stack.environment.clock.now()).await.unwrap().items;
    assert_eq!(notices.len(), 1, "the owner is told once: {notices:?}");
    report(&format!("{:?} of a budget of 150000, {told} of {message} messages without an answer", world.spent().await));
}

/// A function whose time is over hands its turn over; what waited in the same batch is not lost with it.
#[tokio::test]
async fn a_turn_that_is_handed_over_takes_no_message_with_it() {
    let followup = QueueSettings { mode: QueueMode::Followup, ..QueueSettings::default() };
    let world = World::with(|bot| bot.queue = followup).await;
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

/// A task that waits behind a long turn is received again and again. That says nothing about it.
#[tokio::test]
async fn a_message_that_only_waited_is_not_given_up() {
    let followup = QueueSettings { mode: QueueMode::Followup, ..QueueSettings::default() };
    let world = World::with(|bot| bot.queue = followup).await;
    for message in 1..=3 {
        world.post(message).await;
    }
    let turns = world.turns();
    let mut most = 0;
    for _ in 0..8 {
        let received = world.stack.environment.queues.receive(Queue::Turns, 10, Duration::ZERO).await.unwrap();
        most = most.max(received.iter().map(|message| message.receive_count).max().unwrap_or_default());
        // There is no time but for handing the turn over.
        let response = turns.handle(event(&received), Instant::now() + Duration::from_secs(1)).await;
        world.settle(Queue::Turns, &received, Some(response)).await;
    }
    assert!(most > 5, "they were received {most} times");
    world.work(false).await;
    world.check(3, 0, "after a long wait").await;
}

/// A task that brings down whoever works on it is given up in the end, and the person is told; who waited behind it is answered.
#[tokio::test]
async fn a_turn_that_brings_down_its_workers_is_given_up_and_those_behind_it_are_not() {
    let followup = QueueSettings { mode: QueueMode::Followup, ..QueueSettings::default() };
    let mut world = World::with(|bot| bot.queue = followup).await;
    let mind = world.mind.clone();
    world.mind = Arc::new(Odd { agent: agent(), asks: false, poison: Some("poison") });
    world.post_text(1, 1, "poison").await;
    world.post_text(1, 2, "question 2").await;
    for _ in 0..6 {
        let received = world.stack.environment.queues.receive(Queue::Turns, 10, Duration::ZERO).await.unwrap();
        let response = world.turns().handle(event(&received), Instant::now() + WORK_TIME).await;
        world.settle(Queue::Turns, &received, Some(response)).await;
    }
    world.mind = mind;
    world.work(false).await;
    let log = world.log(1).await;
    let ends: Vec<&Entry> = log.iter().filter(|entry| entry.body.is_final()).collect();
    let [poisoned, answered] = ends.as_slice() else { panic!("{ends:?}") };
    assert!(matches!(&poisoned.body, EntryBody::Failed { detail, .. } if detail.contains("died")), "{poisoned:?}");
    assert!(
        matches!(&answered.body, EntryBody::Assistant(answer) if answer.text == "answer to question 2"),
        "{answered:?}"
    );
    assert_eq!(world.stack.take(Queue::TurnsDeadLetters).await.len(), 1, "the poison alone");
    let sent: Vec<String> = world.telegram.sent(TOKEN).into_iter().map(|sent| sent.text_html).collect();
    assert!(sent.len() == 2 && sent[0].contains("went wrong"), "{sent:?}");
}

/// Sessions that share a batch do not wait for each other, and do not go down with each other.
#[tokio::test]
async fn who_is_done_does_not_wait_for_others_of_the_same_batch() {
    let world = World::start().await;
    for chat in 1..=3 {
        world.post_text(chat, chat, "hello").await;
    }
    let queues = &world.stack.environment.queues;
    let received = queues.receive(Queue::Turns, 10, Duration::ZERO).await.unwrap();
    let groups = queues::groups(event(&received));
    assert_eq!(groups.len(), 3);
    let slow_is_done = tokio::sync::Notify::new();
    let work = (0..3).map(|group| {
        let slow_is_done = &slow_is_done;
        async move {
            match group {
                0 => slow_is_done.notified().await,
                1 => {}
                _ => panic!("this session is broken"),
            }
            Ok(())
        }
    });
    let done = groups[1][0].group.clone();
    let look = async {
        let chat = done.rsplit(':').next().and_then(|chat| chat.parse().ok()).unwrap();
        world.post_text(chat, 10, "and now?").await;
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let more = queues.receive(Queue::Turns, 10, Duration::from_secs(1)).await.unwrap();
            if more.iter().any(|message| message.group == done) {
                break;
            }
            assert!(Instant::now() < until, "the next message waits for somebody else's turn");
        }
        slow_is_done.notify_one();
    };
    let (response, ()) = tokio::join!(queues.work(Queue::Turns, &groups, work), look);
    let failed: Vec<&str> = response.batch_item_failures.iter().map(|failure| &*failure.item_identifier).collect();
    assert_eq!(failed, [groups[2][0].id.as_str()], "the broken one alone comes again");
}

/// What a turn costs in calls to AWS, once a worker knows the bot, and what it writes.
#[tokio::test]
async fn a_turn_without_tools_costs_one_read_and_one_transaction() {
    let world = World::start().await;
    let (calls, transactions) = second_turn(&world).await;
    assert_eq!(calls, ["DynamoDB Query", "DynamoDB TransactWriteItems", "SQS SendMessageBatch"]);
    // Each row is a write of its own, as long as it has no more than a kilobyte. The message's mark is its answer's outbox row.
    assert_eq!(transactions, [["Put head", "Put m", "Put e", "Update use"]]);
}

/// A budget costs one transaction more, which reserves what the call may cost.
#[tokio::test]
async fn a_turn_with_a_budget_costs_one_transaction_more() {
    let world = World::with_budget(plenty()).await;
    let (calls, transactions) = second_turn(&world).await;
    let transaction = "DynamoDB TransactWriteItems";
    assert_eq!(calls, ["DynamoDB Query", transaction, transaction, "SQS SendMessageBatch"]);
    let reserve = vec!["Put head", "Put m", "Update spend", "Update spend", "Put e"];
    let settle = vec!["Put head", "Update spend", "Update spend", "Put e", "Put out", "Update use"];
    assert_eq!(transactions, [reserve, settle], "the account's counter and the bot's");
}

/// The calls and transactions of the second turn of a session, without tools: the worker knows the bot from the first.
async fn second_turn(world: &World) -> (Vec<String>, Vec<Vec<String>>) {
    world.model.echo();
    let turns = TurnHandler::new(world.worker.clone()).unwrap();
    for n in [1, 2] {
        world.post(n).await;
        let received = world.stack.environment.queues.receive(Queue::Turns, 10, Duration::ZERO).await.unwrap();
        world.wire.clear();
        turns.handle(event(&received), Instant::now() + WORK_TIME).await;
        for message in &received {
            world.stack.environment.queues.delete(Queue::Turns, &message.receipt).await.unwrap();
        }
    }
    (world.wire.calls(), world.wire.transactions())
}
