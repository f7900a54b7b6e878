//! The shapes of reports of use.

use domain::{BotId, Usage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What lines of a report are told apart by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UsageBy {
    /// Days, of which none is left out.
    #[default]
    Day,
    /// Bots.
    Bot,
    /// Channels that messages came from.
    Channel,
    /// Models that answered.
    Model,
}

/// What the parts of a day are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UsageSplit {
    /// Bots.
    Bot,
    /// Channels that messages came from.
    Channel,
    /// Models that answered.
    Model,
}

impl From<UsageSplit> for UsageBy {
    fn from(split: UsageSplit) -> UsageBy {
        match split {
            UsageSplit::Bot => UsageBy::Bot,
            UsageSplit::Channel => UsageBy::Channel,
            UsageSplit::Model => UsageBy::Model,
        }
    }
}

/// `GET /v1/usage/report`: all turns count, of bots with a budget and without. Kept for 400 days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageReport {
    /// The first day, UTC's.
    pub from: String,
    /// The last day.
    pub to: String,
    /// What the lines are told apart by.
    pub by: UsageBy,
    /// What the parts of each day are told apart by, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<UsageSplit>,
    /// By day in their order; otherwise the costliest first.
    pub items: Vec<UsageLine>,
    /// All lines together.
    pub total: UsageLine,
}

/// What models were used for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageLine {
    /// The day, the bot's name, the channel or `provider/model`.
    pub name: String,
    /// By bot: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<BotId>,
    /// Turns that a model answered.
    pub turns: u64,
    /// Calls of models, those for summaries and before tools included.
    pub calls: u64,
    /// All their tokens.
    pub usage: Usage,
    /// In micro-dollars, as far as prices are known.
    pub cost: u64,
    /// With `split`: what a day is made of, the costliest part first. Parts have none themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<UsageLine>,
}
