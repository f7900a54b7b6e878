//! `ngIRCd`, an IRC server that closes the connection of who sends a line of more than 512 bytes.

use std::fs;
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::{Process, free_port, tools};

/// How long a person waits for a line.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running network of one server.
pub struct Ngircd {
    pub port: u16,
    password: Option<String>,
    _process: Process,
}

impl Ngircd {
    /// Starts a server that asks everybody for `password`, if there is one.
    ///
    /// # Panics
    ///
    /// The program is not installed, or does not start.
    pub async fn start(password: Option<&str>) -> Ngircd {
        let root = tools().join("debian");
        let program = root.join("usr/sbin/ngircd");
        assert!(
            program.exists(),
            "ngIRCd is not installed: run `cargo xtask tools` on Debian or Ubuntu, or the tests by `cargo xtask test`"
        );
        let dir = tempfile::tempdir().expect("a directory for the server");
        let port = free_port();
        let password_line = password.map(|password| format!("Password = {password}\n")).unwrap_or_default();
        let config = format!(
            "[Global]\nName = irc.test.example\nInfo = a test's\nListen = 127.0.0.1\nPorts = {port}\nMotdPhrase = Welcome\n\
             AdminInfo1 = a test\nAdminEMail = admin@test.example\n{password_line}\
             [Limits]\nMaxConnections = 0\nMaxConnectionsIP = 0\nMaxNickLength = 16\nMaxPenaltyTime = 0\n\
             [Options]\nDNS = no\nIdent = no\nPAM = no\n"
        );
        fs::write(dir.path().join("ngircd.conf"), config).expect("the server's settings");
        let mut command = Command::new(program);
        command.args(["--nodaemon", "--config", "ngircd.conf"]);
        let libraries = fs::read_dir(root.join("usr/lib")).expect("the server's libraries");
        let libraries: Vec<_> = libraries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries).expect("a path without colons"));
        let mut process = Process::start(command, dir);
        process.wait_until(|| async { TcpStream::connect(("127.0.0.1", port)).await.is_ok() }).await;
        Ngircd { port, password: password.map(str::to_owned), _process: process }
    }

    /// Connects somebody, and waits until the server has let them in.
    pub async fn person(&self, nick: &str) -> IrcPerson {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("a connection to the server");
        let (reader, writer) = stream.into_split();
        let mut person = IrcPerson { lines: BufReader::new(reader).lines(), writer };
        if let Some(password) = &self.password {
            person.send(&format!("PASS {password}")).await;
        }
        person.send(&format!("NICK {nick}")).await;
        person.send(&format!("USER {nick} 0 * :{nick}")).await;
        person.wait_for(|line| line.contains(" 376 ") || line.contains(" 422 ")).await;
        person
    }
}

/// Somebody with a client that says what it is told.
pub struct IrcPerson {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl IrcPerson {
    /// Sends a line.
    pub async fn send(&mut self, line: &str) {
        self.writer.write_all(format!("{line}\r\n").as_bytes()).await.expect("the server takes the line");
    }

    /// Waits for a line that `is_it`; answers the server's `PING` meanwhile.
    pub async fn wait_for(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        loop {
            let line = timeout(PATIENCE, self.lines.next_line()).await.expect("what was waited for is said in time");
            let line = line.expect("a line").expect("the server keeps the connection");
            if let Some(token) = line.strip_prefix("PING ") {
                self.send(&format!("PONG {token}")).await;
            }
            if is_it(&line) {
                return line;
            }
        }
    }
}
