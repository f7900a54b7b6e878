//! What an agent is given of the world around it: its bot's files, places and sessions, out of the store and the queues.
//!
//! Everything starts from the bot's own account and id, so a session key, a path or a place that a model makes up reaches
//! nothing of another bot. What a call sends or starts is named by its turn, step and id: a call that is made again after
//! a crash sends and starts nothing twice.

mod jobs;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use agent::{
    Assignment, BoxFuture, Expect, FileContent, FileInfo, Host, HostError, JobAnswer, JobRequest, PRIVATE_FILES,
    PROMPT_FILES, Place, SessionInfo, ToSend,
};
use bytes::Bytes;
use domain::media::MAX_MEDIA;
use domain::turn::{ActiveTurn, Parent, ReplyTo};
use domain::{
    Bot, ChatKind, Entry, Inbound, LinkId, Media, MediaId, MessageId, Outbound, OutboundId, SessionKey, Task, Timestamp,
};
use queues::QueueError;
use runtime::{DoorError, Environment};
use store::{AccountStore, ObjectPrecondition, SessionSummary, StoreError};
use tokio::sync::Mutex;

/// How many files a workspace may have.
const MAX_FILES: usize = 1_000;

/// The largest file that is written, in bytes.
const MAX_FILE: usize = 256 << 10;

/// How many places and sessions are listed.
const MAX_LISTED: usize = 50;

/// How many sessions of people are looked at for a list, at most, to find the newest.
const MAX_LOOKED_AT: u32 = 500;

/// How many entries of a session's log are shown at most.
const MAX_HISTORY: usize = 200;

/// How many sessions may wait for one another (OpenClaw's number).
const MAX_DEPTH: u32 = 5;

/// For how many sessions one session may wait (OpenClaw's number).
const MAX_CHILDREN: usize = 5;

/// How many sessions may pass on what a person wrote: an end for two that talk to each other.
const MAX_HOPS: u32 = 5;

const WORK: &str = include_str!("../prompts/work.md");

/// The world around one step of a turn.
pub(crate) struct BotHost<'a> {
    environment: &'a Environment,
    bot: &'a Bot,
    session: &'a SessionKey,
    turn: &'a ActiveTurn,
    /// Whether a file was written that turns are run with.
    has_changed_files: AtomicBool,
    /// Held while children are counted and begun: tools run side by side.
    spawning: Mutex<()>,
}

/// A store's failure, as a tool is told of it.
fn failed(error: StoreError) -> HostError {
    match error {
        StoreError::Conflict(_) => HostError::Changed,
        other => HostError::Failed(other.to_string()),
    }
}

fn not_queued(error: QueueError) -> HostError {
    HostError::Failed(error.to_string())
}

fn not_taken(error: DoorError) -> HostError {
    match error {
        DoorError::Store(error) => failed(error),
        DoorError::Queue(error) => not_queued(error),
    }
}

fn refused<T>(text: impl Into<String>) -> Result<T, HostError> {
    Err(HostError::Refused(text.into()))
}

/// Whether turns are run with a file, so that a change of it concerns every worker that has read it.
fn is_read_ahead(path: &str) -> bool {
    PROMPT_FILES.contains(&path) || path.starts_with("skills/")
}

