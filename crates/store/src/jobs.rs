//! Jobs: rows of the account, and who is due in the index `due`.
//!
//! | what | costs |
//! | --- | --- |
//! | a shard with nothing due | one read |
//! | a claim ([`AccountStore::job_claim`]) | one conditional write of the job's row |
//! | the end of a run ([`AccountStore::job_finish`]) | one read of two rows, and one transaction |
//!
//! The history of runs has a row of its own, so that a claim does not write it.

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use domain::job::{Claim, Finished, Job, Report, RunHistory};
use domain::{BotId, JobId, Timestamp};

use crate::bots::{Precondition, VERSION, put_action};
use crate::error::{StoreError, unavailable};
use crate::item::{Item, expires, number, record, row, text};
use crate::keys::Key;
use crate::keys::time_key;
use crate::pages::Order;
use crate::sessions::MARK_TTL;
use crate::{AccountStore, Page, PageRange, Store, keys, schema};

/// How often the end of a run is tried to be written while others write the job, too.
const FINISHES: u32 = 10;

/// Jobs that are due, of one shard.
#[derive(Clone, Debug, Default)]
pub struct JobsDue {
    /// By when they are due, the longest overdue first. They may lag behind the last write by moments; a claim of one that was
    /// written since fails.
    pub jobs: Vec<Job>,
    /// Where to go on. `None`: that was all.
    pub next: Option<JobsPage>,
}

/// A place in the list of what is due.
#[derive(Clone, Debug, PartialEq)]
pub struct JobsPage(Item);

impl Store {
    /// Jobs of one shard, 0 to [`keys::JOB_SHARDS`], that are due up to `until`; at most `limit` of them, from `page` on.
    pub async fn jobs_due(
        &self,
        shard: u32,
        until: Timestamp,
        limit: i32,
        page: Option<JobsPage>,
    ) -> Result<JobsDue, StoreError> {
        let page = page.map(|JobsPage(key)| key);
        let due = self.due(keys::job_due_pk(shard), until, limit, page, "read what is due").await?;
        Ok(JobsDue { jobs: due.records(record, "A job that is due is left out"), next: due.next.map(JobsPage) })
    }

    fn job_put(&self, job: &Job, precondition: Precondition) -> Result<Put, StoreError> {
        self.put_if(job_row(job)?, job.version, precondition)
    }

    fn delete_unchanged(&self, key: Key, version: u64) -> Result<TransactWriteItem, StoreError> {
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key.into_item()))
            .condition_expression("#version = :seen")
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":seen", number(version));
        let delete = delete.build().map_err(|e| unavailable("describe a write", &e))?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }
}

fn job_row(job: &Job) -> Result<Item, StoreError> {
    let mut item = row(keys::job(job.account, job.bot, job.id), job)?;
    if let Some(due) = job.due_at() {
        let [due_pk, due_sk] = schema::DUE_KEYS;
        item.insert(due_pk.to_owned(), text(keys::job_due_pk(keys::job_shard(job.id))));
        item.insert(due_sk.to_owned(), text(time_key(due)));
    }
    Ok(item)
}

