//! Web chat: a message goes onto the queue, and its answer is read from the session's log.
//!
//! Others may speak through a program's key, so it counts as the owner only with the scope `approve`. A bot's main session is
//! where its other channels, its schedules and its owner speak, too: it takes the scope `sessions:read` beside `chat`. A key that
//! may chat and no more has conversations of its own, by their names.

pub(crate) mod events;

use std::collections::HashSet;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use channels::webchat;
use domain::{
    Attachment, AttachmentKind, Bot, Channel, Control, Inbound, LinkId, MediaId, Sender, SessionKey, Timestamp, command,
};
use runtime::Environment;
use schemars::JsonSchema;
use serde::Deserialize;
use store::LoggedEntries;
use tokio::time::{Instant, sleep};

use crate::answers::{Accepted, FileContent};
use crate::auth::Caller;
use crate::bots;
use crate::entries::entry_views;
use crate::extract::{JsonBody, Parameters, Segments};
use crate::problem::Problem;
use crate::scope::Scope;
use crate::views::{ChatAccepted, ChatFile, ChatPage, ChatSend, DraftView};

/// The conversation that is the bot's main session.
const MAIN: &str = "main";
/// The sender id of who holds the account's key.
pub(crate) const OWNER: &str = "owner";
/// How often a reader who waits looks at the log.
const POLL: Duration = Duration::from_millis(250);
/// In seconds.
const MAX_WAIT: u64 = 20;
/// The longest body of a message, in bytes, its files in base64: a function is given 6 MB with what is round it.
pub(crate) const MAX_BODY: usize = 5 << 20;
const MAX_FILES: usize = 10;
/// In characters.
const MAX_FILE_NAME: usize = 200;
const UNKNOWN: &str = "application/octet-stream";
const DEFAULT_LIMIT: i32 = 50;
const MAX_LIMIT: i32 = 200;

/// The link of a bot's web chat.
pub fn webchat_link(bot: &Bot) -> LinkId {
    LinkId::web_chat_of(bot.id)
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
) -> Result<Accepted<Json<ChatAccepted>>, Problem> {
    let bot = bots::find(&environment, caller, &bot).await?;
    check_awake(&bot)?;
    let account = environment.store.account(caller.account);
    let name = account.account_get().await?.map(|account| account.name);
    let sender = Sender { id: OWNER.to_owned(), name, username: None };
    let id = request.id.clone().unwrap_or_else(|| format!("{:032x}", environment.entropy.next_u128()));
    let now = environment.clock.now();
    let mut inbound = inbound(&bot, sender, &id, &request, now)?;
    check_reads(caller, &bot, &inbound.session)?;
    inbound.is_owner = caller.scopes.contains(Scope::Approve);
    inbound.attachments = keep(&environment, &bot, request.files).await?;
    // Read before the message is queued, so that nothing that comes of it lies before `next`.
    let next = account.session_head(bot.id, &inbound.session).await?.map_or(0, |head| head.next_seq);
    let accepted = ChatAccepted { message: inbound.message.clone(), session: inbound.session.clone(), next };
    environment.take_in(&bot, inbound).await?;
    Ok(Accepted(Json(accepted)))
}

/// Keeps the files of a message. A turn reads them, as it does files of any channel: by what is in them.
async fn keep(environment: &Environment, bot: &Bot, files: Vec<ChatFile>) -> Result<Vec<Attachment>, Problem> {
    if files.len() > MAX_FILES {
        return Err(Problem::bad_request(format!(
            "files: a message may have {MAX_FILES}; send the others with a further one."
        )));
    }
    let mut attachments = Vec::new();
    for ChatFile { name, mime, data } in files {
        let name: String = name.chars().filter(|c| !c.is_control()).take(MAX_FILE_NAME).collect();
        let bytes = STANDARD.decode(data).ok().filter(|bytes| !bytes.is_empty());
        let bytes =
            bytes.ok_or_else(|| Problem::bad_request(format!("files: `data` of `{name}` is not base64, or empty.")))?;
        let kind = match mime.as_deref().and_then(|mime| mime.split('/').next()) {
            Some("image") => AttachmentKind::Image,
            Some("audio") => AttachmentKind::Audio,
            _ => AttachmentKind::Document,
        };
        let size = Some(bytes.len() as u64);
        let id = environment.store.account(bot.account).media_put(bot.id, UNKNOWN, bytes.into()).await?;
        let reference = id.to_string();
        attachments.push(Attachment { kind, reference, name: Some(name), mime, size, media: None, text: None });
    }
    Ok(attachments)
}

