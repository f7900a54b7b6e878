//! What a model call may cost: which budgets allow it, and what people are told when they do not.

use domain::budget::{BudgetScope, Period, dollars};
use domain::turn::ActiveTurn;
use domain::{Bot, Budget, Timestamp};
use store::{Allowance, Notice, Spending};

use crate::bots::BotContext;

/// Why a call is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    UsedUp(BudgetScope),
    /// The budget is in money, and nobody knows what the model costs.
    NoPrice,
}

/// What the commit that allows a call does to the counters. `estimate`: the most that it may cost, in micro-dollars.
pub(crate) fn reserve(
    context: &BotContext,
    turn: &ActiveTurn,
    estimate: Option<u64>,
    now: Timestamp,
) -> Result<Spending, Refusal> {
    let Bot { budget, turn_budget, .. } = &context.bot;
    let in_money = budget.micros.or(context.account_budget.micros).or(*turn_budget).is_some();
    let micros = match estimate {
        Some(micros) => micros,
        None if in_money => return Err(Refusal::NoPrice),
        None => 0,
    };
    if turn_budget.is_some_and(|limit| turn.spent.saturating_add(micros) > limit) {
        return Err(Refusal::UsedUp(BudgetScope::Turn));
    }
    let account = Allowance::of(BudgetScope::Account, &context.account_budget, now);
    let bot = Allowance::of(BudgetScope::Bot, budget, now);
    // Always both, if there is a budget at all, so that who looks at the usage sees it whole.
    let count = |scope| Allowance { charge: charge(scope, now), budget: Budget::default() };
    let allowances =
        [account.unwrap_or_else(|| count(BudgetScope::Account)), bot.unwrap_or_else(|| count(BudgetScope::Bot))];
    Ok(Spending::Reserve { micros, begins_turn: !turn.is_counted, allowances: allowances.into() })
}

fn charge(scope: BudgetScope, now: Timestamp) -> domain::budget::Charge {
    domain::budget::Charge { scope, period: Period::default().containing(now) }
}

impl Refusal {
    /// What the person is told.
    pub(crate) fn person(self, context: &BotContext) -> String {
        match self {
            Refusal::NoPrice => "I do not know what my language model costs, and my owner has set a budget, so I do \
                                 not answer. My owner can give the model's price."
                .to_owned(),
            Refusal::UsedUp(BudgetScope::Turn) => {
                "This would cost more than one answer of mine may, so I stopped. My owner can raise that limit."
                    .to_owned()
            }
            Refusal::UsedUp(scope) => {
                let when = budget_of(scope, context).period.as_words();
                format!("My budget for {} is used up, so I cannot answer. My owner can raise it.", when)
            }
        }
    }

    /// What the owner is told, once a period.
    pub(crate) fn notice(self, context: &BotContext, now: Timestamp) -> Notice {
        let bot = &context.bot;
        let (about, text) = match self {
            Refusal::NoPrice => (
                format!("price.{}.{}", bot.id, Period::Day.containing(now)),
                format!(
                    "{} does not answer: it has a budget in money, and the price of its model is not known. Give it \
                     with `lowtide bots change {} --price-input … --price-output …`.",
                    bot.name, bot.name
                ),
            ),
            Refusal::UsedUp(scope @ BudgetScope::Turn) => (
                format!("budget.{scope}.{}.{}", bot.id, Period::Day.containing(now)),
                format!(
                    "A turn of {} was ended: its next model call would have brought it over {}.",
                    bot.name,
                    dollars(bot.turn_budget.unwrap_or_default())
                ),
            ),
            Refusal::UsedUp(scope) => {
                let budget = budget_of(scope, context);
                let period = budget.period.containing(now);
                let whose = if scope == BudgetScope::Account { "account".to_owned() } else { bot.id.to_string() };
                let who = if scope == BudgetScope::Account { "The account" } else { bot.name.as_str() };
                (
                    format!("budget.{whose}.{period}"),
                    format!("{who} has used up its budget for {period} ({}). Bots do not answer.", limits(budget)),
                )
            }
        };
        Notice { about, bot: Some(bot.id), text, at: now }
    }
}

fn budget_of(scope: BudgetScope, context: &BotContext) -> &Budget {
    if scope == BudgetScope::Account { &context.account_budget } else { &context.bot.budget }
}

fn limits(budget: &Budget) -> String {
    let money = budget.micros.map(dollars);
    let turns = budget.turns.map(|turns| format!("{turns} turns"));
    money.into_iter().chain(turns).collect::<Vec<_>>().join(", ")
}
