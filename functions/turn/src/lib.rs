//! The turn function: takes a session's tasks, lets the engine decide, and performs what it says.
//!
//! [`TurnHandler::handle`] takes a batch apart, `worker` drives one session through
//! [`domain::turn::decide`], `bots` remembers what a bot's turns need, `host` lets its agent at the bot's files, places
//! and sessions, `media_in` reads the files that come with messages, `draft` shows people what a turn is doing.

mod bots;
mod budget;
mod chats;
mod draft;
mod host;
mod media_in;
mod report;
mod schedules;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use agent::{Agent, AgentConfig, AwsAccess, Mind, Skills};
use anyhow::Context;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use domain::job::Outcome;
use domain::{Bot, BotId, Inbound, LinkId, SessionKey, Task, TurnId};
use queues::{Queue, Record, RecordError, Retry};
use runtime::{Environment, SdkConfig};
use store::SecretContext;
use tokio::time::Instant;

use crate::bots::BotCache;
use crate::chats::{Chats, Login};
use crate::draft::Drafts;
use crate::worker::Worker;

pub use media_in::read_pdf_if_asked;

/// A model call that failed is made by this many workers before the turn fails.
const MODEL_ATTEMPTS: u32 = 3;

/// When so many workers have begun at one place of the log, the last of them fails the turn without another try: it has brought
/// down the others.
const MAX_ATTEMPTS: u32 = 5;

/// And if not even that gets on, the first task becomes a dead letter without a word in the chat.
const HOPELESS_ATTEMPTS: u32 = 8;

/// A task waits for longer with each receive up to this one: 81 s.
const MOST_RECEIVES_TO_WAIT_FOR: u32 = 4;

/// A task whose bot could not be read this often, which takes eight hours at least, becomes a dead letter.
const MAX_RECEIVES: u32 = 40;

/// Takes batches of `turns.fifo`. Built once per process.
pub struct TurnHandler {
    environment: Environment,
    mind: Arc<dyn Mind>,
    bots: BotCache,
    /// `None`: turns neither fetch files from chats nor show there what they are doing.
    chats: Option<Chats>,
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
    /// The turns of the `Continue` tasks.
    continued: Vec<TurnId>,
    /// How often the first task was received.
    receive_count: u32,
}

