//! How often somebody may call, whichever process answers.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use domain::KeyId;
use tower::ServiceExt;

use crate::api_world::ApiWorld;

const LIMIT: u32 = 240;

async fn status(process: &Router, key: &str) -> u16 {
    let request = Request::get("/v1/me").header("authorization", format!("Bearer {key}"));
    process.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn processes_count_the_requests_of_a_key_together_and_seldom_ask() {
    let world = ApiWorld::begin().await;
    let mut environment = world.environment.clone();
    environment.settings.requests_per_minute = Some(LIMIT);
    let now = environment.clock.now();
    let account = environment.store.account(world.account);
    for (number, key) in [(2, "lt_busy"), (3, "lt_other")] {
        account.api_key_create(KeyId::from_parts(now, number), "test", None, key, now).await.unwrap();
    }
    let processes: Vec<Router> = (0..3).map(|_| api::router(environment.clone())).collect();

    world.cloud.clear_calls();
    let mut passed = 0;
    for turn in 0..2 * LIMIT as usize {
        passed += u32::from(status(&processes[turn % 3], "lt_busy").await == 200);
    }
    let (lease, free) = (LIMIT / 12, LIMIT / 60);
    assert!((LIMIT..=LIMIT + 3 * (lease + free)).contains(&passed), "{passed} requests passed");
    let leases = world.cloud.calls().iter().filter(|call| call.operation == "UpdateItem").count();
    assert!(leases < 25, "{leases} writes");
    let (busy, other) = (status(&processes[0], "lt_busy").await, status(&processes[0], "lt_other").await);
    assert_eq!((busy, other), (429, 200));
    world.pass(Duration::from_secs(60));
    assert_eq!(status(&processes[0], "lt_busy").await, 200, "a new minute");
}
