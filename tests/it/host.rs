//! What an agent may do beside answering: write to its files, to other chats and in other sessions, and give work away.
//! The turns are real; the mind does what it is told, and makes each call twice, as after a crash.

use std::sync::Arc;
use std::time::Duration;

use agent::{
    Assignment, BotView, BoxFuture, Expect, Host, HostError, Mind, ModelError, ModelRequest, ToSend, ToolContext,
};
use bytes::Bytes;
use delivery::DeliveryHandler;
use domain::message::{Address, ChatKind};
use domain::turn::ToolRules;
use domain::{
    AccessPolicy, Answer, Bot, Channel, Entry, EntryBody, Inbound, Link, LinkStatus, MessageId, Sender, SessionKey,
    ToolCall, ToolOutcome, ToolResult,
};
use queues::Queue;
use testkit::exchange;
use testkit::stack::Stack;
use testkit::telegram::FakeTelegram;
use tokio::time::Instant;
use turn::TurnHandler;

use crate::crash::event;

const TOKEN: &str = "700:host-token";

/// Does what the last paragraph of a message says: `do <tool> <arguments>; <tool> …`, or else repeats it.
struct Obedient {
    store: store::Store,
}

fn last_paragraph(text: &str) -> &str {
    text.rsplit("\n\n").next().unwrap_or_default()
}

impl Obedient {
    fn think(&self, request: &ModelRequest<'_>) -> Answer {
        let is_result = |entry: &&Entry| matches!(entry.body, EntryBody::ToolResult(_));
        let results: Vec<&str> = request.entries.iter().rev().take_while(is_result).map(result_of).collect();
        let command = request.entries.iter().rev().find_map(|entry| match &entry.body {
            EntryBody::User(user) => Some(last_paragraph(&user.text)),
            _ => None,
        });
        let command = command.unwrap_or_default();
        let mut answer = Answer { model: "test/obedient".to_owned(), ..Answer::default() };
        if !results.is_empty() {
            let soul = request.workspace.text("SOUL.md").unwrap_or_default();
            answer.text = match command.split(' ').nth(1) {
                Some("spawn" | "ping") if results.iter().all(|text| *text == "ok") => "NO_REPLY".to_owned(),
                Some("write") => format!("{} with the soul: {soul}", results[0]),
                _ => results.into_iter().rev().collect::<Vec<_>>().join(" | "),
            };
        } else if let Some(commands) = command.strip_prefix("do ") {
            let call = |(index, command): (usize, &str)| {
                let (name, arguments) = command.split_once(' ').unwrap_or((command, ""));
                // The same ids in every answer, as some servers give them.
                ToolCall { id: format!("call_{index}"), name: name.to_owned(), arguments: arguments.to_owned() }
            };
            answer.tool_calls = commands.split("; ").enumerate().map(call).collect();
        } else {
            answer.text = if command == "hush" { "NO_REPLY".to_owned() } else { format!("heard: {command}") };
        }
        answer
    }

