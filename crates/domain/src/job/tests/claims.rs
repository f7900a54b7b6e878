//! Ticks over one job, as they go wrong: repeated, overlapping, killed, and missing for hours.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

/// What a tick does in the next step of the world.
#[derive(Clone, Debug)]
enum Step {
    /// Time passes, in seconds.
    Wait(u64),
    /// A tick reads the job. It claims it later.
    Read,
    /// The oldest tick that has read writes its claim, and sends unless it dies before.
    Claim { dies: bool },
    /// A run is received (again, if `stays`), and ends unless its worker dies.
    Work { stays: bool, reports: bool, fails: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1u64..90).prop_map(Step::Wait),
        1 => (90u64..20_000).prop_map(Step::Wait),
        5 => Just(Step::Read),
        5 => prop::bool::weighted(0.2).prop_map(|dies| Step::Claim { dies }),
        5 => (prop::bool::weighted(0.2), prop::bool::weighted(0.8), prop::bool::weighted(0.2))
            .prop_map(|(stays, reports, fails)| Step::Work { stays, reports, fails }),
    ];
    prop::collection::vec(step, 1..120)
}

fn schedules() -> impl Strategy<Value = Schedule> {
    const EXPRESSIONS: &[&str] =
        &["* * * * *", "*/7 * * * *", "0 * * * *", "30 2 * * *", "5 4-6 * * 1-5", "15 30 * * * *"];
    const ZONES: &[&str] = &["UTC", "America/New_York", "Australia/Lord_Howe"];
    prop_oneof![
        (0u64..40_000).prop_map(|secs| once(secs + 1)),
        (60u64..5000).prop_map(each),
        (prop::sample::select(EXPRESSIONS), prop::sample::select(ZONES), prop::option::of(0u64..400_000))
            .prop_map(|(expr, tz, stagger_ms)| Schedule::Cron { expr: expr.into(), tz: Some(tz.into()), stagger_ms }),
    ]
}

fn policies() -> impl Strategy<Value = Missed> {
    prop_oneof![Just(Missed::Skip), Just(Missed::Once), (1u32..=100).prop_map(|cap| Missed::All { cap })]
}

/// More times than a world has.
const MOST_TIMES: usize = 100_000;

/// The store, the queue, and who works, round one job.
struct World {
    job: Option<Job>,
    now: Timestamp,
    ticks: VecDeque<(Job, Timestamp)>,
    queue: VecDeque<Timestamp>,
    /// Runs that were begun: the marks of a session.
    begun: BTreeSet<Timestamp>,
    sent: BTreeMap<Timestamp, u32>,
    claimed: BTreeSet<Timestamp>,
    /// The first of the schedule's times that no claim has passed. `None`: it had its last.
    covered: Option<Timestamp>,
}

impl World {
    fn read(&mut self) {
        let until = self.now + Duration::from_secs(60);
        self.ticks.extend(
            self.job.clone().filter(|job| job.due_at().is_some_and(|due| due <= until)).map(|job| (job, self.now)),
        );
    }

    fn claim(&mut self, dies: bool) {
        let Some((seen, now)) = self.ticks.pop_front() else { return };
        let Some(claim) = seen.claim(now, now + Duration::from_secs(60)) else { return };
        // The conditional write.
        if self.job.as_ref().is_none_or(|job| job.version != seen.version) {
            return;
        }
        if seen.spec.enabled {
            self.check(&seen, &claim, now);
        }
        self.job = Some(claim.job);
        for run in &claim.fire {
            assert!(self.claimed.insert(run.scheduled), "{run:?} was claimed twice");
        }
        if !dies {
            for run in claim.fire.iter().chain(&claim.again) {
                *self.sent.entry(run.scheduled).or_default() += 1;
                self.queue.push_back(run.scheduled);
            }
        }
        for run in claim.lost {
            self.finish(run.scheduled, failed());
        }
    }

