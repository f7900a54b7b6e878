//! The account of a key: shown, and given a budget.

use axum::Json;
use axum::extract::State;
use domain::{Account, AccountId};
use runtime::Environment;

use crate::auth::Caller;
use crate::budgets;
use crate::extract::JsonBody;
use crate::problem::Problem;
use crate::views::{AccountPatch, AccountView};

/// `GET /v1/account`
pub(crate) async fn show(State(environment): State<Environment>, caller: Caller) -> Result<Json<AccountView>, Problem> {
    Ok(Json(view(read(&environment, caller.account).await?)))
}

/// `PATCH /v1/account`
pub(crate) async fn change(
    State(environment): State<Environment>,
    caller: Caller,
    JsonBody(patch): JsonBody<AccountPatch>,
) -> Result<Json<AccountView>, Problem> {
    let mut account = read(&environment, caller.account).await?;
    if let Some(budget) = patch.budget {
        account.budget = budgets::asked(budget);
        let state = environment.store.account(caller.account);
        if account.budget.micros.is_some() {
            budgets::check_account(&account.budget, &state.bot_list().await?)?;
        }
        state.account_put(&account).await?;
        tracing::info!(account = %caller.account, "The account's budget was changed.");
    }
    Ok(Json(view(account)))
}

/// The account's record.
pub(crate) async fn read(environment: &Environment, account: AccountId) -> Result<Account, Problem> {
    let account = environment.store.account(account).account_get().await?;
    account.ok_or_else(|| Problem::not_found("The account of this key no longer exists. Use a key of another account."))
}

fn view(account: Account) -> AccountView {
    AccountView { id: account.id, name: account.name, budget: budgets::shown(account.budget) }
}
