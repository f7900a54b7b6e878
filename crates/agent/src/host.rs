//! What an agent is given of the world around it: its bot's files, places and sessions.
//!
//! The agent knows neither storage nor channels. Whoever runs turns implements [`Host`] for one bot, so nothing that is
//! reached through it belongs to another bot or account.

use bytes::Bytes;
use domain::job::Run;
use domain::turn::ReplyTo;
use domain::{Entry, Job, JobId, Media, MediaId, SessionKey, Timestamp};
use serde_json::Value;

use crate::BoxFuture;

/// Why the host did not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The model can do something about it: another name, another place. For the model to read.
    #[error("{0}")]
    Refused(String),
    /// A file is not what it was when it was read.
    #[error("the file was changed meanwhile; read it again")]
    Changed,
    /// Our own fault, or that of a service. For the owner's logs.
    #[error("{0}")]
    Failed(String),
}

/// A file of the workspace, in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Path from the workspace's root, such as `memory/2026-11-22.md`.
    pub path: String,
    /// In bytes.
    pub size: u64,
}

/// A file of the workspace as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileContent {
    pub bytes: Bytes,
    /// Tells this content from others: [`Host::file_write`] compares it.
    pub tag: String,
}

/// What must be true of a file for it to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect<'a> {
    /// Nothing: it is replaced.
    Anything,
    /// There is none yet.
    Nothing,
    /// It is as it was when it was read.
    Tag(&'a str),
}

/// A chat that the bot may write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub reply: ReplyTo,
    /// The session that is held there.
    pub session: SessionKey,
}

/// A session of the bot, in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    pub session: SessionKey,
    pub created_at: Timestamp,
}

/// What a tool call sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToSend {
    /// Markdown; may be empty when there are files.
    pub text: String,
    pub media: Vec<Media>,
}

/// Work that another session of the bot is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub task: String,
    /// What the work is called where its result is told.
    pub label: String,
}

/// What a tool call wants with the bot's jobs.
#[derive(Clone, Debug, PartialEq)]
pub enum JobRequest {
    List,
    /// Make the job that this JSON asks for ([`domain::job::JobSpec::from_request`]). It belongs to the current session, and
    /// its answer goes nowhere else than where that is held.
    Add(Value),
    /// Change a part of it ([`domain::job::JobSpec::patched`]).
    Update {
        id: JobId,
        patch: Value,
    },
    Remove(JobId),
    /// Begin a run beside the schedule.
    Run(JobId),
    Runs(JobId),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum JobAnswer {
    Jobs(Vec<Job>),
    /// The job as it is now, and what of the request means nothing here.
    Written {
        job: Box<Job>,
        left_out: Vec<String>,
    },
    /// Newest first.
    Runs(Vec<Run>),
    Done,
}

/// The world around one bot's turn. Everything may be asked again with the same `call` (the id of the tool call) and
/// then has no further effect, unless it says otherwise.
pub trait Host: Send + Sync {
    /// All files of the workspace, by path.
    fn files(&self) -> BoxFuture<'_, Result<Vec<FileInfo>, HostError>>;

    /// A file of the workspace; `None` if there is none. The path is one that `agent` has checked.
    fn file_read<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<FileContent>, HostError>>;

    /// Writes a file of the workspace. What it replaces is kept as an earlier version.
    fn file_write<'a>(
        &'a self,
        path: &'a str,
        bytes: Bytes,
        expect: Expect<'a>,
    ) -> BoxFuture<'a, Result<(), HostError>>;

    /// The bytes of a kept file.
    fn media<'a>(&'a self, id: &'a MediaId) -> BoxFuture<'a, Result<Bytes, HostError>>;

    /// Keeps a file.
    fn media_keep<'a>(
        &'a self,
        bytes: Bytes,
        mime: &'a str,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Media, HostError>>;

    /// Chats that the bot may write to: those whose sessions it holds. The current one is first; of many others, there are
    /// some.
    fn places(&self) -> BoxFuture<'_, Result<Vec<Place>, HostError>>;

