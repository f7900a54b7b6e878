//! The turn function: takes a session's tasks, lets the engine decide, and performs what it says.
//!
//! [`TurnHandler::handle`] takes a batch apart, `worker` drives one session through
//! [`domain::turn::decide`], `bots` remembers what a bot's turns need, `host` lets its agent at the bot's files, places
//! and sessions, `media_in` reads the files that come with messages, `draft` shows people what a turn is doing.

mod bots;
mod budget;
mod draft;
mod host;
mod media_in;
mod report;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use agent::{Agent, AgentConfig, AwsAccess, Mind, Skills};
use anyhow::Context;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use channels::telegram::Client;
use domain::{Bot, BotId, Inbound, LinkId, SessionKey, Task};
use futures::future::join_all;
use queues::{Queue, Record, RecordError, Retry};
use runtime::{Environment, SdkConfig};
use store::SecretContext;
use tokio::time::Instant;

use crate::bots::BotCache;
use crate::draft::Drafts;
use crate::worker::Worker;

/// A model call that failed is tried in this many receives of its task before the turn fails.
const MODEL_ATTEMPTS: u32 = 3;

/// A task that is received this often has brought down its workers: its turn fails without another try.
/// One below the count at which SQS itself would move it to the dead-letter queue without a word.
const MAX_RECEIVES: u32 = 5;

/// Takes batches of `turns.fifo`. Built once per process.
pub struct TurnHandler {
    environment: Environment,
    mind: Arc<dyn Mind>,
    bots: BotCache,
    /// `None`: turns neither fetch files from chats nor show there what they are doing.
    telegram: Option<Client>,
}

/// What models at Amazon Bedrock are called with. `None` where the role has no region or credentials: not in Lambda.
fn aws_access(role: &SdkConfig) -> Option<AwsAccess> {
    let (region, credentials) = (role.region()?.to_string(), role.credentials_provider()?);
    Some(AwsAccess { region, credentials, endpoint: None })
}

/// The tasks of one session in a batch.
struct Work {
    account: domain::AccountId,
    bot: BotId,
    session: SessionKey,
    /// The record and the message of each `Message` task.
    messages: Vec<(usize, Inbound)>,
    receive_count: u32,
}

impl TurnHandler {
    pub fn new(environment: Environment) -> anyhow::Result<TurnHandler> {
        let settings = &environment.settings;
        let longest = Queue::Turns.time_for_a_batch().saturating_sub(worker::RESERVE * 2);
        if settings.model_timeout > longest {
            let secs = longest.as_secs();
            anyhow::bail!(
                "LOWTIDE_MODEL_TIMEOUT_SECS is too long: at most {secs}, so that a turn ends within its function's time"
            );
        }
        let config = AgentConfig {
            private_models: settings.private_models,
            fetch_allow: settings.fetch_allow.clone(),
            model_timeout: settings.model_timeout,
            aws: environment.bedrock.as_ref().and_then(aws_access),
            ..AgentConfig::default()
        };
        let agent = Agent::new(config).context("the agent's clients")?;
        let skills = bot_files::built_in_skills(settings.skills_dir.as_deref()).context("LOWTIDE_SKILLS_DIR")?;
        let handler = TurnHandler::with_mind(environment, Arc::new(agent)).in_chats();
        Ok(TurnHandler { bots: BotCache::new(skills), ..handler })
    }

    /// A handler whose turns are thought by `mind`, and whose bots have the skills of their workspaces only. They do not
    /// touch chats while they run; see [`Self::in_chats`].
    pub fn with_mind(environment: Environment, mind: Arc<dyn Mind>) -> TurnHandler {
        TurnHandler { mind, bots: BotCache::new(Skills::default()), environment, telegram: None }
    }

    /// The same handler, whose turns fetch the files that came with messages, and show people what they are doing.
    #[must_use]
    pub fn in_chats(self) -> TurnHandler {
        let telegram = Client::new(self.environment.http.clone(), &self.environment.settings.telegram_api_base);
        TurnHandler { telegram: Some(telegram), ..self }
    }

    /// Runs the turns of a batch. Whatever is not done by `deadline` goes on in another invocation.
    pub async fn handle(&self, event: SqsEvent, deadline: Instant) -> SqsBatchResponse {
        let groups = queues::groups(event);
        let outcomes = join_all(groups.iter().map(|records| self.process_or_give_up(records, deadline))).await;
        self.environment.queues.report(Queue::Turns, groups, outcomes).await
    }

