//! One run: people write, pollers hand out tasks, time passes; then the storm ends and the rest is done.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use axum::body::Body as HttpBody;
use axum::http::Request;
use delivery::DeliveryHandler;
use domain::access::DmPolicy;
use domain::queueing::{DropPolicy, QueueMode, QueueSettings};
use domain::reset::{ResetMode, ResetPolicy};
use domain::{AccessPolicy, Account, AccountId, Bot, Budget, LinkId, SessionKey, SessionScope, Task, Timestamp};
use fastrand::Rng;
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use runtime::{Clock, Entropy, Environment};
use serde_json::json;
use store::LogSizes;
use testkit::cloud::Cloud;
use testkit::stack;
use tokio::time::{Instant, sleep};
use tower::ServiceExt;
use turn::TurnHandler;

use super::actors::{Ledger, Post, Script};
use super::weather::{Air, Body, Weather};
use super::{Guard, Report, checks};

/// When the simulated time begins: 22 November 2026, noon, UTC.
const BEGINNING: u64 = 1_795_348_800_000;

pub(super) const TURNS: &str = "turns.fifo";
pub(super) const OUTBOUND: &str = "outbound.fifo";
const TOKEN: &str = "700:simulated";
const SECRET: &str = "secret";

/// For how long an invocation may work.
const TURN_TIME: Duration = Duration::from_secs(180);
const DELIVERY_TIME: Duration = Duration::from_secs(60);

/// After the storm the rest is done within this time, or it never will be.
const PATIENCE: Duration = Duration::from_secs(12 * 3600);

/// Who owns the bot, by sender. Others use it, too.
pub(super) const OWNERS: [&str; 2] = ["5", "6"];

/// The numbers of messages that nobody has planned begin here.
const UNPLANNED: u32 = 1000;

/// A message that somebody will write.
#[derive(Clone)]
struct Planned {
    chat: u32,
    number: u32,
    text: String,
    after: Duration,
}

/// What an invocation was about.
enum Done {
    Batch {
        queue: &'static str,
        records: Vec<SqsMessage>,
        response: Option<SqsBatchResponse>,
    },
    /// Telegram has posted a message; whether it was taken.
    Post {
        message: Planned,
        was_taken: bool,
    },
    Tick,
}

pub(super) struct World {
    pub(super) cloud: Cloud,
    pub(super) environment: Environment,
    pub(super) weather: Arc<Weather>,
    pub(super) script: Arc<Script>,
    pub(super) post: Arc<Post>,
    pub(super) bot: Bot,
    pub(super) account: Account,
    pub(super) link: LinkId,
    /// Where each session's log ended when its stops were accepted: message id and sequence number.
    pub(super) stops: Mutex<Vec<(SessionKey, Timestamp, u64)>>,
    /// The messages that their owner had asked again.
    pub(super) replayed: Mutex<BTreeSet<String>>,
    /// What became a dead letter for another reason than a model that is busy.
    pub(super) buried: Mutex<Vec<String>>,
    without: Option<Guard>,
    plan: Vec<Planned>,
    turns: TurnHandler,
    deliveries: DeliveryHandler,
    workers: u64,
    /// How many decisions people have written.
    decided: AtomicU32,
}

pub(super) async fn run(seed: u64, without: Option<Guard>) -> Report {
    let mut rng = Rng::with_seed(seed);
    let mut world = World::begin(&mut rng, without).await;
    world.storm(&mut rng).await;
    world.weather.clear_up();
    let settled = world.settle().await;
    let mut violations = checks::all(&world).await;
    violations.extend(settled.err());
    let (history, counts) = world.weather.finish();
    Report { seed, history, violations, counts }
}

impl World {
    async fn begin(rng: &mut Rng, without: Option<Guard>) -> World {
        let weather = Weather::new(rng.fork());
        let start = Instant::now();
        let clock = Clock::from_fn(move || {
            let passed = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            Timestamp::from_millis(BEGINNING + passed)
        });
        let ids = Mutex::new(rng.fork());
        let entropy = Entropy::from_fn(move || ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner).u128(..));
        let cloud = Cloud::new();
        let mut environment = cloud.environment(Arc::new(Air), clock, entropy);
        environment.store = environment.store.clone().with_log_sizes(LogSizes { tail: 40, segment: 8, keep: 24 });
        switch_off(&cloud, without);

