use super::*;
use crate::entry::{ToolOutcome, Usage};
use crate::message::{ChatKind, Sender};
use crate::queueing::{DropPolicy, QueueMode};
use crate::reset::{ResetMode, ResetPolicy};
use crate::{AccountId, BotId, BotStatus, Channel, EntryId, SessionKey};

mod approvals;
mod children;
mod commands;
mod crowds;
mod money;

/// Plays a worker that never crashes: it performs what `decide` says, and notes it in one line each.
struct Worker {
    head: Head,
    entries: Vec<Entry>,
    turn: Option<ActiveTurn>,
    waiting: Vec<Inbound>,
    bot: Bot,
    now: Timestamp,
    out_of_time: bool,
    metered: bool,
    /// No budget allows what tools would ask of models.
    refuses_tools: bool,
    window: u64,
    turns: u128,
    trace: Vec<String>,
    /// Below what was sent last.
    buttons: Vec<crate::Button>,
}

struct Rules;

impl ToolRules for Rules {
    fn may_repeat(&self, _: &Bot, call: &ToolCall) -> bool {
        !matches!(call.name.as_str(), "pay" | "send")
    }

    fn needs_approval(&self, _: &Bot, call: &ToolCall) -> bool {
        matches!(call.name.as_str(), "send" | "peek")
    }

    fn asks_model(&self, _: &Bot, call: &ToolCall) -> bool {
        call.name == "image"
    }
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn bot() -> Bot {
    Bot {
        id: BotId::from_parts(at(0), 1),
        account: AccountId::from_parts(at(0), 1),
        name: "Test".into(),
        status: BotStatus::Active,
        rest: None,
        agent: "main".into(),
        model: Default::default(),
        time_zone: "UTC".into(),
        dm_scope: Default::default(),
        queue: Default::default(),
        resets: Default::default(),
        budget: Default::default(),
        turn_budget: None,
        abilities: Default::default(),
        streaming: Default::default(),
        heartbeat: Default::default(),
        heard_at: None,
        heard_in: Default::default(),
        created_at: at(0),
        updated_at: at(0),
        version: 1,
    }
}

fn turn_id(n: u128) -> TurnId {
    TurnId::from_parts(Timestamp::default(), n)
}

fn message(n: u32) -> Inbound {
    let link = LinkId::from_parts(Timestamp::default(), 1);
    Inbound {
        is_owner: false,
        account: AccountId::from_parts(Timestamp::default(), 1),
        bot: BotId::from_parts(Timestamp::default(), 1),
        link,
        channel: Channel::Telegram,
        message: MessageId::of(link, &n.to_string()),
        session: SessionKey::main("main"),
        address: Address { kind: ChatKind::Direct, chat: "5".into(), thread: None, reply_to: Some(n.to_string()) },
        sender: Sender { id: "5".into(), name: None, username: None },
        text: format!("message {n}"),
        control: None,
        parent: None,
        job: None,
        hops: 0,
        attachments: vec![],
        quote: None,
        album: None,
        sent_at: Timestamp::default(),
        received_at: at(u64::from(n)),
    }
}

fn answer(text: &str) -> Answer {
    Answer {
        text: text.into(),
        model: "test/one".into(),
        usage: Usage::default(),
        tool_calls: vec![],
        cost: 7,
        native: None,
    }
}

fn says(text: &str) -> Event {
    Event::Answered(answer(text))
}

fn calls(tools: &[&str]) -> Event {
    let tool_calls = tools
        .iter()
        .enumerate()
        .map(|(i, name)| ToolCall { id: format!("c{i}-{name}"), name: (*name).into(), arguments: "{}".into() })
        .collect();
    Event::Answered(Answer { tool_calls, ..answer("") })
}

impl Worker {
    fn with(waiting: &[u32]) -> Worker {
        Worker {
            head: Head::default(),
            entries: vec![],
            turn: None,
            waiting: waiting.iter().copied().map(message).collect(),
            bot: bot(),
            now: at(100),
            out_of_time: false,
            metered: false,
            refuses_tools: false,
            window: 128_000,
            turns: 0,
            trace: vec![],
            buttons: vec![],
        }
    }

    /// What is left when the process dies: the committed part.
    fn crash(mut self, redelivered: &[u32]) -> Worker {
        self.entries.retain(|entry| entry.seq < self.head.next_seq);
        self.turn = None;
        self.waiting = redelivered.iter().copied().map(message).collect();
        self.trace.push("-- crash".into());
        self
    }

