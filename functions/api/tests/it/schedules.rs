//! Schedules: made, changed, run, paused, removed; and heartbeats as a setting of the bot.

use api::views::{BotView, Items, LinkView, RunView, ScheduleView};
use axum::body::Body;
use axum::http::{Request, header};
use domain::job::Payload;
use domain::{JobId, Task};
use queues::Queue;
use serde_json::{Value, json};

use crate::harness::Api;

fn daily() -> Value {
    json!({
        "name": "weather",
        "schedule": { "kind": "cron", "expr": "0 7 * * *" },
        "payload": { "kind": "agentTurn", "message": "Tell me the weather" },
    })
}

#[tokio::test]
async fn a_schedule_is_made_changed_and_removed() {
    let api = Api::start().await;
    api.post("/v1/bots", json!({ "name": "Tidy", "time_zone": "Europe/Berlin" })).await.read::<BotView>(201);
    let list = "/v1/bots/Tidy/schedules";
    let answer = api.post(list, daily()).await;
    let made: ScheduleView = answer.read(201);
    assert_eq!(answer.header(header::ETAG), "\"1\"");
    assert!(answer.header(header::LOCATION).ends_with(&made.job.id.to_string()));
    assert_eq!(made.job.spec.schedule.in_words("UTC"), "`0 7 * * *` Europe/Berlin", "the bot's zone");
    assert_eq!(made.told, "0 wakes, 0 model calls, $0.00");
    let path = format!("{list}/{}", made.job.id);
    assert_eq!(api.get(&path).await.read::<ScheduleView>(200), made);
    assert_eq!(api.get(list).await.read::<Items<ScheduleView>>(200).items, std::slice::from_ref(&made));

    let patch = json!({ "payload": { "message": "Tell me the news" }, "schedule": { "kind": "every", "every": "2h" } });
    let changed: ScheduleView = api.patch(&path, patch.clone()).await.read(200);
    let Payload::AgentTurn { message, .. } = &changed.job.spec.payload else { panic!("{changed:?}") };
    assert_eq!((message.as_str(), changed.job.version), ("Tell me the news", 2));
    let request = Request::patch(&path).header("authorization", format!("Bearer {}", api.key));
    let request = request.header("content-type", "application/json").header("if-match", "\"1\"");
    api.raw(request.body(Body::from(patch.to_string())).unwrap()).await.problem(412);

    let off: ScheduleView = api.patch(&path, json!({ "enabled": false })).await.read(200);
    assert_eq!(off.due_at, None);
    assert_eq!(api.delete(&path).await.status, 204);
    api.get(&path).await.problem(404);
}

#[tokio::test]
async fn the_next_runs_are_told_with_how_late_they_begin() {
    let api = Api::start().await;
    api.post("/v1/bots", json!({ "name": "Tidy", "time_zone": "Europe/Berlin" })).await.read::<BotView>(201);
    let list = "/v1/bots/Tidy/schedules";
    let mut job = daily();
    job["jitterMs"] = json!(3_600_000);
    let made: ScheduleView = api.post(list, job).await.read(201);
    let scheduled: Vec<String> =
        made.next_runs.iter().map(|run| domain::when::local_time(run.scheduled, "Europe/Berlin")).collect();
    assert!(scheduled.len() == 5 && scheduled.iter().all(|time| time.ends_with(" 07:00 Europe/Berlin")));
    assert!(scheduled.is_sorted() && made.due_at == Some(made.next_runs[0].at));
    assert!(made.next_runs.iter().all(|run| run.at.since(run.scheduled).as_millis() < 3_600_000));
    assert!(made.next_runs.iter().any(|run| run.at > run.scheduled), "{:?}", made.next_runs);
    let listed = api.get(list).await.read::<Items<ScheduleView>>(200).items;
    assert_eq!(listed[0].next_runs, made.next_runs);
    let answer = api.patch(&format!("{list}/{}", made.job.id), json!({ "enabled": false })).await;
    assert!(answer.body.contains("\"nextRuns\":[]"), "{}", answer.body);
}

#[tokio::test]
async fn what_is_due_before_the_next_tick_is_sent_at_once() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let list = "/v1/bots/Tidy/schedules";
    let mut soon = daily();
    soon["schedule"] = json!({ "kind": "at", "at": "in 1s" });
    let made: ScheduleView = api.post(list, soon).await.read(201);
    let sent = api.environment.queues.receive(Queue::Jobs, 10, std::time::Duration::from_secs(20)).await.unwrap();
    let Ok(Task::Job(fire)) = Task::from_body(&sent[0].body) else { panic!("{sent:?}") };
    assert_eq!((fire.job, fire.bot), (made.job.id, made.job.bot));

    let made: ScheduleView = api.post(list, daily()).await.read(201);
    assert_eq!(api.post(&format!("{list}/{}/run", made.job.id), json!({})).await.status, 202);
    let sent = api.take_tasks(Queue::Jobs).await;
    assert!(matches!(&sent[..], [Task::Job(fire)] if fire.job == made.job.id), "{sent:?}");
    let runs: Items<RunView> = api.get(&format!("{list}/{}/runs", made.job.id)).await.read(200);
    assert_eq!(runs.items, [], "none has ended");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_advice() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let refused = async |pointer: &str, value: Value, status| {
        let mut job = daily();
        *job.pointer_mut(pointer).unwrap() = value;
        api.post("/v1/bots/Tidy/schedules", job).await.problem(status)
    };
    assert!(refused("/schedule", json!({ "kind": "at", "at": "soon" }), 400).await.contains("in 20m"));
    assert!(refused("/schedule", json!({ "kind": "every", "every": "5s" }), 422).await.contains("once a minute"));
    assert!(refused("/schedule/expr", json!("61 * * * *"), 422).await.contains("0 9 * * 1-5"));
    assert!(refused("/payload", json!({ "kind": "command", "command": "ls" }), 422).await.contains("no shell"));
    assert!(refused("/payload", json!({ "kind": "heartbeat" }), 422).await.contains("lowtide bots heartbeat"));
    let mut job = daily();
    job["jitterMs"] = json!(86_400_000);
    assert!(api.post("/v1/bots/Tidy/schedules", job).await.problem(422).contains("jitterMs"));
    api.get("/v1/bots/Tidy/schedules/job_x").await.problem(404);
}

