//! Heartbeats: a bot looks by itself, now and then, whether there is something to do.
//!
//! A heartbeat is a job ([`HeartbeatSettings::job`]). Before a model is asked, [`heartbeat_gate`] decides from what is known
//! whether there can be anything to do at all; what it decides is the outcome of the job's run.

use std::fmt;

use chrono::{DateTime, NaiveTime, Timelike};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::{BadJob, DeliveryMode, JobDelivery, JobSpec, Missed, Outcome, Payload, SessionTarget};
use crate::{BotId, JobId, Schedule, Timestamp};

/// The workspace file that says what a heartbeat looks after.
pub const HEARTBEAT_NOTE: &str = "HEARTBEAT.md";

/// What a model answers when nobody is to hear from it.
pub const NO_REPLY: &str = "NO_REPLY";

/// What a model answers to a heartbeat when all is well.
pub const HEARTBEAT_OK: &str = "HEARTBEAT_OK";

/// How many characters beside [`HEARTBEAT_OK`] are still only an acknowledgement.
const MAX_ACKNOWLEDGEMENT: usize = 300;

/// The longest prompt of a heartbeat, in bytes.
const MAX_PROMPT: usize = 8 * 1024;

/// A bot's settings of heartbeats; by default it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HeartbeatSettings {
    /// Minutes between two heartbeats. `None`: no heartbeats.
    #[serde(alias = "everyMinutes", skip_serializing_if = "Option::is_none")]
    pub every_minutes: Option<u32>,
    /// By the bot's clock. `None`: always.
    #[serde(alias = "activeHours", skip_serializing_if = "Option::is_none")]
    pub active_hours: Option<ActiveHours>,
    /// Where something worth saying goes. `None`: it stays in the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<JobDelivery>,
    /// What the model is asked, instead of the usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// A note that was looked at before is looked at again only when something happened since.
    #[serde(alias = "onlyOnNews", skip_serializing_if = "std::ops::Not::not")]
    pub only_on_news: bool,
}

/// Hours of the day, `HH:MM`. They may go over midnight; `end` may be `24:00`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActiveHours {
    /// `HH:MM`, by the bot's time zone.
    pub start: String,
    /// `HH:MM`; `24:00` is the end of the day.
    pub end: String,
}

/// Why settings cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHeartbeat {
    #[error("a heartbeat's `every_minutes` is 1 to 10080 (a week)")]
    Interval,
    #[error("active hours have a `start` and an `end` such as `08:00` and `22:30`, which differ")]
    ActiveHours,
    #[error("a heartbeat's prompt has at most {MAX_PROMPT} bytes")]
    Prompt,
    #[error(
        "what a heartbeat says goes to a chat (`announce`) or stays in the session (`none`); it is posted to no webhook"
    )]
    Target,
    #[error(transparent)]
    Job(#[from] BadJob),
}

impl ActiveHours {
    /// The minutes of the day at which they begin and end.
    fn minutes(&self) -> Option<(u32, u32)> {
        let minute = |text: &str| match text {
            "24:00" => Some(24 * 60),
            _ => NaiveTime::parse_from_str(text, "%H:%M").ok().map(|time| time.hour() * 60 + time.minute()),
        };
        let (start, end) = (minute(&self.start)?, minute(&self.end)?);
        (start != end && start < 24 * 60).then_some((start, end))
    }

    fn contain(&self, now: Timestamp, zone: Tz) -> bool {
        // Hours that cannot be read were never taken; they limit nothing.
        let Some((start, end)) = self.minutes() else { return true };
        let millis = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let local = DateTime::from_timestamp_millis(millis).unwrap_or_default().with_timezone(&zone);
        let minute = local.hour() * 60 + local.minute();
        if start < end { (start..end).contains(&minute) } else { minute >= start || minute < end }
    }
}

impl HeartbeatSettings {
    pub fn check(&self) -> Result<(), BadHeartbeat> {
        if self.every_minutes.is_some_and(|minutes| !(1..=7 * 24 * 60).contains(&minutes)) {
            return Err(BadHeartbeat::Interval);
        }
        if self.active_hours.as_ref().is_some_and(|hours| hours.minutes().is_none()) {
            return Err(BadHeartbeat::ActiveHours);
        }
        if self.prompt.as_ref().is_some_and(|prompt| prompt.len() > MAX_PROMPT) {
            return Err(BadHeartbeat::Prompt);
        }
        if self.target.as_ref().is_some_and(|target| target.mode == DeliveryMode::Webhook) {
            return Err(BadHeartbeat::Target);
        }
        self.job().map_or(Ok(()), |spec| Ok(spec.check()?))
    }

    /// The job that these settings ask for; `None`: the bot has no heartbeats. A heartbeat that was missed is not made up for,
    /// and the heartbeats of many bots are spread over their interval.
    pub fn job(&self) -> Option<JobSpec> {
        let every_ms = u64::from(self.every_minutes?) * 60_000;
        Some(JobSpec {
            name: "heartbeat".to_owned(),
            description: None,
            enabled: true,
            schedule: Schedule::Every { every_ms, anchor_ms: None },
            session_target: SessionTarget::Main,
            payload: Payload::Heartbeat,
            delivery: Some(self.target.clone().unwrap_or_else(JobDelivery::nowhere)),
            delete_after_run: None,
            missed: Missed::Skip,
            jitter_ms: 0,
        })
    }
}

impl JobId {
    /// The job of a bot's heartbeats: there is one.
    pub fn heartbeat_of(bot: BotId) -> JobId {
        JobId::from_parts(bot.made_at(), bot.random())
    }
}

