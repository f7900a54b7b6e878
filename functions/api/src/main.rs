//! Serves the HTTP API and the dashboard: accounts and their people, bots, links, conversations, schedules, usage.
//!
//! Trigger:  HTTP, `/v1/…` with an API key or a browser's cookie, the dashboard, `/health`; an invocation with `{"lowtide": "owner-link"}`
//! Writes:   all records of an account but its logs: people, keys, bots, links, schedules, files, the audit log; stops in sessions' heads
//! Emits:    `turns.fifo`, grouped by session, for web chat, decisions and replays; `jobs`, for runs that are asked for; `outbound.fifo` for greetings and replays
//! Failure:  `application/problem+json` that says what to do; 503 where the same request may be sent again

use runtime::Environment;

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    let environment = Environment::from_lambda().await?;
    let router = api::router(environment.clone());
    api::run(environment, router).await
}
