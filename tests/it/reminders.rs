//! What is asked for in a chat: where a job's answers go, whose jobs one may see and change, and what becomes of a run whose
//! turn takes long or whose bot is paused. The turns and the tool are real; the mind does what it is told.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::{Agent, AgentConfig, BotView, BoxFuture, Mind, ModelError, ModelRequest, ToolContext};
use channels::Received;
use domain::access::{DmPolicy, GroupPolicy, GroupRule};
use domain::heartbeat::{HEARTBEAT_NOTE, HeartbeatSettings};
use domain::job::{JobSpec, Outcome, Report};
use domain::message::ChatKind;
use domain::turn::ToolRules;
use domain::{
    AccessPolicy, Address, Answer, Author, Bot, BotStatus, Channel, EntryBody, Inbound, Job, JobId, Link, LinkId,
    Outbound, Sender, SessionKey, Task, Timestamp, ToolCall, ToolResult,
};
use queues::Queue;
use runtime::Clock;
use serde_json::{Value, json};
use store::{AccountStore, Notice, PageRange};
use testkit::stack::Stack;
use tokio::time::Instant;
use turn::TurnHandler;

use crate::crash::event;

/// 2026-11-23 12:00 UTC.
const NOON: u64 = 1_795_435_200_000;

/// Who owns the bot, and somebody who is let in.
const ADA: &str = "1";
const BOB: &str = "2";

/// Calls the tool `cron` with what follows that word, and says what it gave; tells what a job says.
struct Obedient {
    agent: Agent,
    /// The tool asks its owner first.
    asks: AtomicBool,
    /// Each call is made twice, as after a crash, and the job that the first made is gone by then.
    forgets: Mutex<Option<(store::Store, Bot)>>,
}

impl Obedient {
    fn think(&self, request: &ModelRequest<'_>) -> Answer {
        let mut answer = Answer { model: "test/obedient".to_owned(), ..Answer::default() };
        if let Some(EntryBody::ToolResult(result)) = request.entries.last().map(|entry| &entry.body) {
            answer.text.clone_from(&result.text);
            return answer;
        }
        let told = request.entries.iter().rev().find_map(|entry| match &entry.body {
            EntryBody::User(user) => Some(user),
            _ => None,
        });
        let Some(user) = told else { return answer };
        let text = user.text.rsplit("\n\n").next().unwrap_or_default();
        match text.strip_prefix("cron ") {
            Some(arguments) => {
                let (name, arguments) = ("cron".to_owned(), arguments.to_owned());
                answer.tool_calls = vec![ToolCall { id: "call_1".to_owned(), name, arguments }];
            }
            None if user.sender.author() == Author::Job => answer.text = format!("Told: {text}"),
            None => answer.text = "ok".to_owned(),
        }
        answer
    }
}

impl ToolRules for Obedient {
    fn may_repeat(&self, bot: &Bot, call: &ToolCall) -> bool {
        self.agent.may_repeat(bot, call)
    }

    fn needs_approval(&self, _: &Bot, _: &ToolCall) -> bool {
        self.asks.load(Ordering::Relaxed)
    }
}

impl Mind for Obedient {
    fn answer<'a>(&'a self, request: &'a ModelRequest<'a>) -> BoxFuture<'a, Result<Answer, ModelError>> {
        Box::pin(async move { Ok(self.think(request)) })
    }

    fn run_tool<'a>(&'a self, call: &'a ToolCall, context: &'a ToolContext<'a>) -> BoxFuture<'a, ToolResult> {
        Box::pin(async move {
            let forgets = self.forgets.lock().unwrap().take();
            if let Some((store, bot)) = forgets {
                let first = self.agent.run_tool(call, context).await;
                assert!(first.text.starts_with("job_"), "{first:?}");
                let account = store.account(bot.account);
                for job in account.job_list(bot.id).await.unwrap() {
                    account.job_delete(bot.id, job.id).await.unwrap();
                }
            }
            self.agent.run_tool(call, context).await
        })
    }

    fn estimate(&self, _: &ModelRequest<'_>) -> Option<u64> {
        None
    }

    fn tool_names(&self, bot: &BotView<'_>) -> Vec<String> {
        self.agent.tool_names(bot)
    }

    fn context_window(&self, _: &BotView<'_>) -> u64 {
        100_000
    }
}

