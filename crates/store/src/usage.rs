//! What models were used for: counters by day, bot, channel and model, changed in the transactions that commit what the
//! models said, so that they miss nothing and take no request of their own.
//!
//! A row per bot and day would be where all sessions of a busy bot meet, and transactions that meet are cancelled. So the
//! sessions of a bot share some rows.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use domain::budget::Period;
use domain::{BotId, Channel, EntryBody, SessionKey, Timestamp, ToolResult, Usage};

use futures::{StreamExt, TryStreamExt, stream};

use crate::error::{StoreError, unavailable};
use crate::item::{Item, number, string, text};
use crate::{AccountStore, Commit, keys, schema};

/// How long the counters of a day are kept.
pub const USAGE_TTL: Duration = Duration::from_secs(400 * 24 * 3600);

/// What a bot used of one model for one channel on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// UTC's, as `2026-11-22`.
    pub day: String,
    pub bot: BotId,
    /// Where the newest message came from that was answered.
    pub channel: Channel,
    /// `provider/model`.
    pub model: String,
    /// Answers that ended a turn.
    pub turns: u64,
    /// All calls of the model, summaries included.
    pub calls: u64,
    pub usage: Usage,
    /// In micro-dollars, as far as prices are known.
    pub cost: u64,
}

/// How many days of a bot are read at once.
const QUERIES_AT_ONCE: usize = 8;

/// What is counted, by the first part of its attribute's name. Channel and model are the other two.
const TURNS: &str = "turns";
const CALLS: &str = "calls";
const INPUT: &str = "input";
const OUTPUT: &str = "output";
const CACHED: &str = "cached";
const WRITTEN: &str = "written";
const COST: &str = "cost";

/// Neither names of channels nor those before it hold one.
const SEPARATOR: char = '|';

/// Which of a bot's rows of a day counts what a session uses.
pub fn usage_share(session: &SessionKey) -> u32 {
    keys::usage_shard(session)
}

impl AccountStore<'_> {
    /// What the account's bots used from day `from` to day `to`, both included and written as [`Used::day`], in the order of
    /// days. One query reads about 3,000 rows.
    pub async fn usage_list(&self, from: &str, to: &str) -> Result<Vec<Used>, StoreError> {
        let mut all: BTreeMap<(String, BotId, Channel, String), Used> = BTreeMap::new();
        let mut start = None;
        loop {
            let request = self
                .store
                .dynamo
                .query()
                .table_name(&self.store.table)
                .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
                .expression_attribute_values(":pk", text(self.id.to_string()))
                .expression_attribute_values(":from", text(keys::usage_day(from)))
                .expression_attribute_values(":to", text(format!("{}~", keys::usage_day(to))))
                .set_exclusive_start_key(start);
            let output = request.send().await.map_err(|e| unavailable("list rows", &e))?;
            for item in output.items.unwrap_or_default() {
                add_row(&mut all, &item)?;
            }
            start = output.last_evaluated_key;
            if start.is_none() {
                return Ok(all.into_values().collect());
            }
        }
    }

    /// What one bot used on these days, as [`AccountStore::usage_list`] tells it. Costs one query a day, whatever else the account has.
    pub async fn usage_of_bot(&self, bot: BotId, days: &[String]) -> Result<Vec<Used>, StoreError> {
        let mut all = BTreeMap::new();
        let (store, account) = (self.store, self.id.to_string());
        let prefixes: Vec<String> = days.iter().map(|day| format!("{}#{bot}#", keys::usage_day(day))).collect();
        let read = |prefix: String| {
            let account = account.clone();
            async move { store.items_by_prefix(&account, &prefix).await }
        };
        let mut pages = stream::iter(prefixes).map(read).buffered(QUERIES_AT_ONCE);
        while let Some(items) = pages.try_next().await? {
            items.iter().try_for_each(|item| add_row(&mut all, item))?;
        }
        Ok(all.into_values().collect())
    }

    /// How many model calls each row of a day counts, by its bot and its share of the bot's sessions ([`usage_share`]): what has
    /// grown tells where somebody was answered. Of all bots, or of one. Costs one query for each 3,000 rows; a bot has 8 at most.
    pub async fn usage_calls(
        &self,
        now: Timestamp,
        bot: Option<BotId>,
    ) -> Result<HashMap<(BotId, u32), u64>, StoreError> {
        let day = keys::usage_day(&Period::Day.containing(now));
        let prefix = bot.map_or_else(|| format!("{day}#"), |bot| format!("{day}#{bot}#"));
        let mut calls = HashMap::new();
        for item in self.store.items_by_prefix(&self.id.to_string(), &prefix).await? {
            let sk = string(&item, "sk")?;
            let share = sk.rsplit('#').next().and_then(|share| share.parse().ok());
            let (Some((_, bot)), Some(share)) = (keys::usage_of(sk), share) else { continue };
            let counts = item.iter().filter(|(name, _)| name.split(SEPARATOR).next() == Some(CALLS));
            let counts = counts.filter_map(|(_, value)| value.as_n().ok()?.parse::<u64>().ok());
            calls.insert((bot, share), counts.sum());
        }
        Ok(calls)
    }

    /// The write that counts what a commit's entries took; `None` if no model was asked.
    pub(crate) fn usage_action(
        &self,
        bot: BotId,
        session: &SessionKey,
        commit: &Commit<'_>,
    ) -> Result<Option<TransactWriteItem>, StoreError> {
        let counts = counts(commit);
        if counts.is_empty() {
            return Ok(None);
        }
        let now = commit.head.updated_at;
        let day = Period::Day.containing(now);
        let expires = (now + USAGE_TTL).as_secs();
        let mut update = Update::builder()
            .table_name(&self.store.table)
            .set_key(Some(keys::usage(self.id, bot, &day, session).into_item()))
            .expression_attribute_names("#ttl", schema::TTL_ATTRIBUTE)
            .expression_attribute_values(":ttl", number(expires));
        let mut adds = Vec::with_capacity(counts.len());
        for (index, (name, count)) in counts.into_iter().enumerate() {
            adds.push(format!("#c{index} :c{index}"));
            update = update
                .expression_attribute_names(format!("#c{index}"), name)
                .expression_attribute_values(format!(":c{index}"), number(count));
        }
        let update = update.update_expression(format!("SET #ttl = :ttl ADD {}", adds.join(", "))).build();
        let update = update.map_err(|e| unavailable("describe a write", &e))?;
        Ok(Some(TransactWriteItem::builder().update(update).build()))
    }
}

