//! The file of SQS and its queues: create, list, set, count, purge, delete, and the sweep of what has expired.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::Notify;

use crate::ids::now_ms;
use crate::sqs::protocol::SqsError;
use crate::sqs::settings::Settings;
use crate::writer::{Durability, StoreError, Writer};

/// The account and region of queue URLs and ARNs: requests name none that matter here.
const ACCOUNT: &str = "000000000000";
const REGION: &str = "us-east-1";

const SCHEMA_VERSION: i64 = 1;

/// A message is in flight while `visible_at` is in the future and it was received at least once; it is delayed
/// while `visible_at` is in the future and it was not. Times are milliseconds since the Unix epoch.
const SCHEMA: &str = "
CREATE TABLE queues (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    settings TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    modified_at INTEGER NOT NULL
);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    group_id TEXT,
    deduplication_id TEXT,
    sent_at INTEGER NOT NULL,
    visible_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    receives INTEGER NOT NULL DEFAULT 0,
    first_received_at INTEGER,
    source_queue TEXT,
    body_md5 TEXT NOT NULL,
    attributes TEXT,
    system_attributes TEXT,
    body TEXT NOT NULL
);
CREATE INDEX messages_of_queue ON messages (queue);
CREATE INDEX messages_by_visibility ON messages (queue, visible_at);
CREATE INDEX messages_of_group ON messages (queue, group_id) WHERE group_id IS NOT NULL;
CREATE INDEX messages_by_expiry ON messages (expires_at);
CREATE TABLE deduplications (
    queue INTEGER NOT NULL,
    deduplication_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (queue, deduplication_id)
) WITHOUT ROWID;
CREATE INDEX deduplications_by_expiry ON deduplications (expires_at);
";

/// A queue's row.
pub(crate) struct Queue {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) settings: Settings,
}

/// The queues' file and the long polls that wait for it.
pub(crate) struct Store {
    writer: Writer,
    arrivals: Arc<Arrivals>,
}

impl Store {
    /// Opens (or creates) the file at `path`. Messages in flight become visible and keep their receive count.
    pub(crate) fn open(path: &Path, lock: Arc<File>) -> Result<Self, StoreError> {
        let writer = Writer::open(path, SCHEMA, SCHEMA_VERSION, lock, |connection| {
            let now = now_ms();
            let released = connection
                .execute("UPDATE messages SET visible_at = ?1 WHERE visible_at > ?1 AND receives > 0", [now])?;
            if released > 0 {
                tracing::debug!(released, "messages in flight made visible again");
            }
            Ok(())
        })?;
        Ok(Self { writer, arrivals: Arc::default() })
    }

    /// Finishes what is queued, checkpoints and closes the file. Blocks.
    pub(crate) fn close(&self) {
        self.writer.close();
    }

    /// What wakes the long polls of the queue `name`.
    pub(crate) fn arrivals(&self, name: &str) -> Arc<Notify> {
        self.arrivals.of(name)
    }

