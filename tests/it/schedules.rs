//! Schedules: each run begins once through whatever happens to ticks, reminders are in time, and heartbeats with nothing to
//! do ask no model.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use domain::heartbeat::{HEARTBEAT_NOTE, HeartbeatSettings, SkipReason};
use domain::job::{JobSpec, Tally};
use domain::{AccountId, Bot, Job, JobId, MessageId, ModelSettings, Task, Timestamp};
use fastrand::Rng;
use futures::future::BoxFuture;
use queues::{Queue, Received};
use runtime::{Clock, Entropy, Environment, HORIZON};
use serde_json::{Value, json};
use store::keys::{JOB_SHARDS, OUTBOX_SHARDS};
use testkit::cloud::{Call, Cloud, Fate, Network};
use testkit::model::{FakeModel, Reply};
use testkit::stack::{self, Stack};
use tokio::time::Instant;
use turn::TurnHandler;

use crate::dev_process::{DevProcess, report};
use crate::media::says;

/// 2026-03-28 12:00 UTC: half a day before the clocks of Europe change.
const BEGINNING: u64 = 1_774_699_200_000;

/// How many worlds are played.
const WORLDS: u64 = 40;

/// How far the clock of the second machine is from that of the first, in milliseconds.
const SKEW: i64 = 2500;

/// A network on which calls take turns at random, and that hangs for good after some of them: whoever waits is killed there.
#[derive(Clone, Debug)]
struct Mortal {
    lives: Arc<AtomicI64>,
    rng: Arc<Mutex<Rng>>,
}

impl Network for Mortal {
    fn before(&self, _: &Call) -> BoxFuture<'static, Fate> {
        self.pass()
    }

    fn after(&self, _: &Call) -> BoxFuture<'static, Fate> {
        self.pass()
    }
}

impl Mortal {
    fn pass(&self) -> BoxFuture<'static, Fate> {
        if self.lives.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return Box::pin(std::future::pending());
        }
        // What else is under way goes on meanwhile, for longer or shorter.
        let yields = self.rng.lock().unwrap().u8(0..8);
        Box::pin(async move {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            Fate::Deliver
        })
    }
}

/// Jobs, two machines with clocks of their own, and what their queues and logs hold.
struct World {
    cloud: Cloud,
    machines: [Environment; 2],
    turns: TurnHandler,
    network: Mortal,
    passed: Arc<AtomicU64>,
    bot: Bot,
    jobs: Vec<Job>,
}

impl World {
    async fn begin(rng: &mut Rng) -> World {
        let passed = Arc::new(AtomicU64::new(0));
        let ids = Arc::new(AtomicU64::new(rng.u64(..)));
        let cloud = Cloud::new();
        let network = Mortal {
            lives: Arc::new(AtomicI64::new(i64::MAX)),
            rng: Arc::new(Mutex::new(Rng::with_seed(rng.u64(..)))),
        };
        let machine = |skew: i64| {
            let (now, ids) = (passed.clone(), ids.clone());
            let time = move || (BEGINNING + now.load(Ordering::Relaxed)).saturating_add_signed(skew);
            let clock = Clock::from_fn(move || Timestamp::from_millis(time()));
            let entropy = Entropy::from_fn(move || u128::from(ids.fetch_add(1, Ordering::Relaxed)));
            cloud.environment(Arc::new(network.clone()), clock, entropy)
        };
        let machines = [machine(0), machine(rng.i64(-SKEW..SKEW))];
        let first = &machines[0];
        let account = AccountId::from_parts(first.clock.now(), 1);
        let bot = stack::draft_bot(first, account, "punctual");
        first.store.account(account).bot_create(&bot).await.unwrap();
        let mut jobs = vec![];
        for n in 0..rng.u128(1..8) {
            let (spec, _) = JobSpec::from_json(&random_job(rng)).unwrap();
            let id = JobId::from_parts(first.clock.now(), n + 1);
            jobs.push(first.job_create(&bot, id, spec).await.unwrap());
        }
        let turns = TurnHandler::with_mind(machines[0].clone(), Arc::new(says("Done.")));
        World { cloud, machines, turns, network, passed, bot, jobs }
    }

    fn machine(&self, rng: &mut Rng) -> &Environment {
        &self.machines[rng.usize(0..2)]
    }

