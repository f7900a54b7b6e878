//! What models were used for: by day, bot, channel and model.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use axum::Json;
use axum::extract::State;
use domain::budget::Period;
use domain::{BotId, Timestamp};
use runtime::Environment;
use schemars::JsonSchema;
use serde::Deserialize;
use store::Used;

use crate::auth::Caller;
use crate::bots;
use crate::extract::Parameters;
use crate::problem::Problem;
use crate::views::{UsageBy, UsageLine, UsageReport, UsageSplit};

/// The most days that one report covers.
const MAX_DAYS: u64 = 100;
/// How many days it covers unless it is said.
const DEFAULT_DAYS: u64 = 14;
const DAY: u64 = 86_400_000;

/// The query of `GET /v1/usage/report`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportQuery {
    /// The first day, as `2026-11-22`; days are UTC's. Left out: 13 days before the last.
    from: Option<String>,
    /// The last day; left out: today.
    to: Option<String>,
    /// What lines are told apart by; left out: days.
    #[serde(default)]
    by: UsageBy,
    /// By day: what the parts of each day are told apart by. Left out: days are told whole.
    split: Option<UsageSplit>,
    /// One bot alone, by its id or its name.
    bot: Option<String>,
}

/// `GET /v1/usage/report`
pub(crate) async fn report(
    State(environment): State<Environment>,
    caller: Caller,
    Parameters(query): Parameters<ReportQuery>,
) -> Result<Json<UsageReport>, Problem> {
    let days = days(&query, environment.clock.now())?;
    if query.split.is_some() && query.by != UsageBy::Day {
        return Err(Problem::bad_request("split: only days have parts. Leave `split` out, or ask with `by=day`."));
    }
    let (from, to) = (days.first().cloned().unwrap_or_default(), days.last().cloned().unwrap_or_default());
    let only = match &query.bot {
        Some(bot) => Some(bots::find(&environment, caller, bot).await?.id),
        None => None,
    };
    let account = environment.store.account(caller.account);
    let used = match only {
        Some(bot) => account.usage_of_bot(bot, &days).await?,
        None => account.usage_list(&from, &to).await?,
    };
    let names: HashMap<BotId, String> = match query.by == UsageBy::Bot || query.split == Some(UsageSplit::Bot) {
        true => {
            let bots: BTreeSet<BotId> = used.iter().map(|used| used.bot).collect();
            account.bot_names(&bots.into_iter().collect::<Vec<_>>()).await?
        }
        false => HashMap::new(),
    };
    Ok(Json(summed(&used, query.by, query.split, &days, &names)))
}

/// Each day of a report.
fn days(query: &ReportQuery, now: Timestamp) -> Result<Vec<String>, Problem> {
    let today = now.as_millis() / DAY;
    let last = query.to.as_deref().map_or(Ok(today), |to| day("to", to))?;
    let first = match query.from.as_deref() {
        Some(from) => day("from", from)?,
        None => last.saturating_sub(DEFAULT_DAYS - 1),
    };
    if first > last {
        return Err(Problem::bad_request(
            "from: the first day lies behind the last one. Give them the other way round.",
        ));
    }
    if last - first >= MAX_DAYS {
        return Err(Problem::bad_request(format!("from: a report covers {MAX_DAYS} days at most. Ask for a part.")));
    }
    Ok((first..=last).map(|day| Period::Day.containing(Timestamp::from_millis(day * DAY))).collect())
}

/// A day's number since the Unix epoch.
fn day(field: &str, text: &str) -> Result<u64, Problem> {
    let refuse = || Problem::bad_request(format!("{field}: give a day since 2020 as `2026-11-22`."));
    let date: chrono::NaiveDate = text.parse().map_err(|_| refuse())?;
    let days = u64::try_from(date.to_epoch_days()).map_err(|_| refuse())?;
    let is_canonical = Period::Day.containing(Timestamp::from_millis(days.saturating_mul(DAY))) == text;
    if is_canonical && text >= "2020" { Ok(days) } else { Err(refuse()) }
}

/// Lines by what tells them apart.
type Lines = BTreeMap<String, UsageLine>;

fn summed(
    used: &[Used],
    by: UsageBy,
    split: Option<UsageSplit>,
    days: &[String],
    names: &HashMap<BotId, String>,
) -> UsageReport {
    let mut total = UsageLine { name: "total".to_owned(), ..UsageLine::default() };
    let mut lines = Lines::new();
    let mut parts: HashMap<&str, Lines> = HashMap::new();
    if by == UsageBy::Day {
        lines.extend(days.iter().map(|day| (day.clone(), UsageLine { name: day.clone(), ..UsageLine::default() })));
    }
    for used in used {
        add(line_of(&mut lines, used, by, names), used);
        if let Some(split) = split {
            add(line_of(parts.entry(used.day.as_str()).or_default(), used, split.into(), names), used);
        }
        add(&mut total, used);
    }
    let mut items = match by {
        UsageBy::Day => lines.into_values().collect(),
        UsageBy::Bot | UsageBy::Channel | UsageBy::Model => costliest_first(lines),
    };
    for line in &mut items {
        line.parts = parts.remove(line.name.as_str()).map(costliest_first).unwrap_or_default();
    }
    let (from, to) = (days.first().cloned().unwrap_or_default(), days.last().cloned().unwrap_or_default());
    UsageReport { from, to, by, split, items, total }
}

/// The line that something used belongs to.
fn line_of<'a>(lines: &'a mut Lines, used: &Used, by: UsageBy, names: &HashMap<BotId, String>) -> &'a mut UsageLine {
    let (name, bot) = match by {
        UsageBy::Day => (used.day.clone(), None),
        // A bot that was deleted has no name any more.
        UsageBy::Bot => (names.get(&used.bot).cloned().unwrap_or_else(|| used.bot.to_string()), Some(used.bot)),
        UsageBy::Channel => (used.channel.to_string(), None),
        UsageBy::Model => (used.model.clone(), None),
    };
    let key = bot.map_or_else(|| name.clone(), |bot| bot.to_string());
    lines.entry(key).or_insert_with(|| UsageLine { name, bot, ..UsageLine::default() })
}

fn costliest_first(lines: Lines) -> Vec<UsageLine> {
    let mut lines: Vec<UsageLine> = lines.into_values().collect();
    lines.sort_by(|a, b| (b.cost, b.turns, &a.name).cmp(&(a.cost, a.turns, &b.name)));
    lines
}

fn add(line: &mut UsageLine, used: &Used) {
    line.turns += used.turns;
    line.calls += used.calls;
    line.usage += used.usage;
    line.cost += used.cost;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(from: Option<&str>, to: Option<&str>) -> Result<Vec<String>, Problem> {
        let query = ReportQuery { from: from.map(str::to_owned), to: to.map(str::to_owned), ..ReportQuery::default() };
        days(&query, Timestamp::from_millis(1_795_341_600_000))
    }

    #[test]
    fn a_report_covers_the_days_that_were_asked_for() {
        let fortnight = asked(None, None).unwrap();
        assert_eq!((fortnight.len(), fortnight[13].as_str()), (14, "2026-11-22"));
        assert_eq!(asked(Some("2026-02-28"), Some("2026-03-01")).unwrap(), ["2026-02-28", "2026-03-01"]);
        assert_eq!(asked(Some("2026-08-15"), None).unwrap().len(), 100);
        for (from, to) in [
            ("2026-08-14", None),
            ("2026-11-23", None),
            ("today", None),
            ("2026-11-1", None),
            ("1969-12-31", Some("1970-01-01")),
        ] {
            asked(Some(from), to).unwrap_err();
        }
    }
}
