//! Dead letters: tasks that failed for good, taken out of their queues for their owner to look at,
//! replay or discard.

use std::time::Duration;

use anyhow::Context;
use axum::Json;
use axum::extract::State;
use domain::{DeadLetterId, Task, Timestamp};
use queues::{Queue, Received};
use runtime::Environment;
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use store::{DeadLetter, DeadLetterStatus, StoreError};

use crate::auth::Caller;
use crate::chat::first_bits;
use crate::extract::{Parameters, Segments};
use crate::pages::{List, PageQuery};
use crate::problem::Problem;
use crate::views::{DeadLetterView, Page};

const QUEUES: [Queue; 2] = [Queue::TurnsDeadLetters, Queue::OutboundDeadLetters];

/// How many receives of up to ten letters one drain makes of each queue. The rest waits for the next one.
const MAX_RECEIVES: usize = 20;

/// What is told of a task that SQS itself moved, which gives no reason.
const NO_REASON: &str = "its function failed or ran out of time on every attempt; the function's log says how";

/// Takes what lies in the dead-letter queues and records it, each letter under its own account. Returns
/// how many were taken.
///
/// A letter is deleted from its queue after it was recorded, and recorded once however often it is
/// received. What is not a task of this build stays in its queue.
pub async fn drain_dead_letters(environment: &Environment) -> anyhow::Result<usize> {
    let mut taken = 0;
    for queue in QUEUES {
        for _ in 0..MAX_RECEIVES {
            let letters = environment.queues.receive(queue, 10, Duration::ZERO).await?;
            if letters.is_empty() {
                break;
            }
            for received in letters {
                let record = received.id.clone();
                match take(environment, queue, received).await {
                    Ok(was_taken) => taken += usize::from(was_taken),
                    // One letter that cannot be recorded must not hide the others.
                    Err(error) => tracing::error!(%record, "A dead letter stays in its queue: {error:#}"),
                }
            }
        }
    }
    Ok(taken)
}

async fn take(environment: &Environment, queue: Queue, received: Received) -> anyhow::Result<bool> {
    let task = match Task::from_body(&received.body) {
        Ok(task) => task,
        Err(error) => {
            let queue = queue.as_str();
            tracing::error!(queue, record = %received.id, "A dead letter stays in its queue, it cannot be read: {error}");
            return Ok(false);
        }
    };
    let letter = DeadLetter {
        id: letter_id(&task, &received.id),
        queue: queue.as_str().to_owned(),
        task,
        reason: received.reason.unwrap_or_else(|| NO_REASON.to_owned()),
        failed_at: environment.clock.now(),
        status: DeadLetterStatus::Open,
        version: 0,
    };
    environment.store.dead_letter_record(&letter).await.context("a dead letter was not recorded")?;
    environment.queues.delete(queue, &received.receipt).await?;
    tracing::info!(dead_letter = %letter.id, account = ?letter.task.account(), "A dead letter was recorded.");
    Ok(true)
}

/// The same letter gets the same id however often it is received: it follows from SQS's id of the
/// message and, so that letters sort by age, from the time that the task itself names.
fn letter_id(task: &Task, record: &str) -> DeadLetterId {
    let at: Timestamp = match task {
        Task::Message(inbound) => inbound.received_at,
        Task::Continue(turn) => turn.turn.made_at(),
        Task::Deliver(outbound) => outbound.created_at,
        Task::Job(fire) => fire.run.at,
        Task::JobsDue(due) => due.until,
    };
    DeadLetterId::from_parts(at, first_bits(&Sha256::digest(record)))
}

