//! The end of a bot, and the way back: archived, deleted with time to think it over, restored.
//!
//! The bot's own record says first that it is at rest, and then its parts follow; restored, its parts are awake before it says so.
//! What is cut short in between can be repeated.

use std::time::Duration;

use axum::extract::State;
use axum::response::NoContent;
use domain::{Bot, BotStatus, LinkStatus, Rest, Timestamp};
use runtime::{Environment, JobError};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::answers::Versioned;
use crate::auth::Caller;
use crate::bots;
use crate::extract::{Parameters, Preconditions, Segments};
use crate::links;
use crate::problem::Problem;
use crate::registration;
use crate::views::BotView;

/// How long a deleted bot can be restored.
const GRACE: Duration = Duration::from_secs(7 * 24 * 3600);

/// `POST /v1/bots/{bot}/archive`
pub(crate) async fn archive(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
) -> Result<Versioned<BotView>, Problem> {
    let seen = bots::find(&environment, caller, &bot).await?;
    if seen.status == BotStatus::Deleted {
        let detail = format!("The bot is deleted. POST /v1/bots/{}/restore first.", seen.id);
        return Err(Problem::conflict(detail));
    }
    let bot = lay_to_rest(&environment, seen, BotStatus::Archived, None).await?;
    Ok(bots::answer(&bot))
}

/// The query of `DELETE /v1/bots/{bot}`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteQuery {
    /// Remove it at once, and for good. Otherwise it can be restored for seven days.
    #[serde(default)]
    now: bool,
}

/// `DELETE /v1/bots/{bot}`
pub(crate) async fn delete(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
    Parameters(query): Parameters<DeleteQuery>,
    conditions: Preconditions,
) -> Result<NoContent, Problem> {
    let bot = bots::find(&environment, caller, &bot).await?;
    conditions.check(bot.version)?;
    if !query.now {
        let delete_at = bot.delete_at().unwrap_or(environment.clock.now() + GRACE);
        let bot = lay_to_rest(&environment, bot, BotStatus::Deleted, Some(delete_at)).await?;
        tracing::info!(account = %caller.account, bot = %bot.id, "A bot was deleted, and can be restored for a while.");
        return Ok(NoContent);
    }
    let account = environment.store.account(caller.account);
    let links = account.link_list(bot.id).await?;
    registration::withdraw(&environment, &links).await;
    account.bot_delete(&bot).await?;
    tracing::info!(account = %caller.account, bot = %bot.id, "A bot was removed.");
    Ok(NoContent)
}

/// `POST /v1/bots/{bot}/restore`
pub(crate) async fn restore(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
) -> Result<Versioned<BotView>, Problem> {
    let seen = bots::find(&environment, caller, &bot).await?;
    let account = environment.store.account(caller.account);
    let answer = match &seen.rest {
        None => bots::answer(&seen),
        Some(rest) => wake(&environment, &seen, rest).await?,
    };
    // Also of a bot that is awake: an earlier attempt may have been cut short here. A job that is written anew is due at its next
    // time from now on, so what it missed is not made up for.
    for job in account.job_list(seen.id).await? {
        match environment.job_wake(&seen, &job).await {
            Ok(()) => {}
            // Its only time passed meanwhile.
            Err(JobError::Bad(error)) => tracing::info!(job = %job.id, "A schedule does not run any more: {error}"),
            Err(error) => return Err(error.into()),
        }
    }
    tracing::info!(account = %caller.account, bot = %seen.id, "A bot was restored.");
    Ok(answer)
}

/// Has the links that were paused with a bot listen again, and then writes that it is what it was.
async fn wake(environment: &Environment, seen: &Bot, rest: &Rest) -> Result<Versioned<BotView>, Problem> {
    if rest.delete_at.is_some_and(|at| at <= environment.clock.now()) {
        return Err(Problem::conflict("Its time is over, and it is being removed. It cannot be restored any more."));
    }
    let account = environment.store.account(seen.account);
    for id in &rest.links {
        // It may have been deleted, or have failed, meanwhile.
        if let Some(mut link) = account.link_get(seen.id, *id).await?
            && link.status == LinkStatus::Paused
        {
            link.status = LinkStatus::Active;
            links::save(environment, &mut link).await?;
        }
    }
    bots::save(environment, seen, Bot { status: rest.was, rest: None, ..seen.clone() }).await
}

/// Writes that a bot is at rest, pauses its links, and takes its schedules out of what is due.
async fn lay_to_rest(
    environment: &Environment,
    seen: Bot,
    status: BotStatus,
    delete_at: Option<Timestamp>,
) -> Result<Bot, Problem> {
    let account = environment.store.account(seen.account);
    let links = account.link_list(seen.id).await?;
    let active = links.iter().filter(|link| link.is_active()).map(|link| link.id);
    let mut rest = seen.rest.clone().unwrap_or_else(|| Rest { was: seen.status, ..Rest::default() });
    rest.delete_at = delete_at;
    let missing: Vec<_> = active.filter(|id| !rest.links.contains(id)).collect();
    rest.links.extend(missing);
    let mut bot = Bot { status, rest: Some(rest), ..seen.clone() };
    if (bot.status, &bot.rest) != (seen.status, &seen.rest) {
        (bot.version, bot.updated_at) = (seen.version + 1, environment.clock.now());
        account.bot_update(&seen, &bot).await?;
    }
    for mut link in links.into_iter().filter(domain::Link::is_active) {
        link.status = LinkStatus::Paused;
        links::save(environment, &mut link).await?;
    }
    for job in account.job_list(bot.id).await? {
        account.job_rest(bot.id, job.id).await?;
    }
    Ok(bot)
}
