//! Files come in and go out, buttons are pressed, and an answer is seen while it is written.

use std::sync::Arc;
use std::time::Duration;

use agent::{BotView, Mind, ModelError, ModelRequest, ToolContext};
use axum::body::{Body, Bytes};
use axum::http::Request;
use delivery::DeliveryHandler;
use domain::abilities::TranscriptionSettings;
use domain::access::DmPolicy;
use domain::message::{Address, ChatKind};
use domain::turn::ToolRules;
use domain::{
    AccessPolicy, Answer, Attachment, Bot, Button, Channel, EntryBody, Link, Media, ModelSettings, Outbound,
    OutboundId, SessionKey, StreamMode, Task, ToolCall, ToolResult, TurnId,
};
use futures::future::BoxFuture;
use queues::Queue;
use serde_json::{Value, json};
use testkit::model::FakeModel;
use testkit::stack::Stack;
use testkit::telegram::{FakeTelegram, Sent};
use tokio::time::{Instant, sleep};
use tower::ServiceExt;
use turn::TurnHandler;

use crate::crash::event;
use crate::dev_process::lowtide;

pub(crate) const TOKEN: &str = "900:media-token";
const WORK_TIME: Duration = Duration::from_secs(180);
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and what follows";

pub(crate) struct World {
    pub(crate) stack: Stack,
    pub(crate) telegram: FakeTelegram,
    pub(crate) bot: Bot,
    pub(crate) link: Link,
    secret: String,
}

impl World {
    pub(crate) async fn start(change: impl FnOnce(&mut Bot)) -> World {
        let mut stack = Stack::start().await;
        let telegram = FakeTelegram::start();
        telegram.add_bot(TOKEN, "media_bot");
        stack.environment.settings.telegram_api_base = telegram.base_url();
        stack.environment.settings.private_models = true;
        stack.environment.settings.pdf_reader = Some(lowtide().to_owned());
        let account = stack.account().await.id;
        let mut bot = stack.draft(account, "media");
        change(&mut bot);
        stack.environment.store.account(account).bot_create(&bot).await.unwrap();
        let access = AccessPolicy { dm_policy: DmPolicy::Open, ..AccessPolicy::default() };
        let (link, secret) = stack.telegram_link(&bot, TOKEN, access).await;
        World { stack, telegram, bot, link, secret }
    }

    /// Telegram posts an update, and is answered this.
    pub(crate) async fn post(&self, update: Value) -> Value {
        let request = Request::post(format!("/hooks/telegram/{}", self.link.id))
            .header("x-telegram-bot-api-secret-token", &self.secret)
            .header("content-type", "application/json")
            .body(Body::from(update.to_string()))
            .unwrap();
        let answer = ingress::router(self.stack.environment.clone()).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_slice(&axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap()).unwrap()
    }

    pub(crate) async fn say(&self, n: u32, fields: Value) {
        let mut message = json!({
            "message_id": n,
            "date": 1_795_341_600,
            "chat": { "id": 5, "type": "private" },
            "from": { "id": 5, "is_bot": false, "first_name": "Ada" },
        });
        message.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.post(json!({ "update_id": n, "message": message })).await;
    }

    pub(crate) fn agent(&self) -> TurnHandler {
        TurnHandler::new(self.stack.environment.clone()).unwrap()
    }

    pub(crate) fn thinking(&self, mind: impl Mind + 'static) -> TurnHandler {
        TurnHandler::with_mind(self.stack.environment.clone(), Arc::new(mind)).in_chats()
    }

