//! When a session begins anew by itself, in OpenClaw's words (`session.reset`, `session.resetByType`).

use chrono::{DateTime, Days, Duration as Span, NaiveTime, TimeZone};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::entry::ResetReason;
use crate::message::{Address, ChatKind};

/// What makes a session begin anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResetMode {
    /// Only `/new` and `/reset` do.
    #[default]
    None,
    /// The first message after an hour of the day, by the bot's clock.
    Daily,
    /// The first message after nobody wrote for a while.
    Idle,
}

/// When sessions begin anew. With `daily`, `idle_minutes` may be given too: whichever comes first counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetPolicy {
    #[serde(default)]
    pub mode: ResetMode,
    /// 0 to 23, by the bot's clock; 4 unless set.
    #[serde(alias = "atHour", default, skip_serializing_if = "Option::is_none")]
    pub at_hour: Option<u8>,
    /// 60 unless set, in the mode `idle`.
    #[serde(alias = "idleMinutes", default, skip_serializing_if = "Option::is_none")]
    pub idle_minutes: Option<u32>,
}

/// Policies by the kind of chat: what is not set here follows `reset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetByType {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<ResetPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<ResetPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<ResetPolicy>,
}

/// A bot's settings of resets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetSettings {
    #[serde(default)]
    pub reset: ResetPolicy,
    #[serde(alias = "resetByType", default)]
    pub reset_by_type: ResetByType,
}

const DEFAULT_HOUR: u8 = 4;
const DEFAULT_IDLE_MINUTES: u32 = 60;

/// Why settings cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a reset's `at_hour` is 0 to 23, and its `idle_minutes` at least 1")]
pub struct BadResetPolicy;

impl ResetPolicy {
    fn check(self) -> Result<(), BadResetPolicy> {
        let fits = self.at_hour.is_none_or(|hour| hour < 24) && self.idle_minutes.is_none_or(|minutes| minutes > 0);
        if fits { Ok(()) } else { Err(BadResetPolicy) }
    }

    /// Whether a session that was last used at `last` begins anew at `now`.
    fn due(self, last: Timestamp, now: Timestamp, zone: Tz) -> Option<ResetReason> {
        let idle = match self.mode {
            ResetMode::None => None,
            ResetMode::Daily => self.idle_minutes,
            ResetMode::Idle => Some(self.idle_minutes.unwrap_or(DEFAULT_IDLE_MINUTES)),
        };
        if self.mode == ResetMode::Daily {
            let boundary = last_boundary(self.at_hour.unwrap_or(DEFAULT_HOUR), local(now, zone));
            if local(last, zone) < boundary {
                return Some(ResetReason::Daily);
            }
        }
        let is_idle = idle.is_some_and(|minutes| now.since(last).as_secs() >= u64::from(minutes) * 60);
        is_idle.then_some(ResetReason::Idle)
    }
}

impl ResetSettings {
    pub fn check(&self) -> Result<(), BadResetPolicy> {
        let ResetByType { direct, group, thread } = self.reset_by_type;
        [Some(self.reset), direct, group, thread].into_iter().flatten().try_for_each(ResetPolicy::check)
    }

    /// Whether the session of a chat, last used at `last`, begins anew with a message that comes at `now`.
    /// `zone` is the bot's, an IANA name; one that is not known counts as UTC.
    pub fn due(&self, address: &Address, last: Timestamp, now: Timestamp, zone: &str) -> Option<ResetReason> {
        let by_type = match (&address.thread, address.kind) {
            (Some(_), _) => self.reset_by_type.thread,
            (None, ChatKind::Direct) => self.reset_by_type.direct,
            (None, ChatKind::Group | ChatKind::Room) => self.reset_by_type.group,
        };
        by_type.unwrap_or(self.reset).due(last, now, zone.parse().unwrap_or(Tz::UTC))
    }
}

fn local(at: Timestamp, zone: Tz) -> DateTime<Tz> {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    DateTime::from_timestamp_millis(millis).unwrap_or_default().with_timezone(&zone)
}

