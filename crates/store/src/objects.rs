//! Texts and files in the bucket.

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use crate::Store;
use crate::error::{StoreError, unavailable};

/// An object as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub bytes: Bytes,
    /// Tells this content from others.
    pub tag: String,
}

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key without the prefix that was listed.
    pub name: String,
    /// Tells its content from others.
    pub tag: String,
    /// In bytes.
    pub size: u64,
}

/// What must be true of an object for it to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition<'a> {
    /// There is none yet.
    IsNew,
    /// It is as it was when it was read.
    HasTag(&'a str),
}

impl Store {
    /// Reads an object that is a text; `None` if there is none under this key.
    pub(crate) async fn object_get(&self, key: String) -> Result<Option<String>, StoreError> {
        let Some(object) = self.object_read(&key).await? else { return Ok(None) };
        let text = String::from_utf8(object.bytes.to_vec());
        text.map(Some).map_err(|_| StoreError::Corrupt(format!("the object {key} is not UTF-8 text")))
    }

    /// Reads an object; `None` if there is none under this key.
    pub(crate) async fn object_read(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let output = match self.s3.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(output) => output,
            Err(e) if e.as_service_error().is_some_and(|e| e.is_no_such_key()) => return Ok(None),
            Err(e) => return Err(unavailable("read an object", &e)),
        };
        let tag = output.e_tag().unwrap_or_default().to_owned();
        let bytes = output.body.collect().await.map_err(|e| unavailable("read an object", &e))?.into_bytes();
        Ok(Some(Object { bytes, tag }))
    }

    /// Writes an object. `Conflict` if it is not what the condition says.
    pub(crate) async fn object_write(
        &self,
        key: String,
        kind: &str,
        bytes: Bytes,
        condition: Option<Precondition<'_>>,
    ) -> Result<(), StoreError> {
        let request = self.s3.put_object().bucket(&self.bucket).key(key).content_type(kind);
        let request = match condition {
            None => request,
            Some(Precondition::IsNew) => request.if_none_match("*"),
            Some(Precondition::HasTag(tag)) => request.if_match(tag),
        };
        match request.body(ByteStream::from(bytes)).send().await {
            Ok(_) => Ok(()),
            // 412: it is another one; 404: it is gone; 409: somebody writes it just now.
            Err(e) if e.raw_response().is_some_and(|r| matches!(r.status().as_u16(), 404 | 409 | 412)) => {
                Err(StoreError::Conflict("the file was changed meanwhile"))
            }
            Err(e) => Err(unavailable("write an object", &e)),
        }
    }

    pub(crate) async fn object_put(&self, key: String, kind: &str, text: String) -> Result<(), StoreError> {
        let request = self.s3.put_object().bucket(&self.bucket).key(key).content_type(kind);
        let request = request.body(ByteStream::from(text.into_bytes()));
        request.send().await.map_err(|e| unavailable("write an object", &e))?;
        Ok(())
    }

    /// Deletes an object; with a tag only if it still has that, else `Conflict`.
    pub(crate) async fn object_delete(&self, key: String, tag: Option<&str>) -> Result<(), StoreError> {
        let request = self.s3.delete_object().bucket(&self.bucket).key(key);
        match request.set_if_match(tag.map(str::to_owned)).send().await {
            Ok(_) => Ok(()),
            Err(e) if e.raw_response().is_some_and(|r| matches!(r.status().as_u16(), 404 | 409 | 412)) => {
                Err(StoreError::Conflict("the file was changed meanwhile"))
            }
            Err(e) => Err(unavailable("delete an object", &e)),
        }
    }

    /// All objects below a prefix, by name.
    pub(crate) async fn objects_list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        let mut objects = Vec::new();
        let mut token = None;
        loop {
            let request = self.s3.list_objects_v2().bucket(&self.bucket).prefix(prefix);
            let output = request.set_continuation_token(token).send().await;
            let output = output.map_err(|e| unavailable("list objects", &e))?;
            for object in output.contents() {
                let name = object.key().and_then(|key| key.strip_prefix(prefix)).unwrap_or_default().to_owned();
                let tag = object.e_tag().unwrap_or_default().to_owned();
                let size = object.size().and_then(|size| size.try_into().ok()).unwrap_or_default();
                objects.push(ObjectInfo { name, tag, size });
            }
            token = output.next_continuation_token;
            if token.is_none() {
                return Ok(objects);
            }
        }
    }

    /// Deletes all objects below a prefix.
    pub(crate) async fn objects_delete(&self, prefix: &str) -> Result<(), StoreError> {
        for object in self.objects_list(prefix).await? {
            self.object_delete(format!("{prefix}{}", object.name), None).await?;
        }
        Ok(())
    }
}
