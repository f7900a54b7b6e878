//! Request bodies as the SDK sends them: the signature is set aside, `aws-chunked` framing is undone, and checksums
//! in headers or trailers are verified.
//!
//! s3s decodes chunks only after it has checked a signature, which needs the client's secret. The services accept
//! every credential, so both happen here. Source: "Signature calculations for the authorization header:
//! transferring payload in multiple chunks" in the S3 API reference.

use std::io;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};

/// A chunk's size line or a trailer is far shorter; more is no `aws-chunked` body.
const MAX_LINE: usize = 8 * 1024;

const CHECKSUMS: [&str; 5] = [
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
];

/// Turns a signed request of an SDK into the plain one that s3s takes without credentials.
pub(crate) async fn make_plain(mut request: Request, next: Next) -> Response {
    request.headers_mut().remove(header::AUTHORIZATION);
    if let Some(uri) = without_signature(request.uri()) {
        *request.uri_mut() = uri;
    }
    if request.method() != Method::PUT {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let expected = Expected::from_headers(&parts.headers);
    let chunked =
        parts.headers.get("x-amz-content-sha256").is_some_and(|value| value.as_bytes().starts_with(b"STREAMING-"));
    if chunked {
        rewrite_headers(&mut parts.headers);
    }
    let body = if chunked || !expected.is_empty() {
        Body::from_stream(verified(body.into_data_stream(), chunked, expected))
    } else {
        body
    };
    next.run(Request::from_parts(parts, body)).await
}

/// The address without the parameters of a presigned URL; none if it has none.
fn without_signature(uri: &Uri) -> Option<Uri> {
    let query = uri.query().filter(|query| query.contains("X-Amz-"))?;
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("X-Amz-")).collect();
    format!("{}?{}", uri.path(), kept.join("&")).parse().ok()
}

fn rewrite_headers(headers: &mut HeaderMap) {
    headers.remove("x-amz-content-sha256");
    if let Some(length) = headers.remove("x-amz-decoded-content-length") {
        headers.insert(header::CONTENT_LENGTH, length);
    }
    let encodings = headers
        .remove(header::CONTENT_ENCODING)
        .and_then(|value| value.to_str().map(str::to_owned).ok())
        .unwrap_or_default();
    let kept: Vec<&str> = encodings
        .split(',')
        .map(str::trim)
        .filter(|encoding| !encoding.is_empty() && *encoding != "aws-chunked")
        .collect();
    if !kept.is_empty()
        && let Ok(value) = HeaderValue::from_str(&kept.join(","))
    {
        headers.insert(header::CONTENT_ENCODING, value);
    }
}

/// The checksums that a request announces, by header name; the value may follow in a trailer.
struct Expected(Vec<(String, Option<String>)>);

impl Expected {
    fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let mut expected: Vec<_> =
            CHECKSUMS.iter().filter_map(|name| Some(((*name).to_owned(), Some(text(name)?.to_owned())))).collect();
        for name in text("x-amz-trailer").unwrap_or_default().split(',') {
            let name = name.trim().to_ascii_lowercase();
            if CHECKSUMS.contains(&name.as_str()) {
                expected.push((name, None));
            }
        }
        Self(expected)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn hasher(&self) -> ChecksumHasher {
        let has = |name: &str| self.0.iter().any(|(expected, _)| expected == name);
        ChecksumHasher {
            crc32: has(CHECKSUMS[0]).then(Crc32::new),
            crc32c: has(CHECKSUMS[1]).then(Crc32c::new),
            crc64nvme: has(CHECKSUMS[2]).then(Crc64Nvme::new),
            sha1: has(CHECKSUMS[3]).then(Sha1::new),
            sha256: has(CHECKSUMS[4]).then(Sha256::new),
        }
    }

    fn learn(&mut self, trailer: &str) {
        let Some((name, value)) = trailer.split_once(':') else {
            return;
        };
        for (expected, known) in &mut self.0 {
            if expected.eq_ignore_ascii_case(name.trim()) {
                *known = Some(value.trim().to_owned());
            }
        }
    }

