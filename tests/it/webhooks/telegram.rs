//! What Telegram posts beside single messages: people's reactions, and the pieces of albums.

use channels::telegram::SECRET_HEADER;
use domain::link::{ReactionNotifications, TelegramSettings};
use domain::{AccessPolicy, EntryBody, LinkSettings, SessionKey};
use serde_json::{Value, json};
use testkit::stack::Stack;
use testkit::telegram::FakeTelegram;

use super::{Answer, World, open};

const TOKEN: &str = "700:token";

/// A bot that is told of these reactions, and where its answers go.
async fn world(reaction_notifications: ReactionNotifications, access: AccessPolicy) -> (World, FakeTelegram) {
    let telegram = FakeTelegram::start();
    telegram.add_bot(TOKEN, "tidy_bot");
    let mut stack = Stack::start().await;
    stack.environment.settings.telegram_api_base = telegram.base_url();
    let settings = TelegramSettings { reaction_notifications, ..TelegramSettings::default() };
    let world = World::start(stack, LinkSettings::Telegram(settings), TOKEN, None, access).await;
    (world, telegram)
}

impl World {
    async fn update(&self, update: &Value) -> Answer {
        let headers = [(SECRET_HEADER, "verify me".to_owned()), ("content-type", "application/json".to_owned())];
        self.post(&headers, &update.to_string()).await
    }

    /// Ada writes in her chat with the bot.
    async fn says(&self, update: i64, message: i64, text: &str) {
        let ada = json!({ "id": 5, "first_name": "Ada" });
        let chat = json!({ "id": 5, "type": "private" });
        let message = json!({ "message_id": message, "from": ada, "chat": chat, "date": self.now(), "text": text });
        let answer = self.update(&json!({ "update_id": update, "message": message })).await;
        assert_eq!((answer.status, &answer.json()["action"]), (200, &json!("typing")));
    }

    /// Ada reacts to a message. Nothing is done in answer to Telegram.
    async fn reacts(&self, update: i64, chat: Value, message: i64) {
        let reaction = json!({
            "user": { "id": 5, "first_name": "Ada" }, "chat": chat, "message_id": message, "date": self.now(),
            "old_reaction": [], "new_reaction": [{ "type": "emoji", "emoji": "👍" }],
        });
        let answer = self.update(&json!({ "update_id": update, "message_reaction": reaction })).await;
        assert_eq!((answer.status, answer.json()), (200, json!({})));
    }

    /// The log of the bot's own conversation: each entry's kind, and what people did.
    async fn log(&self) -> Vec<String> {
        let account = self.stack.environment.store.account(self.bot.account);
        let log = account.session_read(self.bot.id, &SessionKey::main("main"), 0, 100).await.unwrap().entries;
        let line = |body: &EntryBody| match body {
            EntryBody::User(user) => format!("user: {}", user.text),
            EntryBody::Event(user) => format!("event: {}", user.text),
            EntryBody::Assistant(_) => "answer".to_owned(),
            other => format!("{other:?}"),
        };
        log.iter().map(|entry| line(&entry.body)).collect()
    }
}

fn direct() -> Value {
    json!({ "id": 5, "type": "private" })
}

#[tokio::test]
async fn a_reaction_to_the_bots_message_is_kept_once_and_not_answered() {
    let (world, telegram) = world(ReactionNotifications::Own, open()).await;
    world.says(1, 40, "hello").await;
    world.work().await;
    world.reacts(2, direct(), 41).await;
    world.work().await;
    world.reacts(2, direct(), 41).await;
    world.reacts(3, direct(), 40).await;
    world.work().await;
    world.says(4, 42, "well?").await;
    world.work().await;
    let expected = ["user: hello", "answer", "event: reacted with 👍 to your message 41", "user: well?", "answer"];
    assert_eq!(world.log().await, expected, "her own message is no news, nor is what was told before");
    assert_eq!(telegram.sent(TOKEN).len(), 2);
}

#[tokio::test]
async fn reactions_are_told_of_as_the_link_says() {
    let group = json!({ "id": -100, "type": "supergroup" });
    for (told, wanted) in [
        (ReactionNotifications::Off, [false, false]),
        (ReactionNotifications::Own, [true, false]),
        (ReactionNotifications::All, [true, true]),
    ] {
        let (world, _telegram) = world(told, open()).await;
        let mut queued = [false, false];
        for (at, chat) in [direct(), group.clone()].into_iter().enumerate() {
            world.reacts(9, chat, 41).await;
            queued[at] = !world.queued().await.is_empty();
        }
        assert_eq!(queued, wanted, "{told:?}");
    }
}

#[tokio::test]
async fn a_strangers_reaction_gets_no_code() {
    let (world, _telegram) = world(ReactionNotifications::Own, AccessPolicy::default()).await;
    world.reacts(1, direct(), 41).await;
    world.assert_nothing_is_queued().await;
}

/// A piece of an album that Ada posts in a group.
fn piece(update: i64, album: &str, caption: Option<&str>) -> Value {
    let file =
        |size: i64| json!({ "file_id": format!("p{update}"), "file_unique_id": "u", "width": size, "height": size });
    let mut message = json!({
        "message_id": 100 + update, "from": { "id": 5, "first_name": "Ada" }, "media_group_id": album, "date": 1_795_341_600,
        "chat": { "id": -100, "type": "supergroup" }, "photo": [file(90)],
    });
    if let Some(caption) = caption {
        message["caption"] = caption.into();
    }
    json!({ "update_id": update, "message": message })
}

#[tokio::test]
async fn the_pieces_of_an_album_come_with_the_one_that_mentions_the_bot() {
    let access = AccessPolicy { mention_patterns: vec!["tidy".to_owned()], ..open() };
    let (world, _telegram) = world(ReactionNotifications::Own, access).await;
    let early = piece(1, "7", None);
    // Telegram posts them at once, in any order.
    let (early, with_caption) = tokio::join!(world.update(&early), async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        world.update(&piece(2, "7", Some("tidy, which of these is low tide?"))).await
    });
    assert_eq!((early.status, with_caption.status), (200, 200));
    world.update(&piece(3, "7", None)).await;
    world.update(&piece(4, "8", None)).await;
    world.update(&piece(5, "8", Some("look, everybody"))).await;
    let mut files: Vec<String> =
        world.queued().await.iter().map(|inbound| inbound.attachments[0].reference.clone()).collect();
    files.sort();
    assert_eq!(files, ["p1", "p2", "p3"], "the other album is for nobody here");
}
