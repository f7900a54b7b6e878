//! Group commit: one thread owns the writing connection of a SQLite file and commits once for all requests that wait.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

/// Requests that share one commit at most, so that the first does not wait for ever.
const MAX_BATCH: usize = 512;

/// A store's failure that is no answer of the service: the disk, SQLite, or a store that is closed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the store is closed")]
    Closed,
    #[error("SQLite: {0}")]
    Sqlite(Arc<rusqlite::Error>),
    #[error("the transaction of this request was rolled back")]
    RolledBack,
    #[error("{path} has schema version {found}, and this build knows {known}")]
    NewerSchema { path: String, found: i64, known: i64 },
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Arc::new(error))
    }
}

/// What a change must survive before its request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Loss of power: the commit waits for the disk.
    Power,
    /// The death of this process: the commit waits for the operating system's cache only.
    Process,
}

/// A request that ran, whose reply waits for the commit.
struct Ran {
    keep: bool,
    reply: Box<dyn FnOnce(Result<(), StoreError>)>,
}

type Work = Box<dyn FnOnce(&Connection) -> Option<Ran> + Send>;

enum Job {
    Run(Durability, Work),
    Close,
}

/// The handle on a writing thread. Dropping it lets the thread finish what is queued and close the file.
pub(crate) struct Writer {
    jobs: Sender<Job>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Opens (or creates) the file at `path` with `schema` at `version`, runs `recover` and starts the thread.
    /// The thread holds `lock` until the file is closed.
    pub(crate) fn open(
        path: &Path,
        schema: &str,
        version: i64,
        lock: Arc<File>,
        recover: impl FnOnce(&Connection) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // macOS alone needs this: its fsync does not reach the platter.
        connection.pragma_update(None, "fullfsync", true)?;
        connection.set_prepared_statement_cache_capacity(128);
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > version {
            return Err(StoreError::NewerSchema { path: path.display().to_string(), found, known: version });
        }
        if found < version {
            connection.execute_batch(&format!("BEGIN; {schema}; PRAGMA user_version = {version}; COMMIT;"))?;
        }
        recover(&connection)?;
        let (jobs, queue) = channel();
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || {
                write_until_closed(&connection, &queue);
                if let Err(error) = close(connection) {
                    tracing::warn!(%error, "could not checkpoint a store while closing it");
                }
                drop(lock);
            })
            .map_err(|_| StoreError::Closed)?;
        Ok(Self { jobs, thread: Mutex::new(Some(thread)) })
    }

    /// Runs `work` inside the next transaction and answers once that is committed as `durability` asks.
    ///
    /// An error of `work` undoes its own changes only. `committed` runs on the writing thread after the commit,
    /// even if the caller has gone by then; a caller that has gone before `work` starts has no effect at all.
    pub(crate) async fn run<T, E>(
        &self,
        durability: Durability,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        committed: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            if answer.is_closed() {
                return None;
            }
            let result = work(connection);
            Some(Ran {
                keep: result.is_ok(),
                reply: Box::new(move |commit| {
                    let result = match (result, commit) {
                        (Ok(value), Ok(())) => {
                            committed(&value);
                            Ok(value)
                        }
                        (Ok(_), Err(error)) => Err(error.into()),
                        (Err(error), _) => Err(error),
                    };
                    // A caller that has gone meanwhile needs no answer.
                    drop(answer.send(result));
                }),
            })
        });
        self.jobs.send(Job::Run(durability, work)).map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Finishes the queued requests, checkpoints and closes the file. Blocks.
    pub(crate) fn close(&self) {
        // The thread has ended already if nobody takes the message.
        drop(self.jobs.send(Job::Close));
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("a store's writing thread panicked");
        }
    }
}

fn write_until_closed(connection: &Connection, queue: &Receiver<Job>) {
    let mut current = Durability::Power;
    let mut open = true;
    while open && let Ok(first) = queue.recv() {
        let mut batch = Vec::new();
        let mut needed = Durability::Process;
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Run(durability, work) => {
                    if durability == Durability::Power {
                        needed = Durability::Power;
                    }
                    batch.push(work);
                }
                Job::Close => {
                    open = false;
                    break;
                }
            }
            next = (batch.len() < MAX_BATCH).then(|| queue.try_recv().ok()).flatten();
        }
        let set = (current != needed).then(|| set_durability(connection, needed));
        match set.transpose() {
            Ok(_) => {
                current = needed;
                commit_together(connection, batch);
            }
            // Dropping the batch tells its callers that the store is closed.
            Err(error) => tracing::error!(%error, "could not set how durable a commit is"),
        }
    }
}

fn set_durability(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    let level = match durability {
        Durability::Power => "FULL",
        // In WAL mode the kernel has the pages after a NORMAL commit, and a later FULL commit syncs them too.
        Durability::Process => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", level)
}

fn commit_together(connection: &Connection, batch: Vec<Work>) {
    let mut waiting = Vec::with_capacity(batch.len());
    let mut committed = connection.execute_batch("BEGIN IMMEDIATE").map_err(StoreError::from);
    for work in batch {
        // A full disk makes SQLite end the whole transaction, not the savepoint alone.
        if committed.is_ok() && connection.is_autocommit() {
            committed = Err(StoreError::RolledBack);
        }
        if committed.is_err() {
            break;
        }
        match run_in_savepoint(connection, work) {
            Ok(Some(ran)) => waiting.push(ran.reply),
            Ok(None) => {}
            Err(error) => committed = Err(error.into()),
        }
    }
    if committed.is_ok() {
        committed = connection.execute_batch("COMMIT").map_err(StoreError::from);
    }
    if let Err(error) = &committed {
        tracing::error!(%error, "a store's transaction failed");
        if !connection.is_autocommit()
            && let Err(error) = connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a store's transaction could not be rolled back");
        }
    }
    for reply in waiting {
        reply(committed.clone());
    }
}

fn run_in_savepoint(connection: &Connection, work: Work) -> rusqlite::Result<Option<Ran>> {
    connection.prepare_cached("SAVEPOINT request")?.execute([])?;
    // A panic must not end the thread: every later request would fail with it.
    let ran = catch_unwind(AssertUnwindSafe(|| work(connection))).unwrap_or_else(|_| {
        tracing::error!("a request panicked inside the store");
        None
    });
    if !ran.as_ref().is_some_and(|ran| ran.keep) && !connection.is_autocommit() {
        connection.prepare_cached("ROLLBACK TO request")?.execute([])?;
    }
    if !connection.is_autocommit() {
        connection.prepare_cached("RELEASE request")?.execute([])?;
    }
    Ok(ran)
}

fn close(connection: Connection) -> rusqlite::Result<()> {
    connection.flush_prepared_statement_cache();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error)
}
