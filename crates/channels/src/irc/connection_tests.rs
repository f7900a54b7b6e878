use std::sync::Mutex;

use domain::{Address, ChatKind};
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::SendError;
use crate::held::Fenced;

/// A holder that keeps what it is given.
#[derive(Default)]
struct Holder {
    texts: Mutex<Vec<String>>,
    connected: Mutex<u32>,
    is_fenced: bool,
}

impl Hold for Holder {
    fn accept(&self, received: Vec<Received>) -> BoxFuture<'_, Result<(), Fenced>> {
        self.texts.lock().unwrap().extend(received.into_iter().map(|received| received.text));
        Box::pin(async { if self.is_fenced { Err(Fenced) } else { Ok(()) } })
    }

    fn progress(&self, cursor: Value) {
        panic!("IRC has no cursor, but {cursor} was noted");
    }

    fn connected(&self) {
        *self.connected.lock().unwrap() += 1;
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_795_000_000)
    }
}

/// The server's end of a connection.
struct Server {
    reader: Lines<ReadHalf<DuplexStream>>,
    writer: WriteHalf<DuplexStream>,
}

impl Server {
    async fn heard(&mut self) -> String {
        self.reader.next().await.unwrap().unwrap_or_else(|| "(closed)".to_owned())
    }

    async fn say(&mut self, lines: &[&str]) {
        for line in lines {
            self.writer.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        }
    }

    /// Lets the bot in under `nick`, and hears how it comes.
    async fn let_in(&mut self, nick: &str) -> Vec<String> {
        for expected in ["CAP LS 302", "NICK heron", "USER lowtide 0 * :a bot"] {
            assert_eq!(self.heard().await, expected);
        }
        self.say(&["CAP * LS :multi-prefix"]).await;
        assert_eq!(self.heard().await, "CAP END");
        if nick != "heron" {
            self.say(&[":s 433 * heron :Nickname is already in use"]).await;
            assert_eq!(self.heard().await, format!("NICK {nick}"));
        }
        let welcome = format!(":s 001 {nick} :Welcome");
        self.say(&[&welcome, ":s 005 x CASEMAPPING=ascii CHANTYPES=# :are supported", ":s 376 x :End of MOTD"]).await;
        let mut came = Vec::new();
        loop {
            came.push(self.heard().await);
            if came.last().is_some_and(|line| line.starts_with("JOIN")) {
                return came;
            }
        }
    }
}

fn settings() -> Settings {
    Settings {
        server: "irc.example".to_owned(),
        port: 6697,
        tls: true,
        nick: "heron".to_owned(),
        username: "lowtide".to_owned(),
        realname: "a bot".to_owned(),
        channels: vec!["#marsh".to_owned(), "#reed".to_owned()],
    }
}

/// Runs a bot and its server until the server's part is done; returns how the bot's ended.
async fn with_server<F>(holder: &Holder, credentials: Credentials, part: F) -> Ended
where
    F: AsyncFnOnce(&mut Server, mpsc::Sender<Say>),
{
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let (reader, writer) = tokio::io::split(theirs);
    let mut server = Server { reader: Lines::new(reader), writer };
    let (says, said) = mpsc::channel(16);
    let settings = settings();
    let stop = CancellationToken::new();
    let bot = drive(ours, &settings, &credentials, holder, said, stop.clone());
    let server = async {
        part(&mut server, says).await;
        stop.cancel();
    };
    tokio::join!(bot, server).0
}

