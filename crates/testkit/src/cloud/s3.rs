//! S3: buckets of small objects, with the bucket in the path.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/> (XML; method, path and query say which operation)

use std::collections::BTreeMap;
use std::fmt::Write;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use md5::{Digest, Md5};

use super::connector::Answer;

const CONTENT_TYPE: &str = "application/xml";

struct Object {
    body: Vec<u8>,
    /// In quotation marks, as it travels.
    etag: String,
    content_type: String,
}

type Bucket = BTreeMap<String, Object>;

/// The service: its buckets by name.
#[derive(Default)]
pub(crate) struct S3 {
    buckets: BTreeMap<String, Bucket>,
}

enum Operation {
    CreateBucket,
    HeadBucket,
    List { prefix: String, after: String, most: usize },
    Put { object: Object, if_match: Option<String>, if_none_match: Option<String> },
    Get,
    Head,
    Delete,
    Unknown(String),
}

/// A request that was read.
pub(crate) struct Incoming {
    bucket: String,
    key: String,
    operation: Operation,
}

/// Headers and queries that change what an operation does and are not simulated.
const UNKNOWN_HEADERS: [&str; 5] =
    ["range", "if-modified-since", "if-unmodified-since", "x-amz-copy-source", "x-amz-decoded-content-length"];
const UNKNOWN_QUERIES: [&str; 6] = ["uploads", "uploadId", "partNumber", "versionId", "delimiter", "encoding-type"];

impl Incoming {
    pub(crate) fn read(request: &HttpRequest, body: &[u8]) -> Incoming {
        let (path, query) = request.uri().split_once('?').unwrap_or((request.uri(), ""));
        let mut parts = path.splitn(5, '/').skip(3).map(decode);
        let (bucket, key) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let query: BTreeMap<String, String> = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decode(name), decode(value)))
            .collect();
        let operation = operation(request, &query, key.is_empty(), body);
        Incoming { bucket, key, operation }
    }

    pub(crate) fn operation(&self) -> &str {
        match &self.operation {
            Operation::CreateBucket => "CreateBucket",
            Operation::HeadBucket => "HeadBucket",
            Operation::List { .. } => "ListObjectsV2",
            Operation::Put { .. } => "PutObject",
            Operation::Get => "GetObject",
            Operation::Head => "HeadObject",
            Operation::Delete => "DeleteObject",
            Operation::Unknown(what) => what,
        }
    }

    pub(crate) fn key(&self) -> String {
        match &self.operation {
            Operation::List { prefix, .. } => format!("{}/{prefix}", self.bucket),
            _ => format!("{}/{}", self.bucket, self.key),
        }
    }

    pub(crate) fn perform(self, s3: &mut S3) -> Answer {
        if let Operation::CreateBucket = self.operation {
            return s3.create(&self.bucket);
        }
        if let Operation::Unknown(what) = self.operation {
            return error(501, "NotImplemented", &format!("{what} is not simulated"));
        }
        let Some(bucket) = s3.buckets.get_mut(&self.bucket) else {
            return error(404, "NoSuchBucket", "The specified bucket does not exist");
        };
        let existing = bucket.get(&self.key);
        match self.operation {
            Operation::CreateBucket | Operation::HeadBucket | Operation::Unknown(_) => empty(200),
            Operation::List { prefix, after, most } => list(bucket, &self.bucket, &prefix, &after, most),
            Operation::Put { object, if_match, if_none_match } => {
                let holds = match (&if_match, &if_none_match, existing) {
                    (None, None, _) => true,
                    (Some(_), _, None) => return no_such_key(),
                    (Some(etag), _, Some(existing)) => *etag == existing.etag,
                    (None, Some(_), existing) => existing.is_none(),
                };
                if !holds {
                    let message = "At least one of the pre-conditions you specified did not hold";
                    return error(412, "PreconditionFailed", message);
                }
                let etag = object.etag.clone();
                bucket.insert(self.key, object);
                empty(200).with("etag", etag)
            }
            Operation::Get => match existing {
                Some(object) => Answer::new(200, &object.content_type, object.body.clone()).with("etag", &object.etag),
                None => no_such_key(),
            },
            Operation::Head => match existing {
                Some(object) => Answer::new(200, &object.content_type, vec![])
                    .with("etag", &object.etag)
                    .with("content-length", object.body.len().to_string()),
                None => empty(404),
            },
            Operation::Delete => {
                bucket.remove(&self.key);
                empty(204)
            }
        }
    }
}

