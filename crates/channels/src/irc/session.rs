//! What a registered bot does with each line. Pure: time comes in, and what is to be done goes out.

use std::collections::HashMap;
use std::time::Duration;

use domain::Timestamp;
use tokio::time::Instant;

use super::casemapping::Casemapping;
use super::flood::Bucket;
use super::incoming::{self, Ids, Incoming, Myself};
use super::message::Message;
use super::registration::{Credentials, Registered, Settings};
use crate::Received;
use crate::held::Ended;

/// How long a bot that was kicked stays away.
const REJOIN_AFTER: Duration = Duration::from_secs(30);

/// A bot that is kicked again within this time stays away.
const KICK_MEMORY: Duration = Duration::from_secs(15 * 60);

/// How often a bot asks for the nick that was taken.
const REGAIN_EVERY: Duration = Duration::from_secs(60);

/// The longest names of a user and a host that networks give, in bytes: what is assumed until the bot knows its own.
const MAX_USER: usize = 12;
const MAX_HOST: usize = 64;

/// The longest line that is built of several channels, in bytes.
const MAX_JOIN: usize = 400;

/// The longest argument of a client's `PING` that is given back, in characters.
const MAX_CTCP: usize = 64;

/// What is to be done.
#[derive(Debug)]
pub(super) enum Effect {
    /// Say it at once.
    Now(String),
    /// Say it when its turn comes.
    Queue(String),
    Received(Box<Received>),
    /// Messages can be sent and will come.
    Ready,
    /// The answer to a `PING`.
    Arrived(String),
    /// A message to this target, which is folded, was not taken.
    Refused {
        target: String,
        why: String,
    },
}

#[derive(Debug, PartialEq, Eq)]
enum Wake {
    Rejoin(String),
    Regain,
}