        let (account, bot, link) = settlers(&environment, rng).await;
        weather.note(format!("queue {}, budget {:?} {:?}", bot.queue, bot.budget, account.budget));
        let script = Arc::new(Script {
            weather: weather.clone(),
            repeat_all: without == Some(Guard::ToolRepeat),
            approve_all: without == Some(Guard::Approval),
            window: if rng.bool() { 128_000 } else { 4_050 },
            is_slow: rng.u32(0..3) == 0,
            ledger: Mutex::new(Ledger::default()),
        });
        let (sent, decisions) = (Mutex::default(), Mutex::default());
        let post = Arc::new(Post { weather: weather.clone(), has_keys: rng.bool(), sent, decisions });
        let turns = TurnHandler::with_mind(environment.clone(), script.clone());
        let deliveries = DeliveryHandler::new(environment.clone()).with_outlet(domain::Channel::Telegram, post.clone());
        let plan = plan(rng);
        let (stops, replayed, buried) = (Mutex::default(), Mutex::default(), Mutex::default());
        World {
            cloud,
            environment,
            weather,
            script,
            post,
            bot,
            account,
            link,
            stops,
            replayed,
            buried,
            without,
            plan,
            turns,
            deliveries,
            workers: 0,
            decided: AtomicU32::new(0),
        }
    }

    /// Everything happens at once.
    async fn storm(&mut self, rng: &mut Rng) {
        let this = &*self;
        let mut running: FuturesUnordered<LocalBoxFuture<'_, Done>> = FuturesUnordered::new();
        let (mut workers, mut is_posting) = (0, false);
        let mut plan: VecDeque<Planned> = this.plan.clone().into();
        let (mut last_post, mut last_tick) = (Instant::now(), Instant::now());
        while !plan.is_empty() || (this.weather.is_storm() && last_post.elapsed() < Duration::from_secs(90)) {
            let pause = Duration::from_millis(rng.u64(1..700));
            tokio::select! {
                biased;
                Some(done) = running.next(), if !running.is_empty() => match done {
                    Done::Post { message, was_taken } => {
                        is_posting = false;
                        last_post = Instant::now();
                        if !was_taken {
                            plan.push_front(message);
                        }
                    }
                    done => this.release(done),
                },
                () = sleep(pause) => {}
            }
            let is_due = |planned: &Planned| last_post.elapsed() >= planned.after;
            if !is_posting
                && let Some(message) = this.decision().or_else(|| plan.pop_front_if(|planned| is_due(planned)))
            {
                is_posting = true;
                running.push(Box::pin(this.telegram(message)));
            }
            if last_tick.elapsed() >= Duration::from_secs(60) {
                last_tick = Instant::now();
                workers += 1;
                running.push(Box::pin(this.tick(workers)));
            }
            for (queue, most) in [(TURNS, 4), (OUTBOUND, 3)] {
                let busy = running.len() >= most + 2;
                if !busy
                    && rng.u32(0..3) > 0
                    && let Some(records) = this.take(queue, rng)
                {
                    workers += 1;
                    running.push(Box::pin(this.invoke(queue, records, workers)));
                }
            }
            if rng.u32(0..120) == 0 {
                this.repeat_some_task(rng);
            }
        }
        // Whoever is still at work, or frozen, dies now.
        this.post.sent().unsure += running.len() as u64;
        drop(running);
        self.workers = workers;
        self.weather.count(|counts| counts.workers += workers);
    }

    /// Does what is left, until nothing is.
    async fn settle(&mut self) -> Result<(), String> {
        let began = Instant::now();
        let mut quiet_ticks = 0;
        let mut replays = 0;
        while quiet_ticks < 3 || !self.post.decisions().is_empty() {
            if began.elapsed() > PATIENCE {
                return Err("the work never ends".to_owned());
            }
            let mut idle = true;
            for queue in [TURNS, OUTBOUND] {
                for group in self.cloud.groups_ready(queue) {
                    idle = false;
                    let records = self.cloud.receive(queue, 10, Some(&group));
                    self.workers += 1;
                    let done = self.invoke(queue, records, self.workers).await;
                    self.release(done);
                }
            }
            if let Some(mut message) = self.decision() {
                idle = false;
                // Telegram posts it until it is taken.
                while let Done::Post { message: again, was_taken: false } = self.telegram(message).await {
                    message = again;
                }
            }
            if !idle {
                quiet_ticks = 0;
                continue;
            }
            let hidden = [TURNS, OUTBOUND].into_iter().filter_map(|queue| self.cloud.next_visible(queue)).min();
            if let Some(at) = hidden {
                tokio::time::sleep_until(at).await;
                continue;
            }
            if self.replay_dead_letters(&mut replays).await? {
                quiet_ticks = 0;
                continue;
            }
            sleep(Duration::from_secs(61)).await;
            self.workers += 1;
            self.tick(self.workers).await;
            // What waits for its owner is woken within ten minutes.
            let waits = self.environment.store.account(self.account.id).approval_list().await;
            quiet_ticks = if waits.is_ok_and(|waits| waits.is_empty()) { quiet_ticks + 1 } else { 0 };
        }
        Ok(())
    }

    /// The owner looks at what failed, and has it done again.
    async fn replay_dead_letters(&self, replays: &mut u32) -> Result<bool, String> {
        let mut some = false;
        for queue in ["turns-dlq.fifo", "outbound-dlq.fifo"] {
            for group in self.cloud.groups_ready(queue) {
                for record in self.cloud.receive(queue, 10, Some(&group)) {
                    some = true;
                    *replays += 1;
                    if *replays > 200 {
                        return Err("dead letters come again and again".to_owned());
                    }
                    self.weather.count(|counts| counts.dead_letters += 1);
                    let task = Task::from_body(record.body.as_deref().unwrap_or_default());
                    let task = task.map_err(|error| format!("a dead letter is no task: {error}"))?;
                    let reason =
                        record.message_attributes.get("reason").and_then(|value| value.string_value.as_deref());
                    let reason = reason.unwrap_or("it was received too often");
                    let what = format!("{}: {reason}", brief(&task));
                    self.weather.note(format!("the owner replays a dead letter of {queue}: {what}"));
                    if !reason.contains("busy") {
                        self.buried.lock().expect("one thread").push(what);
                    }
                    if let Task::Message(inbound) = &task {
                        let id = inbound.message.as_str().to_owned();
                        self.replayed.lock().expect("one thread").insert(id);
                    }
                    let sent = self.environment.queues.send_again(&task, &format!("replay-{replays}")).await;
                    sent.map_err(|error| error.to_string())?;
                    self.cloud.delete(queue, record.receipt_handle.as_deref().unwrap_or_default());
                }
            }
        }
        Ok(some)
    }

    /// Takes a batch out of a queue, as Lambda's poller does.
    fn take(&self, queue: &str, rng: &mut Rng) -> Option<Vec<SqsMessage>> {
        let groups = self.cloud.groups_ready(queue);
        let group = groups.get(rng.usize(0..groups.len().max(1)))?;
        let most = if rng.bool() { 10 } else { 1 };
        let records = self.cloud.receive(queue, most, Some(group));
        (!records.is_empty()).then_some(records)
    }

    async fn invoke(&self, queue: &'static str, records: Vec<SqsMessage>, worker: u64) -> Done {
        let kind = if queue == TURNS { "turn" } else { "delivery" };
        let body = Body::new(format!("{kind} worker {worker}"), &self.weather);
        let tasks: Vec<String> = records.iter().map(describe).collect();
        self.weather.note(format!("{} gets {}", body.name, tasks.join(", ")));
        let mut event = SqsEvent::default();
        event.records = records.clone();
        let response = if queue == TURNS {
            let deadline = Instant::now() + TURN_TIME;
            Box::pin(body.clone().live(self.turns.handle(event, deadline))).await
        } else {
            let deadline = Instant::now() + DELIVERY_TIME;
            Box::pin(body.clone().live(self.deliveries.handle(event, deadline))).await
        };
        if queue == OUTBOUND && body.was_hit.load(Ordering::Relaxed) {
            self.post.sent().unsure += 1;
        }
        let said = match &response {
            None => "is gone".to_owned(),
            Some(response) if response.batch_item_failures.is_empty() => "is done".to_owned(),
            Some(response) => format!("gives {} back", response.batch_item_failures.len()),
        };
        self.weather.note(format!("{} {said}", body.name));
        Done::Batch { queue, records, response }
    }

    /// What Lambda does after an invocation. Now and then it forgets to.
    fn release(&self, done: Done) {
        let Done::Batch { queue, records, response: Some(response) } = done else { return };
        if self.weather.is_storm() && self.weather.chance(20) {
            self.weather.note("what was done is not deleted");
            return;
        }
        for record in &records {
            let id = record.message_id.as_deref().unwrap_or_default();
            if !response.batch_item_failures.iter().any(|failure| failure.item_identifier == id) {
                self.cloud.delete(queue, record.receipt_handle.as_deref().unwrap_or_default());
            }
        }
    }

    /// What somebody writes now about a question that they read.
    fn decision(&self) -> Option<Planned> {
        let mut decisions = self.post.decisions();
        let at = decisions.iter().position(|decided| decided.at <= Instant::now())?;
        let decided = decisions.remove(at);
        let number = UNPLANNED + self.decided.fetch_add(1, Ordering::Relaxed);
        let chat = decided.chat.parse().expect("a chat of this world");
        Some(Planned { chat, number, text: decided.text, after: Duration::ZERO })
    }

    /// Telegram posts a message, and again until it is told that it was taken.
    async fn telegram(&self, message: Planned) -> Done {
        let planned = &message;
        let update = json!({
            "update_id": planned.number,
            "message": {
                "message_id": planned.number,
                "date": BEGINNING / 1000,
                "chat": { "id": planned.chat, "type": "private" },
                "from": { "id": planned.chat, "is_bot": false, "first_name": "Ada" },
                "text": planned.text,
            }
        });
        let request = Request::post(format!("/hooks/telegram/{}", self.link))
            .header("x-telegram-bot-api-secret-token", SECRET)
            .header("content-type", "application/json")
            .body(HttpBody::from(update.to_string()))
            .expect("a request");
        let body = Body::new(format!("the door for message {}", planned.number), &self.weather);
        let answer = Box::pin(body.live(ingress::router(self.environment.clone()).oneshot(request))).await;
        let was_taken = answer.is_some_and(|answer| answer.is_ok_and(|answer| answer.status() == 200));
        if was_taken {
            self.weather.count(|counts| counts.messages += 1);
            self.weather.note(format!("chat {} has written {:?}", planned.chat, planned.text));
            self.note_stop(planned).await;
        }
        Done::Post { message, was_taken }
    }

    /// Notes where the log ended when a message that stops others was accepted.
    async fn note_stop(&self, planned: &Planned) {
        let key = format!("agent:main:direct:{}", planned.chat).parse::<SessionKey>().expect("a key");
        let account = self.environment.store.account(self.account.id);
        let head = account.session_head(self.bot.id, &key).await.expect("the world itself reads").unwrap_or_default();
        let stops = matches!(planned.text.split(' ').next(), Some("/stop" | "/new" | "/reset"));
        let interrupts = head.queue.unwrap_or(self.bot.queue).mode == QueueMode::Interrupt;
        let is_command = planned.text.starts_with('/');
        if stops || (interrupts && !is_command) {
            let received = checks::accepted(self).into_iter().rfind(|inbound| inbound.session == key);
            let at = received.map(|inbound| inbound.received_at).unwrap_or_default();
            self.stops.lock().expect("one thread").push((key, at, head.next_seq));
        }
    }

    async fn tick(&self, worker: u64) -> Done {
        let body = Body::new(format!("cron {worker}"), &self.weather);
        if self.without == Some(Guard::OutboxSweep) {
            let _ = body.live(cron::wake_turns(&self.environment)).await;
            return Done::Tick;
        }
        let before = self.cloud.sent(OUTBOUND).len();
        let ticked = body.live(cron::tick_turns(&self.environment)).await;
        let swept = self.cloud.sent(OUTBOUND).len().saturating_sub(before);
        if ticked.is_some() {
            self.weather.count(|counts| counts.swept_replies += swept as u64);
        }
        Done::Tick
    }

    /// A queue gives a task out again that was done long ago.
    fn repeat_some_task(&self, rng: &mut Rng) {
        let queue = if rng.u32(0..3) > 0 { TURNS } else { OUTBOUND };
        let sent = self.cloud.sent(queue).len();
        if sent > 0 {
            let index = rng.usize(0..sent);
            self.cloud.duplicate(queue, index);
            self.weather.count(|counts| counts.repeated_tasks += 1);
            self.weather.note(format!("a task of {queue} is repeated: number {index}"));
        }
    }
}

