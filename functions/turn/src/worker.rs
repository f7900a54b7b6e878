//! Drives one session: asks [`decide`] what to do, does it, and reports what came of it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use agent::{Host, Mind, ModelError, ModelRequest, Progress, ToolContext, Workspace};
use channels::telegram::Client;
use domain::budget::{BudgetScope, Settlement};
use domain::task::Continue;
use domain::turn::{self, Action, ActiveTurn, Event, Head, Question, ReplyTo, View, decide};
use domain::{
    Attachment, Channel, Entry, EntryBody, EntryId, Inbound, MessageId, Outbound, OutboundId, SessionKey, Task,
    ToolCall, ToolOutcome, ToolResult, TurnId, UserMessage,
};
use futures::stream::{self, StreamExt};
use queues::Retry;
use runtime::Environment;
use store::{Commit, DeliveryStatus, LogSizes, Notice, SessionState, Spending, StoreError};
use tokio::time::Instant;

use crate::MODEL_ATTEMPTS;
use crate::bots::BotContext;
use crate::budget::{self, Refusal};
use crate::draft::{Drafts, TextSoFar};
use crate::host::BotHost;
use crate::report::{self, Facts};
use crate::{link_token, media_in};

/// A worker that lost its session to another one this often stops and leaves the rest to the queue.
const MAX_LOSSES: u32 = 5;

/// A provider that asks to be left alone for longer than this is not waited for: the person is told.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many tools run at once: a function has little memory, and a page may be large.
const TOOLS_AT_ONCE: usize = 4;

/// What is kept free before the deadline for the last commit and the queueing of its outbox.
pub(crate) const RESERVE: Duration = Duration::from_secs(15);

/// How often a decision is made anew because only the head was changed meanwhile.
const MAX_GLANCES: u32 = 20;

/// Why a step did not go on.
enum Interruption {
    /// Another worker committed: load the session again and decide anew.
    Lost,
    /// A budget does not allow the call that was to be reserved.
    OverBudget(BudgetScope),
    Halt(Retry),
}

impl<E: Into<Retry>> From<E> for Interruption {
    fn from(error: E) -> Interruption {
        Interruption::Halt(error.into())
    }
}

