//! A deterministic simulation of the turn engine: the real handlers, store and queues in a world that goes wrong.
//!
//! One seed is one world: a bot, a few chats, people who write, and a cloud whose requests and answers get lost, whose
//! queues repeat tasks, and whose workers die or freeze wherever they wait. Everything runs on one thread over a clock that only
//! moves when nobody has anything to do, so a seed always gives the same history. After a while the storm ends, what is left is
//! done, and `checks` compares what happened with what is promised.
//!
//! | module | what it is |
//! | --- | --- |
//! | `world` | the people, the queues' pollers, the clock; one run |
//! | `weather` | what goes wrong, wherever a worker waits |
//! | `actors` | the scripted model, its tools, and the channel that replies leave by |
//! | `checks` | the promises |
//!
//! A [`Guard`] can be switched off. Then some seed must break a promise, or the guard guards nothing.

mod actors;
mod checks;
mod weather;
mod world;

use std::fmt;
use std::str::FromStr;

/// One of the engine's safeguards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// A commit holds only if the head has the epoch that its worker saw.
    Epoch,
    /// A commit's entries must not exist.
    EntryPlace,
    /// A message's mark must not exist.
    MessageMark,
    /// A tool that must not be repeated is not run again when it is not known how it ended.
    ToolRepeat,
    /// Replies that were committed and never queued are found and queued.
    OutboxSweep,
    /// A model call is reserved only where the budget has room for it.
    Budget,
    /// A tool that needs approval is not run before its owner has approved it.
    Approval,
}

impl Guard {
    pub const ALL: [Guard; 7] = [
        Guard::Epoch,
        Guard::EntryPlace,
        Guard::MessageMark,
        Guard::ToolRepeat,
        Guard::OutboxSweep,
        Guard::Budget,
        Guard::Approval,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Guard::Epoch => "epoch",
            Guard::EntryPlace => "entry-place",
            Guard::MessageMark => "message-mark",
            Guard::ToolRepeat => "tool-repeat",
            Guard::OutboxSweep => "outbox-sweep",
            Guard::Budget => "budget",
            Guard::Approval => "approval",
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Guard {
    type Err = String;

    fn from_str(text: &str) -> Result<Guard, String> {
        let names: Vec<&str> = Guard::ALL.iter().map(|guard| guard.as_str()).collect();
        let found = Guard::ALL.into_iter().find(|guard| guard.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no guard; there are: {}", names.join(", ")))
    }
}

/// What came of one seed.
#[derive(Clone, Debug)]
pub struct Report {
    pub seed: u64,
    /// What happened, in order, each line with the milliseconds since the beginning.
    pub history: Vec<String>,
    /// The promises that were broken; none if all is well.
    pub violations: Vec<String>,
    pub counts: Counts,
}

/// How much happened in a world: a simulation in which nothing goes wrong proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub messages: u64,
    pub workers: u64,
    pub deaths: u64,
    pub zombies: u64,
    pub lost_requests: u64,
    pub lost_answers: u64,
    pub repeated_tasks: u64,
    pub model_calls: u64,
    pub continued_turns: u64,
    pub stopped_turns: u64,
    pub refused_for_budget: u64,
    pub compactions: u64,
    pub resets: u64,
    pub swept_replies: u64,
    pub dead_letters: u64,
    pub replies: u64,
    pub approved: u64,
    pub denied: u64,
    pub unanswered: u64,
}

impl Counts {
    fn fields(&self) -> [(&'static str, u64); 19] {
        [
            ("messages", self.messages),
            ("workers", self.workers),
            ("deaths", self.deaths),
            ("zombies", self.zombies),
            ("lost requests", self.lost_requests),
            ("lost answers", self.lost_answers),
            ("repeated tasks", self.repeated_tasks),
            ("model calls", self.model_calls),
            ("continued turns", self.continued_turns),
            ("stopped turns", self.stopped_turns),
            ("refused for budget", self.refused_for_budget),
            ("compactions", self.compactions),
            ("resets", self.resets),
            ("swept replies", self.swept_replies),
            ("dead letters", self.dead_letters),
            ("replies", self.replies),
            ("approved calls", self.approved),
            ("denied calls", self.denied),
            ("calls that nobody answered", self.unanswered),
        ]
    }

    /// What has not happened at all.
    pub fn missing(&self) -> Vec<&'static str> {
        self.fields().into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, rhs: Counts) {
        self.messages += rhs.messages;
        self.workers += rhs.workers;
        self.deaths += rhs.deaths;
        self.zombies += rhs.zombies;
        self.lost_requests += rhs.lost_requests;
        self.lost_answers += rhs.lost_answers;
        self.repeated_tasks += rhs.repeated_tasks;
        self.model_calls += rhs.model_calls;
        self.continued_turns += rhs.continued_turns;
        self.stopped_turns += rhs.stopped_turns;
        self.refused_for_budget += rhs.refused_for_budget;
        self.compactions += rhs.compactions;
        self.resets += rhs.resets;
        self.swept_replies += rhs.swept_replies;
        self.dead_letters += rhs.dead_letters;
        self.replies += rhs.replies;
        self.approved += rhs.approved;
        self.denied += rhs.denied;
        self.unanswered += rhs.unanswered;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.fields().into_iter().map(|(name, count)| format!("{count} {name}")).collect();
        f.write_str(&parts.join(", "))
    }
}

/// Runs one world.
pub fn run(seed: u64, without: Option<Guard>) -> Report {
    // The SDK's waits between its attempts are random, too.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without threads").block_on(world::run(seed, without))
}

/// What came of many seeds.
#[derive(Debug, Default)]
pub struct Summary {
    pub seeds: u64,
    pub counts: Counts,
    /// The worlds in which a promise was broken, by seed.
    pub broken: Vec<Report>,
}

/// Runs the worlds of `seeds` on all cores. With `stop_early` no world is begun behind one that has broken a promise, so that the
/// first of them is the same on every machine.
pub fn run_many(seeds: std::ops::Range<u64>, without: Option<Guard>, stop_early: bool) -> Summary {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let first_broken = std::sync::atomic::AtomicU64::new(u64::MAX);
    let work = |offset: u64| {
        let mut summary = Summary::default();
        for seed in seeds.clone().skip(usize::try_from(offset).unwrap_or_default()).step_by(threads as usize) {
            if stop_early && seed > first_broken.load(std::sync::atomic::Ordering::Relaxed) {
                break;
            }
            let report = run(seed, without);
            summary.seeds += 1;
            summary.counts += report.counts;
            if !report.violations.is_empty() {
                first_broken.fetch_min(seed, std::sync::atomic::Ordering::Relaxed);
                summary.broken.push(report);
            }
        }
        summary
    };
    let mut whole = Summary::default();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|offset| scope.spawn(move || work(offset))).collect();
        for thread in running {
            let part = thread.join().expect("a world does not panic");
            whole.seeds += part.seeds;
            whole.counts += part.counts;
            whole.broken.extend(part.broken);
        }
    });
    whole.broken.sort_by_key(|report| report.seed);
    whole
}
