//! Jobs that are due: claimed, and sent with the rest of the minute as their delay.

use std::time::Duration;

use domain::job::{Claim, Outcome, RESEND_AFTER, Report};
use domain::task::JobsDue;
use domain::{Job, Task, Timestamp};
use futures::stream::{self, StreamExt};
use runtime::{Environment, HORIZON};
use store::StoreError;
use store::keys::JOB_SHARDS;
use tokio::time::Instant;

/// How many jobs are read at once.
const PAGE: i32 = 200;

/// How many jobs are claimed, and how many batches are sent, side by side.
const CLAIMS: usize = 32;
const SENDS: usize = 8;

/// How many tasks SQS takes together.
const SQS_BATCH: usize = 10;

/// Claims what is due up to the next tick. A shard that has more than one page goes on in invocations of its own, side by
/// side with those of other shards.
pub(crate) async fn tick(environment: &Environment) -> anyhow::Result<()> {
    let until = environment.clock.now() + HORIZON;
    let mut failed = None;
    for shard in 0..JOB_SHARDS {
        // A shard that cannot be read must not hold back the others.
        if let Err(error) = take_page(environment, JobsDue { shard, until }).await {
            tracing::error!(shard, "Jobs that are due were not all sent; the next tick does it: {error:#}");
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn take_page(environment: &Environment, due: JobsDue) -> anyhow::Result<()> {
    let found = environment.store.jobs_due(due.shard, due.until, PAGE, None).await?;
    let is_all = found.next.is_none();
    claim_and_send(environment, found.jobs, due.until).await?;
    if !is_all {
        environment.queues.send_later(&[(Task::JobsDue(due), Duration::ZERO)]).await?;
    }
    Ok(())
}

/// Sends runs again that were claimed lately and whose end nobody has reported: whoever claimed them may have died before they
/// were sent. Those that were sent begin once all the same.
pub(crate) async fn send_again(environment: &Environment) -> anyhow::Result<()> {
    let now = environment.clock.now();
    // By then a tick would do it.
    let until = now + HORIZON + RESEND_AFTER;
    for shard in 0..JOB_SHARDS {
        let mut page = None;
        loop {
            let found = environment.store.jobs_due(shard, until, PAGE, page).await?;
            let runs = found.jobs.iter().flat_map(|job| {
                let soon = job.state.pending.iter().filter(|run| run.at <= now + HORIZON);
                soon.map(|run| runtime::fire(job, run, now)).collect::<Vec<_>>()
            });
            let runs: Vec<(Task, Duration)> = runs.collect();
            environment.queues.send_later(&runs).await?;
            page = found.next;
            if page.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// Claims all of a shard that is due, page by page. What is not reached before `deadline` is left to another invocation;
/// what was claimed meanwhile is not found by it any more.
pub(crate) async fn drain(environment: &Environment, due: JobsDue, deadline: Instant) -> anyhow::Result<()> {
    let (mut page, mut claimed) = (None, 0);
    loop {
        let found = environment.store.jobs_due(due.shard, due.until, PAGE, page).await?;
        page = found.next;
        claimed += claim_and_send(environment, found.jobs, due.until).await?;
        if page.is_none() {
            break;
        }
        if Instant::now() >= deadline {
            // Where nothing could be claimed, another try would do no better: the next tick looks again.
            if claimed > 0 {
                environment.queues.send_later(&[(Task::JobsDue(due), Duration::ZERO)]).await?;
            }
            break;
        }
    }
    tracing::info!(shard = due.shard, claimed, "Jobs of a full shard were sent.");
    Ok(())
}

/// Claims jobs and sends the runs of those that nobody else claimed. Returns how many that were.
async fn claim_and_send(environment: &Environment, jobs: Vec<Job>, until: Timestamp) -> anyhow::Result<usize> {
    let now = environment.clock.now();
    let claims: Vec<Claim> = jobs.iter().filter_map(|job| job.claim(now, until)).collect();
    let claims = stream::iter(claims).map(|claim| async move {
        let claimed = environment.store.account(claim.job.account).job_claim(&claim).await;
        (claim, claimed)
    });
    let mut claimed = vec![];
    let mut claims = claims.buffer_unordered(CLAIMS);
    while let Some((claim, outcome)) = claims.next().await {
        match outcome {
            Ok(true) => claimed.push(claim),
            Ok(false) => tracing::debug!(job = %claim.job.id, "Another tick claimed a job first."),
            // Who has it is not known. If nobody has, it is still due; if we do, it is sent again.
            Err(error) => tracing::warn!(job = %claim.job.id, "A job was not claimed: {error}"),
        }
    }
    let now = environment.clock.now();
    let tasks: Vec<_> = claimed.iter().flat_map(|claim| runtime::fires(claim, now)).collect();
    let batches: Vec<Vec<(Task, Duration)>> = tasks.chunks(SQS_BATCH).map(<[_]>::to_vec).collect();
    let sends = stream::iter(batches).map(|batch| async move { environment.queues.send_later(&batch).await });
    let mut sends = sends.buffer_unordered(SENDS);
    let mut failure = None;
    while let Some(sent) = sends.next().await {
        match sent {
            Ok(refused) if refused.is_empty() => {}
            Ok(refused) => tracing::warn!(refused = refused.len(), "SQS refused runs; they are sent again later."),
            Err(error) => failure = Some(error),
        }
    }
    for claim in &claimed {
        give_up(environment, claim).await?;
    }
    failure.map_or(Ok(claimed.len()), |error| Err(error.into()))
}

/// Ends the runs whose end nobody has reported within a day.
async fn give_up(environment: &Environment, claim: &Claim) -> Result<(), StoreError> {
    let Job { account, bot, id, .. } = claim.job;
    for run in &claim.lost {
        let report = Report {
            scheduled: run.scheduled,
            started_at: run.at,
            ended_at: environment.clock.now(),
            outcome: Outcome::Error { error: "it began, and nobody has said within a day how it ended".to_owned() },
            cost: 0,
            model_calls: 0,
            turn: None,
        };
        environment.job_end(account, bot, id, &report).await?;
    }
    Ok(())
}
