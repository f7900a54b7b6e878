//! Sealing: the beginning of a long log moves from rows into segments, in whole blocks.
//!
//! The segments are written first, then the head says that they count, then the rows are deleted. Cut short before the
//! head, a seal has done nothing that anyone sees, and the next one writes the same bytes again. Cut short after it, the
//! rows that are left are deleted by the next seal.

use std::slice;

use domain::turn::Head;
use domain::{BotId, SessionKey};

use crate::error::{StoreError, unavailable};
use crate::item::{Item, text};
use crate::keys::{self, ENTRIES_END};
use crate::log::gap;
use crate::sessions::{DELETE_PAGE, entries_of};
use crate::{AccountStore, Store};

/// How many segments one seal writes at most: a log that has grown for long is sealed in several goes, so that each
/// has an end in sight.
const MAX_SEGMENTS: u64 = 64;

/// How many rows are read at once.
const READ_PAGE: i32 = 100;

impl AccountStore<'_> {
    /// Moves whole segments of entries to S3, at most 64 of them, as long as `keep` entries stay in rows. `head` is the head as it was loaded or committed last. Gives the new head, or `None` if there was
    /// nothing to move. `Conflict`: somebody else changed the session meanwhile, and nothing was moved.
    pub async fn session_seal(
        &self,
        bot: BotId,
        session: &SessionKey,
        head: &Head,
        keep: u64,
    ) -> Result<Option<Head>, StoreError> {
        let segment = self.store.sizes.segment;
        let kept_from = head.next_seq.saturating_sub(keep);
        let end = (kept_from - kept_from % segment).min(head.sealed + MAX_SEGMENTS * segment);
        if end <= head.sealed {
            return Ok(None);
        }
        let pk = keys::session_pk(self.id, bot, session);
        let rows_end = match self.segments_write(bot, session, &pk, head.sealed, end).await {
            // If rows are gone because somebody else has sealed them, the log is fine.
            Err(StoreError::Corrupt(_)) if self.session_head(bot, session).await?.as_ref() != Some(head) => {
                return Err(CHANGED);
            }
            done => done?,
        };
        let sealed = Head { epoch: head.epoch + 1, sealed: end, ..head.clone() };
        self.session_head_put(bot, session, head, &sealed).await?;
        if let Err(error) = self.store.rows_delete_below(&pk, rows_end).await {
            tracing::warn!(%session, "Rows that were sealed are left for the next seal to delete: {error}");
        }
        Ok(Some(sealed))
    }

    /// Writes the segments from `start` to `end`. Gives the sequence number below which all rows lie wholly below `end`.
    async fn segments_write(
        &self,
        bot: BotId,
        session: &SessionKey,
        pk: &str,
        start: u64,
        end: u64,
    ) -> Result<u64, StoreError> {
        // The segment before, and the one that is being collected.
        let mut entries = match start {
            0 => vec![],
            _ => self.segment_around(bot, session, start - 1).await?,
        };
        let segment = self.store.sizes.segment;
        let mut before = entries.len();
        let mut next = start;
        let mut row_seq = self.store.row_around(pk, start).await?;
        loop {
            let items = self.store.log_query(pk, &keys::entries_sk(row_seq), ENTRIES_END, true, READ_PAGE).await?;
            if items.is_empty() {
                return Err(gap(session));
            }
            for item in &items {
                let row = entries_of(slice::from_ref(item))?;
                let row_start = row.first().map_or(next, |entry| entry.seq);
                for entry in row.into_iter().filter(|entry| entry.seq >= start) {
                    if next == end {
                        return Ok(row_start);
                    }
                    if entry.seq != next {
                        return Err(gap(session));
                    }
                    entries.push(entry);
                    next += 1;
                    if next.is_multiple_of(segment) {
                        self.segment_put(bot, session, next - segment, &entries).await?;
                        entries.drain(..before);
                        before = entries.len();
                    }
                }
                if next == end {
                    return Ok(end);
                }
            }
            row_seq = next;
        }
    }
}

const CHANGED: StoreError = StoreError::Conflict("somebody else changed this session meanwhile");

impl Store {
    /// Deletes the rows of entries that begin below `seq`.
    async fn rows_delete_below(&self, pk: &str, seq: u64) -> Result<(), StoreError> {
        let Some(last) = seq.checked_sub(1) else { return Ok(()) };
        loop {
            let request = self
                .dynamo
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .projection_expression("pk, sk")
                .limit(DELETE_PAGE)
                .key_condition_expression("pk = :pk AND sk BETWEEN :low AND :high")
                .expression_attribute_values(":pk", text(pk))
                .expression_attribute_values(":low", text("e#"))
                .expression_attribute_values(":high", text(keys::entries_sk(last)));
            let output = request.send().await.map_err(|e| unavailable("list rows", &e))?;
            let rows: Vec<Item> = output.items.unwrap_or_default();
            if rows.is_empty() {
                return Ok(());
            }
            self.rows_delete(rows).await?;
        }
    }
}
