//! Files come as `multipart/form-data` (RFC 7578).

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use serde_json::{Value, json};

/// A file that a bot sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentFile {
    /// The field that it came in: `photo`, `document` or `voice`; of an album, whatever name the album gives it.
    pub field: String,
    pub name: String,
    pub mime: String,
    pub bytes: Bytes,
}

/// The boundary, if the body is a form.
pub(super) fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let boundary = kind.strip_prefix("multipart/form-data;")?.trim().strip_prefix("boundary=")?;
    Some(boundary.trim_matches('"').to_owned())
}

/// The parameters of a form, and its files. What looks like JSON is read as it.
pub(super) fn read(body: &[u8], boundary: &str) -> Result<(Value, Vec<SentFile>), String> {
    let delimiter = format!("--{boundary}");
    let (mut params, mut files) = (json!({}), vec![]);
    let mut rest = body.strip_prefix(delimiter.as_bytes()).ok_or("the form does not begin with its boundary")?;
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        let end = find(part, format!("\r\n{delimiter}").as_bytes()).ok_or("a part of the form has no end")?;
        let head = find(part, b"\r\n\r\n").filter(|head| *head < end).ok_or("a part of the form has no header")?;
        let header = String::from_utf8_lossy(&part[..head]);
        let content = &part[head + 4..end];
        rest = &part[end + 2 + delimiter.len()..];
        let field = attribute(&header, "name").ok_or("a part of the form has no name")?;
        match attribute(&header, "filename") {
            Some(name) => {
                let mime = header
                    .lines()
                    .find_map(|line| line.to_lowercase().strip_prefix("content-type: ").map(str::to_owned));
                let mime = mime.ok_or("a file of the form has no type")?;
                files.push(SentFile { field, name, mime, bytes: Bytes::copy_from_slice(content) });
            }
            None => {
                let text = std::str::from_utf8(content).map_err(|_| "a field of the form is not UTF-8")?;
                params[field] = serde_json::from_str(text).unwrap_or_else(|_| text.into());
            }
        }
    }
    if rest.starts_with(b"--") { Ok((params, files)) } else { Err("the form has no end".to_owned()) }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn attribute(header: &str, name: &str) -> Option<String> {
    let after = header.split(&format!(" {name}=\"")).nth(1)?;
    after.split('"').next().map(str::to_owned)
}
