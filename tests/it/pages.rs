//! Lists of an account that has many of everything: whole, and at the same cost for each page.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use domain::{Account, AccountId, Bot, Budget, DeadLetterId, KeyId, Timestamp};
use runtime::{Clock, Entropy, Environment};
use serde_json::{Value, json};
use store::{Actor, AuditLine, DeadLetter, DeadLetterStatus, Notice};
use testkit::cloud::{Calm, Cloud};
use testkit::stack::draft_bot;
use tower::ServiceExt;

const NOW: u64 = 1_795_341_600_000;
const KEY: &str = "lt_key";
const BOTS: usize = 1_000;
const OTHERS: u64 = 130;

struct World {
    cloud: Cloud,
    environment: Environment,
    api: Router,
    account: AccountId,
}

impl World {
    async fn begin() -> World {
        let cloud = Cloud::new();
        let random = AtomicU64::new(1);
        let entropy = Entropy::from_fn(move || u128::from(random.fetch_add(1, Ordering::Relaxed)) << 64 | 7);
        let clock = Clock::from_fn(|| Timestamp::from_millis(NOW));
        let environment = cloud.environment(Arc::new(Calm), clock, entropy);
        let now = environment.clock.now();
        let account = AccountId::from_parts(now, environment.entropy.next_u128());
        let store = environment.store.account(account);
        let record = Account { id: account, name: "Ada".to_owned(), budget: Default::default(), created_at: now };
        store.account_put(&record).await.unwrap();
        store.api_key_create(KeyId::from_parts(now, 1), "test", None, KEY, now).await.unwrap();
        let api = api::router(environment.clone());
        World { cloud, environment, api, account }
    }

    async fn bot(&self, name: &str) -> Bot {
        let bot = draft_bot(&self.environment, self.account, name);
        let bot = Bot { budget: Budget { turns: Some(5), ..Budget::default() }, ..bot };
        self.environment.store.account(self.account).bot_create(&bot).await.unwrap();
        bot
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {KEY}"));
        let request = match body {
            Some(json) => request.header("content-type", "application/json").body(Body::from(json.to_string())),
            None => request.body(Body::empty()),
        };
        let response = self.api.clone().oneshot(request.unwrap()).await.unwrap();
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Every line of a list, by `name`, and what each of its pages took.
    async fn read(&self, path: &str, limit: u32, name: &str) -> (Vec<String>, Vec<Vec<String>>) {
        let (mut lines, mut calls, mut cursor) = (vec![], vec![], String::new());
        let join = if path.contains('?') { '&' } else { '?' };
        loop {
            self.cloud.clear_calls();
            let page = self.call("GET", &format!("{path}{join}limit={limit}{cursor}"), None).await;
            calls.push(self.cloud.calls().into_iter().map(|call| call.operation).collect());
            let items = page["items"].as_array().unwrap();
            // The account's own line stands before its bots'.
            assert!(items.len() <= limit as usize + usize::from(path == "/v1/usage"));
            lines.extend(items.iter().map(|item| item[name].to_string()));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return (lines, calls),
            }
        }
    }
}

fn differ(lines: &[String]) -> usize {
    lines.iter().collect::<BTreeSet<_>>().len()
}

#[tokio::test(start_paused = true)]
async fn a_page_of_a_thousand_bots_takes_one_query_and_one_read_of_their_counters() {
    let world = World::begin().await;
    for n in 0..BOTS {
        world.bot(&format!("bot {n:04}")).await;
    }
    for limit in [100, 37] {
        let (bots, calls) = world.read("/v1/bots", limit, "id").await;
        assert_eq!((bots.len(), differ(&bots)), (BOTS, BOTS));
        assert_eq!(calls.len(), BOTS.div_ceil(limit as usize));
        // The first call finds whose key it is.
        assert!(calls.iter().all(|calls| *calls == ["GetItem", "Query", "BatchGetItem"]), "{calls:?}");
    }
    let (found, calls) = world.read("/v1/bots?name=BOT%2001", 30, "name").await;
    let expected: Vec<String> = (100..200).map(|n| format!("\"bot {n:04}\"")).collect();
    assert_eq!(found, expected);
    assert!(calls.iter().all(|calls| *calls == ["GetItem", "Query", "BatchGetItem", "BatchGetItem"]), "{calls:?}");
}