/// A bot on Telegram whose clock is driven.
struct World {
    stack: Stack,
    mind: Arc<Obedient>,
    turns: TurnHandler,
    bot: Bot,
    link: Link,
    now: Arc<AtomicU64>,
    messages: AtomicU64,
    /// What left for the chats.
    sent: Mutex<Vec<Outbound>>,
    /// Their names: nothing is delivered here, so a tick queues them again.
    known: Mutex<HashSet<String>>,
}

impl World {
    async fn start() -> World {
        World::of(|_| {}).await
    }

    async fn of(change: impl FnOnce(&mut Bot)) -> World {
        let mut stack = Stack::start().await;
        let now = Arc::new(AtomicU64::new(NOON));
        let time = now.clone();
        stack.environment.clock = Clock::from_fn(move || Timestamp::from_millis(time.load(Ordering::Relaxed)));
        let account = stack.account().await.id;
        let mut bot = stack.draft(account, "punctual");
        change(&mut bot);
        stack.environment.store.account(account).bot_create(&bot).await.unwrap();
        stack.environment.heartbeat_apply(&bot).await.unwrap();
        let access = AccessPolicy {
            dm_policy: DmPolicy::Open,
            owners: vec![ADA.to_owned()],
            group_policy: GroupPolicy::Open,
            groups: [("*".to_owned(), GroupRule { require_mention: false })].into(),
            ..AccessPolicy::default()
        };
        let (link, _) = stack.telegram_link(&bot, "700:token", access).await;
        let agent = Agent::new(AgentConfig::default()).unwrap();
        let mind = Arc::new(Obedient { agent, asks: AtomicBool::new(false), forgets: Mutex::new(None) });
        let turns = TurnHandler::with_mind(stack.environment.clone(), mind.clone());
        let (messages, sent, known) = (AtomicU64::new(0), Mutex::default(), Mutex::default());
        World { stack, mind, turns, bot, link, now, messages, sent, known }
    }

