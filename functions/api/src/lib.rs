//! The HTTP API: one router, run by Lambda in the cloud and directly by `lowtide dev` and tests.
//!
//! `routes.rs` lists the routes with the scope that each needs, and `/v1/openapi.json` describes them.
//! `/` and the pages of the dashboard, with `/assets/…`, are files in this binary.
//!
//! `{bot}` is a bot's id or its name. What is under `/v1` needs `Authorization: Bearer lt_…` or the
//! cookie of a browser that is signed in, and reaches the state of that account and no other. Every error is a [`views::ProblemView`].

mod abilities;
mod account;
mod answers;
mod approvals;
mod audit;
mod auth;
mod bots;
mod bots_list;
mod budgets;
mod chat;
mod clones;
mod credentials;
mod dashboard;
mod dead_letters;
mod entries;
mod events;
mod extract;
mod files;
mod idempotency;
mod invocation;
mod keys;
mod life;
mod links;
mod me;
mod members;
mod model_settings;
mod notices;
mod openai;
pub mod openapi;
mod operation;
mod pages;
mod pairings;
mod problem;
mod prompt;
mod rate;
mod registration;
mod routes;
mod schedules;
pub mod scope;
mod sessions;
mod sign_in;
mod steps;
mod streams;
mod transcripts;
mod turns;
mod usage;
pub mod views;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use runtime::Environment;

pub use chat::webchat_link;
pub use dead_letters::drain_dead_letters;
pub use invocation::run;
pub use sign_in::owner_link;

use problem::Problem;
use rate::Rates;

/// The longest body of a request, in bytes. Workspace files have the same bound.
pub const MAX_BODY: usize = 256 * 1024;

/// All routes, over the state of `environment`.
pub fn router(environment: Environment) -> Router {
    openapi::router(routes::routes)
        .merge(dashboard::routes())
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_route)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(Extension(Rates::default()))
        .layer(Extension(environment.clone()))
        .layer(from_fn_with_state(environment.clone(), auth::watch))
        .with_state(environment)
}

async fn unknown_route(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if dashboard::is_page(&method, &uri, &headers) {
        return dashboard::page(headers).await;
    }
    let path: String = uri.path().chars().take(200).collect();
    Problem::not_found(format!(
        "There is no route {method} {path}. The routes begin with /v1/account, /v1/bots, /v1/usage, /v1/notices, /v1/approvals, /v1/dead-letters."
    ))
    .into_response()
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    let detail = format!("{path} does not take {method}. The header Allow lists what it takes.");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
