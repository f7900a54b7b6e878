//! The project's own commands: `cargo xtask COMMAND`. It depends on nothing, so it compiles in a second.

mod image;
mod steps;
mod tally;
mod tools;

use std::process::ExitCode;

use steps::Failure;

const HELP: &str = "\
Lowtide's own commands: cargo xtask COMMAND

  test [ARGS]      installs the tools, checks the template, runs `cargo test --workspace ARGS`
  template         checks template.yaml with cfn-lint and sam
  deny [CHECKS]    checks dependencies with cargo-deny: licenses, bans and sources if none are named
  bench NAME ARGS  runs the benchmark NAME on optimised code: turn, sessions, log, prompt, holder, schedules;
                   or dashboard: weight and times of its pages in Chromium
  dashboard        walks through the dashboard in Chromium; its pictures are in target/dashboard
  simulate ARGS    runs the turn engine in worlds that go wrong: --seeds N, --show SEED, --guards, --help
  image [PROFILE]  builds the holder's image with buildah on a base made by debootstrap, and asks its health check (as root)
  tools            only installs the tools, under target/tools
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<(), Failure> {
    let Some((command, rest)) = args.split_first() else {
        print!("{HELP}");
        return Ok(());
    };
    match command.as_str() {
        "test" => steps::test(rest),
        "template" => steps::template(),
        "deny" => steps::deny(rest),
        "bench" => steps::bench(rest),
        "dashboard" => steps::dashboard(),
        "simulate" => steps::simulate(rest),
        "image" => image::image(rest),
        "tools" => tools::install(),
        "help" | "-h" | "--help" => {
            print!("{HELP}");
            Ok(())
        }
        _ => {
            eprint!("{HELP}");
            Err(Failure::new(format!("there is no command `{command}`"), "see the list above"))
        }
    }
}
