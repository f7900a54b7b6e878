//! What bots and accounts have spent on models: counters per period, changed in the transactions that let a model be
//! called and that commit what it said.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use domain::budget::{Charge, Reserved, Settlement};
use domain::{BotId, Budget, BudgetScope, Timestamp};

use crate::error::{StoreError, unavailable};
use crate::item::{Item, number};
use crate::{AccountStore, Store, keys};

/// What a commit does to the counters.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Spending {
    #[default]
    Nothing,
    /// Sets money aside for a model call, where every allowance permits it.
    Reserve {
        micros: u64,
        /// The call is the first one of its turn, so it counts as a turn.
        begins_turn: bool,
        allowances: Vec<Allowance>,
    },
    /// Puts the counters right after the call.
    Settle(Settlement),
}

/// One counter and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub charge: Charge,
    pub budget: Budget,
}

impl Allowance {
    /// The counter of what `budget` allows at `now`; `None` where it limits nothing.
    pub fn of(scope: BudgetScope, budget: &Budget, now: Timestamp) -> Option<Allowance> {
        let charge = Charge { scope, period: budget.period.containing(now) };
        budget.is_limited().then_some(Allowance { charge, budget: *budget })
    }
}

/// What was spent in one period, with what is set aside for calls under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub micros: u64,
    pub turns: u64,
}

impl Spent {
    fn of(item: &Item) -> Spent {
        Spent { micros: count(item, "micros"), turns: count(item, "turns") }
    }
}

impl Spending {
    /// What [`Spending::Reserve`] sets aside, as the turn keeps it.
    pub fn reserved(&self) -> Option<Reserved> {
        let Spending::Reserve { micros, allowances, .. } = self else { return None };
        let charges = allowances.iter().map(|allowance| allowance.charge.clone()).collect();
        Some(Reserved { micros: *micros, charges })
    }
}

impl AccountStore<'_> {
    /// What the account (without a bot) or one of its bots spent in a period.
    pub async fn spent(&self, bot: Option<BotId>, period: &str) -> Result<Spent, StoreError> {
        let item = self.store.item_get(keys::spending(self.id, bot, period)).await?.unwrap_or_default();
        Ok(Spent::of(&item))
    }

    /// What bots spent, each in a period of its own. Bots of which nothing was counted then are left out. Costs one read, of up
    /// to 100 rows.
    pub async fn spent_by(
        &self,
        bots: impl Iterator<Item = (BotId, String)>,
    ) -> Result<HashMap<BotId, Spent>, StoreError> {
        let wanted: Vec<_> = bots.map(|(bot, period)| (bot, keys::spending(self.id, Some(bot), &period))).collect();
        let found = self.store.items_get(wanted.iter().map(|(_, key)| key.clone())).await?;
        let counted = wanted.iter().filter_map(|(bot, key)| Some((*bot, Spent::of(found.get(key)?))));
        Ok(counted.collect())
    }

    /// The writes of the counters, each with whose it is.
    pub(crate) fn spending_actions(
        &self,
        bot: BotId,
        spending: &Spending,
    ) -> Result<Vec<(BudgetScope, TransactWriteItem)>, StoreError> {
        match spending {
            Spending::Nothing => Ok(vec![]),
            Spending::Reserve { micros, begins_turn, allowances } => {
                let action = |allowance| self.reserve_action(bot, *micros, *begins_turn, allowance);
                allowances.iter().map(action).collect()
            }
            Spending::Settle(settlement) => {
                let Settlement { reserved, micros } = settlement;
                let correction = i128::from(*micros) - i128::from(reserved.micros);
                let action = |charge| self.settle_action(bot, correction, charge);
                reserved.charges.iter().filter(|_| correction != 0).map(action).collect()
            }
        }
    }

    fn reserve_action(
        &self,
        bot: BotId,
        micros: u64,
        begins_turn: bool,
        allowance: &Allowance,
    ) -> Result<(BudgetScope, TransactWriteItem), StoreError> {
        let scope = allowance.charge.scope;
        // What does not fit an empty counter needs no look at it.
        let room = |limit: u64, wanted: u64| limit.checked_sub(wanted).ok_or(StoreError::OverBudget(scope));
        let turns = u64::from(begins_turn);
        let mut update = self
            .counter(bot, &allowance.charge)
            .update_expression("ADD micros :micros, turns :turns")
            .expression_attribute_values(":micros", number(micros))
            .expression_attribute_values(":turns", number(turns));
        let mut fits = Vec::new();
        if let Some(limit) = allowance.budget.micros {
            update = update.expression_attribute_values(":most_micros", number(room(limit, micros)?));
            fits.push("micros <= :most_micros");
        }
        if let Some(limit) = allowance.budget.turns.filter(|_| begins_turn) {
            update = update.expression_attribute_values(":most_turns", number(room(limit, turns)?));
            fits.push("turns <= :most_turns");
        }
        if !fits.is_empty() {
            update = update.condition_expression(format!("attribute_not_exists(pk) OR ({})", fits.join(" AND ")));
        }
        Ok((scope, update_action(update)?))
    }

    fn settle_action(
        &self,
        bot: BotId,
        correction: i128,
        charge: &Charge,
    ) -> Result<(BudgetScope, TransactWriteItem), StoreError> {
        let update = self
            .counter(bot, charge)
            .update_expression("ADD micros :correction")
            .expression_attribute_values(":correction", AttributeValue::N(correction.to_string()));
        Ok((charge.scope, update_action(update)?))
    }

    fn counter(&self, bot: BotId, charge: &Charge) -> aws_sdk_dynamodb::types::builders::UpdateBuilder {
        let bot = (charge.scope != BudgetScope::Account).then_some(bot);
        let key = keys::spending(self.id, bot, &charge.period);
        let Store { table, .. } = self.store;
        Update::builder().table_name(table).set_key(Some(key.into_item()))
    }
}

fn update_action(update: aws_sdk_dynamodb::types::builders::UpdateBuilder) -> Result<TransactWriteItem, StoreError> {
    let update = update.build().map_err(|e| unavailable("describe a write", &e))?;
    Ok(TransactWriteItem::builder().update(update).build())
}

fn count(item: &Item, attribute: &str) -> u64 {
    let number = item.get(attribute).and_then(|value| value.as_n().ok()).and_then(|text| text.parse::<i128>().ok());
    number.map_or(0, |number| u64::try_from(number).unwrap_or(0))
}
