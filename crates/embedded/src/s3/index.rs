//! The index of S3: buckets, objects and small bodies in SQLite, with every condition decided inside a transaction.

use std::collections::{BTreeMap, HashSet};

use rusqlite::{Connection, OptionalExtension, Row, params};
use s3s::dto::ETagCondition;
use s3s::{S3Error, S3ErrorCode};
use serde::{Deserialize, Serialize};

use crate::ids::now_ms;
use crate::s3::blobs::{Content, NewBlob};
use crate::writer::StoreError;

pub(crate) const SCHEMA_VERSION: i64 = 1;

/// `body` stands last so that a listing does not read it. Times are milliseconds since the Unix epoch.
pub(crate) const SCHEMA: &str = "
CREATE TABLE buckets (
    name TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE objects (
    id INTEGER PRIMARY KEY,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified_at INTEGER NOT NULL,
    headers TEXT NOT NULL,
    blob TEXT,
    body BLOB,
    UNIQUE (bucket, key)
);
CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    headers TEXT NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE parts (
    upload TEXT NOT NULL,
    number INTEGER NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    blob TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;
";

/// Why a request is refused.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum IndexError {
    #[error("The specified bucket does not exist")]
    NoSuchBucket,
    #[error("Your previous request to create the named bucket succeeded and you already own it.")]
    BucketExists,
    #[error("The bucket you tried to delete is not empty")]
    BucketNotEmpty,
    #[error("The specified key does not exist.")]
    NoSuchKey,
    #[error("At least one of the pre-conditions you specified did not hold")]
    PreconditionFailed,
    #[error("The specified multipart upload does not exist.")]
    NoSuchUpload,
    #[error("One or more of the specified parts could not be found or has another ETag.")]
    InvalidPart,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for IndexError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<IndexError> for S3Error {
    fn from(error: IndexError) -> Self {
        let code = match &error {
            IndexError::NoSuchBucket => S3ErrorCode::NoSuchBucket,
            IndexError::BucketExists => S3ErrorCode::BucketAlreadyOwnedByYou,
            IndexError::BucketNotEmpty => S3ErrorCode::BucketNotEmpty,
            IndexError::NoSuchKey => S3ErrorCode::NoSuchKey,
            IndexError::PreconditionFailed => S3ErrorCode::PreconditionFailed,
            IndexError::NoSuchUpload => S3ErrorCode::NoSuchUpload,
            IndexError::InvalidPart => S3ErrorCode::InvalidPart,
            IndexError::Store(_) => S3ErrorCode::InternalError,
        };
        S3Error::with_message(code, error.to_string())
    }
}

/// What is kept with an object and returned as headers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Headers {
    pub(crate) content_type: Option<String>,
    pub(crate) cache_control: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// The condition of a write.
#[derive(Debug, Clone, Default)]
pub(crate) struct Condition {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
}

/// An object to be written.
pub(crate) struct NewObject {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) headers: Headers,
    pub(crate) content: Content,
    pub(crate) condition: Condition,
}

/// What a write leaves to do after its commit.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) kept: Option<NewBlob>,
    pub(crate) replaced: Vec<String>,
    pub(crate) modified_at: i64,
}

/// An object as stored.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) modified_at: i64,
    pub(crate) headers: Headers,
    pub(crate) blob: Option<String>,
    pub(crate) body: Option<Vec<u8>>,
}

pub(crate) fn bucket_create(connection: &Connection, name: &str) -> Result<(), IndexError> {
    let created = connection
        .execute("INSERT OR IGNORE INTO buckets (name, created_at) VALUES (?1, ?2)", params![name, now_ms()])?;
    if created == 0 {
        return Err(IndexError::BucketExists);
    }
    Ok(())
}

pub(crate) fn bucket_delete(connection: &Connection, name: &str) -> Result<(), IndexError> {
    bucket_require(connection, name)?;
    let used: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM objects WHERE bucket = ?1)
             OR EXISTS (SELECT 1 FROM uploads WHERE bucket = ?1)",
        [name],
        |row| row.get(0),
    )?;
    if used {
        return Err(IndexError::BucketNotEmpty);
    }
    connection.execute("DELETE FROM buckets WHERE name = ?1", [name])?;
    Ok(())
}

pub(crate) fn bucket_require(connection: &Connection, name: &str) -> Result<(), IndexError> {
    let found = connection.prepare_cached("SELECT 1 FROM buckets WHERE name = ?1")?.exists([name])?;
    if !found {
        return Err(IndexError::NoSuchBucket);
    }
    Ok(())
}

