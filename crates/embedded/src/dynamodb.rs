//! DynamoDB: dynoxide's server over one SQLite file, on a thread and a runtime of its own.
//!
//! Its handlers wait for SQLite on the thread that polls them, which would stall every other task of a shared
//! runtime.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use dynoxide::Database;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::EmbeddedError;

/// How often expired items are deleted. AWS promises "within a few days".
const TTL_SWEEP: Duration = Duration::from_secs(60);

/// Threads that serve connections: one request runs at a time, a second thread keeps accepting meanwhile.
const THREADS: usize = 2;

/// The thread that serves DynamoDB.
pub(crate) struct DynamoDb {
    thread: JoinHandle<Result<(), EmbeddedError>>,
}

impl DynamoDb {
    /// Opens the file at `path` and serves it on `listener` until `stop`. The thread holds `lock` until the file is
    /// closed.
    pub(crate) fn start(
        path: &Path,
        listener: TcpListener,
        stop: CancellationToken,
        lock: Arc<File>,
    ) -> Result<Self, EmbeddedError> {
        let utf8 = path.to_str().ok_or_else(|| EmbeddedError::DynamoDb("its path is not UTF-8".into()))?;
        let database = Database::new(utf8).map_err(|error| EmbeddedError::DynamoDb(error.to_string()))?;
        check_durable(path)?;
        let thread = std::thread::Builder::new()
            .name("dynamodb".into())
            .spawn(move || {
                let result = serve(database, listener, stop);
                drop(lock);
                result
            })
            .map_err(|error| EmbeddedError::DynamoDb(error.to_string()))?;
        Ok(Self { thread })
    }

    /// Waits until the server has stopped and the file is closed. Blocks.
    pub(crate) fn join(self) -> Result<(), EmbeddedError> {
        self.thread.join().unwrap_or_else(|_| Err(EmbeddedError::DynamoDb("its serving thread panicked".into())))
    }
}

/// Refuses a build in which a commit would not wait for the disk.
///
/// dynoxide 3.2 sets `journal_mode = WAL` and leaves `synchronous` at what SQLite was compiled with (`storage.rs`,
/// `initialize`), and it does not lend its connection. Any other connection of this process has the same default,
/// so one is asked: FULL unless a build flag says otherwise.
fn check_durable(path: &Path) -> Result<(), EmbeddedError> {
    let ask = || -> rusqlite::Result<(String, i64)> {
        let connection = rusqlite::Connection::open(path)?;
        let journal = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        let synchronous = connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
        Ok((journal, synchronous))
    };
    let (journal, synchronous) = ask().map_err(|error| EmbeddedError::DynamoDb(error.to_string()))?;
    if journal != "wal" || synchronous < 2 {
        return Err(EmbeddedError::DynamoDb(format!(
            "commits would not be durable: journal_mode {journal}, synchronous {synchronous}"
        )));
    }
    Ok(())
}

fn serve(database: Database, listener: TcpListener, stop: CancellationToken) -> Result<(), EmbeddedError> {
    let failed = |error: std::io::Error| EmbeddedError::DynamoDb(error.to_string());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("dynamodb-worker")
        .enable_all()
        .build()
        .map_err(failed)?;
    let result = runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        let sweeper = runtime.spawn(sweep_until(database.clone(), stop.clone()));
        let server = dynoxide::server::serve_with_shutdown(listener, database, stop.clone().cancelled_owned());
        let result = tokio::select! {
            result = server => result.map_err(EmbeddedError::DynamoDb),
            () = crate::overdue(stop) => Ok(()),
        };
        if sweeper.await.is_err() {
            tracing::error!("the sweep of expired items panicked");
        }
        result
    });
    // Dropping the runtime drops the last handles on the database, which closes and checkpoints the file.
    drop(runtime);
    result
}

async fn sweep_until(database: Database, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(TTL_SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let database = database.clone();
        match tokio::task::spawn_blocking(move || database.sweep_ttl()).await {
            Ok(Ok(deleted)) if deleted > 0 => tracing::debug!(deleted, "expired items deleted"),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "could not delete expired items"),
            Err(error) => tracing::error!(%error, "the sweep of expired items panicked"),
        }
    }
}
