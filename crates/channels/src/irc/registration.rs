//! From the first line to the moment that the server has let the bot in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::link::IrcSettings;
use serde::{Deserialize, Serialize};

use super::message::Message;
use crate::held::Ended;

/// The most of a SASL answer that fits one line, in bytes.
const SASL_CHUNK: usize = 400;

/// How often another nick is tried for one that is taken.
const MAX_NICKS: usize = 4;

/// What is asked of a server that offers it.
const WANTED: [&str; 3] = ["server-time", "message-tags", "account-tag"];

/// Where a bot lives on IRC, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The server's name; its certificate must be for it.
    pub server: String,
    pub port: u16,
    /// Off is only for servers on this machine.
    pub tls: bool,
    pub nick: String,
    /// The name before the `@` in `nick!user@host`.
    pub username: String,
    pub realname: String,
    /// Channels to join, each with its key after a space if it has one: `#marsh`, `#reed secret`.
    pub channels: Vec<String>,
}

/// How a bot shows that it is who it says; all of it is optional.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// What the server asks everybody for.
    pub server_password: Option<String>,
    /// Account and password for SASL PLAIN.
    pub sasl: Option<(String, String)>,
    /// For networks without SASL: `NickServ` is told this password.
    pub nickserv: Option<String>,
}

/// What a link keeps of its credentials; all of it is optional.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Secrets {
    /// Of the SASL account that the settings name; without one, what the server asks everybody for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// For networks without SASL: `NickServ` is told this password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nickserv_password: Option<String>,
}

impl From<&IrcSettings> for Settings {
    fn from(link: &IrcSettings) -> Settings {
        Settings {
            server: link.host.clone(),
            port: link.port,
            tls: link.tls,
            nick: link.nick.clone(),
            username: link.nick.clone(),
            realname: link.nick.clone(),
            channels: link.channels.clone(),
        }
    }
}

impl Credentials {
    /// What a link's secrets are for, which its settings say.
    pub fn new(link: &IrcSettings, secrets: Secrets) -> Credentials {
        let Secrets { password, nickserv_password: nickserv } = secrets;
        match &link.sasl_user {
            Some(account) => {
                let sasl = password.map(|password| (account.clone(), password));
                Credentials { server_password: None, sasl, nickserv }
            }
            None => Credentials { server_password: password, sasl: None, nickserv },
        }
    }
}

/// Shows what there is, and not what it is.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("server_password", &self.server_password.is_some())
            .field("sasl", &self.sasl.as_ref().map(|(account, _)| account))
            .field("nickserv", &self.nickserv.is_some())
            .finish()
    }
}

impl Settings {
    /// # Errors
    ///
    /// [`Ended::Misconfigured`]: something that cannot be said in a line of IRC.
    pub fn check(&self) -> Result<(), Ended> {
        let is_word = |text: &str| !text.is_empty() && !text.contains([' ', ',', '\0', '\r', '\n']);
        let bad = |what: &str, text: &str| {
            let text: String = text.chars().take(60).collect();
            Err(Ended::Misconfigured(format!("`{text}` cannot be {what} on IRC: no spaces, commas or line breaks")))
        };
        if !is_word(&self.server) {
            return bad("a server", &self.server);
        }
        if !is_word(&self.nick) || self.nick.starts_with([':', '#', '&', '$']) || self.nick.contains(['!', '@']) {
            return bad("a nick", &self.nick);
        }
        if !is_word(&self.username) || self.username.contains(['!', '@']) {
            return bad("a user name", &self.username);
        }
        if self.realname.contains(['\0', '\r', '\n']) {
            return bad("a name", &self.realname);
        }
        for channel in &self.channels {
            let (name, key) = channel.split_once(' ').unwrap_or((channel, "none"));
            if !is_word(name) || !is_word(key) || !name.starts_with(['#', '&', '+', '!']) {
                return bad("a channel (such as #marsh)", channel);
            }
        }
        Ok(())
    }
}

impl Credentials {
    fn check(&self) -> Result<(), Ended> {
        let sasl = self.sasl.iter().flat_map(|(account, password)| [account, password]);
        let mut secrets = sasl.chain(&self.server_password).chain(&self.nickserv);
        if secrets.any(|secret| secret.is_empty() || secret.contains(['\0', '\r', '\n'])) {
            return Err(Ended::Misconfigured("a password or account is empty or has a line break".to_owned()));
        }
        Ok(())
    }
}

/// How far it has come.
#[derive(Debug)]
pub(super) struct Registration<'a> {
    settings: &'a Settings,
    credentials: &'a Credentials,
    nick: String,
    nicks_tried: usize,
    offered: Vec<String>,
    /// What the server has granted.
    granted: Vec<String>,
}

/// What the server has let in.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) nick: String,
    /// It takes and gives tags of messages.
    pub(super) has_tags: bool,
}

/// What comes of a line.
#[derive(Debug)]
pub(super) enum Step {
    Say(Vec<String>),
    Done(Registered),
}

impl<'a> Registration<'a> {
    /// The registration, and the lines that it begins with.
    pub(super) fn open(
        settings: &'a Settings,
        credentials: &'a Credentials,
    ) -> Result<(Registration<'a>, Vec<String>), Ended> {
        settings.check()?;
        credentials.check()?;
        let nick = settings.nick.clone();
        let mut lines = vec!["CAP LS 302".to_owned()];
        lines.extend(credentials.server_password.iter().map(|password| format!("PASS :{password}")));
        lines.push(format!("NICK {nick}"));
        lines.push(format!("USER {} 0 * :{}", settings.username, settings.realname));
        let registration =
            Registration { settings, credentials, nick, nicks_tried: 1, offered: vec![], granted: vec![] };
        Ok((registration, lines))
    }

