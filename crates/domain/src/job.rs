//! Jobs: what a bot does at its time, in OpenClaw's words.
//!
//! A job is claimed when it is due ([`Job::claim`]): the claim names the runs that are sent, and moves the job on. A run that
//! was sent stays [`JobState::pending`] until its end is reported ([`Job::finish`]). One that is not reported is sent again,
//! under the same name (job and scheduled time), in case that whoever claimed it died before it was sent. Who starts runs must
//! therefore start each name once, as a session does with the messages that it takes in; within [`GIVE_UP_AFTER`].

mod claim;
mod finish;
mod openclaw;
mod request;
mod run;

use std::collections::BTreeMap;
use std::time::Duration;

pub use claim::{Claim, GRACE, MAX_PENDING, RESEND_AFTER};
pub use finish::{
    Finished, GIVE_UP_AFTER, MAX_DAYS, MAX_ERRORS, MAX_RETRIES, MAX_RUNS, Outcome, Pause, Report, Run, RunHistory,
    Tally,
};
pub use run::JobRun;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::account::Thinking;
use crate::message::ChatKind;
use crate::schedule::{BadSchedule, SHORTEST, Schedule, WIDEST_SPREAD, spread};
use crate::session::{ParseSessionKeyError, SessionKey};
use crate::turn::ReplyTo;
use crate::{AccountId, BotId, JobId, LinkId, Timestamp};

/// The longest name of a job, in characters.
pub const MAX_NAME: usize = 120;

/// The longest message or text of a job, in bytes.
pub const MAX_TEXT: usize = 16 * 1024;

/// What a run's turn is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Payload {
    /// Something that happened, told to the session.
    SystemEvent {
        /// What happened.
        text: String,
    },
    /// Work for the agent.
    AgentTurn {
        /// What the agent is told to do.
        message: String,
        /// `provider/model` instead of the bot's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thinking: Option<Thinking>,
        /// Tools that the run may use; `*` is all, and so is an empty list.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tools_allow: Vec<String>,
    },
    /// A look at what there is to do ([`crate::heartbeat`]).
    Heartbeat,
}

/// Which session a job's turns belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum SessionTarget {
    /// The bot's own conversation.
    Main,
    /// A new session for each run.
    #[default]
    Isolated,
    /// The session in which the job was made. A door that knows one writes it down as [`SessionTarget::Named`].
    Current,
    /// `session:<name>`: a session key, or the name of a session that is the job's own.
    Named(String),
}

/// A text that is not a session target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a session target; there are `main`, `isolated`, `current` and `session:<name>`")]
pub struct ParseSessionTargetError(String);

impl TryFrom<String> for SessionTarget {
    type Error = ParseSessionTargetError;

    fn try_from(text: String) -> Result<SessionTarget, ParseSessionTargetError> {
        match (text.as_str(), text.strip_prefix("session:")) {
            ("main", _) => Ok(SessionTarget::Main),
            ("isolated", _) => Ok(SessionTarget::Isolated),
            ("current", _) => Ok(SessionTarget::Current),
            (_, Some(name)) if !name.is_empty() => Ok(SessionTarget::Named(name.to_owned())),
            _ => Err(ParseSessionTargetError(text.chars().take(80).collect())),
        }
    }
}

