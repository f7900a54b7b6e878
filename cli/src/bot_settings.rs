//! The options that change a bot: how messages wait, when sessions begin anew, what models cost and may cost.

use api::views::{BotPatch, BotView, QueuePatch};
use clap::Args;
use domain::queueing::{DropPolicy, QueueChange};
use domain::reset::{ResetMode, ResetPolicy};
use domain::{Control, Price, QueueMode, ResetSettings, StreamMode, command};

use crate::failure::Failure;
use crate::money::{BudgetArgs, micros};
use crate::word;

/// What a model costs and reads. It holds for one model: with another it is forgotten.
#[derive(Args, Default)]
#[command(next_help_heading = "The model's price")]
pub(crate) struct PriceArgs {
    /// Dollars for a million tokens of input, where the price is not known or another
    #[arg(long, value_name = "DOLLARS", value_parser = micros, requires = "price_output")]
    price_input: Option<u64>,
    /// Dollars for a million tokens of output
    #[arg(long, value_name = "DOLLARS", value_parser = micros, requires = "price_input")]
    price_output: Option<u64>,
    /// Dollars for a million tokens of input from the provider's cache
    #[arg(long, value_name = "DOLLARS", value_parser = micros, requires = "price_input")]
    price_cached: Option<u64>,
    /// Go by the known price of the model again
    #[arg(long, conflicts_with = "price_input")]
    no_price: bool,
    /// How many tokens the model reads at most
    #[arg(long, value_name = "TOKENS")]
    context_window: Option<u64>,
}

impl PriceArgs {
    pub(crate) fn is_given(&self) -> bool {
        self.price().is_some() || self.context_window.is_some()
    }

    /// As a patch of the model takes it.
    pub(crate) fn price(&self) -> Option<Option<Price>> {
        match (self.price_input, self.price_output) {
            (Some(input), Some(output)) => {
                Some(Some(Price { input, output, cached: self.price_cached, ..Price::default() }))
            }
            _ => self.no_price.then_some(None),
        }
    }

    /// As a patch of the model takes it.
    pub(crate) fn context_window(&self) -> Option<Option<u64>> {
        self.context_window.map(Some)
    }
}

/// A bot's settings beside its model.
#[derive(Args, Default)]
pub(crate) struct SettingsArgs {
    /// What becomes of a message that arrives while the bot works: steer, followup, collect or interrupt
    #[arg(long, value_name = "MODE", value_parser = word::<QueueMode>, help_heading = "Messages that wait")]
    queue_mode: Option<QueueMode>,
    /// Messages that waited are answered once nobody has written for this long, such as 500ms or 2s
    #[arg(long, value_name = "TIME", value_parser = millis, help_heading = "Messages that wait")]
    queue_debounce: Option<u32>,
    /// How many messages wait at most
    #[arg(long, value_name = "N", help_heading = "Messages that wait")]
    queue_cap: Option<u32>,
    /// Which are left out of more: summarize (the oldest, and the model is told), old or new
    #[arg(long, value_name = "WHICH", value_parser = word::<DropPolicy>, help_heading = "Messages that wait")]
    queue_drop: Option<DropPolicy>,
    /// When sessions begin anew by themselves: none, daily or idle
    #[arg(long, value_name = "WHEN", value_parser = word::<ResetMode>, help_heading = "Resets")]
    reset: Option<ResetMode>,
    /// The hour of --reset daily by the bot's clock, 0 to 23 [default: 4]
    #[arg(long, value_name = "HOUR", help_heading = "Resets")]
    reset_at_hour: Option<u8>,
    /// After how many minutes without a message a session begins anew [default of --reset idle: 60]
    #[arg(long, value_name = "MINUTES", help_heading = "Resets")]
    reset_idle_minutes: Option<u32>,
    /// What people see of an answer while it is written: off (that the bot is typing), partial (the text so far), block (what
    /// it says beside its tools, in messages of their own), progress (which tools it uses)
    #[arg(long, value_name = "WHAT", value_parser = word::<StreamMode>, help_heading = "Answers")]
    streaming: Option<StreamMode>,
    #[command(flatten, next_help_heading = "Budget")]
    budget: BudgetArgs,
    /// What one turn may cost, in dollars
    #[arg(long, value_name = "DOLLARS", value_parser = micros, help_heading = "Budget")]
    turn_budget: Option<u64>,
    /// Forget what one turn may cost
    #[arg(long, conflicts_with = "turn_budget", help_heading = "Budget")]
    no_turn_budget: bool,
}

