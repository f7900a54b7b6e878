//! IRC keeps nothing. What a bot may miss while holders come and go is what is said while it is not there, or in the moment
//! before its connection ends; nothing else, and nothing is queued twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::{LinkId, Task};
use peers::Ngircd;
use queues::Queue;
use testkit::stack::Stack;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::SOON;
use super::storm::Storm;
use crate::dev_process::report;

const BOTS: usize = 6;

/// What is said so shortly before a connection ends may be lost with it: it was read, or not even that, and not yet queued.
const GAP: Duration = Duration::from_secs(2);

/// The channel as one sees it who is always there, in the server's order.
struct Witness {
    lines: mpsc::UnboundedReceiver<(Instant, String)>,
    /// Who is there.
    present: BTreeSet<String>,
    /// The texts that each bot, by its nick, was there for, and when they were said.
    heard: Vec<(String, String, Instant)>,
    /// When bots left.
    left: Vec<(String, Instant)>,
}

impl Witness {
    async fn enter(server: &Ngircd) -> Witness {
        let mut person = server.person("witness").await;
        person.send("JOIN #marsh").await;
        person.wait_for(|line| line.contains(" 366 ")).await;
        let (sender, lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let line = person.wait_for(|_| true).await;
                if sender.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        Witness { lines, present: BTreeSet::new(), heard: vec![], left: vec![] }
    }

    /// Takes in what has happened so far.
    fn look(&mut self) {
        while let Ok((at, line)) = self.lines.try_recv() {
            let mut words = line.splitn(4, ' ');
            let who = words.next().unwrap().trim_start_matches(':').split('!').next().unwrap().to_owned();
            match (words.next().unwrap_or_default(), words.next(), words.next()) {
                ("JOIN", ..) => {
                    self.present.insert(who);
                }
                ("QUIT" | "PART", ..) => {
                    self.present.remove(&who);
                    self.left.push((who, at));
                }
                ("NICK", Some(new), _) => {
                    self.present.remove(&who);
                    self.present.insert(new.trim_start_matches(':').to_owned());
                }
                ("PRIVMSG", Some(_), Some(text)) => {
                    let text = text.trim_start_matches(':');
                    self.heard.extend(self.present.iter().map(|bot| (bot_of(bot), text.to_owned(), at)));
                }
                _ => {}
            }
        }
    }

    async fn sees(&mut self, bots: usize) {
        let deadline = Instant::now() + SOON;
        while self.present.len() < bots {
            assert!(Instant::now() < deadline, "only {:?} are there", self.present);
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.look();
        }
    }
}

/// Which bot has a nick, be it the one that it has while its own is not free yet.
fn bot_of(nick: &str) -> String {
    nick.trim_end_matches('_').to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_network_does_not_keep_is_lost_while_holders_come_and_go() {
    let server = Ngircd::start(None).await;
    let mut stack = Stack::start_with_kms().await;
    stack.environment.settings.fetch_allow = vec![format!("127.0.0.1:{}", server.port)];
    let account = stack.account().await;
    let bot = stack.bot(account.id, "heron").await;
    let mut nicks: BTreeMap<LinkId, String> = BTreeMap::new();
    for n in 0..BOTS {
        let nick = format!("heron{n}");
        nicks.insert(stack.irc_link(&bot, server.port, &nick, "#marsh").await.id, nick);
    }
    let mut witness = Witness::enter(&server).await;
    let mut ada = server.person("ada").await;
    ada.send("JOIN #marsh").await;
    ada.wait_for(|line| line.contains(" 366 ")).await;

    let mut storm = Storm::new(&stack, 2);
    // Ada is there, too.
    witness.sees(BOTS + 1).await;
    let mut queued: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut said = 0;
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    storm.begin();
    while !storm.is_over() {
        ticks.tick().await;
        ada.send(&format!("PRIVMSG #marsh :message {said}")).await;
        said += 1;
        read_queue(&stack, &nicks, &mut queued).await;
        storm.blow(&stack).await;
        witness.look();
    }
    witness.sees(BOTS + 1).await;
    ada.send("PRIVMSG #marsh :the last one").await;
    let deadline = Instant::now() + SOON;
    while nicks.values().any(|nick| !queued.contains_key(&(nick.clone(), "the last one".to_owned()))) {
        assert!(Instant::now() < deadline, "a bot that is there hears nothing: {queued:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
        read_queue(&stack, &nicks, &mut queued).await;
    }
    witness.look();

    assert!(queued.values().all(|times| *times == 1), "nothing is queued twice: {queued:?}");
    let (mut heard, mut in_the_gap) = (0, 0);
    for (nick, text, at) in witness.heard.iter().filter(|(nick, ..)| nick != "ada") {
        if queued.contains_key(&(nick.clone(), text.clone())) {
            heard += 1;
            continue;
        }
        let left_soon = witness.left.iter().any(|(who, left)| bot_of(who) == *nick && at <= left && *left <= *at + GAP);
        assert!(left_soon, "{nick} was there for `{text}`, and stayed, and did not hear it");
        in_the_gap += 1;
    }
    report(&format!(
        "{said} messages in a channel of {BOTS} IRC bots: {heard} heard, {in_the_gap} lost with a connection's end, the \
         others said while a bot was away; {}",
        storm.told()
    ));
    assert!(heard > said, "most of it is heard: {heard}");
}

async fn read_queue(stack: &Stack, nicks: &BTreeMap<LinkId, String>, queued: &mut BTreeMap<(String, String), usize>) {
    for message in stack.take(Queue::Turns).await {
        let Ok(Task::Message(inbound)) = Task::from_body(&message.body) else { panic!("{}", message.body) };
        *queued.entry((nicks[&inbound.link].clone(), inbound.text)).or_default() += 1;
    }
}