/// `GET /v1/dead-letters`
pub(crate) async fn list(
    State(environment): State<Environment>,
    caller: Caller,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Page<DeadLetterView>>, Problem> {
    let list = List::new(caller.account, "dead letters");
    let range = list.range(&query)?;
    // New ones come first.
    if range.after.is_none() {
        drain_dead_letters(&environment).await.map_err(|error| {
            tracing::warn!("The dead-letter queues were not drained: {error:#}");
            let detail =
                "The dead-letter queues could not be read, so the list may lack the newest. Try again in a moment.";
            Problem::unavailable(detail, Duration::from_secs(2))
        })?;
    }
    let now = environment.clock.now();
    let page = environment.store.account(caller.account).dead_letter_page(&range, now).await?;
    Ok(list.answer(page, line))
}

/// `GET /v1/dead-letters/{id}`
pub(crate) async fn show(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(id): Segments<String>,
) -> Result<Json<DeadLetterView>, Problem> {
    Ok(Json(view(find(&environment, caller, &id).await?)))
}

/// The query of `POST /v1/dead-letters/{id}/replay`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayQuery {
    /// Queue the task although the letter was replayed or discarded before.
    #[serde(default)]
    force: bool,
}

/// `POST /v1/dead-letters/{id}/replay`
pub(crate) async fn replay(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(id): Segments<String>,
    Parameters(query): Parameters<ReplayQuery>,
) -> Result<Json<DeadLetterView>, Problem> {
    let letter = find(&environment, caller, &id).await?;
    match letter.status {
        DeadLetterStatus::Replayed if !query.force => return Ok(Json(view(letter))),
        DeadLetterStatus::Discarded if !query.force => {
            return Err(Problem::conflict("It was discarded. To queue it all the same, add ?force=true."));
        }
        _ => {}
    }
    // Queued first, so that a crash in between loses nothing. Done again, it is the same task to SQS for
    // five minutes, and to the handlers for as long as they know its message.
    let attempt = format!("replay.{}.{}", letter.id, letter.version);
    environment.queues.send_again(&letter.task, &attempt).await?;
    tracing::info!(dead_letter = %letter.id, account = %caller.account, "A dead letter was queued again.");
    Ok(Json(view(settle(&environment, caller, letter, DeadLetterStatus::Replayed).await?)))
}

/// `POST /v1/dead-letters/{id}/discard`
pub(crate) async fn discard(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(id): Segments<String>,
) -> Result<Json<DeadLetterView>, Problem> {
    let letter = find(&environment, caller, &id).await?;
    match letter.status {
        DeadLetterStatus::Open => {
            Ok(Json(view(settle(&environment, caller, letter, DeadLetterStatus::Discarded).await?)))
        }
        DeadLetterStatus::Discarded => Ok(Json(view(letter))),
        DeadLetterStatus::Replayed => {
            Err(Problem::conflict("It was replayed already, so there is nothing left to discard."))
        }
    }
}

/// Notes what became of a letter. If somebody else noted the same meanwhile, that is as good.
async fn settle(
    environment: &Environment,
    caller: Caller,
    letter: DeadLetter,
    status: DeadLetterStatus,
) -> Result<DeadLetter, Problem> {
    let account = environment.store.account(caller.account);
    match account.dead_letter_settle(&letter, status).await {
        Ok(settled) => Ok(settled),
        Err(error @ StoreError::Conflict(_)) => match account.dead_letter_get(letter.id).await? {
            Some(current) if current.status == status => Ok(current),
            Some(_) | None => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

async fn find(environment: &Environment, caller: Caller, id: &str) -> Result<DeadLetter, Problem> {
    let found = match id.parse::<DeadLetterId>() {
        Ok(id) => environment.store.account(caller.account).dead_letter_get(id).await?,
        Err(_) => None,
    };
    let shown: String = id.chars().take(80).collect();
    found.ok_or_else(|| {
        Problem::not_found(format!("There is no dead letter `{shown}`. GET /v1/dead-letters lists yours."))
    })
}

/// A letter in a list.
pub(crate) fn line(letter: DeadLetter) -> DeadLetterView {
    DeadLetterView { task: None, ..view(letter) }
}

fn view(letter: DeadLetter) -> DeadLetterView {
    DeadLetterView {
        id: letter.id,
        bot: letter.task.bot(),
        queue: letter.queue,
        reason: letter.reason,
        failed_at: letter.failed_at,
        status: letter.status,
        version: letter.version,
        task: Some(letter.task),
    }
}