    async fn act(&self, call: &ToolCall, context: &ToolContext<'_>) -> Result<String, HostError> {
        let host = context.host;
        let words: Vec<&str> = call.arguments.splitn(3, ' ').collect();
        let word = |index: usize| words.get(index).copied().unwrap_or_default();
        let ok = "ok".to_owned();
        Ok(match call.name.as_str() {
            "write" => {
                let expect = match word(1) {
                    "any" => Expect::Anything,
                    "new" => Expect::Nothing,
                    tag => Expect::Tag(tag),
                };
                let bytes = Bytes::copy_from_slice(word(2).as_bytes());
                host.file_write(word(0), bytes, expect).await?;
                ok
            }
            "fill" => {
                host.file_write(word(0), Bytes::from(vec![b'x'; word(1).parse().unwrap()]), Expect::Anything).await?;
                ok
            }
            "read" => match host.file_read(word(0)).await? {
                Some(file) => format!("{} {}", file.tag, String::from_utf8_lossy(&file.bytes)),
                None => "none".to_owned(),
            },
            "files" => {
                format!("{:?}", host.files().await?.iter().map(|f| (f.path.as_str(), f.size)).collect::<Vec<_>>())
            }
            "keep" => {
                let kept = host.media_keep(Bytes::from_static(b"bytes"), "text/plain", Some("a.txt")).await?;
                format!("{} {:?}", kept.size, host.media(&kept.id).await?)
            }
            "places" => places(host).await?.join(" "),
            "sessions" => host.sessions().await?.iter().map(|s| s.session.to_string()).collect::<Vec<_>>().join(" "),
            "history" => {
                let entries = host.history(&word(0).parse().unwrap(), word(1).parse().unwrap()).await?;
                format!("{} of {:?}", entries.len(), entries.last().map(|entry| entry.seq))
            }
            "send" => {
                let session: SessionKey = word(0).parse().unwrap();
                let mut places = host.places().await?;
                let at = places.iter().position(|place| place.session == session).unwrap_or(0);
                let mut to = places.swap_remove(at);
                // As a model might make it up.
                to.session = session;
                let what = ToSend { text: call.arguments[word(0).len() + 1..].to_owned(), media: vec![] };
                host.send(&call.id, &to, what).await?;
                ok
            }
            "say" => {
                host.say_in(&call.id, &word(0).parse().unwrap(), &call.arguments[word(0).len() + 1..]).await?;
                ok
            }
            "ping" => {
                let chat = if context.session.as_str().ends_with(":5") { 6 } else { 5 };
                host.say_in(&call.id, &session(chat), "do ping").await?;
                ok
            }
            // A worker that died before it queued what it had noted.
            "spawn-late" => {
                let step = context.entries.iter().filter(|entry| entry.turn == context.turn);
                let step = step.filter(|entry| matches!(entry.body, EntryBody::Assistant(_))).count();
                let child = SessionKey::subagent("main", context.turn, &format!("{step}.{}", call.id));
                let (bot, now) = (context.bot.name, context.now);
                let account = word(0).parse().unwrap();
                let account = self.store.account(account);
                let bot = account.bot_find(bot).await.unwrap().unwrap();
                account.child_put(bot.id, context.session, &child, now).await.unwrap();
                let work = Assignment { label: "late".to_owned(), task: word(1).to_owned() };
                assert_eq!(host.spawn(&call.id, work).await?, child);
                ok
            }
            "spawn" => {
                let task = call.arguments[word(0).len() + 1..].to_owned();
                host.spawn(&call.id, Assignment { label: word(0).to_owned(), task }).await?;
                ok
            }
            other => panic!("no tool {other}"),
        })
    }
}

async fn places(host: &dyn Host) -> Result<Vec<String>, HostError> {
    let line = |place: agent::Place| format!("{}={}", place.session, place.reply.address.chat);
    Ok(host.places().await?.into_iter().map(line).collect())
}

fn result_of(entry: &Entry) -> &str {
    match &entry.body {
        EntryBody::ToolResult(result) => &result.text,
        _ => "",
    }
}

impl ToolRules for Obedient {
    fn may_repeat(&self, _: &Bot, _: &ToolCall) -> bool {
        true
    }

    fn needs_approval(&self, _: &Bot, _: &ToolCall) -> bool {
        false
    }
}

impl Mind for Obedient {
    fn answer<'a>(&'a self, request: &'a ModelRequest<'a>) -> BoxFuture<'a, Result<Answer, ModelError>> {
        Box::pin(async {
            let answer = self.think(request);
            if answer.text == "heard: break" {
                let (detail, person) = ("told to".to_owned(), "I am broken.".to_owned());
                return Err(ModelError::Permanent { detail, person });
            }
            Ok(answer)
        })
    }

    fn run_tool<'a>(&'a self, call: &'a ToolCall, context: &'a ToolContext<'a>) -> BoxFuture<'a, ToolResult> {
        Box::pin(async move {
            let first = self.act(call, context).await;
            let again = self.act(call, context).await;
            assert_eq!(again, first, "a call that is repeated ends in the same way");
            let (outcome, text) = match first {
                Ok(text) => (ToolOutcome::Ok, text),
                Err(error) => (ToolOutcome::Error, error.to_string()),
            };
            ToolResult { call: call.id.clone(), name: call.name.clone(), outcome, text, media: vec![], asked: None }
        })
    }

    fn estimate(&self, _: &ModelRequest<'_>) -> Option<u64> {
        None
    }

    fn tool_names(&self, _: &BotView<'_>) -> Vec<String> {
        vec![]
    }

    fn context_window(&self, _: &BotView<'_>) -> u64 {
        200_000
    }
}

