//! When a job runs: once, at an interval, or by a cron expression, in OpenClaw's words (`at`, `every`, `cron`).
//!
//! What is asked here are the times that a schedule names. When a job really runs is a little later, if it is
//! spread ([`Schedule::stagger`], [`crate::job::JobSpec::jitter_ms`]).
//!
//! A cron expression follows the wall clock of its zone. When the clocks change, it depends on whether the
//! expression names one time of the day:
//!
//! | expression | a time that is left out | a time that comes twice |
//! | --- | --- | --- |
//! | one second, one minute, one hour: `30 2 * * *` | runs at the first moment after it | runs at the first of the two |
//! | anything else: `*/30 * * * *`, `0 1,13 * * *` | does not run | runs at both |

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, SecondsFormat};
use chrono_tz::Tz;
use croner::Cron;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::when::{in_units, local_time};
use crate::{JobId, Timestamp};

/// The shortest interval of a schedule: jobs are looked at once a minute.
pub const SHORTEST: Duration = Duration::from_secs(60);

/// The widest window over which runs are spread.
pub const WIDEST_SPREAD: Duration = Duration::from_secs(24 * 3600);

/// How far jobs are spread that would all run at the top of the hour, unless they say otherwise (as OpenClaw does).
pub const TOP_OF_HOUR_STAGGER: Duration = Duration::from_secs(5 * 60);

/// How many times of a cron expression are compared, and from when on (2026-01-01).
const LOOKED_AT: usize = 400;
const FIXED_DAY: Timestamp = Timestamp::from_secs(1_767_225_600);

/// The longest cron expression, in bytes.
const MAX_EXPR: usize = 200;

/// The end of the year 9999. No schedule goes beyond it.
const END_OF_TIME: u64 = 253_402_300_799_999;

/// When a job runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum Schedule {
    /// Once.
    At {
        /// The time, as ISO 8601 writes it.
        #[serde(with = "moment")]
        #[schemars(with = "String")]
        at: Timestamp,
    },
    /// Each `every_ms` milliseconds, counted from `anchor_ms` (since the epoch).
    Every {
        /// The interval, a minute at least.
        every_ms: u64,
        /// `None` only until the job is made, which is then its anchor.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        anchor_ms: Option<u64>,
    },
    /// By a cron expression of five fields, or of six with a fixed second in front.
    Cron {
        /// Such as `0 9 * * 1-5`.
        expr: String,
        /// IANA name. `None` only until the job is made: then it is the bot's. Without either, UTC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tz: Option<String>,
        /// Over how many milliseconds such jobs are spread. `None`: [`TOP_OF_HOUR_STAGGER`] where the expression means
        /// the top of many hours, otherwise not at all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stagger_ms: Option<u64>,
    },
}

/// Why a schedule cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    #[error("`{expr}` is not a cron expression: {reason}. It should look like `0 9 * * 1-5`")]
    Expression { expr: String, reason: String },
    #[error("`{0}` is not a time zone; it should be an IANA name such as `Europe/Berlin`")]
    Zone(String),
    #[error(
        "a job runs at most once a minute: `everyMs` is at least 60000, and a cron expression's second is one number"
    )]
    TooOften,
    #[error("runs are spread over at most 24 hours (86400000 ms)")]
    TooWide,
    #[error("this schedule never fires: its time is over, or no such day exists")]
    Never,
}

