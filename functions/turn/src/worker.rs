//! Drives one session: asks [`decide`] what to do, does it, and reports what came of it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use agent::{Agent, BotView, ModelError, ModelRequest, ToolContext};
use domain::task::Continue;
use domain::turn::{Action, ActiveTurn, Event, Head, ReplyTo, View, decide};
use domain::{
    Entry, EntryBody, EntryId, Inbound, MessageId, Outbound, OutboundId, SessionKey, Task, ToolCall, ToolOutcome,
    ToolResult, TurnId,
};
use futures::stream::{self, StreamExt};
use runtime::Environment;
use store::{Commit, DeliveryStatus, StoreError};

use crate::bots::BotContext;
use crate::{MODEL_ATTEMPTS, SOON};

/// A worker that lost its session to another one this often stops and leaves the rest to the queue.
const MAX_LOSSES: u32 = 5;

/// A provider that asks to be left alone for longer than this is not waited for: the person is told.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many tools run at once: a function has little memory, and a page may be large.
const TOOLS_AT_ONCE: usize = 4;

/// What is kept free before the deadline for the last commit and the queueing of its outbox.
pub(crate) const RESERVE: Duration = Duration::from_secs(15);

/// The worker stops here; what it has not settled is to be tried again.
#[derive(Debug)]
pub(crate) struct Halt {
    pub(crate) retry_after: Duration,
    pub(crate) source: anyhow::Error,
}

/// Why a step did not go on.
enum Interruption {
    /// Another worker committed: load the session again and decide anew.
    Lost,
    Halt(Halt),
}

impl<E: Into<Halt>> From<E> for Interruption {
    fn from(error: E) -> Interruption {
        Interruption::Halt(error.into())
    }
}

