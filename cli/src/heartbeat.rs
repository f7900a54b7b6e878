//! `lowtide bots heartbeat`: whether, and when, a bot looks by itself for something to do.

use api::views::{BotPatch, BotView};
use clap::{Args, Subcommand};
use domain::heartbeat::{ActiveHours, HeartbeatSettings};
use domain::job::JobDelivery;
use domain::when::{in_units, parse_duration};
use std::time::Duration;

use crate::Output;
use crate::client::Client;
use crate::failure::Failure;
use crate::schedules::delivery;
use crate::table::fields;

#[derive(Args)]
pub(crate) struct HeartbeatArgs {
    bot: String,
    #[command(subcommand)]
    change: Option<HeartbeatChange>,
}

#[derive(Subcommand)]
enum HeartbeatChange {
    /// Switch heartbeats on
    Every {
        /// The time between two, such as 30m or 2h
        time: String,
        /// Only in these hours of the day by the bot's clock, such as 08:00-22:00
        #[arg(long, value_name = "FROM-TO")]
        hours: Option<String>,
        /// Where something worth saying goes: last (where people wrote last), none (it stays in the session), or a link's id
        #[arg(long, value_name = "WHERE")]
        target: Option<String>,
        /// What the model is asked beside the usual
        #[arg(long)]
        prompt: Option<String>,
        /// Ask the model only when something happened since it was last asked
        #[arg(long)]
        only_on_news: bool,
    },
    /// Switch heartbeats off
    Off,
}

/// Runs `lowtide bots heartbeat`.
pub(crate) async fn run(client: &Client, output: Output, args: HeartbeatArgs) -> anyhow::Result<()> {
    let mut bot = client.bot_get(&args.bot).await?;
    let heartbeat = match args.change {
        None => None,
        Some(HeartbeatChange::Off) => Some(HeartbeatSettings::default()),
        Some(HeartbeatChange::Every { time, hours, target, prompt, only_on_news }) => Some(HeartbeatSettings {
            every_minutes: Some(minutes(&time)?),
            active_hours: hours.as_deref().map(active_hours).transpose()?,
            target: target.as_deref().map(heartbeat_target).transpose()?,
            prompt,
            only_on_news,
        }),
    };
    if heartbeat.is_some() {
        bot = client.bot_change(bot.id, &BotPatch { heartbeat, ..BotPatch::default() }).await?;
    }
    let jobs = client.schedule_list(bot.id).await?;
    let id = domain::JobId::heartbeat_of(bot.id);
    let job = jobs.items.into_iter().find(|schedule| schedule.job.id == id);
    let today = job.as_ref().and_then(|schedule| schedule.job.state.days.last_key_value());
    let today = today.map(|(day, tally)| format!("{tally} on {day}"));
    output.show(&job, || card(output, &bot, today, job.as_ref().map(|schedule| schedule.told.clone())))
}

fn card(output: Output, bot: &BotView, today: Option<String>, so_far: Option<String>) -> String {
    let HeartbeatSettings { every_minutes, active_hours, target, only_on_news, .. } = &bot.heartbeat;
    let Some(minutes) = every_minutes else {
        return format!(
            "{} has no heartbeats. `lowtide bots heartbeat {} every 30m` switches them on.",
            bot.name, bot.name
        );
    };
    let every = in_units(Duration::from_secs(u64::from(*minutes) * 60));
    let mut lines = vec![("every", every)];
    if let Some(ActiveHours { start, end }) = active_hours {
        lines.push(("hours", format!("{start}-{end} {}", bot.time_zone)));
    }
    let place = target.as_ref().map_or("none", |target| match target.mode {
        domain::job::DeliveryMode::None => "none",
        _ if target.link.is_some() => "a link",
        _ => "last",
    });
    lines.push(("target", place.to_owned()));
    if *only_on_news {
        lines.push(("asks", "only when something happened".to_owned()));
    }
    lines.extend(today.map(|today| ("last day", today)));
    lines.extend(so_far.map(|so_far| ("so far", so_far)));
    fields(output.style, &lines)
}

fn heartbeat_target(place: &str) -> Result<JobDelivery, Failure> {
    let bad = || Failure::usage("--target is `last`, `none` or the id of a link; `lowtide links list` shows them.");
    serde_json::from_value(delivery(place, None)?).map_err(|_| bad())
}

fn minutes(text: &str) -> Result<u32, Failure> {
    let minutes = parse_duration(text).map(|time| time.as_secs()).filter(|secs| secs % 60 == 0).map(|secs| secs / 60);
    let bad = || Failure::usage(format!("`{text}` is not a number of minutes; write 30m or 2h."));
    minutes.and_then(|minutes| u32::try_from(minutes).ok()).ok_or_else(bad)
}

fn active_hours(text: &str) -> Result<ActiveHours, Failure> {
    let bad = || Failure::usage(format!("`{text}` are not hours; write them like 08:00-22:00."));
    let (start, end) = text.split_once('-').ok_or_else(bad)?;
    Ok(ActiveHours { start: start.trim().to_owned(), end: end.trim().to_owned() })
}
