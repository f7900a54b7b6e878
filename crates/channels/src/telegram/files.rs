//! Files in and out of Telegram.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::{Address, Media};
use reqwest::multipart::{Form, Part};
use serde::Deserialize;
use serde_json::json;

use super::client::{CallError, SentMessage, checked};
use super::{Client, target};
use crate::{DownloadError, SendError};

// Also the largest that Telegram gives to bots: <https://core.telegram.org/bots/api#getfile>
pub use crate::MAX_DOWNLOAD;

/// The largest photo that bots may send, in bytes. What is larger goes as a document.
const MAX_PHOTO: u64 = 10 << 20;

/// The most photos of an album, and what they may have together, in bytes: a function has little memory.
const MAX_ALBUM: usize = 10;
const MAX_ALBUM_BYTES: u64 = 20 << 20;

/// A file takes longer than a message.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(20);

/// <https://core.telegram.org/bots/api#file>
#[derive(Deserialize)]
struct File {
    file_path: Option<String>,
    file_size: Option<u64>,
}

/// How a file is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Photo,
    Voice,
    Document,
}

impl Shown {
    fn of(media: &Media) -> Shown {
        match media.mime.as_str() {
            "image/jpeg" | "image/png" | "image/webp" if media.size <= MAX_PHOTO => Shown::Photo,
            "audio/ogg" => Shown::Voice,
            _ => Shown::Document,
        }
    }

    /// The method, and the field that holds the file.
    const fn method(self) -> (&'static str, &'static str) {
        match self {
            Shown::Photo => ("sendPhoto", "photo"),
            Shown::Voice => ("sendVoice", "voice"),
            Shown::Document => ("sendDocument", "document"),
        }
    }
}

