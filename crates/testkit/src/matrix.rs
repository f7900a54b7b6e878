//! A Matrix homeserver with one account, as far as it is asked who that is and what it hears.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::lock;
use crate::loopback::Loopback;

/// The session that the account's token is of.
pub const DEVICE: &str = "HERONDEV";

struct Account {
    token: String,
    user: String,
    /// Status and code of what is refused, by the last part of its path.
    refused: HashMap<String, (u16, String)>,
}

/// A homeserver with one account.
pub struct FakeHomeserver {
    account: Arc<Mutex<Account>>,
    server: Loopback,
}

impl FakeHomeserver {
    /// `user` is the account's id, `@heron:example.org`.
    pub fn start(token: &str, user: &str) -> FakeHomeserver {
        let account = Account { token: token.to_owned(), user: user.to_owned(), refused: HashMap::new() };
        let account = Arc::new(Mutex::new(account));
        let router = Router::new().fallback(answer).with_state(account.clone());
        FakeHomeserver { account, server: Loopback::serve(router) }
    }

    /// Its base URL.
    pub fn base_url(&self) -> String {
        self.server.url()
    }

    /// `127.0.0.1:port`: what an operator lists so that it may be reached.
    pub fn authority(&self) -> String {
        self.server.authority()
    }

    /// The token is another account's from now on.
    pub fn rename(&self, user: &str) {
        lock(&self.account).user = user.to_owned();
    }

    /// Refuses calls whose path ends with `what`, `versions`, `whoami` or `sync`.
    pub fn refuse(&self, what: &str, status: u16, code: &str) {
        lock(&self.account).refused.insert(what.to_owned(), (status, code.to_owned()));
    }
}

async fn answer(State(account): State<Arc<Mutex<Account>>>, request: Request) -> (StatusCode, Json<Value>) {
    let account = lock(&account);
    let path = request.uri().path();
    let refuse = |status: u16, code: &str| {
        (StatusCode::from_u16(status).expect("a status"), Json(json!({ "errcode": code, "error": "No" })))
    };
    if let Some((status, code)) = account.refused.get(path.rsplit('/').next().unwrap_or_default()) {
        return refuse(*status, code);
    }
    if path == "/_matrix/client/versions" {
        return (StatusCode::OK, Json(json!({ "versions": ["v1.1", "v1.11"] })));
    }
    let expected = format!("Bearer {}", account.token);
    if request.headers().get("authorization").is_none_or(|token| token.as_bytes() != expected.as_bytes()) {
        return refuse(401, "M_UNKNOWN_TOKEN");
    }
    match path {
        "/_matrix/client/v3/account/whoami" => {
            (StatusCode::OK, Json(json!({ "user_id": account.user, "device_id": DEVICE })))
        }
        "/_matrix/client/v3/sync" => (StatusCode::OK, Json(json!({ "next_batch": "s1" }))),
        path if path.ends_with("/displayname") => (StatusCode::OK, Json(json!({ "displayname": "Heron" }))),
        _ => refuse(404, "M_UNRECOGNIZED"),
    }
}