    /// Whoever works is killed after some calls, or when it is done.
    async fn mortally(&self, rng: &mut Rng, work: impl Future) {
        self.network.lives.store(rng.i64(0..60), Ordering::Relaxed);
        // Time stands still for the handlers' clocks; this one only finds the corpse.
        let _ = tokio::time::timeout(Duration::from_millis(1), work).await;
        self.network.lives.store(i64::MAX, Ordering::Relaxed);
    }

    async fn wait(&self, secs: u64) {
        self.passed.fetch_add(secs * 1000, Ordering::Relaxed);
        tokio::time::advance(Duration::from_secs(secs)).await;
    }

    /// A tick, as they go wrong: twice at once, or killed somewhere on its way.
    async fn tick(&self, rng: &mut Rng) {
        let (one, other) = (self.machine(rng), self.machine(rng));
        match rng.u8(0..8) {
            0 | 1 => self.mortally(rng, cron::tick(one)).await,
            2 => self.mortally(rng, async { tokio::join!(cron::tick(one), cron::tick(other)) }).await,
            3..6 => {
                let (first, second) = tokio::join!(cron::tick(one), cron::tick(other));
                first.unwrap();
                second.unwrap();
            }
            _ => cron::tick(one).await.unwrap(),
        }
    }

    /// Receives what is due of `jobs`, sometimes twice, and works on the turns that begin, unless whoever does it dies, which
    /// happens only where it is `deadly`.
    async fn work(&self, rng: &mut Rng, deadly: bool) {
        loop {
            let runs = self.cloud.receive("jobs", 10, None);
            let machine = self.machine(rng);
            let deadline = Instant::now() + Duration::from_secs(30);
            match rng.u8(0..8) {
                0 if deadly => self.mortally(rng, cron::handle_jobs(machine, event_of(&runs), deadline)).await,
                fate => {
                    for _ in 0..if fate < 3 { 2 } else { 1 } {
                        let response = cron::handle_jobs(machine, event_of(&runs), deadline).await;
                        self.delete("jobs", &runs, &response);
                    }
                }
            }
            let mut groups = self.cloud.groups_ready("turns.fifo");
            rng.shuffle(&mut groups);
            for group in &groups {
                let turns = self.cloud.receive("turns.fifo", 10, Some(group));
                let deadline = Instant::now() + Duration::from_secs(180);
                let work = Box::pin(self.turns.handle(event_of(&turns), deadline));
                // A turn whose workers die again and again is given up, and that is an error of its job.
                let is_fresh = turns.iter().all(is_fresh);
                if deadly && is_fresh && rng.u8(0..5) == 0 {
                    self.mortally(rng, work).await;
                } else {
                    let response = work.await;
                    self.delete("turns.fifo", &turns, &response);
                }
            }
            if runs.is_empty() && groups.is_empty() {
                return;
            }
        }
    }

    fn delete(&self, queue: &str, batch: &[SqsMessage], response: &SqsBatchResponse) {
        for message in batch {
            let id = message.message_id.as_ref().unwrap();
            if response.batch_item_failures.iter().all(|failure| failure.item_identifier != *id) {
                self.cloud.delete(queue, message.receipt_handle.as_ref().unwrap());
            }
        }
    }

    /// How often each run's message stands in a log of the bot's.
    async fn said(&self) -> BTreeMap<MessageId, usize> {
        let account = self.machines[0].store.account(self.bot.account);
        let mut said = BTreeMap::new();
        for summary in account.session_list(self.bot.id).await.unwrap() {
            let log = account.session_read(self.bot.id, &summary.session, 0, 10_000).await.unwrap().entries;
            for user in log.iter().flat_map(|entry| entry.body.messages()) {
                *said.entry(user.message.clone()).or_default() += 1;
            }
        }
        said
    }

    /// What the schedule names after the job was made and up to where it has come stands in a log once, or counts as missed.
    async fn check(&self, seed: u64) -> (usize, u64) {
        let (mut begun, mut missed) = (0, 0);
        let mut said = self.said().await;
        for made in &self.jobs {
            let stored = self.machines[0].store.account(made.account).job_get(made.bot, made.id).await.unwrap();
            // A job that runs once is gone when it is done.
            let (next, lost) = stored.map_or((None, 0), |job| (job.state.next, job.state.missed));
            let (mut times, mut runs) = (0, 0);
            let mut at = made.spec.schedule.next_after(made.created_at);
            while let Some(time) = at.filter(|time| next.is_none_or(|next| *time < next)) {
                let count = said.remove(&MessageId::of_run(made.id, time)).unwrap_or_default();
                assert!(count < 2, "seed {seed}: {:?} at {time} began {count} times", made.spec);
                (times, runs) = (times + 1, runs + count);
                at = made.spec.schedule.next_after(time);
                assert!(times < 10_000, "seed {seed}: {:?} has no end", made.spec.schedule);
            }
            assert_eq!(runs as u64 + lost, times, "seed {seed}: {:?}", made.spec);
            begun += runs;
            missed += lost;
        }
        assert_eq!(said, BTreeMap::new(), "seed {seed}: no schedule ever named these");
        (begun, missed)
    }
}