#[tokio::test]
async fn a_webhook_gets_a_secret_of_its_own_that_is_told_once() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let list = "/v1/bots/Tidy/schedules";
    let posting = |to: &str| {
        let mut job = daily();
        job["delivery"] = json!({ "mode": "webhook", "to": to });
        job
    };
    for (to, why) in [
        ("http://example.com/x", "https://"),
        ("https://127.0.0.1/x", "not a public address"),
        ("https://me:secret@example.com/x", "password"),
    ] {
        assert!(api.post(list, posting(to)).await.problem(400).contains(why), "{to}");
    }
    assert!(api.post(list, posting("example.com")).await.problem(422).contains("https://"));
    let links = async || api.get("/v1/bots/Tidy/links").await.read::<Items<LinkView>>(200).items;
    let mut never = posting("https://example.com/x");
    never["schedule"] = json!({ "kind": "cron", "expr": "0 0 31 2 *" });
    api.post(list, never).await.problem(422);
    assert_eq!(links().await, [], "what is refused leaves nothing behind");

    let made: ScheduleView = api.post(list, posting("https://example.com/x")).await.read(201);
    let secret = made.webhook_secret.clone().expect("it is told");
    assert!(secret.starts_with("whsec_"));
    let [link] = &links().await[..] else { panic!("one link") };
    assert_eq!(made.job.spec.delivery.as_ref().unwrap().link, Some(link.id));
    let path = format!("{list}/{}", made.job.id);
    let again = api.get(&path).await;
    assert!(!again.body.contains(&secret));
    assert_eq!(again.read::<ScheduleView>(200).webhook_secret, None);

    // The same address again is the same link, and another one another.
    let second: ScheduleView = api.post(list, posting("https://example.com/x")).await.read(201);
    assert_eq!((second.webhook_secret, links().await.len()), (None, 1));
    let moved = json!({ "delivery": { "to": "https://example.com/y" } });
    let moved: ScheduleView = api.patch(&path, moved).await.read(200);
    assert!(moved.webhook_secret.is_some_and(|other| other != secret));
    assert_eq!(links().await.len(), 2);

    // A heartbeat has no webhook, and says so.
    let target = json!({ "mode": "webhook", "to": "https://example.com/x" });
    let heartbeat = json!({ "heartbeat": { "every_minutes": 30, "target": target } });
    assert!(api.patch("/v1/bots/Tidy", heartbeat).await.problem(400).contains("no webhook"));
}

#[tokio::test]
async fn only_so_many_runs_are_begun_at_once() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let made: ScheduleView = api.post("/v1/bots/Tidy/schedules", daily()).await.read(201);
    let run = format!("/v1/bots/Tidy/schedules/{}/run", made.job.id);
    for _ in 0..domain::job::MAX_PENDING {
        assert_eq!(api.post(&run, json!({})).await.status, 202);
    }
    assert!(api.post(&run, json!({})).await.problem(409).contains("wait for their end"));
}

#[tokio::test]
async fn heartbeats_are_a_setting_of_the_bot() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    assert_eq!(bot.heartbeat.every_minutes, None, "off by default");
    let hours = json!({ "start": "08:00", "end": "22:00" });
    let heartbeat = json!({ "heartbeat": { "every_minutes": 30, "active_hours": hours } });
    let bot: BotView = api.patch("/v1/bots/Tidy", heartbeat).await.read(200);
    assert_eq!(bot.heartbeat.every_minutes, Some(30));
    let list: Items<ScheduleView> = api.get("/v1/bots/Tidy/schedules").await.read(200);
    let [beat] = &list.items[..] else { panic!("{list:?}") };
    assert_eq!((beat.job.id, &beat.job.spec.payload), (JobId::heartbeat_of(bot.id), &Payload::Heartbeat));
    let path = format!("/v1/bots/Tidy/schedules/{}", beat.job.id);
    assert!(api.delete(&path).await.problem(409).contains("heartbeat"));
    assert!(
        api.patch("/v1/bots/Tidy", json!({ "heartbeat": { "every_minutes": 0 } })).await.problem(400).contains("10080")
    );
    api.patch("/v1/bots/Tidy", json!({ "heartbeat": {} })).await.read::<BotView>(200);
    assert_eq!(api.get("/v1/bots/Tidy/schedules").await.read::<Items<ScheduleView>>(200).items, []);
}
