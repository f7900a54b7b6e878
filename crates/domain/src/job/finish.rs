//! What the end of a run means for its job.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Job;
use crate::budget::{Period, dollars};
use crate::{Timestamp, TurnId};

/// How many runs of a job are remembered.
pub const MAX_RUNS: usize = 20;

/// After so many errors in a row a job is switched off.
pub const MAX_ERRORS: u32 = 10;

/// How many days are counted apart.
pub const MAX_DAYS: usize = 7;

/// How often a job that runs once is tried again.
pub const MAX_RETRIES: u32 = 3;

/// How long the end of a run is waited for. A message is known to its session for longer than that (7 days).
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

/// How long a job waits after errors in a row, in seconds.
const BACK_OFF: [u64; 5] = [30, 60, 5 * 60, 15 * 60, 60 * 60];

/// The longest error that is kept, in characters.
const MAX_ERROR: usize = 300;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Outcome {
    Ok,
    /// There was nothing to do, and no model was asked.
    Skipped {
        /// Why no model was asked.
        reason: String,
    },
    Error {
        /// What went wrong.
        error: String,
    },
}

/// A run that ended, as the job's history tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Names the run.
    pub scheduled: Timestamp,
    pub started_at: Timestamp,
    /// In milliseconds.
    pub duration: u64,
    #[serde(flatten)]
    pub outcome: Outcome,
    /// In micro-dollars.
    #[serde(default)]
    pub cost: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnId>,
}

/// How many runs ended, and what they took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Tally {
    /// Runs, those that were found to have nothing to do included.
    pub wakes: u64,
    /// How often they asked a model.
    pub model_calls: u64,
    /// In micro-dollars.
    pub cost: u64,
}

impl Tally {
    fn count(&mut self, report: &Report) {
        self.wakes += 1;
        self.model_calls = self.model_calls.saturating_add(report.model_calls);
        self.cost = self.cost.saturating_add(report.cost);
    }
}

impl fmt::Display for Tally {
    /// `48 wakes, 2 model calls, $0.01`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |number: u64, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
        write!(f, "{}, {}, {}", of(self.wakes, "wake"), of(self.model_calls, "model call"), dollars(self.cost))
    }
}

/// The last runs of a job, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunHistory(VecDeque<Run>);

impl RunHistory {
    pub fn push(&mut self, run: Run) {
        self.0.push_back(run);
        while self.0.len() > MAX_RUNS {
            self.0.pop_front();
        }
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.0.iter()
    }
}

/// The end of a run, as who ran it reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// [`super::Firing::scheduled`]
    pub scheduled: Timestamp,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    pub outcome: Outcome,
    /// In micro-dollars.
    pub cost: u64,
    /// How often a model was asked.
    pub model_calls: u64,
    pub turn: Option<TurnId>,
}

/// Why a job was switched off by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pause {
    pub at: Timestamp,
    /// For the owner.
    pub reason: String,
}

/// What the end of a run means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The job as it is to be written. `None`: it is to be deleted.
    pub job: Option<Job>,
    /// What its history says of the run.
    pub run: Run,
    /// The job was switched off with this, and its owner is to be told.
    pub paused: Option<Pause>,
}