impl From<SessionTarget> for String {
    fn from(target: SessionTarget) -> String {
        match target {
            SessionTarget::Main => "main".to_owned(),
            SessionTarget::Isolated => "isolated".to_owned(),
            SessionTarget::Current => "current".to_owned(),
            SessionTarget::Named(name) => format!("session:{name}"),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryMode {
    /// The answer stays in the session.
    None,
    /// The answer is sent to a chat.
    #[default]
    Announce,
    /// The answer is posted to the URL in `to`.
    Webhook,
}

/// Where a run's answer goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobDelivery {
    /// Whether, and how, the answer is sent.
    #[serde(default)]
    pub mode: DeliveryMode,
    /// A channel's name, or `last`: where the owner wrote last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The channel's id of the chat, or a webhook's URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// A topic or thread within the chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// OpenClaw's name of the login on the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// The login on the channel. `None`: the bot's only one there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkId>,
    /// What kind of place the chat is. `None`: what its id tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_kind: Option<ChatKind>,
    /// Where answers are read from a session's log: the session that is told. `None`: the bot's own conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionKey>,
    /// An answer that cannot be sent is no error of the run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub best_effort: bool,
}

impl JobDelivery {
    /// The answer stays in the session.
    pub fn nowhere() -> JobDelivery {
        JobDelivery { mode: DeliveryMode::None, ..JobDelivery::default() }
    }

    /// Where a job was asked for, in `session`.
    pub fn to_place(place: &ReplyTo, session: &SessionKey) -> JobDelivery {
        JobDelivery {
            channel: Some(place.channel.to_string()),
            to: Some(place.address.chat.clone()),
            thread_id: place.address.thread.clone(),
            link: Some(place.link),
            chat_kind: Some(place.address.kind),
            session: place.channel.is_read_from_log().then(|| session.clone()),
            ..JobDelivery::default()
        }
    }

    /// Whether this is that place.
    pub fn is_to(&self, place: &ReplyTo) -> bool {
        self.link == Some(place.link)
            && self.to.as_ref() == Some(&place.address.chat)
            && self.thread_id == place.address.thread
    }
}

/// What becomes of times that passed without a run, because nothing ticked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "policy", rename_all = "lowercase")]
pub enum Missed {
    /// They are left out, once they are later than [`GRACE`].
    Skip,
    /// One run stands for all of them.
    #[default]
    Once,
    /// Each is made up for, the newest `cap` of them at most.
    All {
        /// How many are made up for; 10 unless given.
        #[serde(default = "default_cap")]
        cap: u32,
    },
}

fn default_cap() -> u32 {
    10
}

/// What its owner says of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobSpec {
    /// What people call it: 1 to 120 characters.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it runs by itself.
    #[serde(default = "enabled")]
    pub enabled: bool,
    pub schedule: Schedule,
    #[serde(default)]
    pub session_target: SessionTarget,
    pub payload: Payload,
    /// `None`: an isolated turn's answer is announced where the owner wrote last; a session's own answers go where the
    /// session's answers go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<JobDelivery>,
    /// The job is deleted when a run went well. `None`: if it runs once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_run: Option<bool>,
    #[serde(default)]
    pub missed: Missed,
    /// Each run is late by up to this many milliseconds, another part of it each time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub jitter_ms: u64,
}

fn enabled() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Why a job cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadJob {
    #[error(transparent)]
    Schedule(#[from] BadSchedule),
    #[error("a job's name has 1 to {MAX_NAME} characters and no control characters")]
    Name,
    #[error("a job's message has 1 to {MAX_TEXT} bytes")]
    Text,
    #[error("`{0}` cannot name a session: use letters, digits, `-`, `_`, `.` and `:`")]
    Session(String),
    #[error("a webhook's `to` is its URL, which begins with `https://` or `http://`")]
    Webhook,
    #[error("`missed.cap` is 1 to {MAX_PENDING}")]
    Cap,
    #[error("`jitterMs` should be below the shortest time between two runs, which is {} ms", .0.as_millis())]
    Jitter(Duration),
    /// OpenClaw has it, and there is nothing here that could do it.
    #[error("{0}")]
    Unsupported(&'static str),
    #[error("this is not a job: {0}")]
    Malformed(String),
}

impl JobSpec {
    /// Whether the job can be done.
    pub fn check(&self) -> Result<(), BadJob> {
        self.schedule.check()?;
        let name = self.name.trim();
        if !(1..=MAX_NAME).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(BadJob::Name);
        }
        match &self.payload {
            Payload::SystemEvent { text } | Payload::AgentTurn { message: text, .. } => {
                if text.trim().is_empty() || text.len() > MAX_TEXT {
                    return Err(BadJob::Text);
                }
            }
            Payload::Heartbeat => {}
        }
        if let SessionTarget::Named(name) = &self.session_target {
            named_session("main", name).map_err(|_| BadJob::Session(name.chars().take(80).collect()))?;
        }
        let is_url = |to: &str| to.starts_with("https://") || to.starts_with("http://");
        let delivery = self.delivery.as_ref();
        if delivery.is_some_and(|d| d.mode == DeliveryMode::Webhook && !d.to.as_deref().is_some_and(is_url)) {
            return Err(BadJob::Webhook);
        }
        if u128::from(self.jitter_ms) > WIDEST_SPREAD.as_millis() {
            return Err(BadSchedule::TooWide.into());
        }
        // A run that begins after the next one would be passed over.
        let jitter = Duration::from_millis(self.jitter_ms);
        if jitter >= SHORTEST
            && let Some(shortest) = self.schedule.shortest_interval()
            && jitter >= shortest
        {
            return Err(BadJob::Jitter(shortest));
        }
        match self.missed {
            Missed::All { cap } if !(1..=MAX_PENDING as u32).contains(&cap) => Err(BadJob::Cap),
            _ => Ok(()),
        }
    }

    /// The same with what is left open in its schedule.
    #[must_use]
    pub fn settled(self, zone: &str, now: Timestamp) -> JobSpec {
        JobSpec { schedule: self.schedule.settled(zone, now), ..self }
    }

    fn deletes_itself(&self) -> bool {
        self.delete_after_run.unwrap_or(self.schedule.is_one_shot())
    }
}

/// One run of a job: `scheduled` names it, `at` is when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Firing {
    pub scheduled: Timestamp,
    pub at: Timestamp,
}

/// How far a job has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct JobState {
    /// The first of the schedule's times that was not claimed. The run begins at [`Job::begins`] of it.
    #[serde(rename = "nextRunAtMs", skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
    /// Runs that were claimed and whose end was not reported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<Firing>,
    /// When pending runs are sent again.
    #[serde(rename = "sendAgainAtMs", skip_serializing_if = "Option::is_none")]
    pub again_at: Option<Timestamp>,
    #[serde(rename = "lastRunAtMs", skip_serializing_if = "Option::is_none")]
    pub last_run_at: Option<Timestamp>,
    /// When a run last ended that had asked a model and had its answer.
    #[serde(rename = "lastAskedAtMs", skip_serializing_if = "Option::is_none")]
    pub last_asked_at: Option<Timestamp>,
    #[serde(rename = "lastOutcome", skip_serializing_if = "Option::is_none")]
    pub last: Option<Outcome>,
    /// How many runs failed one after the other. Those that were under way at the same time count as one.
    pub consecutive_errors: u32,
    /// When the last of these errors was counted: what was under way by then fails for the same reason.
    #[serde(rename = "lastErrorAtMs", skip_serializing_if = "Option::is_none")]
    pub last_error_at: Option<Timestamp>,
    /// Why the job was switched off by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// All runs that ended.
    #[serde(flatten)]
    pub total: Tally,
    /// The same by the day (UTC, `2026-11-22`) on which they began: the last [`MAX_DAYS`] that had any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub days: BTreeMap<String, Tally>,
    /// How many times passed without a run; at least so many, after a long outage.
    pub missed: u64,
}