fn session(chat: u32) -> SessionKey {
    format!("agent:main:telegram:direct:{chat}").parse().unwrap()
}

/// A bot on Telegram whose mind is obedient.
struct World {
    stack: Stack,
    telegram: FakeTelegram,
    bot: Bot,
    link: Link,
}

impl World {
    async fn start() -> World {
        let mut stack = Stack::start().await;
        let telegram = FakeTelegram::start();
        telegram.add_bot(TOKEN, "host_bot");
        stack.environment.settings.telegram_api_base = telegram.base_url();
        let account = stack.account().await.id;
        let bot = stack.bot(account, "host").await;
        let (link, _) = stack.telegram_link(&bot, TOKEN, AccessPolicy::default()).await;
        World { stack, telegram, bot, link }
    }

    fn inbound(&self, chat: u32, n: u32, text: &str) -> Inbound {
        let now = self.stack.environment.clock.now();
        Inbound {
            account: self.bot.account,
            bot: self.bot.id,
            link: self.link.id,
            channel: Channel::Telegram,
            message: MessageId::of(self.link.id, &format!("{chat}:{n}")),
            session: session(chat),
            address: Address { kind: ChatKind::Direct, chat: chat.to_string(), thread: None, reply_to: None },
            sender: Sender { id: chat.to_string(), name: None, username: None },
            is_owner: false,
            text: text.to_owned(),
            control: None,
            parent: None,
            job: None,
            hops: 0,
            attachments: vec![],
            quote: None,
            album: None,
            sent_at: now,
            received_at: now,
        }
    }

    /// A person writes, and all that comes of it is done.
    async fn hear(&self, chat: u32, n: u32, text: &str) {
        self.stack.environment.take_in(&self.bot, self.inbound(chat, n, text)).await.unwrap();
        self.work().await;
    }

    async fn work(&self) {
        let environment = &self.stack.environment;
        let mind = Arc::new(Obedient { store: environment.store.clone() });
        let turns = TurnHandler::with_mind(environment.clone(), mind);
        let deliveries = DeliveryHandler::new(environment.clone());
        let deadline = Instant::now() + Duration::from_secs(180 * 60);
        for _ in 0..200 {
            let mut idle = true;
            for queue in [Queue::Turns, Queue::Outbound] {
                let received = environment.queues.receive(queue, 10, Duration::ZERO).await.unwrap();
                idle &= received.is_empty();
                // Twice, as SQS may.
                for _ in 0..2 {
                    let response = match queue {
                        Queue::Turns => turns.handle(event(&received), deadline).await,
                        _ => deliveries.handle(event(&received), deadline).await,
                    };
                    assert!(response.batch_item_failures.is_empty(), "{response:?}");
                }
                for message in received {
                    environment.queues.delete(queue, &message.receipt).await.unwrap();
                }
            }
            if idle {
                return;
            }
        }
        panic!("the work never ends");
    }

    /// What was sent to a chat.
    fn sent(&self, chat: u32) -> Vec<String> {
        let sent = self.telegram.sent(TOKEN).into_iter();
        sent.filter(|sent| sent.chat == chat.to_string()).map(|sent| sent.text_html.replace("&quot;", "\"")).collect()
    }

    /// The last thing that was sent to a chat.
    fn last(&self, chat: u32) -> String {
        self.sent(chat).pop().unwrap()
    }

    fn account(&self) -> store::AccountStore<'_> {
        self.stack.environment.store.account(self.bot.account)
    }

    async fn log(&self, session: &SessionKey) -> Vec<Entry> {
        self.account().session_read(self.bot.id, session, 0, 1000).await.unwrap().entries
    }
}

