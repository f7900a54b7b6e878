//! A bot as `lowtide bots show` tells of it, in words.

use api::views::{BotView, ModelView};
use domain::account::{FallbackModel, ImageModel};
use domain::budget::dollars;
use domain::queueing::DropPolicy;
use domain::reset::{ResetMode, ResetPolicy};
use domain::{BotStatus, Price, QueueMode, QueueSettings, ResetSettings, StreamMode};
use runtime::Clock;

use crate::Output;
use crate::abilities;
use crate::bot_models::provider;
use crate::money::{budget, per_million};
use crate::table::{ago, fields};

/// All there is to say of a bot, a field a line.
pub(crate) fn card(output: Output, bot: &BotView) -> String {
    let key = if bot.model.has_api_key { "stored, encrypted" } else { "none" };
    let mut lines = vec![
        ("name", bot.name.clone()),
        ("id", bot.id.to_string()),
        ("status", status(bot.status).to_owned()),
        ("model", model(&bot.model)),
    ];
    if bot.model.model.is_some() {
        lines.push(("api key", key.to_owned()));
    }
    lines.extend(bot.model.base_url.clone().map(|url| ("base url", url)));
    lines.extend(bot.model.api.map(|api| ("protocol", as_word(&api))));
    lines.extend(bot.model.thinking.map(|thinking| ("thinking", as_word(&thinking))));
    lines.extend(bot.model.fallbacks.iter().map(|other| ("fallback", fallback(&bot.model, other))));
    let images = bot.model.image_model.iter().flat_map(ImageModel::all);
    lines.extend(images.map(|other| ("image model", fallback(&bot.model, other))));
    lines.extend(bot.model.price.map(|given| ("price", price(given))));
    lines.extend(bot.model.context_window.map(|tokens| ("reads", format!("{tokens} tokens at most"))));
    lines.extend([
        ("time zone", bot.time_zone.clone()),
        ("queue mode", mode(bot.queue.mode).to_owned()),
        ("waiting", waiting(bot.queue)),
        ("resets", resets(bot.resets)),
        ("dm scope", as_word(&bot.dm_scope)),
        ("answers", streaming(bot.streaming).to_owned()),
        ("budget", budget(bot.budget.unwrap_or_default())),
    ]);
    lines.extend(bot.turn_budget.map(|micros| ("turn budget", format!("{} a turn", dollars(micros)))));
    lines.extend(abilities::card_lines(&bot.abilities));
    lines.push(("made", ago(bot.created_at, Clock::system().now())));
    fields(output.style, &lines)
}

pub(crate) fn status(status: BotStatus) -> &'static str {
    match status {
        BotStatus::Active => "active",
        BotStatus::Paused => "paused",
        BotStatus::Archived => "archived",
        BotStatus::Deleted => "deleted",
    }
}

pub(crate) fn model(model: &ModelView) -> String {
    model.model.clone().unwrap_or_else(|| "built-in demo".to_owned())
}

fn fallback(model: &ModelView, other: &FallbackModel) -> String {
    let mut text = other.model.clone();
    text.extend(other.base_url.iter().map(|url| format!(" at {url}")));
    let name = provider(&other.model);
    let is_own = model.model.as_deref().is_some_and(|own| provider(own) == name);
    let has_key = if is_own { model.has_api_key } else { model.keys.iter().any(|known| known == name) };
    text.push_str(if has_key { ", with a key" } else { ", without a key" });
    text
}

fn price(price: Price) -> String {
    let Price { input, output, cached, cache_write } = price;
    let part = |price: Option<u64>, what| price.map(|price| format!(", {} for {what}", per_million(price)));
    let cached = part(cached, "cached input").unwrap_or_default()
        + &part(cache_write, "input that is cached anew").unwrap_or_default();
    format!("{} for input, {} for output{cached}, a million tokens", per_million(input), per_million(output))
}

fn mode(mode: QueueMode) -> &'static str {
    match mode {
        QueueMode::Steer => "steer: a new message joins the turn under way",
        QueueMode::Followup => "followup: a new message gets a turn of its own, afterwards",
        QueueMode::Collect => "collect: new messages get one turn together, afterwards",
        QueueMode::Interrupt => "interrupt: a new message ends the turn under way",
    }
}

fn waiting(queue: QueueSettings) -> String {
    let dropped = match queue.drop {
        DropPolicy::Summarize => "the oldest are left out, with a summary",
        DropPolicy::Old => "the oldest are left out",
        DropPolicy::New => "the newest are left out",
    };
    format!("at most {} messages, else {dropped}; debounce {} ms", queue.cap, queue.debounce_ms)
}

fn streaming(mode: StreamMode) -> &'static str {
    match mode {
        StreamMode::Partial => "shown while they are written",
        StreamMode::Off => "shown when they are done",
        StreamMode::Block => "sent step by step",
        StreamMode::Progress => "shown when they are done, and until then which tools are used",
    }
}

fn resets(resets: ResetSettings) -> String {
    let kinds = resets.reset_by_type;
    let kinds = [("direct chats", kinds.direct), ("groups", kinds.group), ("threads", kinds.thread)];
    let mut text = policy(resets.reset);
    for (kind, own) in kinds.into_iter().filter_map(|(kind, own)| Some((kind, own?))) {
        text.push_str(&format!("; {kind}: {}", policy(own)));
    }
    text
}

fn policy(policy: ResetPolicy) -> String {
    let idle = |minutes: u32| format!("after {minutes} min without a message");
    match policy.mode {
        ResetMode::None => "only by /new and /reset".to_owned(),
        ResetMode::Daily => {
            let daily = format!("daily at {}:00", policy.at_hour.unwrap_or(4));
            policy.idle_minutes.map_or_else(|| daily.clone(), |minutes| format!("{daily}, and {}", idle(minutes)))
        }
        ResetMode::Idle => idle(policy.idle_minutes.unwrap_or(60)),
    }
}

/// A value as the API writes it.
pub(crate) fn as_word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use domain::reset::ResetByType;

    use super::*;

    #[test]
    fn resets_are_told_in_words() {
        assert_eq!(resets(ResetSettings::default()), "only by /new and /reset");
        let idle = ResetPolicy { mode: ResetMode::Idle, ..ResetPolicy::default() };
        let daily = ResetPolicy { mode: ResetMode::Daily, at_hour: Some(0), idle_minutes: Some(30) };
        let settings =
            ResetSettings { reset: daily, reset_by_type: ResetByType { group: Some(idle), ..ResetByType::default() } };
        let expected = "daily at 0:00, and after 30 min without a message; groups: after 60 min without a message";
        assert_eq!(resets(settings), expected);
    }

    #[test]
    fn a_price_is_told_by_the_million() {
        let given = Price { input: 1_250_000, output: 10_000_000, cached: Some(125_000), ..Price::default() };
        let expected = "$1.25 for input, $10.00 for output, $0.125 for cached input, a million tokens";
        assert_eq!(price(given), expected);
    }
}
