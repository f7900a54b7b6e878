//! Serves the HTTP API for accounts, bots, links and dead letters.
//!
//! Trigger:  HTTP, `/health` and `/v1/…` with an API key; an invocation with `{"lowtide": "owner-link"}`
//! Writes:   the account's budget, bots, links, pairings, workspace files, dead letters; stops in sessions' heads
//! Emits:    `turns.fifo`, grouped by session, for web chat and replays; `outbound.fifo` for greetings and replays
//! Failure:  `application/problem+json` that says what to do; 503 where the same request may be sent again

use runtime::Environment;

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    let environment = Environment::from_lambda().await?;
    let router = api::router(environment.clone());
    api::run(environment, router).await
}
