//! Segments: whole blocks of a session's log as objects in S3, in the format of OpenClaw's transcripts.

use domain::{BotId, Entry, SessionKey, transcript_line};

use crate::error::StoreError;
use crate::{AccountStore, keys};

/// How many entries a segment has. The first one's sequence number is a multiple of it.
pub const SEGMENT: u64 = 256;

impl AccountStore<'_> {
    /// Writes the segment that begins with sequence number `first`: of `entries` those from there on. What stands
    /// before is not written; it is looked at for the ids that lines refer to. Called with the segment before in
    /// front of the new one, as a seal does, it writes the same bytes whenever it is repeated.
    pub async fn segment_put(
        &self,
        bot: BotId,
        session: &SessionKey,
        first: u64,
        entries: &[Entry],
    ) -> Result<(), StoreError> {
        let (before, entries) = entries.split_at(entries.partition_point(|entry| entry.seq < first));
        if !is_whole(first, entries, self.store.sizes.segment) {
            return Err(StoreError::Corrupt(format!(
                "the entries from {first} on of session {session} are no segment"
            )));
        }
        let text = transcript_line::write_file(bot, session, before, entries)
            .map_err(|e| StoreError::Corrupt(format!("a segment of session {session} cannot be written: {e}")))?;
        let key = keys::segment(self.id, bot, session, first);
        self.store.object_put(key, "application/jsonl; charset=utf-8", text).await
    }

    /// The segment that begins with sequence number `first`; `None` if there is none.
    pub async fn segment_get(
        &self,
        bot: BotId,
        session: &SessionKey,
        first: u64,
    ) -> Result<Option<Vec<Entry>>, StoreError> {
        let Some(text) = self.store.object_get(keys::segment(self.id, bot, session, first)).await? else {
            return Ok(None);
        };
        let entries = transcript_line::read_file(&text).map_err(|e| self.bad_segment(session, first, &e))?;
        if is_whole(first, &entries, self.store.sizes.segment) {
            Ok(Some(entries))
        } else {
            Err(self.bad_segment(session, first, &"it has a gap"))
        }
    }

    /// The segment that holds `seq`, which must be there.
    pub(crate) async fn segment_around(
        &self,
        bot: BotId,
        session: &SessionKey,
        seq: u64,
    ) -> Result<Vec<Entry>, StoreError> {
        let first = seq - seq % self.store.sizes.segment;
        let segment = self.segment_get(bot, session, first).await?;
        segment.ok_or_else(|| self.bad_segment(session, first, &"it is not there"))
    }

    /// Deletes the segments of all sessions of a bot.
    pub(crate) async fn segments_delete(&self, bot: BotId) -> Result<(), StoreError> {
        self.store.objects_delete(&keys::segments_prefix(self.id, bot)).await
    }

    fn bad_segment(&self, session: &SessionKey, first: u64, error: &dyn std::fmt::Display) -> StoreError {
        StoreError::Corrupt(format!("the segment from {first} on of session {session} cannot be read: {error}"))
    }
}

fn is_whole(first: u64, entries: &[Entry], segment: u64) -> bool {
    entries.len() as u64 == segment && (first..).zip(entries).all(|(seq, entry)| entry.seq == seq)
}