    fn account(&self) -> AccountStore<'_> {
        self.stack.environment.store.account(self.bot.account)
    }

    async fn jobs(&self) -> Vec<Job> {
        self.account().job_list(self.bot.id).await.unwrap()
    }

    async fn notices(&self) -> Vec<Notice> {
        let now = self.stack.environment.clock.now();
        self.account().notice_page(&PageRange::default(), now).await.unwrap().items
    }

    /// Somebody writes to the bot in a chat of theirs.
    async fn hear(&self, who: &str, text: &str) {
        self.hear_in(who, who, ChatKind::Direct, text).await;
    }

    async fn hear_in(&self, who: &str, chat: &str, kind: ChatKind, text: &str) {
        let environment = &self.stack.environment;
        let n = self.messages.fetch_add(1, Ordering::Relaxed);
        let received = Received {
            channel_message_id: n.to_string(),
            address: Address { kind, chat: chat.to_owned(), thread: None, reply_to: None },
            sender: Sender { id: who.to_owned(), name: None, username: None },
            text: text.to_owned(),
            attachments: vec![],
            quote: None,
            album: None,
            mentioned: true,
            sent_at: environment.clock.now(),
        };
        // As it is stored now, with where people wrote.
        let bot = self.account().bot_get(self.bot.id).await.unwrap().unwrap();
        intake::admit(environment, &bot, &self.link, received).await.unwrap();
        self.work().await;
    }

    /// The owner writes in the web chat.
    async fn hear_web(&self, text: &str) {
        let environment = &self.stack.environment;
        let n = self.messages.fetch_add(1, Ordering::Relaxed).to_string();
        let sender = Sender { id: "owner".to_owned(), name: None, username: None };
        let now = environment.clock.now();
        let received = channels::webchat::received("main", &sender, &n, text, false, now).unwrap();
        let (link, session) = (LinkId::web_chat_of(self.bot.id), SessionKey::main("main"));
        let inbound = received.into_inbound(&self.bot, link, Channel::WebChat, session, now);
        let bot = self.account().bot_get(self.bot.id).await.unwrap().unwrap();
        environment.take_in(&bot, Inbound { is_owner: true, ..inbound }).await.unwrap();
        self.work().await;
    }

    /// Runs turns until nothing is left to do, and keeps what is to be sent.
    async fn work(&self) {
        loop {
            let tasks = self.stack.take(Queue::Turns).await;
            let deadline = Instant::now() + Duration::from_secs(180);
            let done = Box::pin(self.turns.handle(event(&tasks), deadline)).await;
            assert!(done.batch_item_failures.is_empty(), "{done:?}");
            for message in self.stack.take(Queue::Outbound).await {
                let Ok(Task::Deliver(outbound)) = Task::from_body(&message.body) else { panic!("{message:?}") };
                if self.known.lock().unwrap().insert(outbound.id.to_string()) {
                    self.sent.lock().unwrap().push(*outbound);
                }
            }
            if tasks.is_empty() {
                return;
            }
        }
    }

    /// Time passes, and what is due then is done.
    async fn pass(&self, secs: u64) {
        self.now.fetch_add(secs * 1000, Ordering::Relaxed);
        let environment = &self.stack.environment;
        cron::tick(environment).await.unwrap();
        let runs = self.stack.take(Queue::Jobs).await;
        let deadline = Instant::now() + Duration::from_secs(30);
        let done = cron::handle_jobs(environment, event(&runs), deadline).await;
        assert!(done.batch_item_failures.is_empty(), "{done:?}");
        self.work().await;
    }

    /// What was sent since it was last asked: chats and texts.
    fn sent(&self) -> Vec<(String, String)> {
        let sent = std::mem::take(&mut *self.sent.lock().unwrap());
        sent.into_iter().map(|outbound| (outbound.address.chat, outbound.text)).collect()
    }

    /// A job as the API makes it.
    async fn make(&self, job: Value) -> Job {
        let environment = &self.stack.environment;
        let now = environment.clock.now();
        let (spec, _) = JobSpec::from_request(&job, "UTC", now).unwrap();
        let id = JobId::from_parts(now, environment.entropy.next_u128());
        environment.job_create(&self.bot, id, spec).await.unwrap()
    }
}

fn add(name: &str) -> String {
    let job = json!({ "action": "add", "name": name, "at": "in 10m", "message": name });
    format!("cron {job}")
}

fn call(action: &str, job: &Job, rest: Value) -> String {
    let mut arguments = json!({ "action": action, "jobId": job.id });
    arguments.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    format!("cron {arguments}")
}

fn told(chat: &str, what: &str) -> (String, String) {
    (chat.to_owned(), format!("Told: {what}"))
}

#[tokio::test]
async fn a_reminder_goes_where_it_was_asked_for() {
    let world = World::start().await;
    world.hear_web("hello").await;
    // One session for all direct chats: each has its own reminder all the same, whoever wrote first or last.
    world.hear(BOB, &add("bob's")).await;
    world.hear(ADA, &add("ada's")).await;
    world.hear_in(BOB, "-100", ChatKind::Group, &add("the group's")).await;
    let work = json!({ "action": "add", "name": "work", "at": "in 10m", "message": "work", "kind": "work" });
    world.hear(BOB, &format!("cron {work}")).await;
    world.hear_web(&add("the web's")).await;
    let sessions = world.account().session_list(world.bot.id).await.unwrap();
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    world.sent();
    world.pass(600).await;
    let mut sent = world.sent();
    sent.sort();
    assert_eq!(sent, [told("-100", "the group's"), told(ADA, "ada's"), told(BOB, "bob's"), told(BOB, "work")]);
    assert_eq!(world.jobs().await, []);
}