    fn check(&self, hasher: ChecksumHasher) -> io::Result<()> {
        let computed = hasher.finalize();
        for (name, expected) in &self.0 {
            let computed = match name.as_str() {
                "x-amz-checksum-crc32" => &computed.checksum_crc32,
                "x-amz-checksum-crc32c" => &computed.checksum_crc32c,
                "x-amz-checksum-crc64nvme" => &computed.checksum_crc64nvme,
                "x-amz-checksum-sha1" => &computed.checksum_sha1,
                _ => &computed.checksum_sha256,
            };
            if computed != expected {
                return Err(malformed("the body does not match its checksum"));
            }
        }
        Ok(())
    }
}

fn malformed(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

enum State {
    /// Before a chunk's size line; the plain form has one endless chunk.
    Size,
    Data(Option<u64>),
    AfterData,
    Trailers,
    End,
}

struct Reader {
    source: BodyDataStream,
    buffer: BytesMut,
    state: State,
    expected: Expected,
    hasher: Option<ChecksumHasher>,
}

/// The bytes of the object. The last item is an error if framing or checksum are wrong.
fn verified(source: BodyDataStream, chunked: bool, expected: Expected) -> impl Stream<Item = io::Result<Bytes>> {
    let reader = Reader {
        source,
        buffer: BytesMut::new(),
        state: if chunked { State::Size } else { State::Data(None) },
        hasher: Some(expected.hasher()),
        expected,
    };
    futures::stream::try_unfold(reader, |mut reader| async move {
        let piece = reader.piece().await?;
        Ok(piece.map(|piece| (piece, reader)))
    })
}

impl Reader {
    /// The next bytes of the object, or none after the last.
    async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            match self.state {
                State::Size => {
                    let line = self.line().await?;
                    let size = line.split(';').next().unwrap_or_default().trim();
                    let size = u64::from_str_radix(size, 16).map_err(|_| malformed("a chunk has no size"))?;
                    self.state = if size == 0 { State::Trailers } else { State::Data(Some(size)) };
                }
                State::Data(left) => {
                    if self.buffer.is_empty() && !self.fill().await? {
                        if left.is_some() {
                            return Err(malformed("the body ends inside a chunk"));
                        }
                        self.state = State::End;
                        continue;
                    }
                    let held = self.buffer.len();
                    let take = left.map_or(held, |left| held.min(usize::try_from(left).unwrap_or(held)));
                    let piece = self.buffer.split_to(take).freeze();
                    self.state = match left {
                        None => State::Data(None),
                        Some(left) if left == take as u64 => State::AfterData,
                        Some(left) => State::Data(Some(left - take as u64)),
                    };
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&piece);
                    }
                    return Ok(Some(piece));
                }
                State::AfterData => {
                    if !self.line().await?.is_empty() {
                        return Err(malformed("a chunk is longer than its size"));
                    }
                    self.state = State::Size;
                }
                State::Trailers => {
                    let at_end = self.buffer.is_empty() && !self.fill().await?;
                    let line = if at_end { String::new() } else { self.line().await? };
                    if line.is_empty() {
                        self.state = State::End;
                    } else {
                        self.expected.learn(&line);
                    }
                }
                State::End => {
                    if let Some(hasher) = self.hasher.take() {
                        self.expected.check(hasher)?;
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// The next line without its end.
    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer.split_to(end);
                self.buffer.advance(2);
                return String::from_utf8(line.to_vec()).map_err(|_| malformed("a chunk's line is not text"));
            }
            if self.buffer.len() > MAX_LINE {
                return Err(malformed("a chunk's line is too long"));
            }
            if !self.fill().await? {
                return Err(malformed("the body ends before its last chunk"));
            }
        }
    }

    /// Reads on; false at the end of the body.
    async fn fill(&mut self) -> io::Result<bool> {
        match self.source.next().await {
            Some(Ok(bytes)) => {
                self.buffer.extend_from_slice(&bytes);
                Ok(true)
            }
            Some(Err(error)) => Err(io::Error::other(error)),
            None => Ok(false),
        }
    }
}