/// Whether a message was received twice at most.
fn is_fresh(message: &SqsMessage) -> bool {
    message.attributes.get("ApproximateReceiveCount").is_none_or(|count| matches!(count.as_str(), "1" | "2"))
}

fn event_of(batch: &[SqsMessage]) -> SqsEvent {
    let mut event = SqsEvent::default();
    event.records = batch.to_vec();
    event
}

fn random_job(rng: &mut Rng) -> Value {
    let expressions = ["* * * * *", "*/7 * * * *", "30 2 * * *", "0 * * * *", "5 1-4 * * *"];
    let zones = ["UTC", "Europe/Berlin", "Australia/Lord_Howe"];
    let schedule = match rng.u8(0..3) {
        0 => json!({ "kind": "at", "at": BEGINNING + rng.u64(1..20_000) * 1000 }),
        1 => json!({ "kind": "every", "everyMs": rng.u64(60..4000) * 1000 }),
        _ => json!({
            "kind": "cron",
            "expr": rng.choice(expressions).unwrap(),
            "tz": rng.choice(zones).unwrap(),
            "staggerMs": rng.u64(0..2) * rng.u64(0..200_000),
        }),
    };
    let missed = [json!({ "policy": "skip" }), json!({ "policy": "once" }), json!({ "policy": "all", "cap": 100 })];
    json!({
        "name": "job",
        "schedule": schedule,
        "payload": { "kind": "systemEvent", "text": "Now" },
        "sessionTarget": rng.choice(["main", "isolated"]).unwrap(),
        "missed": rng.choice(missed).unwrap(),
        "jitterMs": rng.u64(0..2) * rng.u64(0..30_000),
    })
}

#[tokio::test(start_paused = true)]
async fn each_scheduled_time_begins_once_whatever_happens_to_ticks() {
    let (mut begun, mut missed) = (0, 0);
    for seed in 0..WORLDS {
        let rng = &mut Rng::with_seed(seed);
        let world = World::begin(rng).await;
        for _ in 0..rng.u32(5..25) {
            match rng.u8(0..12) {
                0 => world.wait(rng.u64(300..3000)).await,
                _ => world.wait(rng.u64(1..90)).await,
            }
            if rng.u8(0..6) > 0 {
                world.tick(rng).await;
            }
            world.work(rng, true).await;
        }
        // Calm hours: what was not reported is sent again, and what was sent begins.
        for hour in 0..12 {
            world.wait(1700).await;
            cron::tick(&world.machines[0]).await.unwrap();
            world.wait(80).await;
            world.work(rng, hour < 8).await;
        }
        let (of_world, lost) = world.check(seed).await;
        begun += of_world;
        missed += lost;
    }
    report(&format!("{WORLDS} worlds: {begun} runs began once, {missed} times were missed as the policies say"));
    assert!(begun > 600 && missed > 60, "too little happened to prove anything");
}

#[tokio::test(start_paused = true)]
async fn a_tick_with_nothing_due_reads_once_a_shard() {
    let world = World::begin(&mut Rng::with_seed(1)).await;
    let accounts = world.machines[0].store.account(world.jobs[0].account);
    accounts.jobs_delete(world.jobs[0].bot).await.unwrap();
    world.cloud.clear_calls();
    cron::tick(&world.machines[0]).await.unwrap();
    let calls = world.cloud.calls();
    let all: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    // The jobs, the replies, the turns that wait, and the bots that are to be removed.
    let reads = JOB_SHARDS + OUTBOX_SHARDS + 2;
    assert_eq!(all, vec!["Query"; reads as usize]);
}