impl Client {
    /// Fetches a file that came with a message, by its `file_id`.
    pub async fn download(&self, token: &str, file_id: &str) -> Result<Bytes, DownloadError> {
        let file: Result<File, CallError> = self.call(token, "getFile", &json!({ "file_id": file_id })).await;
        let file = match file.map_err(SendError::from) {
            Err(SendError::Rejected(detail)) if detail.contains("file is too big") => {
                return Err(DownloadError::TooLarge);
            }
            file => file?,
        };
        if file.file_size.is_some_and(|size| size > MAX_DOWNLOAD as u64) {
            return Err(DownloadError::TooLarge);
        }
        let path = file.file_path.filter(|path| is_path(path));
        let path = path.ok_or_else(|| SendError::Rejected("the file has no path".to_owned()))?;
        let url = format!("{}/file/bot{}/{path}", self.api_base, checked(token)?);
        let mut response = self
            .http
            .get(url)
            .timeout(TRANSFER_TIMEOUT)
            .send()
            .await
            .map_err(|error| self.network_error(error, token))?;
        if !response.status().is_success() {
            let status = response.status().as_u16();
            return Err(SendError::Temporary(format!("status {status} instead of a file")).into());
        }
        let mut bytes = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.network_error(error, token))? {
            if bytes.len() + chunk.len() > MAX_DOWNLOAD {
                return Err(DownloadError::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    /// Sends a file: a picture as a photo, Ogg audio as a voice note, anything else as a document. A photo or voice
    /// note that Telegram does not take as such is sent as a document. Returns the id of the new message.
    pub async fn send_file(
        &self,
        token: &str,
        address: &Address,
        media: &Media,
        bytes: Bytes,
    ) -> Result<i64, SendError> {
        let shown = Shown::of(media);
        match self.upload(token, address, media, bytes.clone(), shown).await {
            Err(SendError::Rejected(_)) if shown != Shown::Document => {
                self.upload(token, address, media, bytes, Shown::Document).await
            }
            sent => sent,
        }
    }

    /// Sends photos as one album, of as many as [`album`] says, and returns the ids of their messages.
    ///
    /// # Errors
    ///
    /// [`SendError::Rejected`]: one of them is none to Telegram; each can still be sent alone.
    pub async fn send_album(
        &self,
        token: &str,
        address: &Address,
        photos: &[(&Media, Bytes)],
    ) -> Result<Vec<i64>, SendError> {
        let mut form = Form::new();
        let mut album = Vec::new();
        for (index, (media, bytes)) in photos.iter().enumerate() {
            let name = format!("photo{index}");
            album.push(json!({ "type": "photo", "media": format!("attach://{name}") }));
            form = form.part(name, part(media, bytes.clone())?);
        }
        let form = addressed(form.text("media", json!(album).to_string()), address);
        let url = format!("{}/bot{}/sendMediaGroup", self.api_base, checked(token)?);
        let sent: Result<Vec<SentMessage>, CallError> = self.read(token, self.http.post(url).multipart(form)).await;
        Ok(sent?.into_iter().map(|message| message.message_id).collect())
    }

    async fn upload(
        &self,
        token: &str,
        address: &Address,
        media: &Media,
        bytes: Bytes,
        shown: Shown,
    ) -> Result<i64, SendError> {
        let (method, field) = shown.method();
        let form = addressed(Form::new().part(field, part(media, bytes)?), address);
        let url = format!("{}/bot{}/{method}", self.api_base, checked(token)?);
        let sent: Result<SentMessage, CallError> = self.read(token, self.http.post(url).multipart(form)).await;
        Ok(sent?.message_id)
    }
}

/// How many of the first files make one album: photos, as long as all can be in memory. One file is none.
pub fn album(files: &[Media]) -> usize {
    let mut size = 0;
    let photos = files.iter().take(MAX_ALBUM).take_while(|media| {
        size += media.size;
        Shown::of(media) == Shown::Photo && size <= MAX_ALBUM_BYTES
    });
    photos.count()
}

/// A file as a part of a form.
fn part(media: &Media, bytes: Bytes) -> Result<Part, SendError> {
    let length = bytes.len() as u64;
    let part = Part::stream_with_length(bytes, length).file_name(file_name(media));
    part.mime_str(&media.mime).map_err(|_| {
        SendError::Rejected(format!("`{}` is not a media type", media.mime.chars().take(40).collect::<String>()))
    })
}

/// A form with where it goes, and what it answers.
fn addressed(mut form: Form, address: &Address) -> Form {
    if let Some(params) = target(address).as_object() {
        for (name, value) in params {
            form = form.text(name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
    }
    if let Some(message) = &address.reply_to {
        let reply = json!({ "message_id": super::id_value(message), "allow_sending_without_reply": true });
        form = form.text("reply_parameters", reply.to_string());
    }
    form
}

/// What the file is called in the chat.
fn file_name(media: &Media) -> String {
    media.name.clone().unwrap_or_else(|| {
        let ending = media.mime.split(['/', ';', '+']).nth(1).unwrap_or("bin");
        format!("file.{ending}")
    })
}

/// Whether a path stays below the one that it is put behind.
fn is_path(path: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    !path.is_empty() && path.chars().all(is_fine) && path.split('/').all(|part| !part.is_empty() && part != "..")
}

#[cfg(test)]
mod tests {
    use domain::MediaId;

    use super::*;

    fn media(mime: &str, size: u64) -> Media {
        Media { id: MediaId::of(b""), mime: mime.to_owned(), size, name: None }
    }

    #[test]
    fn files_are_shown_as_what_they_are() {
        assert_eq!(Shown::of(&media("image/png", 1)), Shown::Photo);
        assert_eq!(Shown::of(&media("image/png", MAX_PHOTO + 1)), Shown::Document);
        assert_eq!(Shown::of(&media("image/gif", 1)), Shown::Document, "a photo would not move");
        assert_eq!(Shown::of(&media("audio/ogg", 1)), Shown::Voice);
        assert_eq!(file_name(&media("image/svg+xml", 1)), "file.svg");
    }

    #[test]
    fn an_album_has_photos_that_fit_together() {
        let (photo, other) = (media("image/jpeg", 6 << 20), media("application/pdf", 1));
        assert_eq!(album(&[photo.clone(), photo.clone(), other.clone(), photo.clone()]), 2);
        assert_eq!(album(&vec![photo; 5]), 3, "of 20 MB");
        assert_eq!(album(&vec![media("image/png", 1); 12]), 10);
        assert_eq!(album(&[other]), 0);
    }

    #[test]
    fn a_files_path_stays_below_the_bots_files() {
        assert!(is_path("photos/file_1.jpg"));
        for bad in ["", "/etc", "a/../../botX/getMe", "a?b", "a//b", "https://x"] {
            assert!(!is_path(bad), "{bad}");
        }
    }
}