/// A job of a bot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    pub id: JobId,
    pub account: AccountId,
    pub bot: BotId,
    #[serde(flatten)]
    pub spec: JobSpec,
    #[serde(default)]
    pub state: JobState,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Counts the writes of this record.
    pub version: u64,
}

impl Job {
    /// Makes a job. `zone` is the bot's. Fails if the job cannot be done, or its time is over.
    pub fn create(
        id: JobId,
        account: AccountId,
        bot: BotId,
        spec: JobSpec,
        zone: &str,
        now: Timestamp,
    ) -> Result<Job, BadJob> {
        let state = JobState::default();
        let job = Job { id, account, bot, spec, state, created_at: now, updated_at: now, version: 1 };
        job.scheduled_anew(zone, now)
    }

    /// The job as its owner wants it now. A schedule that did not change goes on; one that did, or that was switched on,
    /// begins anew: what passed meanwhile was not missed.
    pub fn edit(&self, spec: JobSpec, zone: &str, now: Timestamp) -> Result<Job, BadJob> {
        let schedule = spec.schedule.clone().settled(zone, now);
        let goes_on = schedule == self.spec.schedule && spec.enabled == self.spec.enabled;
        let job = Job { spec, updated_at: now, version: self.version + 1, ..self.clone() };
        if goes_on {
            let job = Job { spec: JobSpec { schedule, ..job.spec }, ..job };
            job.spec.check()?;
            return Ok(job);
        }
        job.scheduled_anew(zone, now)
    }

