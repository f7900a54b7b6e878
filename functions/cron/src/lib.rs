//! The cron function: what is due each minute, and the runs of jobs that begin.
//!
//! A tick claims the jobs that are due until the next one (`due`) and sends each run into the queue `jobs`, with the delay
//! after which it begins. The same function receives it then (`fire`) and makes it a message of the job's session: it
//! has the rights for that already, and the turn function takes messages only.

mod due;
mod fire;
mod outbox;
mod removal;

use anyhow::Context;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use queues::{Queue, RecordError};
use runtime::Environment;
use serde_json::Value;
use tokio::time::Instant;

pub use outbox::wake_turns;

/// Does what an event of the function asks for: an SQS batch is worked on, anything else is a tick. Nothing new is begun
/// after `deadline`.
pub async fn handle(environment: &Environment, event: Value, deadline: Instant) -> anyhow::Result<Value> {
    if event.get("Records").is_none() {
        tick(environment).await?;
        return Ok(Value::Null);
    }
    let event: SqsEvent = serde_json::from_value(event).context("the event is not an SQS batch")?;
    Ok(serde_json::to_value(handle_jobs(environment, event, deadline).await)?)
}

/// Does what is due. When nothing is, this costs one read per shard of the jobs and of the outbox, and two more.
pub async fn tick(environment: &Environment) -> anyhow::Result<()> {
    // One that fails must not hold back the others; the next minute tries it again.
    let jobs = Box::pin(due::tick(environment)).await;
    let turns = Box::pin(tick_turns(environment)).await;
    // Last, since it may take as long as there is.
    let removed = Box::pin(removal::remove_deleted(environment)).await;
    jobs.and(turns).and(removed)
}

/// Sends what a process that was killed may have claimed and not sent. A tick does the same two minutes after the claim; where
/// one process does everything, it knows at its start that nobody else will.
pub async fn send_again(environment: &Environment) -> anyhow::Result<()> {
    due::send_again(environment).await
}

/// The part of a tick that is about turns: those that waited in vain, and replies that were never queued.
pub async fn tick_turns(environment: &Environment) -> anyhow::Result<()> {
    wake_turns(environment).await?;
    let swept = outbox::sweep_outbox(environment).await?;
    if swept > 0 {
        tracing::warn!(swept, "Overdue replies were queued again.");
    }
    Ok(())
}

/// Works on a batch of `jobs`. Whatever is not done by `deadline` is left to another invocation.
pub async fn handle_jobs(environment: &Environment, event: SqsEvent, deadline: Instant) -> SqsBatchResponse {
    // The queue has no groups: each record is one of its own.
    let groups: Vec<_> = queues::groups(event).into_iter().flatten().map(|record| vec![record]).collect();
    let work = groups.iter().map(|records| async {
        let work = fire::process(environment, &records[0], deadline).await;
        work.map_err(|retry| RecordError { done: 0, retry })
    });
    environment.queues.work(Queue::Jobs, &groups, work).await
}