    /// Runs turns and deliveries until nothing is left to do.
    pub(crate) async fn work(&self, turns: &TurnHandler) {
        let deliveries = DeliveryHandler::new(self.stack.environment.clone());
        let queues = &self.stack.environment.queues;
        loop {
            let mut idle = true;
            for queue in [Queue::Turns, Queue::Outbound] {
                let received = queues.receive(queue, 10, Duration::ZERO).await.unwrap();
                if received.is_empty() {
                    continue;
                }
                idle = false;
                let deadline = Instant::now() + WORK_TIME;
                let mut event = event(&received);
                for (record, message) in event.records.iter_mut().zip(&received) {
                    let count = message.receive_count.to_string();
                    record.attributes.insert("ApproximateReceiveCount".to_owned(), count);
                }
                let response = match queue {
                    Queue::Turns => turns.handle(event, deadline).await,
                    _ => deliveries.handle(event, deadline).await,
                };
                assert!(response.batch_item_failures.is_empty(), "{response:?}");
                for message in received {
                    queues.delete(queue, &message.receipt).await.unwrap();
                }
            }
            if idle {
                break;
            }
        }
        for queue in [Queue::TurnsDeadLetters, Queue::OutboundDeadLetters] {
            let letters = self.stack.take(queue).await;
            assert!(letters.is_empty(), "a dead letter: {letters:?}");
        }
    }

    /// What came with the newest message.
    pub(crate) async fn attachment(&self) -> Attachment {
        let account = self.stack.environment.store.account(self.bot.account);
        let log = account.session_read(self.bot.id, &SessionKey::main("main"), 0, 1000).await.unwrap().entries;
        let user = log.iter().rev().find_map(|entry| match &entry.body {
            EntryBody::User(user) => Some(user),
            _ => None,
        });
        user.unwrap().attachments[0].clone()
    }

    async fn bytes_of(&self, media: &Media) -> Option<Bytes> {
        self.stack.environment.store.account(self.bot.account).media_get(self.bot.id, &media.id).await.unwrap()
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.telegram.sent(TOKEN)
    }
}

#[tokio::test]
async fn an_album_is_one_turn_although_it_comes_in_pieces() {
    let model = FakeModel::start();
    model.echo();
    let world = World::start(|bot| {
        bot.model = ModelSettings {
            model: Some("custom/m".to_owned()),
            base_url: Some(model.base_url()),
            ..ModelSettings::default()
        };
    })
    .await;
    world.telegram.add_file(TOKEN, "photo", PNG);
    let photo = json!([{ "file_id": "photo", "width": 9, "height": 9 }]);
    world.say(1, json!({ "photo": photo, "media_group_id": "77", "caption": "which one?" })).await;
    let (queues, turns) = (&world.stack.environment.queues, world.agent());
    let first = queues.receive(Queue::Turns, 10, Duration::ZERO).await.unwrap();
    let response = turns.handle(event(&first), Instant::now() + WORK_TIME).await;
    assert_eq!(response.batch_item_failures.len(), 1, "it waits for the others");
    for n in 2..=3 {
        world.say(n, json!({ "photo": photo, "media_group_id": "77" })).await;
    }
    sleep(Duration::from_millis(1_500)).await;
    world.work(&turns).await;
    assert_eq!(world.sent().len(), 1, "{:?}", world.sent());
    let account = world.stack.environment.store.account(world.bot.account);
    let log = account.session_read(world.bot.id, &SessionKey::main("main"), 0, 1000).await.unwrap().entries;
    let pieces = log.iter().filter_map(|entry| match &entry.body {
        EntryBody::User(user) => Some((entry.turn, user.attachments.len())),
        _ => None,
    });
    assert_eq!(pieces.collect::<Vec<_>>(), [(log[0].turn, 1); 3]);
}