pub(super) struct Session<'a> {
    settings: &'a Settings,
    credentials: &'a Credentials,
    pub(super) me: Myself,
    pub(super) has_tags: bool,
    /// The length of `nick!user@host` as the server gave it, less the nick's.
    mask: Option<usize>,
    is_ready: bool,
    ids: Ids,
    ctcp: Bucket,
    kicked: HashMap<String, Instant>,
    wakes: Vec<(Instant, Wake)>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        credentials: &'a Credentials,
        registered: Registered,
        now: Instant,
    ) -> Session<'a> {
        let me = Myself { nick: registered.nick, casemapping: Casemapping::default(), channel_types: "#&".to_owned() };
        Session {
            settings,
            credentials,
            me,
            has_tags: registered.has_tags,
            mask: None,
            is_ready: false,
            ids: Ids::default(),
            ctcp: Bucket::new(3, Duration::from_secs(20), now),
            kicked: HashMap::new(),
            wakes: vec![],
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// How many bytes the server puts before what the bot says: `:nick!user@host `.
    pub(super) fn prefix(&self) -> usize {
        let mask = self.mask.unwrap_or(MAX_USER + MAX_HOST + "!@".len());
        ":".len() + self.me.nick.len() + mask + " ".len()
    }

    pub(super) fn on(&mut self, message: &Message, now: Instant, wall: Timestamp) -> Result<Vec<Effect>, Ended> {
        if self.me.is(message.nick()) && message.source.contains('!') {
            self.mask = Some(message.source.len() - message.nick().len());
        }
        Ok(match message.command.as_str() {
            "PING" => vec![Effect::Now(format!("PONG :{}", message.last()))],
            "PONG" => vec![Effect::Arrived(message.last().to_owned())],
            "PRIVMSG" => self.on_privmsg(message, now, wall),
            "005" => self.on_support(message),
            // The end of the message of the day, or that there is none.
            "376" | "422" if !self.is_ready => self.on_ready(now),
            "302" => self.on_userhost(message),
            "396" => {
                // The host that the network shows from now on; the user's name is not told, so the longest is assumed.
                self.mask = Some(MAX_USER + "!@".len() + message.param(1).len());
                vec![]
            }
            "NICK" => self.on_nick(message),
            "QUIT" if self.is_wanted(message.nick()) => self.regain(),
            "KICK" => self.on_kick(message, now),
            "401" | "402" | "403" | "404" | "407" | "442" | "477" | "531" | "716" => vec![Effect::Refused {
                target: self.me.casemapping.fold(message.param(1)),
                why: message.last().to_owned(),
            }],
            "464" | "465" => return Err(Ended::Unauthorised(format!("the server says: {}", message.last()))),
            "ERROR" => return Err(Ended::Lost(format!("the server says: {}", message.last()))),
            _ => vec![],
        })
    }

    /// When [`wake`](Self::wake) has something to say.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.wakes.iter().map(|(at, _)| *at).min()
    }

    /// What is due.
    pub(super) fn wake(&mut self, now: Instant) -> Vec<Effect> {
        let (due, later) = std::mem::take(&mut self.wakes).into_iter().partition(|(at, _)| *at <= now);
        self.wakes = later;
        let due: Vec<(Instant, Wake)> = due;
        let mut effects = Vec::new();
        for (_, wake) in due {
            match wake {
                Wake::Rejoin(channel) => effects.push(Effect::Queue(self.join_line(&channel))),
                Wake::Regain if self.is_wanted(&self.me.nick) => {}
                Wake::Regain => {
                    effects.extend(self.regain());
                    self.wakes.push((now + REGAIN_EVERY, Wake::Regain));
                }
            }
        }
        effects
    }

    fn on_privmsg(&mut self, message: &Message, now: Instant, wall: Timestamp) -> Vec<Effect> {
        match incoming::read(message, &self.me, &mut self.ids, wall) {
            Incoming::Message(received) => vec![Effect::Received(received)],
            Incoming::Ctcp { nick, request, argument } => self.on_ctcp(&nick, &request, &argument, now),
            Incoming::Ignored => vec![],
        }
    }

    /// Answers a client's question by a notice, which nothing answers, and only a few of them.
    fn on_ctcp(&mut self, nick: &str, request: &str, argument: &str, now: Instant) -> Vec<Effect> {
        let answer = match request {
            "VERSION" => format!("Lowtide {}", env!("CARGO_PKG_VERSION")),
            "PING" => argument.chars().filter(|c| !c.is_control()).take(MAX_CTCP).collect(),
            _ => return vec![],
        };
        if !self.ctcp.take(now) {
            return vec![];
        }
        vec![Effect::Queue(format!("NOTICE {nick} :\u{1}{request} {answer}\u{1}"))]
    }

    fn on_support(&mut self, message: &Message) -> Vec<Effect> {
        for token in &message.params {
            match token.split_once('=') {
                Some(("CASEMAPPING", name)) => self.me.casemapping = Casemapping::of(name),
                Some(("CHANTYPES", types)) => types.clone_into(&mut self.me.channel_types),
                _ => {}
            }
        }
        vec![]
    }

    fn on_ready(&mut self, now: Instant) -> Vec<Effect> {
        self.is_ready = true;
        let mut effects = vec![Effect::Ready, Effect::Queue(format!("USERHOST {}", self.me.nick))];
        if !self.is_wanted(&self.me.nick) {
            if let Some(password) = &self.credentials.nickserv {
                effects.push(Effect::Queue(format!("PRIVMSG NickServ :GHOST {} {password}", self.settings.nick)));
            }
            effects.extend(self.regain());
            self.wakes.push((now + REGAIN_EVERY, Wake::Regain));
        }
        effects.extend(self.identify());
        effects.extend(self.joins().into_iter().map(Effect::Queue));
        effects
    }

    /// What proves to `NickServ` whose nick it is, if the bot has it.
    fn identify(&self) -> Option<Effect> {
        let password = self.credentials.nickserv.as_ref().filter(|_| self.is_wanted(&self.me.nick))?;
        Some(Effect::Queue(format!("PRIVMSG NickServ :IDENTIFY {password}")))
    }

    fn on_userhost(&mut self, message: &Message) -> Vec<Effect> {
        // `nick=+user@host`, with a `*` after an operator's nick.
        if let Some((nick, mask)) = message.last().trim().split_once('=')
            && self.me.is(nick.trim_end_matches('*'))
            && !mask.contains(' ')
        {
            self.mask = Some("!".len() + mask.trim_start_matches(['+', '-']).len());
        }
        vec![]
    }

    fn on_nick(&mut self, message: &Message) -> Vec<Effect> {
        if self.me.is(message.nick()) {
            message.last().clone_into(&mut self.me.nick);
            return self.identify().into_iter().collect();
        }
        if self.is_wanted(message.nick()) { self.regain() } else { vec![] }
    }

    fn on_kick(&mut self, message: &Message, now: Instant) -> Vec<Effect> {
        if !self.me.is(message.param(1)) {
            return vec![];
        }
        let channel = self.me.casemapping.fold(message.param(0));
        self.kicked.retain(|_, at| *at + KICK_MEMORY > now);
        if self.kicked.insert(channel.clone(), now).is_none() {
            self.wakes.push((now + REJOIN_AFTER, Wake::Rejoin(channel)));
        }
        vec![]
    }

    fn is_wanted(&self, nick: &str) -> bool {
        self.me.casemapping.same(&self.settings.nick, nick)
    }

    fn regain(&self) -> Vec<Effect> {
        if self.is_wanted(&self.me.nick) {
            return vec![];
        }
        vec![Effect::Queue(format!("NICK {}", self.settings.nick))]
    }

    /// The line that joins one channel, with its key if the settings have one.
    fn join_line(&self, channel: &str) -> String {
        let name = |entry: &str| entry.split(' ').next().unwrap_or_default().to_owned();
        let known = self.settings.channels.iter().find(|entry| self.me.casemapping.same(&name(entry), channel));
        format!("JOIN {}", known.map_or(channel, String::as_str))
    }

    /// The lines that join all channels: those with a key one by one, the others together.
    fn joins(&self) -> Vec<String> {
        let (keyed, open): (Vec<&String>, Vec<&String>) =
            self.settings.channels.iter().partition(|entry| entry.contains(' '));
        let mut lines: Vec<String> = keyed.into_iter().map(|entry| format!("JOIN {entry}")).collect();
        let mut line = String::new();
        for channel in open {
            if !line.is_empty() && line.len() + channel.len() >= MAX_JOIN {
                lines.push(std::mem::take(&mut line));
            }
            line.push_str(if line.is_empty() { "JOIN " } else { "," });
            line.push_str(channel);
        }
        if !line.is_empty() {
            lines.push(line);
        }
        lines
    }
}
