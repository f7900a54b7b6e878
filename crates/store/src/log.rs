//! Reading a session's log, whose beginning may lie in segments and whose end lies in rows.
//!
//! The head says where the seam is: what lies below `sealed` is in segments. Rows that lie below it, too, are about to
//! be deleted, in no order, so a gap among them is none of the log. A row across the seam stays.

use domain::turn::Head;
use domain::{BotId, Entry, SessionKey};

use crate::error::StoreError;
use crate::item::{Item, record, string};
use crate::keys::{self, ENTRIES_END, HEAD};
use crate::sessions::{LoggedEntries, SessionState, entries_of};
use crate::{AccountStore, Store};

/// How often a reader looks again while the log is sealed under its eyes.
const LOOKS: u32 = 3;

impl AccountStore<'_> {
    /// The head and the last rows of the log, in one query. The head counts as a row.
    pub(crate) async fn session_tail(
        &self,
        bot: BotId,
        session: &SessionKey,
        rows: i32,
    ) -> Result<SessionState, StoreError> {
        match self.session_tail_once(bot, session, rows).await {
            // A seal may have deleted rows while the query went over them: then the head says so now.
            Err(StoreError::Corrupt(_)) => self.session_tail_once(bot, session, rows).await,
            done => done,
        }
    }

    async fn session_tail_once(&self, bot: BotId, session: &SessionKey, rows: i32) -> Result<SessionState, StoreError> {
        let pk = keys::session_pk(self.id, bot, session);
        let mut items = self.store.log_query(&pk, "e#", HEAD, false, rows).await?;
        if items.is_empty() {
            return Ok(SessionState::default());
        }
        if !is_head(&items[0]) {
            return Err(StoreError::Corrupt(format!("session {session} of {bot} has entries and no head")));
        }
        let head: Head = record(&items.remove(0))?;
        items.reverse();
        let mut entries = entries_of(&items)?;
        let (start, first) = end_without_gaps(&entries, head.next_seq);
        if (start > 0 || entries.is_empty()) && first > head.sealed {
            return Err(gap(session));
        }
        entries.drain(..start);
        Ok(SessionState { head, entries })
    }

    /// Entries from sequence number `from` on, oldest first; about `limit` of them, and none only at the log's end.
    pub async fn session_read(
        &self,
        bot: BotId,
        session: &SessionKey,
        from: u64,
        limit: i32,
    ) -> Result<LoggedEntries, StoreError> {
        Ok(self.session_follow(bot, session, from, limit).await?.0)
    }

    /// As [`AccountStore::session_read`], with the head where the read came to the log's end: for who follows a session, a look is
    /// one query.
    pub async fn session_follow(
        &self,
        bot: BotId,
        session: &SessionKey,
        from: u64,
        limit: i32,
    ) -> Result<(LoggedEntries, Option<Head>), StoreError> {
        let pk = keys::session_pk(self.id, bot, session);
        // As far as the head, which sorts behind the last row: it tells an end of the log from rows that are gone.
        let mut items = self.store.log_query(&pk, &keys::entries_sk(from), HEAD, true, limit).await?;
        let head: Option<Head> = items.pop_if(|item| is_head(item)).as_ref().map(record).transpose()?;
        let entries = entries_of(&items)?;
        if is_gapless_from(&entries, from) {
            return Ok((logged(entries, from), head));
        }
        let is_end = entries.is_empty() && head.as_ref().is_none_or(|head| from >= head.next_seq);
        if is_end {
            return Ok((logged(entries, from), head));
        }
        Ok((self.session_read_at_seam(bot, session, from, limit).await?, None))
    }

    /// Reads from where no row begins: from a segment, or from within a row.
    async fn session_read_at_seam(
        &self,
        bot: BotId,
        session: &SessionKey,
        from: u64,
        limit: i32,
    ) -> Result<LoggedEntries, StoreError> {
        let pk = keys::session_pk(self.id, bot, session);
        for _ in 0..LOOKS {
            let head = self.session_head(bot, session).await?.unwrap_or_default();
            if from >= head.next_seq {
                return Ok(logged(vec![], from));
            }
            if from < head.sealed {
                let mut entries = self.segment_around(bot, session, from).await?;
                entries.retain(|entry| entry.seq >= from);
                entries.truncate(usize::try_from(limit).unwrap_or(1));
                return Ok(logged(entries, from));
            }
            let low = self.store.row_around(&pk, from).await?;
            let items = self.store.log_query(&pk, &keys::entries_sk(low), ENTRIES_END, true, limit).await?;
            let mut entries = entries_of(&items)?;
            entries.retain(|entry| entry.seq >= from);
            if is_gapless_from(&entries, from) {
                return Ok(logged(entries, from));
            }
        }
        Err(gap(session))
    }

    /// The last entries, oldest first; about `limit` of them.
    pub async fn session_read_last(
        &self,
        bot: BotId,
        session: &SessionKey,
        limit: i32,
    ) -> Result<LoggedEntries, StoreError> {
        let SessionState { head, mut entries } = self.session_tail(bot, session, limit.saturating_add(1)).await?;
        let first = entries.first().map_or(head.next_seq, |entry| entry.seq);
        let missing = usize::try_from(limit).unwrap_or(1).saturating_sub(entries.len());
        if missing > 0 && 0 < first && first <= head.sealed {
            let mut sealed = self.segment_around(bot, session, first - 1).await?;
            sealed.retain(|entry| entry.seq < first);
            entries.splice(..0, sealed.split_off(sealed.len().saturating_sub(missing)));
        }
        Ok(LoggedEntries { entries, next: head.next_seq })
    }
}

impl Store {
    /// Where the row begins that holds the entry `seq`; `seq` itself if there is none.
    pub(crate) async fn row_around(&self, pk: &str, seq: u64) -> Result<u64, StoreError> {
        let items = self.log_query(pk, "e#", &keys::entries_sk(seq), false, 1).await?;
        let entries = entries_of(&items)?;
        let holds = entries.last().is_some_and(|last| last.seq >= seq);
        Ok(entries.first().filter(|_| holds).map_or(seq, |first| first.seq))
    }
}

fn is_head(item: &Item) -> bool {
    string(item, "sk").is_ok_and(|sk| sk == HEAD)
}

fn logged(entries: Vec<Entry>, from: u64) -> LoggedEntries {
    let next = entries.last().map_or(from, |entry| entry.seq + 1);
    LoggedEntries { entries, next }
}

fn is_gapless_from(entries: &[Entry], from: u64) -> bool {
    !entries.is_empty() && (from..).zip(entries).all(|(seq, entry)| entry.seq == seq)
}

/// The longest end of `entries` that goes on to `next` without a gap: its index, and its first sequence number.
fn end_without_gaps(entries: &[Entry], next: u64) -> (usize, u64) {
    let mut first = next;
    for (index, entry) in entries.iter().enumerate().rev() {
        if entry.seq + 1 != first {
            return (index + 1, first);
        }
        first = entry.seq;
    }
    (0, first)
}

/// A log with a gap must not be answered from: somebody has to look at it.
pub(crate) fn gap(session: &SessionKey) -> StoreError {
    StoreError::Corrupt(format!("the log of session {session} has a gap"))
}
