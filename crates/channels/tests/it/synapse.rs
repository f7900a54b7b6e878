//! Matrix bots on Synapse, a homeserver that is not ours.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use channels::SendError;
use channels::held::Ended;
use channels::matrix::{self, Chunk, Client, Invited};
use domain::{Address, ChatKind, Media, MediaId, Sender};
use peers::{MatrixPerson, Synapse};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::keeper::{Keeper, PATIENCE};

/// A bot that is connected.
struct Running {
    task: JoinHandle<Ended>,
    stop: CancellationToken,
}

fn client(synapse: &Synapse, person: &MatrixPerson) -> Client {
    Client::new(reqwest::Client::new(), synapse.url(), &person.token).unwrap()
}

/// Everybody but Eve may invite.
fn invited(_: &Address, sender: &Sender) -> Invited {
    if sender.id.starts_with("@eve") { Invited::Decline("I do not know you".to_owned()) } else { Invited::Join }
}

fn connect(client: &Client, keeper: &Arc<Keeper>) -> Running {
    let (client, keeper, stop) = (client.clone(), keeper.clone(), CancellationToken::new());
    let token = stop.clone();
    let task = tokio::spawn(async move {
        let cursor = keeper.cursor();
        matrix::run(&client, &invited, cursor, &*keeper, token).await
    });
    Running { task, stop }
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        assert_eq!(tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap(), Ended::Stopped);
    }
}

fn is_by<'a>(user: &'a str, text: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |event| event["sender"] == user && event["content"]["body"].as_str().is_some_and(|body| body.contains(text))
}

