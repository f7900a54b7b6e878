//! S3: the s3s protocol crate over an index in SQLite and large bodies in files.

mod blobs;
mod body;
mod index;
mod listing;
mod multipart;
mod operations;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::error_handling::HandleError;
use axum::http::StatusCode;
use rusqlite::{Connection, OpenFlags};
use s3s::HttpError;
use s3s::service::S3ServiceBuilder;

use crate::s3::blobs::Blobs;
use crate::s3::index::{IndexError, Written};
use crate::s3::operations::Operations;
use crate::writer::{Durability, StoreError, Writer};

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the blob directory: {0}")]
    Blobs(#[from] io::Error),
}

/// Buckets and objects under one directory.
pub(crate) struct Store {
    writer: Writer,
    readers: Arc<Readers>,
    blobs: Blobs,
}

impl Store {
    /// Opens (or creates) the store and removes blobs that no object refers to.
    pub(crate) fn open(dir: &Path, lock: Arc<File>) -> Result<Self, OpenError> {
        std::fs::create_dir_all(dir)?;
        let path = dir.join("index.sqlite");
        let mut referred = std::collections::HashSet::new();
        let writer = Writer::open(&path, index::SCHEMA, index::SCHEMA_VERSION, lock, |connection| {
            referred = index::blobs(connection)?;
            Ok(())
        })?;
        Ok(Self {
            writer,
            readers: Arc::new(Readers { path, idle: Mutex::default() }),
            blobs: Blobs::open(dir.join("blobs"), &referred)?,
        })
    }

    /// Finishes what is queued, checkpoints and closes the files. Blocks.
    pub(crate) fn close(&self) {
        self.readers.close();
        self.writer.close();
    }

    /// Runs `work` in a transaction that is on disk when this returns, then removes the blobs that it replaced.
    async fn write(
        &self,
        work: impl FnOnce(&Connection) -> Result<Written, IndexError> + Send + 'static,
    ) -> Result<Written, IndexError> {
        let blobs = self.blobs.clone();
        self.writer
            .run(Durability::Power, work, move |written: &Written| {
                if let Some(blob) = &written.kept {
                    blob.keep();
                }
                for name in &written.replaced {
                    blobs.remove(name);
                }
            })
            .await
    }

    /// Runs `work` in a transaction that is on disk when this returns.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, IndexError> + Send + 'static,
    ) -> Result<T, IndexError> {
        self.writer.run(Durability::Power, work, |_| {}).await
    }

    /// Runs `work` on a connection that sees every committed change.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, IndexError> + Send + 'static,
    ) -> Result<T, IndexError> {
        let readers = Arc::clone(&self.readers);
        tokio::task::spawn_blocking(move || readers.run(work)).await.map_err(|_| StoreError::Closed)?
    }
}

/// Reading connections, opened when all others are busy.
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn run<T>(&self, work: impl FnOnce(&Connection) -> Result<T, IndexError>) -> Result<T, IndexError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => Connection::open_with_flags(
                &self.path,
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )?,
        };
        let result = work(&connection);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        result
    }

    fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The service as a router. It takes path-style requests with any credentials.
pub(crate) fn router(store: Arc<Store>) -> Router {
    let service = S3ServiceBuilder::new(Operations::new(store)).build();
    Router::new()
        .fallback_service(HandleError::new(service, |error: HttpError| async move {
            tracing::error!(?error, "S3 could not answer a request");
            StatusCode::INTERNAL_SERVER_ERROR
        }))
        .layer(axum::middleware::from_fn(body::make_plain))
}
