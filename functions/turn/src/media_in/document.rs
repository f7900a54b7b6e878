//! The text of documents.

use std::path::Path;

use bytes::Bytes;

use super::{not_read, pdf, sniff};

/// What a document says; `None` if it is of a kind that has no text, or that is not read. PDFs are read by the program
/// `pdf_reader`, or this one.
pub(super) async fn text(bytes: Bytes, mime: &str, pdf_reader: Option<&Path>) -> Option<String> {
    if mime == "application/pdf" {
        return pdf::text(bytes, pdf_reader).await.map_or_else(not_read, Some);
    }
    let is_text = !mime.starts_with("image/") && sniff::is_text(&bytes);
    is_text.then(|| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn texts_are_taken_as_they_are_and_archives_are_not() {
        assert_eq!(text("a,b\n".into(), "text/csv", None).await.as_deref(), Some("a,b\n"));
        assert_eq!(text(Bytes::from_static(b"PK\x03\x04\xff\x00"), "application/zip", None).await, None);
    }
}
