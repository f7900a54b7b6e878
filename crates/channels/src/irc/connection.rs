//! The connection's life: registers, then reads, writes and keeps watch until it ends.

use std::time::Duration;

use domain::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::dial::{Dial, Stream};
use super::lines::Lines;
use super::message::Message;
use super::outgoing::Outgoing;
use super::registration::{Credentials, Registered, Registration, Settings, Step};
use super::session::{Effect, Session};
use crate::Received;
use crate::held::{Ended, Hold, Say};

/// How long a server has to let the bot in.
const REGISTRATION: Duration = Duration::from_secs(60);

/// After this much silence the server is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(120);

/// How long it has to answer that.
const ANSWER: Duration = Duration::from_secs(60);

/// How long the network may take to accept what is written.
const WRITE: Duration = Duration::from_secs(30);

/// The most messages that are handed over at once.
const BATCH: usize = 32;

/// The token of a `PING` that only asks whether the server is there.
const ALIVE: &str = "alive";

type Reader<S> = Lines<ReadHalf<S>>;
type Writer<S> = WriteHalf<S>;

/// Connects, and stays connected until `stop` or until it cannot go on. What is to be said comes by `says`, as lines that
/// [`render`](super::render()) made; each is confirmed when the server has taken it.
///
/// There is no cursor: a network keeps nothing for who is away.
pub async fn run(
    settings: &Settings,
    credentials: &Credentials,
    dial: &Dial,
    hold: &dyn Hold,
    says: mpsc::Receiver<Say>,
    stop: CancellationToken,
) -> Ended {
    if let Err(ended) = settings.check() {
        return ended;
    }
    let connected = tokio::select! {
        () = stop.cancelled() => return Ended::Stopped,
        connected = dial.connect(settings) => connected,
    };
    match connected {
        Ok(stream) => drive(stream, settings, credentials, hold, says, stop).await,
        Err(ended) => ended,
    }
}

/// Registers on a stream and quits.
pub(super) async fn register(
    stream: Box<dyn Stream>,
    settings: &Settings,
    credentials: &Credentials,
) -> Result<(), Ended> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = Lines::new(reader);
    greet(&mut reader, &mut writer, settings, credentials).await?;
    write(&mut writer, &["QUIT".to_owned()]).await
}

/// Speaks IRC over a stream.
pub(super) async fn drive<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    settings: &Settings,
    credentials: &Credentials,
    hold: &dyn Hold,
    says: mpsc::Receiver<Say>,
    stop: CancellationToken,
) -> Ended {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = Lines::new(reader);
    let registered = tokio::select! {
        () = stop.cancelled() => return Ended::Stopped,
        registered = greet(&mut reader, &mut writer, settings, credentials) => registered,
    };
    let registered = match registered {
        Ok(registered) => registered,
        Err(ended) => return ended,
    };
    let now = Instant::now();
    let mut connection = Connection {
        reader,
        writer,
        session: Session::new(settings, credentials, registered, now),
        outgoing: Outgoing::new(now),
        hold,
        says: Some(says),
        heard: now,
        has_asked: false,
        ended: None,
    };
    let ended = connection.stay(stop).await;
    connection.outgoing.end();
    ended
}

async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    reader: &mut Reader<S>,
    writer: &mut Writer<S>,
    settings: &Settings,
    credentials: &Credentials,
) -> Result<Registered, Ended> {
    let (mut registration, lines) = Registration::open(settings, credentials)?;
    let talk = async {
        write(writer, &lines).await?;
        loop {
            let line = read(reader).await?;
            let Some(message) = Message::parse(&line) else { continue };
            match registration.on(&message)? {
                Step::Say(lines) => write(writer, &lines).await?,
                Step::Done(registered) => return Ok(registered),
            }
        }
    };
    let in_time = timeout(REGISTRATION, talk).await;
    in_time.unwrap_or_else(|_| Err(Ended::Lost(format!("{} did not let the bot in in time", settings.server))))
}

async fn read<S: AsyncRead>(reader: &mut Reader<S>) -> Result<String, Ended> {
    match reader.next().await {
        Ok(Some(line)) => Ok(line),
        Ok(None) => Err(Ended::Lost("the server closed the connection".to_owned())),
        Err(error) => Err(Ended::Lost(format!("the connection broke: {error}"))),
    }
}

async fn write<W: AsyncWrite + Unpin>(writer: &mut W, lines: &[String]) -> Result<(), Ended> {
    if lines.is_empty() {
        return Ok(());
    }
    let text = lines.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect::<String>();
    let written = timeout(WRITE, async {
        writer.write_all(text.as_bytes()).await?;
        writer.flush().await
    });
    match written.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Ended::Lost(format!("the connection broke: {error}"))),
        Err(_) => Err(Ended::Lost("the server takes nothing any more".to_owned())),
    }
}