    fn scheduled_anew(mut self, zone: &str, now: Timestamp) -> Result<Job, BadJob> {
        self.spec.schedule = self.spec.schedule.settled(zone, now);
        self.spec.check()?;
        self.state.next = self.spec.schedule.next_after(now);
        if self.state.next.is_none() && self.spec.enabled {
            return Err(BadSchedule::Never.into());
        }
        // What was sent ahead of its time under the old schedule is not done.
        self.state.pending.retain(|run| run.at <= now);
        if self.state.pending.is_empty() {
            self.state.again_at = None;
        }
        (self.state.consecutive_errors, self.state.last_error_at, self.state.paused) = (0, None, None);
        Ok(self)
    }

    /// Whether it was asked for in this place, or tells its answers there.
    pub fn is_of(&self, place: &ReplyTo) -> bool {
        self.spec.delivery.as_ref().is_some_and(|delivery| delivery.is_to(place))
    }

    /// When the run of a scheduled time begins: later, if the job is spread.
    pub fn begins(&self, scheduled: Timestamp) -> Timestamp {
        let jitter = spread(&format!("{}{scheduled}", self.id), Duration::from_millis(self.spec.jitter_ms));
        scheduled + self.spec.schedule.stagger(self.id) + jitter
    }

    /// How much later than its scheduled time a run begins at most.
    fn widest_spread(&self) -> Duration {
        self.spec.schedule.stagger(self.id) + Duration::from_millis(self.spec.jitter_ms)
    }

    /// When somebody has to look at the job. `None`: nothing waits.
    pub fn due_at(&self) -> Option<Timestamp> {
        let next = self.state.next.filter(|_| self.spec.enabled).map(|next| self.begins(next));
        [next, self.state.again_at].into_iter().flatten().min()
    }

    /// The runs that begin from `from` on and before `to`, in the order of their scheduled times; at most 1000. Past ones
    /// are told as the schedule is now.
    pub fn due_times(&self, from: Timestamp, to: Timestamp) -> Vec<Firing> {
        let mut scheduled = self.spec.schedule.next_after(from - self.widest_spread() - Duration::from_millis(1));
        std::iter::from_fn(|| {
            let now = scheduled?;
            scheduled = self.spec.schedule.next_after(now);
            Some(now)
        })
        .take_while(|scheduled| *scheduled < to)
        .map(|scheduled| Firing { scheduled, at: self.begins(scheduled) })
        .filter(|firing| (from..to).contains(&firing.at))
        .take(1000)
        .collect()
    }

    /// Its next runs, `count` at most, in the order in which they begin: those that were sent ahead of their time, the
    /// first that was not, even if it is overdue, and those that the schedule names after it.
    pub fn next_runs(&self, now: Timestamp, count: usize) -> Vec<Firing> {
        let first = self.state.next.filter(|_| self.spec.enabled);
        // What passed during an outage is not counted through.
        let passed = now - self.widest_spread();
        let named = std::iter::successors(first, |at| self.spec.schedule.next_after(passed.max(*at)));
        let runs = named.map(|scheduled| Firing { scheduled, at: self.begins(scheduled) });
        let runs = runs.filter(|run| run.at > now || Some(run.scheduled) == first).take(count);
        let sent = self.state.pending.iter().copied().filter(|run| run.at > now);
        let mut next: Vec<Firing> = sent.chain(runs).collect();
        next.sort_by_key(|run| (run.at, run.scheduled));
        next.truncate(count);
        next
    }

    /// The session of one run; `agent` is the bot's agent id.
    pub fn session(&self, agent: &str, scheduled: Timestamp) -> Result<SessionKey, ParseSessionKeyError> {
        match &self.spec.session_target {
            SessionTarget::Main => Ok(SessionKey::main(agent)),
            SessionTarget::Isolated | SessionTarget::Current => {
                own_session(agent, &format!("cron:{}:run:{scheduled}", self.id).to_lowercase())
            }
            SessionTarget::Named(name) => named_session(agent, name),
        }
    }
}

fn named_session(agent: &str, name: &str) -> Result<SessionKey, ParseSessionKeyError> {
    name.parse().or_else(|_| own_session(agent, name))
}

fn own_session(agent: &str, name: &str) -> Result<SessionKey, ParseSessionKeyError> {
    let main = SessionKey::main(agent);
    let agent = main.as_str().strip_suffix(":main").unwrap_or(main.as_str());
    format!("{agent}:{name}").parse()
}

#[cfg(test)]
mod tests;