impl Schedule {
    /// Whether the schedule can be used. One that never fires passes: [`Schedule::next_after`] tells.
    pub fn check(&self) -> Result<(), BadSchedule> {
        match self {
            Schedule::At { .. } => Ok(()),
            Schedule::Every { every_ms, .. } if u128::from(*every_ms) < SHORTEST.as_millis() => {
                Err(BadSchedule::TooOften)
            }
            Schedule::Every { .. } => Ok(()),
            Schedule::Cron { expr, tz, stagger_ms } => {
                let bad = |reason: String| BadSchedule::Expression { expr: expr.chars().take(80).collect(), reason };
                if expr.len() > MAX_EXPR {
                    return Err(bad(format!("it is longer than {MAX_EXPR} bytes")));
                }
                Cron::from_str(expr).map_err(|e| bad(e.to_string()))?;
                let fields: Vec<&str> = expr.split_whitespace().collect();
                if fields.len() > 5 && !fields[0].bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(BadSchedule::TooOften);
                }
                if stagger_ms.is_some_and(|window| u128::from(window) > WIDEST_SPREAD.as_millis()) {
                    return Err(BadSchedule::TooWide);
                }
                match tz {
                    Some(name) if name.parse::<Tz>().is_err() => {
                        Err(BadSchedule::Zone(name.chars().take(64).collect()))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// The same with what was left open: the zone of a cron expression, the anchor of an interval.
    #[must_use]
    pub fn settled(self, zone: &str, now: Timestamp) -> Schedule {
        match self {
            Schedule::At { at } => Schedule::At { at },
            Schedule::Every { every_ms, anchor_ms } => {
                Schedule::Every { every_ms, anchor_ms: anchor_ms.or(Some(now.as_millis())) }
            }
            Schedule::Cron { expr, tz, stagger_ms } => {
                Schedule::Cron { expr, tz: tz.or_else(|| Some(zone.to_owned())), stagger_ms }
            }
        }
    }

    /// The schedule in words, its times by the clock of `zone`: `every 30m`, `once at 2026-11-22 14:30 UTC`.
    pub fn in_words(&self, zone: &str) -> String {
        match self {
            Schedule::At { at } => format!("once at {}", local_time(*at, zone)),
            Schedule::Every { every_ms, .. } => format!("every {}", in_units(Duration::from_millis(*every_ms))),
            Schedule::Cron { expr, tz, .. } => format!("`{expr}` {}", tz.as_deref().unwrap_or(zone)),
        }
    }

    pub fn is_one_shot(&self) -> bool {
        matches!(self, Schedule::At { .. })
    }

    /// The first time after `after` that the schedule names. `None`: there is none, or the schedule cannot be used.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let next = match self {
            Schedule::At { at } => (*at > after).then_some(*at),
            Schedule::Every { every_ms, anchor_ms } => {
                let (anchor, after) = (anchor_ms.unwrap_or(0), after.as_millis());
                let Some(since) = after.checked_sub(anchor) else { return bounded(Timestamp::from_millis(anchor)) };
                let steps = since.checked_div(*every_ms)? + 1;
                Some(Timestamp::from_millis(anchor.checked_add(steps.checked_mul(*every_ms)?)?))
            }
            Schedule::Cron { expr, tz, .. } => {
                let cron = Cron::from_str(expr).ok()?;
                from_local(&cron.find_next_occurrence(&local(after, tz.as_deref())?, false).ok()?)
            }
        };
        next.and_then(bounded)
    }

    /// A time from which the schedule names about `count` times until `until`: where to start when what lies longer
    /// back does not matter.
    pub(crate) fn back_from(&self, until: Timestamp, count: u32) -> Option<Timestamp> {
        match self {
            Schedule::At { at } => Some(*at),
            Schedule::Every { every_ms, .. } => {
                Some(until - Duration::from_millis(every_ms.saturating_mul(u64::from(count))))
            }
            Schedule::Cron { expr, tz, .. } => {
                let cron = Cron::from_str(expr).ok()?;
                let before = cron.iter_before(local(until, tz.as_deref())?).nth(usize::try_from(count).ok()?)?;
                from_local(&before)
            }
        }
    }

    /// The shortest time between two of its times; of a cron expression, among the next few hundred from a fixed day on.
    /// `None`: it names one time, or none.
    pub fn shortest_interval(&self) -> Option<Duration> {
        match self {
            Schedule::At { .. } => None,
            Schedule::Every { every_ms, .. } => Some(Duration::from_millis(*every_ms)),
            Schedule::Cron { .. } => {
                let first = self.next_after(FIXED_DAY);
                let times = std::iter::successors(first, |at| self.next_after(*at)).take(LOOKED_AT);
                let times: Vec<Timestamp> = times.collect();
                times.windows(2).map(|pair| pair[1].since(pair[0])).min()
            }
        }
    }

    /// How much later than its times a job runs, so that not all run at once: always the same for one job.
    pub fn stagger(&self, job: JobId) -> Duration {
        let Schedule::Cron { expr, stagger_ms, .. } = self else { return Duration::ZERO };
        let window = stagger_ms.map(Duration::from_millis);
        let default = || if is_top_of_hour(expr) { TOP_OF_HOUR_STAGGER } else { Duration::ZERO };
        spread(&job.to_string(), window.unwrap_or_else(default))
    }
}

/// A part of `window` that looks random and is always the same for the same text.
pub(crate) fn spread(text: &str, window: Duration) -> Duration {
    let digest = Sha256::digest(text);
    let number = digest.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(number.checked_rem(window).unwrap_or(0))
}

/// Whether an expression means the full hour, of many hours: `0 * * * *`, `0 */2 * * *`.
fn is_top_of_hour(expr: &str) -> bool {
    let fields: Vec<&str> = expr.split_whitespace().collect();
    let (zeros, hours) = match fields[..] {
        [minute, hour, _, _, _] => (minute == "0", hour),
        [second, minute, hour, _, _, _] => (second == "0" && minute == "0", hour),
        _ => return false,
    };
    zeros && hours.split(',').any(|part| part.starts_with('*'))
}

fn bounded(at: Timestamp) -> Option<Timestamp> {
    (at.as_millis() <= END_OF_TIME).then_some(at)
}

fn local(at: Timestamp, zone: Option<&str>) -> Option<DateTime<Tz>> {
    let zone: Tz = zone.map_or(Ok(Tz::UTC), str::parse).ok()?;
    let millis = i64::try_from(bounded(at)?.as_millis()).ok()?;
    Some(DateTime::from_timestamp_millis(millis)?.with_timezone(&zone))
}

fn from_local(at: &DateTime<Tz>) -> Option<Timestamp> {
    u64::try_from(at.timestamp_millis()).ok().map(Timestamp::from_millis)
}

/// A point in time as ISO 8601; without an offset it is UTC, and a number is milliseconds since the epoch.
mod moment {
    use serde::de::{Deserializer, Error};
    use serde::ser::Serializer;

    use super::*;

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Millis(u64),
        Text(String),
    }

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(at.as_millis()).ok().and_then(DateTime::from_timestamp_millis) {
            Some(time) => serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => serializer.serialize_u64(at.as_millis()),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let millis = match Written::deserialize(deserializer)? {
            Written::Millis(millis) => Some(millis),
            Written::Text(text) => parse(&text).and_then(|millis| u64::try_from(millis).ok()),
        };
        millis.map(Timestamp::from_millis).and_then(bounded).ok_or_else(|| {
            D::Error::custom(
                "`at` should be a time from 1970 on, such as `2026-11-22T13:30:00Z` or `2026-11-22T14:30:00+01:00`",
            )
        })
    }

    fn parse(text: &str) -> Option<i64> {
        let with_offset = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_millis());
        let without = || {
            let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"];
            let time = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())?;
            Some(time.and_utc().timestamp_millis())
        };
        with_offset.ok().or_else(without)
    }
}

#[cfg(test)]
mod tests;