struct Connection<'a, S> {
    reader: Reader<S>,
    writer: Writer<S>,
    session: Session<'a>,
    outgoing: Outgoing,
    hold: &'a dyn Hold,
    /// `None` once nobody can say anything any more.
    says: Option<mpsc::Receiver<Say>>,
    /// When the server was last heard.
    heard: Instant,
    /// Whether it was asked since whether it is there.
    has_asked: bool,
    /// Why the connection ends, once what came before the reason is handed over.
    ended: Option<Ended>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    async fn stay(&mut self, stop: CancellationToken) -> Ended {
        loop {
            let turned = tokio::select! {
                () = stop.cancelled() => {
                    // Only for politeness: the network sees the end of the connection as well.
                    let _ = write(&mut self.writer, &["QUIT".to_owned()]).await;
                    return Ended::Stopped;
                }
                turned = self.turn() => turned,
            };
            match turned {
                // Not within the select: a batch in hand is handed over whole.
                Ok(received) if !received.is_empty() => {
                    if let Err(fenced) = self.hold.accept(received).await {
                        return fenced.into();
                    }
                }
                Ok(_) => {}
                Err(ended) => return ended,
            }
            if let Some(ended) = self.ended.take() {
                return ended;
            }
        }
    }

    /// Writes what may leave, then waits for whatever comes first. Given up while it waits, it loses nothing.
    async fn turn(&mut self) -> Result<Vec<Received>, Ended> {
        while let Some(line) = self.outgoing.next(Instant::now()) {
            write(&mut self.writer, &[line]).await?;
        }
        let silent_at = self.heard + if self.has_asked { SILENCE + ANSWER } else { SILENCE };
        let wakes = [self.outgoing.ready_at(), self.session.next_wake(), Some(silent_at)];
        let wake = wakes.into_iter().flatten().min().unwrap_or(silent_at);
        let can_say = self.session.is_ready() && self.outgoing.has_room();
        tokio::select! {
            line = read(&mut self.reader) => {
                self.heard = Instant::now();
                self.has_asked = false;
                return Ok(self.take(line?).await);
            }
            say = next_say(&mut self.says), if can_say => {
                let (prefix, casemapping) = (self.session.prefix(), self.session.me.casemapping);
                self.outgoing.say(say, prefix, self.session.has_tags, casemapping);
            }
            () = sleep_until(wake) => {
                let now = Instant::now();
                if now >= silent_at {
                    if self.has_asked {
                        return Err(Ended::Lost("the server is silent".to_owned()));
                    }
                    self.has_asked = true;
                    write(&mut self.writer, &[format!("PING :{ALIVE}")]).await?;
                }
                let effects = self.session.wake(now);
                return self.perform(effects).await;
            }
        }
        Ok(vec![])
    }

    /// Takes a line in, and those that came with it, up to one that ends the connection.
    async fn take(&mut self, line: String) -> Vec<Received> {
        let mut received = Vec::new();
        let mut next = Some(line);
        while let Some(line) = next {
            if let Some(message) = Message::parse(&line) {
                let wall: Timestamp = self.hold.now();
                let done = match self.session.on(&message, Instant::now(), wall) {
                    Ok(effects) => self.perform(effects).await,
                    Err(ended) => Err(ended),
                };
                match done {
                    Ok(more) => received.extend(more),
                    Err(ended) => {
                        self.ended = Some(ended);
                        return received;
                    }
                }
            }
            next = if received.len() < BATCH { self.reader.buffered() } else { None };
        }
        received
    }

    async fn perform(&mut self, effects: Vec<Effect>) -> Result<Vec<Received>, Ended> {
        let mut received = Vec::new();
        for effect in effects {
            match effect {
                Effect::Now(line) => write(&mut self.writer, &[line]).await?,
                Effect::Queue(line) => self.outgoing.command(line),
                Effect::Received(message) => received.push(*message),
                Effect::Ready => self.hold.connected(),
                Effect::Arrived(token) => self.outgoing.arrived(&token),
                Effect::Refused { target, why } => self.outgoing.refused(&target, &why),
            }
        }
        Ok(received)
    }
}

/// The next message to say; waits for ever once there can be none.
async fn next_say(says: &mut Option<mpsc::Receiver<Say>>) -> Say {
    if let Some(open) = says {
        if let Some(say) = open.recv().await {
            return say;
        }
        *says = None;
    }
    std::future::pending().await
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