/// Switches a guard off where it stands in the cloud: conditions that are not looked at.
fn switch_off(cloud: &Cloud, without: Option<Guard>) {
    match without {
        Some(Guard::Epoch) => cloud.ignore_conditions(Box::new(|_, sk| sk == "head")),
        Some(Guard::EntryPlace) => cloud.ignore_conditions(Box::new(|_, sk| sk.starts_with("e#"))),
        Some(Guard::MessageMark) => cloud.ignore_conditions(Box::new(|_, sk| sk.starts_with("m#"))),
        Some(Guard::Budget) => cloud.ignore_conditions(Box::new(|_, sk| sk.starts_with("spend#"))),
        // Switched off in the script and in the world.
        Some(Guard::ToolRepeat | Guard::OutboxSweep | Guard::Approval) | None => {}
    }
}

/// An account with a bot that is linked to Telegram.
async fn settlers(environment: &Environment, rng: &mut Rng) -> (Account, Bot, LinkId) {
    let now = environment.clock.now();
    let budget = |rng: &mut Rng, scale: u64| match rng.u32(0..4) {
        0 => Budget { micros: Some(rng.u64(1..20) * 500 * scale), ..Budget::default() },
        1 => Budget { turns: Some(rng.u64(1..12) * scale), ..Budget::default() },
        _ => Budget::default(),
    };
    let metered = rng.bool();
    let id = AccountId::from_parts(now, environment.entropy.next_u128());
    let account_budget = if metered { budget(rng, 2) } else { Budget::default() };
    let account = Account { id, name: "Owner".to_owned(), budget: account_budget, created_at: now };
    let mode = [QueueMode::Steer, QueueMode::Followup, QueueMode::Collect, QueueMode::Interrupt][rng.usize(0..4)];
    let drop = [DropPolicy::Summarize, DropPolicy::Old, DropPolicy::New][rng.usize(0..3)];
    let cap = if rng.u32(0..4) == 0 { 2 } else { 20 };
    let mut bot = stack::draft_bot(environment, id, "simulated");
    bot.dm_scope = SessionScope::PerPeer;
    bot.queue = QueueSettings { mode, cap, drop, ..QueueSettings::default() };
    bot.budget = if metered { budget(rng, 1) } else { Budget::default() };
    bot.turn_budget = (metered && rng.u32(0..4) == 0).then(|| rng.u64(1..6) * 700);
    if rng.u32(0..4) == 0 {
        bot.resets.reset = ResetPolicy { mode: ResetMode::Idle, idle_minutes: Some(1), at_hour: None };
    }
    let link = LinkId::from_parts(now, environment.entropy.next_u128());
    let access =
        AccessPolicy { dm_policy: DmPolicy::Open, owners: OWNERS.map(str::to_owned).into(), ..AccessPolicy::default() };
    let store = environment.store.account(id);
    store.account_put(&account).await.expect("the account is written");
    store.bot_create(&bot).await.expect("the bot is written");
    let link_record = stack::draft_link(environment, link, &bot, TOKEN, SECRET, access).await;
    store.link_create(&link_record).await.expect("the link is written");
    (account, bot, link)
}