/// Why the records of a group are not all done.
struct Failed {
    error: RecordError,
    /// Trying again is of no use: the first of them becomes a dead letter.
    is_hopeless: bool,
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
        TurnHandler { mind, bots: BotCache::new(Skills::default()), environment, chats: None }
    }

    /// The same handler, whose turns fetch the files that came with messages, and show people what they are doing.
    #[must_use]
    pub fn in_chats(self) -> TurnHandler {
        let chats = Chats::new(&self.environment);
        TurnHandler { chats: Some(chats), ..self }
    }

    /// Runs the turns of a batch. Whatever is not done by `deadline` goes on in another invocation.
    pub async fn handle(&self, event: SqsEvent, deadline: Instant) -> SqsBatchResponse {
        let groups = queues::groups(event);
        let work = groups.iter().map(|records| self.process_or_bury(records, deadline));
        self.environment.queues.work(Queue::Turns, &groups, work).await
    }

    /// Runs a group's turns. A record that will never be done becomes a dead letter with its reason. SQS would not make it
    /// one: it counts receives, and those of a task that only waited behind others say nothing about it.
    async fn process_or_bury(&self, records: &[Record], deadline: Instant) -> Result<(), RecordError> {
        let Err(Failed { mut error, is_hopeless }) = Box::pin(self.process_group(records, deadline)).await else {
            return Ok(());
        };
        if let Some(record) = records.get(error.done).filter(|_| is_hopeless) {
            if let Err(retry) = self.bury(record, &format!("{:#}", error.retry.source)).await {
                return Err(RecordError { retry, ..error });
            }
            error.done += 1;
        }
        if error.done < records.len() { Err(error) } else { Ok(()) }
    }

    /// Runs the turns of one session's records, in order.
    async fn process_group(&self, records: &[Record], deadline: Instant) -> Result<(), Failed> {
        let is_old = records[0].receive_count >= MAX_RECEIVES;
        let early = |retry| Failed { error: RecordError { done: 0, retry }, is_hopeless: is_old };
        let Some(work) = self.read_tasks(records).await.map_err(early)? else { return Ok(()) };
        let context = match self.bots.get(&self.environment, work.account, work.bot).await {
            Ok(Some(context)) => context,
            Ok(None) => {
                tracing::info!(bot = %work.bot, "Tasks of a bot that was deleted are dropped.");
                return Ok(());
            }
            Err(error) => return Err(early(error.into())),
        };
        let messages = work.messages.iter().map(|(_, inbound)| inbound.clone()).collect();
        let drafts = Drafts::new(&self.environment, self.chats.as_ref(), &context.bot, &work.session);
        let session = work.session.clone();
        let mut worker = Worker::new(&self.environment, &*self.mind, &context, session, messages, deadline, &drafts);
        worker.chats = self.chats.as_ref();
        worker.continued = work.continued;
        worker.is_repeated = work.receive_count > 1;
        worker.may_give_back = work.receive_count == 1;
        let halted = worker.run().await;
        if halted.is_ok() {
            worker.seal().await;
        }
        let open = work.messages.iter().find(|(_, inbound)| !worker.is_settled(&inbound.message));
        let (done, retry) = match (halted, open) {
            (Ok(()), None) => return Ok(()),
            // The turn was handed over for lack of time. What still waits comes again and stands first in
            // its session, so that it goes on with that turn.
            (Ok(()), Some((index, _))) => {
                (*index, Retry::exactly(Duration::ZERO, "the time of the invocation is over"))
            }
            // Records before the first message that was not settled are done.
            (Err(retry), open) => (open.map_or(0, |(index, _)| *index), retry),
        };
        let attempt = worker.attempt();
        let is_hopeless = retry.is_failure() && attempt >= HOPELESS_ATTEMPTS;
        // Where attempts cannot be counted the store is away. Receives tell then, but not those of a task that waited.
        let retry = retry.after_attempt(attempt.max(work.receive_count.min(MOST_RECEIVES_TO_WAIT_FOR)));
        Err(Failed { error: RecordError { done, retry }, is_hopeless })
    }

    /// Reads the records of a group. What is not a task of this build becomes a dead letter.
    async fn read_tasks(&self, records: &[Record]) -> Result<Option<Work>, Retry> {
        let mut work: Option<Work> = None;
        for (index, record) in records.iter().enumerate() {
            let (account, bot, session, message, turn) = match Task::from_body(&record.body) {
                Ok(Task::Message(inbound)) => {
                    (inbound.account, inbound.bot, inbound.session.clone(), Some(*inbound), None)
                }
                Ok(Task::Continue(turn)) => (turn.account, turn.bot, turn.session, None, Some(turn.turn)),
                Ok(Task::Deliver(_) | Task::Job(_) | Task::JobsDue(_)) => {
                    self.bury(record, "such a task does not belong in turns.fifo").await?;
                    continue;
                }
                Err(error) => {
                    self.bury(record, &error.to_string()).await?;
                    continue;
                }
            };
            let receive_count = record.receive_count;
            let first = || Work { account, bot, session, messages: vec![], continued: vec![], receive_count };
            let work = work.get_or_insert_with(first);
            work.messages.extend(message.map(|message| (index, message)));
            work.continued.extend(turn);
        }
        Ok(work)
    }

    async fn bury(&self, record: &Record, reason: &str) -> Result<(), Retry> {
        tracing::error!(record = %record.id, "A record of turns.fifo becomes a dead letter: {reason}");
        self.environment.queues.bury_record(Queue::Turns, record, reason).await?;
        if let Ok(Task::Message(inbound)) = Task::from_body(&record.body)
            && let Some(run) = &inbound.job
        {
            let outcome = Outcome::Error { error: reason.to_owned() };
            let report = run.ended(outcome, self.environment.clock.now());
            self.environment.job_end(inbound.account, inbound.bot, run.job, &report).await?;
        }
        Ok(())
    }
}

/// The login of a bot's link. What cannot be had is logged: turns do without.
async fn link_login(environment: &Environment, bot: &Bot, link: LinkId) -> Option<Login> {
    let account = bot.account;
    let login = async {
        let known = environment.store.account(account).link_get(bot.id, link).await?;
        let Some(known) = known.filter(domain::Link::is_active) else { return Ok(None) };
        let Some(sealed) = known.token.clone() else { return Ok(None) };
        let context = SecretContext::LinkToken { account, bot: bot.id, link };
        let secret = environment.store.keyring().open(context, &sealed).await?;
        Ok(Some(Login { link: known, secret }))
    };
    match login.await {
        Ok(login) => login,
        Err::<_, store::StoreError>(error) => {
            tracing::warn!(bot = %bot.id, %link, "A turn does without its link's credentials: {error}");
            None
        }
    }
}
