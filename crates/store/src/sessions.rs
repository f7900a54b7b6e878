//! Sessions: an append-only log and a head, changed together by one conditional transaction per commit.

use std::time::Duration;

use aws_sdk_dynamodb::types::{DeleteRequest, Put, WriteRequest};
use domain::turn::{Head, ReplyTo, Stop};
use domain::{BotId, Entry, MessageId, Outbound, SessionKey, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bots::put_action;
use crate::error::{StoreError, unavailable};
use crate::item::{Item, expires, number, record, row, string, text};
use crate::keys::{self, Key};
use crate::pages::Order;
use crate::{AccountStore, Page, PageRange, Spending, Store};

/// How long it is remembered that a message was taken in.
pub const MARK_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// How often a stop is tried to be written while turns commit.
const STOP_ATTEMPTS: u32 = 20;

/// A row holds at most this many bytes of entries (DynamoDB's limit is 400 KB a row).
const MAX_ROW_BYTES: usize = 300_000;

/// How many rows are deleted at once: as many as a batch write takes.
pub(crate) const DELETE_PAGE: i32 = 25;

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
    /// The head as it was loaded or committed last; the default one for a new session.
    pub seen: &'a Head,
    /// The new head.
    pub head: &'a Head,
    /// What is appended, from `seen.next_seq` on.
    pub entries: &'a [Entry],
    /// Messages that are taken in by this commit.
    pub marks: &'a [MessageId],
    /// Replies that are to be sent.
    pub outbox: &'a [Outbound],
    /// What becomes of the budgets' counters.
    pub spending: &'a Spending,
    /// Where the session is held, which is kept with its first entries.
    pub place: Option<&'a ReplyTo>,
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
    /// Where its first message came from. `None` for sessions that are older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<ReplyTo>,
}

