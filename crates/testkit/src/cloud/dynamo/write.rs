//! Writes: each is first planned against the rows as they are, then applied.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::expression::{Names, condition};
use super::item::{Item, keys};
use super::refusal::{Reason, Refusal};
use super::request::{Action, BatchAction, BatchWrite, ReturnValues, Transact};
use super::table::{check, check_key};
use super::update::update;
use super::{Dynamo, MAX_BATCH_WRITES, MAX_TRANSACTION};

/// How long a transaction's token is remembered.
const TOKEN_LIFE: Duration = Duration::from_secs(600);

/// What a write does to its row.
enum After {
    Nothing,
    Put(Item),
    Remove,
}

struct Plan {
    pk: String,
    sk: String,
    /// Whether its condition holds. If not, there is nothing to do.
    holds: bool,
    after: After,
    before: Option<Item>,
}

impl Dynamo {
    fn plan(&self, action: &Action) -> Result<Plan, Refusal> {
        let write = action.write();
        self.check_table(&write.table_name)?;
        let is_put = matches!(action, Action::Put(_));
        let is_update = matches!(action, Action::Update(_));
        if write.item.is_some() != is_put || write.key.is_some() == is_put {
            return Err(Refusal::validation("The request has an item where a key belongs, or the reverse"));
        }
        if write.update_expression.is_some() != is_update {
            return Err(Refusal::validation("An update, and nothing else, has an update expression"));
        }
        if matches!(action, Action::ConditionCheck(_)) && write.condition_expression.is_none() {
            return Err(Refusal::validation("A condition check has no condition"));
        }
        let (pk, sk) = match (&write.item, &write.key) {
            (Some(item), _) => keys(item)?,
            (None, Some(key)) => check_key(key)?,
            (None, None) => return Err(Refusal::validation("There is no key")),
        };
        let before = self.table.get(pk, sk);

        let names = Names::new(&write.expression_attribute_names, &write.expression_attribute_values);
        let condition = write.condition_expression.as_ref().map(|text| condition(text, &names)).transpose()?;
        let update = write.update_expression.as_ref().map(|text| update(text, &names)).transpose()?;
        names.check_used()?;
        let is_ignored = || self.ignored.as_ref().is_some_and(|ignored| ignored(pk, sk));
        let holds = condition.is_none_or(|condition| condition.holds(before) || is_ignored());

        let after = match action {
            _ if !holds => After::Nothing,
            Action::ConditionCheck(_) => After::Nothing,
            Action::Delete(_) => After::Remove,
            Action::Put(_) | Action::Update(_) => {
                let item = match (&update, &write.item) {
                    (Some(update), _) => {
                        let key = write.key.as_ref().cloned().unwrap_or_default();
                        update.apply(before.unwrap_or(&key))?
                    }
                    (None, item) => item.clone().unwrap_or_default(),
                };
                check(&item)?;
                After::Put(item)
            }
        };
        Ok(Plan { pk: pk.to_owned(), sk: sk.to_owned(), holds, after, before: before.cloned() })
    }

    fn apply(&mut self, plan: Plan) {
        match plan.after {
            After::Nothing => {}
            After::Put(item) => self.table.put(item),
            After::Remove => {
                self.table.remove(&plan.pk, &plan.sk);
            }
        }
    }

    pub(crate) fn write(&mut self, action: &Action) -> Result<Value, Refusal> {
        let write = action.write();
        let plan = self.plan(action)?;
        if !plan.holds {
            let wanted = write.return_values_on_condition_check_failure == ReturnValues::AllOld;
            return Err(Refusal::condition_failed(plan.before.filter(|_| wanted)));
        }
        let returned = match (write.return_values, &plan.after) {
            (ReturnValues::None, _) => None,
            (ReturnValues::AllOld, _) => plan.before.clone(),
            (ReturnValues::AllNew, After::Put(item)) if matches!(action, Action::Update(_)) => Some(item.clone()),
            (ReturnValues::AllNew, _) => return Err(Refusal::validation("ALL_NEW is for updates")),
        };
        self.apply(plan);
        Ok(returned.map_or_else(|| json!({}), |item| json!({ "Attributes": item })))
    }

    pub(crate) fn transact(&mut self, transact: Transact, now: Instant) -> Result<Value, Refusal> {
        if !(1..=MAX_TRANSACTION).contains(&transact.transact_items.len()) {
            let count = transact.transact_items.len();
            return Err(Refusal::validation(format!("A transaction has 1 to {MAX_TRANSACTION} actions, not {count}")));
        }
        self.tokens.retain(|_, (used_at, _)| now < *used_at + TOKEN_LIFE);
        if let Some((_, body)) = transact.client_request_token.as_ref().and_then(|token| self.tokens.get(token)) {
            let is_the_same = *body == transact.body || parsed(body) == parsed(&transact.body);
            return if is_the_same { Ok(json!({})) } else { Err(Refusal::other_request_with_the_token()) };
        }

        let plans = transact.transact_items.iter().map(|action| self.plan(action)).collect::<Result<Vec<_>, _>>()?;
        let rows: BTreeSet<(&str, &str)> = plans.iter().map(|plan| (plan.pk.as_str(), plan.sk.as_str())).collect();
        if rows.len() < plans.len() {
            return Err(Refusal::validation("Transaction request cannot include multiple operations on one item"));
        }
        if plans.iter().any(|plan| !plan.holds) {
            let reason = |(plan, action): (Plan, &Action)| match plan.holds {
                true => Reason::held(),
                false => {
                    let wanted = action.write().return_values_on_condition_check_failure == ReturnValues::AllOld;
                    Reason::failed(plan.before.filter(|_| wanted))
                }
            };
            let reasons: Vec<Reason> = plans.into_iter().zip(&transact.transact_items).map(reason).collect();
            return Err(Refusal::cancelled(&reasons));
        }
        for plan in plans {
            self.apply(plan);
        }
        if let Some(token) = transact.client_request_token {
            self.tokens.insert(token, (now, transact.body));
        }
        Ok(json!({}))
    }

    pub(crate) fn batch_write(&mut self, batch: BatchWrite) -> Result<Value, Refusal> {
        let mut rows = BTreeSet::new();
        let mut puts = Vec::new();
        for (table, actions) in batch.request_items {
            self.check_table(&table)?;
            for action in actions {
                let (key, item) = match &action {
                    BatchAction::PutRequest { item } => {
                        check(item)?;
                        (keys(item)?, Some(item.clone()))
                    }
                    BatchAction::DeleteRequest { key } => (check_key(key)?, None),
                };
                let key = (key.0.to_owned(), key.1.to_owned());
                if !rows.insert(key.clone()) {
                    return Err(Refusal::validation("Provided list of item keys contains duplicates"));
                }
                puts.push((key, item));
            }
        }
        if !(1..=MAX_BATCH_WRITES).contains(&puts.len()) {
            return Err(Refusal::validation(format!("A batch has 1 to {MAX_BATCH_WRITES} writes, not {}", puts.len())));
        }
        for ((pk, sk), item) in puts {
            match item {
                Some(item) => self.table.put(item),
                None => drop(self.table.remove(&pk, &sk)),
            }
        }
        Ok(json!({ "UnprocessedItems": {} }))
    }
}

fn parsed(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}
