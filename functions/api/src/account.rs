//! The account of a key: shown, named, and given a budget.

use axum::extract::State;
use domain::{Account, AccountId};
use runtime::Environment;
use store::Spent;

use crate::answers::Versioned;
use crate::auth::Caller;
use crate::budgets;
use crate::extract::{JsonBody, Preconditions};
use crate::problem::Problem;
use crate::views::{AccountPatch, AccountView, SpentView};

/// The longest name of an account, in characters.
const MAX_NAME: usize = 80;

/// `GET /v1/account`
pub(crate) async fn show(
    State(environment): State<Environment>,
    caller: Caller,
) -> Result<Versioned<AccountView>, Problem> {
    let (account, version) = read_versioned(&environment, caller.account).await?;
    Ok(Versioned(version, view(&environment, account).await?))
}

/// `PATCH /v1/account`
pub(crate) async fn change(
    State(environment): State<Environment>,
    caller: Caller,
    conditions: Preconditions,
    JsonBody(patch): JsonBody<AccountPatch>,
) -> Result<Versioned<AccountView>, Problem> {
    let (seen, version) = read_versioned(&environment, caller.account).await?;
    conditions.check(version)?;
    let mut account = seen.clone();
    let state = environment.store.account(caller.account);
    if let Some(name) = patch.name {
        account.name = checked_name(&name)?;
    }
    if let Some(budget) = patch.budget {
        account.budget = budgets::asked(budget);
        if account.budget.micros.is_some() {
            budgets::check_account(&account.budget, &state.bot_list().await?)?;
        }
    }
    if account == seen {
        return Ok(Versioned(version, view(&environment, account).await?));
    }
    state.account_update(version, &account).await?;
    tracing::info!(account = %caller.account, "The account was changed.");
    Ok(Versioned(version + 1, view(&environment, account).await?))
}

fn checked_name(name: &str) -> Result<String, Problem> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!("name: give 1 to {MAX_NAME} characters, in one line.")));
    }
    Ok(name.to_owned())
}

fn gone() -> Problem {
    Problem::not_found("The account of this key no longer exists. Use a key of another account.")
}

async fn read_versioned(environment: &Environment, account: AccountId) -> Result<(Account, u64), Problem> {
    environment.store.account(account).account_read().await?.ok_or_else(gone)
}

/// The account's record.
pub(crate) async fn read(environment: &Environment, account: AccountId) -> Result<Account, Problem> {
    let account = environment.store.account(account).account_get().await?;
    account.ok_or_else(gone)
}

async fn view(environment: &Environment, account: Account) -> Result<AccountView, Problem> {
    let period = account.budget.period.containing(environment.clock.now());
    let Spent { micros, turns } = environment.store.account(account.id).spent(None, &period).await?;
    let spent = SpentView { period, micros, turns };
    Ok(AccountView { id: account.id, name: account.name, budget: budgets::shown(account.budget), spent })
}
