//! Sessions: an append-only log and a head, changed together by one conditional transaction per commit.

use std::time::Duration;

use aws_sdk_dynamodb::types::{DeleteRequest, Put, WriteRequest};
use domain::turn::Head;
use domain::{BotId, Entry, MessageId, Outbound, SessionKey, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bots::{Precondition, put_action};
use crate::error::{StoreError, unavailable};
use crate::item::{Item, expires, record, row, string, text};
use crate::keys::{self, HEAD, Key};
use crate::{AccountStore, Store};

/// How long it is remembered that a message was taken in.
pub const MARK_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// How many commits are read back at most: the end of the log that a turn sees.
const TAIL_COMMITS: i32 = 100;

/// A row holds at most this many bytes of entries (DynamoDB's limit is 400 KB a row).
const MAX_ROW_BYTES: usize = 300_000;

/// How many rows are deleted at once: as many as a batch write takes.
const DELETE_PAGE: i32 = 25;

/// The attribute with the entries of one commit.
const ENTRIES: &str = "entries";

/// A session as a worker loads it.
#[derive(Clone, Debug, Default)]
pub struct SessionState {
    pub head: Head,
    /// The end of the log, oldest first, without gaps.
    pub entries: Vec<Entry>,
}

/// One commit: all of it takes effect, or nothing.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    /// The head's version when it was loaded; 0 for a new session.
    pub seen_version: u64,
    /// The new head; its version is one above `seen_version`.
    pub head: &'a Head,
    /// What is appended, from the old head's `next_seq` on.
    pub entries: &'a [Entry],
    /// Messages that are taken in by this commit.
    pub marks: &'a [MessageId],
    /// Replies that are to be sent.
    pub outbox: &'a [Outbound],
}

/// A part of a session's log.
#[derive(Clone, Debug)]
pub struct LoggedEntries {
    pub entries: Vec<Entry>,
    /// Where to go on reading: the sequence number after the last entry.
    pub next: u64,
}

/// One line of a list of sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSummary {
    pub session: SessionKey,
    pub created_at: Timestamp,
}

impl AccountStore<'_> {
    /// Reads the head and the end of the log in one query. A session that nobody wrote to is empty.
    pub async fn session_load(&self, bot: BotId, session: &SessionKey) -> Result<SessionState, StoreError> {
        let pk = keys::session_pk(self.id, bot, session);
        let mut items = self.store.log_query(&pk, "e#", HEAD, false, TAIL_COMMITS).await?;
        if items.first().is_none_or(|item| string(item, "sk").ok() != Some(HEAD)) {
            return if items.is_empty() {
                Ok(SessionState::default())
            } else {
                Err(StoreError::Corrupt(format!("session {session} of {bot} has entries and no head")))
            };
        }
        let head: Head = record(&items.remove(0))?;
        items.reverse();
        let entries = entries_of(&items)?;
        check_gapless(&entries, Some(head.next_seq), session)?;
        Ok(SessionState { head, entries })
    }

    /// Commits. `Conflict`: somebody else committed since the session was loaded. `AlreadyTaken`: one
    /// of the messages was taken in before. `Unavailable`: it may or may not have taken effect.
    pub async fn session_commit(
        &self,
        bot: BotId,
        session: &SessionKey,
        commit: &Commit<'_>,
    ) -> Result<(), StoreError> {
        let pk = keys::session_pk(self.id, bot, session);
        let now = commit.head.updated_at;
        let head = row(Key { pk: pk.clone(), sk: HEAD.to_owned() }, commit.head)?;
        let precondition = match commit.seen_version {
            0 => Precondition::DoesNotExist,
            seen => Precondition::MatchesVersion(seen),
        };
        let mut actions = vec![put_action(self.store.put_if(head, commit.head.version, precondition)?)];
        let first_mark = actions.len();
        for message in commit.marks {
            let key = Key { pk: pk.clone(), sk: keys::mark_sk(message) };
            actions.push(put_action(self.store.put_new(expires(key.into_item(), now + MARK_TTL))?));
        }
        let marks = first_mark..actions.len();
        for item in entry_rows(&pk, commit.entries)? {
            actions.push(put_action(self.store.put_new(item)?));
        }
        for outbound in commit.outbox {
            actions.push(put_action(self.store.put_new(self.store.outbox_row(outbound)?)?));
        }
        if commit.seen_version == 0 {
            let summary = SessionSummary { session: session.clone(), created_at: now };
            let item = row(keys::session_row(self.id, bot, session), &summary)?;
            actions.push(put_action(self.store.put(item)?));
        }
        match self.store.transact(actions).await? {
            Ok(()) => Ok(()),
            // The head first: who lost the race learns nothing from the rest.
            Err(failed) if !failed.contains(&0) && failed.iter().any(|index| marks.contains(index)) => {
                let failed = failed.into_iter().filter(|index| marks.contains(index));
                Err(StoreError::AlreadyTaken(failed.map(|index| commit.marks[index - first_mark].clone()).collect()))
            }
            Err(_) => Err(StoreError::Conflict("somebody else committed to this session meanwhile")),
        }
    }

    /// Entries from sequence number `from` on, oldest first; about `limit` of them. `from` is 0 or a
    /// [`LoggedEntries::next`].
    pub async fn session_read(
        &self,
        bot: BotId,
        session: &SessionKey,
        from: u64,
        limit: i32,
    ) -> Result<LoggedEntries, StoreError> {
        let pk = keys::session_pk(self.id, bot, session);
        let items = self.store.log_query(&pk, &keys::entries_sk(from), "e#~", true, limit).await?;
        let entries = entries_of(&items)?;
        check_gapless(&entries, None, session)?;
        let next = entries.last().map_or(from, |entry| entry.seq + 1);
        Ok(LoggedEntries { entries, next })
    }

    /// The last entries, oldest first; about `limit` of them.
    pub async fn session_read_last(
        &self,
        bot: BotId,
        session: &SessionKey,
        limit: i32,
    ) -> Result<LoggedEntries, StoreError> {
        let pk = keys::session_pk(self.id, bot, session);
        let mut items = self.store.log_query(&pk, "e#", "e#~", false, limit).await?;
        items.reverse();
        let entries = entries_of(&items)?;
        check_gapless(&entries, None, session)?;
        let next = entries.last().map_or(0, |entry| entry.seq + 1);
        Ok(LoggedEntries { entries, next })
    }

    /// A bot's sessions, by key.
    pub async fn session_list(&self, bot: BotId) -> Result<Vec<SessionSummary>, StoreError> {
        let items = self.store.items_by_prefix(&self.id.to_string(), &keys::session_row_prefix(bot)).await?;
        items.iter().map(record).collect()
    }

    /// Deletes all sessions of a bot with their logs.
    pub(crate) async fn sessions_delete(&self, bot: BotId) -> Result<(), StoreError> {
        for summary in self.session_list(bot).await? {
            self.store.partition_delete(&keys::session_pk(self.id, bot, &summary.session), "").await?;
            self.store.item_delete(keys::session_row(self.id, bot, &summary.session)).await?;
        }
        Ok(())
    }
}