    /// Performs everything up to the next call of a model or tool, or the end.
    fn step(&mut self, event: Event) -> &mut Worker {
        let mut event = Some(event);
        while let Some(now) = event.take() {
            let view = View {
                bot: &self.bot,
                head: &self.head,
                entries: &self.entries,
                turn: self.turn.as_ref(),
                waiting: &self.waiting,
                next_turn: turn_id(self.turns + 1),
                now: self.now,
                out_of_time: self.out_of_time,
                may_give_back: true,
                metered: self.metered,
                context_window: self.window,
            };
            for action in decide(&view, &Rules, now) {
                if let Some(next) = self.perform(action) {
                    event = Some(next);
                }
            }
        }
        self
    }

    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Skip { message, resend } => {
                self.waiting.retain(|inbound| inbound.message != message);
                self.trace.push(format!("skip, resend {}", resend.is_some()));
            }
            Action::Append { turn, body } => {
                let taken = body.messages();
                self.waiting.retain(|inbound| taken.iter().all(|user| user.message != inbound.message));
                let line = match &body {
                    EntryBody::User(user) => format!("append user {:?}", user.text),
                    EntryBody::Event(user) => format!("append event {:?}", user.text),
                    EntryBody::Assistant(answer) => {
                        format!("append assistant {:?} +{} calls", answer.text, answer.tool_calls.len())
                    }
                    EntryBody::ToolResult(result) => format!("append result {} {:?}", result.name, result.outcome),
                    EntryBody::Asked { calls, .. } => format!("ask the owner about {calls:?}"),
                    EntryBody::Failed { text, .. } => format!("append failed {text:?}"),
                    EntryBody::Notice { text } => format!("append notice {text:?}"),
                    EntryBody::Stopped { by } => format!("append stopped by {by:?}"),
                    EntryBody::Reset { reason } => format!("append reset {reason:?}"),
                    EntryBody::Compaction { summary, first_kept, .. } => {
                        format!("append compaction {summary:?}, kept from {first_kept}")
                    }
                    EntryBody::Dropped { messages, summary } => {
                        format!("append dropped {}, told {}", messages.len(), summary.is_some())
                    }
                };
                self.trace.push(line);
                let seq = self.entries.len() as u64;
                let id = EntryId::from_parts(Timestamp::default(), u128::from(seq));
                self.entries.push(Entry { seq, id, turn, at: Timestamp::default(), body });
            }
            Action::Commit(commit) => {
                self.commit(&commit);
                return Some(Event::Committed);
            }
            Action::Reserve { expense: Expense::Tools(_), .. } if self.refuses_tools => {
                return Some(Event::OverBudget { text: "No money.".into() });
            }
            Action::Reserve { turn, expense } => {
                let charges = vec![];
                let turn = ActiveTurn { reserved: Some(Reserved { micros: 10, charges }), ..turn };
                self.trace.push("reserve".into());
                self.commit(&Commit { turn: Some(turn), ..Commit::default() });
                return Some(Event::Reserved(expense));
            }
            Action::CallModel { turn, question } => {
                self.turns = self.turns.max(turn.id.to_string().bytes().last().map_or(0, |b| u128::from(b - b'0')));
                self.turn = Some(turn);
                self.trace.push(match question {
                    Question::Step { tools } => format!("call model, tools {tools}"),
                    Question::Summary { keep_from, hint } => format!("call model, summary up to {keep_from} {hint:?}"),
                });
            }
            Action::RunTools { turn, calls } => {
                self.turn = Some(turn);
                let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
                self.trace.push(format!("run {names:?}"));
            }
            Action::Report { turn, what } => {
                self.turn = Some(turn);
                self.trace.push(format!("report {what:?}"));
            }
            Action::Requeue { .. } => self.trace.push("requeue".into()),
            Action::GiveBack { wait } => self.trace.push(format!("give back for {wait:?}")),
            Action::Finish => self.trace.push("finish".into()),
        }
        None
    }

    fn commit(&mut self, commit: &Commit) {
        let appended = &self.entries[usize::try_from(self.head.next_seq).expect("a short log")..];
        self.head = self.head.after(appended, commit, self.now);
        let outbox: Vec<String> =
            commit.outbox.iter().map(|out| format!("{:?} to {:?}", out.text, out.address.reply_to)).collect();
        self.buttons = commit.outbox.last().map(|out| out.buttons.clone()).unwrap_or_default();
        let settled = commit.settle.as_ref().map(|settle| format!(", settled {}", settle.micros)).unwrap_or_default();
        let turn = match &commit.turn {
            Some(ActiveTurn { waiting: Some(_), .. }) => "waits".to_owned(),
            turn => format!("open {}", turn.is_some()),
        };
        self.trace.push(format!("commit, turn {turn}, outbox {outbox:?}{settled}"));
        self.turn.clone_from(&commit.turn);
    }

    fn ran(&mut self, names: &[(&str, &str)]) -> &mut Worker {
        let results = names
            .iter()
            .map(|(call, name)| ToolResult {
                call: (*call).into(),
                name: (*name).into(),
                outcome: ToolOutcome::Ok,
                text: "ok".into(),
                media: vec![],
                asked: None,
            })
            .collect();
        self.step(Event::ToolsRan(results))
    }

    fn history(&self) -> String {
        self.trace.join("\n")
    }
}

