//! What people can do to a conversation, over the real doors: stop it, begin anew, change how it queues, compact it;
//! and what a budget does to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::{SessionKey, Timestamp};
use queues::Queue;
use runtime::Clock;
use serde_json::{Value, json};
use testkit::model::{FakeModel, Reply};
use testkit::telegram::FakeTelegram;

use crate::crash::World;
use crate::dev_process::{DevProcess, report};

const TOKEN: &str = "800:engine-token";

/// What a slow model takes for a step.
const STEP: Duration = Duration::from_millis(800);

/// A model that never comes to an end: every answer asks for a tool, and takes a while.
fn endless() -> FakeModel {
    let model = FakeModel::start();
    model.latency(STEP);
    model.always(Reply::ToolCalls(vec![("current_time".to_owned(), json!({}))]));
    model
}

fn kinds(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect()
}

/// What was said last, as the model was told.
fn last_request(model: &FakeModel) -> String {
    model.requests().last().unwrap()["messages"].to_string()
}

/// Waits for a condition, half a minute at most.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < deadline, "within half a minute not: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn update(n: u32, text: &str) -> Value {
    json!({
        "update_id": n,
        "message": {
            "message_id": n,
            "date": 1_795_341_600,
            "chat": { "id": 5, "type": "private" },
            "from": { "id": 5, "is_bot": false, "first_name": "Ada" },
            "text": text,
        }
    })
}

#[tokio::test]
async fn stop_ends_a_turn_of_the_web_chat_within_its_step() {
    let model = endless();
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[]).await;
    dev.bot("busy", &model.base_url()).await;
    dev.say("busy", "c", "m1", "work").await;
    dev.wait_for("busy", "c", "tool_result", 2).await;

    let (asked, before) = (Instant::now(), model.requests().len());
    assert_eq!(dev.say("busy", "c", "m2", "/stop").await.0, 202);
    let entries = dev.wait_for("busy", "c", "notice", 1).await;
    let took = asked.elapsed();
    report(&format!("a turn of {} ms a step was stopped after {} ms", STEP.as_millis(), took.as_millis()));
    assert!(took < STEP * 2 + Duration::from_secs(3), "it took {took:?}");
    let kinds = kinds(&entries);
    assert_eq!(kinds[kinds.len() - 3..], ["stopped", "user", "notice"], "{entries:?}");
    assert_eq!(entries.last().unwrap()["text"], "Stopped.");
    assert!(entries.iter().all(|entry| entry["kind"] != "assistant" || entry["final"] == false), "{entries:?}");
    // The step that was under way was the last one.
    tokio::time::sleep(STEP * 2).await;
    assert!(model.requests().len() <= before + 1, "{} requests after {before}", model.requests().len());
    assert_eq!(dev.entries("busy", "c").await.len(), entries.len());

    model.latency(Duration::ZERO);
    model.echo();
    dev.say("busy", "c", "m3", "and now?").await;
    let entries = dev.wait_for("busy", "c", "user", 3).await;
    assert!(entries.len() > 4);
    dev.wait_for("busy", "c", "assistant", kinds.iter().filter(|kind| **kind == "assistant").count() + 1).await;
    assert!(last_request(&model).contains("and now?") && !last_request(&model).contains("/stop"));
    model.assert_clean();
}

#[tokio::test]
async fn stop_ends_a_turn_on_telegram_and_what_waits_behind_it() {
    let telegram = FakeTelegram::start();
    telegram.add_bot(TOKEN, "busy_bot");
    let model = endless();
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[("LOWTIDE_TELEGRAM_API_BASE", &telegram.base_url())]).await;
    dev.bot("busy", &model.base_url()).await;
    let (link, secret) = dev.telegram_link("busy", TOKEN).await;
    dev.webhook(&link, &secret, &update(1, "work")).await;
    dev.wait_for("busy", "main", "tool_result", 1).await;
    dev.webhook(&link, &secret, &update(2, "and that, too")).await;
    assert_eq!(dev.webhook(&link, &secret, &update(3, "/stop")).await.0, 200);
    telegram.wait_for(TOKEN, 1, Duration::from_secs(20)).await;
    // Telegram repeats what it thinks was lost.
    dev.webhook(&link, &secret, &update(3, "/stop")).await;
    tokio::time::sleep(STEP * 3).await;
    let sent: Vec<String> = telegram.sent(TOKEN).into_iter().map(|sent| sent.text_html).collect();
    assert_eq!(sent, ["Stopped."]);
    let entries = dev.entries("busy", "main").await;
    assert_eq!(entries.iter().filter(|entry| entry["kind"] == "stopped").count(), 2, "{entries:?}");

    model.latency(Duration::ZERO);
    model.echo();
    dev.webhook(&link, &secret, &update(4, "hello again")).await;
    let sent = telegram.wait_for(TOKEN, 2, Duration::from_secs(20)).await;
    assert!(sent[1].text_html.contains("hello again"), "{sent:?}");
    telegram.assert_clean();
    model.assert_clean();
}

