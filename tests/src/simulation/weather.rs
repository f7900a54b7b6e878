//! What goes wrong: wherever a worker waits (a request to AWS, the model, a tool, the channel), it may die or freeze there,
//! and what it sends or is sent may get lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use futures::future::BoxFuture;
use testkit::cloud::{Call, Fate, Network};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::Counts;

tokio::task_local! {
    /// Whoever is at work.
    pub(super) static BODY: Arc<Body>;
}

/// How bad it is, in thousandths per place where a worker waits.
#[derive(Clone, Copy, Debug)]
struct Severity {
    die: u32,
    freeze: u32,
    lose: u32,
}

/// What all of a world shares.
#[derive(Debug)]
pub(super) struct Weather {
    began: Instant,
    severity: Severity,
    storm: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    history: Vec<String>,
    counts: Counts,
    /// More deaths than this, and a task may be given up although nothing is wrong with it.
    deaths_left: u32,
}

impl Weather {
    pub(super) fn new(mut rng: Rng) -> Arc<Weather> {
        let severity = match rng.u32(0..4) {
            0 => Severity { die: 0, freeze: 0, lose: 0 },
            1 => Severity { die: 4, freeze: 4, lose: 15 },
            2 => Severity { die: 25, freeze: 0, lose: 40 },
            _ => Severity { die: 12, freeze: 20, lose: 20 },
        };
        let state = State { rng, history: vec![], counts: Counts::default(), deaths_left: 10 };
        let storm = AtomicBool::new(true);
        Arc::new(Weather { began: Instant::now(), severity, storm, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody dies or freezes here, and nothing gets lost.
    pub(super) fn is_calm(&self) -> bool {
        let Severity { die, freeze, lose } = self.severity;
        die + freeze + lose == 0
    }

    /// From now on nothing goes wrong any more.
    pub(super) fn clear_up(&self) {
        self.storm.store(false, Ordering::Relaxed);
        self.note("the storm is over");
    }

    pub(super) fn is_storm(&self) -> bool {
        self.storm.load(Ordering::Relaxed)
    }

    pub(super) fn random<T>(&self, choose: impl FnOnce(&mut Rng) -> T) -> T {
        choose(&mut self.state().rng)
    }

    pub(super) fn chance(&self, per_thousand: u32) -> bool {
        self.random(|rng| rng.u32(0..1000) < per_thousand)
    }

    pub(super) fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(&mut self.state().counts);
    }

    pub(super) fn note(&self, what: impl Into<String>) {
        let line = format!("{:>9} {}", self.began.elapsed().as_millis(), what.into());
        self.state().history.push(line);
    }

    pub(super) fn finish(&self) -> (Vec<String>, Counts) {
        let mut state = self.state();
        (std::mem::take(&mut state.history), state.counts)
    }
}

/// A process that works on something, and may die.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) name: String,
    pub(super) weather: Arc<Weather>,
    death: Notify,
    /// It died, froze, or missed an answer: what it did last may have been done without its knowing.
    pub(super) was_hit: AtomicBool,
}

impl Body {
    pub(super) fn new(name: String, weather: &Arc<Weather>) -> Arc<Body> {
        let was_hit = AtomicBool::new(false);
        Arc::new(Body { name, weather: weather.clone(), death: Notify::new(), was_hit })
    }

    /// Works, unless it dies meanwhile.
    pub(super) async fn live<T>(self: Arc<Body>, work: impl Future<Output = T>) -> Option<T> {
        let body = self.clone();
        tokio::select! {
            biased;
            () = self.death.notified() => None,
            done = BODY.scope(body, work) => Some(done),
        }
    }

    /// A place where it waits.
    pub(super) async fn wait_at(&self, place: &str) -> Fate {
        let weather = &self.weather;
        if !weather.is_storm() {
            return Fate::Deliver;
        }
        let Severity { die, freeze, lose } = weather.severity;
        let (roll, pause) = weather.random(|rng| (rng.u32(0..1000), rng.u64(0..30)));
        if roll < die && weather.state().deaths_left > 0 {
            weather.state().deaths_left -= 1;
            weather.count(|counts| counts.deaths += 1);
            weather.note(format!("{} dies at {place}", self.name));
            self.was_hit.store(true, Ordering::Relaxed);
            self.death.notify_one();
            std::future::pending::<()>().await;
        }
        if (die..die + freeze).contains(&roll) {
            let secs = weather.random(|rng| rng.u64(30..500));
            weather.count(|counts| counts.zombies += 1);
            weather.note(format!("{} freezes for {secs} s at {place}", self.name));
            self.was_hit.store(true, Ordering::Relaxed);
            sleep(Duration::from_secs(secs)).await;
            weather.note(format!("{} wakes up at {place}", self.name));
            return Fate::Deliver;
        }
        sleep(Duration::from_millis(pause)).await;
        if (die + freeze..die + freeze + lose).contains(&roll) { Fate::Lose } else { Fate::Deliver }
    }
}

/// A place where whoever is at work waits. Nothing goes wrong for who has no body: the world itself.
pub(super) async fn wait_at(place: &str) -> Fate {
    match BODY.try_with(Arc::clone) {
        Ok(body) => body.wait_at(place).await,
        Err(_) => Fate::Deliver,
    }
}

/// The network between workers and the cloud.
#[derive(Debug)]
pub(super) struct Air;

impl Network for Air {
    fn before(&self, call: &Call) -> BoxFuture<'static, Fate> {
        let place = format!("{} {} ({})", call.service, call.operation, call.key);
        Box::pin(async move {
            let fate = wait_at(&format!("{place}, before it arrives")).await;
            note_loss(fate, "the request", &place, |counts| counts.lost_requests += 1);
            fate
        })
    }

    fn after(&self, call: &Call) -> BoxFuture<'static, Fate> {
        let place = format!("{} {} ({})", call.service, call.operation, call.key);
        Box::pin(async move {
            let fate = wait_at(&format!("{place}, after it took effect")).await;
            note_loss(fate, "the answer", &place, |counts| counts.lost_answers += 1);
            fate
        })
    }
}

fn note_loss(fate: Fate, what: &str, place: &str, add: impl FnOnce(&mut Counts)) {
    let Ok(body) = BODY.try_with(Arc::clone) else { return };
    if fate == Fate::Lose {
        body.weather.count(add);
        body.weather.note(format!("{}: {what} of {place} is lost", body.name));
        body.was_hit.store(true, Ordering::Relaxed);
    }
}
