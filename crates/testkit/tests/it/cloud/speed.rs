//! What a call costs, in this build. `cargo test -p testkit --test it cloud::speed -- --ignored --nocapture`

use std::time::Instant;

use domain::turn::Head;
use testkit::cloud::Calm;

use super::*;

#[tokio::test(start_paused = true)]
#[ignore = "it measures, and checks nothing"]
async fn of_a_call() {
    const ROUNDS: u32 = 500;
    let (cloud, worker) = calm_world();
    let state = worker.store.account(account());
    let report = |what: &str, since: Instant, rounds: u32| {
        println!("{what}: {} µs", since.elapsed().as_micros() / u128::from(rounds));
    };
    let start = Instant::now();
    for _ in 0..20 {
        cloud.clients(Arc::new(Calm));
    }
    report("clients", start, 20);
    let session = SessionKey::main("main");
    let mut head = commit(&worker, &session, &Head::default(), 0).await.unwrap();
    let start = Instant::now();
    for n in 1..=ROUNDS {
        head = commit(&worker, &session, &head, n).await.unwrap();
    }
    report("TransactWriteItems of 4 rows", start, ROUNDS);
    let start = Instant::now();
    for _ in 0..ROUNDS {
        state.delivery_get(&outbound(1)).await.unwrap().unwrap();
    }
    report("GetItem", start, ROUNDS);
    let start = Instant::now();
    for _ in 0..ROUNDS {
        state.session_read_last(bot(), &session, 3).await.unwrap();
    }
    report("Query of 3 rows", start, ROUNDS);
    let start = Instant::now();
    for _ in 0..50 {
        state.session_load(bot(), &session).await.unwrap();
    }
    report("Query of 100 rows", start, 50);
    let start = Instant::now();
    for n in 0..ROUNDS {
        worker.queues.send(&delivery(n, "a")).await.unwrap();
    }
    report("SendMessage", start, ROUNDS);
    let start = Instant::now();
    for _ in 0..ROUNDS {
        state.workspace_put(bot(), "SOUL.md", "kind").await.unwrap();
    }
    report("PutObject", start, ROUNDS);
}
