//! What a holder does while something that it needs is away: the store, the queue, Discord's budget or its address.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use channels::Received;
use channels::discord::gateway::{self, Gateway};
use channels::held::{Ended, Fenced, Hold};
use domain::Timestamp;
use futures::future::BoxFuture;
use gateway_fargate::{LinkState, health};
use runtime::Clock;
use serde_json::Value;
use testkit::discord::{FakeDiscord, Options};
use testkit::wire::Wire;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{Here, SOON, World};

/// A clock that a test sets forward, by milliseconds.
fn clock() -> (Clock, Arc<AtomicU64>) {
    let (system, ahead) = (Clock::system(), Arc::new(AtomicU64::new(0)));
    let by = ahead.clone();
    let clock = Clock::from_fn(move || system.now() + Duration::from_millis(by.load(Ordering::Relaxed)));
    (clock, ahead)
}

#[tokio::test(flavor = "multi_thread")]
async fn links_go_on_after_the_store_was_away() {
    let mut world = World::start(10, Duration::from_secs(2)).await;
    let wire = Wire::to(&world.stack.endpoints());
    let here = Here::start_in(world.stack.environment_over(&wire.endpoints()));
    world.discord.wait_for_bots(10, SOON).await;
    world.all_have_cursors().await;
    wire.cut();
    (0..10).for_each(|n| assert!(world.say(n)));
    sleep(Duration::from_secs(12)).await;
    wire.mend();
    world.all_are_queued().await;
    world.discord.wait_for_bots(10, SOON).await;
    (0..10).for_each(|n| assert!(world.say(n)));
    world.all_are_queued().await;
    assert_eq!(world.discord.counts().identifies, 10, "they resumed");
    here.stop().await;
}

