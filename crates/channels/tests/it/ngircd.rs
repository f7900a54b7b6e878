//! IRC bots on `ngIRCd`, which disconnects who writes lines of more than 512 bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use channels::SendError;
use channels::held::{Ended, Say};
use channels::irc::{self, Credentials, Dial, Settings};
use domain::{Address, ChatKind};
use peers::Ngircd;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::keeper::{Keeper, PATIENCE};

struct Running {
    task: JoinHandle<Ended>,
    stop: CancellationToken,
    says: mpsc::Sender<Say>,
}

fn settings(port: u16) -> Settings {
    Settings {
        server: "127.0.0.1".to_owned(),
        port,
        tls: false,
        nick: "heron".to_owned(),
        username: "lowtide".to_owned(),
        realname: "a bot".to_owned(),
        channels: vec!["#marsh".to_owned()],
    }
}

fn dial() -> Dial {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let roots = rustls::RootCertStore::empty();
    let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Dial::with_tls(Arc::new(tls), |_, address| address.ip().is_loopback())
}

fn connect(server: &Ngircd, credentials: Credentials, keeper: &Arc<Keeper>) -> Running {
    let (settings, keeper, stop) = (settings(server.port), keeper.clone(), CancellationToken::new());
    let (says, said) = mpsc::channel(16);
    let token = stop.clone();
    let run = async move { irc::run(&settings, &credentials, &dial(), &*keeper, said, token).await };
    Running { task: tokio::spawn(run), stop, says }
}

impl Running {
    async fn say(&self, chat: &str, text: &str) -> Result<String, SendError> {
        let to = Address { kind: ChatKind::Group, chat: chat.to_owned(), thread: None, reply_to: None };
        let (sent, told) = oneshot::channel();
        self.says.send(Say { to, text: text.to_owned(), sent }).await.unwrap();
        tokio::time::timeout(PATIENCE, told).await.unwrap().unwrap()
    }