    /// Runs a group's turns. A record that is not done after its last receive becomes a dead letter with its
    /// reason: SQS would make it one without.
    async fn process_or_give_up(&self, records: &[Record], deadline: Instant) -> Result<(), RecordError> {
        let Err(mut error) = self.process_group(records, deadline).await else { return Ok(()) };
        let is_last = |record: &Record| record.receive_count >= MAX_RECEIVES;
        if let Some(record) = records.get(error.done).filter(|record| is_last(record)) {
            if let Err(retry) = self.bury(record, &format!("{:#}", error.retry.source)).await {
                return Err(RecordError { retry, ..error });
            }
            error.done += 1;
        }
        if error.done < records.len() { Err(error) } else { Ok(()) }
    }

    /// Runs the turns of one session's records, in order.
    async fn process_group(&self, records: &[Record], deadline: Instant) -> Result<(), RecordError> {
        let fail = |done, retry| RecordError { done, retry };
        let Some(work) = self.read_tasks(records).await.map_err(|retry| fail(0, retry))? else { return Ok(()) };
        let context = match self.bots.get(&self.environment, work.account, work.bot).await {
            Ok(Some(context)) => context,
            Ok(None) => {
                tracing::info!(bot = %work.bot, "Tasks of a bot that was deleted are dropped.");
                return Ok(());
            }
            Err(error) => return Err(fail(0, error.into())),
        };
        let messages = work.messages.iter().map(|(_, inbound)| inbound.clone()).collect();
        let drafts = Drafts::new(&self.environment, self.telegram.as_ref(), &context.bot, &work.session);
        let session = work.session.clone();
        let mut worker = Worker::new(&self.environment, &*self.mind, &context, session, messages, deadline, &drafts);
        worker.telegram = self.telegram.as_ref();
        worker.may_have_draft = work.receive_count > 1;
        worker.attempts_left = MODEL_ATTEMPTS.saturating_sub(work.receive_count);
        worker.give_up = work.receive_count >= MAX_RECEIVES;
        worker.may_give_back = work.receive_count == 1;
        let halted = worker.run().await;
        if halted.is_ok() {
            worker.seal().await;
        }
        let open = work.messages.iter().find(|(_, inbound)| !worker.is_settled(&inbound.message));
        match (halted, open) {
            (Ok(()), None) => Ok(()),
            // The turn was handed over for lack of time. What still waits comes again and stands first in
            // its session, so that it goes on with that turn.
            (Ok(()), Some((index, _))) => {
                Err(fail(*index, Retry::exactly(Duration::ZERO, "the time of the invocation is over")))
            }
            // Records before the first message that was not settled are done.
            (Err(retry), open) => Err(fail(open.map_or(0, |(index, _)| *index), retry)),
        }
    }

    /// Reads the records of a group. What is not a task of this build becomes a dead letter.
    async fn read_tasks(&self, records: &[Record]) -> Result<Option<Work>, Retry> {
        let mut work: Option<Work> = None;
        for (index, record) in records.iter().enumerate() {
            let (account, bot, session, message) = match Task::from_body(&record.body) {
                Ok(Task::Message(inbound)) => (inbound.account, inbound.bot, inbound.session.clone(), Some(*inbound)),
                Ok(Task::Continue(turn)) => (turn.account, turn.bot, turn.session, None),
                Ok(Task::Deliver(_)) => {
                    self.bury(record, "a delivery does not belong in turns.fifo").await?;
                    continue;
                }
                Err(error) => {
                    self.bury(record, &error.to_string()).await?;
                    continue;
                }
            };
            let receive_count = record.receive_count;
            let work = work.get_or_insert_with(|| Work { account, bot, session, messages: vec![], receive_count });
            work.messages.extend(message.map(|message| (index, message)));
        }
        Ok(work)
    }

    async fn bury(&self, record: &Record, reason: &str) -> Result<(), Retry> {
        tracing::error!(record = %record.id, "A record of turns.fifo becomes a dead letter: {reason}");
        self.environment.queues.bury_record(Queue::Turns, record, reason).await?;
        Ok(())
    }
}

/// The token of a bot's link. What cannot be had is logged: turns do without.
async fn link_token(environment: &Environment, bot: &Bot, link: LinkId) -> Option<String> {
    let account = bot.account;
    let token = async {
        let known = environment.store.account(account).link_get(bot.id, link).await?;
        let Some(sealed) = known.filter(|link| link.is_active()).and_then(|link| link.token) else { return Ok(None) };
        let context = SecretContext::LinkToken { account, bot: bot.id, link };
        environment.store.keyring().open(context, &sealed).await.map(Some)
    };
    match token.await {
        Ok(token) => token,
        Err::<_, store::StoreError>(error) => {
            tracing::warn!(bot = %bot.id, %link, "A turn does without its link's token: {error}");
            None
        }
    }
}