impl<'a> BotHost<'a> {
    pub(crate) fn new(
        environment: &'a Environment,
        bot: &'a Bot,
        session: &'a SessionKey,
        turn: &'a ActiveTurn,
    ) -> BotHost<'a> {
        let (has_changed_files, spawning) = (AtomicBool::new(false), Mutex::new(()));
        BotHost { environment, bot, session, turn, has_changed_files, spawning }
    }

    /// Whether a file was written that turns are run with.
    pub(crate) fn has_changed_files(&self) -> bool {
        self.has_changed_files.load(Ordering::Relaxed)
    }

    fn account(&self) -> AccountStore<'a> {
        self.environment.store.account(self.bot.account)
    }

    fn now(&self) -> Timestamp {
        self.environment.clock.now()
    }

    /// Names a call. Providers' ids tell the calls of one answer apart, not always those of a whole turn.
    fn name(&self, call: &str) -> String {
        format!("{}.{call}", self.turn.steps)
    }

    /// Whether a file is none of the chat's business: what the prompt does not show there, no tool reads or changes there.
    fn is_private(&self, path: &str) -> bool {
        self.turn.reply.address.kind != ChatKind::Direct && PRIVATE_FILES.contains(&path)
    }

    fn check_public(&self, path: &str) -> Result<(), HostError> {
        match self.is_private(path) {
            true => refused(format!("{path} is private: it can be used in direct chats only.")),
            false => Ok(()),
        }
    }

    async fn write(&self, path: &str, bytes: Bytes, expect: Expect<'_>) -> Result<(), HostError> {
        self.check_public(path)?;
        if bytes.len() > MAX_FILE {
            return refused(format!("A file has {} KB at most; this would be {}.", MAX_FILE >> 10, bytes.len() >> 10));
        }
        let (account, bot) = (self.account(), self.bot.id);
        if !matches!(expect, Expect::Tag(_)) {
            let files = account.workspace_list(bot).await.map_err(failed)?;
            if files.len() >= MAX_FILES && files.iter().all(|file| file.name != path) {
                return refused(format!("The workspace is full: it has {MAX_FILES} files."));
            }
        }
        let condition = match expect {
            Expect::Anything => None,
            Expect::Nothing => Some(ObjectPrecondition::IsNew),
            Expect::Tag(tag) => Some(ObjectPrecondition::HasTag(tag)),
        };
        match account.workspace_write(bot, path, bytes.clone(), condition).await {
            Ok(()) => {}
            // Perhaps it was this very call, before a crash.
            Err(StoreError::Conflict(_)) => {
                let found = account.workspace_read(bot, path).await.map_err(failed)?;
                if found.is_none_or(|found| found.bytes != bytes) {
                    return Err(HostError::Changed);
                }
            }
            Err(error) => return Err(failed(error)),
        }
        if is_read_ahead(path) {
            self.has_changed_files.store(true, Ordering::Relaxed);
            account.bot_touch(bot, self.now()).await.map_err(|error| HostError::Failed(error.to_string()))?;
        }
        Ok(())
    }

    /// Where the current session is held, if a person is there.
    fn own_place(&self) -> Option<Place> {
        let reply = &self.turn.reply;
        let is_place = self.session.is_of_people() && reply.parent.is_none();
        is_place.then(|| place(self.session.clone(), reply.clone()))
    }

    async fn list_places(&self) -> Result<Vec<Place>, HostError> {
        let links = self.account().link_list(self.bot.id).await.map_err(failed)?;
        let active: HashSet<LinkId> = links.iter().filter(|link| link.is_active()).map(|link| link.id).collect();
        let sessions = self.sessions_of_people().await?;
        let others = sessions.into_iter().filter(|summary| summary.session != *self.session);
        let others = others.filter_map(|SessionSummary { session, place: reply, .. }| {
            let reply = reply.filter(is_written_to)?;
            active.contains(&reply.link).then(|| place(session, reply))
        });
        Ok(self.own_place().into_iter().chain(others).take(MAX_LISTED).collect())
    }

    /// Where a session is held, if something may be sent there.
    async fn find_place(&self, session: &SessionKey) -> Result<Option<Place>, HostError> {
        if session == self.session {
            return Ok(self.own_place());
        }
        let account = self.account();
        let summary = account.session_summary(self.bot.id, session).await.map_err(failed)?;
        let reply = summary.filter(|summary| summary.session.is_of_people()).and_then(|summary| summary.place);
        let Some(reply) = reply.filter(is_written_to) else { return Ok(None) };
        let link = account.link_get(self.bot.id, reply.link).await.map_err(failed)?;
        let is_active = link.is_some_and(|link| link.is_active());
        Ok(is_active.then(|| place(session.clone(), reply)))
    }

    /// The newest of the sessions of people.
    async fn sessions_of_people(&self) -> Result<Vec<SessionSummary>, HostError> {
        let listed = self.account().session_list_of_people(self.bot.id, &self.bot.agent, MAX_LOOKED_AT).await;
        let mut sessions = listed.map_err(failed)?;
        sessions.sort_by_key(|summary| std::cmp::Reverse(summary.created_at));
        sessions.truncate(MAX_LISTED);
        Ok(sessions)
    }

    /// Sessions of people, and then those that work or run by themselves.
    async fn list_sessions(&self) -> Result<Vec<SessionSummary>, HostError> {
        let mut sessions = self.sessions_of_people().await?;
        let room = MAX_LISTED - sessions.len();
        if room > 0 {
            let (account, room) = (self.account(), u32::try_from(room).unwrap_or(u32::MAX));
            let others = account.session_list_of_work(self.bot.id, &self.bot.agent, room).await;
            sessions.extend(others.map_err(failed)?);
        }
        Ok(sessions)
    }

    async fn send_to(&self, call: &str, to: &Place, what: ToSend) -> Result<(), HostError> {
        let Some(to) = self.find_place(&to.session).await? else {
            return refused("That is not a chat that you can send to; see which there are.");
        };
        if what.text.trim().is_empty() && what.media.is_empty() {
            return refused("There is nothing to send: neither a text nor a file.");
        }
        let id = OutboundId::tool(self.turn.id, &self.name(call));
        let Some(outbound) = to.reply.outbound(id, what.text, self.now()) else {
            return refused("This chat shows your answers and nothing else: say it in your answer.");
        };
        let outbound = Outbound { media: what.media, ..outbound };
        // The row first: what is written and not queued is found by the sweep.
        if self.account().outbox_put(&outbound).await.map_err(failed)? {
            self.environment.queues.send(&Task::Deliver(Box::new(outbound))).await.map_err(not_queued)?;
        }
        Ok(())
    }

    async fn read_history(&self, session: &SessionKey, limit: usize) -> Result<Vec<Entry>, HostError> {
        let limit = limit.clamp(1, MAX_HISTORY);
        let rows = i32::try_from(limit).unwrap_or(i32::MAX);
        let log = self.account().session_read_last(self.bot.id, session, rows).await.map_err(failed)?;
        if log.next == 0 {
            return refused(format!("There is no session `{session}`; see which there are."));
        }
        // The store counts commits, and a commit may have several entries.
        let mut entries = log.entries;
        entries.drain(..entries.len().saturating_sub(limit));
        Ok(entries)
    }

    async fn say(&self, call: &str, session: &SessionKey, text: &str) -> Result<(), HostError> {
        if session == self.session {
            return refused("That is the session that you are in: just answer.");
        }
        let hops = self.turn.reply.hops + 1;
        if hops > MAX_HOPS {
            return refused("Your sessions have passed this on too often. Answer, or leave it.");
        }
        let account = self.account();
        let Some(summary) = account.session_summary(self.bot.id, session).await.map_err(failed)? else {
            return refused(format!("There is no session `{session}`; see which there are."));
        };
        let Some(reply) = summary.place else {
            return refused(format!(
                "Nobody has written in `{session}` for long, so it is not known where it is held."
            ));
        };
        if reply.parent.is_none() && !reply.channel.is_read_from_log() {
            let link = account.link_get(self.bot.id, reply.link).await.map_err(failed)?;
            if link.is_none_or(|link| !link.is_active()) {
                return refused(format!("The chat of `{session}` is not linked any more."));
            }
        }
        let message = self.message(call, reply.link);
        let reply = ReplyTo { hops, ..reply };
        self.take_in(session.clone(), &self.bot.name, message, text.to_owned(), reply).await
    }

    async fn begin_child(&self, call: &str, work: Assignment) -> Result<SessionKey, HostError> {
        let above = &self.turn.reply;
        let depth = above.parent.as_ref().map_or(0, |parent| parent.depth) + 1;
        if depth > MAX_DEPTH {
            return refused(format!("Work is passed on {MAX_DEPTH} times at most. Do this yourself."));
        }
        let child = SessionKey::subagent(&self.bot.agent, self.turn.id, &self.name(call));
        let (account, bot, now) = (self.account(), self.bot.id, self.now());
        let _alone = self.spawning.lock().await;
        if account.session_head(bot, &child).await.map_err(failed)?.is_some() {
            return Ok(child);
        }
        let waits_for = account.child_list(bot, self.session, now).await.map_err(failed)?;
        if waits_for.iter().filter(|other| **other != child).count() >= MAX_CHILDREN {
            let text = format!("{MAX_CHILDREN} pieces of work are under way already. Wait until one is done.");
            return refused(text);
        }
        // The row first, so that no child is begun that is not counted.
        account.child_put(bot, self.session, &child, now).await.map_err(failed)?;
        let Assignment { task, label } = work;
        let rest = if depth < MAX_DEPTH {
            "You may give parts of it away in turn."
        } else {
            "You cannot give parts of it away."
        };
        let text = WORK.replace("{rest}", rest).trim_end().replace("{task}", &task);
        let parent = Parent { session: self.session.clone(), child: child.clone(), label, reply: above.clone(), depth };
        let reply = ReplyTo { parent: Some(Box::new(parent)), ..above.clone() };
        let message = self.message(call, above.link);
        self.take_in(child.clone(), &self.bot.name, message, text, reply).await?;
        Ok(child)
    }

    /// The name of what a call says in another session.
    fn message(&self, call: &str, link: LinkId) -> MessageId {
        MessageId::of(link, &format!("{}:{}", self.turn.id, self.name(call)))
    }

    async fn take_in(
        &self,
        to: SessionKey,
        name: &str,
        message: MessageId,
        text: String,
        reply: ReplyTo,
    ) -> Result<(), HostError> {
        let inbound = Inbound::from_session(self.session, name, to, message, text, reply, self.now());
        self.environment.take_in(self.bot, inbound).await.map_err(not_taken)
    }
}

