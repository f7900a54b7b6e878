//! What each turn of a session took: the model calls in the log, added up.

use axum::Json;
use axum::extract::State;
use domain::{Bot, Entry, EntryBody, SessionKey, ToolResult, Usage};
use futures::stream::{self, StreamExt, TryStreamExt};
use runtime::Environment;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::auth::Caller;
use crate::bots;
use crate::extract::{Parameters, Segments};
use crate::pages::limit_of_log;
use crate::problem::Problem;
use crate::sessions;
use crate::steps::steps;
use crate::views::{TurnView, TurnsPage};

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;
/// How many entries are read at first, and each time that they do not hold a whole turn.
const WINDOW: u64 = 400;
/// How many deliveries are looked up at once.
const READS_AT_ONCE: usize = 16;
/// How many rows of the log one query reads.
const ROWS: i32 = 200;

/// The query of `GET /v1/bots/{bot}/sessions/{session}/turns`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TurnsQuery {
    /// The `next` of an earlier answer. Without it the newest turns are shown.
    before: Option<u64>,
    /// How many turns to show at most; 20 unless given.
    #[schemars(range(min = 1, max = MAX_LIMIT))]
    limit: Option<usize>,
}

/// `GET /v1/bots/{bot}/sessions/{session}/turns`
pub(crate) async fn list(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, key)): Segments<(String, String)>,
    Parameters(query): Parameters<TurnsQuery>,
) -> Result<Json<TurnsPage>, Problem> {
    let limit = limit_of_log(query.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let bot = bots::find(&environment, caller, &bot).await?;
    let (session, head) = sessions::find(&environment, &bot, &key).await?;
    let end = query.before.unwrap_or(head.next_seq).min(head.next_seq);
    let mut start = end;
    // A turn that waited for its owner's word goes on after others.
    let mut entries = read(&environment, &bot, &session, end, head.next_seq.min(end + WINDOW)).await?;
    let turns = loop {
        let from = start.saturating_sub(WINDOW);
        let mut earlier = read(&environment, &bot, &session, from, start).await?;
        earlier.append(&mut entries);
        (start, entries) = (from, earlier);
        let mut turns = summed(&entries);
        turns.retain(|turn| turn.seq < end);
        // The first turn may have begun before what was read.
        let whole = if start == 0 { &turns[..] } else { turns.get(1..).unwrap_or_default() };
        if start == 0 || !whole.is_empty() {
            break whole.to_vec();
        }
    };
    let newest = turns.into_iter().rev().take(limit);
    let items = newest.map(|turn| with_steps(&environment, &bot, &session, &entries, turn));
    let items: Vec<TurnView> = stream::iter(items).buffered(READS_AT_ONCE).try_collect().await?;
    let next = items.last().map(|turn| turn.seq).filter(|seq| *seq > 0);
    Ok(Json(TurnsPage { items, next }))
}

/// The turn with its steps. Its delivery is looked up where its answer was sent to a channel.
async fn with_steps(
    environment: &Environment,
    bot: &Bot,
    session: &SessionKey,
    entries: &[Entry],
    turn: TurnView,
) -> Result<TurnView, Problem> {
    let own: Vec<&Entry> = entries.iter().filter(|entry| entry.turn == turn.turn).collect();
    let is_sent = own.iter().any(|entry| match &entry.body {
        EntryBody::User(user) => !user.channel.is_read_from_log(),
        _ => false,
    });
    let account = environment.store.account(bot.account);
    let delivery = match is_sent {
        true => {
            let first = domain::turn::first_message(entries, turn.turn);
            account.delivery_of_turn(bot.id, session, turn.turn, first).await?
        }
        false => None,
    };
    Ok(TurnView { steps: steps(&own, delivery.and_then(|delivery| delivery.delivered_at)), ..turn })
}

/// The entries from `from` on that come before `end`.
async fn read(
    environment: &Environment,
    bot: &Bot,
    session: &SessionKey,
    from: u64,
    end: u64,
) -> Result<Vec<Entry>, Problem> {
    let account = environment.store.account(bot.account);
    let mut entries = Vec::new();
    let mut next = from;
    while next < end {
        let page = account.session_read(bot.id, session, next, ROWS).await?;
        if page.entries.is_empty() {
            break;
        }
        next = page.next;
        entries.extend(page.entries.into_iter().filter(|entry| entry.seq < end));
    }
    Ok(entries)
}

/// The turns of a part of the log, in the order of their first entries. What nobody answers is no turn.
fn summed(entries: &[Entry]) -> Vec<TurnView> {
    let mut turns: Vec<TurnView> = Vec::new();
    for entry in entries.iter().filter(|entry| !matches!(entry.body, EntryBody::Event(_))) {
        // Most entries of a turn follow each other, so it is among the last if it is known.
        let index = turns.iter().rposition(|turn| turn.turn == entry.turn).unwrap_or_else(|| {
            turns.push(TurnView {
                turn: entry.turn,
                seq: entry.seq,
                at: entry.at,
                model_calls: 0,
                tool_calls: 0,
                usage: Usage::default(),
                cost: 0,
                models: vec![],
                steps: vec![],
            });
            turns.len() - 1
        });
        add(&mut turns[index], &entry.body);
    }
    turns
}

fn add(turn: &mut TurnView, body: &EntryBody) {
    let (model, usage, cost) = match body {
        EntryBody::Assistant(answer) => {
            turn.tool_calls += answer.tool_calls.len() as u64;
            (&answer.model, answer.usage, answer.cost)
        }
        EntryBody::Compaction { model, usage, cost, .. } => (model, *usage, *cost),
        EntryBody::ToolResult(ToolResult { asked: Some(asked), .. }) => (&asked.model, asked.usage, asked.cost),
        _ => return,
    };
    turn.model_calls += 1;
    turn.usage += usage;
    turn.cost = turn.cost.saturating_add(cost);
    if !turn.models.contains(model) {
        turn.models.push(model.clone());
    }
}
