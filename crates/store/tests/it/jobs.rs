//! Jobs that many ticks claim at once, and what is read when nothing is due.

use std::collections::BTreeMap;

use domain::JobId;
use domain::job::{Claim, Job, JobSpec, Outcome, Report};
use futures::future::join_all;
use serde_json::json;
use store::keys::JOB_SHARDS;

use super::faults::Death;
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn job(n: u128, schedule: serde_json::Value) -> Job {
    let spec = json!({
        "name": format!("job {n}"), "schedule": schedule, "missed": { "policy": "all", "cap": 100 },
        "payload": { "kind": "systemEvent", "text": "Drink water" }
    });
    let (spec, _) = JobSpec::from_json(&spec).unwrap();
    Job::create(JobId::from_parts(at(0), n), account(1), bot_id(), spec, "UTC", at(0)).unwrap()
}

fn each_minute(n: u128) -> Job {
    job(n, json!({ "kind": "every", "everyMs": 60_000 }))
}

fn reminder(n: u128, secs: u64) -> Job {
    job(n, json!({ "kind": "at", "at": at(secs).as_millis() }))
}

fn report(scheduled: Timestamp, outcome: Outcome) -> Report {
    Report {
        scheduled,
        started_at: scheduled,
        ended_at: scheduled + MINUTE,
        outcome,
        cost: 7,
        model_calls: 0,
        turn: None,
    }
}

/// Everything that is due up to `until`, page by page.
async fn due(store: &Store, until: Timestamp, limit: i32) -> Vec<Job> {
    let mut jobs = vec![];
    for shard in 0..JOB_SHARDS {
        let mut page = None;
        loop {
            let mut due = store.jobs_due(shard, until, limit, page).await.unwrap();
            jobs.append(&mut due.jobs);
            page = due.next;
            if page.is_none() {
                break;
            }
        }
    }
    jobs
}

