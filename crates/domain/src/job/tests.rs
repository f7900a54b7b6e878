use serde_json::{Value, json};

use super::*;
use crate::schedule::TOP_OF_HOUR_STAGGER;

mod claims;

/// Monday, 23 November 2026, 12:00 UTC.
const NOON: u64 = 1_795_435_200;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(NOON + secs)
}

fn spec(schedule: Schedule) -> JobSpec {
    JobSpec {
        name: "poll".into(),
        description: None,
        enabled: true,
        schedule,
        session_target: SessionTarget::Isolated,
        payload: Payload::SystemEvent { text: "Look.".into() },
        delivery: None,
        delete_after_run: None,
        missed: Missed::Once,
        jitter_ms: 0,
    }
}

fn created(spec: JobSpec) -> Job {
    let (account, bot) = (AccountId::from_parts(at(0), 1), BotId::from_parts(at(0), 2));
    Job::create(JobId::from_parts(at(0), 3), account, bot, spec, "Europe/Berlin", at(0)).unwrap()
}

fn each(secs: u64) -> Schedule {
    Schedule::Every { every_ms: secs * 1000, anchor_ms: None }
}

fn once(secs: u64) -> Schedule {
    Schedule::At { at: at(secs) }
}

fn report(scheduled: Timestamp, ended_at: Timestamp, outcome: Outcome) -> Report {
    Report { scheduled, started_at: scheduled, ended_at, outcome, cost: 5, model_calls: 1, turn: None }
}

fn failed() -> Outcome {
    Outcome::Error { error: "the model is down".into() }
}

/// Claims what is due at `now`, and ends the one run that this makes.
fn run(job: &Job, now: Timestamp, outcome: Outcome) -> Finished {
    let claim = job.claim(now, now).unwrap();
    assert_eq!(claim.fire.len(), 1);
    claim.job.finish(report(claim.fire[0].scheduled, now, outcome)).unwrap()
}

fn openclaw(json: Value) -> Result<(JobSpec, Vec<String>), BadJob> {
    JobSpec::from_json(&json)
}