/// Who writes what, and when.
fn plan(rng: &mut Rng) -> Vec<Planned> {
    let chats = rng.u32(1..4);
    let count = rng.u32(4..22);
    let message = |number| {
        let text = match rng.u32(0..28) {
            0 => "/stop".to_owned(),
            1 => "/new".to_owned(),
            2 => format!("/new m{number}"),
            3 => "/compact".to_owned(),
            4 => "/queue collect".to_owned(),
            5 => "/queue interrupt debounce:2s".to_owned(),
            6 => "/queue default".to_owned(),
            7 => "/status".to_owned(),
            8 => "/approve".to_owned(),
            9 => "/approve ZZZZZ always".to_owned(),
            _ => format!("m{number} {}", "word ".repeat(rng.usize(0..40))).trim_end().to_owned(),
        };
        let after = Duration::from_millis(if rng.u32(0..3) == 0 { rng.u64(2..400) } else { rng.u64(2..60_000) });
        Planned { chat: 5 + rng.u32(0..chats), number, text, after }
    };
    (1..=count).map(message).collect()
}

fn describe(record: &SqsMessage) -> String {
    let receives = record.attributes.get("ApproximateReceiveCount").map_or("?", String::as_str);
    match Task::from_body(record.body.as_deref().unwrap_or_default()) {
        Ok(task) => format!("{} (receive {receives})", brief(&task)),
        Err(error) => format!("garbage: {error}"),
    }
}

fn brief(task: &Task) -> String {
    match task {
        Task::Message(inbound) => format!("{:?} of {}", inbound.text, inbound.session),
        Task::Continue(turn) => format!("{} goes on, {}", turn.turn, turn.session),
        Task::Deliver(outbound) => format!("{:?} to {}", outbound.text, outbound.address.chat),
        Task::Job(fire) => format!("{} begins", fire.job),
        Task::JobsDue(due) => format!("jobs of shard {}", due.shard),
    }
}