    /// Where a session is held; `None` if the bot may not write there, or has no such session.
    fn place<'a>(&'a self, session: &'a SessionKey) -> BoxFuture<'a, Result<Option<Place>, HostError>>;

    /// Sends something to a place that [`Host::places`] or [`Host::place`] names.
    fn send<'a>(&'a self, call: &'a str, to: &'a Place, what: ToSend) -> BoxFuture<'a, Result<(), HostError>>;

    /// Sessions of the bot: those of people first, each kind newest first. Of many there are some.
    fn sessions(&self) -> BoxFuture<'_, Result<Vec<SessionInfo>, HostError>>;

    /// The end of a session's log, oldest first. Refused for a session that the bot does not have.
    fn history<'a>(&'a self, session: &'a SessionKey, limit: usize) -> BoxFuture<'a, Result<Vec<Entry>, HostError>>;

    /// Says something in another session, as if it were written there. Its answer goes to that session's place.
    fn say_in<'a>(
        &'a self,
        call: &'a str,
        session: &'a SessionKey,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), HostError>>;

    /// Starts a session of its own for a piece of work, and returns its key. Its answer comes to the current session
    /// as a message. Refused where there are too many or they are nested too deep.
    fn spawn<'a>(&'a self, call: &'a str, work: Assignment) -> BoxFuture<'a, Result<SessionKey, HostError>>;

    /// Does something with the bot's jobs. [`JobRequest::Run`] begins another run each time.
    fn jobs<'a>(&'a self, call: &'a str, request: JobRequest) -> BoxFuture<'a, Result<JobAnswer, HostError>>;
}

/// A bot in an empty world: it has no files and reaches nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHost;

fn nothing<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, HostError>> {
    Box::pin(async { Err(HostError::Refused("That is not possible here.".to_owned())) })
}

impl Host for NoHost {
    fn files(&self) -> BoxFuture<'_, Result<Vec<FileInfo>, HostError>> {
        Box::pin(async { Ok(vec![]) })
    }

    fn file_read<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<FileContent>, HostError>> {
        Box::pin(async { Ok(None) })
    }

    fn file_write<'a>(&'a self, _: &'a str, _: Bytes, _: Expect<'a>) -> BoxFuture<'a, Result<(), HostError>> {
        nothing()
    }

    fn media<'a>(&'a self, _: &'a MediaId) -> BoxFuture<'a, Result<Bytes, HostError>> {
        nothing()
    }

    fn media_keep<'a>(&'a self, _: Bytes, _: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Result<Media, HostError>> {
        nothing()
    }

    fn places(&self) -> BoxFuture<'_, Result<Vec<Place>, HostError>> {
        Box::pin(async { Ok(vec![]) })
    }

    fn place<'a>(&'a self, _: &'a SessionKey) -> BoxFuture<'a, Result<Option<Place>, HostError>> {
        Box::pin(async { Ok(None) })
    }

    fn send<'a>(&'a self, _: &'a str, _: &'a Place, _: ToSend) -> BoxFuture<'a, Result<(), HostError>> {
        nothing()
    }

    fn sessions(&self) -> BoxFuture<'_, Result<Vec<SessionInfo>, HostError>> {
        Box::pin(async { Ok(vec![]) })
    }

    fn history<'a>(&'a self, _: &'a SessionKey, _: usize) -> BoxFuture<'a, Result<Vec<Entry>, HostError>> {
        nothing()
    }

    fn say_in<'a>(&'a self, _: &'a str, _: &'a SessionKey, _: &'a str) -> BoxFuture<'a, Result<(), HostError>> {
        nothing()
    }

    fn spawn<'a>(&'a self, _: &'a str, _: Assignment) -> BoxFuture<'a, Result<SessionKey, HostError>> {
        nothing()
    }

    fn jobs<'a>(&'a self, _: &'a str, _: JobRequest) -> BoxFuture<'a, Result<JobAnswer, HostError>> {
        nothing()
    }
}