    async fn stop(self) {
        self.stop.cancel();
        assert_eq!(tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap(), Ended::Stopped);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_and_a_bot_talk_on_a_real_server() {
    let server = Ngircd::start(None).await;
    let mut ada = server.person("ada").await;
    ada.send("JOIN #marsh").await;
    let keeper = Arc::new(Keeper::default());
    let running = connect(&server, Credentials::default(), &keeper);
    ada.wait_for(|line| line.starts_with(":heron!") && line.contains(" JOIN ")).await;

    ada.send("PRIVMSG #marsh :nice weather").await;
    ada.send("PRIVMSG #marsh :heron: what about it?").await;
    let asked = keeper.heard("what about it?").await;
    assert_eq!((asked.address.kind, asked.address.chat.as_str(), asked.mentioned), (ChatKind::Group, "#marsh", true));
    assert!(asked.sender.id.starts_with("ada!"), "{:?}", asked.sender);
    assert!(!keeper.heard("nice weather").await.mentioned);
    running.say("#marsh", "it rains").await.unwrap();
    ada.wait_for(|line| line.starts_with(":heron!") && line.ends_with(" PRIVMSG #marsh :it rains")).await;

    ada.send("PRIVMSG heron :between us").await;
    let direct = keeper.heard("between us").await;
    assert_eq!((direct.address.kind, direct.address.chat.as_str()), (ChatKind::Direct, "ada"));
    running.say(&direct.address.chat, "yes").await.unwrap();
    ada.wait_for(|line| line.ends_with(" PRIVMSG ada :yes")).await;

    ada.send("PRIVMSG heron :\u{1}VERSION\u{1}").await;
    ada.wait_for(|line| line.contains(" NOTICE ada :\u{1}VERSION Lowtide")).await;

    // Somebody who is not there.
    let gone = running.say("nobody", "hello?").await;
    assert!(matches!(gone, Err(SendError::Unreachable(_))), "{gone:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_text_arrives_whole_and_no_faster_than_the_network_bears() {
    let server = Ngircd::start(None).await;
    let mut ada = server.person("ada").await;
    ada.send("JOIN #marsh").await;
    let keeper = Arc::new(Keeper::default());
    let running = connect(&server, Credentials::default(), &keeper);
    ada.wait_for(|line| line.starts_with(":heron!") && line.contains(" JOIN ")).await;

    let text = "Höhlen 漢字 reeds ".repeat(120);
    let start = Instant::now();
    let (sent, read) = tokio::join!(running.say("#marsh", text.trim()), async {
        let mut read = String::new();
        while read.len() < text.replace(' ', "").len() {
            let line = ada.wait_for(|line| line.starts_with(":heron!") && line.contains("PRIVMSG")).await;
            assert!(line.len() + "\r\n".len() <= 512, "{}", line.len());
            read.push_str(&line.split_once(" :").unwrap().1.replace(' ', ""));
        }
        read
    });
    sent.unwrap();
    assert_eq!(read, text.replace(' ', ""));
    assert!(start.elapsed() >= Duration::from_secs(2), "more than four lines in {:?}", start.elapsed());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_nick_is_worked_round_and_got_back() {
    let server = Ngircd::start(None).await;
    let mut squatter = server.person("heron").await;
    let keeper = Arc::new(Keeper::default());
    let running = connect(&server, Credentials::default(), &keeper);
    keeper.connected(1).await;
    squatter.send("JOIN #marsh").await;
    squatter.send("PRIVMSG heron_ :are you there?").await;
    keeper.heard("are you there?").await;
    // The bot sees its nick become free in the channel that both are in.
    let mut ada = server.person("ada").await;
    ada.send("JOIN #marsh").await;
    ada.wait_for(|line| line.contains(" 353 ") && line.contains("heron_")).await;
    squatter.send("QUIT").await;
    ada.wait_for(|line| line.starts_with(":heron_!") && line.contains(" NICK :heron")).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_tried_once_and_what_cannot_work_is_told() {
    let server = Ngircd::start(Some("marsh")).await;
    let keeper = Arc::new(Keeper::default());
    let with = |password: &str| Credentials { server_password: Some(password.to_owned()), ..Credentials::default() };
    let running = connect(&server, with("wrong"), &keeper);
    let ended = tokio::time::timeout(PATIENCE, running.task).await.unwrap().unwrap();
    assert!(matches!(ended, Ended::Unauthorised(_)), "{ended:?}");

    assert_eq!(irc::check(&settings(server.port), &with("marsh"), &dial()).await, Ok(()));
    let refused = irc::check(&settings(server.port), &with("wrong"), &dial()).await;
    assert!(matches!(refused, Err(Ended::Unauthorised(_))), "{refused:?}");

    let sasl = Credentials { sasl: Some(("heron".to_owned(), "x".to_owned())), ..with("marsh") };
    let no_sasl = irc::check(&settings(server.port), &sasl, &dial()).await;
    assert!(matches!(&no_sasl, Err(Ended::Misconfigured(why)) if why.contains("SASL")), "{no_sasl:?}");
    let guarded = Dial::new(|_, _| false).unwrap();
    let not_allowed = irc::check(&settings(server.port), &with("marsh"), &guarded).await;
    assert!(matches!(&not_allowed, Err(Ended::Misconfigured(why)) if why.contains("may not call")), "{not_allowed:?}");
}

#[tokio::test]
async fn a_port_without_tls_is_told() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let plain = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b":irc.test.example NOTICE * :*** Looking up your hostname\r\n").await.unwrap();
        stream
    };
    let settings = Settings { tls: true, ..settings(port) };
    let credentials = Credentials::default();
    let dial = dial();
    let (checked, _stream) = tokio::join!(irc::check(&settings, &credentials, &dial), plain);
    assert!(matches!(&checked, Err(Ended::Misconfigured(why)) if why.contains("does not speak TLS")), "{checked:?}");
}

/// The one gap of IRC: a network keeps nothing for who is away.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_while_the_bot_is_away_is_lost_and_nothing_else() {
    let server = Ngircd::start(None).await;
    let mut ada = server.person("ada").await;
    ada.send("JOIN #marsh").await;
    let keeper = Arc::new(Keeper::default());
    for round in 0..3 {
        let running = connect(&server, Credentials::default(), &keeper);
        ada.wait_for(|line| line.starts_with(":heron!") && line.contains(" JOIN ")).await;
        for number in 0..20 {
            ada.send(&format!("PRIVMSG #marsh :{round}.{number}")).await;
        }
        keeper.heard(&format!("{round}.19")).await;
        running.stop().await;
        ada.wait_for(|line| line.starts_with(":heron!") && line.contains(" QUIT ")).await;
        ada.send("PRIVMSG #marsh :nobody hears this").await;
    }
    let texts: Vec<String> = keeper.received().into_iter().map(|one| one.text).collect();
    let said: Vec<String> = (0..3).flat_map(|round| (0..20).map(move |number| format!("{round}.{number}"))).collect();
    assert_eq!(texts, said);
}
