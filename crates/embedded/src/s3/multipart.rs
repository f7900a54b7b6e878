//! Multipart uploads: parts are blobs of their own until the upload is completed or aborted.

use md5::{Digest, Md5};
use rusqlite::{Connection, OptionalExtension, params};
use s3s::dto::CompletedPart;

use crate::ids::{now_ms, unique_hex};
use crate::s3::blobs::{Content, NewBlob};
use crate::s3::index::{
    Condition, Headers, IndexError, NewObject, Written, bucket_require, headers_to_json, object_put,
};

/// The object that an upload's parts make.
pub(crate) struct Plan {
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) blobs: Vec<String>,
}

/// An upload, by what its requests name.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) id: String,
    pub(crate) bucket: String,
    pub(crate) key: String,
}

pub(crate) fn create(
    connection: &Connection,
    bucket: &str,
    key: &str,
    headers: &Headers,
) -> Result<String, IndexError> {
    bucket_require(connection, bucket)?;
    let id = unique_hex();
    connection.execute(
        "INSERT INTO uploads (id, bucket, key, headers, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![id, bucket, key, headers_to_json(headers)?, now_ms()],
    )?;
    Ok(id)
}

/// Adds a part, or replaces the one of the same number.
pub(crate) fn part_put(
    connection: &Connection,
    upload: &Upload,
    number: i32,
    size: u64,
    etag: &str,
    blob: NewBlob,
) -> Result<Written, IndexError> {
    headers_of(connection, upload)?;
    let replaced: Option<String> = connection
        .query_row("SELECT blob FROM parts WHERE upload = ?1 AND number = ?2", params![upload.id, number], |row| {
            row.get(0)
        })
        .optional()?;
    connection.execute(
        "INSERT OR REPLACE INTO parts (upload, number, size, etag, blob) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![upload.id, number, size, etag, blob.name],
    )?;
    Ok(Written { kept: Some(blob), replaced: replaced.into_iter().collect(), modified_at: 0 })
}

/// What the `listed` parts would make. The `ETag` is the MD5 of the parts' MD5s and their number.
pub(crate) fn plan(connection: &Connection, upload: &Upload, listed: &[CompletedPart]) -> Result<Plan, IndexError> {
    headers_of(connection, upload)?;
    if listed.is_empty() {
        return Err(IndexError::InvalidPart);
    }
    let mut statement = connection.prepare("SELECT size, etag, blob FROM parts WHERE upload = ?1 AND number = ?2")?;
    let mut digest = Md5::new();
    let mut size = 0;
    let mut blobs = Vec::with_capacity(listed.len());
    for part in listed {
        let stored: Option<(u64, String, String)> = statement
            .query_row(params![upload.id, part.part_number], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let (part_size, etag, blob) = stored.ok_or(IndexError::InvalidPart)?;
        if part.e_tag.as_ref().is_some_and(|wanted| wanted.value() != etag) {
            return Err(IndexError::InvalidPart);
        }
        digest.update(hex::decode(&etag).map_err(|_| IndexError::InvalidPart)?);
        size += part_size;
        blobs.push(blob);
    }
    Ok(Plan { size, etag: format!("{}-{}", hex::encode(digest.finalize()), listed.len()), blobs })
}

/// Writes the object and ends the upload. `blob` has the bytes of the plan that is made again and compared here,
/// because a part may have been replaced while the bytes were copied.
pub(crate) fn complete(
    connection: &Connection,
    upload: &Upload,
    listed: &[CompletedPart],
    joined: &[String],
    blob: NewBlob,
    condition: Condition,
) -> Result<Written, IndexError> {
    let headers = headers_of(connection, upload)?;
    let plan = plan(connection, upload, listed)?;
    if plan.blobs != joined {
        return Err(IndexError::InvalidPart);
    }
    let mut written = object_put(
        connection,
        NewObject {
            bucket: upload.bucket.clone(),
            key: upload.key.clone(),
            size: plan.size,
            etag: plan.etag,
            headers,
            content: Content::Blob(blob),
            condition,
        },
    )?;
    written.replaced.extend(end(connection, upload)?.replaced);
    Ok(written)
}

/// Forgets an upload; its parts' blobs are in the result.
pub(crate) fn end(connection: &Connection, upload: &Upload) -> Result<Written, IndexError> {
    headers_of(connection, upload)?;
    let mut statement = connection.prepare("DELETE FROM parts WHERE upload = ?1 RETURNING blob")?;
    let blobs = statement.query_map([&upload.id], |row| row.get(0))?.collect::<Result<_, _>>()?;
    connection.execute("DELETE FROM uploads WHERE id = ?1", [&upload.id])?;
    Ok(Written { replaced: blobs, ..Written::default() })
}

fn headers_of(connection: &Connection, upload: &Upload) -> Result<Headers, IndexError> {
    let headers: Option<String> = connection
        .query_row(
            "SELECT headers FROM uploads WHERE id = ?1 AND bucket = ?2 AND key = ?3",
            [&upload.id, &upload.bucket, &upload.key],
            |row| row.get(0),
        )
        .optional()?;
    let headers = headers.ok_or(IndexError::NoSuchUpload)?;
    serde_json::from_str(&headers).map_err(|_| IndexError::NoSuchUpload)
}