#[tokio::test(start_paused = true)]
async fn what_was_claimed_and_not_sent_is_sent_at_the_next_start() {
    let world = World::begin(&mut Rng::with_seed(1)).await;
    let machine = &world.machines[0];
    let mut job = random_job(&mut Rng::with_seed(2));
    (job["schedule"], job["jitterMs"]) = (json!({ "kind": "at", "at": BEGINNING + 120_000 }), json!(0));
    let (spec, _) = JobSpec::from_json(&job).unwrap();
    let id = JobId::from_parts(machine.clock.now(), 99);
    let job = machine.job_create(&world.bot, id, spec).await.unwrap();
    let sent = || {
        let tasks = world.cloud.sent("jobs").into_iter().map(|sent| Task::from_body(&sent.body).unwrap());
        tasks.filter(|task| matches!(task, Task::Job(fire) if fire.job == id)).count()
    };
    world.wait(60).await;
    let now = machine.clock.now();
    let claim = job.claim(now, now + HORIZON).expect("it is due before the next tick");
    assert!(machine.store.account(job.account).job_claim(&claim).await.unwrap());
    cron::tick(machine).await.unwrap();
    assert_eq!(sent(), 0, "a tick waits for two minutes");
    cron::send_again(machine).await.unwrap();
    assert_eq!(sent(), 1);
}

/// A bot whose model asks for a reminder when it is told something, and says what it is reminded of.
fn reminding(after: &'static str) -> FakeModel {
    let model = FakeModel::start();
    model.answer_with(move |request| {
        let last = request["messages"].as_array().and_then(|messages| messages.last()).cloned().unwrap_or_default();
        let said = last["content"].to_string();
        if last["role"] == "tool" {
            return Reply::Text("I will.".to_owned());
        }
        if said.contains("Your schedule") {
            return Reply::Text("Drink water now.".to_owned());
        }
        let job = json!({ "action": "add", "name": "water", "at": after, "message": "Drink water" });
        Reply::ToolCalls(vec![("tool_call".to_owned(), json!({ "name": "cron", "arguments": job.to_string() }))])
    });
    model
}

/// When the only schedule of a bot runs, in milliseconds since the epoch.
async fn due(dev: &DevProcess, bot: &str) -> u64 {
    let (status, schedules) = dev.api("GET", &format!("/v1/bots/{bot}/schedules"), None).await;
    assert_eq!(status, 200, "{schedules}");
    let run = &schedules["items"][0]["state"]["pending"][0]["at"];
    run.as_u64().unwrap_or_else(|| panic!("{schedules}"))
}

/// Waits for the reminder and returns by how much it was late.
async fn lateness(dev: &DevProcess, due: u64) -> i64 {
    // The first answer says that there will be one.
    dev.wait_for("water", "main", "assistant", 3).await;
    let now = Clock::system().now().as_millis();
    i64::try_from(now).unwrap() - i64::try_from(due).unwrap()
}

#[tokio::test]
async fn a_reminder_is_in_time() {
    let model = reminding("in 4s");
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[]).await;
    dev.bot("water", &model.base_url()).await;
    assert_eq!(dev.say("water", "main", "m1", "Remind me to drink water").await.0, 202);
    dev.wait_for("water", "main", "assistant", 2).await;
    let due = due(&dev, "water").await;
    let late = lateness(&dev, due).await;
    report(&format!("the reminder came {late} ms after its time"));
    assert!((0..=2000).contains(&late), "{late} ms late");
    let entries = dev.entries("water", "main").await;
    let last = entries.iter().rfind(|entry| entry["kind"] == "assistant").unwrap();
    assert_eq!(last["text"], "Drink water now.");
    model.assert_clean();
}

#[tokio::test]
async fn a_reminder_is_in_time_after_kill_nine() {
    let model = reminding("in 8s");
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[]).await;
    dev.bot("water", &model.base_url()).await;
    assert_eq!(dev.say("water", "main", "m1", "Remind me to drink water").await.0, 202);
    dev.wait_for("water", "main", "assistant", 2).await;
    let due = due(&dev, "water").await;
    dev.kill().await;
    let dev = DevProcess::start(dir.path(), &[]).await;
    let late = lateness(&dev, due).await;
    report(&format!("after kill -9 the reminder came {late} ms after its time"));
    assert!((0..=2000).contains(&late), "{late} ms late");
    let said = dev.entries("water", "main").await;
    let reminders = said.iter().filter(|entry| entry["text"] == "Drink water now.").count();
    assert_eq!(reminders, 1, "{said:?}");
}

