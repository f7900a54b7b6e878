//! A stand-in for the API, with bots whose names say how they answer.
//!
//! `tidy` calls a tool and answers, `broken` fails, `silent` never answers, `shaky` refuses each kind of
//! request once before it answers. `curt` obeys commands and answers no more than that, `stopped` is stopped at each
//! message, `full` leaves each message out. Every request must carry the key.

use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, RawQuery, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

const KEY: &str = "lt_test";
const TURN: &str = "turn_00000000000000000000000001";
const ACCOUNT: &str = "acct_00000000000000000000000001";
const LINK: &str = "link_00000000000000000000000001";

#[derive(Clone, Default)]
struct Fake {
    state: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    bots: Vec<Value>,
    /// Method, path and body of every request.
    requests: Vec<(String, Value)>,
    message_text: String,
    refused: Vec<Method>,
}

/// The running server.
pub(crate) struct FakeApi {
    pub(crate) url: String,
    fake: Fake,
    home: tempfile::TempDir,
}

impl FakeApi {
    /// Serves bots of these names.
    pub(crate) async fn start(bots: &[&str]) -> FakeApi {
        let fake = Fake::default();
        fake.state.lock().unwrap().bots = bots.iter().zip(1..).map(|(name, number)| bot(name, number)).collect();
        let router = Router::new()
            .route("/v1/bots", get(bot_list))
            .route("/v1/bots/{bot}", any(bot_one))
            .route("/v1/bots/{bot}/chat", post(chat_send).get(chat_read))
            .route("/v1/bots/{bot}/links", post(link_create).get(link_list))
            .route("/v1/bots/{bot}/links/{link}", patch(link_create))
            .route("/v1/bots/{bot}/links/{link}/check", post(link_check))
            .route("/v1/bots/{bot}/links/{link}/pairings/approve", post(approve))
            .route("/v1/bots/{bot}/sessions", get(sessions))
            .route("/v1/bots/{bot}/sessions/{session}", get(session))
            .route("/v1/bots/{bot}/sessions/{session}/turns", get(turns))
            .route("/v1/bots/{bot}/schedules", get(schedules))
            .route("/v1/dead-letters", get(dead_letters))
            .route("/v1/account", any(account))
            .route("/v1/members", get(members))
            .route("/v1/members/{user}", any(StatusCode::NO_CONTENT))
            .route("/v1/usage", get(usage))
            .route("/v1/usage/report", get(usage_report))
            .route("/v1/notices", get(notices))
            .route("/v1/notices/{about}", any(StatusCode::NO_CONTENT))
            .route("/v1/bots/{bot}/prompt", get(prompt))
            .route("/v1/bots/{bot}/files", get(files))
            .route("/v1/bots/{bot}/files/{*path}", any(file))
            .layer(middleware::from_fn_with_state(fake.clone(), record))
            .with_state(fake.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::task::spawn(async move { axum::serve(listener, router).await });
        FakeApi { url, fake, home: tempfile::tempdir().unwrap() }
    }

    /// Makes `bot` the default of this machine.
    pub(crate) fn write_client_json(&self, bot: &str) {
        let client = json!({ "url": self.url, "key": KEY, "bot": bot }).to_string();
        std::fs::write(self.home.path().join("client.json"), client).unwrap();
    }

    /// Runs `lowtide ARGS` with the server's address and key.
    pub(crate) async fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, &[("LOWTIDE_URL", &self.url), ("LOWTIDE_API_KEY", KEY)], "").await
    }

    /// Runs `lowtide ARGS` with nothing but the state directory, these variables and this input.
    pub(crate) async fn run_with(&self, args: &[&str], env: &[(&str, &str)], input: &str) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lowtide"));
        let input_path = self.home.path().join("input");
        std::fs::write(&input_path, input).unwrap();
        command.args(args).env_clear().env("LOWTIDE_STATE_DIR", self.home.path()).envs(env.iter().copied());
        command.stdin(Stdio::from(std::fs::File::open(input_path).unwrap()));
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        Run::of(output)
    }

    /// The bodies of the requests with this method and path.
    pub(crate) fn bodies(&self, request: &str) -> Vec<Value> {
        let state = self.fake.state.lock().unwrap();
        state.requests.iter().filter(|(name, _)| name == request).map(|(_, body)| body.clone()).collect()
    }
}

