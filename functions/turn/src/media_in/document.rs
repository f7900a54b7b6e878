//! The text of documents.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::read::ZlibDecoder;
use pdf_extract::{Document, PlainTextOutput, output_doc_page};

use super::{MAX_TEXT, not_read, sniff};

/// How long a PDF may take to be read.
const PDF_TIME: Duration = Duration::from_secs(10);

/// What the streams of a PDF may unpack to together, in bytes.
const MAX_UNPACKED: u64 = 100 << 20;

/// What a document says; `None` if it is of a kind that has no text, or that is not read.
pub(super) async fn text(bytes: Bytes, mime: &str) -> Option<String> {
    if mime == "application/pdf" {
        let reading = tokio::task::spawn_blocking(move || pdf_text(&bytes));
        return match tokio::time::timeout(PDF_TIME * 2, reading).await {
            Ok(Ok(Some(text))) if text.trim().is_empty() => not_read("it is a PDF without text, perhaps scanned"),
            Ok(Ok(Some(text))) => Some(text),
            Ok(Ok(None) | Err(_)) => not_read("it is a PDF that is damaged, locked or too large"),
            Err(_) => not_read("it took too long"),
        };
    }
    let is_text = !mime.starts_with("image/") && sniff::is_text(&bytes);
    is_text.then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// The text of a PDF, as far as it is wanted; `None` if it cannot be read. Strangers send these: the reader may panic.
fn pdf_text(bytes: &[u8]) -> Option<String> {
    let read = || {
        let until = Instant::now() + PDF_TIME;
        if !unpacks_to_little(bytes) {
            return None;
        }
        let document = Document::load_mem(bytes).ok()?;
        let mut text = String::new();
        for page in document.get_pages().into_keys() {
            // A page that cannot be read costs only itself.
            let mut of_page = String::new();
            let _ = output_doc_page(&document, &mut PlainTextOutput::new(&mut of_page), page);
            text.push_str(of_page.trim());
            text.push_str("\n\n");
            if text.chars().count() > MAX_TEXT || Instant::now() > until {
                break;
            }
        }
        Some(text)
    };
    catch_unwind(AssertUnwindSafe(read)).ok().flatten()
}

/// Whether the packed streams of a PDF stay below [`MAX_UNPACKED`]: its reader unpacks without a limit.
fn unpacks_to_little(bytes: &[u8]) -> bool {
    let mut room = MAX_UNPACKED;
    let mut rest = bytes;
    while let Some(at) = rest.windows(6).position(|window| window == b"stream") {
        rest = &rest[at + 6..];
        let data = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")).unwrap_or(rest);
        // What is no packed stream ends with an error at once.
        let unpacked = std::io::copy(&mut Limited { of: ZlibDecoder::new(data), left: room }, &mut std::io::sink());
        match unpacked {
            Ok(size) if size >= room => return false,
            Ok(size) => room -= size,
            Err(_) => {}
        }
    }
    true
}

/// Reads no further than it is wanted, and counts what came before an error as read.
struct Limited<R> {
    of: R,
    left: u64,
}

impl<R: std::io::Read> std::io::Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.of.read(&mut buffer[..most]).unwrap_or(0);
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A PDF of one page.
    fn pdf(content: &[u8], filter: &str) -> Vec<u8> {
        let mut out = b"%PDF-1.4\n".to_vec();
        let mut offsets = vec![];
        let head = format!("<< /Length {}{filter} >>\nstream\n", content.len());
        let stream = [head.as_bytes(), content, b"\nendstream"].concat();
        let objects: [&[u8]; 5] = [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
            &stream,
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        ];
        for (n, object) in objects.iter().enumerate() {
            offsets.push(out.len());
            out.extend([format!("{} 0 obj\n", n + 1).as_bytes(), object, b"\nendobj\n"].concat());
        }
        let start = out.len();
        out.extend_from_slice(b"xref\n0 6\n0000000000 65535 f \n");
        for offset in offsets {
            out.extend_from_slice(format!("{offset:010} 00000 n \n").as_bytes());
        }
        out.extend_from_slice(format!("trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n{start}\n%%EOF").as_bytes());
        out
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::ZlibEncoder::new(vec![], flate2::Compression::best());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    #[tokio::test]
    async fn a_pdf_is_read() {
        let page = b"BT /F1 12 Tf 20 100 Td (Low tide at noon) Tj ET";
        for (content, filter) in [(page.to_vec(), ""), (packed(page), " /Filter /FlateDecode")] {
            let text = text(pdf(&content, filter).into(), "application/pdf").await.unwrap();
            assert_eq!(text.trim(), "Low tide at noon");
        }
    }

    #[tokio::test]
    async fn a_hostile_pdf_is_left() {
        let bomb = pdf(&packed(&vec![b' '; MAX_UNPACKED as usize + 1]), " /Filter /FlateDecode");
        assert!(bomb.len() < 1 << 20);
        let good = pdf(b"BT /F1 12 Tf 20 100 Td (x) Tj ET", "");
        let cases = [bomb, b"%PDF-1.4 nothing".to_vec(), good[..good.len() / 2].to_vec(), vec![b'%'; 100]];
        for case in cases {
            let text = text(case.into(), "application/pdf").await.unwrap();
            assert!(text.starts_with("[It could not be read"), "{text}");
        }
    }

    #[tokio::test]
    async fn texts_are_taken_as_they_are_and_archives_are_not() {
        assert_eq!(text("a,b\n".into(), "text/csv").await.as_deref(), Some("a,b\n"));
        assert_eq!(text(Bytes::from_static(b"PK\x03\x04\xff\x00"), "application/zip").await, None);
    }
}
