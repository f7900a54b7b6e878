//! Drives one session: asks [`decide`] what to do, does it, and reports what came of it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use agent::{Host, Mind, ModelError, ModelRequest, Progress, ToolContext, Workspace};
use domain::budget::{BudgetScope, Settlement};
use domain::job::{JobRun, Outcome};
use domain::task::Continue;
use domain::turn::{self, Action, ActiveTurn, Event, Expense, Head, Question, ReplyTo, SessionSettings, View, decide};
use domain::{
    Attachment, Channel, Control, Entry, EntryBody, EntryId, Inbound, Mark, MessageId, SessionKey, Task, ToolCall,
    ToolOutcome, ToolResult, TurnId, UserMessage,
};
use futures::stream::{self, StreamExt};
use queues::Retry;
use runtime::Environment;
use store::{Commit, LogSizes, SessionState, Spending, StoreError};
use tokio::time::Instant;

use self::leaving::Asked;

use crate::bots::BotContext;
use crate::budget::{self, Refusal};
use crate::chats::Chats;
use crate::draft::{Drafts, TextSoFar, Work};
use crate::host::BotHost;
use crate::report::{self, Facts};
use crate::{MAX_ATTEMPTS, MODEL_ATTEMPTS};
use crate::{link_login, media_in};

mod leaving;

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

