//! Schedules from the terminal, against the running product.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use channels::signature;
use runtime::Clock;
use serde_json::{Value, json};
use testkit::model::{FakeModel, Reply};

use crate::dev_process::{DevProcess, run, text};

/// Runs a command that should work, and returns what it prints.
async fn lowtide(dir: &Path, args: &[&str]) -> String {
    let output = run(dir, args).await;
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

async fn refused(dir: &Path, args: &[&str]) -> String {
    let output = run(dir, args).await;
    assert!(!output.status.success(), "{args:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

/// The only schedule of the first bot.
async fn only(dev: &DevProcess) -> Value {
    let (_, list) = dev.api("GET", "/v1/bots/tidy/schedules", None).await;
    let [only] = list["items"].as_array().unwrap().as_slice() else { panic!("{list}") };
    only.clone()
}

#[tokio::test]
async fn a_schedule_says_all_that_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[]).await;
    let add = [
        "schedules",
        "add",
        "tidy",
        "Tell me the weather",
        "--name",
        "weather",
        "--cron",
        "0 7 * * *",
        "--tz",
        "Asia/Tokyo",
        "--jitter",
        "90s",
        "--thinking",
        "low",
        "--description",
        "For the morning",
        "--delete-after-run",
        "--disabled",
        "--session",
        "mornings",
        "--missed",
        "skip",
    ];
    lowtide(dir.path(), &add).await;
    let job = only(&dev).await;
    let schedule = json!({ "kind": "cron", "expr": "0 7 * * *", "tz": "Asia/Tokyo" });
    assert_eq!((&job["schedule"], &job["enabled"]), (&schedule, &json!(false)));
    assert_eq!((&job["jitterMs"], &job["description"]), (&json!(90_000), &json!("For the morning")));
    assert_eq!((&job["deleteAfterRun"], &job["sessionTarget"]), (&json!(true), &json!("session:mornings")));
    assert_eq!((&job["payload"]["thinking"], &job["missed"]["policy"]), (&json!("low"), &json!("skip")));

    let edit = ["schedules", "edit", "tidy", "weather", "--cron", "0 8 * * *", "--jitter", "5m", "--keep"];
    lowtide(dir.path(), &edit).await;
    let job = only(&dev).await;
    assert_eq!((&job["schedule"]["expr"], &job["schedule"]["tz"]), (&json!("0 8 * * *"), &json!("Asia/Tokyo")));
    assert_eq!((&job["jitterMs"], &job["deleteAfterRun"]), (&json!(300_000), &json!(false)));
    let listed = lowtide(dir.path(), &["schedules", "list", "tidy"]).await;
    assert!(
        listed.contains("weather") && listed.contains("`0 8 * * *` Asia/Tokyo") && listed.contains("off"),
        "{listed}"
    );
    let resumed = lowtide(dir.path(), &["schedules", "resume", "tidy", "weather"]).await;
    assert!(resumed.contains("next "), "{resumed}");

    for (args, says) in [
        (&["--every", "1m", "--jitter", "1m"][..], "jitterMs"),
        (&["--every", "1m", "--tz", "UTC"], "--cron"),
        (&["--every", "1m", "--deliver", "http://example.com/x"], "https://"),
        (&["--every", "1m", "--deliver", "https://example.com/x", "--to", "5"], "--to"),
        (&["--every", "1m", "--jitter", "soon"], "90s"),
    ] {
        let error = refused(dir.path(), &[&["schedules", "add", "tidy", "x"], args].concat()).await;
        assert!(error.contains(says), "{args:?}: {error}");
    }
    let error =
        refused(dir.path(), &["bots", "heartbeat", "tidy", "every", "30m", "--target", "https://example.com"]).await;
    assert!(error.contains("no webhook"), "{error}");
    let beat = lowtide(dir.path(), &["bots", "heartbeat", "tidy", "every", "30m", "--hours", "08:00-22:00"]).await;
    assert!(beat.contains("30m") && beat.contains("08:00-22:00 Etc/UTC") && beat.contains("0 wakes"), "{beat}");
}

#[tokio::test]
async fn openclaws_jobs_are_taken_over_once() {
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[]).await;
    let file = dir.path().join("jobs.json");
    let job = |agent: &str, name: &str, payload: Value| {
        json!({ "id": name, "agentId": agent, "name": name, "schedule": { "kind": "every", "everyMs": 3_600_000 },
            "sessionTarget": "isolated", "wakeMode": "now", "payload": payload, "state": {} })
    };
    let work = |text: &str| json!({ "kind": "agentTurn", "message": text });
    let mut own = job("main", "heartbeat-main", json!({ "kind": "heartbeat" }));
    own["declarationKey"] = json!("heartbeat:main");
    let shell = job("main", "backup", json!({ "kind": "command", "argv": ["ls"] }));
    let jobs = [job("main", "poll", work("check")), own, shell, job("work", "standup", work("Summarise"))];
    std::fs::write(&file, json!({ "version": 1, "jobs": jobs }).to_string()).unwrap();
    let path = file.to_str().unwrap();
    let error = refused(dir.path(), &["schedules", "import", "tidy", path]).await;
    assert!(error.contains("main, work") && error.contains("--agent"), "{error}");
    let error = refused(dir.path(), &["schedules", "import", "tidy", path, "--agent", "other"]).await;
    assert!(error.contains("no jobs of the agent `other`"), "{error}");

    let first = run(dir.path(), &["schedules", "import", "tidy", path, "--agent", "main"]).await;
    assert!(text(&first.stdout).contains("1 taken over, 1 left out, 1 refused."), "{first:?}");
    let told = text(&first.stderr);
    assert!(told.contains("heartbeat-main: left out, OpenClaw made it for itself."), "{told}");
    assert!(told.contains("backup: ") && told.contains("no shell"), "{told}");
    let again = run(dir.path(), &["schedules", "import", "tidy", path, "--agent", "main"]).await;
    assert!(text(&again.stdout).contains("0 taken over, 2 left out, 1 refused."), "{again:?}");
    assert!(text(&again.stderr).contains("poll: left out, it is there already."), "{again:?}");
    assert_eq!(only(&dev).await["name"], "poll");
}

