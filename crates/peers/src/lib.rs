//! Real servers of chat networks on loopback, ended when dropped, and real clients: what speaks with them agrees with
//! more than our own idea of the protocol. `cargo xtask tools` installs them under `target/tools`.
//!
//! Only tests depend on this crate, so it panics where a library would return an error.

mod discord;
mod ngircd;
mod oidc;
mod openai;
mod synapse;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub use discord::DiscordTwin;
pub use ngircd::{IrcPerson, Ngircd};
pub use oidc::OidcProvider;
pub use openai::OpenAiClient;
pub use synapse::{MatrixPerson, Synapse};

/// How long a server may take to start on a busy machine.
const START: Duration = Duration::from_secs(120);

/// How often a server that starts is tried.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// Where `cargo xtask tools` puts what it installs.
fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools")
}

/// A port on loopback that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback");
    listener.local_addr().expect("the listener's address").port()
}

/// A server's process with the directory that all its files are in.
struct Process {
    child: Child,
    dir: tempfile::TempDir,
}

impl Process {
    /// Starts a program whose output goes to a file.
    fn start(mut command: Command, dir: tempfile::TempDir) -> Process {
        let log = fs::File::create(dir.path().join("output.txt")).expect("a file for the server's output");
        let other = log.try_clone().expect("the same file again");
        let child = command.stdin(Stdio::null()).stdout(log).stderr(other).current_dir(dir.path()).spawn();
        Process { child: child.expect("the server's program starts"), dir }
    }

    /// Panics with what the server said if it has ended.
    fn assert_runs(&mut self) {
        if let Some(status) = self.child.try_wait().expect("the server's state") {
            let said = fs::read_to_string(self.dir.path().join("output.txt")).unwrap_or_default();
            panic!("the server ended at once ({status}): {said}");
        }
    }

    /// Waits until the server answers.
    async fn wait_until<F: Future<Output = bool>>(&mut self, answers: impl Fn() -> F) {
        let deadline = Instant::now() + START;
        while !answers().await {
            self.assert_runs();
            assert!(Instant::now() < deadline, "the server did not answer within {START:?}");
            tokio::time::sleep(TRY_EVERY).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended by itself is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