fn operation(request: &HttpRequest, query: &BTreeMap<String, String>, of_bucket: bool, body: &[u8]) -> Operation {
    let unknown = |what: &str| Operation::Unknown(format!("{} with {what}", request.method()));
    if let Some(header) = UNKNOWN_HEADERS.iter().find(|name| request.headers().contains_key(name)) {
        return unknown(header);
    }
    if let Some(name) = UNKNOWN_QUERIES.iter().find(|name| query.contains_key(**name)) {
        return unknown(name);
    }
    let header = |name: &str| request.headers().get(name).map(str::to_owned);
    match (request.method(), of_bucket) {
        ("PUT", true) => Operation::CreateBucket,
        ("HEAD", true) => Operation::HeadBucket,
        ("GET", true) if query.get("list-type").is_some_and(|version| version == "2") => {
            let text = |name: &str| query.get(name).cloned();
            let after = text("continuation-token").or(text("start-after")).unwrap_or_default();
            let most = text("max-keys").and_then(|text| text.parse().ok()).unwrap_or(1000).min(1000);
            Operation::List { prefix: text("prefix").unwrap_or_default(), after, most }
        }
        ("PUT", false) => {
            let if_none_match = header("if-none-match");
            if if_none_match.as_ref().is_some_and(|tag| tag != "*") {
                return unknown("if-none-match");
            }
            let object = Object {
                body: body.to_vec(),
                etag: format!("\"{}\"", hex::encode(Md5::digest(body))),
                content_type: header("content-type").unwrap_or_else(|| "binary/octet-stream".to_owned()),
            };
            Operation::Put { object, if_match: header("if-match"), if_none_match }
        }
        (_, false) if request.headers().contains_key("if-match") => unknown("if-match"),
        (_, false) if request.headers().contains_key("if-none-match") => unknown("if-none-match"),
        ("GET", false) => Operation::Get,
        ("HEAD", false) => Operation::Head,
        ("DELETE", false) => Operation::Delete,
        _ => unknown("this path"),
    }
}

impl S3 {
    pub(crate) fn create(&mut self, bucket: &str) -> Answer {
        if self.buckets.contains_key(bucket) {
            return error(409, "BucketAlreadyOwnedByYou", "The bucket exists and is yours");
        }
        self.buckets.insert(bucket.to_owned(), Bucket::new());
        empty(200)
    }
}

fn list(bucket: &Bucket, name: &str, prefix: &str, after: &str, most: usize) -> Answer {
    let mut found = bucket.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
    let page: Vec<(&String, &Object)> = found.by_ref().take(most).collect();
    let is_truncated = found.next().is_some();
    let mut xml = format!(
        "<ListBucketResult><Name>{}</Name><Prefix>{}</Prefix><MaxKeys>{most}</MaxKeys><KeyCount>{}</KeyCount>\
         <IsTruncated>{is_truncated}</IsTruncated>",
        escape(name),
        escape(prefix),
        page.len()
    );
    for (key, object) in &page {
        let (key, etag, size) = (escape(key), escape(&object.etag), object.body.len());
        // Writing to a text does not fail.
        let _ = write!(xml, "<Contents><Key>{key}</Key><ETag>{etag}</ETag><Size>{size}</Size></Contents>");
    }
    if let Some((last, _)) = page.last().filter(|_| is_truncated) {
        let _ = write!(xml, "<NextContinuationToken>{}</NextContinuationToken>", escape(last));
    }
    xml.push_str("</ListBucketResult>");
    Answer::new(200, CONTENT_TYPE, xml.into_bytes())
}

fn empty(status: u16) -> Answer {
    Answer { status, headers: vec![], body: vec![] }
}

fn no_such_key() -> Answer {
    error(404, "NoSuchKey", "The specified key does not exist.")
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    let xml = format!("<Error><Code>{code}</Code><Message>{}</Message></Error>", escape(message));
    Answer::new(status, CONTENT_TYPE, xml.into_bytes())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Undoes the percent encoding of a part of an address.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let code = behind.get(..2).filter(|_| *first == b'%').and_then(|digits| hex::decode(digits).ok());
        match code.as_deref() {
            Some([byte]) => {
                bytes.push(*byte);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
