//! A bot's workspace: the Markdown files that say who it is and what it knows, as objects in S3.

use aws_sdk_s3::primitives::ByteStream;
use domain::BotId;

use crate::error::{StoreError, unavailable};
use crate::{AccountStore, keys};

impl AccountStore<'_> {
    /// Reads a workspace file; `None` if there is none of this name.
    pub async fn workspace_get(&self, bot: BotId, name: &str) -> Result<Option<String>, StoreError> {
        let key = format!("{}{name}", keys::workspace_prefix(self.id, bot));
        let output = match self.store.s3.get_object().bucket(&self.store.bucket).key(key).send().await {
            Ok(output) => output,
            Err(e) if e.as_service_error().is_some_and(|e| e.is_no_such_key()) => return Ok(None),
            Err(e) => return Err(unavailable("read a workspace file", &e)),
        };
        let bytes = output.body.collect().await.map_err(|e| unavailable("read a workspace file", &e))?;
        let text = String::from_utf8(bytes.to_vec());
        text.map(Some).map_err(|_| StoreError::Corrupt(format!("the workspace file {name} is not UTF-8 text")))
    }

    pub async fn workspace_put(&self, bot: BotId, name: &str, text: &str) -> Result<(), StoreError> {
        let key = format!("{}{name}", keys::workspace_prefix(self.id, bot));
        let request = self.store.s3.put_object().bucket(&self.store.bucket).key(key);
        let request = request.content_type("text/markdown; charset=utf-8");
        let request = request.body(ByteStream::from(text.as_bytes().to_vec()));
        request.send().await.map_err(|e| unavailable("write a workspace file", &e))?;
        Ok(())
    }

    /// The names of the workspace's files and the tags of their contents, by name.
    pub async fn workspace_list(&self, bot: BotId) -> Result<Vec<(String, String)>, StoreError> {
        let prefix = keys::workspace_prefix(self.id, bot);
        let mut files = Vec::new();
        let mut token = None;
        loop {
            let request = self.store.s3.list_objects_v2().bucket(&self.store.bucket).prefix(&prefix);
            let output = request.set_continuation_token(token).send().await;
            let output = output.map_err(|e| unavailable("list the workspace", &e))?;
            for object in output.contents() {
                let name = object.key().and_then(|key| key.strip_prefix(&prefix)).unwrap_or_default();
                files.push((name.to_owned(), object.e_tag().unwrap_or_default().to_owned()));
            }
            token = output.next_continuation_token;
            if token.is_none() {
                return Ok(files);
            }
        }
    }

    pub(crate) async fn workspace_delete(&self, bot: BotId) -> Result<(), StoreError> {
        let prefix = keys::workspace_prefix(self.id, bot);
        for (name, _) in self.workspace_list(bot).await? {
            let request = self.store.s3.delete_object().bucket(&self.store.bucket).key(format!("{prefix}{name}"));
            request.send().await.map_err(|e| unavailable("delete a workspace file", &e))?;
        }
        Ok(())
    }
}