/// The last time that it was `hour` o'clock. An hour that a change of the clocks leaves out counts as the
/// first moment after it; one that comes twice counts from its first time.
fn last_boundary(hour: u8, now: DateTime<Tz>) -> DateTime<Tz> {
    let at = |date: chrono::NaiveDate| {
        let time = NaiveTime::from_hms_opt(u32::from(hour.min(23)), 0, 0).unwrap_or_default();
        let naive = date.and_time(time);
        // Gaps of an hour are usual, of half an hour exist, of a whole day happened once or twice.
        (0..=48).find_map(|halves| now.timezone().from_local_datetime(&(naive + Span::minutes(30 * halves))).earliest())
    };
    let today = now.date_naive();
    let boundary = at(today).filter(|boundary| *boundary <= now);
    boundary.or_else(|| at(today.checked_sub_days(Days::new(1))?)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let millis = DateTime::parse_from_rfc3339(text).expect("a date").timestamp_millis();
        Timestamp::from_millis(millis.try_into().expect("after 1970"))
    }

    fn place(kind: ChatKind, thread: Option<&str>) -> Address {
        Address { kind, chat: "5".to_owned(), thread: thread.map(str::to_owned), reply_to: None }
    }

    fn daily(hour: u8) -> ResetSettings {
        let reset = ResetPolicy { mode: ResetMode::Daily, at_hour: Some(hour), idle_minutes: None };
        ResetSettings { reset, ..ResetSettings::default() }
    }

    #[test]
    fn nothing_is_reset_unless_it_is_asked_for() {
        let chat = place(ChatKind::Direct, None);
        let settings = ResetSettings::default();
        assert_eq!(settings.due(&chat, at("2020-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z"), "UTC"), None);
    }

    #[test]
    fn a_day_begins_by_the_bots_clock() {
        let chat = place(ChatKind::Direct, None);
        let due = |last, now, zone| daily(4).due(&chat, at(last), at(now), zone);
        let (before, after) = ("2026-11-22T03:59:00+13:00", "2026-11-22T04:00:00+13:00");
        assert_eq!(due(before, after, "Pacific/Auckland"), Some(ResetReason::Daily));
        assert_eq!(due(before, after, "UTC"), None);
        assert_eq!(due(after, "2026-11-23T03:59:00+13:00", "Pacific/Auckland"), None);
        assert_eq!(due(after, "2026-11-23T04:00:00+13:00", "Pacific/Auckland"), Some(ResetReason::Daily));
    }

    #[test]
    fn days_begin_once_when_the_clocks_change() {
        let chat = place(ChatKind::Direct, None);
        let due = |last, now| daily(2).due(&chat, at(last), at(now), "Europe/Berlin");
        // 29 March 2026: 02:00 does not exist, 01:59 is followed by 03:00.
        assert_eq!(due("2026-03-29T01:59:00+01:00", "2026-03-29T03:00:00+02:00"), Some(ResetReason::Daily));
        assert_eq!(due("2026-03-29T03:00:00+02:00", "2026-03-29T23:00:00+02:00"), None);
        // 25 October 2026: 02:00 to 03:00 comes twice.
        assert_eq!(due("2026-10-25T01:59:00+02:00", "2026-10-25T02:00:00+02:00"), Some(ResetReason::Daily));
        assert_eq!(due("2026-10-25T02:30:00+02:00", "2026-10-25T02:10:00+01:00"), None);
    }

    #[test]
    fn idle_sessions_begin_anew_and_kinds_of_chat_may_differ() {
        let idle = |minutes| ResetPolicy { mode: ResetMode::Idle, idle_minutes: minutes, at_hour: None };
        let by_type = ResetByType { group: Some(idle(Some(10))), thread: Some(ResetPolicy::default()), direct: None };
        let settings = ResetSettings { reset: idle(None), reset_by_type: by_type };
        let last = at("2026-11-22T10:00:00Z");
        let due = |kind, thread, now| settings.due(&place(kind, thread), last, at(now), "UTC");
        assert_eq!(due(ChatKind::Direct, None, "2026-11-22T10:59:59Z"), None);
        assert_eq!(due(ChatKind::Direct, None, "2026-11-22T11:00:00Z"), Some(ResetReason::Idle));
        assert_eq!(due(ChatKind::Group, None, "2026-11-22T10:10:00Z"), Some(ResetReason::Idle));
        assert_eq!(due(ChatKind::Group, Some("7"), "2026-12-22T10:10:00Z"), None);
    }

    #[test]
    fn settings_are_checked() {
        assert_eq!(daily(24).check(), Err(BadResetPolicy));
        assert_eq!(daily(23).check(), Ok(()));
    }
}