/// How long it is waited before a commit is tried again whose event was dear: a model's answer, or what tools gave. After
/// these the task is given back, and both are asked for anew.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// Why a step did not go on.
enum Interruption {
    /// Another worker committed: load the session again and decide anew.
    Lost,
    /// Some of the messages were taken in long ago: decide anew without them.
    Taken,
    /// It is not known whether a commit took effect.
    Unknown(StoreError),
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
    /// The first task was received before: an earlier worker may have begun here, and may have shown a draft.
    pub(crate) is_repeated: bool,
    /// That this worker has begun at this place of the log is noted in the head.
    is_noted: bool,
    /// Turns that the tasks are to go on with.
    pub(crate) continued: Vec<TurnId>,
    /// Messages may be given back once, so that others can join them.
    pub(crate) may_give_back: bool,
    /// Where files are fetched from; `None`: they are left where they are.
    pub(crate) chats: Option<&'a Chats>,
    drafts: &'a Drafts<'a>,
    /// What came with the messages that were read.
    read: HashMap<MessageId, Vec<Attachment>>,
    head: Head,
    /// The end of the log, and behind `head.next_seq` what was appended and is not committed.
    entries: Vec<Entry>,
    turn: Option<ActiveTurn>,
    /// The session's settings, as the turn in hand has them.
    settings: SessionSettings,
    /// All messages that came.
    came: Vec<Inbound>,
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
        // What nobody answers is kept first: it must not part messages that can share an answer.
        waiting.sort_by_key(|inbound| inbound.control != Some(Control::Event));
        Worker {
            environment,
            mind,
            context,
            session,
            place: waiting.first().map(ReplyTo::of),
            workspace: None,
            deadline,
            is_repeated: false,
            is_noted: false,
            continued: vec![],
            may_give_back: false,
            chats: None,
            drafts,
            read: HashMap::new(),
            head: Head::default(),
            entries: vec![],
            turn: None,
            settings: SessionSettings::default(),
            came: waiting,
            waiting: vec![],
            in_turn: vec![],
            settled: HashSet::new(),
        }
    }

    /// Moves the beginning of a long log to S3. If that fails, a later turn does it. A turn that waits needs the
    /// beginning of its own.
    pub(crate) async fn seal(&self) {
        let (bot, store) = (&self.context.bot, &self.environment.store);
        let LogSizes { segment, keep, .. } = store.log_sizes();
        // What is deleted by its time to live needs no other place.
        if self.session.kept_for().is_some()
            || self.head.turn.is_some()
            || self.head.next_seq.saturating_sub(self.head.sealed) < keep + segment
        {
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
        let mut losses = 0;
        while losses < MAX_LOSSES {
            let settled = self.settled.len();
            self.waiting = self.came.iter().filter(|inbound| !self.is_settled(&inbound.message)).cloned().collect();
            match self.run_once().await {
                Ok(()) => return Ok(()),
                Err(Interruption::Halt(retry)) => return Err(retry),
                // Who reserves looks at this first.
                Err(Interruption::OverBudget(scope)) => return Err(StoreError::OverBudget(scope).into()),
                Err(Interruption::Unknown(error)) => return Err(error.into()),
                // A message that turned out to be answered long ago is settled now.
                Err(Interruption::Lost | Interruption::Taken) if self.settled.len() > settled => {}
                Err(Interruption::Lost | Interruption::Taken) => {
                    losses += 1;
                    tracing::info!(bot = %self.context.bot.id, session = %self.session, "Another worker was faster; looking again.");
                }
            }
        }
        let source = anyhow::anyhow!("the session {} is being worked on elsewhere", self.session);
        Err(Retry::after(Duration::from_secs(5), source))
    }

    /// Which worker this is, of those that have begun at this place of the log, from 1.
    pub(crate) fn attempt(&self) -> u32 {
        self.head.attempts + 1
    }

    /// This place of the log has brought down too many workers: fail the turn instead of running it.
    fn gives_up(&self) -> bool {
        self.attempt() >= MAX_ATTEMPTS
    }

    /// Notes in the head that a worker begins here whose task was given out before. Each commit of entries begins to count
    /// anew, so what is counted are workers that did not get on.
    async fn note_attempt(&mut self) -> Result<(), Interruption> {
        let now = self.environment.clock.now();
        // The epoch stays as it is: a worker that is still alive may be faster. Only a head that was not there needs one.
        let epoch = self.head.epoch.max(u64::from(self.head.next_seq == 0));
        let head = Head { epoch, attempts: self.attempt(), updated_at: now, ..self.head.clone() };
        let bot = &self.context.bot;
        let account = self.environment.store.account(bot.account);
        match account.session_head_put(bot.id, &self.session, &self.head, &head).await {
            Ok(()) => {
                self.head = head;
                self.is_noted = true;
                Ok(())
            }
            Err(StoreError::Conflict(_)) => Err(Interruption::Lost),
            Err(error) => Err(error.into()),
        }
    }

    async fn run_once(&mut self) -> Result<(), Interruption> {
        let state = self.load().await?;
        self.head = state.head;
        self.entries = state.entries;
        self.turn = None;
        self.settings.clone_from(&self.head.settings);
        self.in_turn.clear();
        // Who has no time but to hand the turn over does nothing that could bring a worker down.
        if self.is_repeated && !self.is_noted && !self.is_out_of_time() {
            self.note_attempt().await?;
        }
        if self.is_repeated || self.head.turn.is_some() {
            self.drafts.take_over(&self.entries).await;
        }
        self.resend_of_continued().await?;
        // Who asked may have died before the owner was told.
        if self.is_repeated
            && let Some(asked) = Asked::among(&self.entries, self.head.turn.as_ref())
        {
            self.tell_owner(asked).await?;
        }
        let mut event = Event::Loaded;
        let mut glances = 0;
        let mut pauses = PAUSES.iter();
        loop {
            let before = (self.entries.len(), self.turn.clone(), self.waiting.clone(), self.in_turn.clone());
            let interruption = match self.advance(event.clone()).await {
                Ok(Some(next)) => {
                    event = next;
                    continue;
                }
                Ok(None) => return Ok(()),
                Err(Interruption::Lost) if glances < MAX_GLANCES => {
                    glances += 1;
                    match self.load().await {
                        Ok(SessionState { head, .. }) if head.next_seq != self.head.next_seq => {
                            return Err(Interruption::Lost);
                        }
                        // Nobody wrote to the log: only the head was changed. What happened here is still true.
                        Ok(SessionState { head, .. }) => {
                            self.head = head;
                            None
                        }
                        Err(error) => Some(Interruption::Unknown(error)),
                    }
                }
                Err(interruption) => Some(interruption),
            };
            match interruption {
                None => {}
                // If it did take effect, the next try meets it.
                Some(Interruption::Unknown(error)) if is_dear(&event) => {
                    let is_time = |pause: &&Duration| Instant::now() + **pause + RESERVE < self.deadline;
                    let Some(pause) = pauses.next().filter(is_time) else { return Err(Interruption::Unknown(error)) };
                    tracing::warn!(bot = %self.context.bot.id, session = %self.session, "A commit is tried again: {error}");
                    tokio::time::sleep(*pause).await;
                }
                Some(interruption) => return Err(interruption),
            }
            // The same event again, as if it had just happened.
            self.entries.truncate(before.0);
            (self.turn, self.waiting, self.in_turn) = (before.1, before.2, before.3);
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

    /// No time is left for a call of a model and a commit.
    fn is_out_of_time(&self) -> bool {
        Instant::now() + self.environment.settings.model_timeout + RESERVE > self.deadline
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
            out_of_time: self.is_out_of_time(),
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
                        // Its turn has ended, and perhaps nobody came to say so.
                        if let Some(run) = self.run_of(&message) {
                            self.report(run, Some(turn)).await?;
                        }
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
            Action::Reserve { turn, expense } => Ok(Some(self.reserve(turn, expense).await?)),
            Action::CallModel { turn, question } => {
                self.hold(&turn);
                Ok(Some(self.call_model(&turn, &question).await?))
            }
            Action::RunTools { turn, calls } => {
                self.hold(&turn);
                Ok(Some(self.run_tools(&turn, &calls).await))
            }
            Action::Report { turn, what } => {
                self.hold(&turn);
                let bot = &self.context.bot;
                let view = self.context.view(&self.head.settings);
                let host = self.host(&turn);
                let prompt = self.mind.prompt_report(&self.request(&turn, &Question::Step { tools: true }, &host));
                let facts = Facts {
                    context: self.context,
                    session: &self.session,
                    turn: &turn,
                    head: &self.head,
                    entries: &self.entries,
                    window: self.mind.context_window(&view),
                    tools: self.mind.tool_names(&view),
                    skills: self.context.skills.statuses(bot.abilities.skills.as_deref()),
                    prompt,
                };
                let text = report::compose(self.environment, &facts, what).await?;
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

    /// Takes a turn in hand, with the settings that it is run with.
    fn hold(&mut self, turn: &ActiveTurn) {
        self.settings.clone_from(&self.head.settings);
        if let Some(run) = &turn.job {
            let JobRun { model, thinking, .. } = &**run;
            self.settings.model = model.clone().or(self.settings.model.take());
            self.settings.thinking = thinking.or(self.settings.thinking);
        }
        self.turn = Some(turn.clone());
    }

    /// A message that came, of a batch of ten at most.
    fn inbound(&self, message: &MessageId) -> Option<&Inbound> {
        self.came.iter().find(|inbound| inbound.message == *message)
    }

    /// The run of a job that a message which came begins.
    fn run_of(&self, message: &MessageId) -> Option<&JobRun> {
        self.inbound(message)?.job.as_deref()
    }

    /// Says how the run of a job has ended; again changes nothing. `None`: its turn is too long ago to be known.
    async fn report(&self, run: &JobRun, turn: Option<TurnId>) -> Result<(), StoreError> {
        let (bot, now) = (&self.context.bot, self.environment.clock.now());
        let report = match turn {
            Some(turn) => run.report(&self.entries, turn, now),
            None => run.ended(Outcome::Ok, now),
        };
        self.environment.job_end(bot.account, bot.id, run.job, &report).await.map(drop)
    }

    /// Sets the cost of a call, or of tools, aside, in the transaction that commits what was appended.
    async fn reserve(&mut self, turn: ActiveTurn, expense: Expense) -> Result<Event, Interruption> {
        let now = self.environment.clock.now();
        self.hold(&turn);
        let estimate = match &expense {
            Expense::Model(question) => self.mind.estimate(&self.request(&turn, question, &self.host(&turn))),
            Expense::Tools(calls) => self.mind.estimate_tools(&self.context.view(&self.settings), calls),
        };
        let refusal = match budget::reserve(self.context, &turn, estimate, now) {
            Ok(spending) => {
                let turn = ActiveTurn { reserved: spending.reserved(), is_counted: true, ..turn };
                let commit = turn::Commit { turn: Some(turn), ..turn::Commit::default() };
                match self.commit(commit, spending).await {
                    Ok(()) => return Ok(Event::Reserved(expense)),
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
        let Some(chats) = self.chats else { return };
        let is_unread = user.attachments.iter().any(media_in::is_unread);
        if !is_unread || self.gives_up() || user.is_command {
            return;
        }
        if let Some(read) = self.read.get(&user.message) {
            user.attachments.clone_from(read);
            return;
        }
        let bot = &self.context.bot;
        let login = match self.inbound(&user.message) {
            // Its files are kept already.
            Some(inbound) if inbound.channel == Channel::WebChat => None,
            Some(inbound) => match link_login(self.environment, bot, inbound.link).await {
                Some(login) => Some(login),
                None => return,
            },
            None => return,
        };
        let left = self.deadline.saturating_duration_since(Instant::now());
        let left = left.saturating_sub(self.environment.settings.model_timeout + RESERVE);
        let reader = media_in::Reader {
            environment: self.environment,
            mind: self.mind,
            bot: self.context.view(&self.head.settings),
            account: bot.account,
            id: bot.id,
            chats,
            login: login.as_ref(),
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
        // What is said or asked on the way has a row of its own: the mark is the record of the turn's reply.
        if let (Some(reply), Some(message)) = (commit.outbox.first_mut().filter(|_| has_ended), marks.first()) {
            let mark = Mark { session: self.session.clone(), message: message.clone() };
            reply.mark = Some(Box::new(mark));
        }
        let mut head = self.head.after(appended, &commit, self.environment.clock.now());
        for inbound in marks.iter().filter_map(|message| self.inbound(message)) {
            head.note_place(inbound);
        }
        let outbox = &commit.outbox;
        let (seen, place) = (&self.head, self.place.as_ref());
        let transaction =
            Commit { seen, head: &head, entries: appended, marks: &marks, outbox, spending: &spending, place };
        let account = self.environment.store.account(bot.account);
        match account.session_commit(bot.id, &self.session, &transaction).await {
            Ok(()) => {}
            Err(StoreError::Conflict(_)) => return Err(Interruption::Lost),
            Err(StoreError::AlreadyTaken(messages)) => {
                for run in messages.iter().filter_map(|message| self.run_of(message)) {
                    self.report(run, None).await?;
                }
                self.settled.extend(messages);
                return Err(Interruption::Taken);
            }
            Err(StoreError::OverBudget(scope)) => return Err(Interruption::OverBudget(scope)),
            Err(error @ StoreError::Unavailable { .. }) => return Err(Interruption::Unknown(error)),
            Err(error) => return Err(error.into()),
        }
        self.head = head;
        let ended = std::mem::replace(&mut self.turn, commit.turn).filter(|_| has_ended);
        self.in_turn.extend(marks);
        self.queue(outbox).await?;
        let appended = &self.entries[first_new.unwrap_or(self.entries.len())..];
        if let Some(asked) = Asked::among(appended, self.turn.as_ref()) {
            self.tell_owner(asked).await?;
        }
        if let Some(ended) = ended {
            tokio::join!(self.drafts.end(&ended.reply, replaces_draft), self.mind.turn_ended(ended.id));
            // Whoever dies before this is found out by its job, which sends the run again.
            if let Some(run) = &ended.job {
                self.report(run, Some(ended.id)).await?;
            }
        }
        // What a waiting turn took in needs nothing more from its task either: a decision or a wake goes on with it.
        if self.turn.as_ref().is_none_or(|turn| turn.waiting.is_some()) {
            self.settled.extend(self.in_turn.drain(..));
        }
        Ok(())
    }

    fn host<'b>(&'b self, turn: &'b ActiveTurn) -> BotHost<'b> {
        BotHost::new(self.environment, &self.context.bot, &self.session, turn)
    }

    fn request<'b>(&'b self, turn: &ActiveTurn, question: &'b Question, host: &'b dyn Host) -> ModelRequest<'b> {
        ModelRequest {
            bot: self.context.view(&self.settings),
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
        if self.gives_up() {
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
        let answered = self
            .drafts
            .during(turn, if is_step { Work::Answers(&said) } else { Work::Hidden }, self.mind.answer(&request))
            .await;
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
                if self.attempt() < MODEL_ATTEMPTS && retry_after.is_none_or(|after| after <= PATIENCE) =>
            {
                let retry = retry_after.unwrap_or_default();
                if *was_refused {
                    self.release(turn).await?;
                }
                Err(Interruption::Halt(Retry::after(retry, error).after_attempt(self.attempt())))
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
        if self.gives_up() {
            let result = |call: &ToolCall| ToolResult {
                call: call.id.clone(),
                name: call.name.clone(),
                outcome: ToolOutcome::Error,
                text: "It was not run: the workers that tried died.".to_owned(),
                media: vec![],
                asked: None,
            };
            return Event::ToolsRan(calls.iter().map(result).collect());
        }
        let host = self.host(turn);
        let context = &ToolContext {
            now: self.environment.clock.now(),
            bot: self.context.view(&self.settings),
            session: &self.session,
            turn: turn.id,
            entries: &self.entries,
            host: &host,
        };
        let mind = self.mind;
        let runs = calls.iter().cloned().map(|call| async move { mind.run_tool(&call, context).await });
        let results = stream::iter(runs).buffered(TOOLS_AT_ONCE).collect();
        let results = self.drafts.during(turn, Work::Runs(calls), results).await;
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
}

/// Whether an event is worth to be kept while the store is away: it was paid for, or it cannot be had again.
fn is_dear(event: &Event) -> bool {
    matches!(event, Event::Answered(_) | Event::Summarised { .. } | Event::ToolsRan(_))
}

fn messages(entries: &[Entry]) -> Vec<MessageId> {
    entries.iter().flat_map(|entry| entry.body.messages()).map(|user| user.message.clone()).collect()
}