/// Telegram posts an update again whose answer it did not get, minutes later if need be.
#[tokio::test]
async fn a_stop_that_is_repeated_does_not_stop_what_came_after_it() {
    let telegram = FakeTelegram::start();
    telegram.add_bot(TOKEN, "busy_bot");
    let model = FakeModel::start();
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[("LOWTIDE_TELEGRAM_API_BASE", &telegram.base_url())]).await;
    dev.bot("busy", &model.base_url()).await;
    let (link, secret) = dev.telegram_link("busy", TOKEN).await;
    dev.webhook(&link, &secret, &update(1, "/stop")).await;
    telegram.wait_for(TOKEN, 1, Duration::from_secs(20)).await;
    model.latency(STEP * 2);
    dev.webhook(&link, &secret, &update(2, "work")).await;
    until("the turn asks its model", async || !model.requests().is_empty()).await;
    dev.webhook(&link, &secret, &update(1, "/stop")).await;
    tokio::time::sleep(STEP * 4).await;
    let sent: Vec<String> = telegram.sent(TOKEN).into_iter().map(|sent| sent.text_html).collect();
    assert_eq!(sent, ["There was nothing to stop.", "echo: work"]);
}

#[tokio::test]
async fn new_begins_a_conversation_that_knows_nothing_of_the_one_before() {
    let model = FakeModel::start();
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[]).await;
    dev.bot("heron", &model.base_url()).await;
    dev.say("heron", "c", "m1", "the password is marzipan").await;
    dev.wait_for("heron", "c", "assistant", 1).await;
    dev.say("heron", "c", "m2", "what is it?").await;
    dev.wait_for("heron", "c", "assistant", 2).await;
    assert!(last_request(&model).contains("marzipan"));

    dev.say("heron", "c", "m3", "/new").await;
    let entries = dev.wait_for("heron", "c", "notice", 1).await;
    assert_eq!(kinds(&entries)[4..], ["user", "reset", "notice"], "{entries:?}");
    assert_eq!(entries[5]["reset_reason"], "new");
    assert_eq!(model.requests().len(), 2, "a model is not asked for that");
    dev.say("heron", "c", "m4", "what was it?").await;
    dev.wait_for("heron", "c", "assistant", 3).await;
    let request = last_request(&model);
    assert!(
        request.contains("what was it?") && !request.contains("marzipan") && !request.contains("/new"),
        "{request}"
    );

    // What stands behind the command is the first message of the conversation.
    dev.say("heron", "c", "m5", "/new tell me a story").await;
    let entries = dev.wait_for("heron", "c", "assistant", 4).await;
    let request = last_request(&model);
    assert!(request.contains("tell me a story") && !request.contains("what was it?"), "{request}");
    assert!(entries.last().unwrap()["text"].as_str().unwrap().contains("tell me a story"), "{entries:?}");
    assert!(entries.iter().any(|entry| entry["text"] == "the password is marzipan"), "nothing is deleted");
    model.assert_clean();
}

#[tokio::test]
async fn each_session_may_queue_in_its_own_way() {
    let model = FakeModel::start();
    model.latency(STEP);
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[]).await;
    dev.bot("heron", &model.base_url()).await;
    dev.say("heron", "own", "q", "/queue collect").await;
    let entries = dev.wait_for("heron", "own", "notice", 1).await;
    assert_eq!(entries[1]["text"], "Messages that wait: `collect debounce:500ms cap:20 drop:summarize`.");
    for conversation in ["own", "other"] {
        dev.say("heron", conversation, "m1", "one").await;
    }
    // Both turns are under way when the others come.
    until("both turns ask their model", async || model.requests().len() == 2).await;
    for conversation in ["own", "other"] {
        dev.say("heron", conversation, "m2", "two").await;
        dev.say("heron", conversation, "m3", "three").await;
    }
    let other = dev.wait_for("heron", "other", "assistant", 3).await;
    assert_eq!(kinds(&other), ["user", "assistant"].repeat(3), "the bot's own settings: a turn for each");
    let own = dev.wait_for("heron", "own", "assistant", 2).await;
    assert_eq!(kinds(&own)[2..], ["user", "assistant", "user", "user", "assistant"], "one turn for those that waited");
    dev.say("heron", "own", "d", "/queue default").await;
    let own = dev.wait_for("heron", "own", "notice", 2).await;
    assert_eq!(own.last().unwrap()["text"], "Messages that wait: `steer debounce:500ms cap:20 drop:summarize`.");
    model.assert_clean();
}