#[tokio::test]
async fn what_the_owner_set_up_goes_where_the_owner_wrote_last() {
    let world = World::start().await;
    let job = |name: &str| {
        json!({ "name": name, "schedule": { "kind": "at", "at": "in 10m" }, "sessionTarget": "isolated",
            "payload": { "kind": "agentTurn", "message": name } })
    };
    let fires = async |name: &str| {
        world.make(job(name)).await;
        let mut own = job(name);
        own["sessionTarget"] = json!("main");
        world.make(own).await;
        world.sent();
        world.pass(600).await;
        world.sent()
    };
    world.hear(BOB, "hello").await;
    assert_eq!(fires("nobody else").await, [told(BOB, "nobody else"), told(BOB, "nobody else")]);
    world.hear(ADA, "hello").await;
    world.hear(BOB, "hello").await;
    assert_eq!(fires("ada").await, [told(ADA, "ada"), told(ADA, "ada")]);
    // Where answers are read from the log, the session is told, and says it there.
    world.hear_web("hello").await;
    let sent = fires("web").await;
    assert_eq!(sent, [told("main", "web")], "the isolated run's, for the session");
    let on_telegram = json!({ "mode": "announce", "channel": "telegram" });
    let mut named = job("by channel");
    named["delivery"] = on_telegram;
    world.make(named).await;
    world.sent();
    world.pass(600).await;
    assert_eq!(world.sent(), [told(ADA, "by channel")], "the owner's last place there");
}

#[tokio::test]
async fn each_isolated_run_has_a_session_that_is_not_kept_for_ever() {
    let world = World::start().await;
    world.hear(ADA, "hello").await;
    let every = json!({ "kind": "every", "every": "10m" });
    let payload = json!({ "kind": "agentTurn", "message": "look" });
    world.make(json!({ "name": "look", "schedule": every, "payload": payload })).await;
    for _ in 0..3 {
        world.sent();
        world.pass(600).await;
        assert_eq!(world.sent(), [told(ADA, "look")]);
    }
    let sessions = world.account().session_list(world.bot.id).await.unwrap();
    let runs: Vec<_> = sessions.iter().filter(|summary| summary.session.kept_for().is_some()).collect();
    assert_eq!(runs.len(), 3);
    assert_eq!(sessions.len(), 4);
}

#[tokio::test]
async fn whoever_is_let_in_sees_and_changes_only_what_they_asked_for() {
    let world = World::start().await;
    world.hear(ADA, &add("ada's")).await;
    world.hear(BOB, &add("bob's")).await;
    let jobs = world.jobs().await;
    let [ada, bob] = ["ada's", "bob's"].map(|name| jobs.iter().find(|job| job.spec.name == name).unwrap());
    world.sent();
    world.hear(BOB, "cron {\"action\": \"list\"}").await;
    world.hear(BOB, "/cron").await;
    for (chat, text) in world.sent() {
        assert_eq!((chat.as_str(), text.contains("bob's"), text.contains("ada's")), (BOB, true, false), "{text}");
    }
    let change = json!({ "name": "mine" });
    for text in [
        call("update", ada, change.clone()),
        call("remove", ada, json!({})),
        call("run", ada, json!({})),
        call("runs", ada, json!({})),
        format!("/cron rm {}", ada.id),
        "/cron pause ada's".to_owned(),
        "/cron run 2".to_owned(),
    ] {
        world.hear(BOB, &text).await;
        let [(_, answer)] = &world.sent()[..] else { panic!("one answer to {text}") };
        assert!(answer.contains("no job") || answer.contains("no schedule"), "{text}: {answer}");
    }
    assert_eq!(world.jobs().await, jobs);

    // One's own, and of the owner everything.
    world.hear(BOB, &call("update", bob, json!({ "name": "bob's own", "announce": false }))).await;
    world.hear(BOB, &call("runs", bob, json!({}))).await;
    world.hear(ADA, "/cron pause bob's own").await;
    world.hear(ADA, "cron {\"action\": \"list\"}").await;
    let sent = world.sent();
    assert_eq!(sent[1].1, "It has not run yet.");
    assert!(sent[2].1.contains("is switched off"), "{sent:?}");
    assert!(sent[3].1.contains("ada's") && sent[3].1.contains("bob's own"), "{sent:?}");
    world.hear(ADA, "/cron resume bob's own").await;
    world.hear(ADA, "/cron run bob's own").await;
    world.hear(BOB, "/cron rm 1").await;
    let sent = world.sent();
    assert!(sent[0].1.contains("next 2026-11-23 12:10 UTC"), "{sent:?}");
    assert!(sent[1].1.contains("begins now") && sent[2].1.contains("is removed"), "{sent:?}");
    world.hear(ADA, &call("remove", ada, json!({}))).await;
    assert_eq!(world.jobs().await, []);
}

