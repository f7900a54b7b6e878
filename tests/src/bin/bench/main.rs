//! The benchmarks: programs that print medians, ratios and counts, run by `cargo xtask bench NAME`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that meets the unexpected should stop there")]

mod calls;
mod holder;
mod prompt;
mod schedules;

use std::alloc::System;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use domain::message::{Address, ChatKind, Sender};
use domain::turn::Head;
use domain::{
    Answer, Bot, Channel, Entry, EntryBody, EntryId, Inbound, LinkId, MessageId, ModelSettings, SessionKey, Task,
    TurnId, UserMessage,
};
use lowtide::dev::{Dev, DevConfig};
use runtime::Settings;
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use store::{Commit, Spending};
use testkit::model::FakeModel;
use testkit::stack::Stack;
use testkit::telegram::FakeTelegram;
use testkit::wire::Wire;
use tokio::time::Instant;
use turn::TurnHandler;

/// Counts allocations for `prompt`; the others do not look.
#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TOKEN: &str = "900:bench-token";

fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some(holder::HOLDER) {
        return gateway_fargate::process::main();
    }
    tokio::runtime::Runtime::new()?.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["turn"] => Box::pin(turn(1000)).await,
        ["turn", count] => Box::pin(turn(count.parse().context("how many turns?")?)).await,
        ["sessions"] => Box::pin(sessions(200, 20)).await,
        ["sessions", sessions, messages] => {
            let sessions = sessions.parse().context("how many sessions?")?;
            let messages = messages.parse().context("how many messages?")?;
            Box::pin(self::sessions(sessions, messages)).await
        }
        ["log"] => log().await,
        ["prompt"] => prompt::print(GLOBAL),
        ["holder"] => Box::pin(holder::holder(19_000)).await,
        ["holder", "--bots", bots] => Box::pin(holder::holder(bots.parse().context("how many bots?")?)).await,
        ["schedules"] => schedules::print(100_000).await,
        ["schedules", count] => schedules::print(count.parse().context("how many jobs?")?).await,
        [holder::DISCORD, bots] => holder::discord_process(bots.parse()?).await,
        _ => bail!(
            "usage: cargo xtask bench turn [TURNS] | sessions [SESSIONS MESSAGES] | log | prompt | holder [--bots N] | \
             schedules [JOBS]"
        ),
    }
}

