//! What a file is, by its first bytes. What its sender says counts only where nothing is known.

use domain::{Attachment, AttachmentKind};

const MAGIC: [(&[u8], usize, &str); 13] = [
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"WAVE", 8, "audio/wav"),
    (b"%PDF-", 0, "application/pdf"),
    (b"OggS", 0, "audio/ogg"),
    (b"fLaC", 0, "audio/flac"),
    (b"ID3", 0, "audio/mpeg"),
    (b"\xff\xfb", 0, "audio/mpeg"),
    (b"\xff\xf3", 0, "audio/mpeg"),
    (b"M4A ", 8, "audio/mp4"),
    (b"PK\x03\x04", 0, "application/zip"),
];

const UNKNOWN: &str = "application/octet-stream";

/// The media type of a file.
pub(super) fn mime(bytes: &[u8], attachment: &Attachment) -> String {
    let known = MAGIC.iter().find(|(magic, at, _)| bytes.get(*at..).is_some_and(|bytes| bytes.starts_with(magic)));
    if let Some((_, _, mime)) = known {
        return (*mime).to_owned();
    }
    let claimed = attachment.mime.as_deref().filter(|mime| is_plain(mime));
    // An image that does not look like one must not be shown to a model as one.
    let claimed = claimed.filter(|mime| !mime.starts_with("image/"));
    let is_sound = matches!(attachment.kind, AttachmentKind::Voice | AttachmentKind::Audio);
    match claimed {
        Some(mime) if !mime.starts_with("audio/") || is_sound => mime.to_owned(),
        _ if is_text(bytes) => "text/plain".to_owned(),
        _ => UNKNOWN.to_owned(),
    }
}

/// Whether bytes read as text.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0'))
}

fn is_plain(mime: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '+' | '-');
    mime.len() <= 100 && mime.matches('/').count() == 1 && mime.chars().all(is_fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sniffed(bytes: &[u8], kind: AttachmentKind, claimed: Option<&str>) -> String {
        let mime = claimed.map(str::to_owned);
        let attachment =
            Attachment { kind, reference: "x".into(), name: None, mime, size: None, media: None, text: None };
        mime_of(bytes, &attachment)
    }

    use super::mime as mime_of;

    #[test]
    fn what_a_file_is_shows_in_its_bytes() {
        use AttachmentKind::{Document, Image, Voice};
        assert_eq!(sniffed(b"\x89PNG\r\n\x1a\n...", Image, Some("image/jpeg")), "image/png");
        assert_eq!(sniffed(b"RIFF....WEBPVP8 ", AttachmentKind::Sticker, None), "image/webp");
        assert_eq!(sniffed(b"<script>", Image, Some("image/png")), "text/plain", "it is no image");
        assert_eq!(sniffed(b"\x00\x01", Image, Some("image/png")), UNKNOWN);
        assert_eq!(sniffed(b"a,b", Document, Some("text/csv")), "text/csv");
        assert_eq!(sniffed(b"a,b", Document, Some("audio/ogg")), "text/plain");
        assert_eq!(sniffed(b"\x00", Voice, Some("audio/amr")), "audio/amr");
        assert_eq!(sniffed(b"\x00", Document, Some("evil\r\nheader: x/y")), UNKNOWN);
        assert_eq!(sniffed(b"", Document, None), "text/plain");
    }
}