#[tokio::test]
async fn a_message_interrupts_a_turn_where_the_session_says_so() {
    let model = endless();
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[]).await;
    dev.bot("heron", &model.base_url()).await;
    dev.say("heron", "c", "q", "/queue interrupt").await;
    dev.wait_for("heron", "c", "notice", 1).await;
    dev.say("heron", "c", "m1", "work for ever").await;
    dev.wait_for("heron", "c", "tool_result", 1).await;
    model.echo();
    dev.say("heron", "c", "m2", "no, this").await;
    dev.wait_for("heron", "c", "stopped", 1).await;
    // The notice, the end of the turn, and the answer.
    let finals = |entries: &[Value]| entries.iter().filter(|entry| entry["final"] == true).count();
    until("the message is answered", async || finals(&dev.entries("heron", "c").await) == 3).await;
    let entries = dev.entries("heron", "c").await;
    let kinds = kinds(&entries);
    assert_eq!(kinds[kinds.len() - 3..], ["stopped", "user", "assistant"], "{entries:?}");
    assert_eq!(entries.last().unwrap()["text"].as_str().map(|text| text.ends_with("no, this")), Some(true));
    model.assert_clean();
}

#[tokio::test]
async fn a_bot_answers_as_often_as_its_budget_allows_and_then_says_so() {
    const SENTENCE: &str = "My budget for today is used up, so I cannot answer. My owner can raise it.";
    let telegram = FakeTelegram::start();
    telegram.add_bot(TOKEN, "thrifty_bot");
    let model = FakeModel::start();
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[("LOWTIDE_TELEGRAM_API_BASE", &telegram.base_url())]).await;
    dev.bot("thrifty", &model.base_url()).await;
    let budget = |turns: u32| json!({ "budget": { "period": "day", "turns": turns } });
    let mut patch = budget(3);
    patch["model"] = json!({ "price": { "input": 1_000_000, "output": 2_000_000 } });
    let (status, answer) = dev.api("PATCH", "/v1/bots/thrifty", Some(patch)).await;
    assert_eq!(status, 200, "{answer}");
    let (link, secret) = dev.telegram_link("thrifty", TOKEN).await;
    for n in 1..=5 {
        dev.webhook(&link, &secret, &update(n, &format!("question {n}"))).await;
        telegram.wait_for(TOKEN, n as usize, Duration::from_secs(20)).await;
    }
    // A repetition is not told again.
    dev.webhook(&link, &secret, &update(5, "question 5")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let sent: Vec<String> = telegram.sent(TOKEN).into_iter().map(|sent| sent.text_html).collect();
    let answers = (1..=3).map(|n| format!("echo: question {n}"));
    let expected: Vec<String> = answers.chain([SENTENCE.to_owned(), SENTENCE.to_owned()]).collect();
    assert_eq!(sent, expected);
    assert_eq!(model.requests().len(), 3);

    let (_, notices) = dev.api("GET", "/v1/notices", None).await;
    let [notice] = notices["items"].as_array().unwrap().as_slice() else { panic!("one notice: {notices}") };
    assert!(notice["text"].as_str().unwrap().contains("3 turns"), "{notice}");
    let entries = dev.entries("thrifty", "main").await;
    let cost: u64 = entries.iter().filter_map(|entry| entry["cost"].as_u64()).sum();
    assert!(cost > 0);
    let usage = async || {
        let (_, usage) = dev.api("GET", "/v1/usage", None).await;
        let line = usage["items"].as_array().unwrap().iter().find(|line| line["name"] == "thrifty").unwrap().clone();
        (line["turns"].as_u64().unwrap(), line["micros"].as_u64().unwrap())
    };
    assert_eq!(usage().await, (3, cost));

    dev.api("PATCH", "/v1/bots/thrifty", Some(budget(4))).await;
    // For so long a worker trusts what it knows of a bot.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    dev.webhook(&link, &secret, &update(6, "question 6")).await;
    let sent = telegram.wait_for(TOKEN, 6, Duration::from_secs(20)).await;
    assert_eq!(sent[5].text_html, "echo: question 6", "a budget that is raised lets it answer again");
    assert_eq!(usage().await.0, 4);
    telegram.assert_clean();
    model.assert_clean();
}

/// A bot with a small window whose conversation was just compacted, for the first time.
struct Compacted {
    model: FakeModel,
    dev: DevProcess,
    _dir: tempfile::TempDir,
    /// How many facts it was told.
    said: usize,
    /// The facts that the request for the summary holds, and those that the one after it holds.
    old: Vec<usize>,
    kept: Vec<usize>,
}

