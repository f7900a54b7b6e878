//! What is done about a job that is due.

use std::time::Duration;

use super::{Firing, GIVE_UP_AFTER, Job, JobState, Missed};
use crate::Timestamp;

/// How late a run may begin without counting as missed: two ticks.
pub const GRACE: Duration = Duration::from_secs(120);

/// After which time without a report a run is sent again at first; then after as long as it has been waited for.
pub const RESEND_AFTER: Duration = Duration::from_secs(120);

/// How many runs of a job may wait for their end, and how many times one claim looks back.
pub const MAX_PENDING: usize = 100;

/// What is done about a job that is due: `job` is written, if nobody else wrote it meanwhile, and then the runs are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Runs that begin now or soon.
    pub fire: Vec<Firing>,
    /// Runs that were claimed before and not reported: they may never have been sent. Most of them were.
    pub again: Vec<Firing>,
    /// Runs that are not waited for any longer. They are still pending: their end is to be reported, as an error.
    pub lost: Vec<Firing>,
    /// The schedule's next time.
    pub next: Option<Timestamp>,
    /// The job as it is to be written.
    pub job: Job,
}

impl Job {
    /// What is to be done about this job at `now`, for what is due up to `until` (the next tick). `None`: nothing, and there is
    /// nothing to write.
    pub fn claim(&self, now: Timestamp, until: Timestamp) -> Option<Claim> {
        if self.due_at()? > until {
            return None;
        }
        let mut state = self.state.clone();
        let (mut again, mut lost) = (vec![], vec![]);
        if state.again_at.is_some_and(|at| at <= now) {
            let waiting = state.pending.iter().copied().filter(|run| run.at <= now);
            (lost, again) = waiting.partition(|run| now.since(run.at) > GIVE_UP_AFTER);
        }
        let (fire, missed) = if self.spec.enabled { self.take_due(&mut state, now, until) } else { (vec![], 0) };
        if fire.is_empty() && again.is_empty() && lost.is_empty() && missed == 0 {
            return None;
        }
        state.missed += missed;
        state.pending.extend(&fire);
        state.again_at = again_at(&state, now);
        let is_over = state.next.is_none() && state.pending.is_empty();
        let mut spec = self.spec.clone();
        spec.enabled &= !is_over;
        let job = Job { spec, state, version: self.version + 1, ..self.clone() };
        Some(Claim { fire, again, lost, next: job.state.next, job })
    }

    /// A run that the owner asks for, beside the schedule. `None`: [`MAX_PENDING`] runs wait for their end already.
    pub fn run_now(&self, now: Timestamp) -> Option<Claim> {
        if self.state.pending.len() >= MAX_PENDING {
            return None;
        }
        let mut run = Firing { scheduled: now, at: now };
        while self.state.pending.iter().any(|pending| pending.scheduled == run.scheduled) {
            run.scheduled = run.scheduled + Duration::from_millis(1);
        }
        let mut state = self.state.clone();
        state.pending.push(run);
        state.again_at = again_at(&state, now);
        let job = Job { state, version: self.version + 1, ..self.clone() };
        Some(Claim { fire: vec![run], again: vec![], lost: vec![], next: job.state.next, job })
    }

    /// Moves `state` past what is due, and returns the runs that this makes and how many times get none.
    fn take_due(&self, state: &mut JobState, now: Timestamp, until: Timestamp) -> (Vec<Firing>, u64) {
        let due = self.due(state, until);
        let (overdue, ahead): (Vec<Firing>, Vec<Firing>) = due.iter().partition(|run| run.at <= now);
        let mut fire = match self.spec.missed {
            Missed::Skip => overdue.into_iter().filter(|run| now.since(run.at) <= GRACE).collect(),
            Missed::Once => overdue.last().copied().into_iter().collect(),
            Missed::All { cap } => newest(overdue, cap as usize),
        };
        fire.extend(ahead);
        let fire = newest(fire, MAX_PENDING.saturating_sub(state.pending.len()));
        let missed = due.len() - fire.len();
        (fire, missed as u64)
    }

    /// The runs that are due up to `until`, the newest [`MAX_PENDING`] or a few more, and moves `state` past them.
    fn due(&self, state: &mut JobState, until: Timestamp) -> Vec<Firing> {
        let schedule = &self.spec.schedule;
        let mut due = vec![];
        while let Some(scheduled) = state.next {
            let at = self.begins(scheduled);
            if at > until {
                break;
            }
            due.push(Firing { scheduled, at });
            state.next = schedule.next_after(scheduled);
            if due.len() == MAX_PENDING {
                // After a long outage the middle is left out, instead of counting minutes for a year.
                let from = schedule.back_from(until - self.widest_spread(), MAX_PENDING as u32).unwrap_or(scheduled);
                if from > scheduled {
                    state.next = schedule.next_after(from);
                }
            }
        }
        due
    }
}

/// When pending runs are sent again: first after a while, then less and less often.
fn again_at(state: &JobState, now: Timestamp) -> Option<Timestamp> {
    let oldest = state.pending.iter().map(|run| run.at).min()?;
    let then = now.max(oldest) + now.since(oldest).max(RESEND_AFTER);
    Some(state.again_at.filter(|planned| *planned > now).map_or(then, |planned| planned.min(then)))
}

fn newest(mut runs: Vec<Firing>, most: usize) -> Vec<Firing> {
    runs.split_off(runs.len().saturating_sub(most))
}
