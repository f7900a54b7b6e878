//! What becomes of messages that arrive while a turn is under way, in OpenClaw's words (`messages.queue`).

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::word_of;

/// What becomes of a message that arrives while a turn is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueueMode {
    /// It joins the turn at its next step.
    #[default]
    Steer,
    /// It gets a turn of its own, afterwards.
    Followup,
    /// All that wait get one turn together, afterwards.
    Collect,
    /// The turn ends within its step, unanswered, and the newest message gets one.
    Interrupt,
}

/// Which messages are left out when too many wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DropPolicy {
    /// The oldest; the model is told how they began.
    #[default]
    Summarize,
    /// The oldest.
    Old,
    /// The newest.
    New,
}

/// How a bot, or one of its sessions, deals with many messages at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueueSettings {
    pub mode: QueueMode,
    /// Messages that waited for a turn to end are answered once nobody has written for this long.
    pub debounce_ms: u32,
    /// At most this many messages wait.
    pub cap: u32,
    pub drop: DropPolicy,
}

/// OpenClaw's.
const DEFAULT_DEBOUNCE_MS: u32 = 500;
const DEFAULT_CAP: u32 = 20;

/// The longest debounce: whoever wrote waits for it.
const MAX_DEBOUNCE_MS: u32 = 60_000;
const MAX_CAP: u32 = 1000;

impl Default for QueueSettings {
    fn default() -> QueueSettings {
        QueueSettings {
            mode: QueueMode::default(),
            debounce_ms: DEFAULT_DEBOUNCE_MS,
            cap: DEFAULT_CAP,
            drop: DropPolicy::default(),
        }
    }
}

/// Why settings cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a queue's debounce is at most {} s, and its cap 1 to {MAX_CAP}", MAX_DEBOUNCE_MS / 1000)]
pub struct BadQueueSettings;

impl QueueSettings {
    pub fn check(&self) -> Result<(), BadQueueSettings> {
        let fits = self.debounce_ms <= MAX_DEBOUNCE_MS && (1..=MAX_CAP).contains(&self.cap);
        if fits { Ok(()) } else { Err(BadQueueSettings) }
    }

    pub fn debounce(&self) -> Duration {
        Duration::from_millis(self.debounce_ms.into())
    }
}

impl fmt::Display for QueueSettings {
    /// As `/queue` takes it: `steer debounce:500ms cap:20 drop:summarize`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            QueueMode::Steer => "steer",
            QueueMode::Followup => "followup",
            QueueMode::Collect => "collect",
            QueueMode::Interrupt => "interrupt",
        };
        let drop = match self.drop {
            DropPolicy::Summarize => "summarize",
            DropPolicy::Old => "old",
            DropPolicy::New => "new",
        };
        write!(f, "{mode} debounce:{}ms cap:{} drop:{drop}", self.debounce_ms, self.cap)
    }
}

/// What a `/queue` command wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "to", rename_all = "lowercase")]
pub enum QueueChange {
    /// Only to know the settings.
    Show,
    /// The bot's settings again.
    Default,
    /// What is given is changed, the rest stays.
    Set { mode: Option<QueueMode>, debounce_ms: Option<u32>, cap: Option<u32>, drop: Option<DropPolicy> },
    /// A word that is not understood.
    Unknown { word: String },
}

impl QueueChange {
    /// The settings after the change; `None` are the bot's.
    pub fn apply(&self, now: QueueSettings) -> Result<Option<QueueSettings>, BadQueueSettings> {
        match self {
            QueueChange::Show | QueueChange::Unknown { .. } => Ok(Some(now)),
            QueueChange::Default => Ok(None),
            QueueChange::Set { mode, debounce_ms, cap, drop } => {
                let settings = QueueSettings {
                    mode: mode.unwrap_or(now.mode),
                    debounce_ms: debounce_ms.unwrap_or(now.debounce_ms),
                    cap: cap.unwrap_or(now.cap),
                    drop: drop.unwrap_or(now.drop),
                };
                settings.check().map(|()| Some(settings))
            }
        }
    }
}

/// Reads what follows `/queue`.
pub(crate) fn parse_queue(text: &str) -> QueueChange {
    let (mut mode, mut debounce_ms, mut cap, mut drop) = (None, None, None, None);
    for word in text.to_lowercase().split_whitespace() {
        let known = match word.split_once(':') {
            None if word == "default" || word == "reset" => return QueueChange::Default,
            None => word_of(word).map(|value| mode = Some(value)),
            Some(("debounce", value)) => millis(value).map(|value| debounce_ms = Some(value)),
            Some(("cap", value)) => value.parse().ok().map(|value| cap = Some(value)),
            Some(("drop", value)) => word_of(value).map(|value| drop = Some(value)),
            Some(_) => None,
        };
        if known.is_none() {
            return QueueChange::Unknown { word: word.chars().take(40).collect() };
        }
    }
    if text.trim().is_empty() { QueueChange::Show } else { QueueChange::Set { mode, debounce_ms, cap, drop } }
}

/// `500ms`, `2s`, `1.5s` or a number of milliseconds.
fn millis(text: &str) -> Option<u32> {
    if let Some(number) = text.strip_suffix("ms") {
        return number.parse().ok();
    }
    let Some(number) = text.strip_suffix('s') else { return text.parse().ok() };
    let (secs, tenths) = number.split_once('.').unwrap_or((number, "0"));
    if tenths.len() != 1 {
        return None;
    }
    secs.parse::<u32>().ok()?.checked_mul(1000)?.checked_add(tenths.parse::<u32>().ok()? * 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_commands_are_read() {
        let set = parse_queue("Collect debounce:1.5s cap:5 drop:old");
        let settings = set.apply(QueueSettings::default()).expect("they fit").expect("of its own");
        assert_eq!(settings.to_string(), "collect debounce:1500ms cap:5 drop:old");
        assert_eq!(parse_queue(" "), QueueChange::Show);
        assert_eq!(parse_queue("default"), QueueChange::Default);
        assert_eq!(parse_queue("sideways"), QueueChange::Unknown { word: "sideways".to_owned() });
        assert_eq!(parse_queue("debounce:soon"), QueueChange::Unknown { word: "debounce:soon".to_owned() });
        assert_eq!(parse_queue("cap:0").apply(QueueSettings::default()), Err(BadQueueSettings));
        assert_eq!(parse_queue("debounce:2m").apply(QueueSettings::default()), Ok(Some(QueueSettings::default())));
    }
}