impl AccountStore<'_> {
    pub async fn job_get(&self, bot: BotId, id: JobId) -> Result<Option<Job>, StoreError> {
        self.store.record_get(keys::job(self.id, bot, id)).await
    }

    /// A bot's jobs, oldest first.
    pub async fn job_list(&self, bot: BotId) -> Result<Vec<Job>, StoreError> {
        let items = self.store.items_by_prefix(&self.id.to_string(), &keys::job_prefix(bot)).await?;
        items.iter().map(record).collect()
    }

    /// Jobs of a bot, oldest first. Costs one query.
    pub async fn job_page(&self, bot: BotId, range: &PageRange) -> Result<Page<Job>, StoreError> {
        self.page(&keys::job_prefix(bot), Order::Forward, range).await?.try_map(|item| record(&item))
    }

    /// Writes a job: a new one (version 1), or one in place of its version before. Fails with `Conflict` if another was
    /// written meanwhile.
    pub async fn job_put(&self, job: &Job) -> Result<(), StoreError> {
        if self.job_put_if_unchanged(job).await? {
            return Ok(());
        }
        Err(StoreError::Conflict("the job was changed or deleted meanwhile"))
    }

    /// Writes a new job and the mark that its id was used, which is kept for 7 days. Fails with `Conflict` if it was.
    pub async fn job_make(&self, job: &Job) -> Result<(), StoreError> {
        let put = self.store.job_put(job, Precondition::DoesNotExist)?;
        let mark = keys::job_made(self.id, job.bot, job.id).into_item();
        let mark = self.store.put_new(expires(mark, job.created_at + MARK_TTL))?;
        let made = self.store.transact(vec![put_action(put), put_action(mark)]).await?;
        made.map_err(|_| StoreError::Conflict("the job was made before"))
    }

    /// A job that [`Self::job_make`] made: the outer `None`, if it did not; the inner, if the job is gone. Costs one request.
    pub async fn job_made(&self, bot: BotId, id: JobId) -> Result<Option<Option<Job>>, StoreError> {
        let (job, mark) = (keys::job(self.id, bot, id), keys::job_made(self.id, bot, id));
        let found = self.store.items_get([job.clone(), mark.clone()]).await?;
        let job = found.get(&job).map(record).transpose()?;
        Ok((job.is_some() || found.contains_key(&mark)).then_some(job))
    }

    /// Deletes a job with its history. What was sent of it may still run.
    pub async fn job_delete(&self, bot: BotId, id: JobId) -> Result<(), StoreError> {
        self.store.item_delete(keys::job(self.id, bot, id)).await?;
        self.store.item_delete(keys::job_runs(self.id, bot, id)).await
    }

    /// Takes a job out of what is due. It is due again with its next write.
    pub async fn job_rest(&self, bot: BotId, id: JobId) -> Result<(), StoreError> {
        let [due_pk, due_sk] = schema::DUE_KEYS;
        let request = self
            .store
            .dynamo
            .update_item()
            .table_name(&self.store.table)
            .set_key(Some(keys::job(self.id, bot, id).into_item()))
            .condition_expression("attribute_exists(pk)")
            .update_expression("REMOVE #due_pk, #due_sk")
            .expression_attribute_names("#due_pk", due_pk)
            .expression_attribute_names("#due_sk", due_sk);
        match request.send().await {
            Ok(_) => Ok(()),
            // It was deleted meanwhile.
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(()),
            Err(e) => Err(unavailable("stop a job", &e)),
        }
    }

    /// Deletes all jobs of a bot.
    pub async fn jobs_delete(&self, bot: BotId) -> Result<(), StoreError> {
        for prefix in [keys::job_prefix(bot), keys::job_runs_prefix(bot), keys::job_made_prefix(bot)] {
            self.store.partition_delete(&self.id.to_string(), &prefix).await?;
        }
        Ok(())
    }

    /// The last runs of a job.
    pub async fn job_runs(&self, bot: BotId, id: JobId) -> Result<RunHistory, StoreError> {
        Ok(self.store.record_get(keys::job_runs(self.id, bot, id)).await?.unwrap_or_default())
    }

    /// Writes a claim, if the job is still as it was when the claim was decided: the job's version stands for all of it, its
    /// next time included. Whether this tick has the claim, and so sends its runs: of many that claim the same, one does.
    ///
    /// If the service fails it is not known who has it. Then nobody sends, and the runs are sent again by a later tick
    /// ([`domain::job::RESEND_AFTER`]).
    pub async fn job_claim(&self, claim: &Claim) -> Result<bool, StoreError> {
        self.job_put_if_unchanged(&claim.job).await
    }

    /// Writes what the end of a run means for its job, and the run into the history. `None`: nobody waits for it, since its end
    /// was reported before or the job is gone.
    pub async fn job_finish(&self, bot: BotId, id: JobId, report: &Report) -> Result<Option<Finished>, StoreError> {
        let (job_key, runs_key) = (keys::job(self.id, bot, id), keys::job_runs(self.id, bot, id));
        for _ in 0..FINISHES {
            let found = self.store.items_get([job_key.clone(), runs_key.clone()]).await?;
            let Some(seen) = found.get(&job_key).map(record::<Job>).transpose()? else { return Ok(None) };
            let Some(finished) = seen.finish(report.clone()) else { return Ok(None) };
            let precondition = Precondition::MatchesVersion(seen.version);
            let actions = match &finished.job {
                Some(job) => {
                    let mut runs: RunHistory = found.get(&runs_key).map(record).transpose()?.unwrap_or_default();
                    runs.push(finished.run.clone());
                    let put =
                        Put::builder().table_name(&self.store.table).set_item(Some(row(runs_key.clone(), &runs)?));
                    let put = put.build().map_err(|e| unavailable("describe a write", &e))?;
                    vec![put_action(self.store.job_put(job, precondition)?), put_action(put)]
                }
                None => vec![
                    self.store.delete_unchanged(job_key.clone(), seen.version)?,
                    self.store.delete_action(runs_key.clone())?,
                ],
            };
            if self.store.transact(actions).await?.is_ok() {
                return Ok(Some(finished));
            }
        }
        Err(StoreError::Conflict("the job is changed by many at once; try again"))
    }

    /// Writes a job if the version before it is what is stored. Whether it was.
    async fn job_put_if_unchanged(&self, job: &Job) -> Result<bool, StoreError> {
        debug_assert_eq!(job.account, self.id);
        let precondition = match job.version {
            0 | 1 => Precondition::DoesNotExist,
            version => Precondition::MatchesVersion(version - 1),
        };
        let put = self.store.job_put(job, precondition)?;
        let request = self
            .store
            .dynamo
            .put_item()
            .table_name(put.table_name)
            .set_item(Some(put.item))
            .set_condition_expression(put.condition_expression)
            .set_expression_attribute_names(put.expression_attribute_names)
            .set_expression_attribute_values(put.expression_attribute_values);
        match request.send().await {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(false),
            Err(e) => Err(unavailable("write a job", &e)),
        }
    }
}