#[test]
fn a_simple_turn_commits_once() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded).step(says("hello"));
    insta::assert_snapshot!(worker.history(), @r#"
    append user "message 1"
    call model, tools true
    append assistant "hello" +0 calls
    commit, turn open false, outbox ["\"hello\" to Some(\"1\")"]
    finish
    "#);
}

#[test]
fn what_is_said_beside_calls_is_sent_where_nobody_saw_it_grow() {
    let outboxes = |channel, streaming| {
        let mut worker = Worker::with(&[1]);
        worker.bot.streaming = streaming;
        worker.waiting[0].channel = channel;
        let Event::Answered(mut looking) = calls(&["look"]) else { panic!("an answer") };
        looking.text = "I look.".to_owned();
        worker.step(Event::Loaded).step(Event::Answered(looking)).ran(&[("c0-look", "look")]).step(says("Done."));
        worker.trace.iter().filter(|line| line.contains("outbox [\"")).count()
    };
    use crate::StreamMode::{Block, Off, Partial, Progress};
    let modes = [Off, Partial, Block, Progress];
    assert_eq!(modes.map(|mode| outboxes(Channel::WhatsApp, mode)), [1, 2, 2, 1]);
    assert_eq!(modes.map(|mode| outboxes(Channel::Telegram, mode)), [1, 1, 2, 1]);
    assert_eq!(modes.map(|mode| outboxes(Channel::WebChat, mode)), [0; 4], "its log is read");
}

#[test]
fn tools_run_after_the_commit_that_names_them_and_once_each() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded).step(calls(&["look", "read", "pay", "look"]));
    worker.ran(&[("c0-look", "look"), ("c1-read", "read")]).ran(&[("c2-pay", "pay")]).ran(&[("c3-look", "look")]);
    worker.step(says("done"));
    insta::assert_snapshot!(worker.history(), @r#"
    append user "message 1"
    call model, tools true
    append assistant "" +4 calls
    commit, turn open true, outbox []
    run ["look", "read"]
    append result look Ok
    append result read Ok
    commit, turn open true, outbox []
    run ["pay"]
    append result pay Ok
    commit, turn open true, outbox []
    run ["look"]
    append result look Ok
    commit, turn open true, outbox []
    call model, tools true
    append assistant "done" +0 calls
    commit, turn open false, outbox ["\"done\" to Some(\"1\")"]
    finish
    "#);
}

#[test]
fn a_crash_in_a_tool_that_must_not_repeat_is_told_to_the_model() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded).step(calls(&["pay", "pay"]));
    let mut worker = worker.crash(&[1]);
    worker.step(Event::Loaded).ran(&[("c1-pay", "pay")]).step(says("careful"));
    let trace = worker.history();
    insta::assert_snapshot!(trace.split_once("-- crash").expect("it crashed").1, @r#"

    append result pay Unknown
    commit, turn open true, outbox []
    run ["pay"]
    append result pay Ok
    commit, turn open true, outbox []
    skip, resend false
    call model, tools true
    append assistant "careful" +0 calls
    commit, turn open false, outbox ["\"careful\" to Some(\"1\")"]
    finish
    "#);
}

#[test]
fn a_message_that_was_answered_is_skipped_and_its_outbox_queued_again() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded).step(says("hello"));
    let mut worker = worker.crash(&[1, 2]);
    worker.step(Event::Loaded).step(says("two"));
    let trace = worker.history();
    insta::assert_snapshot!(trace.split_once("-- crash").expect("it crashed").1, @r#"

    skip, resend true
    append user "message 2"
    call model, tools true
    append assistant "two" +0 calls
    commit, turn open false, outbox ["\"two\" to Some(\"2\")"]
    finish
    "#);
}