/// Whether what is sent there is seen: a web chat shows answers and nothing else, and a session that gave work away no chat.
fn is_written_to(reply: &ReplyTo) -> bool {
    reply.parent.is_none() && !reply.channel.is_read_from_log()
}

/// What is sent there answers no message in particular.
fn place(session: SessionKey, reply: ReplyTo) -> Place {
    Place { reply: reply.open(), session }
}

impl Host for BotHost<'_> {
    fn files(&self) -> BoxFuture<'_, Result<Vec<FileInfo>, HostError>> {
        Box::pin(async move {
            let files = self.account().workspace_list(self.bot.id).await.map_err(failed)?;
            let files = files.into_iter().filter(|file| !self.is_private(&file.name));
            Ok(files.map(|file| FileInfo { path: file.name, size: file.size }).collect())
        })
    }

    fn file_read<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<FileContent>, HostError>> {
        Box::pin(async move {
            self.check_public(path)?;
            let object = self.account().workspace_read(self.bot.id, path).await.map_err(failed)?;
            Ok(object.map(|object| FileContent { bytes: object.bytes, tag: object.tag }))
        })
    }

    fn file_write<'a>(
        &'a self,
        path: &'a str,
        bytes: Bytes,
        expect: Expect<'a>,
    ) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(self.write(path, bytes, expect))
    }

    fn media<'a>(&'a self, id: &'a MediaId) -> BoxFuture<'a, Result<Bytes, HostError>> {
        Box::pin(async move {
            let bytes = self.account().media_get(self.bot.id, id).await.map_err(failed)?;
            bytes.ok_or_else(|| HostError::Refused(format!("There is no kept file {id}.")))
        })
    }

    fn media_keep<'a>(
        &'a self,
        bytes: Bytes,
        mime: &'a str,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Media, HostError>> {
        Box::pin(async move {
            if bytes.len() > MAX_MEDIA {
                return refused(format!(
                    "A file of {} MB is too large: {} at most.",
                    bytes.len() >> 20,
                    MAX_MEDIA >> 20
                ));
            }
            let size = bytes.len() as u64;
            let id = self.account().media_put(self.bot.id, mime, bytes).await.map_err(failed)?;
            Ok(Media { id, mime: mime.to_owned(), size, name: name.map(str::to_owned) })
        })
    }

    fn places(&self) -> BoxFuture<'_, Result<Vec<Place>, HostError>> {
        Box::pin(self.list_places())
    }

    fn place<'a>(&'a self, session: &'a SessionKey) -> BoxFuture<'a, Result<Option<Place>, HostError>> {
        Box::pin(self.find_place(session))
    }

    fn send<'a>(&'a self, call: &'a str, to: &'a Place, what: ToSend) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(self.send_to(call, to, what))
    }

    fn sessions(&self) -> BoxFuture<'_, Result<Vec<SessionInfo>, HostError>> {
        Box::pin(async move {
            let sessions = self.list_sessions().await?;
            let info = |SessionSummary { session, created_at, .. }| SessionInfo { session, created_at };
            Ok(sessions.into_iter().map(info).collect())
        })
    }

    fn history<'a>(&'a self, session: &'a SessionKey, limit: usize) -> BoxFuture<'a, Result<Vec<Entry>, HostError>> {
        Box::pin(self.read_history(session, limit))
    }

    fn say_in<'a>(
        &'a self,
        call: &'a str,
        session: &'a SessionKey,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(self.say(call, session, text))
    }

    fn spawn<'a>(&'a self, call: &'a str, work: Assignment) -> BoxFuture<'a, Result<SessionKey, HostError>> {
        Box::pin(self.begin_child(call, work))
    }

    fn jobs<'a>(&'a self, call: &'a str, request: JobRequest) -> BoxFuture<'a, Result<JobAnswer, HostError>> {
        Box::pin(self.ask_jobs(call, request))
    }
}
