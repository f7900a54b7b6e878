//! Sends: text, its edits, typing and files, each by one call.
//!
//! A call is repeated under the same transaction id without another effect: the homeserver answers with the
//! event that it made of the first.

use std::time::Duration;

use bytes::Bytes;
use domain::{Address, Media};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::CallError;
use super::{Chunk, Client};
use crate::{DownloadError, MAX_DOWNLOAD, SendError};

/// A file takes longer than a message.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
struct Sent {
    event_id: String,
}

impl Client {
    /// Sends one chunk, as an answer and in a thread if the address says so, and returns its event's id.
    ///
    /// `transaction` names the message: the same again is no second message.
    pub async fn send_text(&self, address: &Address, chunk: &Chunk, transaction: &str) -> Result<String, SendError> {
        let mut content = content("m.text", chunk);
        relate(&mut content, address);
        self.send(&address.chat, &content, transaction).await
    }

    /// Like [`send_text`](Self::send_text), as a notice: what other bots do not answer.
    pub async fn send_notice(&self, address: &Address, chunk: &Chunk, transaction: &str) -> Result<String, SendError> {
        let mut content = content("m.notice", chunk);
        relate(&mut content, address);
        self.send(&address.chat, &content, transaction).await
    }

    /// Puts a chunk in the place of what `event` said, and returns the id of the edit.
    pub async fn edit_text(
        &self,
        address: &Address,
        event: &str,
        chunk: &Chunk,
        transaction: &str,
    ) -> Result<String, SendError> {
        let mut edit =
            content("m.text", &Chunk { html: format!("* {}", chunk.html), plain: format!("* {}", chunk.plain) });
        edit["m.new_content"] = content("m.text", chunk);
        edit["m.relates_to"] = json!({ "rel_type": "m.replace", "event_id": event });
        self.send(&address.chat, &edit, transaction).await
    }

    /// Takes an event of the bot's own back.
    pub async fn redact(&self, address: &Address, event: &str, transaction: &str) -> Result<(), SendError> {
        let path = ["_matrix", "client", "v3", "rooms", &address.chat, "redact", event, transaction];
        let _: Value = self.put(&path, &json!({})).await?;
        Ok(())
    }

    /// Shows that the bot `user` is typing, for as long as `time` or until its next message.
    pub async fn typing(&self, user: &str, address: &Address, time: Duration) -> Result<(), SendError> {
        let path = ["_matrix", "client", "v3", "rooms", &address.chat, "typing", user];
        let _: Value = self.put(&path, &json!({ "typing": true, "timeout": time.as_millis() })).await?;
        Ok(())
    }

    /// Uploads a file and sends it: pictures, sounds and films as such. Returns the event's id.
    ///
    /// A file that is sent again is uploaded again, and still is one message.
    pub async fn send_file(
        &self,
        address: &Address,
        media: &Media,
        bytes: Bytes,
        transaction: &str,
    ) -> Result<String, SendError> {
        let name = media.name.as_deref().unwrap_or("file");
        let uri = self.upload(name, &media.mime, bytes).await?;
        let kind = match media.mime.split('/').next() {
            Some("image") => "m.image",
            Some("audio") => "m.audio",
            Some("video") => "m.video",
            _ => "m.file",
        };
        let mut content = json!({
            "msgtype": kind,
            "body": name,
            "filename": name,
            "url": uri,
            "info": { "mimetype": media.mime, "size": media.size },
        });
        relate(&mut content, address);
        self.send(&address.chat, &content, transaction).await
    }

    async fn upload(&self, name: &str, mime: &str, bytes: Bytes) -> Result<String, SendError> {
        #[derive(Deserialize)]
        struct Uploaded {
            content_uri: String,
        }
        let mut url = self.url(&["_matrix", "media", "v3", "upload"]);
        url.query_pairs_mut().append_pair("filename", name);
        let request = self.request(Method::POST, url).timeout(TRANSFER_TIMEOUT);
        let uploaded: Uploaded = self.read(request.header(CONTENT_TYPE, mime).body(bytes)).await?;
        Ok(uploaded.content_uri)
    }

    /// Fetches a file of at most [`MAX_DOWNLOAD`] bytes by its `mxc://` address, in the bot's name.
    pub async fn download(&self, mxc: &str) -> Result<Bytes, DownloadError> {
        let (server, id) = mxc
            .strip_prefix("mxc://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(|| SendError::Rejected("the file's address does not begin with mxc://".to_owned()))?;
        let fetch = |path: &[&str]| {
            let request = self.request(Method::GET, self.url(path)).timeout(TRANSFER_TIMEOUT);
            async move { self.body(request, MAX_DOWNLOAD).await }
        };
        let fetched = match fetch(&["_matrix", "client", "v1", "media", "download", server, id]).await {
            // Before version 1.11 of the specification files were to be had without a token.
            Err(CallError::Refused { code, .. }) if code == "M_UNRECOGNIZED" => {
                fetch(&["_matrix", "media", "v3", "download", server, id]).await
            }
            fetched => fetched,
        };
        fetched.map_err(SendError::from)?.ok_or(DownloadError::TooLarge)
    }

    async fn send(&self, room: &str, content: &Value, transaction: &str) -> Result<String, SendError> {
        let path = ["_matrix", "client", "v3", "rooms", room, "send", "m.room.message", transaction];
        let sent: Sent = self.put(&path, content).await?;
        Ok(sent.event_id)
    }
}

fn content(kind: &str, chunk: &Chunk) -> Value {
    json!({
        "msgtype": kind,
        "body": chunk.plain,
        "format": "org.matrix.custom.html",
        "formatted_body": chunk.html,
        // Said outright, so that no name in an answer makes anybody's telephone ring.
        "m.mentions": {},
    })
}

/// Makes an event an answer, a part of a thread, or both.
fn relate(content: &mut Value, address: &Address) {
    let answer = address.reply_to.as_ref().map(|event| json!({ "event_id": event }));
    content["m.relates_to"] = match (&address.thread, answer) {
        (None, None) => return,
        (None, Some(answer)) => json!({ "m.in_reply_to": answer }),
        (Some(root), answer) => json!({
            "rel_type": "m.thread",
            "event_id": root,
            // For clients that know no threads; the others do not show it as a quotation.
            "is_falling_back": true,
            "m.in_reply_to": answer.unwrap_or_else(|| json!({ "event_id": root })),
        }),
    };
}
