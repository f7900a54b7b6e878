//! Accounts are walls: whatever another account's key is pointed at, it gets nothing and changes nothing.
//!
//! The attacks are made from the API's own document, so a new route is attacked without anybody thinking of it. A route with
//! a parameter or a body that this suite has no value for fails it.

mod attack;
mod tenant;

use attack::operations;
use tenant::World;

/// What the owner's key reads with the values that the attacks use: an attack with ids of nothing would prove nothing.
#[tokio::test(start_paused = true)]
async fn the_owner_reaches_what_the_attacks_are_aimed_at() {
    let world = World::begin().await;
    let mut reached = 0;
    for operation in operations(&world.document().await) {
        if operation.method == "GET" && operation.scope.is_some() {
            let paths = operation.paths(&[&world.ada]);
            for path in paths {
                let (status, body) = world.send(&world.ada, "GET", &path, None).await;
                assert_eq!(status, 200, "GET {path}: {body}");
                reached += usize::from(body.contains(&world.ada.word));
            }
        }
    }
    assert!(reached > 15, "only {reached} answers tell anything of the account");
}

/// Every operation, with every mixture of the two accounts' ids in its path, with another account's ids in query and body.
#[tokio::test(start_paused = true)]
async fn no_route_lets_an_account_into_another() {
    let world = World::begin().await;
    let before = world.of_ada().await;
    let mut attacks = 0;
    for operation in operations(&world.document().await) {
        if operation.scope.is_none() {
            continue;
        }
        for path in operation.paths(&[&world.ada, &world.grace]) {
            let is_own = operation.names_only(&path, &world.grace);
            let body = operation.body(&world.ada, &world.grace);
            // What is done to what is one's own is no attack, unless the query or the body says more.
            if is_own && operation.has_segments() && operation.method != "GET" && body.is_none() {
                continue;
            }
            let request = format!("{path} {body:?}");
            let (status, answer) = world.send(&world.grace, &operation.method, &path, body).await;
            let what = format!("{} {path} gave {status}: {answer}", operation.method);
            assert!(is_own || matches!(status, 403 | 404), "{what}");
            assert!(
                !(is_own && path.contains("cursor=")) || (status == 400 && answer.contains("another account")),
                "{what}"
            );
            assert!(status < 500, "{what}");
            for secret in world.ada.secrets.iter().chain([&world.ada.word]) {
                assert!(!answer.contains(secret.as_str()), "{what}");
            }
            // A name that the request itself says may be said back.
            assert!(request.contains(&world.ada.marker) || !answer.contains(&world.ada.marker), "{what}");
            attacks += 1;
        }
    }
    assert!(attacks > 100, "only {attacks} attacks");
    let after = world.of_ada().await;
    for (kind, before) in &before {
        assert_eq!(before, &after[kind], "{kind} of the other account changed");
    }
}

/// A link's webhook with another account's secret, on each side.
#[tokio::test(start_paused = true)]
async fn a_webhook_takes_its_own_secret_only() {
    let world = World::begin().await;
    let queued = world.queued();
    let (link, secret) = (world.ada.id("link"), &world.grace.webhook_secret);
    let (status, answer) = world.post_webhook(link, secret, "let me in").await;
    assert_eq!(status, 401, "{answer}");
    assert!(!answer.contains(&world.ada.marker), "{answer}");
    assert_eq!(world.queued(), queued, "what was not signed by the owner was queued");

    let (status, answer) = world.post_webhook(link, &world.ada.webhook_secret, "it is me").await;
    assert_eq!(status, 202, "{answer}");
    assert_eq!(world.queued().len(), queued.len() + 1);
}

/// A key that is no key, and the keys' own ids and hashes, open nothing.
#[tokio::test(start_paused = true)]
async fn ids_and_hashes_of_keys_are_no_keys() {
    let world = World::begin().await;
    let hashes = world.cloud.rows().into_iter().filter_map(|(pk, ..)| pk.strip_prefix("key#").map(str::to_owned));
    let mut tried = 0;
    for key in hashes.chain([world.ada.account.to_string(), world.ada.id("bot").to_owned()]) {
        for key in [key.clone(), format!("lt_{key}")] {
            let (status, body) = world.send_as(&key, "GET", "/v1/bots", None).await;
            assert_eq!(status, 401, "{body}");
            tried += 1;
        }
    }
    assert!(tried > 4, "no key was stored");
}