#[tokio::test]
async fn the_workspace_is_written_under_conditions_and_read_at_the_next_step() {
    let world = World::start().await;
    let version = async || world.account().bot_get(world.bot.id).await.unwrap().unwrap().version;
    world.hear(5, 1, "do write SOUL.md new gentle").await;
    assert_eq!(world.last(5), "ok with the soul: gentle", "the next step knows it");
    let first = version().await;
    assert!(first > world.bot.version, "other workers read it anew");
    world.hear(5, 2, "do write memory/today.md new rain").await;
    assert_eq!(version().await, first, "no turn begins with a memory");
    world.hear(5, 3, "do files").await;
    assert_eq!(world.last(5), "[(\"SOUL.md\", 6), (\"memory/today.md\", 4)]");

    world.hear(5, 4, "do write memory/today.md new sun").await;
    assert!(world.last(5).starts_with("the file was changed meanwhile"), "{}", world.last(5));
    world.hear(5, 5, "do read memory/today.md").await;
    let (tag, text) = world.last(5).split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(text, "rain");
    world.hear(5, 6, &format!("do write memory/today.md {tag} sun")).await;
    assert!(world.last(5).starts_with("ok"));
    world.hear(5, 7, &format!("do write memory/today.md {tag} snow")).await;
    assert!(world.last(5).starts_with("the file was changed meanwhile"));
    world.hear(5, 8, "do read none.md").await;
    assert_eq!(world.last(5), "none");
    world.hear(5, 9, "do write skills/x/SKILL.md any skill").await;
    assert!(version().await > first);
    world.hear(5, 10, "do fill large.md 262145").await;
    assert!(world.last(5).contains("256 KB at most"), "{}", world.last(5));
    world.hear(5, 11, "do keep").await;
    assert_eq!(world.last(5), "5 b\"bytes\"");
}

#[tokio::test]
async fn a_group_does_not_reach_what_its_bot_knows_of_people() {
    let world = World::start().await;
    world.hear(5, 1, "do write MEMORY.md new secret; write notes.md new open").await;
    let mut in_group = world.inbound(5, 2, "do read MEMORY.md; write MEMORY.md any mine; files; read notes.md");
    in_group.address.kind = ChatKind::Group;
    in_group.session = "agent:main:telegram:group:5".parse().unwrap();
    world.stack.environment.take_in(&world.bot, in_group).await.unwrap();
    world.work().await;
    let said = world.last(5);
    assert_eq!(said.matches("MEMORY.md is private").count(), 2, "{said}");
    assert!(!said.contains("secret") && said.contains("[(\"notes.md\", 4)]") && said.ends_with("open"), "{said}");
}

#[tokio::test]
async fn what_is_sent_to_another_chat_arrives_once() {
    let world = World::start().await;
    world.hear(6, 1, "hello").await;
    world.hear(5, 1, "do places").await;
    assert_eq!(world.last(5), format!("{}=5 {}=6", session(5), session(6)), "the current one first");
    world.hear(5, 2, &format!("do send {} good news; send {} no news", session(6), session(5))).await;
    assert_eq!(world.sent(6), ["heard: hello", "good news"]);
    assert_eq!(world.sent(5)[1..], ["no news", "ok | ok"]);

    world.hear(5, 3, "do send agent:main:telegram:direct:7 psst").await;
    assert!(world.last(5).starts_with("That is not a chat"), "{}", world.last(5));
    let paused = Link { status: LinkStatus::Paused, version: 2, ..world.link.clone() };
    let mut elsewhere = world.inbound(5, 4, "do places");
    let (other, _) = world.stack.telegram_link(&world.bot, TOKEN, AccessPolicy::default()).await;
    elsewhere.link = other.id;
    world.account().link_update(1, &paused).await.unwrap();
    world.stack.environment.take_in(&world.bot, elsewhere).await.unwrap();
    world.work().await;
    assert_eq!(world.last(5), format!("{}=5", session(5)), "a link that is paused leads nowhere");
    world.telegram.assert_clean();
}