impl AccountStore<'_> {
    /// Reads the head and the end of the log in one query. A session that nobody wrote to is empty.
    pub async fn session_load(&self, bot: BotId, session: &SessionKey) -> Result<SessionState, StoreError> {
        self.session_tail(bot, session, self.store.sizes.tail).await
    }

    /// Commits. `Conflict`: somebody else committed since the session was loaded. `AlreadyTaken`: one
    /// of the messages was taken in before. `OverBudget`: a budget does not allow what is to be spent.
    /// `Unavailable`: it may or may not have taken effect.
    pub async fn session_commit(
        &self,
        bot: BotId,
        session: &SessionKey,
        commit: &Commit<'_>,
    ) -> Result<(), StoreError> {
        let pk = keys::session_pk(self.id, bot, session);
        let now = commit.head.updated_at;
        let place = if commit.entries.is_empty() { Place::OfHead } else { Place::OfEntries };
        let head = self.put_head(bot, session, commit.seen, commit.head, place)?;
        let mut actions = vec![put_action(head)];
        let first_mark = actions.len();
        for message in commit.marks {
            let key = keys::mark(self.id, bot, session, message);
            let answer = commit.outbox.iter().find(|outbound| keys::delivery(outbound) == key);
            let row = answer.map_or_else(|| Ok(key.into_item()), |outbound| self.store.outbox_row(outbound))?;
            actions.push(put_action(self.store.put_new(expires(row, now + MARK_TTL))?));
        }
        let marks = first_mark..actions.len();
        let spending = self.spending_actions(bot, commit.spending)?;
        let scopes: Vec<_> = spending.iter().map(|(scope, _)| *scope).collect();
        let first_scope = actions.len();
        actions.extend(spending.into_iter().map(|(_, action)| action));
        for item in entry_rows(&pk, commit.entries)? {
            actions.push(put_action(self.store.put_new(kept(session, item, now))?));
        }
        let is_marked = |outbound: &&Outbound| {
            outbound.mark.as_ref().is_some_and(|mark| mark.session == *session && commit.marks.contains(&mark.message))
        };
        for outbound in commit.outbox.iter().filter(|outbound| !is_marked(outbound)) {
            actions.push(put_action(self.store.put_new(self.store.outbox_row(outbound)?)?));
        }
        actions.extend(self.approval_actions(bot, session, commit)?);
        if commit.seen.next_seq == 0 && commit.head.next_seq > 0 {
            let summary = SessionSummary { session: session.clone(), created_at: now, place: commit.place.cloned() };
            let item = row(keys::session_row(self.id, bot, session), &summary)?;
            actions.push(put_action(self.store.put(kept(session, item, now))?));
        }
        actions.extend(self.usage_action(bot, session, commit)?);
        let Err(failed) = self.store.transact(actions).await? else { return Ok(()) };
        // The head first: who lost the race learns nothing from the rest.
        if failed.contains(&0) {
            return Err(CHANGED);
        }
        let taken: Vec<_> = failed.iter().filter(|index| marks.contains(index)).collect();
        if !taken.is_empty() {
            let messages = taken.into_iter().map(|index| commit.marks[index - first_mark].clone());
            return Err(StoreError::AlreadyTaken(messages.collect()));
        }
        let scope = failed.iter().find_map(|index| scopes.get(index.checked_sub(first_scope)?));
        // Anything else is an entry's place that is taken.
        Err(scope.map_or(CHANGED, |scope| StoreError::OverBudget(*scope)))
    }

    /// The head of a session alone; `None` if nobody wrote to it.
    pub async fn session_head(&self, bot: BotId, session: &SessionKey) -> Result<Option<Head>, StoreError> {
        self.store.record_get(keys::head(self.id, bot, session)).await
    }

    /// The head of a session, and whether it has taken a message in. Costs one request.
    pub async fn session_head_and_mark(
        &self,
        bot: BotId,
        session: &SessionKey,
        message: &MessageId,
    ) -> Result<(Option<Head>, bool), StoreError> {
        let head = keys::head(self.id, bot, session);
        let mark = keys::mark(self.id, bot, session, message);
        let found = self.store.items_get([head.clone(), mark.clone()]).await?;
        Ok((found.get(&head).map(record).transpose()?, found.contains_key(&mark)))
    }

    /// Whether a session has taken a message in within 7 days.
    pub async fn session_has_taken(
        &self,
        bot: BotId,
        session: &SessionKey,
        message: &MessageId,
    ) -> Result<bool, StoreError> {
        Ok(self.store.item_get(keys::mark(self.id, bot, session, message)).await?.is_some())
    }

    /// The heads of sessions, up to 100 of them, of which nobody wrote to some perhaps. Costs one read of many rows.
    pub async fn session_heads(
        &self,
        bot: BotId,
        sessions: &[SessionKey],
    ) -> Result<Vec<(SessionKey, Head)>, StoreError> {
        let key = |session: &SessionKey| keys::head(self.id, bot, session);
        let rows = self.store.items_get(sessions.iter().map(key)).await?;
        let found = sessions.iter().filter_map(|session| Some((session, rows.get(&key(session))?)));
        found.map(|(session, item)| Ok((session.clone(), record(item)?))).collect()
    }

    /// Notes in the head that what was said so far is not to be answered. The turn that is under way finds it at its
    /// next commit, which fails.
    pub async fn session_stop(
        &self,
        bot: BotId,
        session: &SessionKey,
        stop: &Stop,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for _ in 0..STOP_ATTEMPTS {
            let seen = self.session_head(bot, session).await?.unwrap_or_default();
            if seen.stop.as_ref().is_some_and(|known| known.at >= stop.at || known.message == stop.message) {
                return Ok(());
            }
            let head = Head { epoch: seen.epoch + 1, stop: Some(stop.clone()), updated_at: now, ..seen.clone() };
            let put = put_action(self.put_head(bot, session, &seen, &head, Place::OfHead)?);
            // A stop that was taken in already is fulfilled, and its repetition must not stop what came after it.
            let mark = keys::mark(self.id, bot, session, &stop.message);
            match self.store.transact(vec![put, self.store.absent_action(mark)?]).await? {
                Ok(()) => return Ok(()),
                Err(failed) if failed.contains(&1) => return Ok(()),
                Err(_) => {}
            }
        }
        Err(CHANGED)
    }

    /// Replaces the head alone, which nobody must have changed since it was `seen`. `head` has a higher epoch, unless it only
    /// notes an attempt, which concerns nobody else.
    pub async fn session_head_put(
        &self,
        bot: BotId,
        session: &SessionKey,
        seen: &Head,
        head: &Head,
    ) -> Result<(), StoreError> {
        debug_assert!(
            head.epoch > seen.epoch || head.attempts > seen.attempts,
            "a change of the head alone raises its epoch"
        );
        let put = self.put_head(bot, session, seen, head, Place::OfHead)?;
        self.store.transact(vec![put_action(put)]).await?.map_err(|_| CHANGED)
    }

    /// A session's line in the list of sessions; `None` if nobody wrote to it.
    pub async fn session_summary(
        &self,
        bot: BotId,
        session: &SessionKey,
    ) -> Result<Option<SessionSummary>, StoreError> {
        self.store.record_get(keys::session_row(self.id, bot, session)).await
    }

    /// A bot's sessions, by key.
    pub async fn session_list(&self, bot: BotId) -> Result<Vec<SessionSummary>, StoreError> {
        let items = self.store.items_by_prefix(&self.id.to_string(), &keys::session_row_prefix(bot)).await?;
        items.iter().map(record).collect()
    }

    /// The first sessions of people, by key, at most `limit`. What is not of people is passed over unread, so this costs three
    /// queries at most.
    pub async fn session_list_of_people(
        &self,
        bot: BotId,
        agent: &str,
        limit: u32,
    ) -> Result<Vec<SessionSummary>, StoreError> {
        let prefix = keys::session_row_prefix(bot);
        let mut sessions: Vec<SessionSummary> = Vec::new();
        let mut low = prefix.clone();
        // `;` follows `:` and `~` all that a key begins with.
        let ends = SessionKey::beginnings_of_work(agent).map(|beginning| format!("{prefix}{beginning}"));
        let ends = ends.into_iter().map(|end| (end.clone(), format!("{};", end.trim_end_matches(':'))));
        for (high, next) in ends.chain([(format!("{prefix}~"), String::new())]) {
            let left = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(sessions.len());
            if left == 0 {
                break;
            }
            let left = i32::try_from(left).unwrap_or(i32::MAX);
            let items = self.store.log_query(&self.id.to_string(), &low, &high, true, left).await?;
            sessions.extend(items.iter().map(record).collect::<Result<Vec<SessionSummary>, _>>()?);
            low = next;
        }
        Ok(sessions)
    }

    /// Sessions that no people write in, at most `limit`: those that do work for others, the newest first, and those of jobs.
    /// Costs two queries at most.
    pub async fn session_list_of_work(
        &self,
        bot: BotId,
        agent: &str,
        limit: u32,
    ) -> Result<Vec<SessionSummary>, StoreError> {
        let mut sessions = Vec::new();
        for beginning in SessionKey::beginnings_of_work(agent).into_iter().rev() {
            let left = limit.saturating_sub(u32::try_from(sessions.len()).unwrap_or(u32::MAX));
            if left > 0 {
                let range = PageRange { after: None, limit: left };
                let kind = [keys::session_row_prefix(bot), beginning];
                let account = self.id.to_string();
                let page = self.store.page(&account, [&kind[0], &kind[1]], Order::Backward, &range).await?;
                sessions.extend(page.items.iter().map(record).collect::<Result<Vec<SessionSummary>, _>>()?);
            }
        }
        Ok(sessions)
    }

    /// Sessions of a bot, by key. Costs one query.
    pub async fn session_page(&self, bot: BotId, range: &PageRange) -> Result<Page<SessionSummary>, StoreError> {
        self.page(&keys::session_row_prefix(bot), Order::Forward, range).await?.try_map(|item| record(&item))
    }

    /// Deletes all sessions of a bot with their logs, and what waits in them.
    pub(crate) async fn sessions_delete(&self, bot: BotId) -> Result<(), StoreError> {
        for summary in self.session_list(bot).await? {
            self.store.partition_delete(&keys::session_pk(self.id, bot, &summary.session), "").await?;
            self.store.item_delete(keys::session_row(self.id, bot, &summary.session)).await?;
        }
        self.approvals_delete(bot).await?;
        self.segments_delete(bot).await
    }

    /// The write of a head whose epoch nobody changed since it was `seen`.
    fn put_head(
        &self,
        bot: BotId,
        session: &SessionKey,
        seen: &Head,
        head: &Head,
        place: Place,
    ) -> Result<Put, StoreError> {
        let mut item = kept(session, row(keys::head(self.id, bot, session), head)?, head.updated_at);
        item.insert(EPOCH.to_owned(), number(head.epoch));
        item.insert(NEXT_SEQ.to_owned(), number(head.next_seq));
        let put = Put::builder().table_name(&self.store.table).set_item(Some(item));
        let put = if (seen.epoch, seen.next_seq) == (0, 0) {
            put.condition_expression("attribute_not_exists(pk)")
        } else {
            let put = put.expression_attribute_values(":epoch", number(seen.epoch));
            match place {
                Place::OfEntries => put.condition_expression("epoch = :epoch"),
                Place::OfHead => put
                    .condition_expression("epoch = :epoch AND next_seq = :next_seq")
                    .expression_attribute_values(":next_seq", number(seen.next_seq)),
            }
        };
        put.build().map_err(|e| unavailable("describe a write", &e))
    }
}

const CHANGED: StoreError = StoreError::Conflict("somebody else committed to this session meanwhile");

/// What keeps two writers of one session apart, beside the head's epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The row of the first entry, which must not exist.
    OfEntries,
    /// The head's own `next_seq`: there are no entries.
    OfHead,
}

const EPOCH: &str = "epoch";
const NEXT_SEQ: &str = "next_seq";

impl Store {
    /// One page of a session's partition between two sort keys.
    pub(crate) async fn log_query(
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

    pub(crate) async fn rows_delete(&self, keys: Vec<Item>) -> Result<(), StoreError> {
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

/// A row of a session, which expires when sessions of its kind do.
fn kept(session: &SessionKey, item: Item, now: Timestamp) -> Item {
    match session.kept_for() {
        Some(time) => expires(item, now + time),
        None => item,
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

pub(crate) fn entries_of(items: &[Item]) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::new();
    for item in items {
        let lines: Vec<Entry> = serde_json::from_str(string(item, ENTRIES)?)
            .map_err(|e| StoreError::Corrupt(format!("a log row cannot be read: {e}")))?;
        entries.extend(lines);
    }
    Ok(entries)
}
