//! Times and durations as people write them.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;

use crate::Timestamp;

/// The longest duration that is read: a hundred years.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// Reads a point in time: `in 20m`, `20m`, a time of the day (`14:30`, the next one), a date and time (`2026-11-22 14:30`,
/// `2026-11-22T14:30:00+01:00`). Without an offset it is the clock of `zone` (an IANA name; one that is not known is UTC).
/// A time that the clock leaves out is the same time of an hour later; one that comes twice is the first.
pub fn parse_when(text: &str, zone: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    let relative = text.strip_prefix("in ").or(text.strip_prefix('+')).unwrap_or(text);
    if let Some(duration) = parse_duration(relative) {
        return Some(now + duration);
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return u64::try_from(at.timestamp_millis()).ok().map(Timestamp::from_millis);
    }
    let zone: Tz = zone.parse().unwrap_or(Tz::UTC);
    let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"];
    if let Some(local) = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok()) {
        return in_zone(local, zone);
    }
    let time = ["%H:%M", "%H:%M:%S"].iter().find_map(|format| NaiveTime::parse_from_str(text, format).ok())?;
    let today: NaiveDate = zone
        .from_utc_datetime(&DateTime::from_timestamp_millis(i64::try_from(now.as_millis()).ok()?)?.naive_utc())
        .date_naive();
    [today, today.checked_add_days(Days::new(1))?]
        .into_iter()
        .filter_map(|day| in_zone(day.and_time(time), zone))
        .find(|at| *at > now)
}

/// A point in time by the clock of `zone`, in words: `2026-11-22 14:30 Europe/Berlin`.
pub fn local_time(at: Timestamp, zone: &str) -> String {
    let zone: Tz = zone.parse().unwrap_or(Tz::UTC);
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let local = DateTime::from_timestamp_millis(millis).unwrap_or_default().with_timezone(&zone);
    format!("{} {}", local.format("%Y-%m-%d %H:%M"), zone.name())
}

/// A duration in the units that [`parse_duration`] reads, such as `1h30m`; what is below a second is left out.
pub fn in_units(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut text = String::new();
    for (unit, secs) in [("d", 24 * 3600), ("h", 3600), ("m", 60), ("s", 1)] {
        if rest >= secs {
            text.push_str(&format!("{}{unit}", rest / secs));
            rest %= secs;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

fn in_zone(local: NaiveDateTime, zone: Tz) -> Option<Timestamp> {
    let found = |local: NaiveDateTime| zone.from_local_datetime(&local).earliest();
    let at = found(local).or_else(|| found(local.checked_add_signed(TimeDelta::hours(1))?))?;
    u64::try_from(at.timestamp_millis()).ok().map(Timestamp::from_millis)
}

/// Reads a duration: `90s`, `20m`, `1h30m`, `2 hours`, `1 day`. At most a hundred years.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0)?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match rest[..letters].to_ascii_lowercase().as_str() {
            "s" | "sec" | "secs" | "second" | "seconds" => 1,
            "m" | "min" | "mins" | "minute" | "minutes" => 60,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 24 * 3600,
            "w" | "week" | "weeks" => 7 * 24 * 3600,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = rest[letters..].trim_start();
    }
    let duration = Duration::from_secs(total);
    (!duration.is_zero() && duration <= LONGEST).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-28 23:00 in Berlin, the night in which the clocks go from 2 to 3.
    const NOW: Timestamp = Timestamp::from_millis(1_774_735_200_000);

    fn berlin(text: &str) -> Option<u64> {
        parse_when(text, "Europe/Berlin", NOW).map(|at| (at.as_millis() - NOW.as_millis()) / 60_000)
    }

    #[test]
    fn times_are_read_by_the_bots_clock() {
        assert_eq!(berlin("in 20m"), Some(20));
        assert_eq!(berlin("20 minutes"), Some(20));
        assert_eq!(berlin("23:30"), Some(30));
        assert_eq!(berlin("22:30"), Some(23 * 60 - 30), "tomorrow, which has 23 hours");
        assert_eq!(berlin("2026-03-29 01:30"), Some(150));
        assert_eq!(berlin("2026-03-29 02:30"), Some(210), "left out: an hour later");
        assert_eq!(berlin("2026-03-28T23:15:00Z"), Some(75));
        assert_eq!(["soon", "", "25:00", "-5m", "m", "5", "5x", "2026-03-29"].map(berlin), [None; 8]);
    }

    #[test]
    fn durations_are_read() {
        let secs = |text| parse_duration(text).map(|duration| duration.as_secs());
        assert_eq!(secs("1h30m"), Some(5400));
        assert_eq!(secs("2 days 1 hour"), Some(49 * 3600));
        assert_eq!(in_units(Duration::from_secs(93_784)), "1d2h3m4s");
        assert_eq!(["0s", "1y", "99999999999999999999s", "9999999999d"].map(secs), [None; 4]);
    }
}