/// A server that writes down the same of whatever it hears, if it is asked in the right way.
async fn scribe() -> String {
    let answer = async |headers: axum::http::HeaderMap, body: Bytes| {
        assert_eq!(headers["content-type"].to_str().unwrap().split(';').next(), Some("multipart/form-data"));
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(body.contains("name=\"model\"\r\n\r\nears-1") && body.contains("OggS"), "{body}");
        axum::Json(json!({ "text": " When is low tide? " }))
    };
    let app = axum::Router::new().route("/v1/audio/transcriptions", axum::routing::post(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn what_comes_with_a_message_is_kept_and_read() {
    let model = FakeModel::start();
    model.echo();
    let ears = TranscriptionSettings { base_url: scribe().await, model: "ears-1".to_owned(), api_key: None };
    let world = World::start(|bot| {
        bot.model = ModelSettings {
            model: Some("custom/m".to_owned()),
            base_url: Some(model.base_url()),
            ..ModelSettings::default()
        };
        bot.abilities.transcription = Some(ears);
    })
    .await;
    let turns = world.agent();
    let large = vec![b'x'; (20 << 20) + 1];
    let files: [(&str, Vec<u8>); 5] = [
        ("photo", PNG.to_vec()),
        ("voice", b"OggS and so on".to_vec()),
        ("notes", b"noon: low tide".to_vec()),
        ("evil", b"%PDF-1.4\n1 0 obj << /Length 99999999999 >> stream".to_vec()),
        ("large", large),
    ];
    for (id, bytes) in files {
        world.telegram.add_file(TOKEN, id, bytes);
    }

    world.say(1, json!({ "photo": [{ "file_id": "photo", "width": 9, "height": 9 }], "caption": "look" })).await;
    world.work(&turns).await;
    let photo = world.attachment().await.media.unwrap();
    assert_eq!(photo.mime, "image/png", "whatever the channel says");
    assert_eq!(world.bytes_of(&photo).await.as_deref(), Some(PNG));

    world.say(2, json!({ "voice": { "file_id": "voice", "mime_type": "audio/ogg" } })).await;
    world.work(&turns).await;
    assert_eq!(world.attachment().await.text.as_deref(), Some("When is low tide?"));

    world.say(3, json!({ "document": { "file_id": "notes", "file_name": "notes.md" } })).await;
    world.work(&turns).await;
    assert_eq!(world.attachment().await.text.as_deref(), Some("noon: low tide"));

    for (n, file, why) in [(4, "evil", "damaged"), (5, "large", "larger than 20 MB")] {
        world.say(n, json!({ "document": { "file_id": file, "mime_type": "application/pdf" } })).await;
        world.work(&turns).await;
        let text = world.attachment().await.text.unwrap();
        assert!(text.contains(why), "{text}");
    }
    assert_eq!(world.sent().len(), 5, "each is answered: {:?}", world.sent());
    world.telegram.assert_clean();
    model.assert_clean();
}

#[tokio::test]
async fn pictures_leave_as_an_album_and_one_by_one_if_telegram_does_not_take_it() {
    let world = World::start(|_| {}).await;
    let environment = &world.stack.environment;
    let account = environment.store.account(world.bot.account);
    let reply = async |n: u32, files: &[(&'static [u8], &str)]| {
        let mut media = vec![];
        for (bytes, mime) in files {
            let id = account.media_put(world.bot.id, mime, Bytes::from_static(bytes)).await.unwrap();
            media.push(Media { id, mime: (*mime).to_owned(), size: bytes.len() as u64, name: None });
        }
        let now = environment.clock.now();
        let outbound = Outbound {
            id: OutboundId::reply(TurnId::from_parts(now, n.into()), 0),
            account: world.bot.account,
            bot: world.bot.id,
            link: world.link.id,
            channel: Channel::Telegram,
            address: Address { kind: ChatKind::Direct, chat: n.to_string(), thread: None, reply_to: None },
            text: "Here they are.".into(),
            media,
            buttons: vec![],
            parent: None,
            draft: None,
            mark: None,
            created_at: now,
        };
        environment.queues.send(&Task::Deliver(Box::new(outbound))).await.unwrap();
        world.work(&world.agent()).await;
        let sent = world.sent().into_iter().filter(|sent| sent.chat == n.to_string());
        let shown = sent.map(|sent| (sent.file.map(|file| file.field), sent.is_in_album));
        shown.map(|(field, is_in_album)| (field.unwrap_or_default(), is_in_album)).collect::<Vec<_>>()
    };
    let shown = |all: &[(&str, bool)]| all.iter().map(|(field, is)| ((*field).to_owned(), *is)).collect::<Vec<_>>();
    let png = (PNG, "image/png");
    let sent = reply(5, &[png, png, png, (b"a,b", "text/csv"), png]).await;
    let album =
        [("", false), ("photo0", true), ("photo1", true), ("photo2", true), ("document", false), ("photo", false)];
    assert_eq!(sent, shown(&album));
    world.telegram.assert_clean();
    let sent = reply(6, &[png, (b"no picture", "image/png")]).await;
    assert_eq!(sent, shown(&[("", false), ("photo", false), ("document", false)]));
}

#[tokio::test]
async fn a_reply_carries_files_and_buttons() {
    let world = World::start(|_| {}).await;
    let environment = &world.stack.environment;
    let account = environment.store.account(world.bot.account);
    let mut media = vec![];
    for (bytes, mime, name) in [(PNG, "image/png", "tide.png"), (b"a,b", "text/csv", "tide.csv")] {
        let id = account.media_put(world.bot.id, mime, Bytes::from_static(bytes)).await.unwrap();
        media.push(Media { id, mime: mime.into(), size: bytes.len() as u64, name: Some(name.into()) });
    }
    let now = environment.clock.now();
    let outbound = Outbound {
        id: OutboundId::reply(TurnId::from_parts(now, 1), 0),
        account: world.bot.account,
        bot: world.bot.id,
        link: world.link.id,
        channel: Channel::Telegram,
        address: Address { kind: ChatKind::Direct, chat: "5".into(), thread: None, reply_to: None },
        text: "May I?".into(),
        media,
        buttons: vec![Button { label: "Yes".into(), command: "/approve K7Q2 once".into() }],
        parent: None,
        draft: None,
        mark: None,
        created_at: now,
    };
    environment.queues.send(&Task::Deliver(Box::new(outbound.clone()))).await.unwrap();
    world.work(&world.agent()).await;
    let sent = world.sent();
    assert_eq!(sent[0].buttons, [("Yes".to_owned(), "/approve K7Q2 once".to_owned())]);
    let files: Vec<_> = sent.iter().filter_map(|sent| sent.file.as_ref()).collect();
    let shown: Vec<_> = files.iter().map(|file| (file.field.as_str(), file.name.as_str(), &file.bytes[..])).collect();
    assert_eq!(shown, [("photo", "tide.png", PNG), ("document", "tide.csv", b"a,b")]);
    let delivery = account.delivery_get(&outbound).await.unwrap().unwrap();
    assert_eq!(delivery.sent.len(), 3, "each part is on record");
    world.telegram.assert_clean();
}

#[tokio::test]
async fn a_press_says_its_buttons_command() {
    let world = World::start(|_| {}).await;
    let press = |data: &str| {
        json!({ "update_id": 1, "callback_query": {
            "id": "77", "from": { "id": 5, "is_bot": false, "first_name": "Ada" }, "data": data,
            "message": { "message_id": 3, "date": 0, "chat": { "id": 5, "type": "private" } },
        } })
    };
    assert_eq!(world.post(press("not a command")).await, json!({}));
    let answer = world.post(press("/stop")).await;
    assert_eq!(answer, json!({ "method": "answerCallbackQuery", "callback_query_id": "77" }));
    world.post(press("/stop")).await;
    world.work(&world.agent()).await;
    let sent: Vec<String> = world.sent().into_iter().map(|sent| sent.text_html).collect();
    assert_eq!(sent, ["There was nothing to stop."]);
}

/// Says a text bit by bit, each after a pause, and then ends with another one.
pub(crate) struct Slow {
    bits: Vec<&'static str>,
    pause: Duration,
    end: &'static str,
}

impl ToolRules for Slow {
    fn may_repeat(&self, _: &Bot, _: &ToolCall) -> bool {
        true
    }

    fn needs_approval(&self, _: &Bot, _: &ToolCall) -> bool {
        false
    }
}

impl Mind for Slow {
    fn answer<'a>(&'a self, request: &'a ModelRequest<'a>) -> BoxFuture<'a, Result<Answer, ModelError>> {
        Box::pin(async move {
            let mut text = String::new();
            for bit in &self.bits {
                text.push_str(bit);
                request.progress.unwrap().said(&text);
                sleep(self.pause).await;
            }
            Ok(Answer { text: self.end.to_owned(), model: "slow/one".to_owned(), ..Answer::default() })
        })
    }

    fn run_tool<'a>(&'a self, _: &'a ToolCall, _: &'a ToolContext<'a>) -> BoxFuture<'a, ToolResult> {
        unreachable!("it asks for no tools")
    }

    fn estimate(&self, _: &ModelRequest<'_>) -> Option<u64> {
        None
    }

    fn tool_names(&self, _: &BotView<'_>) -> Vec<String> {
        vec![]
    }

    fn context_window(&self, _: &BotView<'_>) -> u64 {
        100_000
    }
}

const BITS: [&str; 3] = ["Low tide", " is at", " noon"];

pub(crate) fn slow(end: &'static str) -> Slow {
    Slow { bits: BITS.to_vec(), pause: Duration::from_millis(1_900), end }
}

/// A mind that has always the same to say, and says it at once.
pub(crate) fn says(end: &'static str) -> Slow {
    Slow { bits: vec![], pause: Duration::ZERO, end }
}

#[tokio::test]
async fn an_answer_is_seen_while_it_is_written_and_stays_one_message() {
    let world = World::start(|_| {}).await;
    world.say(1, json!({ "text": "when?" })).await;
    world.work(&world.thinking(slow("Low tide is at **noon**."))).await;
    let [sent] = world.sent().try_into().unwrap();
    assert_eq!((sent.text_html.as_str(), sent.is_html), ("Low tide is at <b>noon</b>.", true));
    assert!(sent.before.len() >= 2 && sent.before.iter().all(|text| text.ends_with('…')), "{:?}", sent.before);
    assert!(world.telegram.typing(TOKEN) >= 1, "it takes longer than four seconds");
    let account = world.stack.environment.store.account(world.bot.account);
    let now = world.stack.environment.clock.now();
    assert_eq!(account.draft_get(world.bot.id, &SessionKey::main("main"), now).await.unwrap(), None);
    world.telegram.assert_clean();
}

#[tokio::test]
async fn a_draft_that_comes_to_nothing_is_taken_back() {
    let world = World::start(|_| {}).await;
    world.say(1, json!({ "text": "hm" })).await;
    world.work(&world.thinking(slow("NO_REPLY"))).await;
    assert_eq!(world.sent(), []);
    world.telegram.assert_clean();
}

#[tokio::test]
async fn nothing_is_seen_of_an_answer_that_is_quick_or_not_to_be_shown() {
    let quick = Slow { pause: Duration::from_millis(100), ..slow("Noon.") };
    for (mode, mind) in [(StreamMode::Partial, quick), (StreamMode::Off, slow("Noon."))] {
        let world = World::start(|bot| bot.streaming = mode).await;
        world.say(1, json!({ "text": "when?" })).await;
        world.work(&world.thinking(mind)).await;
        let [sent] = world.sent().try_into().unwrap();
        assert_eq!((sent.text_html.as_str(), sent.before.len()), ("Noon.", 0));
    }
}

#[tokio::test]
async fn who_takes_a_turn_over_goes_on_with_its_draft() {
    let world = World::start(|_| {}).await;
    world.say(1, json!({ "text": "when?" })).await;
    let queues = &world.stack.environment.queues;
    let received = queues.receive(Queue::Turns, 10, Duration::ZERO).await.unwrap();
    let dying = world.thinking(slow("never said"));
    let lived =
        tokio::time::timeout(Duration::from_secs(4), dying.handle(event(&received), Instant::now() + WORK_TIME));
    assert!(lived.await.is_err(), "it dies while it answers");
    assert_eq!(world.sent().len(), 1, "its draft is there");
    for message in &received {
        queues.release(Queue::Turns, &message.receipt, Duration::ZERO).await.unwrap();
    }
    world.work(&world.thinking(Slow { bits: vec![], ..slow("Noon.") })).await;
    let [sent] = world.sent().try_into().unwrap();
    assert_eq!(sent.text_html, "Noon.");
    assert!(!sent.before.is_empty(), "it was a draft");
    world.telegram.assert_clean();
}

#[tokio::test]
async fn a_draft_that_somebody_removed_is_sent_anew() {
    let world = World::start(|_| {}).await;
    world.say(1, json!({ "text": "when?" })).await;
    let turns = world.thinking(slow("Noon."));
    let remove = async {
        let sent = world.telegram.wait_for(TOKEN, 1, Duration::from_secs(10)).await;
        world.telegram.remove(TOKEN, sent[0].id);
    };
    tokio::join!(world.work(&turns), remove);
    let texts: Vec<String> = world.sent().into_iter().map(|sent| sent.text_html).collect();
    assert_eq!(texts.last().map(String::as_str), Some("Noon."), "{texts:?}");
}