/// The time from a webhook to its delivered reply, with a local model that answers at once, and the calls to AWS that a
/// message makes.
async fn turn(turns: usize) -> anyhow::Result<()> {
    runtime::init_telemetry(runtime::LogFormat::Plain);
    runtime::install_crypto();
    let telegram = FakeTelegram::start();
    telegram.add_bot(TOKEN, "bench_bot");
    let model = FakeModel::start();
    let dir = tempfile::tempdir()?;
    let dev = Box::pin(start(dir.path(), &telegram)).await?;
    let bench = Bench::prepare(&dev, &model).await?;

    // The first turns open connections and fill caches.
    for n in 0..20 {
        bench.webhook(1, n).await?;
        telegram.wait_for(TOKEN, n + 1, Duration::from_secs(30)).await;
    }
    let mut times = Vec::with_capacity(turns);
    for n in 20..20 + turns {
        let started = Instant::now();
        bench.webhook(1, n).await?;
        telegram.wait_for(TOKEN, n + 1, Duration::from_secs(30)).await;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let percentile = |p: usize| times[(times.len() - 1) * p / 100].as_secs_f64() * 1000.0;
    println!("webhook to delivered reply, one after the other, {turns} turns:");
    println!("  p50 {:.1} ms   p99 {:.1} ms   max {:.1} ms", percentile(50), percentile(99), percentile(100));

    let already = telegram.sent(TOKEN).len();
    let started = Instant::now();
    let chats = 50;
    let posts = (0..chats).map(|chat| {
        let bench = &bench;
        async move {
            for n in 0..turns / chats {
                bench.webhook(100 + chat, n).await?;
            }
            anyhow::Ok(())
        }
    });
    futures::future::try_join_all(posts).await?;
    let sent = turns / chats * chats;
    telegram.wait_for(TOKEN, already + sent, Duration::from_secs(600)).await;
    let took = started.elapsed().as_secs_f64();
    println!("{chats} chats at once, {sent} turns: {:.0} turns a second", sent as f64 / took);
    dev.shutdown().await?;
    calls::print().await
}

/// Many sessions at once, with a model that takes 200 ms: is everybody answered, in order, and does nobody starve?
async fn sessions(sessions: usize, messages: usize) -> anyhow::Result<()> {
    runtime::init_telemetry(runtime::LogFormat::Plain);
    runtime::install_crypto();
    let telegram = FakeTelegram::start();
    telegram.add_bot(TOKEN, "bench_bot");
    let model = FakeModel::start();
    model.latency(Duration::from_millis(200));
    let dir = tempfile::tempdir()?;
    let dev = Box::pin(start(dir.path(), &telegram)).await?;
    let bench = Bench::prepare(&dev, &model).await?;
    let started = Instant::now();
    let posts = (0..sessions).map(|chat| {
        let bench = &bench;
        async move {
            let mut posted = Vec::with_capacity(messages);
            for n in 0..messages {
                bench.webhook(1 + chat, n).await?;
                posted.push(Instant::now());
            }
            anyhow::Ok(posted)
        }
    });
    let posted = futures::future::try_join_all(posts).await?;
    println!("{} messages accepted in {:.1} s", sessions * messages, started.elapsed().as_secs_f64());
    let sent = telegram.wait_for(TOKEN, sessions * messages, Duration::from_secs(1800)).await;
    let took = started.elapsed().as_secs_f64();

    let mut next = vec![0; sessions];
    let mut waits = Vec::with_capacity(sent.len());
    for reply in &sent {
        let chat = reply.chat.parse::<usize>()? - 1;
        let n = next[chat];
        anyhow::ensure!(reply.text_html == format!("echo: message {n}"), "chat {chat}: out of order: {reply:?}");
        waits.push(reply.at.saturating_duration_since(posted[chat][n].into_std()).as_secs_f64());
        next[chat] += 1;
    }
    waits.sort_by(f64::total_cmp);
    let (median, largest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    println!("all {} answered in order in {took:.1} s: {:.0} turns a second", sent.len(), sent.len() as f64 / took);
    println!("wait: median {median:.1} s, largest {largest:.1} s, largest over median {:.1}", largest / median);
    dev.shutdown().await
}

/// What a turn costs over logs of different lengths: its calls to AWS and its time should not grow.
async fn log() -> anyhow::Result<()> {
    runtime::install_crypto();
    for entries in [10, 1_000, 50_000] {
        let mut stack = Stack::start().await;
        let model = FakeModel::start();
        stack.environment.settings.private_models = true;
        let wire = Wire::to(&stack.endpoints());
        let turns = TurnHandler::new(stack.environment_over(&wire.endpoints()))?;
        let account = stack.account().await.id;
        let settings = ModelSettings {
            model: Some("custom/bench".to_owned()),
            base_url: Some(model.base_url()),
            ..ModelSettings::default()
        };
        let bot = Bot { model: settings, ..stack.draft(account, "bench") };
        stack.environment.store.account(account).bot_create(&bot).await?;
        let mut state = fill(&stack, &bot, entries).await?;
        let mut times = Vec::new();
        let mut calls = Vec::new();
        for n in 0..32 {
            let task = Task::Message(Box::new(inbound(&bot, &format!("new {n}"))));
            let mut record = SqsMessage::default();
            record.message_id = Some(format!("record-{n}"));
            record.body = Some(task.to_body());
            let mut event = SqsEvent::default();
            event.records.push(record);
            wire.clear();
            let started = Instant::now();
            let response = turns.handle(event, Instant::now() + Duration::from_secs(180)).await;
            times.push(started.elapsed());
            calls.push(wire.calls());
            anyhow::ensure!(response.batch_item_failures.is_empty(), "a turn failed");
            state += 2;
        }
        // The first turn reads the bot, and compacts what is long.
        println!("{entries:>6} entries: the first turn {:.1} ms: {}", millis(times.remove(0)), calls[0].join(", "));
        times.sort_unstable();
        let reads = calls.iter().skip(1).flatten().filter(|call| is_read(call)).count() as f64 / times.len() as f64;
        println!(
            "{:>6} after: median {:.1} ms a turn, {reads:.2} reads; the last one: {}",
            state,
            millis(times[times.len() / 2]),
            calls[calls.len() - 1].join(", ")
        );
    }
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn is_read(call: &str) -> bool {
    ["Query", "GetItem", "BatchGetItem", "GET"].iter().any(|read| call.ends_with(&format!(" {read}")))
}

/// Writes a log of `count` entries: the beginning in large commits, the end as turns write it, which is all that a turn
/// loads. Nothing is sealed.
async fn fill(stack: &Stack, bot: &Bot, count: u64) -> anyhow::Result<u64> {
    let account = stack.environment.store.account(bot.account);
    let session = SessionKey::main("main");
    let mut head = Head::default();
    while head.next_seq < count {
        let left = count - head.next_seq;
        let size = if left > 600 { 100.min(left - 600) } else { 2.min(left) };
        let entries: Vec<Entry> = (head.next_seq..head.next_seq + size).map(|seq| entry(bot, seq)).collect();
        let next = Head { next_seq: head.next_seq + size, updated_at: bot.created_at, ..head.clone() };
        let spending = &Spending::Nothing;
        let commit =
            Commit { seen: &head, head: &next, entries: &entries, marks: &[], outbox: &[], spending, place: None };
        account.session_commit(bot.id, &session, &commit).await?;
        head = next;
    }
    Ok(head.next_seq)
}

fn entry(bot: &Bot, seq: u64) -> Entry {
    let body = if seq.is_multiple_of(2) {
        let inbound = inbound(bot, &format!("old {seq}"));
        EntryBody::User(UserMessage {
            message: inbound.message,
            channel: inbound.channel,
            sender: inbound.sender,
            text: inbound.text,
            is_command: false,
            attachments: vec![],
            quote: None,
            sent_at: inbound.sent_at,
            received_at: None,
        })
    } else {
        EntryBody::Assistant(Answer {
            text: format!("answer {seq}"),
            model: "custom/bench".to_owned(),
            ..Answer::default()
        })
    };
    let id = u128::from(seq);
    let turn = TurnId::from_parts(bot.created_at, id / 2);
    Entry { seq, id: EntryId::from_parts(bot.created_at, id), turn, at: bot.created_at, body }
}

fn inbound(bot: &Bot, id: &str) -> Inbound {
    let link = LinkId::from_parts(bot.created_at, 1);
    Inbound {
        is_owner: false,
        parent: None,
        job: None,
        hops: 0,
        account: bot.account,
        bot: bot.id,
        link,
        channel: Channel::WebChat,
        message: MessageId::of(link, id),
        session: SessionKey::main("main"),
        address: Address { kind: ChatKind::Direct, chat: "bench".to_owned(), thread: None, reply_to: None },
        sender: Sender { id: "owner".to_owned(), name: None, username: None },
        text: format!("message {id}"),
        control: None,
        attachments: vec![],
        quote: None,
        album: None,
        sent_at: bot.created_at,
        received_at: bot.created_at,
    }
}

async fn start(dir: &Path, telegram: &FakeTelegram) -> anyhow::Result<Dev> {
    let mut settings = Settings::optional_from_env();
    settings.telegram_api_base = telegram.base_url();
    settings.private_models = true;
    Dev::start(DevConfig { state_dir: dir.to_owned(), listen: "127.0.0.1:0".parse()?, settings }).await
}

/// A bot with a Telegram link, and what is needed to write to it.
struct Bench {
    http: reqwest::Client,
    hook: String,
    secret: String,
}

impl Bench {
    async fn prepare(dev: &Dev, model: &FakeModel) -> anyhow::Result<Bench> {
        let http = reqwest::Client::new();
        let client = dev.client();
        let post = async |path: &str, body: Value| -> anyhow::Result<Value> {
            let request = http.post(format!("{}{path}", client.url)).bearer_auth(&client.key).json(&body);
            Ok(request.send().await?.error_for_status()?.json().await?)
        };
        let settings = json!({ "model": "custom/bench", "base_url": model.base_url(), "api_key": "sk-bench" });
        post("/v1/bots", json!({ "name": "bench", "model": settings, "dm_scope": "per-channel-peer" })).await?;
        let access = json!({ "dm_policy": "open" });
        let link =
            post("/v1/bots/bench/links", json!({ "channel": "telegram", "token": TOKEN, "access": access })).await?;
        let hook = format!("{}/hooks/telegram/{}", client.url, link["id"].as_str().context("a link has an id")?);
        let secret = link["webhook"]["secret"].as_str().context("a link without a public URL tells its secret")?;
        Ok(Bench { secret: secret.to_owned(), hook, http })
    }

    async fn webhook(&self, chat: usize, n: usize) -> anyhow::Result<()> {
        let request =
            self.http.post(&self.hook).header("x-telegram-bot-api-secret-token", &self.secret).json(&update(chat, n));
        request.send().await?.error_for_status()?;
        Ok(())
    }
}

/// The `n`-th update of a chat.
fn update(chat: usize, n: usize) -> Value {
    let from = json!({ "id": chat, "is_bot": false, "first_name": "Ada" });
    let message = json!({
        "message_id": n + 1,
        "date": 1_795_341_600,
        "chat": { "id": chat, "type": "private" },
        "from": from,
        "text": format!("message {n}"),
    });
    json!({ "update_id": chat * 1_000_000 + n, "message": message })
}