    pub(super) fn on(&mut self, message: &Message) -> Result<Step, Ended> {
        let said = || format!("the server says: {}", message.last());
        match message.command.as_str() {
            "PING" => return Ok(Step::Say(vec![format!("PONG :{}", message.last())])),
            "CAP" => return self.on_cap(message),
            "AUTHENTICATE" if message.param(0) == "+" => return Ok(Step::Say(self.sasl_answer())),
            "903" => return Ok(Step::Say(vec!["CAP END".to_owned()])),
            "902" | "904" | "905" | "906" | "908" => {
                return Err(Ended::Unauthorised(format!("SASL login failed; {}", said())));
            }
            "464" => return Err(Ended::Unauthorised(format!("the server's password is wrong; {}", said()))),
            "465" => return Err(Ended::Unauthorised(format!("the server has banned the bot; {}", said()))),
            "432" | "433" | "436" | "437" => return self.other_nick(message),
            "001" => {
                let nick = message.param(0).to_owned();
                let has_tags = self.granted.iter().any(|cap| cap == "message-tags");
                return Ok(Step::Done(Registered { nick, has_tags }));
            }
            "ERROR" if is_refusal(message.last()) => return Err(Ended::Unauthorised(said())),
            "ERROR" => return Err(Ended::Lost(said())),
            _ => {}
        }
        Ok(Step::Say(vec![]))
    }

    fn on_cap(&mut self, message: &Message) -> Result<Step, Ended> {
        let caps = message.last().split_whitespace();
        let lines = match message.param(1).to_ascii_uppercase().as_str() {
            "LS" => {
                self.offered.extend(caps.map(str::to_owned));
                let is_last = message.param(2) != "*" || message.params.len() < 4;
                if is_last { self.request()? } else { vec![] }
            }
            "ACK" => {
                self.granted.extend(caps.map(str::to_owned));
                let has_sasl = self.granted.iter().any(|cap| cap == "sasl");
                vec![if has_sasl { "AUTHENTICATE PLAIN" } else { "CAP END" }.to_owned()]
            }
            "NAK" if self.credentials.sasl.is_some() => return Err(no_sasl()),
            "NAK" => vec!["CAP END".to_owned()],
            _ => vec![],
        };
        Ok(Step::Say(lines))
    }

    fn request(&self) -> Result<Vec<String>, Ended> {
        let offer = |name: &str| self.offered.iter().find(|cap| cap.split('=').next() == Some(name));
        let mut wanted: Vec<&str> = WANTED.into_iter().filter(|name| offer(name).is_some()).collect();
        if self.credentials.sasl.is_some() {
            let mechanisms = offer("sasl").ok_or_else(no_sasl)?.split_once('=').map(|(_, value)| value);
            if mechanisms.is_some_and(|value| !value.split(',').any(|one| one.eq_ignore_ascii_case("PLAIN"))) {
                return Err(no_sasl());
            }
            wanted.push("sasl");
        }
        let line = if wanted.is_empty() { "CAP END".to_owned() } else { format!("CAP REQ :{}", wanted.join(" ")) };
        Ok(vec![line])
    }

    /// The login, in as many lines as it needs; one that ends full is followed by an empty one.
    fn sasl_answer(&self) -> Vec<String> {
        let Some((account, password)) = &self.credentials.sasl else { return vec!["AUTHENTICATE *".to_owned()] };
        let answer = STANDARD.encode(format!("\0{account}\0{password}"));
        let chunks = answer.as_bytes().chunks(SASL_CHUNK).map(String::from_utf8_lossy);
        let mut lines: Vec<String> = chunks.map(|chunk| format!("AUTHENTICATE {chunk}")).collect();
        if answer.len().is_multiple_of(SASL_CHUNK) {
            lines.push("AUTHENTICATE +".to_owned());
        }
        lines
    }

    /// Another nick for one that is taken: with `_` after it, or in the place of its end where it may not be longer.
    fn other_nick(&mut self, message: &Message) -> Result<Step, Ended> {
        let is_taken = message.command != "432";
        if self.nicks_tried >= MAX_NICKS || (!is_taken && self.nicks_tried == 1) {
            return Err(Ended::Misconfigured(format!(
                "the server does not take the nick `{}` ({}): choose another one",
                self.settings.nick,
                message.last()
            )));
        }
        if is_taken {
            self.nick.push('_');
        } else {
            let marks = self.nick.len() - self.nick.trim_end_matches('_').len();
            let name = &self.settings.nick;
            let kept = name.chars().count().saturating_sub(marks.max(1));
            self.nick = name.chars().take(kept).collect::<String>() + &"_".repeat(marks.max(1));
        }
        self.nicks_tried += 1;
        Ok(Step::Say(vec![format!("NICK {}", self.nick)]))
    }
}

/// Whether a server that closes the connection does so because of who asks: some give that reason in words only.
fn is_refusal(said: &str) -> bool {
    let said = said.to_lowercase();
    ["password", "banned", "k-lined", "g-lined"].iter().any(|word| said.contains(word))
}

fn no_sasl() -> Ended {
    Ended::Misconfigured(
        "the server offers no SASL PLAIN: leave the SASL account out, or give a NickServ password instead".to_owned(),
    )
}

#[cfg(test)]
#[path = "registration_tests.rs"]
mod tests;
