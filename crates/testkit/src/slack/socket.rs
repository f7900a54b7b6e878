//! Socket mode: envelopes go to one of an app's connections, and to another one if they are not acknowledged.

use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use websocket::{CloseFrame, Decoder, Message, Role};

use super::SocketCounts;
use crate::lock;
use crate::upgrade::{self, Request};

const MAX_FRAME: usize = 64 * 1024;

/// Slack gives up on a connection that does not acknowledge after three seconds, and tries another.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(3);

/// How long after its warning a connection is ended.
const END_AFTER: Duration = Duration::from_secs(1);

/// What a connection is told.
enum Order {
    Say(Value),
    Close,
}

/// An envelope that nobody has acknowledged.
struct Open {
    envelope: Value,
    /// Who has it, and since when.
    given: Option<(u64, Instant)>,
}

/// An app's connections.
#[derive(Default)]
pub(super) struct Sockets {
    pub(super) app_tokens: HashSet<String>,
    live: BTreeMap<u64, mpsc::UnboundedSender<Order>>,
    open: BTreeMap<u64, Open>,
    counter: u64,
    opened: usize,
    /// The most connections at the same time.
    most: usize,
}

impl Sockets {
    /// Gives out what nobody has, or has had for too long.
    fn give(&mut self) {
        let now = Instant::now();
        for open in self.open.values_mut() {
            let is_given =
                open.given.is_some_and(|(to, at)| self.live.contains_key(&to) && at + ACKNOWLEDGED_WITHIN > now);
            // Another one than before, where there is one.
            let before = open.given.map(|(to, _)| to);
            let to = self.live.keys().rev().find(|id| Some(**id) != before).or(self.live.keys().next_back()).copied();
            if let (false, Some(to)) = (is_given, to) {
                let _ = self.live[&to].send(Order::Say(open.envelope.clone()));
                open.given = Some((to, now));
            }
        }
    }

    pub(super) fn send(&mut self, kind: &str, payload: &Value) {
        self.counter += 1;
        let envelope = json!({
            "envelope_id": self.counter.to_string(), "type": kind, "payload": payload, "accepts_response_payload": false,
        });
        self.open.insert(self.counter, Open { envelope, given: None });
        self.give();
    }

    fn tell_all(&self, order: impl Fn() -> Order) {
        for socket in self.live.values() {
            let _ = socket.send(order());
        }
    }

    pub(super) fn counts(&self) -> SocketCounts {
        let Sockets { live, opened, most, open, .. } = self;
        SocketCounts { live: live.len(), opened: *opened, most: *most, unacknowledged: open.len() }
    }
}

/// Says to all connections that they end soon, and ends them a little later.
pub(super) fn renew(sockets: &Arc<Mutex<Sockets>>) {
    let told: Vec<_> = lock(sockets).live.values().cloned().collect();
    let warning = json!({ "type": "disconnect", "reason": "refresh_requested", "debug_info": { "host": "fake" } });
    for socket in told {
        let _ = socket.send(Order::Say(warning.clone()));
        let _ = socket.send(Order::Close);
    }
}

/// Ends all connections without a word.
pub(super) fn cut(sockets: &Arc<Mutex<Sockets>>) {
    lock(sockets).tell_all(|| Order::Close);
}

/// Serves connections on a thread of its own for as long as the process lives. Returns where.
pub(super) fn serve(sockets: Arc<Mutex<Sockets>>) -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback");
    listener.set_nonblocking(true).expect("a listener that does not block");
    let address = listener.local_addr().expect("the listener's address");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            let again = sockets.clone();
            tokio::spawn(async move {
                loop {
                    sleep(ACKNOWLEDGED_WITHIN / 3).await;
                    lock(&again).give();
                }
            });
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, sockets.clone()));
            }
        });
    });
    address
}

async fn connection(mut stream: TcpStream, sockets: Arc<Mutex<Sockets>>) {
    let Some(request) = Request::read(&mut stream).await else { return };
    let Some(key) = request.header("sec-websocket-key") else { return };
    if !upgrade::accept(&mut stream, &key).await {
        return;
    }
    let (orders, mut ordered) = mpsc::unbounded_channel();
    let _ = orders.send(Order::Say(json!({ "type": "hello", "num_connections": 1 })));
    let id = {
        let mut all = lock(&sockets);
        all.counter += 1;
        let id = all.counter;
        all.live.insert(id, orders);
        all.opened += 1;
        all.most = all.most.max(all.live.len());
        all.give();
        id
    };
    let (mut input, mut decoder) = (request.rest, Decoder::new(Role::Server, MAX_FRAME));
    let (mut was_warned, mut ends) = (false, None);
    loop {
        match decoder.decode(&mut input) {
            Ok(Some(Message::Text(text))) => {
                let answer: Value = serde_json::from_str(&text).expect("Slack is sent JSON");
                let envelope = answer["envelope_id"].as_str().and_then(|id| id.parse().ok()).expect("an envelope's id");
                lock(&sockets).open.remove(&envelope);
                continue;
            }
            Ok(Some(Message::Close(_))) | Err(_) => break,
            Ok(Some(_)) => continue,
            Ok(None) => {}
        }
        tokio::select! {
            () = sleep_until(ends.unwrap_or_else(Instant::now)), if ends.is_some() => {
                let close = Message::Close(Some(CloseFrame { code: 1000, reason: String::new() }));
                upgrade::send(&mut stream, &close).await;
                break;
            }
            order = ordered.recv(), if ends.is_none() => match order {
                Some(Order::Say(value)) => {
                    was_warned |= value["type"] == "disconnect";
                    if !upgrade::send(&mut stream, &Message::Text(value.to_string())).await {
                        break;
                    }
                }
                Some(Order::Close) if was_warned => {
                    // What is acknowledged until then counts, and nothing new is given.
                    lock(&sockets).live.remove(&id);
                    ends = Some(Instant::now() + END_AFTER);
                }
                Some(Order::Close) | None => break,
            },
            read = stream.read_buf(&mut input) => if !matches!(read, Ok(1..)) { break },
        }
    }
    let _ = stream.shutdown().await;
    let mut all = lock(&sockets);
    all.live.remove(&id);
    all.give();
}
