//! Builds the holder's image and looks whether it lives, on a Debian without a container registry.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread::sleep,
    time::Duration,
};

use crate::steps::{Failure, root, run, stdout};

/// What the image stands on in the end, and what its program is built in.
const BASE: (&str, &[&str]) = ("lowtide-base", &["ca-certificates"]);
const BUILD: (&str, &[&str]) = ("lowtide-build", &["ca-certificates", "gcc", "libc6-dev"]);
/// Where the stage that compiles finds what is lent to it.
const LENT: &[&str] = &["PATH=/rust/bin:/usr/bin:/bin", "CARGO_HOME=/cargo", "CARGO_TARGET_DIR=/target"];
const SUITE: &str = "bookworm";
const IMAGE: &str = "lowtide-holder";

/// How long the holder may take until it answers, in steps of 200 ms.
const ATTEMPTS: u32 = 50;

/// `StopTimeout` of the template.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// `cargo xtask image [PROFILE]`: needs root, and Debian's buildah and debootstrap.
pub(crate) fn image(args: &[String]) -> Result<(), Failure> {
    let profile = args.first().map_or("release", String::as_str);
    base(BASE.0, BASE.1, &[])?;
    base(BUILD.0, BUILD.1, LENT)?;
    build(profile)?;
    let container = stdout(&mut buildah(&["from", IMAGE]))?;
    let lives = lives(&container);
    run(&mut buildah(&["rm", &container]), "the container is left behind")?;
    lives
}

fn buildah(args: &[&str]) -> Command {
    let mut command = Command::new("buildah");
    // Neither wants anything of the kernel that a container in CI does not have.
    command.env("BUILDAH_ISOLATION", "chroot").env("STORAGE_DRIVER", "vfs").args(args);
    command
}

/// Makes a base image of Debian's packages, once.
fn base(name: &str, packages: &[&str], variables: &[&str]) -> Result<(), Failure> {
    const ADVICE: &str = "run as root, with Debian's packages buildah and debootstrap";
    if buildah(&["inspect", "--type", "image", name]).output().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    let dir = root().join("target/image").join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir)
        .map_err(|error| Failure::new(format!("cannot make {}: {error}", dir.display()), ADVICE))?;
    let include = format!("--include={}", packages.join(","));
    run(Command::new("debootstrap").args(["--variant=minbase", &include, SUITE]).arg(&dir), ADVICE)?;
    let container = stdout(&mut buildah(&["from", "scratch"]))?;
    run(buildah(&["add", "--quiet", &container]).arg(&dir).arg("/"), ADVICE)?;
    for variable in variables {
        run(&mut buildah(&["config", "--env", variable, &container]), ADVICE)?;
    }
    run(&mut buildah(&["commit", "--quiet", &container, name]), ADVICE)?;
    run(&mut buildah(&["rm", &container]), ADVICE)?;
    let _ = fs::remove_dir_all(&dir);
    Ok(())
}

