//! `current_time`: the date and the time in a zone.

use chrono::{DateTime, SecondsFormat};
use chrono_tz::{TZ_VARIANTS, Tz};
use domain::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{Tool, ToolContext, ToolError};

pub(crate) const NAME: &str = "current_time";

pub(super) fn describe() -> Tool {
    Tool {
        name: NAME,
        description: "Tells the current date and time, with weekday and time zone.",
        parameters: json!({
            "type": "object",
            "properties": {
                "zone": {
                    "type": "string",
                    "description": "IANA time zone, such as Europe/Berlin. Left out: the bot's own.",
                },
            },
        }),
        group: "status",
        may_repeat: true,
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Arguments {
    zone: Option<String>,
}

pub(super) fn run(arguments: &Arguments, context: &ToolContext<'_>) -> Result<String, ToolError> {
    let asked = arguments.zone.as_deref().map(str::trim).filter(|zone| !zone.is_empty());
    if let Some(zone) = asked.filter(|zone| zone.parse::<Tz>().is_err()) {
        return Err(ToolError::RespondToModel(unknown_zone(zone)));
    }
    let time = local_time(context.now, asked.unwrap_or(context.bot.time_zone));
    let iso = time.to_rfc3339_opts(SecondsFormat::Secs, false);
    Ok(format!("{iso}, {}, {}", time.format("%A"), time.timezone()))
}

/// A point in time as the clocks of a zone show it; UTC where the zone is not known.
pub(crate) fn local_time(at: Timestamp, zone: &str) -> DateTime<Tz> {
    let zone = zone.parse().unwrap_or(Tz::UTC);
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    // Beyond chrono's last year there is no date to tell.
    DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::UNIX_EPOCH).with_timezone(&zone)
}

fn unknown_zone(zone: &str) -> String {
    let shown: String = zone.chars().take(40).collect();
    let wanted = zone.to_lowercase().replace(' ', "_");
    let alike = TZ_VARIANTS.iter().map(|zone| zone.name()).filter(|name| name.to_lowercase().contains(&wanted));
    let alike: Vec<&str> = alike.take(3).collect();
    match alike.as_slice() {
        [] => format!(
            "There is no time zone `{shown}`. Use an IANA name, such as Europe/Berlin, America/New_York or UTC."
        ),
        names => format!("There is no time zone `{shown}`; perhaps you mean {}. Use an IANA name.", names.join(" or ")),
    }
}
