//! The sockets: HTTP for `GET /gateway/bot`, WebSocket for the rest, each with or without TLS.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use websocket::{CloseFrame, Decoder, Message, Role};

use super::{INTENTS, Order, Session, Shared, World};
use crate::lock;
use crate::upgrade::{self, Request};

/// The longest frame, in bytes: Discord closes on more.
const MAX_FRAME: usize = 4096;

/// Discord's own limit is lower by a little: who misses two heartbeats is gone.
const MISSED_BEATS: u32 = 2;

/// How many of a bot's connections may identify themselves within [`IDENTIFY_EVERY`].
const MAX_CONCURRENCY: u32 = 1;
const IDENTIFY_EVERY: Duration = Duration::from_secs(5);

/// Room for thousands that connect at once.
pub(super) fn listen() -> std::net::TcpListener {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a port on loopback");
    socket.listen(4096).expect("a listener");
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true).expect("a listener that does not block");
    listener
}

pub(super) async fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    loop {
        let Ok((tcp, _)) = listener.accept().await else {
            // Out of descriptors, most likely: those who wait try again.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (acceptor, shared) = (acceptor.clone(), shared.clone());
        tokio::spawn(async move {
            let _ = tcp.set_nodelay(true);
            match acceptor {
                // A client that hangs up during its handshake is no concern of a test.
                Some(acceptor) => {
                    if let Ok(tls) = acceptor.accept(tcp).await {
                        Box::pin(answer(Box::new(tls), shared)).await;
                    }
                }
                None => Box::pin(answer(tcp, shared)).await,
            }
        });
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, shared: Arc<Shared>) {
    let Some(request) = Request::read(&mut stream).await else { return };
    let head = &request.head;
    match request.header("sec-websocket-key") {
        Some(key) => {
            // Who asks for compression is answered without: Discord's choice, too.
            let query = head.strip_prefix("GET /?v=10&encoding=json").and_then(|rest| rest.split_once(' '));
            assert!(query.is_some_and(|(more, _)| more.is_empty() || more.starts_with("&compress=")), "{head}");
            if upgrade::accept(&mut stream, &key).await {
                gateway(stream, shared, request.rest).await;
            }
        }
        None => {
            let (status, body) = gateway_bot(head, request.header("authorization").as_deref(), &shared);
            let response = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(response.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    }
}

fn gateway_bot(head: &str, authorization: Option<&str>, shared: &Shared) -> (&'static str, String) {
    if head.starts_with("POST /api/v10/interactions/") && head.contains("/press-") && head.contains("/callback ") {
        lock(&shared.world).answered += 1;
        return ("204 No Content", String::new());
    }
    if !head.starts_with("GET /api/v10/gateway/bot ") {
        return ("404 Not Found", json!({ "message": "404: Not Found", "code": 0 }).to_string());
    }
    let world = lock(&shared.world);
    let is_known = authorization.and_then(|it| it.strip_prefix("Bot ")).is_some_and(|it| world.bots.contains_key(it));
    if !is_known {
        return ("401 Unauthorized", json!({ "message": "401: Unauthorized", "code": 0 }).to_string());
    }
    let none_for = none_left_for(&world);
    let reset_after = none_for.map_or(14_400_000, |left| left.as_millis().try_into().unwrap_or(u64::MAX));
    let remaining = if none_for.is_some() { 0 } else { 1000 };
    let limit = json!({ "total": 1000, "remaining": remaining, "reset_after": reset_after, "max_concurrency": MAX_CONCURRENCY });
    ("200 OK", json!({ "url": shared.gateway_url, "shards": 1, "session_start_limit": limit }).to_string())
}

/// For how long no `IDENTIFY` is left, if none is.
fn none_left_for(world: &World) -> Option<Duration> {
    let left = world.none_left_until?.saturating_duration_since(Instant::now());
    (!left.is_zero()).then_some(left)
}

/// Who a connection belongs to, once it has said so.
struct Known {
    token: String,
    connection: u64,
}

async fn gateway<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, shared: Arc<Shared>, mut input: Vec<u8>) {
    let (orders, mut ordered) = mpsc::unbounded_channel();
    let mut decoder = Decoder::new(Role::Server, MAX_FRAME);
    let mut known = None;
    let interval = u64::try_from(shared.heartbeat.as_millis()).unwrap_or(u64::MAX);
    let _ = orders.send(Order::Frame(json!({ "op": 10, "d": { "heartbeat_interval": interval } }).to_string().into()));
    let mut last_word = Instant::now();
    let close = loop {
        match decoder.decode(&mut input) {
            Ok(Some(Message::Text(text))) => {
                last_word = Instant::now();
                match read(&text, &shared, &mut known, &orders) {
                    Ok(()) => continue,
                    Err(code) => break Some(code),
                }
            }
            Ok(Some(Message::Close(close))) => {
                let code = close.map(|close| close.code);
                if matches!(code, Some(1000 | 1001)) {
                    end_session(&shared, known.as_ref());
                }
                break None;
            }
            Ok(Some(_)) => continue,
            Ok(None) => {}
            Err(_) => break Some(4002),
        }
        let silence = last_word + shared.heartbeat * MISSED_BEATS;
        tokio::select! {
            biased;
            order = ordered.recv() => match order {
                Some(Order::Frame(frame)) => {
                    if !upgrade::send(&mut stream, &Message::Text(frame.to_string())).await {
                        break None;
                    }
                    lock(&shared.world).counts.frames += 1;
                }
                Some(Order::Close(code)) => break Some(code),
                None => break None,
            },
            read = stream.read_buf(&mut input) => if !matches!(read, Ok(1..)) { break None },
            () = tokio::time::sleep_until(silence) => {
                lock(&shared.world).counts.violations += 1;
                break Some(4000);
            }
        }
    };
    if let Some(code) = close {
        upgrade::send(&mut stream, &Message::Close(Some(CloseFrame { code, reason: String::new() }))).await;
        let _ = stream.shutdown().await;
    }
    if let Some(Known { token, connection }) = known {
        let mut world = lock(&shared.world);
        let session = world.bots.get_mut(&token).and_then(|bot| bot.session.as_mut());
        if let Some(session) = session.filter(|it| it.live.as_ref().is_some_and(|(live, _)| *live == connection)) {
            session.live = None;
        }
    }
}

fn end_session(shared: &Shared, known: Option<&Known>) {
    let Some(known) = known else { return };
    if let Some(bot) = lock(&shared.world).bots.get_mut(&known.token) {
        bot.session = None;
    }
}

/// Takes what a bot sends. The code to close with, if it may not.
fn read(
    text: &str,
    shared: &Shared,
    known: &mut Option<Known>,
    orders: &mpsc::UnboundedSender<Order>,
) -> Result<(), u16> {
    let frame: Value = serde_json::from_str(text).map_err(|_| 4002u16)?;
    let data = &frame["d"];
    let mut world = lock(&shared.world);
    let world = &mut *world;
    let none_left = none_left_for(world);
    match (frame["op"].as_u64(), known.as_ref()) {
        (Some(1), known) => {
            world.counts.beats += 1;
            if let Some(session) =
                known.and_then(|known| world.bots.get_mut(&known.token)).and_then(|bot| bot.session.as_mut())
            {
                let sequence = data.as_u64().unwrap_or_default();
                if sequence > session.sequence {
                    world.counts.violations += 1;
                    return Err(4007);
                }
                session.forget_until(sequence);
            }
            let _ = orders.send(Order::Frame(json!({ "op": 11 }).to_string().into()));
            Ok(())
        }
        (Some(2 | 6), Some(_)) => {
            world.counts.violations += 1;
            Err(4005)
        }
        (Some(2), None) => {
            let token = token_of(data);
            let Some(bot) = world.bots.get_mut(token) else { return Err(4004) };
            if data["intents"].as_u64() != Some(INTENTS) {
                return Err(4014);
            }
            if none_left.is_some() {
                // Discord resets the token of who goes on.
                world.counts.violations += 1;
                return Err(4004);
            }
            if bot.identified_at.replace(Instant::now()).is_some_and(|at| at.elapsed() < IDENTIFY_EVERY) {
                world.counts.hurried_identifies += 1;
                let _ = orders.send(Order::Frame(json!({ "op": 9, "d": false }).to_string().into()));
                return Ok(());
            }
            world.counts.identifies += 1;
            world.next += 1;
            bot.identifies += 1;
            let id = format!("session-{}", world.next);
            let mut session = Session { id, sequence: 0, kept: [].into(), live: None };
            let ready = json!({
                "v": 10,
                "user": { "id": bot.id, "username": "bot", "bot": true },
                "session_id": session.id,
                "resume_gateway_url": world.resume_url.as_ref().unwrap_or(&shared.gateway_url),
                "guilds": [],
            });
            let _ = orders.send(Order::Frame(session.event("READY", &ready)));
            session.live = Some((world.next, orders.clone()));
            *known = Some(Known { token: token.to_owned(), connection: world.next });
            replace(&mut bot.session, session);
            Ok(())
        }
        (Some(6), None) => {
            let token = token_of(data);
            let Some(bot) = world.bots.get_mut(token) else { return Err(4004) };
            let sequence = data["seq"].as_u64().unwrap_or_default();
            let session = bot.session.as_mut().filter(|session| {
                let is_kept = session.kept.front().is_none_or(|(first, _)| *first <= sequence + 1);
                session.id == data["session_id"] && sequence <= session.sequence && is_kept
            });
            let Some(session) = session else {
                world.counts.refused_resumes += 1;
                let _ = orders.send(Order::Frame(json!({ "op": 9, "d": false }).to_string().into()));
                return Ok(());
            };
            world.counts.resumes += 1;
            world.next += 1;
            session.forget_until(sequence);
            for (_, frame) in &session.kept {
                let _ = orders.send(Order::Frame(frame.clone()));
            }
            let _ = orders.send(Order::Frame(session.event("RESUMED", &json!({}))));
            if let Some((_, former)) = session.live.replace((world.next, orders.clone())) {
                let _ = former.send(Order::Close(4000));
            }
            *known = Some(Known { token: token.to_owned(), connection: world.next });
            Ok(())
        }
        _ => {
            world.counts.violations += 1;
            Err(4001)
        }
    }
}

/// A bot has one session: the connection of a former one ends.
fn replace(place: &mut Option<Session>, session: Session) {
    let former = place.replace(session).and_then(|session| session.live);
    if let Some((_, former)) = former {
        let _ = former.send(Order::Close(4000));
    }
}

/// Some clients say it as they say it to the REST API.
fn token_of(data: &Value) -> &str {
    let token = data["token"].as_str().unwrap_or_default();
    token.strip_prefix("Bot ").unwrap_or(token)
}
