//! The S3 operations: s3s requests into index and blobs, and back.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use crate::s3::blobs::{BodyError, Content, INLINE_BYTES};
use crate::s3::index::{
    self, Condition, Headers, IndexError, NewObject, Object as Stored, bucket_create, bucket_delete, bucket_list,
    bucket_require, object_delete, object_get, object_put,
};
use crate::s3::multipart::{self, Upload};
use crate::s3::{Store, listing};

/// How often a read starts over because the object was replaced between its row and its blob.
const READ_ATTEMPTS: usize = 5;

/// The default and the most of a page of keys.
const MAX_KEYS: i32 = 1000;

pub(crate) struct Operations {
    store: Arc<Store>,
}

impl Operations {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    async fn upload_end(&self, upload: Upload) -> Result<(), IndexError> {
        self.store.write(move |connection| multipart::end(connection, &upload)).await?;
        Ok(())
    }
}

impl From<BodyError> for S3Error {
    fn from(error: BodyError) -> Self {
        let code = match &error {
            BodyError::Sent(_) => S3ErrorCode::IncompleteBody,
            BodyError::Disk(_) => S3ErrorCode::InternalError,
        };
        S3Error::with_message(code, error.to_string())
    }
}

/// The headers of an object to be written, from any input that has them.
macro_rules! headers_of {
    ($input:expr) => {
        Headers {
            content_type: $input.content_type.clone(),
            cache_control: $input.cache_control.clone(),
            content_disposition: $input.content_disposition.clone(),
            content_encoding: $input.content_encoding.clone(),
            content_language: $input.content_language.clone(),
            metadata: $input.metadata.clone().unwrap_or_default().into_iter().collect(),
        }
    };
}

/// The fields that the replies of `GetObject` and `HeadObject` share.
macro_rules! describe {
    ($output:ident, $object:expr) => {{
        let object = $object;
        $output {
            accept_ranges: Some("bytes".to_owned()),
            content_type: Some(object.headers.content_type.unwrap_or_else(|| "binary/octet-stream".to_owned())),
            cache_control: object.headers.cache_control,
            content_disposition: object.headers.content_disposition,
            content_encoding: object.headers.content_encoding,
            content_language: object.headers.content_language,
            metadata: Some(object.headers.metadata.into_iter().collect()),
            e_tag: Some(ETag::Strong(object.etag)),
            last_modified: Some(timestamp(object.modified_at)),
            content_length: Some(object.size.cast_signed()),
            ..Default::default()
        }
    }};
}

