//! A bot's workspace: the Markdown files that say who it is and what it knows, as objects in S3.

use bytes::Bytes;
use domain::BotId;

use crate::error::StoreError;
use crate::objects::{Object, ObjectInfo, Precondition};
use crate::{AccountStore, keys};

impl AccountStore<'_> {
    /// Reads a workspace file; `None` if there is none of this name.
    pub async fn workspace_get(&self, bot: BotId, name: &str) -> Result<Option<String>, StoreError> {
        self.store.object_get(format!("{}{name}", keys::workspace_prefix(self.id, bot))).await
    }

    pub async fn workspace_put(&self, bot: BotId, name: &str, text: &str) -> Result<(), StoreError> {
        let key = format!("{}{name}", keys::workspace_prefix(self.id, bot));
        self.store.object_put(key, "text/markdown; charset=utf-8", text.to_owned()).await
    }

    /// Reads a workspace file with what tells it from others; `None` if there is none of this name.
    pub async fn workspace_read(&self, bot: BotId, name: &str) -> Result<Option<Object>, StoreError> {
        self.store.object_read(&format!("{}{name}", keys::workspace_prefix(self.id, bot))).await
    }

    /// Writes a workspace file. `Conflict` if it is not what the condition says. Earlier versions stay in the bucket.
    pub async fn workspace_write(
        &self,
        bot: BotId,
        name: &str,
        bytes: Bytes,
        condition: Option<Precondition<'_>>,
    ) -> Result<(), StoreError> {
        let key = format!("{}{name}", keys::workspace_prefix(self.id, bot));
        self.store.object_write(key, "application/octet-stream", bytes, condition).await
    }

    /// Deletes a workspace file; with a tag only if it still has that, else `Conflict`. Earlier versions stay in the bucket.
    pub async fn workspace_remove(&self, bot: BotId, name: &str, tag: Option<&str>) -> Result<(), StoreError> {
        self.store.object_delete(format!("{}{name}", keys::workspace_prefix(self.id, bot)), tag).await
    }

    /// The workspace's files, by name.
    pub async fn workspace_list(&self, bot: BotId) -> Result<Vec<ObjectInfo>, StoreError> {
        self.store.objects_list(&keys::workspace_prefix(self.id, bot)).await
    }

    pub(crate) async fn workspace_delete(&self, bot: BotId) -> Result<(), StoreError> {
        self.store.objects_delete(&keys::workspace_prefix(self.id, bot)).await
    }
}
