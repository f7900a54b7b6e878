//! Budgets: which ones can be kept, and what was spent of them.

use axum::Json;
use axum::extract::State;
use domain::{Bot, BotId, Budget, BudgetScope};
use runtime::Environment;
use schemars::JsonSchema;
use serde::Deserialize;
use store::Spent;

use crate::account;
use crate::auth::Caller;
use crate::bots;
use crate::extract::Parameters;
use crate::pages::{self, List, PageQuery};
use crate::problem::Problem;
use crate::views::{Page, UsageView};

/// How a price is given.
const PRICE_EXAMPLE: &str = r#"{"input": 1250000, "output": 10000000} (micro-dollars per million tokens)"#;

/// The first model of a bot of which it is not known what it costs: with such a one no limit in dollars can be kept.
pub(crate) fn unpriced(bot: &Bot) -> Option<&str> {
    let own = (bot.model.model.as_deref(), bot.model.price);
    let others = bot.model.others().map(|other| (Some(other.model.as_str()), other.price));
    let mut models = [own].into_iter().chain(others);
    models.find(|(model, price)| agent::price_of(*model, *price).is_none()).map(|(model, _)| model.unwrap_or_default())
}

/// The budget that a request asks for; one that limits nothing is none.
pub(crate) fn asked(budget: Option<Budget>) -> Budget {
    budget.filter(Budget::is_limited).unwrap_or_default()
}

/// The budget as views show it.
pub(crate) fn shown(budget: Budget) -> Option<Budget> {
    budget.is_limited().then_some(budget)
}

/// Refuses a turn's budget under which no turn could call a model.
pub(crate) fn turn_budget(micros: Option<u64>) -> Result<Option<u64>, Problem> {
    match micros {
        Some(0) => Err(Problem::bad_request(
            "turn_budget: with 0 no turn could call a model. Give micro-dollars (250000 is $0.25), or null for no limit.",
        )),
        micros => Ok(micros),
    }
}

/// Refuses limits in dollars on a bot whose model has no known price.
pub(crate) async fn check_bot(environment: &Environment, bot: &Bot) -> Result<(), Problem> {
    let Some(model) = unpriced(bot) else { return Ok(()) };
    let why = if bot.budget.micros.is_some() {
        "budget.micros:"
    } else if bot.turn_budget.is_some() {
        "turn_budget:"
    } else if account::read(environment, bot.account).await?.budget.micros.is_some() {
        "model.model: the account has a budget in dollars, and"
    } else {
        return Ok(());
    };
    let field = match model {
        own if bot.model.model.as_deref() == Some(own) => "model.price",
        listed if bot.model.lists(listed) => "its price in model.fallbacks",
        _ => "its price in model.image_model",
    };
    Err(Problem::bad_request(format!("{why} the price of {model} is not known. Give {field} as {PRICE_EXAMPLE}.")))
}

/// Refuses a limit in dollars on an account that has a bot whose model has no known price.
pub(crate) fn check_account(budget: &Budget, bots: &[Bot]) -> Result<(), Problem> {
    let found = bots.iter().find_map(|bot| unpriced(bot).map(|model| (bot, model)));
    let Some((bot, model)) = found.filter(|_| budget.micros.is_some()) else { return Ok(()) };
    Err(Problem::bad_request(format!(
        "budget.micros: the price of {model} is not known, which the bot `{}` uses. Give the bot's model.price as \
         {PRICE_EXAMPLE}, or limit turns instead.",
        bot.name
    )))
}

/// The query of `GET /v1/usage`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageQuery {
    /// One bot alone, by its id or its name.
    bot: Option<String>,
    /// The `next` of an earlier page of this list. Without it the list begins, with the account's own line.
    cursor: Option<String>,
    /// How many bots at most; 50 unless given. There may be fewer although others follow.
    #[schemars(range(min = 1, max = pages::MAX_LIMIT))]
    limit: Option<u32>,
}

/// `GET /v1/usage`
pub(crate) async fn usage(
    State(environment): State<Environment>,
    caller: Caller,
    Parameters(query): Parameters<UsageQuery>,
) -> Result<Json<Page<UsageView>>, Problem> {
    let (state, now) = (environment.store.account(caller.account), environment.clock.now());
    let list = List::new(caller.account, "usage");
    let is_first = query.cursor.is_none();
    let range = list.range(&PageQuery { cursor: query.cursor, limit: query.limit })?;
    if let Some(bot) = &query.bot {
        let bot = bots::find(&environment, caller, bot).await?;
        let period = bot.budget.period.containing(now);
        let spent = state.spent(Some(bot.id), &period).await?;
        let items = vec![line(Some(bot.id), bot.name, bot.budget, period, spent)];
        return Ok(Json(Page { items, next: None }));
    }
    let page = state.bot_page(&range, now).await?;
    let mut items = Vec::with_capacity(page.items.len() + 1);
    if is_first {
        let account = account::read(&environment, caller.account).await?;
        let period = account.budget.period.containing(now);
        let spent = state.spent(None, &period).await?;
        items.push(line(None, account.name, account.budget, period, spent));
    }
    let period = |bot: &Bot| bot.budget.period.containing(now);
    let spent = state.spent_by(page.items.iter().map(|glance| (glance.bot.id, period(&glance.bot)))).await?;
    let Json(page) = list.answer(page, |glance| {
        let (bot, period) = (&glance.bot, period(&glance.bot));
        let spent = spent.get(&bot.id).copied().unwrap_or_default();
        line(Some(bot.id), bot.name.clone(), bot.budget, period, spent)
    });
    items.extend(page.items);
    Ok(Json(Page { items, next: page.next }))
}

/// What the account, or one of its bots, spent in the current period.
fn line(bot: Option<BotId>, name: String, budget: Budget, period: String, spent: Spent) -> UsageView {
    let scope = if bot.is_some() { BudgetScope::Bot } else { BudgetScope::Account };
    UsageView { scope, bot, name, period, micros: spent.micros, turns: spent.turns, budget: shown(budget) }
}