/// What a tick sends: it reads all that is due until the next one, and claims it.
async fn tick(store: &Store, now: Timestamp) -> Vec<(JobId, Timestamp)> {
    let mut sent = vec![];
    for job in due(store, now + MINUTE, 7).await {
        let Some(claim) = job.claim(now, now + MINUTE) else { continue };
        if let Ok(true) = store.account(job.account).job_claim(&claim).await {
            sent.extend(claim.fire.iter().chain(&claim.again).map(|run| (job.id, run.scheduled)));
        }
    }
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_that_overlap_and_repeat_send_each_run_once() {
    let world = world().await;
    let jobs: Vec<Job> = (1..=60).map(each_minute).chain((61..=80).map(|n| reminder(n, 90))).collect();
    join_all(jobs.iter().map(|job| async { world.store.account(account(1)).job_put(job).await.unwrap() })).await;
    let mut sent: BTreeMap<(JobId, Timestamp), u32> = BTreeMap::new();
    for minute in 0..4 {
        let now = at(minute * 60);
        let ticks = join_all((0..3).map(|_| tick(&world.store, now))).await;
        for run in ticks.into_iter().flatten() {
            *sent.entry(run).or_default() += 1;
            let ended = world.store.account(account(1)).job_finish(bot_id(), run.0, &report(run.1, Outcome::Ok)).await;
            assert!(ended.unwrap().is_some());
        }
        assert_eq!(tick(&world.store, now).await, [], "minute {minute}");
    }
    assert!(sent.values().all(|times| *times == 1), "{sent:?}");
    // Four ticks look ahead to the fourth minute; the reminders are gone.
    assert_eq!(sent.len(), 60 * 4 + 20);
    assert_eq!(world.store.account(account(1)).job_list(bot_id()).await.unwrap().len(), 60);
}

#[tokio::test]
async fn a_minute_without_anything_due_costs_one_read_per_shard() {
    let world = world().await;
    for n in 1..=40 {
        world.store.account(account(1)).job_put(&reminder(n, 3600)).await.unwrap();
    }
    world.faults.set(Death::Never);
    assert_eq!(tick(&world.store, at(0)).await, []);
    assert_eq!(world.faults.sent(), i64::from(JOB_SHARDS));
}

#[tokio::test]
async fn a_claim_whose_tick_dies_is_sent_by_a_later_one() {
    for death in [Death::After(0), Death::BeforeAnswer(1)] {
        let world = world().await;
        let store = &world.store;
        store.account(account(1)).job_put(&reminder(1, 30)).await.unwrap();
        let claim = reminder(1, 30).claim(at(0), at(60)).unwrap();
        world.faults.set(death);
        assert!(store.account(account(1)).job_claim(&claim).await.is_err());
        world.faults.set(Death::Never);
        let mut sent = vec![];
        for minute in 1..=5 {
            for run in tick(store, at(minute * 60)).await {
                sent.push(run.1);
                store.account(account(1)).job_finish(bot_id(), run.0, &report(run.1, Outcome::Ok)).await.unwrap();
            }
        }
        assert_eq!(sent, [at(30)], "{death:?}");
    }
}

#[tokio::test]
async fn a_job_changed_meanwhile_is_not_claimed_and_a_deleted_one_stays_deleted() {
    let world = world().await;
    let jobs = world.store.account(account(1));
    let job = each_minute(1);
    jobs.job_put(&job).await.unwrap();
    assert!(matches!(jobs.job_put(&job).await, Err(StoreError::Conflict(_))));
    let claim = job.claim(at(60), at(60)).unwrap();
    let renamed = job.edit(JobSpec { name: "other".into(), ..job.spec.clone() }, "UTC", at(1)).unwrap();
    jobs.job_put(&renamed).await.unwrap();
    assert!(!jobs.job_claim(&claim).await.unwrap());
    let claim: Claim = renamed.claim(at(60), at(60)).unwrap();
    jobs.job_delete(bot_id(), job.id).await.unwrap();
    assert!(!jobs.job_claim(&claim).await.unwrap());
    assert_eq!(jobs.job_get(bot_id(), job.id).await.unwrap(), None);
    assert_eq!(jobs.job_finish(bot_id(), job.id, &report(at(60), Outcome::Ok)).await.unwrap(), None);
}

#[tokio::test]
async fn the_end_of_a_run_is_written_once_with_its_history() {
    let world = world().await;
    let jobs = world.store.account(account(1));
    jobs.job_put(&each_minute(1)).await.unwrap();
    let id = each_minute(1).id;
    for minute in 1..=25 {
        let seen = jobs.job_get(bot_id(), id).await.unwrap().unwrap();
        let claim = seen.claim(at(minute * 60), at(minute * 60)).unwrap();
        assert!(jobs.job_claim(&claim).await.unwrap());
        let ended = report(at(minute * 60), Outcome::Skipped { reason: "nothing to do".into() });
        let (one, two) = tokio::join!(jobs.job_finish(bot_id(), id, &ended), jobs.job_finish(bot_id(), id, &ended));
        assert_eq!([one, two].iter().filter(|end| end.as_ref().unwrap().is_some()).count(), 1);
    }
    let runs = jobs.job_runs(bot_id(), id).await.unwrap();
    let scheduled: Vec<Timestamp> = runs.iter().map(|run| run.scheduled).collect();
    assert_eq!(scheduled, (6..=25).map(|minute| at(minute * 60)).collect::<Vec<_>>());
    let job = jobs.job_get(bot_id(), id).await.unwrap().unwrap();
    assert_eq!((job.state.total.wakes, job.state.total.model_calls, job.state.total.cost), (25, 0, 175));

    jobs.jobs_delete(bot_id()).await.unwrap();
    assert_eq!(jobs.job_list(bot_id()).await.unwrap(), []);
    assert_eq!(jobs.job_runs(bot_id(), id).await.unwrap().iter().count(), 0);
    assert_eq!(due(&world.store, at(100_000), 10).await, []);
}

#[tokio::test]
async fn what_is_due_is_read_in_order_and_by_pages() {
    let world = world().await;
    for n in 1..=50 {
        world.store.account(account(1)).job_put(&reminder(n, 1000 - u64::try_from(n).unwrap())).await.unwrap();
    }
    let all = due(&world.store, at(2000), 2).await;
    assert_eq!(all.len(), 50);
    assert_eq!(due(&world.store, at(975), 100).await.len(), 26);
    for shard in 0..JOB_SHARDS {
        let jobs = world.store.jobs_due(shard, at(2000), 100, None).await.unwrap().jobs;
        assert!(jobs.iter().map(Job::due_at).is_sorted());
    }
}

#[test]
fn jobs_are_spread_over_the_shards() {
    let shards = (0..2000).map(|n| {
        let id = JobId::from_parts(at(0), n * 7_919_000_000_007);
        store::keys::job_shard(id)
    });
    let mut counts = [0; JOB_SHARDS as usize];
    shards.for_each(|shard| counts[shard as usize] += 1);
    assert!(counts.iter().all(|count| (60..=200).contains(count)), "{counts:?}");
}