impl SettingsArgs {
    /// The changes that the options ask for, to a bot as it is, or to a new one.
    pub(crate) fn changes(&self, before: Option<&BotView>) -> Result<BotPatch, Failure> {
        let queue = QueuePatch {
            mode: self.queue_mode,
            debounce_ms: self.queue_debounce,
            cap: self.queue_cap,
            drop: self.queue_drop,
        };
        Ok(BotPatch {
            queue: (queue != QueuePatch::default()).then_some(queue),
            resets: self.resets(before.map(|bot| bot.resets).unwrap_or_default())?,
            streaming: self.streaming,
            budget: self.budget.change(before.and_then(|bot| bot.budget))?,
            turn_budget: self.turn_budget.map(Some).or(self.no_turn_budget.then_some(None)),
            ..BotPatch::default()
        })
    }

    fn resets(&self, before: ResetSettings) -> Result<Option<ResetSettings>, Failure> {
        if self.reset.is_none() && self.reset_at_hour.is_none() && self.reset_idle_minutes.is_none() {
            return Ok(None);
        }
        // Another mode begins with its own defaults.
        let kept = self.reset.map_or(before.reset, |mode| ResetPolicy { mode, ..ResetPolicy::default() });
        let reset = ResetPolicy {
            mode: kept.mode,
            at_hour: self.reset_at_hour.or(kept.at_hour),
            idle_minutes: self.reset_idle_minutes.or(kept.idle_minutes),
        };
        if reset.mode != ResetMode::Daily && self.reset_at_hour.is_some() {
            return Err(Failure::usage("--reset-at-hour belongs to --reset daily."));
        }
        if reset.mode == ResetMode::None && self.reset_idle_minutes.is_some() {
            return Err(Failure::usage("--reset-idle-minutes belongs to --reset idle or --reset daily."));
        }
        Ok(Some(ResetSettings { reset, ..before }))
    }
}

/// Reads a debounce as `/queue` does.
fn millis(text: &str) -> Result<u32, String> {
    let line = format!("/queue debounce:{text}");
    match command::parse(&line, None).as_ref().and_then(Control::of) {
        Some(Control::Queue {
            change: QueueChange::Set { debounce_ms: Some(millis), mode: None, cap: None, drop: None },
        }) if !text.contains(char::is_whitespace) => Ok(millis),
        _ => Err("write it as 500ms, 2s or 1.5s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debounce_is_read_as_the_bot_reads_it() {
        assert_eq!(["500ms", "2s", "1.5s", "700"].map(|text| millis(text).unwrap()), [500, 2000, 1500, 700]);
        for bad in ["", "2m", "soon", "2s cap:5", "-1", "2s\n", "99999999s"] {
            assert!(millis(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_reset_keeps_what_is_not_named() {
        let daily = ResetPolicy { mode: ResetMode::Daily, at_hour: Some(5), idle_minutes: None };
        let before = ResetSettings { reset: daily, ..ResetSettings::default() };
        let reset = |args: SettingsArgs| args.resets(before).unwrap().unwrap().reset;
        let idle_too = SettingsArgs { reset_idle_minutes: Some(30), ..SettingsArgs::default() };
        assert_eq!(reset(idle_too), ResetPolicy { idle_minutes: Some(30), ..daily });
        let idle = SettingsArgs { reset: Some(ResetMode::Idle), ..SettingsArgs::default() };
        assert_eq!(reset(idle), ResetPolicy { mode: ResetMode::Idle, ..ResetPolicy::default() });
        assert_eq!(SettingsArgs::default().resets(before).unwrap(), None);
        for lonely in [
            SettingsArgs { reset: Some(ResetMode::Idle), reset_at_hour: Some(4), ..SettingsArgs::default() },
            SettingsArgs { reset: Some(ResetMode::None), reset_idle_minutes: Some(4), ..SettingsArgs::default() },
        ] {
            assert!(lonely.resets(before).is_err());
        }
    }
}
