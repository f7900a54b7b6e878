//! Bodies too large for the index: one immutable file each, on disk with its name before the index refers to it.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use md5::{Digest, Md5};
use s3s::dto::StreamingBlob;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::ids;

/// Bodies up to this size live in the index.
pub(crate) const INLINE_BYTES: usize = 64 * 1024;

const READ_BYTES: usize = 256 * 1024;

/// Files being written have this ending, and none of them outlives its process.
const UNFINISHED: &str = "tmp";

/// Why a body was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("{0}")]
    Sent(String),
    #[error("could not write a blob: {0}")]
    Disk(#[from] io::Error),
}

/// A body that is safely stored, or small enough to go into the index.
pub(crate) struct Received {
    pub(crate) size: u64,
    pub(crate) md5: [u8; 16],
    pub(crate) content: Content,
}

pub(crate) enum Content {
    Inline(Vec<u8>),
    Blob(NewBlob),
}

/// A blob that no row refers to yet. It is removed on drop unless [`NewBlob::keep`] was called.
pub(crate) struct NewBlob {
    pub(crate) name: String,
    path: PathBuf,
    kept: AtomicBool,
}

impl NewBlob {
    pub(crate) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }
}

impl Drop for NewBlob {
    fn drop(&mut self) {
        if !self.kept.load(Ordering::Relaxed) {
            remove(&self.path);
        }
    }
}

/// The directory of the blobs.
#[derive(Clone)]
pub(crate) struct Blobs {
    dir: Arc<Path>,
}

impl Blobs {
    /// Opens (or creates) the directory and removes every file that is not `referred` to.
    pub(crate) fn open(dir: PathBuf, referred: &HashSet<String>) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        for entry in std::fs::read_dir(&dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if !name.to_str().is_some_and(|name| referred.contains(name)) {
                tracing::debug!(?name, "blob without an object removed");
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { dir: dir.into() })
    }

    /// Takes a body: up to `inline` bytes in memory, a longer one in a file.
    pub(crate) async fn receive(&self, body: Option<StreamingBlob>, inline: usize) -> Result<Received, BodyError> {
        let mut digest = Md5::new();
        let mut size = 0;
        let mut memory = Vec::new();
        let mut file: Option<Unfinished> = None;
        if let Some(mut body) = body {
            while let Some(piece) = body.next().await {
                let piece = piece.map_err(|error| BodyError::Sent(error.to_string()))?;
                digest.update(&piece);
                size += piece.len() as u64;
                match &mut file {
                    Some(file) => file.write(&piece).await?,
                    None => {
                        memory.extend_from_slice(&piece);
                        if memory.len() > inline {
                            let mut begun = self.begin().await?;
                            begun.write(&memory).await?;
                            memory = Vec::new();
                            file = Some(begun);
                        }
                    }
                }
            }
        }
        let content = match file {
            Some(file) => Content::Blob(self.finish(file).await?),
            None => Content::Inline(memory),
        };
        Ok(Received { size, md5: digest.finalize().into(), content })
    }

    /// A new blob with the bytes of `names`, in order.
    pub(crate) async fn join(&self, names: &[String]) -> io::Result<NewBlob> {
        let mut file = self.begin().await?;
        for name in names {
            let mut part = tokio::fs::File::open(self.path(name)).await?;
            tokio::io::copy(&mut part, &mut file.file).await?;
        }
        self.finish(file).await
    }

    /// A second name for a blob's bytes. Blobs never change, so a hard link is a copy.
    pub(crate) async fn link(&self, name: &str) -> io::Result<NewBlob> {
        let new = self.new_blob();
        tokio::fs::hard_link(self.path(name), &new.path).await?;
        self.sync_dir().await?;
        Ok(new)
    }

    /// Removes a blob that no row refers to any more. Readers that have it open read on.
    pub(crate) fn remove(&self, name: &str) {
        remove(&self.path(name));
    }

    /// `length` bytes from `offset`. An error of kind `NotFound` means that the object was replaced meanwhile.
    pub(crate) async fn read(
        &self,
        name: &str,
        offset: u64,
        length: u64,
    ) -> io::Result<impl Stream<Item = io::Result<Bytes>> + use<>> {
        let mut file = tokio::fs::File::open(self.path(name)).await?;
        file.seek(io::SeekFrom::Start(offset)).await?;
        let part = file.take(length);
        Ok(futures::stream::try_unfold(part, |mut part| async move {
            let mut buffer = Vec::with_capacity(READ_BYTES);
            let mut piece = (&mut part).take(READ_BYTES as u64);
            if piece.read_to_end(&mut buffer).await? == 0 {
                return Ok(None);
            }
            Ok(Some((Bytes::from(buffer), part)))
        }))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn new_blob(&self) -> NewBlob {
        let name = ids::unique_hex();
        NewBlob { path: self.path(&name), name, kept: AtomicBool::new(false) }
    }

    async fn begin(&self) -> io::Result<Unfinished> {
        let path = self.path(&ids::unique_hex()).with_extension(UNFINISHED);
        let file = tokio::fs::File::create_new(&path).await?;
        Ok(Unfinished { file, guard: RemoveOnDrop(path) })
    }

    /// On disk under its final name, and the name on disk too.
    async fn finish(&self, mut unfinished: Unfinished) -> io::Result<NewBlob> {
        unfinished.file.flush().await?;
        unfinished.file.sync_all().await?;
        let new = self.new_blob();
        tokio::fs::rename(&unfinished.guard.0, &new.path).await?;
        self.sync_dir().await?;
        Ok(new)
    }

    async fn sync_dir(&self) -> io::Result<()> {
        let dir = Arc::clone(&self.dir);
        tokio::task::spawn_blocking(move || File::open(dir)?.sync_all()).await.map_err(io::Error::other)?
    }
}

struct Unfinished {
    file: tokio::fs::File,
    guard: RemoveOnDrop,
}

impl Unfinished {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await
    }
}

struct RemoveOnDrop(PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// A file that stays is removed when the store is opened next.
fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "could not remove a blob");
        }
    }
}
