//! Holders in processes of their own that are killed, terminated and added at random.

use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::stack::Stack;
use tokio::process::{Child, Command as AsyncCommand};
use tokio::time::Instant;

/// The most holders at once.
const MOST: usize = 4;

pub(super) struct Storm {
    holders: Vec<Child>,
    random: fastrand::Rng,
    next_blow: Instant,
    ends: Instant,
    kills: usize,
    terms: usize,
    adds: usize,
}

impl Storm {
    /// Starts holders; nothing happens to them before [`begin`](Storm::begin).
    pub(super) fn new(stack: &Stack, holders: usize) -> Storm {
        let holders = (0..holders).map(|_| spawn(stack)).collect();
        let now = Instant::now();
        let random = fastrand::Rng::with_seed(7);
        Storm { holders, random, next_blow: now, ends: now, kills: 0, terms: 0, adds: 0 }
    }

    pub(super) fn begin(&mut self) {
        let now = Instant::now();
        (self.next_blow, self.ends) = (now + Duration::from_secs(2), now + length());
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.ends
    }

    /// Does something to a holder, if it is time. One is always left.
    pub(super) async fn blow(&mut self, stack: &Stack) {
        if Instant::now() < self.next_blow {
            return;
        }
        self.next_blow = Instant::now() + Duration::from_millis(self.random.u64(1_500..4_000));
        // Each has happened once before chance decides.
        let what = match (self.kills, self.adds, self.terms) {
            (0, _, _) => 0,
            (_, 0, _) => 2,
            (_, _, 0) => 1,
            _ => self.random.u8(..3),
        };
        match what {
            0 if self.holders.len() > 1 => {
                self.any().kill().await.unwrap();
                self.kills += 1;
            }
            1 if self.holders.len() > 1 => {
                let mut holder = self.any();
                let pid = holder.id().unwrap().to_string();
                assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
                tokio::spawn(async move { holder.wait().await });
                self.terms += 1;
            }
            _ if self.holders.len() < MOST => {
                self.holders.push(spawn(stack));
                self.adds += 1;
            }
            _ => {}
        }
    }

    fn any(&mut self) -> Child {
        self.holders.swap_remove(self.random.usize(..self.holders.len()))
    }

    /// What has happened: holders were killed, terminated and added.
    pub(super) fn told(&self) -> String {
        let Storm { kills, terms, adds, .. } = self;
        let told = format!("{kills} holders killed, {terms} terminated, {adds} added");
        assert!(*kills > 0 && *terms > 0 && *adds > 0, "{told}");
        told
    }
}

fn spawn(stack: &Stack) -> Child {
    AsyncCommand::new(env!("CARGO_BIN_EXE_holder"))
        .env_clear()
        .envs(stack.variables())
        .envs([("AWS_REGION", "us-east-1"), ("LOWTIDE_HEALTH_LISTEN", "127.0.0.1:0"), ("LOWTIDE_LOG", "error")])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// How long holders come and go. `LOWTIDE_LOSS_SECS` lets it be longer than in everyday tests.
fn length() -> Duration {
    let secs = std::env::var("LOWTIDE_LOSS_SECS").ok().and_then(|secs| secs.parse().ok());
    Duration::from_secs(secs.unwrap_or(25))
}