/// What is known before a heartbeat.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub now: Timestamp,
    /// The bot's, an IANA name; one that is not known counts as UTC.
    pub zone: &'a str,
    /// The text of [`HEARTBEAT_NOTE`], if there is one.
    pub note: Option<&'a str>,
    /// When a heartbeat last asked the model.
    pub last_run: Option<Timestamp>,
    /// When something last happened: a message in the session, a change of the note.
    pub last_news: Option<Timestamp>,
    /// Whether the bot's and the account's budgets have room for a turn.
    pub has_budget: bool,
    pub is_turn_under_way: bool,
}

/// Whether a heartbeat asks the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    Run,
    Skip(SkipReason),
}

/// Why a heartbeat does not ask the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    Off,
    OutsideActiveHours,
    NothingToDo,
    NothingNew,
    TurnUnderWay,
    NoBudget,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SkipReason::Off => "heartbeats are off",
            SkipReason::OutsideActiveHours => "outside active hours",
            SkipReason::NothingToDo => "HEARTBEAT.md says nothing to do",
            SkipReason::NothingNew => "nothing happened since the last heartbeat",
            SkipReason::TurnUnderWay => "a turn is under way",
            SkipReason::NoBudget => "the budget is used up",
        })
    }
}

impl From<SkipReason> for Outcome {
    fn from(reason: SkipReason) -> Outcome {
        Outcome::Skipped { reason: reason.to_string() }
    }
}

/// Decides whether a heartbeat asks the model.
pub fn heartbeat_gate(settings: &HeartbeatSettings, facts: &Facts<'_>) -> Gate {
    let zone = facts.zone.parse().unwrap_or(Tz::UTC);
    let is_new = facts.last_run.is_none_or(|run| facts.last_news.is_some_and(|news| news > run));
    let skips = [
        (settings.every_minutes.is_none(), SkipReason::Off),
        (
            settings.active_hours.as_ref().is_some_and(|hours| !hours.contain(facts.now, zone)),
            SkipReason::OutsideActiveHours,
        ),
        (facts.note.is_none_or(is_empty_note), SkipReason::NothingToDo),
        (settings.only_on_news && !is_new, SkipReason::NothingNew),
        (facts.is_turn_under_way, SkipReason::TurnUnderWay),
        (!facts.has_budget, SkipReason::NoBudget),
    ];
    skips.into_iter().find(|(applies, _)| *applies).map_or(Gate::Run, |(_, reason)| Gate::Skip(reason))
}

/// Whether a note asks for nothing: it has only headings, comments, rules, and list items without text.
pub fn is_empty_note(note: &str) -> bool {
    without_comments(note).lines().all(|line| {
        let line = line.trim();
        let after_hashes = line.trim_start_matches('#');
        let is_heading = after_hashes.len() < line.len() && (after_hashes.is_empty() || after_hashes.starts_with(' '));
        let item = line.strip_prefix(['-', '*', '+']).map_or(line, str::trim);
        let is_bare_item = matches!(item, "" | "[]" | "[ ]" | "[x]" | "[X]");
        let is_rule = line.bytes().all(|byte| matches!(byte, b'-' | b'*' | b'_' | b'=')) || line.starts_with("```");
        is_heading || is_bare_item || is_rule
    })
}

/// The text without `<!-- … -->`; one that is not closed goes to the end.
fn without_comments(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("<!--") {
        kept.push_str(before);
        rest = comment.split_once("-->").map_or("", |(_, after)| after);
    }
    kept + rest
}

/// Whether an answer says that nobody is to hear it: [`NO_REPLY`] or [`HEARTBEAT_OK`], and nothing else but markup and
/// a little punctuation. An answer that only mentions them is not silent.
pub fn is_silent_reply(text: &str) -> bool {
    let bare = without_markup(text);
    [NO_REPLY, HEARTBEAT_OK].iter().any(|token| bare.strip_prefix(token).is_some_and(is_punctuation))
}

/// What is sent of an answer to a heartbeat. `None`: nothing; it is silent, or acknowledges with a few words
/// beside [`HEARTBEAT_OK`].
pub fn heartbeat_reply(text: &str) -> Option<String> {
    let bare = without_markup(text);
    if bare.is_empty() || is_silent_reply(bare) {
        return None;
    }
    let before = bare.trim_end_matches(|c: char| !c.is_alphanumeric()).strip_suffix(HEARTBEAT_OK);
    if let Some(rest) = bare.strip_prefix(HEARTBEAT_OK).or(before).map(without_markup) {
        return (rest.chars().count() > MAX_ACKNOWLEDGEMENT).then(|| rest.to_owned());
    }
    let text = text.trim();
    Some(
        text.strip_suffix(NO_REPLY)
            .filter(|rest| rest.ends_with(char::is_whitespace))
            .unwrap_or(text)
            .trim()
            .to_owned(),
    )
}

fn is_punctuation(rest: &str) -> bool {
    rest.chars().count() <= 4 && rest.chars().all(|c| !c.is_alphanumeric() && c != '_')
}

/// The text without the emphasis, quotes, code fences and simple tags around it.
fn without_markup(text: &str) -> &str {
    let mut text = text;
    loop {
        let inner = text.trim().trim_matches(['*', '`', '~', '"', '\'']).trim();
        let inner = match inner.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
            Some((_, after)) => after.rsplit_once("</").map_or(after, |(before, _)| before),
            None => inner,
        };
        if inner == text {
            return text;
        }
        text = inner;
    }
}

#[cfg(test)]
mod tests;
