//! Reads what came with a message: fetches the files, keeps them, and finds out what they say.
//!
//! A file that cannot be read does not hold the message back: the attachment then says why, in brackets, where its text
//! would stand. Files are kept by what is in them, so a message that comes again keeps nothing twice.

mod document;
mod pdf;
mod sniff;

use std::time::Duration;

use agent::{BotView, ListenError, Mind, Recording};
use bytes::Bytes;
use channels::{DownloadError, SendError};
use domain::media::MAX_MEDIA;
use domain::{AccountId, Attachment, AttachmentKind, BotId, Media};
use futures::stream::{self, StreamExt};
use runtime::Environment;
use tokio::time::{Instant, timeout_at};

use crate::chats::{Chats, Login};

pub use pdf::read_pdf_if_asked;

/// How many files of one message are read.
const MAX_FILES: usize = 10;

/// Files that are fetched at once: a function has little memory.
const AT_ONCE: usize = 2;

/// The longest text of one file that the log keeps, in characters.
const MAX_TEXT: usize = 40_000;

/// What all files of one commit may say together, in bytes: the log keeps a commit in one row.
pub(crate) const MAX_TEXTS: usize = 120_000;

/// How long the files of one message may take, at least and at most.
pub(crate) const LEAST_TIME: Duration = Duration::from_secs(5);
pub(crate) const MOST_TIME: Duration = Duration::from_secs(40);

/// Reads the files of one bot's messages.
pub(crate) struct Reader<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) mind: &'a dyn Mind,
    pub(crate) bot: BotView<'a>,
    pub(crate) account: AccountId,
    pub(crate) id: BotId,
    pub(crate) chats: &'a Chats,
    /// Of the link that the message came by. `None`: it came by the web chat, whose files are kept already.
    pub(crate) login: Option<&'a Login>,
    /// What is not read by then is left out.
    pub(crate) until: Instant,
}

/// Whether an attachment has bytes that are worth fetching.
pub(crate) fn is_unread(attachment: &Attachment) -> bool {
    let has_bytes = match attachment.kind {
        AttachmentKind::Image
        | AttachmentKind::Audio
        | AttachmentKind::Voice
        | AttachmentKind::Document
        | AttachmentKind::Sticker => true,
        AttachmentKind::Video | AttachmentKind::Location | AttachmentKind::Contact => false,
    };
    has_bytes && attachment.media.is_none() && attachment.text.is_none()
}

/// Why a file is not read, as everybody may know it.
pub(crate) fn not_read(why: &str) -> Option<String> {
    Some(format!("[It could not be read: {why}.]"))
}

impl Reader<'_> {
    /// Fills in what the attachments are and say. Their texts have `room` bytes together.
    pub(crate) async fn read(&self, attachments: Vec<Attachment>, mut room: usize) -> Vec<Attachment> {
        let reads = attachments.into_iter().enumerate().map(|(index, attachment)| async move {
            if !is_unread(&attachment) {
                return attachment;
            }
            if index >= MAX_FILES {
                let text = not_read(&format!("a message may have {MAX_FILES} files"));
                return Attachment { text, ..attachment };
            }
            match timeout_at(self.until, self.read_one(attachment.clone())).await {
                Ok(read) => read,
                Err(_) => Attachment { text: not_read("it took too long"), ..attachment },
            }
        });
        let mut read: Vec<Attachment> = stream::iter(reads).buffered(AT_ONCE).collect().await;
        for text in read.iter_mut().filter_map(|attachment| attachment.text.as_mut()) {
            shorten(text, MAX_TEXT, room);
            room = room.saturating_sub(text.len());
        }
        read
    }

    async fn read_one(&self, mut attachment: Attachment) -> Attachment {
        const TOO_LARGE: &str = "it is larger than 20 MB";
        if attachment.size.is_some_and(|size| size > MAX_MEDIA as u64) {
            attachment.text = not_read(TOO_LARGE);
            return attachment;
        }
        let bytes = match self.fetch(&attachment.reference).await {
            Ok(bytes) => bytes,
            Err(DownloadError::TooLarge) => {
                attachment.text = not_read(TOO_LARGE);
                return attachment;
            }
            Err(DownloadError::Failed(error)) => {
                tracing::warn!(bot = %self.id, "A file that came with a message was not fetched: {error}");
                attachment.text = not_read("the channel did not give it out");
                return attachment;
            }
        };
        let mime = sniff::mime(&bytes, &attachment);
        let account = self.environment.store.account(self.account);
        match account.media_put(self.id, &mime, bytes.clone()).await {
            Ok(id) => {
                let (size, name) = (bytes.len() as u64, attachment.name.clone());
                attachment.media = Some(Media { id, mime: mime.clone(), size, name });
            }
            Err(error) => {
                tracing::warn!(bot = %self.id, "A file that came with a message was not kept: {error}");
                attachment.text = not_read("it could not be kept");
                return attachment;
            }
        }
        attachment.text = if mime.starts_with("audio/") {
            self.listen(Recording { bytes, mime }).await
        } else if attachment.kind == AttachmentKind::Document {
            document::text(bytes, &mime, self.environment.settings.pdf_reader.as_deref()).await
        } else {
            None
        };
        attachment
    }

    async fn fetch(&self, reference: &str) -> Result<Bytes, DownloadError> {
        if let Some(login) = self.login {
            return self.chats.download(login, reference).await;
        }
        let gone = || DownloadError::Failed(SendError::Rejected("it is not kept any more".to_owned()));
        let id = reference.parse().map_err(|_| gone())?;
        let kept = self.environment.store.account(self.account).media_get(self.id, &id).await;
        kept.map_err(|error| SendError::Temporary(error.to_string()))?.ok_or_else(gone)
    }

    async fn listen(&self, recording: Recording) -> Option<String> {
        match self.mind.listen(&self.bot, recording).await {
            Ok(text) if text.is_empty() => Some("[Nothing is said in it.]".to_owned()),
            Ok(text) => Some(text),
            Err(ListenError::NoEars) => None,
            Err(ListenError::Failed(error)) => {
                tracing::warn!(bot = %self.id, "A recording was not written down: {error}");
                not_read("nobody could write down what is said")
            }
        }
    }
}

/// Cuts a text, and says so.
fn shorten(text: &mut String, characters: usize, bytes: usize) {
    let end = text.char_indices().nth(characters).map_or(text.len(), |(end, _)| end);
    let end = text.floor_char_boundary(end.min(bytes));
    if end < text.len() {
        let whole = text.chars().count();
        text.truncate(end);
        let kept = text.chars().count();
        text.push_str(&format!("\n[Cut here: these are the first {kept} of {whole} characters.]"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_so() {
        let mut text = "aü".repeat(30);
        shorten(&mut text, 60, 90);
        assert_eq!(text, "aü".repeat(30));
        shorten(&mut text, 60, 5);
        assert_eq!(text, "aüa\n[Cut here: these are the first 3 of 60 characters.]");
    }
}
