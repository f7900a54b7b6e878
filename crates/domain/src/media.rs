//! Files that came with a message or that a tool made, as they are kept: by what is in them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The largest file that is kept, in bytes.
pub const MAX_MEDIA: usize = 20 << 20;

/// Names a kept file of a bot by the SHA-256 of its bytes, in hex: the same bytes are kept once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MediaId(String);

/// A text that does not name a kept file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a file is named by 64 hexadecimal digits")]
pub struct BadMediaId;

impl MediaId {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> MediaId {
        let digest = Sha256::digest(bytes);
        MediaId(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MediaId {
    type Err = BadMediaId;

    fn from_str(text: &str) -> Result<MediaId, BadMediaId> {
        let fits = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if fits { Ok(MediaId(text.to_owned())) } else { Err(BadMediaId) }
    }
}

impl TryFrom<String> for MediaId {
    type Error = BadMediaId;

    fn try_from(text: String) -> Result<MediaId, BadMediaId> {
        text.parse()
    }
}

impl From<MediaId> for String {
    fn from(id: MediaId) -> String {
        id.0
    }
}

impl fmt::Display for MediaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MediaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A kept file: where its bytes are, and what they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Media {
    pub id: MediaId,
    /// As sniffed from the bytes where that is possible, such as `image/png`.
    pub mime: String,
    /// In bytes.
    pub size: u64,
    /// What people call the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What files are by the ends of their names, where their bytes do not tell: what bots write and people open. Channels refuse
/// files of no known type.
const TYPES: [(&str, &str); 20] = [
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("html", "text/html"),
    ("ics", "text/calendar"),
    ("json", "application/json"),
    ("m4a", "audio/mp4"),
    ("md", "text/markdown"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("ogg", "audio/ogg"),
    ("pdf", "application/pdf"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
];

/// The media type of a file of this name, if it is a known one.
pub fn type_of_name(name: &str) -> Option<&'static str> {
    let (_, end) = name.rsplit_once('.')?;
    TYPES.iter().find(|(known, _)| end.eq_ignore_ascii_case(known)).map(|(_, mime)| *mime)
}

impl Media {
    /// Whether models that see are shown it as a picture.
    pub fn is_image(&self) -> bool {
        matches!(self.mime.as_str(), "image/png" | "image/jpeg" | "image/gif" | "image/webp")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_what_a_file_is() {
        assert_eq!(type_of_name("plans/Tides.PDF"), Some("application/pdf"));
        assert_eq!(type_of_name("notes.tar.gz").or(type_of_name("pdf")), None);
    }

    #[test]
    fn files_are_named_by_their_bytes() {
        let id = MediaId::of(b"abc");
        assert_eq!(id.as_str(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(id.as_str().parse(), Ok(id));
        for bad in ["", "../../x", &"A".repeat(64), &"a".repeat(63)] {
            assert_eq!(bad.parse::<MediaId>(), Err(BadMediaId), "{bad}");
        }
    }
}