#[test]
fn openclaws_jobs_are_read() {
    let (standup, left_out) = openclaw(json!({
        "id": "f3a1db11-7518-429e-bede-8fc5fe058a53", "agentId": "work", "name": "standup", "enabled": true,
        "createdAtMs": 1_795_347_151_202_u64, "schedule": { "kind": "cron", "expr": "0 9 * * 1-5", "tz": "Europe/Berlin" },
        "sessionTarget": "isolated", "wakeMode": "now",
        "payload": { "kind": "agentTurn", "message": "Summarise the day", "toolsAllow": ["*"], "model": "openai/gpt-5", "thinking": "low" },
        "delivery": { "mode": "announce", "channel": "telegram", "to": "111", "threadId": 7 },
        "scheduledToolPolicy": { "version": 1, "mode": "trusted" }, "state": {}
    }))
    .unwrap();
    assert_eq!(left_out, Vec::<String>::new());
    let delivery = standup.delivery.clone().unwrap();
    assert_eq!((delivery.channel.as_deref(), delivery.thread_id.as_deref()), (Some("telegram"), Some("7")));
    assert!(
        matches!(&standup.payload, Payload::AgentTurn { message, thinking: Some(Thinking::Low), .. } if message == "Summarise the day")
    );
    let job = created(standup);
    assert_eq!(job.state.next, Some(at(20 * 3600)));

    let (remind, left_out) = openclaw(json!({
        "id": "c5c284d8-c473-40c2-8c92-c25c77bdf2c0", "agentId": "main", "name": "remind", "enabled": true, "deleteAfterRun": true,
        "schedule": { "kind": "at", "at": "2026-11-23T13:32:33.665Z" }, "sessionTarget": "main", "wakeMode": "now",
        "payload": { "kind": "systemEvent", "text": "Drink water" }, "state": {}
    }))
    .unwrap();
    assert_eq!((left_out, remind.session_target.clone()), (vec![], SessionTarget::Main));
    assert!(remind.deletes_itself());

    let (heartbeat, left_out) = openclaw(json!({
        "declarationKey": "heartbeat:main", "displayName": "Heartbeat (main)", "name": "heartbeat-main", "enabled": true,
        "schedule": { "kind": "every", "everyMs": 1_800_000, "anchorMs": 259_173 }, "sessionTarget": "main",
        "wakeMode": "next-heartbeat", "payload": { "kind": "heartbeat" }, "state": {}
    }))
    .unwrap();
    assert_eq!((left_out, heartbeat.payload.clone()), (vec![], Payload::Heartbeat));
    assert_eq!(heartbeat.check(), Ok(()));

    let (_, left_out) = openclaw(json!({
        "name": "poll", "schedule": { "kind": "every", "everyMs": 3_600_000 }, "delivery": { "mode": "none", "channel": "last" },
        "payload": { "kind": "agentTurn", "message": "check", "lightContext": false, "allowUnsafeExternalContent": true },
        "pacing": { "min": 1 }, "description": null
    }))
    .unwrap();
    assert_eq!(left_out, ["pacing", "payload.allowUnsafeExternalContent"]);

    let (_, left_out) = openclaw(json!({
        "name": "digest", "schedule": { "kind": "every", "everyMs": 3_600_000 }, "wakeMode": "next-heartbeat",
        "payload": {
            "kind": "agentTurn", "message": "read", "lightContext": true, "timeoutSeconds": 60, "fallbacks": ["openai/gpt-5"]
        }
    }))
    .unwrap();
    assert_eq!(
        left_out,
        [
            "payload.fallbacks",
            "payload.lightContext",
            "payload.timeoutSeconds",
            "wakeMode (the job begins at its own time, not with the next heartbeat)"
        ]
    );
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason() {
    let with = |place: &str, value: Value| {
        let mut job = json!({
            "name": "x", "schedule": { "kind": "every", "everyMs": 60_000 }, "payload": { "kind": "systemEvent", "text": "x" }
        });
        job[place] = value;
        openclaw(job).map(|(spec, _)| spec.check())
    };
    for (place, value, word) in [
        ("schedule", json!({ "kind": "on-exit", "command": "make" }), "process"),
        ("schedule", json!({ "kind": "stream", "command": ["tail"] }), "process"),
        ("payload", json!({ "kind": "command", "argv": ["ls"] }), "shell"),
        ("payload", json!({ "kind": "script", "script": "1" }), "shell"),
        ("trigger", json!({ "script": "1" }), "script"),
        ("payload", json!({ "kind": "dance" }), "dance"),
        ("sessionTarget", json!("elsewhere"), "session target"),
        ("name", json!(7), "string"),
    ] {
        let error = with(place, value.clone()).unwrap_err().to_string();
        assert!(error.contains(word), "{value}: {error}");
    }
    assert_eq!(with("name", json!(" ")), Ok(Err(BadJob::Name)));
    assert_eq!(with("payload", json!({ "kind": "systemEvent", "text": " " })), Ok(Err(BadJob::Text)));
    assert_eq!(with("delivery", json!({ "mode": "webhook", "to": "me" })), Ok(Err(BadJob::Webhook)));
    assert_eq!(with("missed", json!({ "policy": "all", "cap": 0 })), Ok(Err(BadJob::Cap)));
    assert_eq!(with("missed", json!({ "policy": "all" })), Ok(Ok(())));
    assert!(matches!(with("sessionTarget", json!("session:a b")), Ok(Err(BadJob::Session(_)))));
    assert!(openclaw(json!([])).is_err());
}

#[test]
fn a_job_keeps_its_shape() {
    let mut job = created(spec(each(60)));
    job = job.run_now(at(5)).unwrap().job;
    let written = serde_json::to_value(&job).unwrap();
    assert_eq!(serde_json::from_value::<Job>(written.clone()).unwrap(), job);
    assert_eq!(written["state"]["nextRunAtMs"], json!(at(60).as_millis()));
    assert_eq!((&written["schedule"]["kind"], &written["sessionTarget"]), (&json!("every"), &json!("isolated")));
    // What the API shows of a job can be given back to it.
    let (again, left_out) = JobSpec::from_json(&written).unwrap();
    assert_eq!((again, left_out), (job.spec, vec![]));
}

#[test]
fn each_run_has_the_session_that_the_job_names() {
    let session = |target: &str| {
        let target = SessionTarget::try_from(target.to_owned()).unwrap();
        let job = created(JobSpec { session_target: target, ..spec(each(60)) });
        job.session("Main", at(60)).unwrap().to_string()
    };
    assert_eq!(session("main"), "agent:main:main");
    assert_eq!(session("session:daily"), "agent:main:daily");
    assert_eq!(session("session:agent:main:telegram:direct:5"), "agent:main:telegram:direct:5");
    let isolated = session("isolated");
    assert!(
        isolated.starts_with("agent:main:cron:job_") && isolated.ends_with(&format!(":run:{}", at(60))),
        "{isolated}"
    );
}

#[test]
fn a_reminder_fires_once_and_is_gone() {
    let job = created(spec(once(90)));
    assert_eq!(job.claim(at(0), at(60)), None);
    let claim = job.claim(at(60), at(120)).unwrap();
    assert_eq!(claim.fire, [Firing { scheduled: at(90), at: at(90) }]);
    assert_eq!((claim.next, claim.job.due_at()), (None, Some(at(210))));
    assert_eq!(claim.job.claim(at(120), at(180)), None);
    let finished = claim.job.finish(report(at(90), at(95), Outcome::Ok)).unwrap();
    assert_eq!((finished.job, finished.run.duration), (None, 5000));

    let kept = created(JobSpec { delete_after_run: Some(false), ..spec(once(90)) });
    let job = run(&kept, at(90), Outcome::Ok).job.unwrap();
    assert!(!job.spec.enabled && job.due_at().is_none() && job.state.total.wakes == 1);
    assert!(matches!(
        job.edit(JobSpec { enabled: true, ..job.spec.clone() }, "UTC", at(100)),
        Err(BadJob::Schedule(_))
    ));
}

#[test]
fn what_was_missed_ends_as_the_job_says() {
    // A quarter-hourly job whose ticks stopped for an hour.
    let fired = |missed| {
        let job = created(JobSpec { missed, ..spec(each(900)) });
        let claim = job.claim(at(3605), at(3665)).unwrap();
        assert_eq!(claim.next, Some(at(4500)));
        (claim.fire.iter().map(|run| run.scheduled.as_secs() - NOON).collect::<Vec<_>>(), claim.job.state.missed)
    };
    assert_eq!(fired(Missed::Skip), (vec![3600], 3));
    assert_eq!(fired(Missed::Once), (vec![3600], 3));
    assert_eq!(fired(Missed::All { cap: 10 }), (vec![900, 1800, 2700, 3600], 0));
    assert_eq!(fired(Missed::All { cap: 2 }), (vec![2700, 3600], 2));

    let late = |missed| created(JobSpec { missed, ..spec(once(60)) }).claim(at(3600), at(3660)).unwrap();
    assert_eq!(late(Missed::Once).fire.len(), 1);
    let skipped = late(Missed::Skip).job;
    assert!(!skipped.spec.enabled && skipped.due_at().is_none() && skipped.state.missed == 1);
}

#[test]
fn a_long_outage_is_not_counted_minute_by_minute() {
    let year = 365 * 24 * 3600;
    for schedule in [each(60), Schedule::Cron { expr: "* * * * *".into(), tz: None, stagger_ms: None }] {
        let job = created(JobSpec { missed: Missed::All { cap: 100 }, ..spec(schedule) });
        let claim = job.claim(at(year), at(year + 60)).unwrap();
        assert_eq!((claim.fire.len(), claim.next), (MAX_PENDING, Some(at(year + 120))));
        assert_eq!(claim.fire.last().unwrap().scheduled, at(year + 60));
        assert!((1..=110).contains(&claim.job.state.missed), "{}", claim.job.state.missed);
    }
}

#[test]
fn a_run_that_nobody_reports_is_sent_again_less_and_less_often_and_then_given_up() {
    let mut job = created(spec(once(60)));
    job = job.claim(at(60), at(60)).unwrap().job;
    let (mut sent_again, mut lost) = (vec![], None);
    for minute in 2..=25 * 60 {
        let now = at(minute * 60);
        let Some(claim) = job.claim(now, now + Duration::from_secs(60)) else { continue };
        assert_eq!(claim.fire, []);
        if !claim.again.is_empty() {
            sent_again.push(minute);
        }
        lost = claim.lost.first().copied();
        job = claim.job;
    }
    assert_eq!(sent_again, [3, 5, 9, 17, 33, 65, 129, 257, 513, 1025]);
    assert_eq!(lost, None);
    let claim = job.claim(at(2049 * 60), at(2049 * 60)).unwrap();
    assert_eq!(claim.lost, [Firing { scheduled: at(60), at: at(60) }]);
    let end = claim.job.finish(report(at(60), at(2049 * 60), failed())).unwrap();
    assert_eq!(end.job.unwrap().state.consecutive_errors, 1);
}

#[test]
fn an_end_counts_once() {
    let claim = created(spec(each(60))).claim(at(60), at(60)).unwrap();
    let job = claim.job.finish(report(at(60), at(70), Outcome::Ok)).unwrap().job.unwrap();
    assert_eq!((job.state.total.wakes, job.state.total.model_calls, job.state.total.cost), (1, 1, 5));
    assert_eq!(job.finish(report(at(60), at(80), Outcome::Ok)), None);
    assert_eq!(job.due_at(), Some(at(120)));
}

#[test]
fn a_heartbeat_with_nothing_to_do_counts_as_a_wake_without_a_model() {
    let mut job = created(spec(each(1800)));
    for beat in 1..=48 {
        let outcome = Outcome::Skipped { reason: "HEARTBEAT.md says nothing to do".into() };
        let claim = job.claim(at(beat * 1800), at(beat * 1800)).unwrap();
        let report = Report { cost: 0, model_calls: 0, ..report(at(beat * 1800), at(beat * 1800), outcome) };
        job = claim.job.finish(report).unwrap().job.unwrap();
    }
    assert_eq!((job.state.total.wakes, job.state.total.model_calls, job.state.total.cost), (48, 0, 0));
}

#[test]
fn errors_put_a_job_off_and_then_switch_it_off() {
    let mut job = created(spec(each(60)));
    let (mut waits, mut now) = (vec![], at(60));
    for error in 1..=MAX_ERRORS {
        let finished = run(&job, now, failed());
        job = finished.job.unwrap();
        assert_eq!(finished.paused.is_some(), error == MAX_ERRORS, "{error}");
        let next = job.state.next.unwrap();
        waits.push(next.since(now).as_secs());
        now = next;
    }
    assert_eq!(waits, [60, 60, 300, 900, 3600, 3600, 3600, 3600, 3600, 3600]);
    assert!(!job.spec.enabled && job.due_at().is_none());
    let reason = job.state.paused.clone().unwrap().reason;
    assert!(reason.contains("poll") && reason.contains("10 times") && reason.contains("the model is down"), "{reason}");
    let again = job.edit(JobSpec { enabled: true, ..job.spec.clone() }, "UTC", now).unwrap();
    assert_eq!((again.state.consecutive_errors, &again.state.paused), (0, &None));
    assert!(again.due_at().unwrap() > now);
}

#[test]
fn an_answer_ends_a_row_of_errors() {
    let job = run(&created(spec(each(3600))), at(3600), failed()).job.unwrap();
    // The hour is longer than the wait.
    assert_eq!((job.state.consecutive_errors, job.due_at()), (1, Some(at(7200))));
    let job = run(&job, at(7200), Outcome::Ok).job.unwrap();
    assert_eq!(job.state.consecutive_errors, 0);
}

#[test]
fn a_reminder_that_fails_is_tried_again_and_then_kept_for_its_owner() {
    let mut job = created(spec(once(60)));
    let mut tried = vec![];
    while let Some(due) = job.due_at() {
        let finished = run(&job, due, failed());
        tried.push(due.as_secs() - NOON);
        job = finished.job.unwrap();
    }
    assert_eq!(tried, [60, 90, 150, 450]);
    assert!(!job.spec.enabled && job.state.paused.is_some() && job.state.next.is_none());
}

#[test]
fn a_run_by_hand_leaves_the_schedule_alone() {
    let claim = created(spec(once(600))).run_now(at(5)).unwrap();
    assert_eq!((claim.fire.len(), claim.next), (1, Some(at(600))));
    let twice = claim.job.run_now(at(5)).unwrap();
    assert_ne!(twice.fire, claim.fire);
    let job = claim.job.finish(report(at(5), at(6), Outcome::Ok)).unwrap().job.expect("its time is still to come");
    assert_eq!(job.due_at(), Some(at(600)));
    let failing = claim.job.finish(report(at(5), at(6), failed())).unwrap().job.unwrap();
    assert_eq!(failing.due_at(), Some(at(600)));

    let disabled = created(JobSpec { enabled: false, ..spec(each(60)) });
    assert_eq!(disabled.due_at(), None);
    let job = disabled.run_now(at(5)).unwrap().job.finish(report(at(5), at(6), Outcome::Ok)).unwrap().job.unwrap();
    assert!(!job.spec.enabled && job.due_at().is_none());
}

#[test]
fn only_so_many_runs_wait_for_their_end() {
    let mut job = created(spec(each(3600)));
    for _ in 0..MAX_PENDING {
        job = job.run_now(at(5)).unwrap().job;
    }
    assert_eq!(job.run_now(at(5)), None);
    assert!(job.claim(at(3600), at(3660)).unwrap().fire.is_empty());
}

#[test]
fn a_reminder_that_did_not_run_is_kept_and_its_owner_told() {
    let skipped = || Outcome::Skipped { reason: "the bot is paused".into() };
    let Finished { job, paused, .. } = run(&created(spec(once(60))), at(60), skipped());
    let job = job.expect("it is kept");
    assert!(!job.spec.enabled && job.due_at().is_none());
    assert_eq!(job.state.paused, paused);
    assert!(paused.unwrap().reason.contains("the bot is paused"));
    // Given another time it is as new, and gone once it went well.
    let again = job.edit(JobSpec { enabled: true, schedule: once(600), ..job.spec.clone() }, "UTC", at(70)).unwrap();
    assert_eq!((again.due_at(), &again.state.paused), (Some(at(600)), &None));
    assert_eq!(run(&again, at(600), Outcome::Ok).job, None);
    // What runs again and again is skipped without a word, also if it is deleted once it went well.
    let often = JobSpec { delete_after_run: Some(true), ..spec(each(60)) };
    let Finished { job, paused, .. } = run(&created(often), at(60), skipped());
    assert_eq!((job.unwrap().due_at(), paused), (Some(at(120)), None));
}

#[test]
fn when_a_model_last_answered_is_remembered_however_long_ago() {
    let mut job = run(&created(spec(each(60))), at(60), Outcome::Ok).job.unwrap();
    assert_eq!(job.state.last_asked_at, Some(at(60)));
    for minute in 2..100 {
        let claim = job.claim(at(minute * 60), at(minute * 60)).unwrap();
        let outcome = Outcome::Skipped { reason: "nothing".into() };
        let end = Report { model_calls: 0, ..report(claim.fire[0].scheduled, at(minute * 60), outcome) };
        job = claim.job.finish(end).unwrap().job.unwrap();
    }
    assert_eq!(job.state.last_asked_at, Some(at(60)));
}

#[test]
fn runs_that_are_made_up_for_fail_together_and_wait_together() {
    let job = created(JobSpec { missed: Missed::All { cap: 10 }, ..spec(each(60)) });
    let mut now = at(6000);
    let claim = job.claim(now, now).unwrap();
    assert_eq!(claim.fire.len(), 10);
    let mut job = claim.job;
    let mut waits = vec![];
    while job.spec.enabled {
        // All that wait begin side by side, and the first three end.
        let begun: Vec<Firing> = job.state.pending.iter().copied().filter(|run| run.at <= now).take(3).collect();
        assert!(!begun.is_empty(), "{:?}", job.state);
        for (index, run) in begun.iter().enumerate() {
            let end =
                Report { started_at: now, ..report(run.scheduled, now + Duration::from_secs(index as u64), failed()) };
            job = job.finish(end).unwrap().job.unwrap();
        }
        let errors = job.state.consecutive_errors;
        assert_eq!(errors as usize, waits.len() + 1, "as many as fail together count as one");
        // Those that were not begun wait as long as the error says.
        let Some(again_at) = job.state.again_at else { break };
        assert!(job.state.pending.iter().all(|run| run.at >= again_at));
        waits.push(again_at.since(now).as_secs());
        now = again_at + Duration::from_secs(1);
        let Some(claim) = job.claim(now, now) else { panic!("they are sent again") };
        assert!(!claim.again.is_empty());
        job = claim.job;
    }
    assert_eq!(waits[..3], [30, 60, 300]);
}

#[test]
fn runs_are_not_spread_beyond_the_next_one() {
    let spread = |schedule: Schedule, jitter_ms| JobSpec { jitter_ms, ..spec(schedule) }.check();
    let cron = |expr: &str| Schedule::Cron { expr: expr.into(), tz: Some("Europe/Berlin".into()), stagger_ms: None };
    assert_eq!(spread(each(60), 59_999), Ok(()));
    assert_eq!(spread(each(60), 60_000), Err(BadJob::Jitter(Duration::from_secs(60))));
    assert_eq!(spread(cron("*/10 * * * *"), 599_999), Ok(()));
    assert_eq!(spread(cron("*/10 * * * *"), 600_000), Err(BadJob::Jitter(Duration::from_secs(600))));
    // The shortest of all counts.
    assert_eq!(spread(cron("0,5 9 * * *"), 300_000), Err(BadJob::Jitter(Duration::from_secs(300))));
    assert_eq!(spread(once(60), 86_400_000), Ok(()));
    let error = spread(each(60), 60_000).unwrap_err().to_string();
    assert!(error.contains("jitterMs") && error.contains("60000 ms"), "{error}");
}

#[test]
fn an_edit_goes_on_or_begins_anew() {
    let job = created(spec(each(60)));
    let renamed = job.edit(JobSpec { name: "look".into(), ..job.spec.clone() }, "UTC", at(500)).unwrap();
    assert_eq!((renamed.state.next, renamed.version), (Some(at(60)), 2));
    let slower = job.edit(JobSpec { schedule: each(3600), ..job.spec.clone() }, "UTC", at(500)).unwrap();
    assert_eq!(slower.state.next, Some(at(4100)));
    assert_eq!(job.edit(JobSpec { name: String::new(), ..job.spec.clone() }, "UTC", at(500)), Err(BadJob::Name));
}

#[test]
fn a_schedule_takes_the_bots_zone_unless_it_names_one() {
    let nine =
        |tz: Option<&str>| Schedule::Cron { expr: "0 9 * * *".into(), tz: tz.map(str::to_owned), stagger_ms: None };
    assert_eq!(created(spec(nine(None))).state.next, Some(at(20 * 3600)));
    assert_eq!(created(spec(nine(Some("UTC")))).state.next, Some(at(21 * 3600)));
    let never = Schedule::Cron { expr: "0 0 31 2 *".into(), tz: None, stagger_ms: None };
    let (account, bot) = (AccountId::from_parts(at(0), 1), BotId::from_parts(at(0), 2));
    let error = Job::create(JobId::from_parts(at(0), 3), account, bot, spec(never), "UTC", at(0)).unwrap_err();
    assert!(error.to_string().contains("never fires"), "{error}");
}

#[test]
fn runs_are_spread_and_listed_ahead() {
    let hourly = Schedule::Cron { expr: "0 * * * *".into(), tz: None, stagger_ms: None };
    let job = created(JobSpec { jitter_ms: 60_000, ..spec(hourly) });
    let times = job.due_times(at(0), at(24 * 3600 + 600));
    let late: Vec<Duration> = times.iter().map(|run| run.at.since(run.scheduled)).collect();
    assert!((24..=25).contains(&times.len()));
    assert!(late.iter().all(|late| *late < TOP_OF_HOUR_STAGGER + Duration::from_secs(60)));
    assert!(late.iter().collect::<std::collections::BTreeSet<_>>().len() > 12);
    assert!(times.iter().any(|run| Some(run.at) == job.due_at()));
}

#[test]
fn the_next_runs_are_those_that_will_be_claimed() {
    let next = |job: &Job, now: u64| job.next_runs(at(now), 3);
    let begins = |job: &Job, now: u64| next(job, now).iter().map(|run| run.at).collect::<Vec<_>>();
    let nine = Schedule::Cron { expr: "0 9 * * *".into(), tz: None, stagger_ms: None };
    // The clock of Berlin, where it is 13:00.
    assert_eq!(begins(&created(spec(nine)), 0), [20, 44, 68].map(|hours| at(hours * 3600)));

    let job = created(spec(each(600)));
    assert_eq!(begins(&job, 0), [600, 1200, 1800].map(at));
    // An overdue run stands first, and what was missed is not counted through.
    assert_eq!(begins(&job, 86_400 + 60), [600, 86_400 + 600, 86_400 + 1200].map(at));
    // One that was sent ahead is to come until it begins.
    let sent = job.claim(at(590), at(600)).unwrap().job;
    assert_eq!(begins(&sent, 590), [600, 1200, 1800].map(at));
    assert_eq!(begins(&sent, 600), [1200, 1800, 2400].map(at));

    let hourly = Schedule::Cron { expr: "0 * * * *".into(), tz: None, stagger_ms: None };
    let spread = created(JobSpec { jitter_ms: 60_000, ..spec(hourly) });
    assert_eq!(next(&spread, 0), spread.due_times(at(600), at(5 * 3600))[..3]);
    assert_eq!(begins(&created(spec(once(60))), 0), [at(60)]);
    let off = job.edit(JobSpec { enabled: false, ..job.spec.clone() }, "UTC", at(0)).unwrap();
    assert_eq!(next(&off, 0), []);
}

#[test]
fn only_the_last_runs_are_remembered() {
    let mut history = RunHistory::default();
    let job = created(spec(each(60))).claim(at(60), at(60)).unwrap().job;
    let last = job.finish(report(at(60), at(61), Outcome::Error { error: "x".repeat(5000) })).unwrap().run;
    for n in 0..30 {
        history.push(Run { cost: n, ..last.clone() });
    }
    assert_eq!(history.iter().map(|run| run.cost).collect::<Vec<_>>(), (10..30).collect::<Vec<_>>());
    let written = serde_json::to_string(&history).unwrap();
    assert!(written.len() < 16 * 1024, "{}", written.len());
    assert_eq!(serde_json::from_str::<RunHistory>(&written).unwrap(), history);
}