#[tokio::test(start_paused = true)]
async fn messages_come_in_and_each_ping_is_answered() {
    let holder = Holder::default();
    let ended = with_server(&holder, Credentials::default(), async |server, _says| {
        let came = server.let_in("heron").await;
        assert_eq!(came, ["USERHOST heron", "JOIN #marsh,#reed"]);
        server.say(&[":ada!a@h PRIVMSG heron :one", ":ada!a@h PRIVMSG #marsh :heron: two", "PING :x y"]).await;
        assert_eq!(server.heard().await, "PONG :x y");
        server.say(&[":ada!a@h NOTICE heron :do not answer", ":ada!a@h PRIVMSG heron :three", "ERROR :bye"]).await;
        assert_eq!(server.heard().await, "(closed)");
    });
    assert_eq!(ended.await, Ended::Lost("the server says: bye".to_owned()), "after what came before it");
    assert_eq!(*holder.texts.lock().unwrap(), ["one", "two", "three"]);
    assert_eq!(*holder.connected.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_is_split_by_the_mask_that_others_see_and_confirmed() {
    let holder = Holder::default();
    let mask = format!("heron!~lowtide@{}", "h".repeat(50));
    let ended = with_server(&holder, Credentials::default(), async |server, says| {
        server.let_in("heron").await;
        let joined = format!(":{mask} JOIN #marsh");
        server.say(&[&joined, "PING :joined"]).await;
        assert_eq!(server.heard().await, "PONG :joined");
        let to = Address { kind: ChatKind::Group, chat: "#marsh".to_owned(), thread: None, reply_to: None };
        let (sent, told) = oneshot::channel();
        let say = Say { to, text: "ü".repeat(500), sent };
        says.send(say).await.unwrap();
        let mut text = String::new();
        let token = loop {
            let line = server.heard().await;
            if let Some(token) = line.strip_prefix("PING ") {
                break token.to_owned();
            }
            assert!(format!(":{mask} {line}\r\n").len() <= 512, "{line}");
            text.push_str(line.strip_prefix("PRIVMSG #marsh :").unwrap());
        };
        assert_eq!(text, "ü".repeat(500));
        let pong = format!(":s PONG s {token}");
        server.say(&[&pong]).await;
        assert!(told.await.unwrap().is_ok());
    });
    assert_eq!(ended.await, Ended::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_taken_nick_is_asked_for_until_it_is_free() {
    let holder = Holder::default();
    let credentials = Credentials { nickserv: Some("pw".to_owned()), ..Credentials::default() };
    let ended = with_server(&holder, credentials, async |server, _says| {
        let came = server.let_in("heron_").await;
        assert_eq!(came[1..3], ["PRIVMSG NickServ :GHOST heron pw", "NICK heron"]);
        server.say(&[":s 433 heron_ heron :Nickname is already in use"]).await;
        let start = Instant::now();
        assert_eq!(server.heard().await, "NICK heron");
        assert!(start.elapsed() >= Duration::from_secs(50), "{:?}", start.elapsed());
        server.say(&[":heron!x@h QUIT :gone"]).await;
        assert_eq!(server.heard().await, "NICK heron");
        server.say(&[":heron_!l@h NICK :heron"]).await;
        assert_eq!(server.heard().await, "PRIVMSG NickServ :IDENTIFY pw");
        server.say(&[":ada!a@h PRIVMSG heron :hello"]).await;
    });
    assert_eq!(ended.await, Ended::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_kicked_bot_comes_back_once() {
    let holder = Holder::default();
    let ended = with_server(&holder, Credentials::default(), async |server, _says| {
        server.let_in("heron").await;
        let start = Instant::now();
        server.say(&[":ada!a@h KICK #marsh heron :shoo", ":ada!a@h KICK #marsh other :not me"]).await;
        assert_eq!(server.heard().await, "JOIN #marsh");
        assert_eq!(start.elapsed(), Duration::from_secs(30));
        server.say(&[":ada!a@h KICK #marsh heron :I said shoo"]).await;
        assert_eq!(server.heard().await, "PING :alive", "nothing else until the line goes quiet");
    });
    assert_eq!(ended.await, Ended::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_left() {
    let holder = Holder::default();
    let ended = with_server(&holder, Credentials::default(), async |server, _says| {
        server.let_in("heron").await;
        let start = Instant::now();
        assert_eq!(server.heard().await, "PING :alive");
        server.say(&[":s PONG s :alive"]).await;
        assert_eq!(server.heard().await, "PING :alive");
        assert_eq!(server.heard().await, "(closed)");
        assert_eq!(start.elapsed(), 2 * SILENCE + ANSWER);
    });
    assert_eq!(ended.await, Ended::Lost("the server is silent".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn clients_questions_are_answered_sparsely() {
    let holder = Holder::default();
    let ended = with_server(&holder, Credentials::default(), async |server, _says| {
        server.let_in("heron").await;
        let mut asked = vec![":ada!a@h PRIVMSG heron :\u{1}PING 123\u{1}"; 20];
        asked.push(":ada!a@h NOTICE heron :\u{1}VERSION x\u{1}");
        asked.push("PING :end");
        server.say(&asked).await;
        let mut answers = 0;
        loop {
            match server.heard().await.as_str() {
                "PONG :end" => {}
                "NOTICE ada :\u{1}PING 123\u{1}" => answers += 1,
                "PING :alive" => break,
                other => panic!("{other}"),
            }
        }
        assert_eq!(answers, 3);
    });
    assert_eq!(ended.await, Ended::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_fenced_bot_says_no_more_and_what_waited_is_told() {
    let holder = Holder { is_fenced: true, ..Holder::default() };
    let ended = with_server(&holder, Credentials::default(), async |server, says| {
        server.let_in("heron").await;
        let to = Address { kind: ChatKind::Direct, chat: "ada".to_owned(), thread: None, reply_to: None };
        let (sent, told) = oneshot::channel();
        says.send(Say { to, text: "hello".to_owned(), sent }).await.unwrap();
        assert_eq!(server.heard().await, "PRIVMSG ada :hello");
        server.say(&[":ada!a@h PRIVMSG heron :to another holder"]).await;
        assert!(matches!(told.await.unwrap(), Err(SendError::Temporary(_))));
    });
    assert_eq!(ended.await, Ended::Fenced);
}
