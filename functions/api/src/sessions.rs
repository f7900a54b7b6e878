//! Sessions: a bot's conversations, listed and looked at.

use axum::Json;
use axum::extract::State;
use domain::turn::Head;
use domain::{Bot, SessionKey};
use runtime::Environment;
use store::SessionSummary;

use crate::auth::Caller;
use crate::bots;
use crate::extract::{Parameters, Segments};
use crate::pages::{List, PageQuery};
use crate::problem::Problem;
use crate::views::{Page, SessionPage, SessionView};

/// `GET /v1/bots/{bot}/sessions`
pub(crate) async fn list(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Page<SessionView>>, Problem> {
    let bot = bots::find(&environment, caller, &bot).await?;
    let list = List::new(caller.account, &format!("sessions of {}", bot.id));
    let page = environment.store.account(caller.account).session_page(bot.id, &list.range(&query)?).await?;
    let view = |summary: SessionSummary| SessionView { session: summary.session, created_at: summary.created_at };
    Ok(list.answer(page, view))
}

/// `GET /v1/bots/{bot}/sessions/{session}`
pub(crate) async fn show(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, key)): Segments<(String, String)>,
) -> Result<Json<SessionPage>, Problem> {
    let bot = bots::find(&environment, caller, &bot).await?;
    let (session, head) = find(&environment, &bot, &key).await?;
    Ok(Json(page(session, head)))
}

/// The bot's session of this key, and its head.
pub(crate) async fn find(environment: &Environment, bot: &Bot, key: &str) -> Result<(SessionKey, Head), Problem> {
    let unknown = || {
        let shown: String = key.chars().take(80).collect();
        let detail = format!("There is no session `{shown}`. GET /v1/bots/{}/sessions lists the bot's.", bot.id);
        Problem::not_found(detail)
    };
    let session: SessionKey = key.parse().map_err(|_| unknown())?;
    let head = environment.store.account(bot.account).session_head(bot.id, &session).await?;
    Ok((session, head.ok_or_else(unknown)?))
}

fn page(session: SessionKey, head: Head) -> SessionPage {
    SessionPage {
        session,
        entries: head.next_seq,
        usage: head.usage,
        cost: head.cost,
        queue: head.queue,
        busy: head.turn.is_some(),
        updated_at: head.updated_at,
    }
}