#[async_trait]
impl S3 for Operations {
    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let bucket = req.input.bucket;
        let location = Some(format!("/{bucket}"));
        self.store.change(move |connection| bucket_create(connection, &bucket)).await?;
        Ok(S3Response::new(CreateBucketOutput { location }))
    }

    async fn delete_bucket(&self, req: S3Request<DeleteBucketInput>) -> S3Result<S3Response<DeleteBucketOutput>> {
        let bucket = req.input.bucket;
        self.store.change(move |connection| bucket_delete(connection, &bucket)).await?;
        Ok(S3Response::new(DeleteBucketOutput::default()))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        let bucket = req.input.bucket;
        self.store.read(move |connection| bucket_require(connection, &bucket)).await?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn list_buckets(&self, _req: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.store.read(bucket_list).await?;
        let buckets = buckets
            .into_iter()
            .map(|(name, created_at)| Bucket {
                name: Some(name),
                creation_date: Some(timestamp(created_at)),
                ..Default::default()
            })
            .collect();
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(buckets), ..Default::default() }))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let mut input = req.input;
        let body = input.body.take();
        let received = self.store.blobs.receive(body, INLINE_BYTES).await?;
        if let Some(wanted) = &input.content_md5
            && *wanted != base64_of(received.md5)
        {
            return Err(s3_error!(BadDigest));
        }
        let etag = hex::encode(received.md5);
        let object = NewObject {
            headers: headers_of!(input),
            bucket: input.bucket,
            key: input.key,
            size: received.size,
            etag: etag.clone(),
            content: received.content,
            condition: Condition { if_match: input.if_match, if_none_match: input.if_none_match },
        };
        self.store.write(move |connection| object_put(connection, object)).await?;
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(ETag::Strong(etag)), ..Default::default() }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        for _ in 0..READ_ATTEMPTS {
            let (bucket, key) = (input.bucket.clone(), input.key.clone());
            let mut object = self.store.read(move |connection| object_get(connection, &bucket, &key, true)).await?;
            check_read(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
            let range = match &input.range {
                Some(range) => range.check(object.size)?,
                None => 0..object.size,
            };
            let length = range.end - range.start;
            let body = match (object.body.take(), &object.blob) {
                (Some(body), _) => {
                    let slice = byte_range(&range).and_then(|range| body.get(range));
                    let bytes = Bytes::copy_from_slice(slice.unwrap_or_default());
                    StreamingBlob::from(s3s::Body::from(bytes))
                }
                (None, Some(blob)) => match self.store.blobs.read(blob, range.start, length).await {
                    Ok(stream) => StreamingBlob::wrap(stream),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(S3Error::internal_error(error)),
                },
                (None, None) => return Err(s3_error!(InternalError, "the object has no body")),
            };
            let size = object.size;
            let mut output = describe!(GetObjectOutput, object);
            output.body = Some(body);
            output.content_length = Some(length.cast_signed());
            if input.range.is_some() {
                let last = range.end.saturating_sub(1);
                output.content_range = Some(format!("bytes {}-{last}/{size}", range.start));
            }
            return Ok(S3Response::new(output));
        }
        Err(s3_error!(SlowDown, "the object is replaced faster than it can be read"))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = req.input;
        let object =
            self.store.read(move |connection| object_get(connection, &input.bucket, &input.key, false)).await?;
        check_read(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        Ok(S3Response::new(describe!(HeadObjectOutput, object)))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = req.input;
        self.store
            .write(move |connection| object_delete(connection, &input.bucket, &input.key, input.if_match.as_ref()))
            .await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = req.input;
        let mut deleted = Vec::new();
        let mut errors = Vec::new();
        let deletions = input.delete.objects.into_iter().map(|object| {
            let (bucket, key) = (input.bucket.clone(), object.key.clone());
            let condition = object.e_tag.map(ETagCondition::ETag);
            let deletion =
                self.store.write(move |connection| object_delete(connection, &bucket, &key, condition.as_ref()));
            async move { (object.key, deletion.await) }
        });
        // All at once: they share commits.
        for (key, result) in futures::future::join_all(deletions).await {
            match result {
                Ok(_) => deleted.push(DeletedObject { key: Some(key), ..Default::default() }),
                Err(error @ IndexError::NoSuchBucket) => return Err(error.into()),
                Err(error) => {
                    let error = S3Error::from(error);
                    errors.push(Error {
                        key: Some(key),
                        code: Some(error.code().as_str().to_owned()),
                        message: error.message().map(str::to_owned),
                        ..Default::default()
                    });
                }
            }
        }
        if input.delete.quiet == Some(true) {
            deleted.clear();
        }
        Ok(S3Response::new(DeleteObjectsOutput { deleted: Some(deleted), errors: Some(errors), ..Default::default() }))
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        let max_keys = input.max_keys.unwrap_or(MAX_KEYS).clamp(0, MAX_KEYS);
        let after = match &input.continuation_token {
            Some(token) => hex::decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token is incorrect"))?,
            None => input.start_after.clone().unwrap_or_default(),
        };
        let request = listing::Request {
            bucket: input.bucket.clone(),
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().unwrap_or_default(),
            after,
            most: usize::try_from(max_keys).unwrap_or_default(),
        };
        let page = self.store.read(move |connection| listing::list(connection, &request)).await?;
        let count = page.objects.len() + page.common_prefixes.len();
        let contents = page
            .objects
            .into_iter()
            .map(|object| Object {
                key: Some(object.key),
                size: Some(object.size.cast_signed()),
                e_tag: Some(ETag::Strong(object.etag)),
                last_modified: Some(timestamp(object.modified_at)),
                ..Default::default()
            })
            .collect();
        let common_prefixes =
            page.common_prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(prefix) }).collect();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            start_after: input.start_after,
            continuation_token: input.continuation_token,
            max_keys: Some(max_keys),
            key_count: i32::try_from(count).ok(),
            is_truncated: Some(page.next_after.is_some()),
            next_continuation_token: page.next_after.map(hex::encode),
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            ..Default::default()
        }))
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = req.input;
        let CopySource::Bucket { bucket, key, .. } = &input.copy_source else {
            return Err(s3_error!(NotImplemented, "access points are not implemented"));
        };
        let (bucket, key) = (bucket.to_string(), key.to_string());
        let source = self.store.read(move |connection| object_get(connection, &bucket, &key, true)).await?;
        let unwanted = input.copy_source_if_none_match.as_ref();
        let wanted = input.copy_source_if_match.as_ref();
        if wanted.is_some_and(|condition| !index::matches(condition, &source.etag))
            || unwanted.is_some_and(|condition| index::matches(condition, &source.etag))
        {
            return Err(s3_error!(PreconditionFailed));
        }
        let content = match (source.body, &source.blob) {
            (Some(body), _) => Content::Inline(body),
            (None, Some(blob)) => {
                let link = self.store.blobs.link(blob).await;
                Content::Blob(link.map_err(S3Error::internal_error)?)
            }
            (None, None) => return Err(s3_error!(InternalError, "the source has no body")),
        };
        let replace =
            input.metadata_directive.as_ref().is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
        let object = NewObject {
            headers: if replace { headers_of!(input) } else { source.headers },
            bucket: input.bucket,
            key: input.key,
            size: source.size,
            etag: source.etag.clone(),
            content,
            condition: Condition::default(),
        };
        let written = self.store.write(move |connection| object_put(connection, object)).await?;
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(ETag::Strong(source.etag)),
                last_modified: Some(timestamp(written.modified_at)),
                ..Default::default()
            }),
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = req.input;
        let headers = headers_of!(input);
        let (bucket, key) = (input.bucket.clone(), input.key.clone());
        let id = self.store.change(move |connection| multipart::create(connection, &bucket, &key, &headers)).await?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            ..Default::default()
        }))
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let input = req.input;
        let received = self.store.blobs.receive(input.body, 0).await?;
        let Content::Blob(blob) = received.content else {
            return Err(s3_error!(InvalidRequest, "A part must not be empty"));
        };
        let etag = hex::encode(received.md5);
        let upload = Upload { id: input.upload_id, bucket: input.bucket, key: input.key };
        let (number, size, part_etag) = (input.part_number, received.size, etag.clone());
        self.store
            .write(move |connection| multipart::part_put(connection, &upload, number, size, &part_etag, blob))
            .await?;
        Ok(S3Response::new(UploadPartOutput { e_tag: Some(ETag::Strong(etag)), ..Default::default() }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = req.input;
        let upload = Upload { id: input.upload_id, bucket: input.bucket.clone(), key: input.key.clone() };
        let listed = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let (of, parts) = (upload.clone(), listed.clone());
        let plan = self.store.read(move |connection| multipart::plan(connection, &of, &parts)).await?;
        let joined = self.store.blobs.join(&plan.blobs).await;
        let blob = joined.map_err(S3Error::internal_error)?;
        let condition = Condition { if_match: input.if_match, if_none_match: input.if_none_match };
        self.store
            .write(move |connection| multipart::complete(connection, &upload, &listed, &plan.blobs, blob, condition))
            .await?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(plan.etag)),
            ..Default::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = req.input;
        self.upload_end(Upload { id: input.upload_id, bucket: input.bucket, key: input.key }).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

/// 412 if the object is not the one wanted, 304 if it is the one the client has.
fn check_read(
    object: &Stored,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    if if_match.is_some_and(|condition| !index::matches(condition, &object.etag)) {
        return Err(s3_error!(PreconditionFailed));
    }
    if if_none_match.is_some_and(|condition| index::matches(condition, &object.etag)) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

fn byte_range(range: &std::ops::Range<u64>) -> Option<std::ops::Range<usize>> {
    Some(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from(UNIX_EPOCH + Duration::from_millis(ms.unsigned_abs()))
}

fn base64_of(bytes: [u8; 16]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