#[test]
fn a_failed_message_is_asked_again_under_another_id_and_not_by_repetition() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded).step(Event::ModelFailed { text: "sorry".into(), detail: "500".into(), cost: Some(0) });
    let mut worker = worker.crash(&[1, 2]);
    worker.step(Event::Loaded).step(says("two"));
    let mut worker = worker.crash(&[1]);
    worker.waiting[0].message = worker.waiting[0].message.asked_again();
    worker.step(Event::Loaded).step(says("one"));
    insta::assert_snapshot!(worker.history(), @r#"
    append user "message 1"
    call model, tools true
    append failed "sorry"
    commit, turn open false, outbox ["\"sorry\" to Some(\"1\")"]
    finish
    -- crash
    skip, resend true
    append user "message 2"
    call model, tools true
    append assistant "two" +0 calls
    commit, turn open false, outbox ["\"two\" to Some(\"2\")"]
    finish
    -- crash
    append user "message 1"
    call model, tools true
    append assistant "one" +0 calls
    commit, turn open false, outbox ["\"one\" to Some(\"1\")"]
    finish
    "#);
}

#[test]
fn a_message_from_elsewhere_does_not_join_the_turn() {
    let mut worker = Worker::with(&[1, 2]);
    worker.waiting[1].address.chat = "6".into();
    worker.step(Event::Loaded).step(calls(&["look"])).ran(&[("c0-look", "look")]).step(says("a"));
    let trace = worker.history();
    assert!(trace.contains("to Some(\\\"1\\\")\"]\nappend user \"message 2\""), "{trace}");
}

#[test]
fn calls_that_a_failed_turn_left_behind_are_not_run_by_the_next() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded).step(calls(&["look"]));
    worker.step(Event::ModelFailed { text: "sorry".into(), detail: "500".into(), cost: Some(0) });
    let mut worker = worker.crash(&[2]);
    worker.out_of_time = true;
    worker.step(Event::Loaded);
    worker.out_of_time = false;
    worker.turn = None;
    worker.step(Event::Loaded);
    assert!(worker.history().ends_with("call model, tools true"), "{}", worker.history());
}

#[test]
fn an_endless_answer_is_cut_to_what_a_row_holds() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded).step(calls(&["look"; 40]));
    assert!(worker.history().contains("+16 calls"), "{}", worker.history());
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded).step(says(&"ä".repeat(90_000)));
    let Some(Entry { body: EntryBody::Assistant(answer), .. }) = worker.entries.last() else { panic!("no answer") };
    assert_eq!(answer.text.len(), MAX_ANSWER);
}

#[test]
fn modes_differ_in_what_becomes_of_a_second_message() {
    let history = |mode| {
        let mut worker = Worker::with(&[1, 2]);
        worker.bot.queue.mode = mode;
        worker.step(Event::Loaded).step(calls(&["look"])).ran(&[("c0-look", "look")]).step(says("a"));
        worker.history()
    };
    let steer = history(QueueMode::Steer);
    assert!(
        steer.contains(
            "append result look Ok\ncommit, turn open true, outbox []\nappend user \"message 2\"\ncall model"
        ),
        "{steer}"
    );
    assert!(steer.contains("to Some(\\\"2\\\")"), "one reply, to the last message: {steer}");
    let followup = history(QueueMode::Followup);
    assert!(followup.ends_with("append user \"message 2\"\ncall model, tools true"), "{followup}");
    let collect = history(QueueMode::Collect);
    assert!(collect.starts_with("append user \"message 1\"\nappend user \"message 2\"\ncall model"), "{collect}");
}

#[test]
fn a_worker_without_time_commits_and_hands_over() {
    let mut worker = Worker::with(&[1]);
    worker.out_of_time = true;
    worker.step(Event::Loaded);
    insta::assert_snapshot!(worker.history(), @r#"
    append user "message 1"
    commit, turn open true, outbox []
    requeue
    finish
    "#);
    let mut worker = worker.crash(&[]);
    worker.out_of_time = false;
    worker.step(Event::Loaded).step(says("late"));
    assert!(worker.history().ends_with("outbox [\"\\\"late\\\" to Some(\\\"1\\\")\"]\nfinish"), "{}", worker.history());
}

#[test]
fn the_last_step_is_made_without_tools_and_ends_the_turn() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded);
    for _ in 0..MAX_STEPS {
        worker.step(calls(&["look"]));
        if worker.turn.is_some() {
            worker.ran(&[("c0-look", "look")]);
        }
    }
    let trace = worker.history();
    assert_eq!(trace.matches("call model, tools false").count(), 1);
    assert!(trace.contains("I stopped after"), "{trace}");
    assert!(worker.head.turn.is_none());
}

#[test]
fn silence_is_committed_and_not_sent() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded).step(says(" NO_REPLY\n"));
    assert!(worker.history().contains("outbox []"), "{}", worker.history());
}
