//! The HTTP API: one router, run by Lambda in the cloud and directly by `lowtide dev` and tests.
//!
//! | route | methods |
//! | --- | --- |
//! | `/health` | `GET`, without a key |
//! | `/v1/account` | `GET`, `PATCH` |
//! | `/v1/usage` | `GET` |
//! | `/v1/notices` | `GET` |
//! | `/v1/notices/{about}` | `DELETE` |
//! | `/v1/approvals` | `GET` |
//! | `/v1/approvals/{code}` | `POST` |
//! | `/v1/bots` | `GET`, `POST` |
//! | `/v1/bots/{bot}` | `GET`, `PATCH`, `DELETE` |
//! | `/v1/bots/{bot}/pause`, `…/resume` | `POST` |
//! | `/v1/bots/{bot}/chat` | `GET`, `POST` |
//! | `/v1/bots/{bot}/sessions` | `GET` |
//! | `/v1/bots/{bot}/sessions/{session}` | `GET` |
//! | `/v1/bots/{bot}/sessions/{session}/turns` | `GET` |
//! | `/v1/bots/{bot}/prompt` | `GET` |
//! | `/v1/bots/{bot}/files` | `GET` |
//! | `/v1/bots/{bot}/files/{*path}` | `GET`, `PUT`, `DELETE` |
//! | `/v1/bots/{bot}/links` | `GET`, `POST` |
//! | `/v1/bots/{bot}/links/{link}` | `GET`, `PATCH`, `DELETE` |
//! | `/v1/bots/{bot}/links/{link}/pause`, `…/resume` | `POST` |
//! | `/v1/bots/{bot}/links/{link}/pairings` | `GET` |
//! | `/v1/bots/{bot}/links/{link}/pairings/approve` | `POST` |
//! | `/v1/dead-letters` | `GET` |
//! | `/v1/dead-letters/{id}` | `GET` |
//! | `/v1/dead-letters/{id}/replay`, `…/discard` | `POST` |
//!
//! `{bot}` is a bot's id or its name. Everything under `/v1` needs `Authorization: Bearer lt_…`, and
//! reaches the state of that key's account and no other. Every error is a [`views::ProblemView`].

mod abilities;
mod account;
mod approvals;
mod auth;
mod bots;
mod budgets;
mod chat;
mod credentials;
mod dead_letters;
mod entries;
mod extract;
mod files;
mod links;
mod model_settings;
mod notices;
mod pairings;
mod problem;
mod prompt;
mod registration;
mod sessions;
mod turns;
pub mod views;

use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use runtime::Environment;

pub use chat::webchat_link;
pub use dead_letters::drain_dead_letters;

use problem::Problem;
use prompt::Prompter;
use views::Health;

/// The longest body of a request, in bytes. Workspace files have the same bound.
pub const MAX_BODY: usize = 256 * 1024;

/// All routes, over the state of `environment`.
pub fn router(environment: Environment) -> Router {
    let link = Router::new()
        .route("/", get(links::show).patch(links::change).delete(links::delete))
        .route("/pause", post(links::pause))
        .route("/resume", post(links::resume))
        .route("/pairings", get(pairings::list))
        .route("/pairings/approve", post(pairings::approve));
    let bot = Router::new()
        .route("/", get(bots::show).patch(bots::change).delete(bots::delete))
        .route("/pause", post(bots::pause))
        .route("/resume", post(bots::resume))
        .route("/chat", get(chat::read).post(chat::send))
        .route("/sessions", get(sessions::list))
        .route("/sessions/{session}", get(sessions::show))
        .route("/sessions/{session}/turns", get(turns::list))
        .route("/prompt", get(prompt::show).layer(Extension(Prompter::default())))
        .route("/files", get(files::list))
        .route("/files/{*path}", get(files::read).put(files::write).delete(files::delete))
        .route("/links", get(links::list).post(links::create))
        .nest("/links/{link}", link);
    Router::new()
        .route("/health", get(health))
        .route("/v1/account", get(account::show).patch(account::change))
        .route("/v1/usage", get(budgets::usage))
        .route("/v1/notices", get(notices::list))
        .route("/v1/notices/{about}", delete(notices::delete))
        .route("/v1/approvals", get(approvals::list))
        .route("/v1/approvals/{code}", post(approvals::decide))
        .route("/v1/bots", get(bots::list).post(bots::create))
        .nest("/v1/bots/{bot}", bot)
        .route("/v1/dead-letters", get(dead_letters::list))
        .route("/v1/dead-letters/{id}", get(dead_letters::show))
        .route("/v1/dead-letters/{id}/replay", post(dead_letters::replay))
        .route("/v1/dead-letters/{id}/discard", post(dead_letters::discard))
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_route)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(environment)
}

async fn health() -> Json<Health> {
    Json(Health { status: "ok".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() })
}

async fn unknown_route(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::not_found(format!(
        "There is no route {method} {path}. The routes begin with /v1/account, /v1/bots, /v1/usage, /v1/notices, /v1/approvals, /v1/dead-letters."
    ))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    let detail = format!("{path} does not take {method}. The header Allow lists what it takes.");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