    /// Runs `work` on the queue `name`, and wakes its long polls once the change is committed.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        durability: Durability,
        name: String,
        work: impl FnOnce(&Connection, &Queue) -> Result<T, SqsError> + Send + 'static,
    ) -> Result<T, SqsError> {
        let arrivals = Arc::clone(&self.arrivals);
        let changed = name.clone();
        self.writer
            .run(
                durability,
                move |connection| work(connection, &queue_get(connection, &name)?),
                move |_| arrivals.wake(&changed),
            )
            .await
    }

    /// Runs `work` on the queue `name` and wakes the long polls of the queues that `woken` names.
    pub(crate) async fn receive<T: Send + 'static>(
        &self,
        name: String,
        work: impl FnOnce(&Connection, &Queue) -> Result<T, SqsError> + Send + 'static,
        woken: impl FnOnce(&T) -> Option<String> + Send + 'static,
    ) -> Result<T, SqsError> {
        let arrivals = Arc::clone(&self.arrivals);
        self.writer
            .run(
                Durability::Process,
                move |connection| work(connection, &queue_get(connection, &name)?),
                move |value| {
                    if let Some(name) = woken(value) {
                        arrivals.wake(&name);
                    }
                },
            )
            .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, SqsError> + Send + 'static,
    ) -> Result<T, SqsError> {
        self.writer.run(Durability::Power, work, |_| {}).await
    }

    /// Creates the queue, or accepts the existing one if its attributes are those `given`.
    pub(crate) async fn queue_create(&self, name: String, given: BTreeMap<String, String>) -> Result<(), SqsError> {
        let settings = Settings::create(&name, &given)?;
        self.run(move |connection| {
            match queue_get(connection, &name) {
                Ok(existing) => {
                    return existing.settings.differ_from(&given).map_or(Ok(()), |attribute| {
                        Err(SqsError::queue_name_exists(format!(
                            "A queue already exists with the same name and a different value for attribute \
                                 {attribute}"
                        )))
                    });
                }
                Err(error) if error == SqsError::queue_does_not_exist() => {}
                Err(error) => return Err(error),
            }
            check_redrive(connection, &settings)?;
            connection.execute(
                "INSERT INTO queues (name, settings, created_at, modified_at) VALUES (?1, ?2, ?3, ?3)",
                params![name, settings.to_json()?, now_ms()],
            )?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn queue_exists(&self, name: String) -> Result<(), SqsError> {
        self.run(move |connection| queue_get(connection, &name).map(drop)).await
    }

    /// The names that begin with `prefix`, in order.
    pub(crate) async fn queue_names(&self, prefix: String) -> Result<Vec<String>, SqsError> {
        self.run(move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT name FROM queues WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name")?;
            let names = statement.query_map([prefix], |row| row.get(0))?;
            Ok(names.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(crate) async fn queue_set(&self, name: String, given: BTreeMap<String, String>) -> Result<(), SqsError> {
        self.change(Durability::Power, name, move |connection, queue| {
            let settings = queue.settings.clone().with(&given)?;
            check_redrive(connection, &settings)?;
            connection.execute(
                "UPDATE queues SET settings = ?2, modified_at = ?3 WHERE id = ?1",
                params![queue.id, settings.to_json()?, now_ms()],
            )?;
            Ok(())
        })
        .await
    }

    /// Every attribute of the queue: its settings, its ARN, its times and its counts.
    pub(crate) async fn queue_attributes(&self, name: String) -> Result<BTreeMap<String, String>, SqsError> {
        self.run(move |connection| {
            let queue = queue_get(connection, &name)?;
            let (created, modified): (i64, i64) = connection.query_row(
                "SELECT created_at, modified_at FROM queues WHERE id = ?1",
                [queue.id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let (visible, in_flight, delayed): (i64, i64, i64) = connection.query_row(
                "SELECT count(*) FILTER (WHERE visible_at <= ?2),
                        count(*) FILTER (WHERE visible_at > ?2 AND receives > 0),
                        count(*) FILTER (WHERE visible_at > ?2 AND receives = 0)
                 FROM messages WHERE queue = ?1 AND expires_at > ?2",
                params![queue.id, now_ms()],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )?;
            let mut attributes = queue.settings.values().clone();
            attributes.extend([
                ("QueueArn".to_owned(), arn(&queue.name)),
                ("CreatedTimestamp".to_owned(), (created / 1000).to_string()),
                ("LastModifiedTimestamp".to_owned(), (modified / 1000).to_string()),
                ("ApproximateNumberOfMessages".to_owned(), visible.to_string()),
                ("ApproximateNumberOfMessagesNotVisible".to_owned(), in_flight.to_string()),
                ("ApproximateNumberOfMessagesDelayed".to_owned(), delayed.to_string()),
            ]);
            Ok(attributes)
        })
        .await
    }

    /// Deletes the messages. What is remembered for deduplication stays, as on AWS.
    pub(crate) async fn queue_purge(&self, name: String) -> Result<(), SqsError> {
        self.change(Durability::Power, name, |connection, queue| {
            connection.execute("DELETE FROM messages WHERE queue = ?1", [queue.id])?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn queue_delete(&self, name: String) -> Result<(), SqsError> {
        self.change(Durability::Power, name, |connection, queue| {
            connection.execute("DELETE FROM messages WHERE queue = ?1", [queue.id])?;
            connection.execute("DELETE FROM deduplications WHERE queue = ?1", [queue.id])?;
            connection.execute("DELETE FROM queues WHERE id = ?1", [queue.id])?;
            Ok(())
        })
        .await
    }

    /// Deletes messages past their retention period and deduplication records past their five minutes.
    pub(crate) async fn expired_delete(&self) -> Result<usize, SqsError> {
        self.run(|connection| {
            let now = now_ms();
            let messages = connection.execute("DELETE FROM messages WHERE expires_at <= ?1", [now])?;
            connection.execute("DELETE FROM deduplications WHERE expires_at <= ?1", [now])?;
            Ok(messages)
        })
        .await
    }
}

pub(crate) fn queue_get(connection: &Connection, name: &str) -> Result<Queue, SqsError> {
    let row: Option<(i64, String)> = connection
        .prepare_cached("SELECT id, settings FROM queues WHERE name = ?1")?
        .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (id, settings) = row.ok_or_else(SqsError::queue_does_not_exist)?;
    Ok(Queue { id, name: name.to_owned(), settings: Settings::stored(&settings)? })
}

pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

pub(crate) fn url(base: &str, name: &str) -> String {
    format!("{base}/{ACCOUNT}/{name}")
}

/// A dead-letter queue must exist and be of the same type.
fn check_redrive(connection: &Connection, settings: &Settings) -> Result<(), SqsError> {
    let Some(redrive) = &settings.redrive else {
        return Ok(());
    };
    match queue_get(connection, &redrive.queue) {
        Ok(target) if target.settings.fifo == settings.fifo => Ok(()),
        Ok(_) => Err(SqsError::invalid_parameter(
            "Value for parameter RedrivePolicy is invalid. Reason: Dead-letter queue must be same type of queue as \
             the source.",
        )),
        Err(error) if error == SqsError::queue_does_not_exist() => Err(SqsError::invalid_parameter(
            "Value for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist.",
        )),
        Err(error) => Err(error),
    }
}

/// One wake-up per queue name, made when first asked for.
#[derive(Default)]
struct Arrivals(Mutex<HashMap<String, Arc<Notify>>>);

impl Arrivals {
    fn of(&self, name: &str) -> Arc<Notify> {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(queues.entry(name.to_owned()).or_default())
    }

    fn wake(&self, name: &str) {
        let queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(name) {
            queue.notify_waiters();
        }
    }
}
