//! Budgets: which ones can be kept, and what was spent of them.

use axum::Json;
use axum::extract::State;
use domain::{Bot, BotId, Budget, BudgetScope};
use futures::{StreamExt, TryStreamExt, stream};
use runtime::Environment;

use crate::account;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::views::{Items, UsageView};

/// How many counters are read at once.
const READS_AT_ONCE: usize = 16;

/// How a price is given.
const PRICE_EXAMPLE: &str = r#"{"input": 1250000, "output": 10000000} (micro-dollars per million tokens)"#;

/// The first model of a bot of which it is not known what it costs: with such a one no limit in dollars can be kept.
pub(crate) fn unpriced(bot: &Bot) -> Option<&str> {
    let own = (bot.model.model.as_deref(), bot.model.price);
    let others = bot.model.fallbacks.iter().map(|other| (Some(other.model.as_str()), other.price));
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
    let field = if bot.model.model.as_deref() == Some(model) { "model.price" } else { "its price in model.fallbacks" };
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

/// `GET /v1/usage`
pub(crate) async fn usage(
    State(environment): State<Environment>,
    caller: Caller,
) -> Result<Json<Items<UsageView>>, Problem> {
    let account = account::read(&environment, caller.account).await?;
    let bots = environment.store.account(caller.account).bot_list().await?;
    let own = line(&environment, caller, None, account.name, account.budget).await?;
    let of_bot = |bot: Bot| line(&environment, caller, Some(bot.id), bot.name, bot.budget);
    let of_bots: Vec<UsageView> =
        stream::iter(bots.into_iter().map(of_bot)).buffered(READS_AT_ONCE).try_collect().await?;
    Ok(Json(Items { items: [own].into_iter().chain(of_bots).collect() }))
}

/// What the account, or one of its bots, spent in the current period.
async fn line(
    environment: &Environment,
    caller: Caller,
    bot: Option<BotId>,
    name: String,
    budget: Budget,
) -> Result<UsageView, Problem> {
    let period = budget.period.containing(environment.clock.now());
    let spent = environment.store.account(caller.account).spent(bot, &period).await?;
    Ok(UsageView {
        scope: if bot.is_some() { BudgetScope::Bot } else { BudgetScope::Account },
        bot,
        name,
        period,
        micros: spent.micros,
        turns: spent.turns,
        budget: shown(budget),
    })
}