#[tokio::test]
async fn the_web_chat_is_written_to_by_answers_only() {
    let world = World::start().await;
    let main = SessionKey::main("main");
    let mut inbound = world.inbound(5, 1, &format!("do send {main} hello; places"));
    (inbound.channel, inbound.session) = (Channel::WebChat, main.clone());
    world.stack.environment.take_in(&world.bot, inbound).await.unwrap();
    world.work().await;
    let log = world.log(&main).await;
    assert!(result_of(&log[2]).starts_with("This chat shows your answers"), "{log:?}");
    world.hear(6, 1, "do places").await;
    assert_eq!(world.last(6), format!("{}=6", session(6)), "nobody would see what is sent to a web chat");
    // In its session it can be said.
    world.hear(6, 2, &format!("do say {main} hello")).await;
    assert_eq!(world.last(6), "ok");
    let log = world.log(&main).await;
    let said: Vec<_> = log.iter().flat_map(|entry| entry.body.messages()).collect();
    assert_eq!((said.len(), said[1].text.as_str()), (2, "hello"));
    assert_eq!(
        (said[1].sender.id.as_str(), said[1].sender.name.as_deref()),
        ("session:agent:main:telegram:direct:6", Some("host"))
    );
    assert!(matches!(&log.last().unwrap().body, EntryBody::Assistant(answer) if answer.text == "heard: hello"));
}

#[tokio::test]
async fn sessions_are_listed_read_and_spoken_to_within_the_bot_alone() {
    let world = World::start().await;
    world.hear(6, 1, "hello").await;
    world.hear(6, 2, "again").await;
    // Another bot of the account, with a session that this one has not.
    let other = world.stack.bot(world.bot.account, "other").await;
    let mut theirs = world.inbound(7, 1, "secret");
    theirs.bot = other.id;
    world.stack.environment.take_in(&other, theirs).await.unwrap();
    world.work().await;

    world.hear(5, 1, "do sessions").await;
    assert_eq!(world.last(5), format!("{} {}", session(5), session(6)), "the newest first");
    world.hear(5, 2, &format!("do history {} 3", session(6))).await;
    assert_eq!(world.last(5), "3 of Some(3)");
    for command in [format!("history {} 3", session(7)), format!("say {} hello", session(7))] {
        world.hear(5, command.len() as u32, &format!("do {command}")).await;
        assert!(
            world.last(5).starts_with("There is no session <code>agent:main:telegram:direct:7</code>"),
            "{}",
            world.last(5)
        );
    }
    let theirs = world.account().session_load(other.id, &session(7)).await.unwrap();
    assert_eq!(theirs.entries.len(), 2);

    world.hear(5, 3, &format!("do say {} how are you", session(6))).await;
    assert_eq!(world.sent(6)[2..], ["heard: how are you"], "the answer goes to that session's place");
    world.hear(5, 4, &format!("do say {} me", session(5))).await;
    assert!(world.last(5).contains("just answer"));
    world.telegram.assert_clean();
}

#[tokio::test]
async fn a_session_is_reached_however_many_are_newer() {
    let world = World::start().await;
    world.hear(6, 1, "hello").await;
    for n in 0..120u64 {
        let (job, chat) = (format!("agent:main:cron:{n}").parse().unwrap(), session(u32::try_from(n).unwrap() + 100));
        for session in [job, chat] {
            let inbound = Inbound { session, ..world.inbound(6, 1, "hello") };
            exchange::answer(&world.stack.environment, &inbound, "Hi.").await;
        }
    }
    world.hear(5, 1, "do sessions").await;
    let listed = world.last(5);
    assert_eq!(listed.split(' ').count(), 50, "{listed}");
    assert!(!listed.contains(":cron:"), "conversations with people first: {listed}");

    world.hear(5, 2, &format!("do history {} 3; say {} hi; send {} news", session(6), session(6), session(6))).await;
    assert_eq!(world.last(5), "2 of Some(1) | ok | ok");
    let mut sent = world.sent(6);
    sent.sort();
    assert_eq!(sent, ["heard: hello", "heard: hi", "news"]);
}

#[tokio::test]
async fn two_sessions_do_not_talk_for_ever() {
    let world = World::start().await;
    world.hear(5, 1, "hello").await;
    world.hear(6, 1, "hello").await;
    world.hear(5, 2, "do ping").await;
    let sent = [world.sent(5), world.sent(6)].concat();
    let refusals = sent.iter().filter(|text| text.starts_with("Your sessions have passed this on too often")).count();
    assert_eq!((sent.len(), refusals), (3, 1), "{sent:?}");
    let said = async |chat| world.log(&session(chat)).await.iter().flat_map(|e| e.body.messages()).count();
    assert_eq!((said(5).await, said(6).await), (4, 4), "five hops");
}