impl Store {
    /// One page of a session's partition between two sort keys.
    async fn log_query(
        &self,
        pk: &str,
        low: &str,
        high: &str,
        forward: bool,
        limit: i32,
    ) -> Result<Vec<Item>, StoreError> {
        let request = self
            .dynamo
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .scan_index_forward(forward)
            .limit(limit)
            .key_condition_expression("pk = :pk AND sk BETWEEN :low AND :high")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":low", text(low))
            .expression_attribute_values(":high", text(high));
        let output = request.send().await.map_err(|e| unavailable("read a session", &e))?;
        Ok(output.items.unwrap_or_default())
    }

    pub(crate) fn put(&self, item: Item) -> Result<Put, StoreError> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item)).build();
        put.map_err(|e| unavailable("describe a write", &e))
    }

    pub(crate) fn put_new(&self, item: Item) -> Result<Put, StoreError> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        put.condition_expression("attribute_not_exists(pk)").build().map_err(|e| unavailable("describe a write", &e))
    }

    /// Deletes the rows of a partition whose sort key begins with `prefix`, page by page.
    pub(crate) async fn partition_delete(&self, pk: &str, prefix: &str) -> Result<(), StoreError> {
        loop {
            let request = self
                .dynamo
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .projection_expression("pk, sk")
                .limit(DELETE_PAGE)
                .expression_attribute_values(":pk", text(pk));
            let request = if prefix.is_empty() {
                request.key_condition_expression("pk = :pk")
            } else {
                request
                    .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                    .expression_attribute_values(":prefix", text(prefix))
            };
            let output = request.send().await.map_err(|e| unavailable("list rows", &e))?;
            let rows = output.items.unwrap_or_default();
            if rows.is_empty() {
                return Ok(());
            }
            self.rows_delete(rows).await?;
        }
    }

    async fn rows_delete(&self, keys: Vec<Item>) -> Result<(), StoreError> {
        let mut requests = Vec::with_capacity(keys.len());
        for key in keys {
            let delete = DeleteRequest::builder().set_key(Some(key)).build();
            let delete = delete.map_err(|e| unavailable("describe a write", &e))?;
            requests.push(WriteRequest::builder().delete_request(delete).build());
        }
        let request = self.dynamo.batch_write_item().request_items(&self.table, requests);
        // What is left unprocessed is found by the next page.
        request.send().await.map_err(|e| unavailable("delete rows", &e))?;
        Ok(())
    }
}

/// The rows that hold one commit's entries: one, unless they are too big for a row.
fn entry_rows(pk: &str, entries: &[Entry]) -> Result<Vec<Item>, StoreError> {
    let mut rows: Vec<(u64, Vec<String>, usize)> = Vec::new();
    for entry in entries {
        let json = serde_json::to_string(entry)
            .map_err(|e| StoreError::Corrupt(format!("an entry cannot be written: {e}")))?;
        match rows.last_mut() {
            Some((_, lines, bytes)) if *bytes + json.len() < MAX_ROW_BYTES => {
                *bytes += json.len();
                lines.push(json);
            }
            _ => rows.push((entry.seq, vec![json.clone()], json.len())),
        }
    }
    let row = |(seq, lines, _): (u64, Vec<String>, usize)| {
        let mut item = Key { pk: pk.to_owned(), sk: keys::entries_sk(seq) }.into_item();
        item.insert(ENTRIES.to_owned(), text(format!("[{}]", lines.join(","))));
        item
    };
    Ok(rows.into_iter().map(row).collect())
}

fn entries_of(items: &[Item]) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::new();
    for item in items {
        let lines: Vec<Entry> = serde_json::from_str(string(item, ENTRIES)?)
            .map_err(|e| StoreError::Corrupt(format!("a log row cannot be read: {e}")))?;
        entries.extend(lines);
    }
    Ok(entries)
}

/// A log with a gap must not be answered from: somebody has to look at it.
fn check_gapless(entries: &[Entry], next_seq: Option<u64>, session: &SessionKey) -> Result<(), StoreError> {
    let gap = entries.windows(2).any(|pair| pair[0].seq + 1 != pair[1].seq)
        || next_seq.is_some_and(|next| entries.last().map_or(0, |entry| entry.seq + 1) != next);
    if gap { Err(StoreError::Corrupt(format!("the log of session {session} has a gap"))) } else { Ok(()) }
}