/// Its time is over before it finds out, and nobody has taken its slots when it does.
#[tokio::test(flavor = "multi_thread")]
async fn links_go_on_in_a_holder_that_was_frozen_for_a_moment() {
    let mut world = World::start(10, Duration::from_secs(2)).await;
    let (clock, ahead) = clock();
    world.stack.environment.clock = clock;
    let here = Here::start(&world);
    world.discord.wait_for_bots(10, SOON).await;
    world.all_have_cursors().await;
    for _ in 0..2 {
        ahead.fetch_add(11_000, Ordering::Relaxed);
        (0..10).for_each(|n| assert!(world.say(n)));
        world.all_are_queued().await;
        world.discord.wait_for_bots(10, SOON).await;
    }
    here.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_ends_in_time_although_the_store_does_not_answer() {
    let world = World::start(5, Duration::from_secs(2)).await;
    let wire = Wire::to(&world.stack.endpoints());
    let here = Here::start_in(world.stack.environment_over(&wire.endpoints()));
    world.discord.wait_for_bots(5, SOON).await;
    wire.cut();
    sleep(Duration::from_secs(2)).await;
    let told = Instant::now();
    here.stop().await;
    // Fargate kills a task 30 s after SIGTERM.
    assert!(told.elapsed() < Duration::from_secs(28), "{:?}", told.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_cannot_say_that_it_lives_is_unhealthy_after_two_minutes() {
    let mut world = World::start(0, Duration::from_secs(2)).await;
    let (clock, ahead) = clock();
    world.stack.environment.clock = clock;
    let wire = Wire::to(&world.stack.endpoints());
    let here = Here::start_in(world.stack.environment_over(&wire.endpoints()));
    let ask = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        health::router(here.holder.clone()).oneshot(request).await.unwrap().status().as_u16()
    };
    let wait_for = async |path: &str, status: u16| {
        let deadline = Instant::now() + SOON;
        while ask(path).await != status {
            assert!(Instant::now() < deadline, "{path} does not answer {status}");
            sleep(Duration::from_millis(50)).await;
        }
    };
    wait_for("/readyz", 200).await;
    wire.cut();
    ahead.fetch_add(60_000, Ordering::Relaxed);
    wait_for("/readyz", 503).await;
    assert_eq!(ask("/healthz").await, 200, "the store may come back");
    ahead.fetch_add(65_000, Ordering::Relaxed);
    wait_for("/healthz", 503).await;
    wire.mend();
    wait_for("/healthz", 200).await;
    here.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_identify_waits_and_lets_others_connect() {
    let world = World::start(3, Duration::from_secs(2)).await;
    world.discord.take_no_identify_for(Duration::from_secs(10));
    let here = Here::start(&world);
    let deadline = Instant::now() + SOON;
    // Waiting, and not among those who open a connection: there are only so many at once.
    while here.holder.metrics().links(LinkState::Waiting) < 3 {
        assert!(Instant::now() < deadline, "{:?}", world.discord.counts());
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.discord.counts().identifies, 0);
    world.discord.wait_for_bots(3, SOON).await;
    let counts = world.discord.counts();
    assert_eq!((counts.identifies, counts.violations), (3, 0), "{counts:?}");
    here.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_just_identified_waits_before_it_does_again() {
    let world = World::start(3, Duration::from_secs(2)).await;
    let here = Here::start(&world);
    world.discord.wait_for_bots(3, SOON).await;
    world.discord.end_sessions(4009);
    world.discord.wait_for_bots(3, SOON).await;
    let counts = world.discord.counts();
    assert_eq!((counts.identifies, counts.hurried_identifies), (6, 0), "{counts:?}");
    here.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_address_is_gone_is_given_up() {
    let world = World::start(2, Duration::from_secs(2)).await;
    world.discord.resume_at("ws://127.0.0.1:9");
    let here = Here::start(&world);
    world.discord.wait_for_bots(2, SOON).await;
    world.discord.close_all(4000);
    world.discord.wait_for_bots(0, SOON).await;
    world.discord.wait_for_bots(2, Duration::from_secs(60)).await;
    let counts = world.discord.counts();
    assert_eq!((counts.identifies, counts.resumes), (4, 0), "{counts:?}");
    here.stop().await;
}

/// A queue that takes nothing until it is opened.
struct SlowQueue {
    is_open: watch::Sender<bool>,
    taken: watch::Sender<Vec<String>>,
}

impl Hold for SlowQueue {
    fn accept(&self, received: Vec<Received>) -> BoxFuture<'_, Result<(), Fenced>> {
        Box::pin(async move {
            let _ = self.is_open.subscribe().wait_for(|is_open| *is_open).await;
            self.taken.send_modify(|taken| taken.extend(received.into_iter().map(|one| one.channel_message_id)));
            Ok(())
        })
    }

    fn progress(&self, _: Value) {}

    fn connected(&self) {}

    fn now(&self) -> Timestamp {
        Clock::system().now()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_queue_is_slow_nothing_is_read_and_the_connection_stays() {
    const MESSAGES: usize = 400;
    runtime::install_crypto();
    // Short heartbeats, so that several fall into the wait.
    let discord = FakeDiscord::start(Options { heartbeat: Duration::from_millis(800), tls: false });
    discord.add_bot("token");
    let tls = websocket::tls_config().unwrap();
    let gateway = Gateway { http: runtime::http_client().unwrap(), tls, api_base: discord.api_base() };
    let queue = Arc::new(SlowQueue { is_open: watch::Sender::new(false), taken: watch::Sender::default() });
    let (stop, hold) = (CancellationToken::new(), queue.clone());
    let stopped = stop.clone();
    let run = tokio::spawn(async move { gateway::run(&gateway, "token", None, &*hold, stopped).await });
    discord.wait_for_bots(1, SOON).await;
    let text = "x".repeat(100_000);
    let said: Vec<String> =
        (0..MESSAGES).map(|_| format!("70:{}", discord.say("token", "70", &text).unwrap())).collect();
    // What the kernel's buffers take leaves Discord, and nothing after it.
    let mut before = 0;
    let deadline = Instant::now() + SOON;
    loop {
        sleep(Duration::from_secs(2)).await;
        let now = discord.counts().frames;
        if now == before {
            break;
        }
        assert!(Instant::now() < deadline, "Discord goes on sending");
        before = now;
    }
    assert!(before < MESSAGES as u64 / 2, "{before} of {MESSAGES} messages were read");
    assert!(queue.taken.borrow().is_empty());
    queue.is_open.send_replace(true);
    let mut taken = queue.taken.subscribe();
    let all = tokio::time::timeout(SOON, taken.wait_for(|taken| taken.len() >= MESSAGES)).await;
    assert_eq!(*all.expect("all arrive").unwrap(), said, "in their order");
    let counts = discord.counts();
    assert_eq!((counts.identifies, counts.resumes, counts.violations), (1, 0, 0), "{counts:?}");
    stop.cancel();
    assert_eq!(run.await.unwrap(), Ended::Stopped);
}
