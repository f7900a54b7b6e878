//! Files that came with messages or that tools made, kept by what is in them.

use bytes::Bytes;
use domain::{BotId, MediaId};

use crate::error::StoreError;
use crate::{AccountStore, keys};

impl AccountStore<'_> {
    /// The bytes of a kept file; `None` if there is none.
    pub async fn media_get(&self, bot: BotId, id: &MediaId) -> Result<Option<Bytes>, StoreError> {
        let object = self.store.object_read(&keys::media(self.id, bot, id)).await?;
        Ok(object.map(|object| object.bytes))
    }

    /// Keeps a file. The same bytes are kept once.
    pub async fn media_put(&self, bot: BotId, mime: &str, bytes: Bytes) -> Result<MediaId, StoreError> {
        let id = MediaId::of(&bytes);
        self.store.object_write(keys::media(self.id, bot, &id), mime, bytes, None).await?;
        Ok(id)
    }

    pub(crate) async fn media_delete(&self, bot: BotId) -> Result<(), StoreError> {
        self.store.objects_delete(&keys::media_prefix(self.id, bot)).await
    }
}