#[tokio::test]
async fn a_change_says_what_it_leaves_out() {
    let world = World::start().await;
    let nine = json!({ "action": "add", "name": "nine", "cron": "0 9 * * *", "tz": "Asia/Tokyo", "message": "nine" });
    world.hear(ADA, &format!("cron {nine}")).await;
    let [job] = &world.jobs().await[..] else { panic!("one job") };
    world.sent();
    for (change, says) in [
        (json!({ "cron": "0 8 * * *" }), "Asia/Tokyo"),
        (json!({ "kind": "work" }), "kind stays"),
        (json!({ "tz": "UTC" }), "give the expression"),
        (json!({ "model": "a/b" }), "left out: payload.model"),
        (json!({ "patch": { "delivery": { "to": "2" } } }), "left out: delivery.to"),
    ] {
        world.hear(ADA, &call("update", job, change.clone())).await;
        let [(_, answer)] = &world.sent()[..] else { panic!("one answer to {change}") };
        assert!(answer.contains(says), "{change}: {answer}");
    }
    let after = &world.jobs().await[0];
    assert_eq!(after.spec.delivery, job.spec.delivery);
}

#[tokio::test]
async fn a_job_changes_no_jobs() {
    let world = World::start().await;
    world.hear(ADA, &add("ada's")).await;
    let [job] = &world.jobs().await[..] else { panic!("one job") };
    for text in [add("another"), call("remove", job, json!({})), call("update", job, json!({ "name": "x" }))] {
        let at = json!({ "kind": "at", "at": "in 2m" });
        let payload = json!({ "kind": "agentTurn", "message": text });
        let delivery = json!({ "mode": "announce", "link": world.link.id, "to": ADA });
        world.make(json!({ "name": "sly", "schedule": at, "payload": payload, "delivery": delivery })).await;
        world.sent();
        world.pass(120).await;
        let [(_, answer)] = &world.sent()[..] else { panic!("one answer to {text}") };
        assert!(answer.contains("only in a conversation with a person"), "{answer}");
    }
    let names: Vec<String> = world.jobs().await.into_iter().map(|job| job.spec.name).collect();
    assert_eq!(names, ["ada's"]);
}

#[tokio::test]
async fn a_call_that_is_repeated_after_its_job_is_gone_makes_no_other() {
    let world = World::start().await;
    *world.mind.forgets.lock().unwrap() = Some((world.stack.environment.store.clone(), world.bot.clone()));
    world.hear(ADA, &add("once")).await;
    assert_eq!(world.sent(), [(ADA.to_owned(), "Done.".to_owned())]);
    assert_eq!(world.jobs().await, []);
}