impl Compacted {
    /// Facts of `bytes` bytes each are told until the model is asked for a summary.
    async fn start(bytes: usize) -> Compacted {
        let is_summary =
            |request: &Value| request["messages"][0]["content"].as_str().unwrap().contains("write the summary");
        let model = FakeModel::start();
        model.answer_with(move |request| {
            Reply::Text(if is_summary(request) { "They spoke of herons.".to_owned() } else { "I see.".to_owned() })
        });
        let dir = tempfile::tempdir().unwrap();
        let dev = DevProcess::start(dir.path(), &[]).await;
        dev.bot("heron", &model.base_url()).await;
        let patch = json!({ "model": { "context_window": 8_000 } });
        assert_eq!(dev.api("PATCH", "/v1/bots/heron", Some(patch)).await.0, 200);
        let mut said = 0;
        while !model.requests().iter().any(is_summary) {
            said += 1;
            assert!(said < 40, "it is never compacted");
            let text = format!("fact-{said} {}", "about birds ".repeat(bytes / 12));
            dev.say("heron", "c", &format!("m{said}"), &text).await;
            dev.wait_for("heron", "c", "assistant", said).await;
        }
        let facts = |request: &str| (1..=said).filter(|n| request.contains(&format!("fact-{n} "))).collect();
        let requests = model.requests();
        let summary = requests.iter().find(|request| is_summary(request)).unwrap()["messages"].to_string();
        let (old, kept) = (facts(&summary), facts(&last_request(&model)));
        Compacted { model, dev, _dir: dir, said, old, kept }
    }
}

#[tokio::test]
async fn a_long_conversation_goes_on_with_a_summary_of_its_beginning() {
    let Compacted { model, dev, _dir, said, old, kept } = Compacted::start(1_440).await;
    report(&format!("compacted at message {said}: {} are summed up, {} are kept", old.len(), kept.len()));
    assert!(old.contains(&1) && kept.contains(&said), "{old:?}, {kept:?}");
    assert!(old.last() < kept.first(), "what is summed up is not shown: {old:?}, {kept:?}");
    assert!(last_request(&model).contains("They spoke of herons."));

    let entries = dev.entries("heron", "c").await;
    assert_eq!(kinds(&entries).iter().filter(|kind| **kind == "compaction").count(), 1);
    assert_eq!(kinds(&entries).iter().filter(|kind| **kind == "user").count(), said, "the log has it all");
    assert!(entries.iter().all(|entry| entry["kind"] != "failed"));

    // And when somebody asks for it.
    dev.say("heron", "c", "compact", "/compact the colours").await;
    let entries = dev.wait_for("heron", "c", "notice", 1).await;
    assert!(entries.last().unwrap()["text"].as_str().unwrap().starts_with("Compacted"), "{entries:?}");
    let request = last_request(&model);
    assert!(request.contains("the colours") && request.contains("They spoke of herons."), "{request}");
    model.assert_clean();
}

#[tokio::test]
async fn what_a_compaction_does_not_keep_is_in_its_summary() {
    let Compacted { said, old, kept, .. } = Compacted::start(1_440).await;
    assert_eq!([old, kept].concat(), (1..=said).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_summary_is_made_of_all_that_is_not_kept() {
    let Compacted { old, .. } = Compacted::start(3_000).await;
    assert_eq!(old.first(), Some(&1), "{old:?}");
}

#[tokio::test]
async fn a_session_that_nobody_used_for_an_hour_begins_anew() {
    let resets = serde_json::from_value(json!({ "reset": { "mode": "idle", "idle_minutes": 60 } })).unwrap();
    let mut world = World::with(|bot| bot.resets = resets).await;
    world.model.echo();
    let passed = Arc::new(AtomicU64::new(0));
    let (minutes, system) = (passed.clone(), Clock::system());
    let clock = move || {
        let ahead = minutes.load(Ordering::Relaxed) * 60_000;
        Timestamp::from_millis(system.now().as_millis() + ahead)
    };
    world.worker.clock = Clock::from_fn(clock);
    for (n, minute) in [(1, 0), (2, 59), (3, 119)] {
        passed.store(minute, Ordering::Relaxed);
        world.post(n).await;
        world.work(false).await;
    }
    let requests = world.model.requests();
    let knows = |request: usize, n: u32| requests[request]["messages"].to_string().contains(&format!("question {n}"));
    assert_eq!((requests.len(), knows(1, 1), knows(2, 3)), (3, true, true));
    assert!(!knows(2, 1) && !knows(2, 2), "an hour later nothing is known: {}", requests[2]);
    let session: SessionKey = "agent:main:telegram:direct:1".parse().unwrap();
    let account = world.stack.environment.store.account(world.bot.account);
    let log = account.session_read(world.bot.id, &session, 0, 100).await.unwrap().entries;
    assert_eq!(log.len(), 7, "three exchanges and a reset: {log:?}");
    assert!(world.stack.take(Queue::TurnsDeadLetters).await.is_empty());
    world.model.assert_clean();
}