#[tokio::test]
async fn work_that_is_given_away_is_done_once_and_the_person_is_told_once() {
    let world = World::start().await;
    world.hear(5, 1, "do spawn reader read the book").await;
    assert_eq!(world.sent(5), ["heard: heard: read the book"]);
    let sessions = world.account().session_list(world.bot.id).await.unwrap();
    let children: Vec<_> = sessions.iter().filter(|summary| summary.session.is_subagent()).collect();
    let [child] = children.as_slice() else { panic!("one child: {sessions:?}") };
    let log = world.log(&child.session).await;
    assert_eq!(log.len(), 2);
    assert!(log[0].body.messages()[0].text.contains("as a sub-agent"), "{log:?}");
    let log = world.log(&session(5)).await;
    let told = &log.iter().flat_map(|entry| entry.body.messages()).nth(1).unwrap();
    assert_eq!(told.sender.id, format!("session:{}", child.session));
    assert_eq!(told.sender.name.as_deref(), Some("reader"));
    assert!(told.text.starts_with("[The work \"reader\" that you gave away has ended."), "{}", told.text);

    // A child is no place, and one that says nothing has ended all the same.
    world.hear(5, 2, "do spawn quiet hush").await;
    assert_eq!(world.sent(5)[1..], ["heard: (It has nothing to say.)"]);
    world.hear(5, 3, "do places").await;
    assert_eq!(world.last(5), format!("{}=5", session(5)));
    let waits_for = world.account().child_list(world.bot.id, &session(5), log[0].at).await.unwrap();
    assert!(waits_for.is_empty(), "{waits_for:?}");
    world.telegram.assert_clean();
}

#[tokio::test]
async fn a_session_that_waits_is_told_when_the_work_fails() {
    let world = World::start().await;
    world.hear(5, 1, "do spawn weak break").await;
    assert_eq!(world.sent(5), ["heard: I am broken."]);
    assert_eq!(world.stack.take(Queue::TurnsDeadLetters).await.len(), 1);
}

#[tokio::test]
async fn a_child_whose_worker_died_before_it_was_queued_is_begun_all_the_same() {
    let world = World::start().await;
    world.hear(5, 1, &format!("do spawn-late {} work", world.bot.account)).await;
    assert_eq!(world.sent(5), ["ok", "heard: heard: work"]);
}

#[tokio::test]
async fn work_is_passed_on_five_times_at_most() {
    let world = World::start().await;
    let command = format!("do {}rest", "spawn next do ".repeat(5) + "spawn last ");
    world.hear(5, 1, &command).await;
    let sessions = world.account().session_list(world.bot.id).await.unwrap();
    assert_eq!(sessions.iter().filter(|summary| summary.session.is_subagent()).count(), 5);
    // The fifth says that it cannot, and each above it passes that on.
    let sent = world.sent(5);
    let [told] = sent.as_slice() else { panic!("told once: {sent:?}") };
    assert_eq!(*told, format!("{}Work is passed on 5 times at most. Do this yourself.", "heard: ".repeat(5)));
}

#[tokio::test]
async fn a_session_waits_for_five_others_at_most() {
    let world = World::start().await;
    let calls: Vec<String> = (1..=7).map(|n| format!("spawn w{n} part {n}")).collect();
    world.hear(5, 1, &format!("do {}", calls.join("; "))).await;
    let sent = world.sent(5);
    assert_eq!(sent[0].matches("ok").count(), 5, "{sent:?}");
    assert_eq!(sent[0].matches("5 pieces of work are under way already").count(), 2, "{sent:?}");
    let mut told = sent[1..].to_vec();
    told.sort();
    assert_eq!(told, (1..=5).map(|n| format!("heard: heard: part {n}")).collect::<Vec<_>>());
    world.hear(5, 2, "do spawn w8 part 8").await;
    assert_eq!(world.last(5), "heard: heard: part 8", "once they are done there is room again");
}
