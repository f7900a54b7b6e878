//! An account with a key, over the API and a cloud in memory, with a clock that a test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use domain::{Account, AccountId, KeyId, Timestamp};
use runtime::{Clock, Entropy, Environment};
use serde_json::Value;
use testkit::cloud::{Calm, Cloud, Network};
use tower::ServiceExt;

/// A key of the account that may do everything.
pub(crate) const KEY: &str = "lt_key";

pub(crate) struct ApiWorld {
    pub(crate) cloud: Cloud,
    /// In milliseconds.
    clock: Arc<AtomicU64>,
    random: Arc<AtomicU64>,
    pub(crate) environment: Environment,
    pub(crate) api: Router,
    pub(crate) account: AccountId,
}

fn environment(
    cloud: &Cloud,
    network: Arc<dyn Network>,
    clock: &Arc<AtomicU64>,
    random: &Arc<AtomicU64>,
) -> Environment {
    let (clock, random) = (clock.clone(), random.clone());
    let entropy = Entropy::from_fn(move || u128::from(random.fetch_add(1, Ordering::Relaxed)) << 64 | 7);
    let clock = Clock::from_fn(move || Timestamp::from_millis(clock.load(Ordering::Relaxed)));
    cloud.environment(network, clock, entropy)
}

impl ApiWorld {
    pub(crate) async fn begin() -> ApiWorld {
        let (cloud, random) = (Cloud::new(), Arc::new(AtomicU64::new(1)));
        let clock = Arc::new(AtomicU64::new(1_795_341_600_000));
        let environment = environment(&cloud, Arc::new(Calm), &clock, &random);
        let now = environment.clock.now();
        let account = AccountId::from_parts(now, environment.entropy.next_u128());
        let store = environment.store.account(account);
        let record = Account { id: account, name: "Ada".to_owned(), budget: Default::default(), created_at: now };
        store.account_put(&record).await.unwrap();
        store.api_key_create(KeyId::from_parts(now, 1), "test", None, KEY, now).await.unwrap();
        let api = api::router(environment.clone());
        ApiWorld { cloud, clock, random, environment, api, account }
    }

    /// Another process of the API, which reaches the cloud over this network.
    pub(crate) fn process(&self, network: Arc<dyn Network>) -> Router {
        api::router(environment(&self.cloud, network, &self.clock, &self.random))
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    /// The status and the body's JSON.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        call(&self.api, method, path, body).await
    }
}

/// The same of another process.
pub(crate) async fn call(api: &Router, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {KEY}"));
    let request = match body {
        Some(json) => request.header("content-type", "application/json").body(Body::from(json.to_string())),
        None => request.body(Body::empty()),
    };
    let response = api.clone().oneshot(request.unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}
