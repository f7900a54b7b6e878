//! Transcripts: what was said in a session, from its first line on, wherever the lines are kept.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use runtime::Environment;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::auth::Caller;
use crate::bots;
use crate::entries::entry_views;
use crate::extract::{Parameters, Segments};
use crate::pages::limit_of_log;
use crate::problem::Problem;
use crate::sessions;
use crate::views::EntryPage;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;

/// The query of `GET /v1/bots/{bot}/sessions/{session}/entries`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntriesQuery {
    /// The `next` of an earlier answer, or the place of any entry. Without it the log is read from its beginning.
    #[serde(default)]
    after: u64,
    /// How many entries to read at most; 100 unless given.
    #[schemars(range(min = 1, max = MAX_LIMIT))]
    limit: Option<usize>,
}

/// `GET /v1/bots/{bot}/sessions/{session}/entries`
pub(crate) async fn list(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, key)): Segments<(String, String)>,
    Parameters(query): Parameters<EntriesQuery>,
) -> Result<Json<EntryPage>, Problem> {
    let limit = limit_of_log(query.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let bot = bots::find(&environment, caller, &bot).await?;
    let (session, head) = sessions::find(&environment, &bot, &key).await?;
    let account = environment.store.account(bot.account);
    let (mut items, mut next, mut heartbeats) = (vec![], query.after, HashSet::new());
    // A segment may end before the page is full.
    while items.len() < limit && next < head.next_seq {
        let rows = i32::try_from(limit - items.len()).unwrap_or(1);
        let page = account.session_read(bot.id, &session, next, rows).await?;
        if page.entries.is_empty() {
            break;
        }
        next = page.next;
        items.extend(entry_views(bot.id, page.entries, &mut heartbeats));
    }
    items.truncate(limit);
    next = items.last().map_or(next, |last| last.seq + 1);
    Ok(Json(EntryPage { items, next: (next < head.next_seq).then_some(next) }))
}
