//! Budgets: what may be spent, what a model call costs, and what is set aside for one.
//!
//! Money is counted in micro-dollars. Before a model is called, the most that the call may cost is set aside in the
//! counters of the bot and the account, under the condition that it fits; afterwards the counters are put
//! right. So workers that run at the same time cannot spend more than the limit. What was set aside for a call
//! whose worker died stays spent: the provider may have billed it.

use std::fmt;

use chrono::DateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Timestamp, Usage};

/// After how much time the counters begin anew. Days and months are UTC's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    Day,
    #[default]
    Month,
}

impl Period {
    /// The period that `now` lies in: `2026-11-22` or `2026-11`.
    pub fn containing(self, now: Timestamp) -> String {
        let millis = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let date = DateTime::from_timestamp_millis(millis).unwrap_or_default();
        match self {
            Period::Day => date.format("%Y-%m-%d").to_string(),
            Period::Month => date.format("%Y-%m").to_string(),
        }
    }

    /// For a person: `today` or `this month`.
    pub fn as_words(self) -> &'static str {
        match self {
            Period::Day => "today",
            Period::Month => "this month",
        }
    }
}

/// What an account or a bot may spend in a period. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    pub period: Period,
    /// Micro-dollars for models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micros: Option<u64>,
    /// Turns that call a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turns: Option<u64>,
}

impl Budget {
    pub fn is_limited(&self) -> bool {
        self.micros.is_some() || self.turns.is_some()
    }
}

/// What a model costs: micro-dollars per million tokens (a dollar per million tokens is 1,000,000).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Of what the model reads.
    pub input: u64,
    /// Of what it writes.
    pub output: u64,
    /// Input tokens that came from the provider's cache. `None`: as much as other input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached: Option<u64>,
    /// Input tokens that the provider wrote to its cache. `None`: as much as other input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
}

impl Price {
    /// What a call cost, in micro-dollars, rounded up.
    pub fn of(&self, usage: &Usage) -> u64 {
        let cached = usage.cached.min(usage.input);
        let written = usage.cache_written.min(usage.input - cached);
        let parts = [
            (usage.input - cached - written, self.input),
            (cached, self.cached.unwrap_or(self.input)),
            (written, self.cache_write.unwrap_or(self.input)),
            (usage.output, self.output),
        ];
        let total: u128 = parts.iter().map(|(tokens, price)| u128::from(*tokens) * u128::from(*price)).sum();
        u64::try_from(total.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BudgetScope {
    Account,
    Bot,
    /// One turn.
    Turn,
}

impl fmt::Display for BudgetScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BudgetScope::Account => "account",
            BudgetScope::Bot => "bot",
            BudgetScope::Turn => "turn",
        })
    }
}

/// A counter that money was set aside in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    pub scope: BudgetScope,
    /// [`Period::containing`].
    pub period: String,
}

/// What is set aside for a model call that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    pub micros: u64,
    pub charges: Vec<Charge>,
}

/// Puts the counters right once the cost of a call is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub reserved: Reserved,
    /// What the call did cost.
    pub micros: u64,
}

/// Micro-dollars as people read them: `$1.50`, and below a cent `$0.0042`.
pub fn dollars(micros: u64) -> String {
    if micros.is_multiple_of(10_000) || micros >= 1_000_000 {
        format!("${}.{:02}", micros / 1_000_000, micros % 1_000_000 / 10_000)
    } else {
        let text = format!("{:06}", micros % 1_000_000);
        format!("$0.{}", text.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, output: u64, cached: u64) -> Usage {
        Usage { input, output, cached, ..Usage::default() }
    }

    #[test]
    fn a_call_costs_by_the_token_and_is_rounded_up() {
        let price = Price { input: 1_250_000, output: 10_000_000, cached: Some(125_000), cache_write: Some(2_500_000) };
        assert_eq!(price.of(&usage(1_000, 100, 0)), 2_250);
        assert_eq!(price.of(&usage(1_000, 100, 800)), 250 + 100 + 1_000);
        assert_eq!(price.of(&usage(1, 0, 0)), 2);
        // A provider that reports more cached tokens than it read is not believed.
        assert_eq!(price.of(&usage(10, 0, 1_000_000)), 2);
        assert_eq!(price.of(&Usage { cache_written: 200, ..usage(1_000, 0, 800) }), 100 + 500);
        assert_eq!(price.of(&Usage { cache_written: 1_000_000, ..usage(10, 0, 0) }), 25);
    }

    #[test]
    fn periods_are_named() {
        let at = Timestamp::from_secs(1_795_392_000);
        assert_eq!(Period::Day.containing(at), "2026-11-23");
        assert_eq!(Period::Month.containing(at), "2026-11");
    }

    #[test]
    fn money_is_written_as_people_read_it() {
        let written: Vec<String> = [0, 1_500_000, 20_000, 4_200, 1, 12_345_678].map(dollars).into();
        assert_eq!(written, ["$0.00", "$1.50", "$0.02", "$0.0042", "$0.000001", "$12.34"]);
    }
}
