//! Many jobs that are due in one minute: how long it takes to send them all, and in how many calls to AWS.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use domain::job::JobSpec;
use domain::{AccountId, BotId, Job, JobId, Task, Timestamp};
use futures::stream::{self, StreamExt};
use queues::{Queue, Received};
use runtime::{Clock, Environment};
use serde_json::json;
use testkit::stack::Stack;
use testkit::wire::Wire;
use tokio::time::Instant;

/// How many of the calls are counted on: over the wire each of them takes longer.
const COUNTED: usize = 2_000;

/// How many invocations of the function AWS would have side by side: one for each shard.
const INVOCATIONS: usize = 16;

/// Dollars for a million units of writing (on demand, us-east-1) and for a million requests to SQS.
const WRITES: f64 = 0.625;
const REQUESTS: f64 = 0.40;

/// Prints the time to send `count` jobs, and the calls per job.
pub(crate) async fn print(count: usize) -> anyhow::Result<()> {
    runtime::install_crypto();
    let stack = Stack::start().await;
    let world = World::prepare(stack.environment.clone(), count).await?;
    let started = Instant::now();
    let sent = world.send_all().await?;
    let took = started.elapsed().as_secs_f64();
    println!("{sent} jobs that are due in one minute: sent in {took:.1} s, {:.0} a second", sent as f64 / took);
    anyhow::ensure!(sent == count, "{count} were due");
    let started = Instant::now();
    cron::tick(&world.environment).await?;
    println!("a tick with nothing due after that: {:.0} ms", started.elapsed().as_secs_f64() * 1e3);

    let stack = Stack::start().await;
    let wire = Wire::to(&stack.endpoints());
    let world = World::prepare(stack.environment_over(&wire.endpoints()), COUNTED).await?;
    wire.clear();
    let sent = world.send_all().await?;
    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    for call in wire.calls() {
        *calls.entry(call).or_default() += 1;
    }
    println!("calls to AWS for {sent} jobs, with those of this measurement that receive and delete:");
    for (call, times) in &calls {
        println!("  {:.3} {call} per job", *times as f64 / sent as f64);
    }
    let row = serde_json::to_string(&world.one)?.len();
    // The row, and its place in the index that is left and the one that is taken.
    let units = 3 * row.div_ceil(1024);
    let sends = calls.get("SQS SendMessageBatch").copied().unwrap_or_default() as f64 / sent as f64;
    let dollars = units as f64 * WRITES + sends * REQUESTS;
    println!("  a row has {row} bytes: {units} units of writing per job, so a million jobs cost ${dollars:.2} to send");

    wire.clear();
    cron::tick(&world.environment).await?;
    println!("calls of a tick with nothing due: {}", wire.calls().len());
    Ok(())
}

struct World {
    environment: Environment,
    one: Job,
}

impl World {
    /// Writes jobs that are due within the minute after the clock is set on.
    async fn prepare(environment: Environment, count: usize) -> anyhow::Result<World> {
        let begin = environment.clock.now();
        let now = Arc::new(AtomicU64::new(begin.as_millis()));
        let time = now.clone();
        let clock = Clock::from_fn(move || Timestamp::from_millis(time.load(Ordering::Relaxed)));
        let environment = Environment { clock, ..environment };
        let account = AccountId::from_parts(begin, 1);
        let bot = BotId::from_parts(begin, 1);
        let job = |n: usize| -> anyhow::Result<Job> {
            let spec = json!({
                "name": "reminder",
                "schedule": { "kind": "every", "everyMs": 3_600_000 },
                "payload": { "kind": "systemEvent", "text": "Water the plants, and look whether there is mail." },
                "sessionTarget": "main",
            });
            let (spec, _) = JobSpec::from_json(&spec)?;
            Ok(Job::create(JobId::from_parts(begin, n as u128), account, bot, spec, "UTC", begin)?)
        };
        let jobs = (0..count).map(job).collect::<anyhow::Result<Vec<Job>>>()?;
        let one = job(0)?;
        let store = &environment.store;
        let writes = stream::iter(jobs).map(|job| async move { store.account(account).job_put(&job).await });
        let mut writes = writes.buffer_unordered(64);
        while let Some(written) = writes.next().await {
            written?;
        }
        drop(writes);
        now.store((begin + Duration::from_secs(3_530)).as_millis(), Ordering::Relaxed);
        Ok(World { environment, one })
    }

    /// A tick, and the invocations that it asks for. Returns how many runs are in the queue.
    async fn send_all(&self) -> anyhow::Result<usize> {
        cron::tick(&self.environment).await?;
        // What is to be received at once are full shards; runs come when their delay is over.
        let mut begun = 0;
        loop {
            let shards = self.environment.queues.receive(Queue::Jobs, 10, Duration::ZERO).await?;
            if shards.is_empty() {
                break;
            }
            let work = stream::iter(shards).map(|shard| self.drain(shard)).buffer_unordered(INVOCATIONS);
            let done: Vec<anyhow::Result<usize>> = work.collect().await;
            begun += done.into_iter().sum::<anyhow::Result<usize>>()?;
        }
        Ok(begun + self.environment.queues.len_delayed(Queue::Jobs).await?)
    }

    /// Does what a message of `jobs` asks for. Returns how many runs it was.
    async fn drain(&self, shard: Received) -> anyhow::Result<usize> {
        if let Task::Job(_) = Task::from_body(&shard.body)? {
            self.environment.queues.delete(Queue::Jobs, &shard.receipt).await?;
            return Ok(1);
        }
        let mut record = SqsMessage::default();
        record.message_id = Some(shard.id);
        record.receipt_handle = Some(shard.receipt.clone());
        record.body = Some(shard.body);
        let mut event = SqsEvent::default();
        event.records = vec![record];
        let deadline = Instant::now() + Duration::from_secs(35);
        let done = cron::handle_jobs(&self.environment, event, deadline).await;
        anyhow::ensure!(done.batch_item_failures.is_empty(), "a shard was not sent");
        self.environment.queues.delete(Queue::Jobs, &shard.receipt).await?;
        Ok(0)
    }
}
