//! Runs worlds of the simulation: `cargo xtask simulate`.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use simulation::{Guard, Report, run, run_many};

/// Runs the turn engine in worlds that go wrong, one per seed, and says which promises were broken.
#[derive(Parser)]
struct Args {
    /// How many worlds.
    #[arg(long, default_value_t = 2000)]
    seeds: u64,
    /// The seed of the first one.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Switch a guard off: epoch, entry-place, message-mark, tool-repeat, outbox-sweep, budget, approval.
    #[arg(long)]
    without: Option<Guard>,
    /// Print the whole history of one seed.
    #[arg(long)]
    show: Option<u64>,
    /// For each guard, the first seed that breaks a promise without it.
    #[arg(long)]
    guards: bool,
    /// With --guards: put these seeds into the table in ARCHITECTURE.md.
    #[arg(long, requires = "guards")]
    write: bool,
}

/// Where the table of guards is. Programs of this crate run in the workspace's root.
const DOCUMENT: &str = "ARCHITECTURE.md";

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(seed) = args.show {
        let report = run(seed, args.without);
        print(&report, usize::MAX);
        return if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if args.guards {
        return guards(&args);
    }
    let began = Instant::now();
    let summary = run_many(args.first..args.first + args.seeds, args.without, false);
    println!("{} worlds in {:.1} s: {}", summary.seeds, began.elapsed().as_secs_f32(), summary.counts);
    match summary.broken.first() {
        None => {
            println!("Every promise was kept.");
            ExitCode::SUCCESS
        }
        Some(report) => {
            print(report, 60);
            let seeds: Vec<String> = summary.broken.iter().take(20).map(|report| report.seed.to_string()).collect();
            println!("\n{} worlds broke a promise: seeds {} …", summary.broken.len(), seeds.join(", "));
            println!("The whole history of one: cargo xtask simulate --show SEED{}", without(args.without));
            ExitCode::FAILURE
        }
    }
}

fn guards(args: &Args) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let mut seeds = Vec::new();
    for guard in Guard::ALL {
        let summary = run_many(args.first..args.first + args.seeds, Some(guard), true);
        match summary.broken.first() {
            Some(report) => {
                println!("| `{guard}` | {} | {} |", report.seed, report.violations[0]);
                seeds.push((guard, report.seed));
            }
            None => {
                println!("| `{guard}` | none of {} | nothing was broken |", summary.seeds);
                code = ExitCode::FAILURE;
            }
        }
    }
    if args.write
        && let Err(error) = write(&seeds)
    {
        eprintln!("{DOCUMENT} was not changed: {error}");
        code = ExitCode::FAILURE;
    }
    code
}

/// Puts the seeds into the second column of the document's table. What happens without a guard stands there in words.
fn write(seeds: &[(Guard, u64)]) -> std::io::Result<()> {
    let text = std::fs::read_to_string(DOCUMENT)?;
    let line = |line: &str| {
        let found = seeds.iter().find(|(guard, _)| line.starts_with(&format!("| `{guard}` | ")));
        let words = line.splitn(4, '|').nth(3);
        match (found, words) {
            (Some((guard, seed)), Some(words)) => format!("| `{guard}` | {seed} |{words}\n"),
            _ => format!("{line}\n"),
        }
    };
    std::fs::write(DOCUMENT, text.lines().map(line).collect::<String>())
}

fn without(guard: Option<Guard>) -> String {
    guard.map(|guard| format!(" --without {guard}")).unwrap_or_default()
}

fn print(report: &Report, lines: usize) {
    println!("seed {}:", report.seed);
    let skipped = report.history.len().saturating_sub(lines);
    if skipped > 0 {
        println!("(the first {skipped} lines are left out)");
    }
    for line in &report.history[skipped..] {
        println!("{line}");
    }
    for violation in &report.violations {
        println!("BROKEN: {violation}");
    }
}
