//! Discord's gateway, strict: sessions that can be resumed, their events kept only as long as the bot has not acknowledged
//! them, and every rule that a bot may break ends its connection as Discord would.
//!
//! <https://discord.com/developers/docs/events/gateway>

mod server;
mod tls;

pub use tls::Certificate;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::lock;

/// What the bots of a chat need: messages of guilds and direct chats, and what they say.
const INTENTS: u64 = 37_376;

/// What the fake counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub identifies: u64,
    pub resumes: u64,
    /// `RESUME`s that were answered with an invalid session.
    pub refused_resumes: u64,
    /// Bots with an open connection and a session.
    pub connected: usize,
    /// Heartbeats that came.
    pub beats: u64,
    /// Frames that left for bots.
    pub frames: u64,
    /// `IDENTIFY`s within five seconds of the bot's last, which were answered with an invalid session.
    pub hurried_identifies: u64,
    /// Bots that broke the protocol, and how often.
    pub violations: u64,
}

/// What is sent to a connection.
enum Order {
    Frame(Arc<str>),
    Close(u16),
}

#[derive(Default)]
struct Bot {
    id: String,
    session: Option<Session>,
    identifies: u64,
    identified_at: Option<Instant>,
}

struct Session {
    id: String,
    sequence: u64,
    /// Events that the bot has not acknowledged by a heartbeat or a `RESUME`.
    kept: VecDeque<(u64, Arc<str>)>,
    /// The connection that it is open on, with its number.
    live: Option<(u64, mpsc::UnboundedSender<Order>)>,
}

impl Session {
    fn event(&mut self, kind: &str, data: &Value) -> Arc<str> {
        self.sequence += 1;
        let frame: Arc<str> = json!({ "op": 0, "s": self.sequence, "t": kind, "d": data }).to_string().into();
        self.kept.push_back((self.sequence, frame.clone()));
        frame
    }

    fn forget_until(&mut self, sequence: u64) {
        while self.kept.front().is_some_and(|(kept, _)| *kept <= sequence) {
            self.kept.pop_front();
        }
    }
}

#[derive(Default)]
struct World {
    /// By token.
    bots: HashMap<String, Bot>,
    counts: Counts,
    next: u64,
    /// Until when `GET /gateway/bot` says that no `IDENTIFY` is left.
    none_left_until: Option<Instant>,
    /// What `READY` says to resume at, if not here.
    resume_url: Option<String>,
    /// Interactions that were answered.
    answered: usize,
}

struct Shared {
    world: Mutex<World>,
    /// Of the gateway, such as `ws://127.0.0.1:4000`.
    gateway_url: String,
    heartbeat: Duration,
}

/// How a fake is started.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub heartbeat: Duration,
    /// Over TLS, under a [`Certificate`] of its own.
    pub tls: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { heartbeat: Duration::from_millis(41_250), tls: false }
    }
}