/// Names and times of creation, by name.
pub(crate) fn bucket_list(connection: &Connection) -> Result<Vec<(String, i64)>, IndexError> {
    let mut statement = connection.prepare_cached("SELECT name, created_at FROM buckets ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes an object if its condition holds.
pub(crate) fn object_put(connection: &Connection, object: NewObject) -> Result<Written, IndexError> {
    let current = object_stored(connection, &object.bucket, &object.key)?;
    object.condition.check(current.as_ref().map(|current| current.etag.as_str()))?;
    let headers = headers_to_json(&object.headers)?;
    let modified_at = now_ms();
    let (kept, body) = match object.content {
        Content::Inline(body) => (None, Some(body)),
        Content::Blob(blob) => (Some(blob), None),
    };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO objects (bucket, key, size, etag, modified_at, headers, blob, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            object.bucket,
            object.key,
            object.size,
            object.etag,
            modified_at,
            headers,
            kept.as_ref().map(|blob| &blob.name),
            body,
        ])?;
    Ok(Written { kept, replaced: current.and_then(|current| current.blob).into_iter().collect(), modified_at })
}

/// Deletes an object if the condition holds. One that does not exist counts as deleted, whatever the condition.
///
/// Source: `If-Match` of `DeleteObject` in the S3 API reference.
pub(crate) fn object_delete(
    connection: &Connection,
    bucket: &str,
    key: &str,
    if_match: Option<&ETagCondition>,
) -> Result<Written, IndexError> {
    let Some(current) = object_stored(connection, bucket, key)? else {
        return Ok(Written::default());
    };
    if if_match.is_some_and(|condition| !matches(condition, &current.etag)) {
        return Err(IndexError::PreconditionFailed);
    }
    connection.prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND key = ?2")?.execute([bucket, key])?;
    Ok(Written { replaced: current.blob.into_iter().collect(), ..Written::default() })
}

/// An object, with its body if that is in the index and asked for.
pub(crate) fn object_get(
    connection: &Connection,
    bucket: &str,
    key: &str,
    with_body: bool,
) -> Result<Object, IndexError> {
    bucket_require(connection, bucket)?;
    let object = connection
        .prepare_cached(
            "SELECT key, size, etag, modified_at, headers, blob, CASE WHEN ?3 THEN body END
             FROM objects WHERE bucket = ?1 AND key = ?2",
        )?
        .query_row(params![bucket, key, with_body], object_from_row)
        .optional()?;
    object.ok_or(IndexError::NoSuchKey)
}

/// The blobs that rows refer to.
pub(crate) fn blobs(connection: &Connection) -> Result<HashSet<String>, StoreError> {
    let mut statement =
        connection.prepare("SELECT blob FROM objects WHERE blob IS NOT NULL UNION ALL SELECT blob FROM parts")?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

pub(crate) fn headers_to_json(headers: &Headers) -> Result<String, IndexError> {
    serde_json::to_string(headers).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)).into())
}

/// Whether an existing object's `ETag` satisfies a condition.
pub(crate) fn matches(condition: &ETagCondition, etag: &str) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(wanted) => wanted.value() == etag,
    }
}

impl Condition {
    fn check(&self, current: Option<&str>) -> Result<(), IndexError> {
        if let Some(wanted) = &self.if_match {
            match current {
                None => return Err(IndexError::NoSuchKey),
                Some(etag) if !matches(wanted, etag) => return Err(IndexError::PreconditionFailed),
                Some(_) => {}
            }
        }
        if let Some(unwanted) = &self.if_none_match
            && current.is_some_and(|etag| matches(unwanted, etag))
        {
            return Err(IndexError::PreconditionFailed);
        }
        Ok(())
    }
}

struct Stored {
    etag: String,
    blob: Option<String>,
}

fn object_stored(connection: &Connection, bucket: &str, key: &str) -> Result<Option<Stored>, IndexError> {
    bucket_require(connection, bucket)?;
    let stored = connection
        .prepare_cached("SELECT etag, blob FROM objects WHERE bucket = ?1 AND key = ?2")?
        .query_row([bucket, key], |row| Ok(Stored { etag: row.get(0)?, blob: row.get(1)? }))
        .optional()?;
    Ok(stored)
}

pub(crate) fn object_from_row(row: &Row<'_>) -> rusqlite::Result<Object> {
    let headers: String = row.get(4)?;
    let headers = serde_json::from_str(&headers)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Text, Box::new(error)))?;
    Ok(Object {
        key: row.get(0)?,
        size: row.get(1)?,
        etag: row.get(2)?,
        modified_at: row.get(3)?,
        headers,
        blob: row.get(5)?,
        body: row.get(6)?,
    })
}