/// What a commit adds, by the name of the attribute.
fn counts(commit: &Commit<'_>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let Some(channel) = channel(commit) else { return counts };
    for entry in commit.entries {
        let (model, usage, cost, turns) = match &entry.body {
            EntryBody::Assistant(answer) => {
                (&answer.model, answer.usage, answer.cost, u64::from(answer.tool_calls.is_empty()))
            }
            EntryBody::Compaction { model, usage, cost, .. } => (model, *usage, *cost, 0),
            EntryBody::ToolResult(ToolResult { asked: Some(asked), .. }) => (&asked.model, asked.usage, asked.cost, 0),
            _ => continue,
        };
        let Usage { input, output, cached, cache_written } = usage;
        let all = [
            (TURNS, turns),
            (CALLS, 1),
            (INPUT, input),
            (OUTPUT, output),
            (CACHED, cached),
            (WRITTEN, cache_written),
            (COST, cost),
        ];
        for (what, count) in all.into_iter().filter(|(_, count)| *count > 0) {
            *counts.entry(format!("{what}{SEPARATOR}{channel}{SEPARATOR}{model}")).or_default() += count;
        }
    }
    counts
}

/// Where the message came from whose turn commits: it is taken in by this commit, or by an earlier one of the turn.
fn channel(commit: &Commit<'_>) -> Option<Channel> {
    let taken = commit.entries.iter().rev().find_map(|entry| match &entry.body {
        EntryBody::User(user) => Some(user.channel),
        _ => None,
    });
    let of_turn = commit.seen.turn.as_ref().map(|turn| turn.reply.channel);
    taken.or(of_turn).or_else(|| commit.place.map(|place| place.channel))
}

fn add_row(all: &mut BTreeMap<(String, BotId, Channel, String), Used>, item: &Item) -> Result<(), StoreError> {
    let sk = string(item, "sk")?;
    let Some((day, bot)) = keys::usage_of(sk) else {
        return Err(StoreError::Corrupt(format!("the key `{sk}` names no day and bot")));
    };
    for (name, value) in item {
        let mut parts = name.splitn(3, SEPARATOR);
        let (Some(what), Some(channel), Some(model)) = (parts.next(), parts.next(), parts.next()) else { continue };
        // What a later build counts is not known here.
        let (Ok(channel), AttributeValue::N(count)) = (channel.parse::<Channel>(), value) else { continue };
        let count: u64 = count.parse().unwrap_or(0);
        let used = all.entry((day.to_owned(), bot, channel, model.to_owned())).or_insert_with(|| Used {
            day: day.to_owned(),
            bot,
            channel,
            model: model.to_owned(),
            turns: 0,
            calls: 0,
            usage: Usage::default(),
            cost: 0,
        });
        match what {
            TURNS => used.turns += count,
            CALLS => used.calls += count,
            INPUT => used.usage.input += count,
            OUTPUT => used.usage.output += count,
            CACHED => used.usage.cached += count,
            WRITTEN => used.usage.cache_written += count,
            COST => used.cost += count,
            _ => {}
        }
    }
    Ok(())
}