type Posted = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

#[tokio::test]
async fn an_answer_is_posted_once_and_signed() {
    let posted = Posted::default();
    let take = async |State(posted): State<Posted>, headers: HeaderMap, body: Bytes| {
        posted.lock().unwrap().push((headers, body));
    };
    let router = Router::new().route("/answers", post(take)).with_state(posted.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });

    let model = FakeModel::start();
    model.always(Reply::Text("Seven herons.".to_owned()));
    let dir = tempfile::tempdir().unwrap();
    // A private address is posted to only if the operator lists it.
    let dev = DevProcess::start(dir.path(), &[("LOWTIDE_FETCH_ALLOW", &address)]).await;
    dev.bot("watch", &model.base_url()).await;
    let url = format!("http://{address}/answers");
    let args =
        ["schedules", "add", "watch", "Count the herons", "--every", "1h", "--name", "herons", "--deliver", &url];
    let made = lowtide(dir.path(), &args).await;
    let secret = made.split_whitespace().find(|word| word.starts_with("whsec_")).expect("it is told").to_owned();
    lowtide(dir.path(), &["schedules", "run", "watch", "herons"]).await;
    for _ in 0..100 {
        if !posted.lock().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Time for a second one, if there were one.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let posted = posted.lock().unwrap().clone();
    let [(headers, body)] = posted.as_slice() else { panic!("one answer, not {posted:?}") };
    let header = |name: &str| headers[name].to_str().unwrap();
    let (id, at, signatures) = (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
    let now = Clock::system().now();
    assert_eq!(signature::standard(&secret, id, at, signatures, body, now), Ok(()));
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert!(signature::standard(other, id, at, signatures, body, now).is_err());
    let answer: Value = serde_json::from_slice(body).unwrap();
    let (_, list) = dev.api("GET", "/v1/bots/watch/schedules", None).await;
    assert_eq!((&answer["text"], &answer["session"]), (&json!("Seven herons."), &list["items"][0]["id"]));

    // It goes out only: the door has nothing to check a signature with.
    let (_, links) = dev.api("GET", "/v1/bots/watch/links", None).await;
    let path = format!("/hooks/webhook/{}", links["items"][0]["id"].as_str().unwrap());
    let (status, _) = dev.api("POST", &path, Some(json!({ "text": "hello" }))).await;
    assert_eq!(status, 401);
    let (status, _) = dev.api("POST", &format!("{path}/wake"), Some(json!({ "text": "hello" }))).await;
    assert_eq!(status, 401);
}
