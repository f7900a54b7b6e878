//! `ListObjectsV2`: keys in byte order from a place on, with those that share a prefix up to the delimiter as one.

use rusqlite::{Connection, OptionalExtension, params};

use crate::s3::index::{IndexError, Object, bucket_require, object_from_row};

/// Sorts after every key that begins with what it is appended to.
const AFTER_ALL: char = '\u{10ffff}';

/// What to list.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    pub(crate) delimiter: String,
    /// Keys up to this one are left out.
    pub(crate) after: String,
    pub(crate) most: usize,
}

/// One page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Object>,
    pub(crate) common_prefixes: Vec<String>,
    /// Where the next page begins; none on the last.
    pub(crate) next_after: Option<String>,
}

pub(crate) fn list(connection: &Connection, request: &Request) -> Result<Page, IndexError> {
    bucket_require(connection, &request.bucket)?;
    let mut page = Page::default();
    let mut statement = connection.prepare_cached(
        "SELECT key, size, etag, modified_at, headers, blob, NULL
         FROM objects WHERE bucket = ?1 AND key >= ?2 ORDER BY key LIMIT 1",
    )?;
    let mut after = request.after.clone();
    loop {
        // The least key greater than `after`. One bound, or SQLite walks all keys between the two.
        let from = request.prefix.clone().max(format!("{after}\0"));
        let next = statement
            .query_row(params![request.bucket, from], object_from_row)
            .optional()?
            .filter(|object| object.key.starts_with(&request.prefix));
        let Some(object) = next else {
            return Ok(page);
        };
        if page.objects.len() + page.common_prefixes.len() >= request.most {
            page.next_after = Some(after);
            return Ok(page);
        }
        match common_prefix(&object.key, request) {
            Some(common) => {
                after = format!("{common}{AFTER_ALL}");
                // `start_after` may lie inside the group, which is listed whole all the same, as on AWS.
                page.common_prefixes.push(common);
            }
            None => {
                after.clone_from(&object.key);
                page.objects.push(object);
            }
        }
    }
}

fn common_prefix(key: &str, request: &Request) -> Option<String> {
    if request.delimiter.is_empty() {
        return None;
    }
    let rest = key.strip_prefix(request.prefix.as_str())?;
    let end = rest.find(&request.delimiter)? + request.delimiter.len();
    Some(format!("{}{}", request.prefix, &rest[..end]))
}
