//! The engine in worlds that go wrong: see the crate `simulation`.

use std::fs;

use simulation::{Guard, Report, run, run_many};

use crate::dev_process::report;

/// What to look at when a world breaks a promise.
fn replayable(broken: &Report) -> String {
    let lines = broken.history.len();
    let tail = &broken.history[lines.saturating_sub(80)..];
    format!(
        "{}\n{}\nThe whole history: cargo xtask simulate --show {}",
        tail.join("\n"),
        broken.violations.join("\n"),
        broken.seed
    )
}

#[test]
fn two_thousand_worlds_keep_every_promise() {
    let summary = run_many(0..2000, None, true);
    report(&format!("{} worlds: {}", summary.seeds, summary.counts));
    if let Some(broken) = summary.broken.first() {
        panic!("seed {} broke a promise:\n{}", broken.seed, replayable(broken));
    }
    assert_eq!(summary.counts.missing(), Vec::<&str>::new(), "something never happened, so nothing was tested of it");
}

#[test]
fn a_seed_gives_the_same_history_each_time() {
    for seed in [3, 14, 77] {
        let (first, second) = (run(seed, None), run(seed, None));
        assert!(first.history == second.history, "seed {seed} gave two histories");
    }
}

/// The table of guards in ARCHITECTURE.md: each is needed, and the seed there shows it.
#[test]
fn without_any_of_the_guards_a_promise_is_broken() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let text = fs::read_to_string(format!("{root}/ARCHITECTURE.md")).unwrap();
    for guard in Guard::ALL {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{guard}` |")));
        let row = row.unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for the guard {guard}"));
        let seed = row.split('|').map(str::trim).find_map(|cell| cell.parse::<u64>().ok());
        let seed = seed.unwrap_or_else(|| panic!("the row of {guard} names no seed"));
        let kept = run(seed, None);
        assert!(kept.violations.is_empty(), "with all guards: {}", replayable(&kept));
        let broken = run(seed, Some(guard));
        assert!(
            !broken.violations.is_empty(),
            "seed {seed} breaks nothing without {guard}: if the engine was changed, `cargo xtask simulate --guards --write` \
             finds a seed that does and puts it into ARCHITECTURE.md"
        );
        report(&format!("without {guard}, seed {seed}: {}", broken.violations[0]));
    }
}