pub(crate) struct Worker<'a> {
    environment: &'a Environment,
    agent: &'a Agent,
    context: &'a BotContext,
    session: SessionKey,
    deadline: Instant,
    /// Receives of the task that are left for a model that does not answer.
    pub(crate) attempts_left: u32,
    /// The task has brought down its workers too often: fail its turn instead of running it.
    pub(crate) give_up: bool,
    head: Head,
    /// The end of the log, and behind `head.next_seq` what was appended and is not committed.
    entries: Vec<Entry>,
    turn: Option<ActiveTurn>,
    waiting: Vec<Inbound>,
    /// Messages of the turn in hand that are in the log.
    in_turn: Vec<MessageId>,
    /// Messages that need nothing more from their task.
    settled: HashSet<MessageId>,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(
        environment: &'a Environment,
        agent: &'a Agent,
        context: &'a BotContext,
        session: SessionKey,
        mut waiting: Vec<Inbound>,
        deadline: Instant,
    ) -> Worker<'a> {
        let mut seen = HashSet::new();
        waiting.retain(|inbound| seen.insert(inbound.message.clone()));
        Worker {
            environment,
            agent,
            context,
            session,
            deadline,
            attempts_left: 0,
            give_up: false,
            head: Head::default(),
            entries: vec![],
            turn: None,
            waiting,
            in_turn: vec![],
            settled: HashSet::new(),
        }
    }

    /// Whether a message needs nothing more from its task.
    pub(crate) fn is_settled(&self, message: &MessageId) -> bool {
        self.settled.contains(message)
    }

    /// Works until nothing is left to do.
    pub(crate) async fn run(&mut self) -> Result<(), Halt> {
        let all = self.waiting.clone();
        for _ in 0..MAX_LOSSES {
            self.waiting = all.iter().filter(|inbound| !self.is_settled(&inbound.message)).cloned().collect();
            match self.run_once().await {
                Ok(()) => return Ok(()),
                Err(Interruption::Halt(halt)) => return Err(halt),
                Err(Interruption::Lost) => {
                    tracing::info!(bot = %self.context.bot.id, session = %self.session, "Another worker was faster; looking again.");
                }
            }
        }
        let source = anyhow::anyhow!("the session {} is being worked on elsewhere", self.session);
        Err(Halt { retry_after: Duration::from_secs(5), source })
    }

    async fn run_once(&mut self) -> Result<(), Interruption> {
        let account = self.environment.store.account(self.context.bot.account);
        let state = account.session_load(self.context.bot.id, &self.session).await?;
        self.head = state.head;
        self.entries = state.entries;
        self.turn = None;
        self.in_turn.clear();
        let mut event = Event::Loaded;
        loop {
            let actions = decide(&self.view(), self.agent.tool_rules(), event);
            let mut next = None;
            for action in actions {
                if action == Action::Finish {
                    return Ok(());
                }
                next = self.perform(action).await?;
            }
            event = match next {
                Some(event) => event,
                // The engine ends every list with something that answers, or with `Finish`.
                None => return Ok(()),
            };
        }
    }

    fn view(&self) -> View<'_> {
        let now = self.environment.clock.now();
        View {
            head: &self.head,
            entries: &self.entries,
            turn: self.turn.as_ref(),
            waiting: &self.waiting,
            mode: self.context.bot.queue_mode,
            next_turn: TurnId::from_parts(now, self.environment.entropy.next_u128()),
            now,
            out_of_time: Instant::now() + self.environment.settings.model_timeout + RESERVE > self.deadline,
        }
    }

    async fn perform(&mut self, action: Action) -> Result<Option<Event>, Interruption> {
        match action {
            Action::Skip { message, resend } => {
                self.waiting.retain(|inbound| inbound.message != message);
                match resend {
                    Some(turn) => {
                        self.resend(turn).await?;
                        self.settled.insert(message);
                    }
                    None => self.in_turn.push(message),
                }
                Ok(None)
            }
            Action::Append { turn, body } => {
                self.append(turn, body);
                Ok(None)
            }
            Action::Commit { turn, outbox } => {
                self.commit(turn, &outbox).await?;
                Ok(Some(Event::Committed))
            }
            Action::CallModel { turn, tools } => {
                let event = self.call_model(&turn, tools).await;
                self.turn = Some(turn);
                Ok(Some(event?))
            }
            Action::RunTools { turn, calls } => {
                let results = self.run_tools(&calls).await;
                self.turn = Some(turn);
                Ok(Some(results))
            }
            Action::Requeue { turn } => {
                let bot = &self.context.bot;
                let (session, version) = (self.session.clone(), self.head.version);
                let task = Continue { account: bot.account, bot: bot.id, session, turn: turn.id, version };
                self.environment.queues.send(&Task::Continue(task)).await?;
                self.settled.extend(self.in_turn.drain(..));
                tracing::info!(turn = %turn.id, steps = turn.steps, "The turn goes on in another invocation.");
                Ok(None)
            }
            Action::Finish => Ok(None),
        }
    }

    fn append(&mut self, turn: TurnId, body: EntryBody) {
        let at = self.environment.clock.now();
        if let EntryBody::User(user) = &body {
            self.waiting.retain(|inbound| inbound.message != user.message);
        }
        let seq = self.entries.last().map_or(self.head.next_seq, |last| last.seq + 1);
        let id = EntryId::from_parts(at, self.environment.entropy.next_u128());
        self.entries.push(Entry { seq, id, turn, at, body });
    }

    /// Commits what was appended, then queues the outbox.
    async fn commit(&mut self, turn: Option<ActiveTurn>, outbox: &[Outbound]) -> Result<(), Interruption> {
        let bot = &self.context.bot;
        let first_new = self.entries.iter().position(|entry| entry.seq >= self.head.next_seq);
        let appended = &self.entries[first_new.unwrap_or(self.entries.len())..];
        let failed = appended.iter().find_map(|e| matches!(e.body, EntryBody::Failed { .. }).then_some(e.turn));
        if let Some(failed) = failed {
            self.bury(failed).await?;
        }
        let marks = messages(appended);
        let mut head = self.head.clone();
        head.version += 1;
        head.next_seq += appended.len() as u64;
        head.turn.clone_from(&turn);
        head.updated_at = self.environment.clock.now();
        for entry in appended {
            if let EntryBody::Assistant(answer) = &entry.body {
                head.usage += answer.usage;
            }
        }
        let commit = Commit { seen_version: self.head.version, head: &head, entries: appended, marks: &marks, outbox };
        let account = self.environment.store.account(bot.account);
        match account.session_commit(bot.id, &self.session, &commit).await {
            Ok(()) => {}
            Err(StoreError::Conflict(_)) => return Err(Interruption::Lost),
            Err(StoreError::AlreadyTaken(messages)) => {
                self.settled.extend(messages);
                return Err(Interruption::Lost);
            }
            Err(error) => return Err(error.into()),
        }
        self.head = head;
        self.turn = turn;
        self.in_turn.extend(marks);
        self.queue(outbox).await?;
        if self.turn.is_none() {
            self.settled.extend(self.in_turn.drain(..));
            // What the task of the first message has seen says nothing about the next turn.
            self.give_up = false;
            self.attempts_left = MODEL_ATTEMPTS - 1;
        }
        Ok(())
    }

    async fn queue(&self, outbox: &[Outbound]) -> Result<(), Halt> {
        let tasks: Vec<Task> = outbox.iter().map(|outbound| Task::Deliver(Box::new(outbound.clone()))).collect();
        Ok(self.environment.queues.send_all(&tasks).await?)
    }

    /// Queues a committed reply again, unless it was delivered.
    async fn resend(&self, turn: TurnId) -> Result<(), Halt> {
        let bot = &self.context.bot;
        let account = self.environment.store.account(bot.account);
        match account.delivery_get(bot.id, &OutboundId::reply(turn, 0)).await? {
            Some(delivery) if delivery.status == DeliveryStatus::Pending => self.queue(&[delivery.outbound]).await,
            _ => Ok(()),
        }
    }

    async fn call_model(&self, turn: &ActiveTurn, tools: bool) -> Result<Event, Halt> {
        if self.give_up {
            let text = "Something went wrong while I worked on your message, several times, so I stopped. \
                        My owner can see what happened and let me try again.";
            let detail = "the workers that ran this turn died each time; their logs say why";
            return Ok(Event::ModelFailed { text: text.to_owned(), detail: detail.to_owned() });
        }
        if let Some(detail) = &self.context.broken {
            let text =
                "Something that I need is damaged, so your message is not answered. My owner can see what it is.";
            return Ok(Event::ModelFailed { text: text.to_owned(), detail: detail.clone() });
        }
        let bot = &self.context.bot;
        let request = ModelRequest {
            bot: BotView {
                name: &bot.name,
                time_zone: &bot.time_zone,
                model: bot.model.model.as_deref(),
                base_url: bot.model.base_url.as_deref(),
                api_key: self.context.api_key.as_ref(),
            },
            chat: turn.reply.address.kind,
            workspace: &self.context.workspace,
            entries: &self.entries,
            tools,
            now: self.environment.clock.now(),
        };
        let started = Instant::now();
        let error = match self.agent.answer(&request).await {
            Ok(answer) => {
                tracing::info!(
                    turn = %turn.id,
                    model = %answer.model,
                    model_ms = started.elapsed().as_millis(),
                    tool_calls = answer.tool_calls.len(),
                    "The model answered."
                );
                return Ok(Event::Answered(answer));
            }
            Err(error) => error,
        };
        match &error {
            ModelError::Temporary { retry_after, .. }
                if self.attempts_left > 0 && retry_after.is_none_or(|after| after <= PATIENCE) =>
            {
                Err(Halt { retry_after: retry_after.unwrap_or(SOON), source: error.into() })
            }
            _ => Ok(Event::ModelFailed { text: error.person().to_owned(), detail: error.to_string() }),
        }
    }

    async fn run_tools(&self, calls: &[ToolCall]) -> Event {
        if self.give_up {
            let result = |call: &ToolCall| ToolResult {
                call: call.id.clone(),
                name: call.name.clone(),
                outcome: ToolOutcome::Error,
                text: "It was not run: the workers that tried died.".to_owned(),
            };
            return Event::ToolsRan(calls.iter().map(result).collect());
        }
        let context = ToolContext { now: self.environment.clock.now(), time_zone: self.context.bot.time_zone.clone() };
        let context = &context;
        let runs = calls.iter().cloned().map(|call| async move { self.agent.run_tool(&call, context).await });
        Event::ToolsRan(stream::iter(runs).buffered(TOOLS_AT_ONCE).collect().await)
    }

    /// Puts the messages of a turn that failed for good into the dead-letter queue, so that its owner
    /// can see them and have them asked again.
    async fn bury(&self, turn: TurnId) -> Result<(), Halt> {
        let reason = self.entries.iter().rev().find_map(|entry| match &entry.body {
            EntryBody::Failed { detail, .. } if entry.turn == turn => Some(detail.as_str()),
            _ => None,
        });
        let Some(active) = &self.turn else { return Ok(()) };
        for entry in self.entries.iter().filter(|entry| entry.turn == turn) {
            let EntryBody::User(user) = &entry.body else { continue };
            let task = Task::Message(Box::new(inbound_of(&active.reply, &self.session, user)));
            let id = format!("{turn}.{}", user.message);
            self.environment.queues.bury(&task, &id, reason.unwrap_or("unknown")).await?;
            tracing::error!(
                bot = %self.context.bot.id,
                %turn,
                message = %user.message,
                "The turn failed and its message is a dead letter: {}",
                reason.unwrap_or("unknown")
            );
        }
        Ok(())
    }
}

fn messages(entries: &[Entry]) -> Vec<MessageId> {
    let message = |entry: &Entry| match &entry.body {
        EntryBody::User(user) => Some(user.message.clone()),
        _ => None,
    };
    entries.iter().filter_map(message).collect()
}

/// The message as it is asked again: from what the log keeps of it, and where its turn's answer goes.
fn inbound_of(reply: &ReplyTo, session: &SessionKey, user: &domain::UserMessage) -> Inbound {
    Inbound {
        account: reply.account,
        bot: reply.bot,
        link: reply.link,
        channel: user.channel,
        message: user.message.asked_again(),
        session: session.clone(),
        address: reply.address.clone(),
        sender: user.sender.clone(),
        text: user.text.clone(),
        attachments: user.attachments.clone(),
        quote: user.quote.clone(),
        sent_at: user.sent_at,
        received_at: user.sent_at,
    }
}