fn chunk(markdown: &str) -> Chunk {
    matrix::render(markdown).remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_and_a_bot_talk_on_a_real_homeserver() {
    let synapse = Synapse::start().await;
    let (ada, bot) = (synapse.person("ada").await, synapse.person("heron").await);
    let client = client(&synapse, &bot);
    let me = client.check().await.unwrap();
    assert_eq!((me.user_id.as_str(), me.display_name.as_deref()), ("@heron:localhost", Some("heron")));

    // What was said before the bot ever came is not answered.
    let old = ada.room(&[&bot.user], false).await;
    bot.join(&old).await;
    ada.say(&old, "said before").await;
    let keeper = Arc::new(Keeper::default());
    let running = connect(&client, &keeper);
    keeper.connected(1).await;

    // A direct talk: the bot joins, and hears what was said before it had joined.
    let direct = ada.room(&[&bot.user], true).await;
    ada.say(&direct, "hello").await;
    let hello = keeper.heard("hello").await;
    assert_eq!(
        (hello.address.kind, hello.mentioned, hello.address.chat.as_str()),
        (ChatKind::Direct, true, direct.as_str())
    );
    assert_eq!((hello.sender.id.as_str(), hello.sender.name.as_deref()), ("@ada:localhost", Some("ada")));
    assert!(hello.sent_at.as_millis() > 1_700_000_000_000);

    client.typing(&me.user_id, &hello.address, Duration::from_secs(5)).await.unwrap();
    let sent = client.send_text(&hello.address, &chunk("**Good** morning"), "turn.0").await.unwrap();
    let again = client.send_text(&hello.address, &chunk("**Good** morning"), "turn.0").await.unwrap();
    assert_eq!(sent, again, "one transaction is one message");
    let read = ada.wait_for(&direct, is_by(&bot.user, "Good morning")).await;
    assert_eq!(read["content"]["formatted_body"], "<strong>Good</strong> morning");
    client.edit_text(&hello.address, &sent, &chunk("Good evening"), "turn.edit").await.unwrap();
    let edit = ada.wait_for(&direct, is_by(&bot.user, "* Good evening")).await;
    assert_eq!(edit["content"]["m.relates_to"]["event_id"], sent.as_str());

    // An answer to the bot's message, in a thread.
    let thread = json!({ "rel_type": "m.thread", "event_id": sent, "m.in_reply_to": { "event_id": sent } });
    ada.send(&direct, "m.room.message", json!({ "msgtype": "m.text", "body": "why?", "m.relates_to": thread })).await;
    let why = keeper.heard("why?").await;
    assert_eq!(why.address.thread.as_deref(), Some(sent.as_str()));
    let quote = why.quote.unwrap();
    assert_eq!((quote.message, quote.author.as_deref()), (sent.clone(), Some("heron")));
    client.send_text(&why.address, &chunk("in the thread"), "turn2.0").await.unwrap();
    let in_thread = ada.wait_for(&direct, is_by(&bot.user, "in the thread")).await;
    assert_eq!(in_thread["content"]["m.relates_to"]["rel_type"], "m.thread");

    // Files in both directions.
    let bytes = Bytes::from_static(b"a reed, drawn");
    let media =
        Media { id: MediaId::of(&bytes), mime: "text/plain".to_owned(), size: 13, name: Some("reed.txt".to_owned()) };
    client.send_file(&hello.address, &media, bytes.clone(), "turn3.0").await.unwrap();
    let file = ada.wait_for(&direct, |event| event["content"]["msgtype"] == "m.file").await;
    let url = file["content"]["url"].as_str().unwrap();
    ada.send(
        &direct,
        "m.room.message",
        json!({ "msgtype": "m.file", "body": "look", "filename": "r.txt", "url": url }),
    )
    .await;
    let look = keeper.heard("look").await;
    assert_eq!(client.download(&look.attachments[0].reference).await.unwrap(), bytes);

    // A group: only what is meant for the bot is a mention.
    let bo = synapse.person("bo").await;
    let group = ada.room(&[&bot.user, &bo.user], false).await;
    bo.join(&group).await;
    ada.wait_for(&group, |event| event["state_key"] == bot.user.as_str() && event["content"]["membership"] == "join")
        .await;
    bo.say(&group, "among ourselves").await;
    let mention = json!({ "msgtype": "m.text", "body": "what do you say?", "m.mentions": { "user_ids": [bot.user] } });
    bo.send(&group, "m.room.message", mention).await;
    let asked = keeper.heard("what do you say?").await;
    assert_eq!((asked.address.kind, asked.mentioned), (ChatKind::Group, true));
    let among = keeper.heard("among ourselves").await;
    assert_eq!((among.address.kind, among.mentioned), (ChatKind::Group, false));
    let event = client.send_text(&asked.address, &chunk("I agree"), "turn4.0").await.unwrap();
    let reply = json!({ "m.in_reply_to": { "event_id": event } });
    bo.send(&group, "m.room.message", json!({ "msgtype": "m.text", "body": "good", "m.relates_to": reply })).await;
    assert!(keeper.heard("good").await.mentioned, "an answer to the bot");

    let texts: Vec<String> = keeper.received().into_iter().map(|one| one.text).collect();
    assert!(!texts.iter().any(|text| text == "said before" || text.contains("Good")), "{texts:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_declined_encryption_is_told_once_and_a_dead_token_is_tried_once() {
    let synapse = Synapse::start().await;
    let (ada, eve, bot) = (synapse.person("ada").await, synapse.person("eve").await, synapse.person("heron").await);
    let client = client(&synapse, &bot);
    let keeper = Arc::new(Keeper::default());
    let running = connect(&client, &keeper);
    keeper.connected(1).await;

    let trap = eve.room(&[&bot.user], true).await;
    let left = eve
        .wait_for(&trap, |event| event["state_key"] == bot.user.as_str() && event["content"]["membership"] == "leave");
    assert_eq!(left.await["content"]["reason"], "I do not know you");

    let secret = ada.room(&[&bot.user], true).await;
    let algorithm = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
    ada.call(Method::PUT, &format!("v3/rooms/{secret}/state/m.room.encryption/"), Some(algorithm.clone())).await;
    ada.wait_for(&secret, |event| event["state_key"] == bot.user.as_str() && event["content"]["membership"] == "join")
        .await;
    ada.send(&secret, "m.room.encrypted", algorithm.clone()).await;
    let notice = ada.wait_for(&secret, is_by(&bot.user, "cannot read encrypted")).await;
    assert_eq!(notice["content"]["msgtype"], "m.notice");
    running.stop().await;

    // Told once, however often the bot is started.
    let running = connect(&client, &keeper);
    ada.send(&secret, "m.room.encrypted", algorithm).await;
    let open = ada.room(&[&bot.user], true).await;
    ada.say(&open, "and here?").await;
    keeper.heard("and here?").await;
    let notices =
        ada.events(&secret).await.into_iter().filter(|event| event["content"]["msgtype"] == "m.notice").count();
    assert_eq!(notices, 1);

    // The token is withdrawn while the bot is connected.
    bot.call(Method::POST, "v3/logout", Some(json!({}))).await;
    let ended = tokio::time::timeout(PATIENCE, running.task).await.unwrap().unwrap();
    assert!(matches!(ended, Ended::Unauthorised(_)), "{ended:?}");
    assert!(matches!(client.check().await, Err(SendError::Unauthorised(_))));
    let address = Address { kind: ChatKind::Direct, chat: open, thread: None, reply_to: None };
    let refused = client.send_text(&address, &chunk("x"), "t").await;
    assert!(matches!(refused, Err(SendError::Unauthorised(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_connection_is_stopped_and_killed_at_random() {
    let synapse = Synapse::start().await;
    let (ada, bot) = (synapse.person("ada").await, synapse.person("heron").await);
    let client = client(&synapse, &bot);
    let keeper = Arc::new(Keeper::default());
    let mut running = connect(&client, &keeper);
    let direct = ada.room(&[&bot.user], true).await;
    ada.say(&direct, "first").await;
    keeper.heard("first").await;

    let mut random = fastrand::Rng::with_seed(5);
    let mut said = Vec::new();
    for round in 0..8 {
        // More than a sync brings at once, while nobody listens.
        let burst = if round == 4 { 130 } else { 5 + random.usize(..15) };
        if round % 2 == 0 {
            running.task.abort();
            let _ = (&mut running.task).await;
        } else {
            running.stop().await;
            running = connect(&client, &keeper);
        }
        for number in 0..burst {
            let text = format!("{round}.{number}");
            ada.say(&direct, &text).await;
            said.push(text);
            if round % 2 == 1 && number == burst / 2 {
                running.task.abort();
                let _ = (&mut running.task).await;
                running = connect(&client, &keeper);
            }
        }
        if round % 2 == 0 {
            running = connect(&client, &keeper);
        }
    }
    for text in &said {
        keeper.heard(text).await;
    }
    running.stop().await;

    let received = keeper.received();
    let mut by_id = BTreeMap::new();
    for one in &received {
        assert_eq!(by_id.entry(one.channel_message_id.clone()).or_insert_with(|| one.text.clone()), &one.text);
    }
    assert_eq!(by_id.len(), said.len() + 1, "each message has one id, however often it came");
    // Repetitions left out, they come in their order.
    let mut seen = std::collections::HashSet::new();
    let order: Vec<&String> =
        received.iter().filter(|one| seen.insert(&one.channel_message_id)).map(|one| &one.text).collect();
    assert_eq!(order[1..], said.iter().collect::<Vec<_>>());
}