    /// Whether a claim passes over all of the schedule's times, and none of the others, as the job's policy says.
    fn check(&mut self, seen: &Job, claim: &Claim, now: Timestamp) {
        let until = now + Duration::from_secs(60);
        // All times that were not covered, up to the first that lies behind the tick: a run begins no earlier than its time.
        let times = std::iter::successors(self.covered, |at| seen.spec.schedule.next_after(*at));
        let mut times: Vec<Timestamp> = times.take(MOST_TIMES).take_while(|at| *at <= until).collect();
        let behind = times.last().map_or(self.covered, |last| seen.spec.schedule.next_after(*last));
        // An error has put the job off.
        times.retain(|at| seen.state.next.is_some_and(|next| *at >= next));
        let run = |scheduled: Timestamp| Firing { scheduled, at: seen.begins(scheduled) };
        let (mut due, later): (Vec<Firing>, Vec<Firing>) = times.into_iter().map(run).partition(|run| run.at <= until);
        let put_off = seen.state.next.filter(|next| *next > until);
        self.covered = later.first().map(|run| run.scheduled).or(put_off).or(behind);
        if seen.spec.schedule.is_one_shot() {
            // A retry has a time of its own.
            due = seen.state.next.map(|next| Firing { scheduled: next, at: seen.begins(next) }).into_iter().collect();
            due.retain(|run| run.at <= until);
        } else if !due.is_empty() {
            assert_eq!(claim.next, self.covered);
        }
        let (overdue, ahead): (Vec<Firing>, Vec<Firing>) = due.iter().partition(|run| run.at <= now);
        let mut expected = match seen.spec.missed {
            Missed::Skip => overdue.into_iter().filter(|run| now.since(run.at) <= GRACE).collect(),
            Missed::Once => overdue.into_iter().next_back().into_iter().collect(),
            Missed::All { cap } => overdue[overdue.len().saturating_sub(cap as usize)..].to_vec(),
        };
        expected.extend(ahead);
        let room = MAX_PENDING - seen.state.pending.len();
        assert_eq!(claim.fire, expected[expected.len().saturating_sub(room)..], "{now} {:?}", seen.spec);
    }

    fn work(&mut self, stays: bool, reports: bool, fails: bool) {
        let Some(scheduled) = self.queue.pop_front() else { return };
        if stays {
            self.queue.push_back(scheduled);
        }
        self.begun.insert(scheduled);
        if reports {
            self.finish(scheduled, if fails { failed() } else { Outcome::Ok });
        }
    }

    fn finish(&mut self, scheduled: Timestamp, outcome: Outcome) {
        let Some(job) = &self.job else { return };
        if let Some(finished) = job.finish(report(scheduled, self.now, outcome)) {
            self.job = finished.job;
        }
    }
}

fn live(schedule: Schedule, missed: Missed, jitter_ms: u64, steps: Vec<Step>) {
    // Runs that would begin behind the next one are refused.
    let jitter_ms = schedule.shortest_interval().map_or(jitter_ms, |shortest| jitter_ms % shortest.as_millis() as u64);
    let job = created(JobSpec { missed, jitter_ms, ..spec(schedule) });
    let mut world = World {
        now: at(0),
        covered: job.state.next,
        job: Some(job),
        ticks: VecDeque::new(),
        queue: VecDeque::new(),
        begun: BTreeSet::new(),
        sent: BTreeMap::new(),
        claimed: BTreeSet::new(),
    };
    let is_calm = steps.iter().all(|step| match step {
        Step::Claim { dies } => !dies,
        Step::Work { reports, .. } => *reports,
        _ => true,
    });
    for step in steps {
        match step {
            Step::Wait(secs) => world.now = world.now + Duration::from_secs(secs),
            Step::Read => world.read(),
            Step::Claim { dies } => world.claim(dies),
            Step::Work { stays, reports, fails } => world.work(stays, reports, fails),
        }
    }
    // Nothing goes wrong any more, and the job is switched off: what was claimed is done in the end.
    if let Some(job) = &mut world.job {
        job.spec.enabled = false;
        job.version += 1;
    }
    world.ticks.clear();
    for _ in 0..400 {
        world.read();
        world.claim(false);
        while !world.queue.is_empty() {
            world.work(false, true, false);
        }
        world.now = world.now + Duration::from_secs(3600);
    }
    if world.job.as_ref().is_none_or(|job| job.state.pending.is_empty()) {
        // One whose end was reported as lost, after a day, is the one that may not have begun.
        let lost =
            world.claimed.difference(&world.begun).filter(|scheduled| world.sent.contains_key(scheduled)).count();
        assert_eq!(lost, 0, "sent and never begun");
    } else {
        panic!("runs are left: {:?}", world.job);
    }
    assert!(world.begun.is_subset(&world.claimed));
    if is_calm {
        assert_eq!(world.begun, world.claimed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_time_is_claimed_once_as_the_policy_says(
        schedule in schedules(), missed in policies(), jitter_ms in prop_oneof![Just(0), 0u64..600_000], steps in steps()
    ) {
        live(schedule, missed, jitter_ms, steps);
    }
}