#[tokio::test]
async fn a_reminder_that_is_due_while_its_bot_is_paused_is_kept_for_its_owner() {
    let world = World::start().await;
    world.hear(ADA, &add("call Bob")).await;
    let seen = world.account().bot_get(world.bot.id).await.unwrap().unwrap();
    let paused = Bot { status: BotStatus::Paused, version: seen.version + 1, ..seen.clone() };
    world.account().bot_update(&seen, &paused).await.unwrap();
    world.sent();
    world.pass(600).await;
    assert_eq!(world.sent(), []);
    let [job] = &world.jobs().await[..] else { panic!("it is kept") };
    assert!(!job.spec.enabled);
    assert!(job.state.paused.as_ref().unwrap().reason.contains("the bot is paused"), "{:?}", job.state.paused);
    let [notice] = &world.notices().await[..] else { panic!("its owner is told") };
    assert!(notice.text.contains("call Bob") && notice.text.contains("lowtide schedules run"), "{}", notice.text);

    let active = Bot { status: BotStatus::Active, version: paused.version + 1, ..paused.clone() };
    world.account().bot_update(&paused, &active).await.unwrap();
    world.stack.environment.job_run_now(job).await.unwrap();
    world.pass(1).await;
    assert_eq!(world.sent(), [told(ADA, "call Bob")]);
    assert_eq!(world.jobs().await, [], "it is done");
}

#[tokio::test]
async fn the_owner_is_told_of_a_job_that_keeps_failing() {
    let world = World::start().await;
    let every = json!({ "kind": "every", "every": "2h" });
    let payload = json!({ "kind": "agentTurn", "message": "look" });
    let job = world.make(json!({ "name": "look", "schedule": every, "payload": payload })).await;
    for n in 1..=10 {
        world.now.fetch_add(7_200_000, Ordering::Relaxed);
        let environment = &world.stack.environment;
        let now = environment.clock.now();
        let seen = world.account().job_get(job.bot, job.id).await.unwrap().unwrap();
        let run = environment.job_run_now(&seen).await.unwrap();
        let outcome = Outcome::Error { error: "the model is down".to_owned() };
        let (scheduled, cost, model_calls, turn) = (run.scheduled, 0, 1, None);
        let report = Report { scheduled, started_at: now, ended_at: now, outcome, cost, model_calls, turn };
        environment.job_end(job.account, job.bot, job.id, &report).await.unwrap();
        assert_eq!(world.notices().await.len(), usize::from(n == 10), "{n}");
    }
    let text = &world.notices().await[0].text;
    assert!(text.contains("failed 10 times") && text.contains("lowtide schedules resume"), "{text}");
}

#[tokio::test]
async fn a_heartbeat_that_takes_long_is_neither_skipped_nor_begun_twice() {
    let every_minutes = Some(30);
    let world = World::of(|bot| bot.heartbeat = HeartbeatSettings { every_minutes, ..Default::default() }).await;
    world.account().workspace_put(world.bot.id, HEARTBEAT_NOTE, "- look").await.unwrap();
    let mut bot = world.account().bot_get(world.bot.id).await.unwrap().unwrap();
    let seen = bot.clone();
    // Its turn waits for its owner's word.
    bot.heartbeat.prompt = Some("\n\ncron {\"action\": \"list\"}".to_owned());
    bot.version += 1;
    world.account().bot_update(&seen, &bot).await.unwrap();
    world.mind.asks.store(true, Ordering::Relaxed);
    let job = async || world.account().job_get(world.bot.id, JobId::heartbeat_of(world.bot.id)).await.unwrap().unwrap();
    world.pass(1800).await;
    assert_eq!((job().await.state.pending.len(), job().await.state.total.wakes), (1, 0));
    for _ in 0..3 {
        world.pass(150).await;
        let state = job().await.state;
        assert_eq!((state.pending.len(), state.total.wakes), (1, 0), "it is under way");
    }
    // Nobody answers, so the turn goes on without the call.
    world.pass(300).await;
    let state = job().await.state;
    assert_eq!((state.pending.len(), state.total.wakes, state.last), (0, 1, Some(Outcome::Ok)));
    let log = world.account().session_read(world.bot.id, &SessionKey::main("main"), 0, 100).await.unwrap().entries;
    let begun = log.iter().filter(|entry| !entry.body.messages().is_empty()).count();
    assert_eq!(begun, 1);
}
