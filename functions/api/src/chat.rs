//! Web chat: a message goes onto the queue, and its answer is read from the session's log.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use channels::webchat;
use domain::{Bot, BotStatus, Channel, Control, Inbound, LinkId, Sender, SessionKey, Timestamp, command};
use runtime::Environment;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use store::LoggedEntries;
use tokio::time::{Instant, sleep};

use crate::auth::Caller;
use crate::bots;
use crate::entries::entry_view;
use crate::extract::{JsonBody, Parameters, Segments};
use crate::problem::Problem;
use crate::views::{ChatAccepted, ChatPage, ChatSend, DraftView};

/// The conversation that is the bot's main session.
const MAIN: &str = "main";
/// The sender id of who holds the account's key.
pub(crate) const OWNER: &str = "owner";
/// How often a reader who waits looks at the log.
const POLL: Duration = Duration::from_millis(250);
/// In seconds.
const MAX_WAIT: u64 = 20;
const DEFAULT_LIMIT: i32 = 50;
const MAX_LIMIT: i32 = 200;

/// The link of a bot's web chat. Every bot has this one without a record of it, so its id follows from
/// the bot's.
pub fn webchat_link(bot: &Bot) -> LinkId {
    let digest = Sha256::digest(format!("{}/{}", Channel::WebChat, bot.id));
    LinkId::from_parts(bot.id.made_at(), first_bits(&digest))
}

/// The first 128 bits of a hash.
pub(crate) fn first_bits(digest: &[u8]) -> u128 {
    digest.iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
}

/// `POST /v1/bots/{bot}/chat`
pub(crate) async fn send(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
    JsonBody(request): JsonBody<ChatSend>,
) -> Result<(StatusCode, Json<ChatAccepted>), Problem> {
    let bot = bots::find(&environment, caller, &bot).await?;
    if bot.status == BotStatus::Paused {
        let detail = format!("The bot `{}` is paused. POST /v1/bots/{}/resume, then send again.", bot.name, bot.id);
        return Err(Problem::conflict(detail));
    }
    let account = environment.store.account(caller.account);
    let name = account.account_get().await?.map(|account| account.name);
    let sender = Sender { id: OWNER.to_owned(), name, username: None };
    let id = request.id.unwrap_or_else(|| format!("{:032x}", environment.entropy.next_u128()));
    let inbound = inbound(&bot, sender, request.conversation.as_deref(), &id, &request.text, environment.clock.now())?;
    // Read before the message is queued, so that nothing that comes of it lies before `next`.
    let next = account.session_head(bot.id, &inbound.session).await?.map_or(0, |head| head.next_seq);
    let accepted = ChatAccepted { message: inbound.message.clone(), session: inbound.session.clone(), next };
    environment.take_in(&bot, inbound).await?;
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}

fn inbound(
    bot: &Bot,
    sender: Sender,
    conversation: Option<&str>,
    id: &str,
    text: &str,
    now: Timestamp,
) -> Result<Inbound, Problem> {
    let conversation = conversation.unwrap_or(MAIN).to_lowercase();
    let received = webchat::received(&conversation, &sender, id, text, now);
    let received = received.map_err(|error| Problem::bad_request(format!("Not sent: {error}.")))?;
    let session = session(bot, &conversation)?;
    let mut inbound = received.into_inbound(bot, webchat_link(bot), Channel::WebChat, session, now);
    // Whoever has a key of the account owns its bots.
    inbound.is_owner = true;
    inbound.control = command::parse(text, None).as_ref().and_then(Control::of);
    Ok(inbound)
}

/// The session of a conversation, whose name does not depend on case.
fn session(bot: &Bot, conversation: &str) -> Result<SessionKey, Problem> {
    let main = SessionKey::main(&bot.agent);
    let conversation = conversation.to_lowercase();
    if conversation == MAIN {
        return Ok(main);
    }
    let agent = main.as_str().strip_suffix(MAIN).unwrap_or_default();
    let is_one_segment = !conversation.contains(':') && conversation.len() <= webchat::MAX_CONVERSATION;
    let key = format!("{agent}{}:direct:{conversation}", Channel::WebChat);
    match key.parse() {
        Ok(key) if is_one_segment => Ok(key),
        Ok(_) | Err(_) => Err(Problem::bad_request(format!("Not read: {}.", webchat::BadMessage::Conversation))),
    }
}

/// The query of `GET /v1/bots/{bot}/chat`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadQuery {
    conversation: Option<String>,
    /// The `next` of an earlier answer. Without it the end of the log is read.
    after: Option<u64>,
    /// For how many seconds to wait for something new.
    #[serde(default)]
    wait: u64,
    /// How long a draft is known already, in bytes: one of another length is something new.
    draft: Option<usize>,
    limit: Option<i32>,
}

/// `GET /v1/bots/{bot}/chat`
pub(crate) async fn read(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
    Parameters(query): Parameters<ReadQuery>,
) -> Result<Json<ChatPage>, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if query.wait > MAX_WAIT || !(1..=MAX_LIMIT).contains(&limit) {
        let detail = format!("Give `wait` as 0 to {MAX_WAIT} seconds and `limit` as 1 to {MAX_LIMIT}.");
        return Err(Problem::bad_request(detail));
    }
    let bot = bots::find(&environment, caller, &bot).await?;
    let session = session(&bot, query.conversation.as_deref().unwrap_or(MAIN))?;
    let page = match query.after {
        None => read_end(&environment, &bot, &session, limit).await?,
        Some(after) => {
            let wait = Duration::from_secs(query.wait);
            read_after(&environment, &bot, &session, after, limit, wait, query.draft).await?
        }
    };
    let draft = draft(&environment, &bot, &session).await?;
    let head = environment.store.account(bot.account).session_head(bot.id, &session).await?;
    let busy = head.is_some_and(|head| head.turn.is_some());
    let items = page.entries.into_iter().map(entry_view).collect();
    Ok(Json(ChatPage { session, items, next: page.next, busy, draft }))
}

/// The reply that is being written, as far as it is; `None` where a channel shows it.
async fn draft(environment: &Environment, bot: &Bot, session: &SessionKey) -> Result<Option<DraftView>, Problem> {
    let account = environment.store.account(bot.account);
    let draft = account.draft_get(bot.id, session, environment.clock.now()).await?;
    Ok(draft.filter(|draft| !draft.text.is_empty()).map(|draft| DraftView { text: draft.text }))
}

async fn read_end(
    environment: &Environment,
    bot: &Bot,
    session: &SessionKey,
    limit: i32,
) -> Result<LoggedEntries, Problem> {
    let account = environment.store.account(bot.account);
    let mut page = account.session_read_last(bot.id, session, limit).await?;
    // The store counts commits, and a commit may have several entries.
    let surplus = page.entries.len().saturating_sub(usize::try_from(limit).unwrap_or_default());
    page.entries.drain(..surplus);
    Ok(page)
}

async fn read_after(
    environment: &Environment,
    bot: &Bot,
    session: &SessionKey,
    after: u64,
    limit: i32,
    wait: Duration,
    known_draft: Option<usize>,
) -> Result<LoggedEntries, Problem> {
    let account = environment.store.account(bot.account);
    let until = Instant::now() + wait;
    loop {
        let page = account.session_read(bot.id, session, after, limit).await?;
        if !page.entries.is_empty() || Instant::now() + POLL > until {
            return Ok(page);
        }
        if let Some(known) = known_draft
            && draft(environment, bot, session).await?.is_some_and(|draft| draft.text.len() != known)
        {
            return Ok(page);
        }
        sleep(POLL).await;
    }
}