/// What is told of budgets and of use costs the same in an account with many bots as in one with few.
#[tokio::test(start_paused = true)]
async fn use_is_read_at_the_same_cost_however_many_bots_there_are() {
    let world = World::begin().await;
    for n in 0..250 {
        world.bot(&format!("bot {n:04}")).await;
    }
    let (names, calls) = world.read("/v1/usage", 100, "name").await;
    assert_eq!((names.len(), differ(&names)), (251, 251), "the account, and each bot");
    let [first, rest @ ..] = calls.as_slice() else { panic!() };
    assert_eq!(*first, ["GetItem", "Query", "GetItem", "GetItem", "BatchGetItem"]);
    assert!(rest.iter().all(|calls| *calls == ["GetItem", "Query", "BatchGetItem"]), "{rest:?}");
    let cost = async |path: &str| {
        world.cloud.clear_calls();
        world.call("GET", path, None).await;
        world.cloud.calls().len()
    };
    // The key, the bot's name and its record, and its counter.
    assert_eq!(cost("/v1/usage?bot=bot%200007").await, 4);
    // The key, the bot's name and its record, and each day.
    assert_eq!(cost("/v1/usage/report?bot=bot%200007").await, 3 + 14);
    assert_eq!(cost("/v1/usage/report?by=bot").await, 2, "no bot was used, so no name is read");
}

#[tokio::test(start_paused = true)]
async fn a_page_of_any_other_list_takes_one_query() {
    let world = World::begin().await;
    let bot = world.bot("heron").await;
    let now = world.environment.clock.now();
    let state = world.environment.store.account(world.account);
    for n in 0..OTHERS {
        let notice = Notice { about: format!("notice {n}"), bot: Some(bot.id), text: "Look.".to_owned(), at: now };
        assert!(state.notice_put(&notice).await.unwrap());
        let actor = Actor::Key { id: KeyId::from_parts(now, 1) };
        let line = AuditLine { at: now, actor, action: format!("POST /v1/{n}"), fields: vec![], status: 200 };
        state.audit_put(&line, u128::from(n)).await.unwrap();
        world.call("POST", "/v1/bots/heron/links", Some(json!({ "channel": "webhook" }))).await;
        let job = json!({
            "name": format!("job {n}"),
            "schedule": { "kind": "every", "everyMs": 3_600_000 },
            "payload": { "kind": "systemEvent", "text": "tide" },
        });
        world.call("POST", "/v1/bots/heron/schedules", Some(job)).await;
        let chat = json!({ "text": "hello", "conversation": format!("c{n}") });
        world.call("POST", "/v1/bots/heron/chat", Some(chat)).await;
        let task = world.cloud.sent("turns.fifo").pop().unwrap();
        let letter = DeadLetter {
            id: DeadLetterId::from_parts(now, u128::from(n)),
            queue: "turns".to_owned(),
            task: domain::Task::from_body(&task.body).unwrap(),
            reason: "no".to_owned(),
            failed_at: now,
            status: DeadLetterStatus::Open,
            version: 0,
        };
        world.environment.store.dead_letter_record(&letter).await.unwrap();
    }
    let bot = format!("/v1/bots/{}", bot.id);
    let many = usize::try_from(OTHERS).unwrap();
    for (path, name, count, calls_of_a_page) in [
        ("/v1/notices".to_owned(), "about", many, vec!["GetItem", "Query"]),
        (format!("{bot}/links"), "id", many, vec!["GetItem", "GetItem", "Query"]),
        (format!("{bot}/schedules"), "id", many, vec!["GetItem", "GetItem", "Query"]),
        ("/v1/dead-letters".to_owned(), "id", many, vec!["GetItem", "Query"]),
        // Of links and schedules that were made here, too.
        ("/v1/audit".to_owned(), "action", 3 * many, vec!["GetItem", "Query", "BatchGetItem"]),
    ] {
        let (lines, calls) = world.read(&path, 50, name).await;
        assert_eq!(lines.len(), count, "{path}");
        assert!(path == "/v1/audit" || differ(&lines) == count, "{path}: a line stands twice");
        assert_eq!(calls.len(), count.div_ceil(50), "{path}");
        // The first page of dead letters empties the queues first.
        let same = calls.iter().skip(usize::from(path == "/v1/dead-letters")).all(|calls| *calls == calls_of_a_page);
        assert!(same, "{path}: {calls:?}");
    }
}
