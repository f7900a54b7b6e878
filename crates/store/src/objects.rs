//! Texts in the bucket.

use aws_sdk_s3::primitives::ByteStream;

use crate::Store;
use crate::error::{StoreError, unavailable};

impl Store {
    /// Reads an object that is a text; `None` if there is none under this key.
    pub(crate) async fn object_get(&self, key: String) -> Result<Option<String>, StoreError> {
        let output = match self.s3.get_object().bucket(&self.bucket).key(&key).send().await {
            Ok(output) => output,
            Err(e) if e.as_service_error().is_some_and(|e| e.is_no_such_key()) => return Ok(None),
            Err(e) => return Err(unavailable("read an object", &e)),
        };
        let bytes = output.body.collect().await.map_err(|e| unavailable("read an object", &e))?;
        let text = String::from_utf8(bytes.to_vec());
        text.map(Some).map_err(|_| StoreError::Corrupt(format!("the object {key} is not UTF-8 text")))
    }

    pub(crate) async fn object_put(&self, key: String, kind: &str, text: String) -> Result<(), StoreError> {
        let request = self.s3.put_object().bucket(&self.bucket).key(key).content_type(kind);
        let request = request.body(ByteStream::from(text.into_bytes()));
        request.send().await.map_err(|e| unavailable("write an object", &e))?;
        Ok(())
    }

    /// The keys of all objects below a prefix, without it, and the tags of their contents, by key.
    pub(crate) async fn objects_list(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        let mut objects = Vec::new();
        let mut token = None;
        loop {
            let request = self.s3.list_objects_v2().bucket(&self.bucket).prefix(prefix);
            let output = request.set_continuation_token(token).send().await;
            let output = output.map_err(|e| unavailable("list objects", &e))?;
            for object in output.contents() {
                let name = object.key().and_then(|key| key.strip_prefix(prefix)).unwrap_or_default();
                objects.push((name.to_owned(), object.e_tag().unwrap_or_default().to_owned()));
            }
            token = output.next_continuation_token;
            if token.is_none() {
                return Ok(objects);
            }
        }
    }

    /// Deletes all objects below a prefix.
    pub(crate) async fn objects_delete(&self, prefix: &str) -> Result<(), StoreError> {
        for (name, _) in self.objects_list(prefix).await? {
            let request = self.s3.delete_object().bucket(&self.bucket).key(format!("{prefix}{name}"));
            request.send().await.map_err(|e| unavailable("delete an object", &e))?;
        }
        Ok(())
    }
}
