//! What each command does, as a sequence of programs that are run; the first that fails ends it.

use std::{
    env, fmt,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{tally::Tally, tools};

/// A step that failed, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    step: String,
    advice: String,
}

impl Failure {
    pub(crate) fn new(step: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { step: step.into(), advice: advice.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nxtask: what to do: {}", self.step, self.advice)
    }
}

/// The README's test command.
pub(crate) fn test(args: &[String]) -> Result<(), Failure> {
    tools::install()?;
    template()?;

    let mut command = cargo();
    command.args(["test", "--workspace"]).args(args);
    let tally = run_tests(&mut command)?;
    if tally.passed == 0 && args.is_empty() {
        return Err(Failure::new("no test ran", "see whether the workspace's members still have tests"));
    }
    println!("\n{tally}");
    Ok(())
}

/// Checks `template.yaml` the two ways there are without an AWS account.
pub(crate) fn template() -> Result<(), Failure> {
    tools::install_python()?;
    run(python_tool("cfn-lint").arg("template.yaml"), "correct what cfn-lint reports in template.yaml")?;
    run(
        python_tool("sam").args(["validate", "--lint", "--template", "template.yaml"]),
        "correct what sam reports in template.yaml",
    )
}

/// Runs cargo-deny; the checks that need no network unless others are named.
pub(crate) fn deny(checks: &[String]) -> Result<(), Failure> {
    tools::install_python()?;
    let mut command = python_tool("cargo-deny");
    command.args(["--locked", "check", "--hide-inclusion-graph"]);
    if checks.is_empty() {
        command.args(["licenses", "bans", "sources"]);
    } else {
        command.args(checks);
    }
    run(&mut command, "replace the crate, or allow it in deny.toml with a reason")
}

/// Runs one benchmark of `tests/`, on optimised code that is quick to link.
pub(crate) fn bench(args: &[String]) -> Result<(), Failure> {
    if args.is_empty() {
        return Err(Failure::new("`bench` wants the name of a benchmark", "for example `cargo xtask bench turn`"));
    }
    if args[0] == "dashboard" {
        return in_browser("measure.mjs", "see the message above");
    }
    let mut bench = optimised("bench");
    if args[0] == "holder" {
        bench.env("LOWTIDE_TWILIGHT", twilight()?);
    }
    run(bench.args(args), "see the benchmark's message above")
}

/// Builds the program that holds bots with twilight, and says where it is.
fn twilight() -> Result<PathBuf, Failure> {
    let target = root().join("target/twilight");
    let mut command = cargo();
    command.args(["build", "--release", "--locked", "--manifest-path", "tests/twilight/Cargo.toml", "--target-dir"]);
    run(command.arg(&target), "it needs to reach crates.io once")?;
    Ok(target.join("release/twilight-holder"))
}

/// Walks through the dashboard of `lowtide dev` in a real browser.
pub(crate) fn dashboard() -> Result<(), Failure> {
    in_browser(
        "walk.mjs",
        "the step after the last `ok` above failed; the pictures in target/dashboard show the pages before it",
    )
}

/// Runs a script of `tests/dashboard` on `lowtide dev` and a real browser.
fn in_browser(script: &str, advice: &str) -> Result<(), Failure> {
    let browser = tools::install_browser()?;
    // With the features that all members ask for together, as the tests are built: so it is not built twice.
    run(cargo().args(["build", "--workspace", "--bin", "lowtide"]), "correct what the compiler reports")?;
    let beside = env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("lowtide")));
    let lowtide = beside.unwrap_or_else(|| root().join("target/debug/lowtide"));
    run(
        Command::new("node")
            .arg(format!("tests/dashboard/{script}"))
            .env("LOWTIDE_BIN", lowtide)
            .env("LOWTIDE_TOOLS", browser.packages)
            .env("LOWTIDE_PICTURES", root().join("target/dashboard"))
            .env("CHROMIUM", browser.program),
        advice,
    )
}

/// Runs worlds of the simulation of `tests/`.
pub(crate) fn simulate(args: &[String]) -> Result<(), Failure> {
    run(optimised("simulate").args(args), "a promise was broken: the history above says how")
}

/// A program of `tests/`, on optimised code that is quick to link.
fn optimised(program: &str) -> Command {
    let mut command = cargo();
    command.args(["run", "--profile", "bench-quick"]);
    command.args(["--package", "lowtide-tests", "--bin", program, "--"]);
    command
}

/// Runs a program from the workspace's root and shows what it prints.
pub(crate) fn run(command: &mut Command, advice: &str) -> Result<(), Failure> {
    run_in(&root(), command, advice)
}

/// Like [`run`], from another directory.
pub(crate) fn run_in(dir: &Path, command: &mut Command, advice: &str) -> Result<(), Failure> {
    announce(command);
    match command.current_dir(dir).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("`{}` failed ({status})", line(command)), advice)),
        Err(error) => Err(unstartable(command, &error)),
    }
}

/// What a program prints, without the line's end.
pub(crate) fn stdout(command: &mut Command) -> Result<String, Failure> {
    announce(command);
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| unstartable(command, &error))?;
    if !output.status.success() {
        return Err(Failure::new(format!("`{}` failed ({})", line(command), output.status), "see the message above"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Like [`run`], and counts the results of the test programs, for which cargo gives no total.
fn run_tests(command: &mut Command) -> Result<Tally, Failure> {
    announce(command);
    let mut child =
        command.current_dir(root()).stdout(Stdio::piped()).spawn().map_err(|error| unstartable(command, &error))?;

    let mut tally = Tally::default();
    if let Some(stdout) = child.stdout.take() {
        // Lines are split by hand: a test may print bytes that are not UTF-8.
        for bytes in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&bytes);
            tally.read(&text);
            println!("{text}");
        }
    }
    let status = child.wait().map_err(|error| unstartable(command, &error))?;
    if status.success() {
        return Ok(tally);
    }
    println!("\n{tally}");
    Err(Failure::new(
        format!("`{}` failed ({status})", line(command)),
        "see the first failure above; `cargo xtask test NAME` runs only the tests whose name contains NAME",
    ))
}

/// The cargo that runs this program.
fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn python_tool(name: &str) -> Command {
    let mut command = Command::new(tools::python_bin(name));
    // `sam validate` asks for a region and contacts none.
    command.env("AWS_DEFAULT_REGION", "us-east-1");
    command.env("SAM_CLI_TELEMETRY", "0");
    command
}

/// The workspace's root directory.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

fn announce(command: &Command) {
    println!("$ {}", line(command));
    // Else it would follow the program's own output when ours goes to a pipe.
    let _ = std::io::stdout().flush();
}

/// The command as one would type it, with paths below the root shortened.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.strip_prefix(root()).unwrap_or(program);
    let program = if program.is_absolute() { program.file_name().map_or(program, Path::new) } else { program };
    let words = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(program.display().to_string()).chain(words).collect::<Vec<_>>().join(" ")
}

fn unstartable(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(
        format!("`{}` did not start: {error}", line(command)),
        "install that program, or remove target/tools and try again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new(root().join("target/tools/py/bin/sam"));
        command.args(["validate", "--lint"]);
        assert_eq!(line(&command), "target/tools/py/bin/sam validate --lint");
        assert_eq!(line(Command::new("/usr/bin/cargo").arg("test")), "cargo test");
    }

    #[test]
    fn a_failure_says_what_to_do() {
        let failure = bench(&[]).unwrap_err().to_string();
        assert!(failure.contains("cargo xtask bench turn"), "{failure}");
    }
}