impl Job {
    /// What the end of a run means for the job. `None`: no such run is waited for, since its end was reported before.
    pub fn finish(&self, report: Report) -> Option<Finished> {
        let mut job = Job { version: self.version + 1, ..self.clone() };
        let place = job.state.pending.iter().position(|run| run.scheduled == report.scheduled)?;
        job.state.pending.remove(place);
        if job.state.pending.is_empty() {
            job.state.again_at = None;
        }
        job.state.total.count(&report);
        count_day(&mut job.state.days, &report);
        let run = Run {
            scheduled: report.scheduled,
            started_at: report.started_at,
            duration: u64::try_from(report.ended_at.since(report.started_at).as_millis()).unwrap_or(u64::MAX),
            outcome: shortened(report.outcome),
            cost: report.cost,
            turn: report.turn,
        };
        let state = &mut job.state;
        (state.last_run_at, state.last) = (Some(run.started_at), Some(run.outcome.clone()));
        if report.model_calls > 0 && run.outcome == Outcome::Ok {
            state.last_asked_at = state.last_asked_at.max(Some(report.ended_at));
        }
        let mut paused = None;
        match &run.outcome {
            Outcome::Error { error } => paused = job.after_error(error, report.started_at, report.ended_at),
            Outcome::Ok => (job.state.consecutive_errors, job.state.last_error_at) = (0, None),
            Outcome::Skipped { .. } => {}
        }
        let is_idle = job.state.pending.is_empty();
        // Run by hand before its time, a reminder still has its time to come.
        let is_done = job.state.next.is_none() || !job.spec.schedule.is_one_shot();
        if run.outcome == Outcome::Ok && is_idle && is_done && job.spec.deletes_itself() {
            return Some(Finished { job: None, run, paused: None });
        }
        let is_over = job.state.next.is_none() && is_idle;
        if let Outcome::Skipped { reason } = &run.outcome
            && is_over
            && job.spec.enabled
        {
            paused = Some(job.left_undone(reason, report.ended_at));
        }
        job.spec.enabled &= !is_over;
        Some(Finished { job: Some(job), run, paused })
    }

    /// Keeps a job whose only time passed without a run: its owner decides what becomes of it.
    fn left_undone(&mut self, why: &str, at: Timestamp) -> Pause {
        let name = &self.spec.name;
        let reason = format!("The job \"{name}\" was due and did not run: {why}. It is kept, switched off.");
        let pause = Pause { at, reason };
        self.state.paused = Some(pause.clone());
        pause
    }

    /// Puts the job off, or switches it off.
    fn after_error(&mut self, error: &str, started_at: Timestamp, ended_at: Timestamp) -> Option<Pause> {
        // Runs that are made up for are under way side by side, and fail together.
        if self.state.last_error_at.is_some_and(|counted| started_at <= counted) {
            return None;
        }
        let errors = self.state.consecutive_errors.saturating_add(1);
        (self.state.consecutive_errors, self.state.last_error_at) = (errors, Some(ended_at));
        if !self.spec.enabled {
            return None;
        }
        let earliest = ended_at + back_off(errors);
        self.put_off_pending(earliest);
        let is_last = if self.spec.schedule.is_one_shot() {
            self.state.next = Some(self.state.next.map_or(earliest, |next| next.max(earliest)));
            errors > MAX_RETRIES
        } else {
            if self.state.next.is_some_and(|next| next < earliest) {
                self.state.next = self.spec.schedule.next_after(earliest - Duration::from_millis(1));
            }
            errors >= MAX_ERRORS
        };
        if !is_last {
            return None;
        }
        let name = &self.spec.name;
        let reason =
            format!("The job \"{name}\" failed {errors} times in a row and was switched off. Last error: {error}");
        let pause = Pause { at: ended_at, reason };
        self.spec.enabled = false;
        self.state.next = self.state.next.filter(|_| !self.spec.schedule.is_one_shot());
        self.state.paused = Some(pause.clone());
        Some(pause)
    }

    /// Has runs that were claimed and did not end begin at `earliest` or later: they are sent again then. Of those that began
    /// already nothing comes of that.
    fn put_off_pending(&mut self, earliest: Timestamp) {
        for run in &mut self.state.pending {
            run.at = run.at.max(earliest);
        }
        if !self.state.pending.is_empty() {
            self.state.again_at = Some(earliest);
        }
    }
}

fn count_day(days: &mut BTreeMap<String, Tally>, report: &Report) {
    days.entry(Period::Day.containing(report.started_at)).or_default().count(report);
    while days.len() > MAX_DAYS {
        days.pop_first();
    }
}

/// How long to wait after so many errors in a row.
fn back_off(errors: u32) -> Duration {
    let place = usize::try_from(errors.saturating_sub(1)).unwrap_or(usize::MAX).min(BACK_OFF.len() - 1);
    Duration::from_secs(BACK_OFF[place])
}

fn shortened(outcome: Outcome) -> Outcome {
    let short = |text: String| text.chars().take(MAX_ERROR).collect();
    match outcome {
        Outcome::Ok => Outcome::Ok,
        Outcome::Skipped { reason } => Outcome::Skipped { reason: short(reason) },
        Outcome::Error { error } => Outcome::Error { error: short(error) },
    }
}
