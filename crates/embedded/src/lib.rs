//! DynamoDB, S3 and SQS inside this process, spoken to by the ordinary AWS SDK over loopback and durable on disk
//! under one directory.
//!
//! Every answered write survives the death of the process at any moment, and loss of power except where
//! [`Embedded`] says otherwise. Credentials and signatures are not checked, so the services listen on 127.0.0.1
//! alone: every process of this machine can read and write them. S3 and SQS refuse what a web page sends.

mod dynamodb;
mod ids;
mod s3;
mod sqs;
mod writer;

use std::fs::{File, TryLockError};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::dynamodb::DynamoDb;
use crate::writer::StoreError;

/// How long a stopping server waits for requests in hand, the half-sent ones included.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Where the three services listen, for the SDK's `endpoint_url`: `http://127.0.0.1:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// DynamoDB.
    pub dynamodb: String,
    /// S3. Clients need path-style addressing (`force_path_style`).
    pub s3: String,
    /// SQS. A queue URL stays good after a restart on another port: only its last segment is read.
    pub sqs: String,
}

/// Why the stores could not be opened, served or closed.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Another process, or another [`Embedded`] of this one, has the directory open.
    #[error("the state directory {} is in use by another process", dir.display())]
    InUse {
        /// The directory asked for.
        dir: PathBuf,
    },
    /// The directory cannot be created, read or locked.
    #[error("cannot use the state directory {}: {source}", dir.display())]
    Directory {
        /// The directory asked for.
        dir: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// No loopback port could be had.
    #[error("cannot listen on 127.0.0.1: {0}")]
    Listen(#[source] io::Error),
    /// DynamoDB's file cannot be opened, or its server failed.
    #[error("DynamoDB: {0}")]
    DynamoDb(String),
    /// The file or the blobs of S3 cannot be opened, or its server failed.
    #[error("S3: {0}")]
    S3(String),
    /// The file of SQS cannot be opened, or its server failed.
    #[error("SQS: {0}")]
    Sqs(String),
}

/// The three services, running.
///
/// [`Embedded::shutdown`] stops them in order. Dropping the value stops them too, without waiting. What loss of
/// power (not the death of the process) may undo: that an SQS message was received, which makes it visible again.
pub struct Embedded {
    endpoints: Endpoints,
    stop: CancellationToken,
    dynamodb: Option<DynamoDb>,
    s3: Arc<s3::Store>,
    sqs: Arc<sqs::Store>,
    servers: Vec<JoinHandle<()>>,
}

impl Embedded {
    /// Opens (or creates) the stores under `dir` and serves them on loopback ports chosen by the OS.
    ///
    /// SQS messages that were in flight become visible at once: their receivers lived in the process that ended.
    ///
    /// # Errors
    /// [`EmbeddedError::InUse`] if `dir` is open elsewhere; the other kinds if a file or a port cannot be had.
    pub async fn start(dir: &Path) -> Result<Self, EmbeddedError> {
        let dir = dir.to_owned();
        let stop = CancellationToken::new();
        let opening = stop.clone();
        let opened = tokio::task::spawn_blocking(move || open(&dir, opening))
            .await
            .map_err(|error| EmbeddedError::Listen(io::Error::other(error)))??;
        let servers = vec![
            tokio::spawn(serve_until("S3", opened.s3_listener, s3::router(Arc::clone(&opened.s3)), stop.clone())),
            tokio::spawn(serve_until(
                "SQS",
                opened.sqs_listener,
                sqs::router(Arc::clone(&opened.sqs), opened.endpoints.sqs.clone(), stop.clone()),
                stop.clone(),
            )),
            tokio::spawn(sqs::sweep_until(Arc::clone(&opened.sqs), stop.clone())),
        ];
        Ok(Self {
            endpoints: opened.endpoints,
            stop,
            dynamodb: Some(opened.dynamodb),
            s3: opened.s3,
            sqs: opened.sqs,
            servers,
        })
    }

    /// Where the services listen.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Stops accepting, finishes what is in hand, checkpoints and closes the files.
    ///
    /// Long polls return empty at once; other requests have ten seconds.
    ///
    /// # Errors
    /// If a server had failed before or its files cannot be closed. The directory is free in either case.
    pub async fn shutdown(mut self) -> Result<(), EmbeddedError> {
        self.stop.cancel();
        for server in std::mem::take(&mut self.servers) {
            if let Err(error) = server.await {
                tracing::error!(%error, "a server panicked");
            }
        }
        let (s3, sqs) = (Arc::clone(&self.s3), Arc::clone(&self.sqs));
        let dynamodb = self.dynamodb.take();
        tokio::task::spawn_blocking(move || {
            s3.close();
            sqs.close();
            dynamodb.map_or(Ok(()), DynamoDb::join)
        })
        .await
        .map_err(|error| EmbeddedError::DynamoDb(error.to_string()))?
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Opened {
    endpoints: Endpoints,
    dynamodb: DynamoDb,
    s3: Arc<s3::Store>,
    s3_listener: TcpListener,
    sqs: Arc<sqs::Store>,
    sqs_listener: TcpListener,
}

fn open(dir: &Path, stop: CancellationToken) -> Result<Opened, EmbeddedError> {
    let lock = Arc::new(lock_directory(dir)?);
    let (dynamodb_listener, dynamodb_url) = listen()?;
    let (s3_listener, s3_url) = listen()?;
    let (sqs_listener, sqs_url) = listen()?;
    let s3 =
        s3::Store::open(&dir.join("s3"), Arc::clone(&lock)).map_err(|error| EmbeddedError::S3(error.to_string()))?;
    let sqs = sqs::Store::open(&dir.join("sqs.sqlite"), Arc::clone(&lock))
        .map_err(|error: StoreError| EmbeddedError::Sqs(error.to_string()))?;
    let dynamodb = DynamoDb::start(&dir.join("dynamodb.sqlite"), dynamodb_listener, stop, lock)?;
    Ok(Opened {
        endpoints: Endpoints { dynamodb: dynamodb_url, s3: s3_url, sqs: sqs_url },
        dynamodb,
        s3: Arc::new(s3),
        s3_listener,
        sqs: Arc::new(sqs),
        sqs_listener,
    })
}

/// The lock ends with the returned file's last handle, which each store drops after its own file is closed.
fn lock_directory(dir: &Path) -> Result<File, EmbeddedError> {
    let unusable = |source| EmbeddedError::Directory { dir: dir.to_owned(), source };
    create_private_dir(dir).map_err(unusable)?;
    let file = File::options().create(true).truncate(false).write(true).open(dir.join("lock")).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(EmbeddedError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// The stores hold conversations and credentials: a directory made here is its owner's alone.
fn create_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

fn listen() -> Result<(TcpListener, String), EmbeddedError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(EmbeddedError::Listen)?;
    listener.set_nonblocking(true).map_err(EmbeddedError::Listen)?;
    let address = listener.local_addr().map_err(EmbeddedError::Listen)?;
    Ok((listener, format!("http://{address}")))
}

async fn serve_until(service: &'static str, listener: TcpListener, router: axum::Router, stop: CancellationToken) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(service, %error, "could not serve");
            return;
        }
    };
    // Small answers would wait for the other side's delayed acknowledgement otherwise.
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "could not set TCP_NODELAY");
        }
    });
    let router = router.layer(axum::middleware::from_fn(refuse_web_pages));
    let server = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        result = server => if let Err(error) = result {
            tracing::error!(service, %error, "serving ended");
        },
        () = overdue(stop) => tracing::warn!(service, "a request was still in hand when the server stopped"),
    }
}

/// A page open in a browser of this machine can reach loopback too, and credentials are not checked: what a browser
/// sends for a page has an `Origin`, or after DNS rebinding the page's own `Host`.
async fn refuse_web_pages(request: Request, next: Next) -> Response {
    let host =
        request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).and_then(|host| host.split(':').next());
    let is_ours = matches!(host, Some("127.0.0.1" | "localhost"));
    if !is_ours || request.headers().contains_key(header::ORIGIN) {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}

/// Resolves when a stop was asked for and its time is over.
async fn overdue(stop: CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_WITHIN).await;
}