/// What a run of the binary gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    fn of(output: Output) -> Run {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Run { code: output.status.code().unwrap(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

fn bot(name: &str, number: u8) -> Value {
    json!({
        "id": format!("bot_0000000000000000000000000{number}"), "name": name, "status": "active", "agent": "main",
        "model": { "model": null, "base_url": null, "has_api_key": false, "price": null, "context_window": null }, "time_zone": "UTC", "dm_scope": "main",
        "queue": { "mode": "steer", "debounce_ms": 500, "cap": 20, "drop": "summarize" },
        "resets": { "reset": { "mode": "none" }, "reset_by_type": {} }, "streaming": "partial", "budget": null, "turn_budget": null,
        "abilities": { "tools": { "profile": "full" }, "mcp": {}, "search": null, "transcription": null, "skills": null },
        "created_at": 0, "updated_at": 0, "version": 1
    })
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({ "type": "about:blank", "title": "Error", "status": status.as_u16(), "detail": detail });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

async fn record(State(fake): State<Fake>, request: Request, next: Next) -> Response {
    let is_known = request.headers().get(header::AUTHORIZATION).is_some_and(|value| value == &format!("Bearer {KEY}"));
    if !is_known {
        return problem(StatusCode::UNAUTHORIZED, "The key is not known.");
    }
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let text = || Value::String(String::from_utf8(bytes.to_vec()).unwrap());
    let name = format!("{} {}", parts.method, parts.uri.path());
    fake.state.lock().unwrap().requests.push((name, serde_json::from_slice(&bytes).unwrap_or_else(|_| text())));
    next.run(Request::from_parts(parts, bytes.into())).await
}

fn find(fake: &Fake, named: &str) -> Option<Value> {
    let state = fake.state.lock().unwrap();
    state.bots.iter().find(|bot| bot["name"] == named || bot["id"] == named).cloned()
}

#[derive(Deserialize)]
struct Paging {
    cursor: Option<usize>,
    limit: Option<usize>,
}

/// A page of one bot, if a number of them is asked for; its cursor is the next one's place.
async fn bot_list(State(fake): State<Fake>, Query(Paging { cursor, limit }): Query<Paging>) -> Json<Value> {
    let bots = &fake.state.lock().unwrap().bots;
    let (place, size) = (cursor.unwrap_or_default(), limit.map_or(usize::MAX, |_| 1));
    let items: Vec<Value> = bots.iter().skip(place).take(size).cloned().map(line).collect();
    let next = (place.saturating_add(size) < bots.len()).then(|| (place + 1).to_string());
    Json(json!({ "items": items, "next": next }))
}

/// A bot at a glance; the first one has channels and has spent something.
fn line(mut bot: Value) -> Value {
    let link = |channel: &str, status: Value| json!({ "id": LINK, "channel": channel, "status": status });
    let is_first = bot["id"] == "bot_00000000000000000000000001";
    if is_first {
        let failed = json!({ "state": "failed", "reason": "Slack refused the token" });
        bot["links"] = json!([link("telegram", json!({ "state": "active" })), link("slack", failed)]);
        bot["spent"] = json!({ "period": "2026-11", "micros": 420_000, "turns": 3 });
    }
    bot
}

async fn bot_one(State(fake): State<Fake>, method: Method, Path(named): Path<String>) -> Response {
    match find(&fake, &named) {
        Some(_) if method == Method::DELETE => StatusCode::NO_CONTENT.into_response(),
        Some(bot) => Json(patched(&fake, bot)).into_response(),
        None => problem(StatusCode::NOT_FOUND, "There is no such bot. GET /v1/bots lists yours."),
    }
}

/// The bot with what the last request changed, as far as its fields are whole.
fn patched(fake: &Fake, mut bot: Value) -> Value {
    let state = fake.state.lock().unwrap();
    let abilities = state.requests.last().and_then(|(_, body)| body.get("abilities")).and_then(Value::as_object);
    for (name, given) in abilities.into_iter().flatten() {
        bot["abilities"][name] = shown(given);
    }
    for name in ["budget", "turn_budget", "resets", "time_zone"] {
        if let Some(value) = state.requests.last().and_then(|(_, body)| body.get(name)) {
            bot[name] = value.clone();
        }
    }
    bot
}

/// What was asked for, with whether there is a secret in place of each.
fn shown(asked: &Value) -> Value {
    let Some(fields) = asked.as_object() else { return asked.clone() };
    let field = |(name, value): (&String, &Value)| match name.as_str() {
        "token" | "api_key" => (format!("has_{name}"), json!(!value.is_null())),
        _ => (name.clone(), shown(value)),
    };
    let mut fields: serde_json::Map<String, Value> = fields.iter().map(field).collect();
    if fields.contains_key("url") {
        fields.entry("has_token").or_insert(json!(false));
        fields.entry("repeatable").or_insert(json!([]));
    }
    Value::Object(fields)
}

async fn account(State(fake): State<Fake>) -> Json<Value> {
    let state = fake.state.lock().unwrap();
    let asked = |field: &str| {
        let mut changes = state.requests.iter().rev().filter(|(request, _)| request == "PATCH /v1/account");
        changes.find_map(|(_, body)| body.get(field).cloned())
    };
    let (budget, name) = (asked("budget").unwrap_or_default(), asked("name").unwrap_or_else(|| json!("Ada")));
    let spent = json!({ "period": "2026-11", "micros": 0, "turns": 0 });
    Json(json!({ "id": ACCOUNT, "name": name, "budget": budget, "spent": spent }))
}

/// An owner and an operator.
async fn members() -> Json<Value> {
    let member = |number: u8, name: &str, role: &str| {
        let (user, email) = (format!("user_0000000000000000000000000{number}"), format!("{name}@example.org"));
        json!({ "user": user, "name": name, "email": email, "role": role, "joined_at": 0 })
    };
    Json(json!({ "items": [member(1, "heron", "owner"), member(2, "gull", "operator")], "invitations": [] }))
}

async fn usage_report(RawQuery(query): RawQuery) -> Json<Value> {
    let usage = json!({ "input": 1200, "output": 34, "cached": 1000 });
    let line = |name: &str| json!({ "name": name, "turns": 2, "calls": 3, "usage": usage, "cost": 4200 });
    let query = query.unwrap_or_default();
    let (by, item) = match query.as_str() {
        "by=model&from=2026-11-01&bot=tidy" => ("model", line("openai/gpt")),
        "by=day&split=model" => {
            let mut day = line("2026-11-22");
            day["parts"] = json!([line("openai/gpt")]);
            ("day", day)
        }
        other => panic!("{other}"),
    };
    let total = line("total");
    Json(json!({ "from": "2026-11-01", "to": "2026-11-22", "by": by, "items": [item], "total": total }))
}

async fn usage() -> Json<Value> {
    let monthly = json!({ "period": "month", "micros": 20_000_000 });
    let account = json!({
        "scope": "account", "name": "Ada", "period": "2026-11", "micros": 1_504_200, "turns": 12, "budget": monthly
    });
    let bot = json!({
        "scope": "bot", "bot": "bot_00000000000000000000000001", "name": "tidy", "period": "2026-11-22", "micros": 4_200,
        "turns": 1
    });
    Json(json!({ "items": [account, bot] }))
}

async fn notices(State(fake): State<Fake>) -> Json<Value> {
    let state = fake.state.lock().unwrap();
    let is_gone = |about: &str| state.requests.iter().any(|(request, _)| request.ends_with(&format!("/{about}")));
    let notice = |about: &str| json!({ "about": about, "text": format!("{about}\nis used up."), "at": 0 });
    let items: Vec<Value> =
        ["budget.new", "budget.old"].into_iter().filter(|about| !is_gone(about)).map(notice).collect();
    Json(json!({ "items": items }))
}

/// Refuses the first request of each method to `shaky`.
fn refusal(fake: &Fake, bot: &Value, method: Method) -> Option<Response> {
    let mut state = fake.state.lock().unwrap();
    let is_first = bot["name"] == "shaky" && !state.refused.contains(&method);
    is_first.then(|| {
        state.refused.push(method);
        problem(StatusCode::SERVICE_UNAVAILABLE, "The queue did not answer.")
    })
}

async fn chat_send(State(fake): State<Fake>, Path(named): Path<String>, Json(body): Json<Value>) -> Response {
    let bot = find(&fake, &named).unwrap();
    if let Some(refusal) = refusal(&fake, &bot, Method::POST) {
        return refusal;
    }
    fake.state.lock().unwrap().message_text = body["text"].as_str().unwrap().to_owned();
    let accepted = json!({ "message": "msg_mine", "session": "agent:main:main", "next": 2 });
    (StatusCode::ACCEPTED, Json(accepted)).into_response()
}

#[derive(Deserialize)]
struct Read {
    after: Option<u64>,
}

async fn chat_read(State(fake): State<Fake>, Path(named): Path<String>, Query(read): Query<Read>) -> Response {
    let bot = find(&fake, &named).unwrap();
    if let Some(refusal) = refusal(&fake, &bot, Method::GET) {
        return refusal;
    }
    let text = fake.state.lock().unwrap().message_text.clone();
    let entry = |seq: u64, kind: &str, text: &str| json!({ "seq": seq, "at": 0, "turn": TURN, "kind": kind, "text": text, "final": false });
    let with = |mut entry: Value, fields: Value| {
        entry.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        entry
    };
    let other_turn = json!({ "turn": "turn_00000000000000000000000009", "final": true });
    let call = json!({ "name": "current_time", "arguments": "{\"zone\":\"UTC\"}" });
    let mut log = vec![
        with(entry(0, "user", "earlier"), json!({ "message": "msg_earlier" })),
        with(entry(1, "assistant", "before that"), other_turn.clone()),
        with(entry(2, "assistant", "for somebody else"), other_turn),
        with(entry(3, "user", &text), json!({ "message": "msg_mine" })),
    ];
    match bot["name"].as_str().unwrap() {
        "silent" => log.truncate(2),
        "broken" => {
            log.push(with(entry(4, "failed", "I can't answer."), json!({ "final": true, "detail": "HTTP 401" })))
        }
        "curt" => log.extend([
            with(entry(4, "reset", ""), json!({ "reset_reason": "new" })),
            with(entry(5, "compaction", "We met."), json!({ "cost": 77 })),
            with(entry(6, "notice", "Done."), json!({ "final": true })),
        ]),
        "stopped" => log.push(with(entry(4, "stopped", ""), json!({ "final": true, "stopped_by": "person" }))),
        "full" => {
            log[3] = with(entry(3, "dropped", ""), json!({ "final": true, "messages": ["msg_mine", "msg_other"] }));
        }
        _ => log.extend([
            with(entry(4, "assistant", ""), json!({ "tool_calls": [call] })),
            with(entry(5, "tool_result", "12:00"), json!({ "tool": "current_time", "outcome": "ok" })),
            with(entry(6, "assistant", &format!("You said **{}**.", text.trim())), json!({ "final": true })),
        ]),
    }
    // Without `after` the end is asked for, as it was before the message.
    let items: Vec<Value> = match read.after {
        None => log.into_iter().take(2).collect(),
        Some(after) => log.into_iter().filter(|entry| entry["seq"].as_u64().unwrap() >= after).take(3).collect(),
    };
    let next = items.last().map_or(read.after.unwrap_or(0), |entry| entry["seq"].as_u64().unwrap() + 1);
    Json(json!({ "session": "agent:main:main", "items": items, "next": next, "busy": false })).into_response()
}

async fn link_list() -> Json<Value> {
    let mut link = link_of(&json!({ "dm_policy": "pairing", "owners": ["5"] }));
    link.as_object_mut().unwrap().remove("webhook");
    Json(json!({ "items": [link] }))
}

/// The link of the first bot is in order, and that of others has no webhook.
async fn link_check(Path((bot, _)): Path<(String, String)>) -> Json<Value> {
    let mut findings = vec![json!({ "what": "token: @tidy_bot", "ok": true })];
    if bot != "bot_00000000000000000000000001" {
        findings.push(json!({
            "what": "webhook", "ok": false, "problem": "None is set.", "what_to_do": "Give the link its token again.",
        }));
    }
    Json(json!({ "checked_at": 0, "findings": findings }))
}

async fn approve() -> Json<Value> {
    Json(json!({ "sender": { "id": "5", "name": "Ada" }, "greeted": true, "owner": true }))
}

async fn sessions() -> Json<Value> {
    Json(json!({ "items": [{ "session": "agent:main:main", "created_at": 0 }] }))
}

async fn session() -> Json<Value> {
    let usage = json!({ "input": 1200, "output": 34, "cached": 1000 });
    Json(json!({
        "session": "agent:main:main", "entries": 9, "usage": usage, "cost": 420, "queue": null, "busy": false, "updated_at": 0
    }))
}

async fn turns() -> Json<Value> {
    let usage = json!({ "input": 1200, "output": 34, "cached": 1000 });
    let turn = json!({
        "turn": TURN, "seq": 0, "at": 0, "model_calls": 2, "tool_calls": 1, "usage": usage, "cost": 420,
        "models": ["openai/a", "groq/b"], "steps": [
            { "kind": "queued", "at": 1_795_507_200_000_u64, "ms": 100 },
            { "kind": "loaded", "at": 1_795_507_200_100_u64, "ms": 20 },
            { "kind": "model", "name": "openai/a", "at": 1_795_507_200_120_u64, "ms": 880, "cost": 420 },
            { "kind": "tool", "name": "clock", "at": 1_795_507_201_000_u64, "ms": 3 },
            { "kind": "delivered", "at": 1_795_507_201_003_u64, "ms": 997 }
        ]
    });
    Json(json!({ "items": [turn], "next": null }))
}

/// A schedule that is spread, and one that is off.
async fn schedules() -> Json<Value> {
    let job = |number: u8, name: &str, fields: Value| {
        let mut job = json!({
            "id": format!("job_0000000000000000000000000{number}"), "account": ACCOUNT,
            "bot": "bot_00000000000000000000000001", "name": name,
            "schedule": { "kind": "cron", "expr": "0 9 * * *", "tz": "Europe/Berlin" },
            "payload": { "kind": "systemEvent", "text": "Look." }, "createdAt": 0, "updatedAt": 0, "version": 1,
            "dueAt": null, "told": "0 wakes, 0 model calls, $0.00"
        });
        job.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        job
    };
    let nine: u64 = 1_795_507_200_000;
    let runs = json!([
        { "scheduled": nine, "at": nine + 90_000 },
        { "scheduled": nine + 86_400_000, "at": nine + 86_400_000 }
    ]);
    let brief = job(1, "brief", json!({ "jitterMs": 300_000, "nextRuns": runs }));
    Json(json!({ "items": [brief, job(2, "idle", json!({ "enabled": false }))] }))
}

async fn prompt() -> Json<Value> {
    let part = |name: &str, tokens: u64| json!({ "name": name, "tokens": tokens, "is_system": name != "tools" });
    let skills = json!([
        { "name": "travel-plan", "description": "Plan a trip" },
        { "name": "shell", "description": "Run things", "left_out": "it runs programs (sh)" },
    ]);
    Json(json!({
        "system": "You are tidy.", "parts": [part("core", 149), part("tools", 900)], "tokens": 1049, "skills": skills
    }))
}

async fn files() -> Json<Value> {
    Json(json!({ "items": [{ "name": "skills/x/SKILL.md", "tag": "t1", "size": 12 }] }))
}

async fn link_create(method: Method, Json(body): Json<Value>) -> Response {
    let status = if method == Method::POST { StatusCode::CREATED } else { StatusCode::OK };
    (status, Json(link_of(body.get("access").unwrap_or(&json!({}))))).into_response()
}

fn link_of(access: &Value) -> Value {
    json!({
        "id": LINK, "bot": "bot_00000000000000000000000001", "channel": "telegram", "status": { "state": "active" },
        "handle": "tidy_bot", "access": access, "created_at": 0,
        "updated_at": 0, "version": 1,
        "webhook": { "registered": false, "path": "/hooks/telegram/x", "secret": "s3", "hint": "Telegram can't reach this machine." }
    })
}

async fn dead_letters() -> Json<Value> {
    let letter = json!({
        "id": "dead_00000000000000000000000001", "bot": "bot_00000000000000000000000001", "queue": "turns",
        "reason": "it failed on every attempt", "failed_at": 0, "status": "open", "version": 1
    });
    Json(json!({ "items": [letter] }))
}

async fn file(method: Method) -> Response {
    if method == Method::PUT || method == Method::DELETE {
        StatusCode::NO_CONTENT.into_response()
    } else {
        "# Soul\n".into_response()
    }
}