pub(crate) struct Worker<'a> {
    environment: &'a Environment,
    mind: &'a dyn Mind,
    context: &'a BotContext,
    session: SessionKey,
    /// Where the session is held, as its first commit notes.
    place: Option<ReplyTo>,
    /// The workspace, if a tool has changed it.
    workspace: Option<Workspace>,
    deadline: Instant,
    /// Receives of the task that are left for a model that does not answer.
    pub(crate) attempts_left: u32,
    /// The task has brought down its workers too often: fail its turn instead of running it.
    pub(crate) give_up: bool,
    /// Messages may be given back once, so that others can join them.
    pub(crate) may_give_back: bool,
    /// An earlier worker may have shown a draft.
    pub(crate) may_have_draft: bool,
    /// Where files are fetched from; `None`: they are left where they are.
    pub(crate) telegram: Option<&'a Client>,
    drafts: &'a Drafts<'a>,
    /// What came with the messages that were read.
    read: HashMap<MessageId, Vec<Attachment>>,
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
        mind: &'a dyn Mind,
        context: &'a BotContext,
        session: SessionKey,
        mut waiting: Vec<Inbound>,
        deadline: Instant,
        drafts: &'a Drafts<'a>,
    ) -> Worker<'a> {
        let mut seen = HashSet::new();
        waiting.retain(|inbound| seen.insert(inbound.message.clone()));
        Worker {
            environment,
            mind,
            context,
            session,
            place: waiting.first().map(ReplyTo::of),
            workspace: None,
            deadline,
            attempts_left: 0,
            give_up: false,
            may_give_back: false,
            may_have_draft: false,
            telegram: None,
            drafts,
            read: HashMap::new(),
            head: Head::default(),
            entries: vec![],
            turn: None,
            waiting,
            in_turn: vec![],
            settled: HashSet::new(),
        }
    }

    /// Moves the beginning of a long log to S3. If that fails, a later turn does it. A turn that waits needs the
    /// beginning of its own.
    pub(crate) async fn seal(&self) {
        let (bot, store) = (&self.context.bot, &self.environment.store);
        let LogSizes { segment, keep, .. } = store.log_sizes();
        if self.head.turn.is_some() || self.head.next_seq.saturating_sub(self.head.sealed) < keep + segment {
            return;
        }
        match store.account(bot.account).session_seal(bot.id, &self.session, &self.head, keep).await {
            Ok(Some(head)) => {
                tracing::info!(bot = %bot.id, session = %self.session, sealed = head.sealed, "A long log was sealed.")
            }
            Ok(None) | Err(StoreError::Conflict(_)) => {}
            Err(error) => tracing::warn!(bot = %bot.id, session = %self.session, "A long log was not sealed: {error}"),
        }
    }

    /// Whether a message needs nothing more from its task.
    pub(crate) fn is_settled(&self, message: &MessageId) -> bool {
        self.settled.contains(message)
    }

    /// Works until nothing is left to do.
    pub(crate) async fn run(&mut self) -> Result<(), Retry> {
        let all = self.waiting.clone();
        let mut losses = 0;
        while losses < MAX_LOSSES {
            let settled = self.settled.len();
            self.waiting = all.iter().filter(|inbound| !self.is_settled(&inbound.message)).cloned().collect();
            match self.run_once().await {
                Ok(()) => return Ok(()),
                Err(Interruption::Halt(retry)) => return Err(retry),
                // Who reserves looks at this first.
                Err(Interruption::OverBudget(scope)) => return Err(StoreError::OverBudget(scope).into()),
                // A message that turned out to be answered long ago is settled now.
                Err(Interruption::Lost) if self.settled.len() > settled => {}
                Err(Interruption::Lost) => {
                    losses += 1;
                    tracing::info!(bot = %self.context.bot.id, session = %self.session, "Another worker was faster; looking again.");
                }
            }
        }
        let source = anyhow::anyhow!("the session {} is being worked on elsewhere", self.session);
        Err(Retry::after(Duration::from_secs(5), source))
    }

    async fn run_once(&mut self) -> Result<(), Interruption> {
        let state = self.load().await?;
        self.head = state.head;
        self.entries = state.entries;
        self.turn = None;
        self.in_turn.clear();
        if self.may_have_draft || self.head.turn.is_some() {
            self.drafts.take_over(&self.entries).await;
        }
        let mut event = Event::Loaded;
        let mut glances = 0;
        loop {
            let before = (self.entries.len(), self.turn.clone(), self.waiting.clone(), self.in_turn.clone());
            event = match self.advance(event.clone()).await {
                Ok(Some(next)) => next,
                Ok(None) => return Ok(()),
                Err(Interruption::Lost) if glances < MAX_GLANCES => {
                    glances += 1;
                    let head = self.load().await?.head;
                    if head.next_seq != self.head.next_seq {
                        return Err(Interruption::Lost);
                    }
                    // Nobody wrote to the log: only the head was changed. What happened here is still true.
                    self.head = head;
                    self.entries.truncate(before.0);
                    (self.turn, self.waiting, self.in_turn) = (before.1, before.2, before.3);
                    event
                }
                Err(interruption) => return Err(interruption),
            };
        }
    }

    async fn load(&self) -> Result<SessionState, StoreError> {
        let bot = &self.context.bot;
        self.environment.store.account(bot.account).session_load(bot.id, &self.session).await
    }

    /// Performs what `decide` makes of an event, and returns the next one; `None` if nothing is left to do.
    async fn advance(&mut self, event: Event) -> Result<Option<Event>, Interruption> {
        let actions = decide(&self.view(), self.mind, event);
        let mut next = None;
        for action in actions {
            next = self.perform(action).await?;
        }
        Ok(next)
    }

    fn view(&self) -> View<'_> {
        let now = self.environment.clock.now();
        View {
            bot: &self.context.bot,
            head: &self.head,
            entries: &self.entries,
            turn: self.turn.as_ref(),
            waiting: &self.waiting,
            next_turn: TurnId::from_parts(now, self.environment.entropy.next_u128()),
            now,
            out_of_time: Instant::now() + self.environment.settings.model_timeout + RESERVE > self.deadline,
            may_give_back: self.may_give_back,
            metered: self.context.is_metered(),
            context_window: self.mind.context_window(&self.context.view(&self.head.settings)),
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
            Action::Append { turn, mut body } => {
                if let EntryBody::User(user) = &mut body {
                    self.read_files(user).await;
                }
                self.append(turn, body);
                Ok(None)
            }
            Action::Commit(commit) => {
                let spending = commit.settle.clone().map_or(Spending::Nothing, Spending::Settle);
                self.commit(*commit, spending).await?;
                Ok(Some(Event::Committed))
            }
            Action::Reserve { turn, question } => Ok(Some(self.reserve(turn, question).await?)),
            Action::CallModel { turn, question } => {
                self.turn = Some(turn.clone());
                Ok(Some(self.call_model(&turn, &question).await?))
            }
            Action::RunTools { turn, calls } => {
                let results = self.run_tools(&turn, &calls).await;
                self.turn = Some(turn);
                Ok(Some(results))
            }
            Action::Report { turn, what } => {
                let bot = &self.context.bot;
                let view = self.context.view(&self.head.settings);
                let host = self.host(&turn);
                let prompt = self.mind.prompt_report(&self.request(&turn, &Question::Step { tools: true }, &host));
                let facts = Facts {
                    context: self.context,
                    session: &self.session,
                    head: &self.head,
                    entries: &self.entries,
                    window: self.mind.context_window(&view),
                    tools: self.mind.tool_names(&view),
                    skills: self.context.skills.statuses(bot.abilities.skills.as_deref()),
                    prompt,
                };
                let text = report::compose(self.environment.store.account(bot.account), &facts, what).await?;
                self.turn = Some(turn);
                Ok(Some(Event::Reported { text }))
            }
            Action::Requeue { turn } => {
                let bot = &self.context.bot;
                let Head { next_seq, epoch, .. } = self.head;
                let session = self.session.clone();
                let task = Continue { account: bot.account, bot: bot.id, session, turn: turn.id, next_seq, epoch };
                self.environment.queues.send(&Task::Continue(task)).await?;
                self.settled.extend(self.in_turn.drain(..));
                tracing::info!(turn = %turn.id, steps = turn.steps, "The turn goes on in another invocation.");
                Ok(None)
            }
            Action::GiveBack { wait } => {
                Err(Interruption::Halt(Retry::exactly(wait, "more messages may come to be answered together")))
            }
            Action::Finish => Ok(None),
        }
    }

    /// Sets a call's cost aside, in the transaction that commits what was appended.
    async fn reserve(&mut self, turn: ActiveTurn, question: Question) -> Result<Event, Interruption> {
        let now = self.environment.clock.now();
        let estimate = self.mind.estimate(&self.request(&turn, &question, &self.host(&turn)));
        self.turn = Some(turn.clone());
        let refusal = match budget::reserve(self.context, &turn, estimate, now) {
            Ok(spending) => {
                let turn = ActiveTurn { reserved: spending.reserved(), is_counted: true, ..turn };
                let commit = turn::Commit { turn: Some(turn), ..turn::Commit::default() };
                match self.commit(commit, spending).await {
                    Ok(()) => return Ok(Event::Reserved(question)),
                    Err(Interruption::OverBudget(scope)) => Refusal::UsedUp(scope),
                    Err(interruption) => return Err(interruption),
                }
            }
            Err(refusal) => refusal,
        };
        let bot = &self.context.bot;
        let notice = refusal.notice(self.context, now);
        if self.environment.store.account(bot.account).notice_put(&notice).await? {
            tracing::warn!(bot = %bot.id, account = %bot.account, "{}", notice.text);
        }
        Ok(Event::OverBudget { text: refusal.person(self.context) })
    }

    /// Reads the files that came with a message, as far as there is time.
    async fn read_files(&mut self, user: &mut UserMessage) {
        let Some(telegram) = self.telegram else { return };
        let is_unread = user.attachments.iter().any(media_in::is_unread);
        if !is_unread || self.give_up || user.is_command || user.channel != Channel::Telegram {
            return;
        }
        if let Some(read) = self.read.get(&user.message) {
            user.attachments.clone_from(read);
            return;
        }
        let bot = &self.context.bot;
        let Some(link) = self.waiting.iter().find(|inbound| inbound.message == user.message).map(|i| i.link) else {
            return;
        };
        let Some(token) = link_token(self.environment, bot, link).await else { return };
        let left = self.deadline.saturating_duration_since(Instant::now());
        let left = left.saturating_sub(self.environment.settings.model_timeout + RESERVE);
        let reader = media_in::Reader {
            environment: self.environment,
            mind: self.mind,
            bot: self.context.view(&self.head.settings),
            account: bot.account,
            id: bot.id,
            telegram,
            token: &token,
            until: Instant::now() + left.clamp(media_in::LEAST_TIME, media_in::MOST_TIME),
        };
        let uncommitted = self.entries.iter().filter(|entry| entry.seq >= self.head.next_seq);
        let attachments = uncommitted.flat_map(|entry| entry.body.messages()).flat_map(|user| &user.attachments);
        let said: usize = attachments.filter_map(|attachment| attachment.text.as_ref()).map(String::len).sum();
        let room = media_in::MAX_TEXTS.saturating_sub(said);
        user.attachments = reader.read(std::mem::take(&mut user.attachments), room).await;
        self.read.insert(user.message.clone(), user.attachments.clone());
    }

    fn append(&mut self, turn: TurnId, body: EntryBody) {
        let at = self.environment.clock.now();
        let taken = body.messages();
        self.waiting.retain(|inbound| taken.iter().all(|user| user.message != inbound.message));
        let seq = self.entries.last().map_or(self.head.next_seq, |last| last.seq + 1);
        let id = EntryId::from_parts(at, self.environment.entropy.next_u128());
        self.entries.push(Entry { seq, id, turn, at, body });
    }

    /// Commits what was appended, then queues the outbox.
    async fn commit(&mut self, mut commit: turn::Commit, spending: Spending) -> Result<(), Interruption> {
        let has_ended = commit.turn.is_none();
        let replaces_draft = has_ended && self.drafts.hand_over(&mut commit.outbox).await;
        let bot = &self.context.bot;
        let first_new = self.entries.iter().position(|entry| entry.seq >= self.head.next_seq);
        let appended = &self.entries[first_new.unwrap_or(self.entries.len())..];
        let failed = appended.iter().find_map(|e| matches!(e.body, EntryBody::Failed { .. }).then_some(e.turn));
        if let Some(failed) = failed {
            self.bury(failed).await?;
        }
        let marks = messages(appended);
        let head = self.head.after(appended, &commit, self.environment.clock.now());
        let outbox = &commit.outbox;
        let (seen, place) = (&self.head, self.place.as_ref());
        let transaction =
            Commit { seen, head: &head, entries: appended, marks: &marks, outbox, spending: &spending, place };
        let account = self.environment.store.account(bot.account);
        match account.session_commit(bot.id, &self.session, &transaction).await {
            Ok(()) => {}
            Err(StoreError::Conflict(_)) => return Err(Interruption::Lost),
            Err(StoreError::AlreadyTaken(messages)) => {
                self.settled.extend(messages);
                return Err(Interruption::Lost);
            }
            Err(StoreError::OverBudget(scope)) => return Err(Interruption::OverBudget(scope)),
            Err(error) => return Err(error.into()),
        }
        self.head = head;
        let ended = std::mem::replace(&mut self.turn, commit.turn).filter(|_| has_ended);
        self.in_turn.extend(marks);
        self.queue(outbox).await?;
        if let Some(asked) = question(&self.entries, self.turn.as_ref()) {
            self.tell_owner(asked).await?;
        }
        if let Some(ended) = ended {
            self.drafts.end(&ended.reply, replaces_draft).await;
        }
        // What a waiting turn took in needs nothing more from its task either: a decision or a wake goes on with it.
        if self.turn.as_ref().is_none_or(|turn| turn.waiting.is_some()) {
            self.settled.extend(self.in_turn.drain(..));
            // What the task of the first message has seen says nothing about the next turn.
            self.give_up = false;
            self.attempts_left = MODEL_ATTEMPTS - 1;
        }
        Ok(())
    }

    /// Tells the owner of a question that is asked where they may not see it.
    async fn tell_owner(&self, (code, text): (&str, &str)) -> Result<(), StoreError> {
        let bot = &self.context.bot;
        let text = format!(
            "{} waits for an approval in the session {}. `lowtide approvals allow {code}` or `deny {code}` decides it.\n\n{text}",
            bot.name, self.session
        );
        let at = self.environment.clock.now();
        let notice = Notice { about: format!("approval.{code}"), bot: Some(bot.id), text, at };
        self.environment.store.account(bot.account).notice_put(&notice).await?;
        Ok(())
    }

    async fn queue(&self, outbox: &[Outbound]) -> Result<(), Retry> {
        let tasks: Vec<Task> = outbox.iter().map(|outbound| Task::Deliver(Box::new(outbound.clone()))).collect();
        Ok(self.environment.queues.send_all(&tasks).await?)
    }

    /// Queues a committed reply again, unless it was delivered.
    async fn resend(&self, turn: TurnId) -> Result<(), Retry> {
        let bot = &self.context.bot;
        let account = self.environment.store.account(bot.account);
        match account.delivery_get(bot.id, &OutboundId::reply(turn, 0)).await? {
            Some(delivery) if delivery.status == DeliveryStatus::Pending => self.queue(&[delivery.outbound]).await,
            _ => Ok(()),
        }
    }

    fn host<'b>(&'b self, turn: &'b ActiveTurn) -> BotHost<'b> {
        BotHost::new(self.environment, &self.context.bot, &self.session, turn)
    }

    fn request<'b>(&'b self, turn: &ActiveTurn, question: &'b Question, host: &'b dyn Host) -> ModelRequest<'b> {
        ModelRequest {
            bot: self.context.view(&self.head.settings),
            chat: turn.reply.address.kind,
            workspace: self.workspace.as_ref().unwrap_or(&self.context.workspace),
            entries: &self.entries,
            question,
            host,
            progress: None,
            now: self.environment.clock.now(),
        }
    }

    async fn call_model(&mut self, turn: &ActiveTurn, question: &Question) -> Result<Event, Interruption> {
        if self.give_up {
            let text = "Something went wrong while I worked on your message, several times, so I stopped. \
                        My owner can see what happened and let me try again.";
            let detail = "the workers that ran this turn died each time; their logs say why";
            return Ok(Event::ModelFailed { text: text.to_owned(), detail: detail.to_owned(), cost: Some(0) });
        }
        if let Some(detail) = &self.context.broken {
            let text =
                "Something that I need is damaged, so your message is not answered. My owner can see what it is.";
            return Ok(Event::ModelFailed { text: text.to_owned(), detail: detail.clone(), cost: Some(0) });
        }
        let started = Instant::now();
        let said = TextSoFar::default();
        let is_step = matches!(question, Question::Step { .. });
        let progress = is_step.then_some(&said as &dyn Progress);
        let host = self.host(turn);
        let request = ModelRequest { progress, ..self.request(turn, question, &host) };
        let answered = self.drafts.during(turn, is_step.then_some(&said), self.mind.answer(&request)).await;
        let error = match answered {
            Ok(answer) => {
                tracing::info!(
                    turn = %turn.id,
                    model = %answer.model,
                    model_ms = started.elapsed().as_millis(),
                    tool_calls = answer.tool_calls.len(),
                    "The model answered."
                );
                return Ok(match question {
                    Question::Step { .. } => Event::Answered(answer),
                    Question::Summary { keep_from, .. } => Event::Summarised { keep_from: *keep_from, answer },
                });
            }
            Err(error) => error,
        };
        match &error {
            ModelError::Temporary { retry_after, was_refused, .. }
                if self.attempts_left > 0 && retry_after.is_none_or(|after| after <= PATIENCE) =>
            {
                let retry = retry_after.unwrap_or_default();
                if *was_refused {
                    self.release(turn).await?;
                }
                Err(Interruption::Halt(Retry::after(retry, error)))
            }
            _ => {
                let may_have_cost = matches!(error, ModelError::Temporary { was_refused: false, .. });
                let (text, detail) = (error.person().to_owned(), error.to_string());
                Ok(Event::ModelFailed { text, detail, cost: (!may_have_cost).then_some(0) })
            }
        }
    }

    /// Gives back what was set aside for a call that its model refused.
    async fn release(&mut self, turn: &ActiveTurn) -> Result<(), Interruption> {
        let Some(reserved) = turn.reserved.clone() else { return Ok(()) };
        let turn = ActiveTurn { reserved: None, ..turn.clone() };
        let commit = turn::Commit { turn: Some(turn), ..turn::Commit::default() };
        self.commit(commit, Spending::Settle(Settlement { reserved, micros: 0 })).await
    }

    async fn run_tools(&mut self, turn: &ActiveTurn, calls: &[ToolCall]) -> Event {
        if self.give_up {
            let result = |call: &ToolCall| ToolResult {
                call: call.id.clone(),
                name: call.name.clone(),
                outcome: ToolOutcome::Error,
                text: "It was not run: the workers that tried died.".to_owned(),
                media: vec![],
            };
            return Event::ToolsRan(calls.iter().map(result).collect());
        }
        let host = self.host(turn);
        let context = &ToolContext {
            now: self.environment.clock.now(),
            bot: self.context.view(&self.head.settings),
            session: &self.session,
            turn: turn.id,
            entries: &self.entries,
            host: &host,
        };
        let mind = self.mind;
        let runs = calls.iter().cloned().map(|call| async move { mind.run_tool(&call, context).await });
        let results = stream::iter(runs).buffered(TOOLS_AT_ONCE).collect();
        let results = self.drafts.during(turn, None, results).await;
        if host.has_changed_files() {
            match bot_files::load(&self.environment.store, &self.context.bot).await {
                // Skills stay as the turn found them: none may widen what it is allowed while it is followed.
                Ok((workspace, _)) => self.workspace = Some(workspace),
                // The next turn reads it anew.
                Err(error) => tracing::warn!(turn = %turn.id, "A changed workspace was not read again: {error}"),
            }
        }
        Event::ToolsRan(results)
    }

    /// Puts the messages of a turn that failed for good into the dead-letter queue, so that its owner
    /// can see them and have them asked again.
    async fn bury(&self, turn: TurnId) -> Result<(), Retry> {
        let reason = self.entries.iter().rev().find_map(|entry| match &entry.body {
            EntryBody::Failed { detail, .. } if entry.turn == turn => Some(detail.as_str()),
            _ => None,
        });
        let Some(active) = &self.turn else { return Ok(()) };
        for entry in self.entries.iter().filter(|entry| entry.turn == turn) {
            let EntryBody::User(user) = &entry.body else { continue };
            if user.is_command {
                continue;
            }
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

/// The question that a turn has just asked in the absence of its owner: its code and its text.
fn question<'a>(entries: &'a [Entry], turn: Option<&ActiveTurn>) -> Option<(&'a str, &'a str)> {
    turn.filter(|turn| turn.waiting.is_some() && (!turn.is_owners || turn.reply.parent.is_some()))?;
    match &entries.last()?.body {
        EntryBody::Asked { code, text, .. } => Some((code, text)),
        _ => None,
    }
}

fn messages(entries: &[Entry]) -> Vec<MessageId> {
    entries.iter().flat_map(|entry| entry.body.messages()).map(|user| user.message.clone()).collect()
}

/// The message as it is asked again: from what the log keeps of it, and where its turn's answer goes.
fn inbound_of(reply: &ReplyTo, session: &SessionKey, user: &domain::UserMessage) -> Inbound {
    Inbound {
        is_owner: false,
        account: reply.account,
        bot: reply.bot,
        link: reply.link,
        channel: user.channel,
        message: user.message.asked_again(),
        session: session.clone(),
        address: reply.address.clone(),
        sender: user.sender.clone(),
        text: user.text.clone(),
        control: None,
        parent: reply.parent.clone(),
        hops: reply.hops,
        attachments: user.attachments.clone(),
        quote: user.quote.clone(),
        sent_at: user.sent_at,
        received_at: user.sent_at,
    }
}