/// `GET /v1/bots/{bot}/media/{media}`
pub(crate) async fn media(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, id)): Segments<(String, String)>,
) -> Result<FileContent, Problem> {
    let bot = bots::find(&environment, caller, &bot).await?;
    let id: MediaId =
        id.parse().map_err(|error: domain::media::BadMediaId| Problem::bad_request(format!("{error}.")))?;
    let bytes = environment.store.account(bot.account).media_get(bot.id, &id).await?;
    let bytes = bytes.ok_or_else(|| Problem::not_found(format!("The bot keeps no file {id}.")))?;
    // Only what can do nothing in a browser is shown there.
    Ok(FileContent { media_type: agent::picture_type(&bytes).unwrap_or(UNKNOWN), tag: format!("\"{id}\""), bytes })
}

/// Refuses a message to a bot that answers nobody.
pub(crate) fn check_awake(bot: &Bot) -> Result<(), Problem> {
    let Some(why) = bot.silence() else { return Ok(()) };
    let end = if bot.rest.is_some() { "restore" } else { "resume" };
    Err(Problem::conflict(format!("Not sent: {why}. POST /v1/bots/{}/{end}, then send again.", bot.id)))
}

/// Refuses the main session to who may not read what others say there, nor have the bot tell them.
fn check_reads(caller: Caller, bot: &Bot, session: &SessionKey) -> Result<(), Problem> {
    if *session != SessionKey::main(&bot.agent) || caller.scopes.contains(Scope::SessionsRead) {
        return Ok(());
    }
    let detail = "The bot's main session holds what others say to it, so it takes the scope `sessions:read`, too. Give a \
                  `conversation` of your own, such as \"work\".";
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

fn inbound(bot: &Bot, sender: Sender, id: &str, request: &ChatSend, now: Timestamp) -> Result<Inbound, Problem> {
    let ChatSend { conversation, text, files, .. } = request;
    let conversation = conversation.as_deref().unwrap_or(MAIN).to_lowercase();
    let received = webchat::received(&conversation, &sender, id, text, !files.is_empty(), now);
    let received = received.map_err(|error| Problem::bad_request(format!("Not sent: {error}.")))?;
    let session = session(bot, &conversation)?;
    let mut inbound = received.into_inbound(bot, webchat_link(bot), Channel::WebChat, session, now);
    inbound.control = command::parse(text, None).as_ref().and_then(Control::of);
    Ok(inbound)
}

/// The session of a conversation, whose name does not depend on case.
fn session(bot: &Bot, conversation: &str) -> Result<SessionKey, Problem> {
    let is_one_segment = !conversation.contains(':') && conversation.len() <= webchat::MAX_CONVERSATION;
    match SessionKey::web_chat(&bot.agent, conversation) {
        Ok(key) if is_one_segment => Ok(key),
        Ok(_) | Err(_) => Err(Problem::bad_request(format!("Not read: {}.", webchat::BadMessage::Conversation))),
    }
}

/// The query of `GET /v1/bots/{bot}/chat`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadQuery {
    /// The conversation; left out: the bot's main session.
    conversation: Option<String>,
    /// The `next` of an earlier answer. Without it the end of the log is read.
    after: Option<u64>,
    /// For how many seconds to wait for something new.
    #[serde(default)]
    #[schemars(range(max = MAX_WAIT))]
    wait: u64,
    /// How long a draft is known already, in bytes: one of another length is something new.
    draft: Option<usize>,
    /// How many entries to read at most; 50 unless given.
    #[schemars(range(min = 1, max = MAX_LIMIT))]
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
    check_reads(caller, &bot, &session)?;
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
    let items = entry_views(bot.id, page.entries, &mut HashSet::new());
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