/// A bot with heartbeats, whose clock is driven.
struct Heart {
    stack: Stack,
    turns: TurnHandler,
    bot: Bot,
    now: Arc<AtomicU64>,
}

impl Heart {
    async fn start(model: &FakeModel) -> Heart {
        let mut stack = Stack::start().await;
        let now = Arc::new(AtomicU64::new(BEGINNING));
        let time = now.clone();
        stack.environment.clock = Clock::from_fn(move || Timestamp::from_millis(time.load(Ordering::Relaxed)));
        stack.environment.settings.private_models = true;
        let account = stack.account().await.id;
        let mut bot = stack.draft(account, "beat");
        bot.model = ModelSettings {
            model: Some("custom/test".to_owned()),
            base_url: Some(model.base_url()),
            ..ModelSettings::default()
        };
        bot.heartbeat = HeartbeatSettings { every_minutes: Some(30), ..HeartbeatSettings::default() };
        stack.environment.store.account(account).bot_create(&bot).await.unwrap();
        stack.environment.heartbeat_apply(&bot).await.unwrap();
        let turns = TurnHandler::new(stack.environment.clone()).unwrap();
        Heart { stack, turns, bot, now }
    }

    async fn job(&self) -> Job {
        let account = self.stack.environment.store.account(self.bot.account);
        account.job_get(self.bot.id, JobId::heartbeat_of(self.bot.id)).await.unwrap().unwrap()
    }

    /// Goes on to the next heartbeat and does all that comes of it.
    async fn beat(&self) {
        let environment = &self.stack.environment;
        let due = self.job().await.due_at().unwrap();
        self.now.store(due.as_millis(), Ordering::Relaxed);
        cron::tick(environment).await.unwrap();
        let runs = self.stack.take(Queue::Jobs).await;
        assert_eq!(runs.len(), 1, "one run for each heartbeat");
        cron::handle_jobs(environment, event(&runs), Instant::now() + Duration::from_secs(30)).await;
        let turns = self.stack.take(Queue::Turns).await;
        let done = self.turns.handle(event(&turns), Instant::now() + Duration::from_secs(180)).await;
        assert!(done.batch_item_failures.is_empty());
    }
}

fn event(received: &[Received]) -> SqsEvent {
    let record = |message: &Received| {
        let mut record = SqsMessage::default();
        record.message_id = Some(message.id.clone());
        record.receipt_handle = Some(message.receipt.clone());
        record.body = Some(message.body.clone());
        record.attributes.insert("MessageGroupId".to_owned(), message.group.clone());
        record
    };
    let mut event = SqsEvent::default();
    event.records = received.iter().map(record).collect();
    event
}

#[tokio::test]
async fn heartbeats_with_nothing_to_do_ask_no_model() {
    let model = FakeModel::start();
    model.always(Reply::Text("HEARTBEAT_OK".to_owned()));
    let heart = Heart::start(&model).await;
    for _ in 0..48 {
        heart.beat().await;
    }
    let total = heart.job().await.state.total;
    report(&format!("nothing to do: {total}; requests at the model's server: {}", model.requests().len()));
    assert_eq!((total, model.requests().len()), (Tally { wakes: 48, ..Tally::default() }, 0));

    // With something to look after the model is asked, and its acknowledgement goes nowhere.
    let account = heart.stack.environment.store.account(heart.bot.account);
    account.workspace_put(heart.bot.id, HEARTBEAT_NOTE, "- water the plants").await.unwrap();
    heart.beat().await;
    let total = heart.job().await.state.total;
    assert_eq!((total.wakes, total.model_calls, model.requests().len()), (49, 1, 1));
    assert!(heart.stack.take(Queue::Outbound).await.is_empty());

    // A note that was looked at is looked at again only for news, if that is what its owner wants: however long ago it was.
    let seen = account.bot_get(heart.bot.id).await.unwrap().unwrap();
    let mut bot = Bot { version: seen.version + 1, ..seen.clone() };
    bot.heartbeat.only_on_news = true;
    account.bot_update(&seen, &bot).await.unwrap();
    for _ in 0..48 {
        heart.beat().await;
    }
    let state = heart.job().await.state;
    assert_eq!((state.total.wakes, state.total.model_calls, model.requests().len()), (97, 1, 1));
    assert_eq!(state.last, Some(SkipReason::NothingNew.into()), "what was decided is recorded");
    model.assert_clean();
}