/// A running Discord.
pub struct FakeDiscord {
    shared: Arc<Shared>,
    certificate: Option<Certificate>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeDiscord {
    pub fn start(options: Options) -> FakeDiscord {
        let listener = server::listen();
        let address: SocketAddr = listener.local_addr().expect("the listener's address");
        let certificate = options.tls.then(Certificate::new);
        let scheme = if options.tls { "wss" } else { "ws" };
        let shared = Arc::new(Shared {
            world: Mutex::new(World::default()),
            gateway_url: format!("{scheme}://localhost:{}", address.port()),
            heartbeat: options.heartbeat,
        });
        let (stop, stopped) = oneshot::channel();
        let (serving, acceptor) = (shared.clone(), certificate.as_ref().map(Certificate::acceptor));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                tokio::select! {
                    () = server::serve(listener, acceptor, serving) => {}
                    _ = stopped => {}
                }
            });
        });
        FakeDiscord { shared, certificate, stop: Some(stop), thread: Some(thread) }
    }

    /// What `LOWTIDE_DISCORD_API_BASE` is set to.
    pub fn api_base(&self) -> String {
        self.shared.gateway_url.replacen("ws", "http", 1)
    }

    /// What clients have to trust, if it speaks TLS.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    pub fn add_bot(&self, token: &str) {
        let mut world = lock(&self.shared.world);
        let id = format!("9{:06}", world.bots.len());
        world.bots.insert(token.to_owned(), Bot { id, ..Bot::default() });
    }

    /// Discord knows the token no more, and closes the bot's connection.
    pub fn revoke(&self, token: &str) {
        let bot = lock(&self.shared.world).bots.remove(token);
        let live = bot.and_then(|bot| bot.session).and_then(|session| session.live);
        if let Some((_, connection)) = live {
            let _ = connection.send(Order::Close(4004));
        }
    }

    /// A person writes to a bot in a direct chat. Returns the message's id, or `None` if the bot has no session: then Discord
    /// tells it of nothing.
    pub fn say(&self, token: &str, chat: &str, text: &str) -> Option<String> {
        let mut world = lock(&self.shared.world);
        world.next += 1;
        let id = (1_310_000_000_000_000_000 + world.next).to_string();
        let author = json!({ "id": format!("5{chat}"), "username": "ada", "global_name": "Ada" });
        let message = json!({ "id": id, "channel_id": chat, "type": 0, "content": text, "author": author });
        world.bots.get_mut(token)?.tell("MESSAGE_CREATE", &message).then_some(id)
    }

    /// A person presses a button below a message of the bot's in a direct chat. Whether the bot was told.
    pub fn press(&self, token: &str, chat: &str, custom_id: &str) -> bool {
        let mut world = lock(&self.shared.world);
        world.next += 1;
        let id = (1_310_000_000_000_000_000 + world.next).to_string();
        let user = json!({ "id": format!("5{chat}"), "username": "ada", "global_name": "Ada" });
        let press = json!({
            "type": 3, "id": id, "token": format!("press-{id}"), "channel_id": chat, "user": user,
            "data": { "custom_id": custom_id, "component_type": 2 },
        });
        world.bots.get_mut(token).is_some_and(|bot| bot.tell("INTERACTION_CREATE", &press))
    }

    /// How many interactions were answered in time.
    pub fn answered(&self) -> usize {
        lock(&self.shared.world).answered
    }

    /// Every bot with a session gets an event of `bytes` bytes that it did not ask for.
    pub fn flood(&self, bytes: usize) {
        let data = json!({ "name": "x".repeat(bytes) });
        for bot in lock(&self.shared.world).bots.values_mut() {
            bot.tell("GUILD_CREATE", &data);
        }
    }

    /// Every connection is asked to make way for a new one (op 7).
    pub fn reconnect_all(&self) {
        self.order_all(|| Order::Frame(json!({ "op": 7, "d": null }).to_string().into()));
    }

    /// Every connection is closed with a code.
    pub fn close_all(&self, code: u16) {
        self.order_all(|| Order::Close(code));
    }

    /// Every connection is told that its session is invalid (op 9), and whether it may resume all the same.
    pub fn invalidate_all(&self, may_resume: bool) {
        self.order_all(|| Order::Frame(json!({ "op": 9, "d": may_resume }).to_string().into()));
    }

    /// No bot may identify itself for so long.
    pub fn take_no_identify_for(&self, how_long: Duration) {
        lock(&self.shared.world).none_left_until = Some(Instant::now() + how_long);
    }

    /// Sessions that begin from now on are to be resumed at `url`.
    pub fn resume_at(&self, url: &str) {
        lock(&self.shared.world).resume_url = Some(url.to_owned());
    }

    /// Every session ends, and its connection is closed with a code: whoever resumes has to identify anew.
    pub fn end_sessions(&self, code: u16) {
        for bot in lock(&self.shared.world).bots.values_mut() {
            if let Some((_, live)) = bot.session.take().and_then(|session| session.live) {
                let _ = live.send(Order::Close(code));
            }
        }
    }

    fn order_all(&self, order: impl Fn() -> Order) {
        for bot in lock(&self.shared.world).bots.values() {
            if let Some((_, live)) = bot.session.as_ref().and_then(|session| session.live.as_ref()) {
                let _ = live.send(order());
            }
        }
    }

    pub fn counts(&self) -> Counts {
        let world = lock(&self.shared.world);
        let is_live = |bot: &&Bot| bot.session.as_ref().is_some_and(|session| session.live.is_some());
        Counts { connected: world.bots.values().filter(is_live).count(), ..world.counts }
    }

    /// How often a bot identified itself.
    pub fn identifies(&self, token: &str) -> u64 {
        lock(&self.shared.world).bots.get(token).map_or(0, |bot| bot.identifies)
    }

    /// Waits until so many bots have a connection and a session.
    pub async fn wait_for_bots(&self, count: usize, within: Duration) {
        let deadline = Instant::now() + within;
        while self.counts().connected != count {
            assert!(Instant::now() < deadline, "not {count} bots are there in time: {:?}", self.counts());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for FakeDiscord {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Bot {
    /// Adds an event to the bot's session. Whether it has one.
    fn tell(&mut self, kind: &str, data: &Value) -> bool {
        let Some(session) = &mut self.session else { return false };
        let frame = session.event(kind, data);
        if let Some((_, live)) = &session.live {
            let _ = live.send(Order::Frame(frame));
        }
        true
    }
}
