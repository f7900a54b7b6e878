//! The holder: what Discord may do to its connections, and what may happen to holders, loses no message.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use domain::{Link, LinkStatus, MessageId, Task};
use futures::future::join_all;
use gateway_fargate::Holder;
use queues::Queue;
use runtime::Environment;
use store::PageRange;
use testkit::discord::{FakeDiscord, Options};
use testkit::stack::Stack;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::dev_process::report;
use crate::holder::storm::Storm;

mod irc;
mod matrix;
mod outage;
mod slack;
mod storm;

const SOON: Duration = Duration::from_secs(30);

/// A Discord, a deployment, and bots in it.
struct World {
    discord: FakeDiscord,
    stack: Stack,
    /// By token.
    links: Vec<(String, Link)>,
    said: Vec<MessageId>,
    /// How often each message was found in the queue.
    queued: HashMap<MessageId, usize>,
}

/// A holder in this process.
struct Here {
    holder: Holder,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Here {
    fn start(world: &World) -> Here {
        Here::start_in(world.stack.environment.clone())
    }

    fn start_in(environment: Environment) -> Here {
        let holder = Holder::new(environment);
        let stop = CancellationToken::new();
        let (held, stopped) = (holder.clone(), stop.clone());
        let task = tokio::spawn(async move { held.run(stopped).await });
        Here { holder, stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

impl World {
    async fn start(bots: usize, heartbeat: Duration) -> World {
        let discord = FakeDiscord::start(Options { heartbeat, tls: false });
        let mut stack = Stack::start_with_kms().await;
        stack.environment.settings.discord_api_base = discord.api_base();
        let account = stack.account().await;
        let bot = stack.bot(account.id, "heron").await;
        let tokens: Vec<String> = (0..bots).map(|n| format!("token-{n}")).collect();
        let links = join_all(tokens.iter().map(|token| stack.discord_link(&bot, token))).await;
        tokens.iter().for_each(|token| discord.add_bot(token));
        let links = tokens.into_iter().zip(links).collect();
        World { discord, stack, links, said: vec![], queued: HashMap::new() }
    }

    /// Somebody writes to the `n`-th bot. Whether Discord took it for the bot.
    fn say(&mut self, n: usize) -> bool {
        let (token, link) = &self.links[n];
        let Some(id) = self.discord.say(token, "70", "Hello") else { return false };
        self.said.push(MessageId::of(link.id, &format!("70:{id}")));
        true
    }

    /// Reads what the holders have queued so far.
    async fn read_queue(&mut self) {
        for message in self.stack.take(Queue::Turns).await {
            let Ok(Task::Message(inbound)) = Task::from_body(&message.body) else { panic!("{}", message.body) };
            *self.queued.entry(inbound.message).or_default() += 1;
        }
    }

    /// Waits until all that was said is in the queue, and checks that each was there once.
    async fn all_are_queued(&mut self) {
        let deadline = Instant::now() + SOON;
        loop {
            self.read_queue().await;
            let missing = self.said.iter().filter(|id| !self.queued.contains_key(*id)).count();
            if missing == 0 {
                break;
            }
            assert!(Instant::now() < deadline, "{missing} of {} messages are lost", self.said.len());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let said: HashSet<_> = self.said.iter().collect();
        assert!(self.queued.iter().all(|(id, times)| *times == 1 && said.contains(id)), "each is queued once");
    }

    async fn wait_for_link(&self, n: usize, what: &str, is_so: impl Fn(&Link) -> bool) -> Link {
        let link = &self.links[n].1;
        let deadline = Instant::now() + SOON;
        loop {
            let account = self.stack.environment.store.account(link.account);
            let now = account.link_get(link.bot, link.id).await.unwrap().unwrap();
            if is_so(&now) {
                return now;
            }
            assert!(Instant::now() < deadline, "the link is not {what}: {:?}", now.status);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_discord_does_to_a_connection_loses_nothing() {
    let mut world = World::start(5, Duration::from_secs(1)).await;
    let here = Here::start(&world);
    world.discord.wait_for_bots(5, SOON).await;
    type Order = fn(&FakeDiscord);
    let orders: [(&str, Order); 6] = [
        ("op 7", FakeDiscord::reconnect_all),
        ("op 9 of a session that can be resumed", |discord| discord.invalidate_all(true)),
        ("a close that can be resumed", |discord| discord.close_all(4000)),
        ("an end of the session that is told", |discord| discord.end_sessions(4009)),
        ("an end of the session that is not told", |discord| discord.end_sessions(4000)),
        ("a frame of 100 KB", |discord| discord.flood(100_000)),
    ];
    for (what, order) in orders {
        (0..5).for_each(|n| assert!(world.say(n), "{what}"));
        world.all_are_queued().await;
        order(&world.discord);
        world.discord.wait_for_bots(5, SOON).await;
        (0..5).for_each(|n| assert!(world.say(n), "{what}"));
        world.all_are_queued().await;
    }
    here.stop().await;
    let counts = world.discord.counts();
    assert_eq!(counts.violations, 0, "{counts:?}");
    assert_eq!(counts.refused_resumes, 5, "{counts:?}");
    assert_eq!(counts.identifies, 5 + 5 + 5, "only who could not resume identifies anew: {counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_works_where_no_address_for_interactions_is_set() {
    let world = World::start(1, Duration::from_secs(41)).await;
    let here = Here::start(&world);
    world.discord.wait_for_bots(1, SOON).await;
    assert!(world.discord.press(&world.links[0].0, "70", "/approve K7Q2X once"));
    let deadline = Instant::now() + SOON;
    while world.discord.answered() == 0 {
        assert!(Instant::now() < deadline, "Discord was not told that the press was seen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let [message] = world.stack.take(Queue::Turns).await.try_into().unwrap();
    let Ok(Task::Message(inbound)) = Task::from_body(&message.body) else { panic!("{}", message.body) };
    assert_eq!(inbound.text, "/approve K7Q2X once");
    here.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handover_resumes_and_loses_nothing() {
    let mut world = World::start(20, Duration::from_secs(2)).await;
    let first = Here::start(&world);
    world.discord.wait_for_bots(20, SOON).await;
    (0..20).for_each(|n| assert!(world.say(n)));
    first.stop().await;
    // Nobody is there: Discord keeps what is said.
    assert_eq!(world.discord.counts().connected, 0);
    (0..20).for_each(|n| assert!(world.say(n)));
    let second = Here::start(&world);
    world.all_are_queued().await;
    let counts = world.discord.counts();
    assert_eq!((counts.identifies, counts.resumes, counts.refused_resumes), (20, 20, 0));
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn holders_share_the_links_evenly() {
    let world = World::start(40, Duration::from_secs(2)).await;
    let first = Here::start(&world);
    world.discord.wait_for_bots(40, SOON).await;
    let second = Here::start(&world);
    let deadline = Instant::now() + SOON;
    let connected = |here: &Here| here.holder.metrics().links(gateway_fargate::LinkState::Connected);
    while connected(&first) == 40 || connected(&first) + connected(&second) != 40 {
        assert!(Instant::now() < deadline, "{} and {}", connected(&first), connected(&second));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let counts = world.discord.counts();
    assert_eq!((counts.identifies, counts.refused_resumes), (40, 0), "who moves resumes");
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_to_links_take_effect_and_a_refused_token_is_tried_once() {
    let world = World::start(2, Duration::from_secs(2)).await;
    let here = Here::start(&world);
    world.discord.wait_for_bots(2, SOON).await;
    // Paused: its connection ends. Resumed: it comes back.
    let mut link = world.links[0].1.clone();
    let account = world.stack.environment.store.account(link.account);
    let mut took = Vec::new();
    for status in [LinkStatus::Paused, LinkStatus::Active].into_iter().cycle().take(6) {
        let connected = if status == LinkStatus::Active { 2 } else { 1 };
        (link.status, link.version) = (status, link.version + 1);
        account.link_update(link.version - 1, &link).await.unwrap();
        let changed = Instant::now();
        world.discord.wait_for_bots(connected, SOON).await;
        took.push(changed.elapsed());
    }
    took.sort_unstable();
    let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
    report(&format!(
        "a changed link takes effect within {} ms, at most {} ms",
        median.as_millis(),
        longest.as_millis()
    ));
    // It is two seconds where nothing else runs; tests share their processors.
    assert!(median < Duration::from_secs(5), "{took:?}");
    // Revoked: its owner is told, and nothing more is tried.
    world.discord.revoke("token-1");
    world.wait_for_link(1, "failed", |link| matches!(link.status, LinkStatus::Failed { .. })).await;
    let notices = account.notice_page(&PageRange::default(), world.stack.environment.clock.now()).await.unwrap().items;
    assert!(notices.iter().any(|notice| notice.text.contains("refuses the bot's token")), "{notices:?}");
    // Deleted: its connection ends.
    account.link_delete(&link).await.unwrap();
    world.discord.wait_for_bots(0, SOON).await;
    here.stop().await;
}

impl World {
    /// Waits until every session could be resumed by another holder.
    async fn all_have_cursors(&self) {
        let store = &self.stack.environment.store;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let mut links = 0;
            for slot in store::slots() {
                let held = store.held_links(slot).await.unwrap();
                links += held.iter().filter(|link| link.cursor.is_some()).count();
            }
            if links == self.links.len() {
                return;
            }
            assert!(Instant::now() < deadline, "only {links} sessions can be resumed");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_an_owner_can_change_is_tried_once() {
    for (code, said) in [
        (4010, "need shards"),
        (4011, "need shards"),
        (4012, "refuses the connection for good"),
        (4013, "Message Content Intent"),
        (4014, "Message Content Intent"),
    ] {
        let world = World::start(1, Duration::from_secs(2)).await;
        let here = Here::start(&world);
        world.discord.wait_for_bots(1, SOON).await;
        let before = world.discord.counts();
        world.discord.close_all(code);
        let failed = world.wait_for_link(0, "failed", |link| !link.is_active()).await;
        assert!(matches!(&failed.status, LinkStatus::Failed { reason } if reason.contains(said)), "{failed:?}");
        here.stop().await;
        let after = world.discord.counts();
        assert_eq!((after.identifies, after.resumes), (before.identifies, before.resumes), "{code}");
    }
}

/// Holders are killed, terminated and added at random while people write.
#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_lost_while_holders_come_and_go() {
    const BOTS: usize = 500;
    let mut world = World::start(BOTS, Duration::from_secs(10)).await;
    let mut storm = Storm::new(&world.stack, 3);
    world.discord.wait_for_bots(BOTS, Duration::from_secs(120)).await;
    // Until its first cursor is stored, a session is lost with its holder, or with its slot's moving on: while holders start,
    // some bots may identify twice.
    world.all_have_cursors().await;
    let identified = world.discord.counts().identifies;

    let mut random = fastrand::Rng::with_seed(7);
    storm.begin();
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    while !storm.is_over() {
        ticks.tick().await;
        assert!(world.say(random.usize(..BOTS)), "a bot has no session any more");
        world.read_queue().await;
        storm.blow(&world.stack).await;
    }
    world.discord.wait_for_bots(BOTS, Duration::from_secs(60)).await;
    world.all_are_queued().await;
    let counts = world.discord.counts();
    report(&format!(
        "{} messages to {BOTS} bots, each queued once; {}; {} IDENTIFYs, {} RESUMEs, {} of them refused",
        world.said.len(),
        storm.told(),
        counts.identifies,
        counts.resumes + counts.refused_resumes,
        counts.refused_resumes
    ));
    assert_eq!(counts.identifies, identified + counts.refused_resumes, "{counts:?}");
}