/// Builds the image as the Dockerfile says, with this machine's Rust lent to the stage that compiles.
fn build(profile: &str) -> Result<(), Failure> {
    let sysroot = stdout(Command::new("rustc").args(["--print", "sysroot"]))?;
    let cargo_home = env::var_os("CARGO_HOME")
        .map_or_else(|| PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo"), PathBuf::from);
    let target = root().join("target/image/target");
    fs::create_dir_all(&target)
        .map_err(|error| Failure::new(format!("cannot make {}: {error}", target.display()), "see the message"))?;
    let lend = |from: &Path, to: &str| format!("--volume={}:{to}", from.display());
    let mut command = buildah(&["bud", "--file", "gateway-fargate/Dockerfile", "--tag", IMAGE]);
    command
        .arg(lend(Path::new(&sysroot), "/rust:ro"))
        .arg(lend(&cargo_home, "/cargo:rw"))
        .arg(lend(&target, "/target:rw"))
        .args(["--build-arg", &format!("BUILD_IMAGE=localhost/{}", BUILD.0)])
        .args(["--build-arg", &format!("BASE_IMAGE=localhost/{}", BASE.0)])
        .args(["--build-arg", &format!("PROFILE={profile}")])
        .args([
            "--env",
            "PATH=/rust/bin:/usr/bin:/bin",
            "--env",
            "CARGO_HOME=/cargo",
            "--env",
            "CARGO_TARGET_DIR=/target",
        ])
        .arg(".");
    run(&mut command, "see the message above")
}

/// The variables that `template.yaml` gives the holder, with values that lead nowhere: nobody listens there, and a holder that
/// cannot reach its stores starts all the same. One that the template forgets keeps it from starting.
fn variables() -> Result<Vec<String>, Failure> {
    let path = root().join("template.yaml");
    let template = fs::read_to_string(&path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display()), "see the message"))?;
    let containers = template.split_once("ContainerDefinitions:").map(|(_, rest)| rest).unwrap_or_default();
    let names = containers.lines().take_while(|line| !line.contains("LogConfiguration:")).filter_map(|line| {
        let (_, name) = line.split_once("Name: LOWTIDE_")?;
        name.split([',', ' ']).next()
    });
    let value = |name: &str| if name == "LOG" { "info" } else { "http://127.0.0.1:9/nowhere" };
    let mut variables: Vec<String> = names.map(|name| format!("LOWTIDE_{name}={}", value(name))).collect();
    if variables.is_empty() {
        return Err(Failure::new("template.yaml gives the holder no variables", "look at HolderTask"));
    }
    let here = [
        "AWS_REGION=us-east-1",
        "AWS_ACCESS_KEY_ID=none",
        "AWS_SECRET_ACCESS_KEY=none",
        "AWS_ENDPOINT_URL=http://127.0.0.1:9",
        "LOWTIDE_HEALTH_LISTEN=127.0.0.1:18080",
    ];
    variables.extend(here.map(str::to_owned));
    Ok(variables)
}

/// Runs a program in the file system "$0", which it cannot write, as the image's user. Each step takes the place of the one before, so
/// that the process that is started is the program.
const READ_ONLY: &str = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" \
    && exec chroot --userspec=65532:65532 \"$0\" \"$@\"";

/// Starts the holder as the template does, but for where its stores are: as a user with no rights, over a file system that is
/// read-only. Asks its health check, and ends it.
fn lives(container: &str) -> Result<(), Failure> {
    let variables = variables()?;
    let mounted = stdout(&mut buildah(&["mount", container]))?;
    let inside = |program: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", READ_ONLY, &mounted]).args(program);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.envs(variables.iter().filter_map(|variable| variable.split_once('=')));
        command
    };
    let mut holder = inside(&["/gateway-fargate"])
        .spawn()
        .map_err(|error| Failure::new(format!("unshare does not start: {error}"), "install util-linux"))?;
    let mut is_healthy = false;
    for _ in 0..ATTEMPTS {
        if holder.try_wait().is_ok_and(|ended| ended.is_some()) {
            break;
        }
        is_healthy = inside(&["/gateway-fargate", "--health"]).output().is_ok_and(|output| output.status.success());
        if is_healthy {
            break;
        }
        sleep(Duration::from_millis(200));
    }
    let ended = is_healthy && ends(&mut holder);
    // Whatever has happened, nothing is left running.
    let _ = holder.kill();
    let _ = holder.wait();
    if !is_healthy {
        return Err(Failure::new("the holder of the image does not answer its health check", "see its messages above"));
    }
    if !ended {
        return Err(Failure::new("the holder of the image does not end in order on SIGTERM", "see its messages above"));
    }
    println!(
        "The image {IMAGE} is built; its holder runs as user 65532 over a read-only file system, its health check answers, \
         and it ends on SIGTERM."
    );
    Ok(())
}

/// Whether the holder ends in order once it is told to, in the time that Fargate gives it.
fn ends(holder: &mut Child) -> bool {
    let told = Command::new("kill").args(["-TERM", &holder.id().to_string()]).status();
    if !told.is_ok_and(|told| told.success()) {
        return false;
    }
    for _ in 0..STOP_TIMEOUT.as_millis() / 200 {
        match holder.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => sleep(Duration::from_millis(200)),
            Err(_) => return false,
        }
    }
    false
}
