//! What is said on a real homeserver while holders come and go is queued once, all of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use delivery::DeliveryHandler;
use domain::{Address, Channel, ChatKind, Sender, SessionKey, Task};
use futures::future::join_all;
use peers::Synapse;
use queues::Queue;
use testkit::stack::Stack;
use tokio::time::Instant;
use turn::TurnHandler;

use super::SOON;
use super::storm::Storm;
use crate::crash::event;
use crate::dev_process::report;
use crate::media::slow;

/// The texts that the holders have queued so far, with how often each was.
async fn read_queue(stack: &Stack, queued: &mut BTreeMap<String, usize>) {
    for message in stack.take(Queue::Turns).await {
        let Ok(Task::Message(inbound)) = Task::from_body(&message.body) else { panic!("{}", message.body) };
        *queued.entry(inbound.text).or_default() += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_grows_in_one_message() {
    let synapse = Synapse::start().await;
    let mut stack = Stack::start_with_kms().await;
    stack.environment.settings.fetch_allow = vec![synapse.url().strip_prefix("http://").unwrap().to_owned()];
    let bot = stack.bot(stack.account().await.id, "heron").await;
    let (ada, heron) = (synapse.person("ada").await, synapse.person("heron").await);
    let link = stack.matrix_link(&bot, synapse.url(), &heron.user, &heron.token).await;
    let room = ada.room(&[&heron.user], true).await;
    heron.join(&room).await;
    let now = stack.environment.clock.now();
    let asked = channels::Received {
        channel_message_id: "$1".to_owned(),
        address: Address { kind: ChatKind::Direct, chat: room.clone(), thread: None, reply_to: None },
        sender: Sender { id: ada.user.clone(), name: None, username: None },
        text: "when?".to_owned(),
        attachments: vec![],
        quote: None,
        album: None,
        mentioned: true,
        sent_at: now,
    };
    let asked = asked.into_inbound(&bot, link.id, Channel::Matrix, SessionKey::main("main"), now);
    stack.environment.take_in(&bot, asked).await.unwrap();
    let turns = TurnHandler::with_mind(stack.environment.clone(), Arc::new(slow("Noon."))).in_chats();
    let deliveries = DeliveryHandler::new(stack.environment.clone());
    let deadline = Instant::now() + Duration::from_secs(180);
    let received = stack.take(Queue::Turns).await;
    assert!(turns.handle(event(&received), deadline).await.batch_item_failures.is_empty());
    let received = stack.take(Queue::Outbound).await;
    assert!(deliveries.handle(event(&received), deadline).await.batch_item_failures.is_empty());

    let events = ada.events(&room).await;
    let said = events.iter().filter(|event| event["type"] == "m.room.message" && event["sender"] == *heron.user);
    let (edits, messages): (Vec<_>, Vec<_>) =
        said.partition(|event| event["content"]["m.relates_to"]["rel_type"] == "m.replace");
    let [draft] = messages.as_slice() else { panic!("one message: {messages:?}") };
    assert!(draft["content"]["body"].as_str().unwrap().starts_with("Low tide"), "{draft}");
    assert!(
        edits.len() >= 2 && edits.iter().all(|edit| edit["content"]["m.relates_to"]["event_id"] == draft["event_id"])
    );
    let last = edits.iter().max_by_key(|edit| edit["origin_server_ts"].as_u64()).unwrap();
    assert_eq!(last["content"]["m.new_content"]["body"], "Noon.");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_lost_while_holders_come_and_go() {
    const BOTS: usize = 8;
    let synapse = Synapse::start().await;
    let mut stack = Stack::start_with_kms().await;
    let host = synapse.url().strip_prefix("http://").unwrap().to_owned();
    stack.environment.settings.fetch_allow = vec![host];
    let account = stack.account().await;
    let bot = stack.bot(account.id, "heron").await;
    let ada = synapse.person("ada").await;
    let rooms = join_all((0..BOTS).map(|n| {
        let (synapse, stack, ada, bot) = (&synapse, &stack, &ada, &bot);
        async move {
            let heron = synapse.person(&format!("heron{n}")).await;
            stack.matrix_link(bot, synapse.url(), &heron.user, &heron.token).await;
            let room = ada.room(&[&heron.user], true).await;
            (room, heron.user)
        }
    }))
    .await;

    let mut storm = Storm::new(&stack, 2);
    let mut queued = BTreeMap::new();
    for (n, (room, user)) in rooms.iter().enumerate() {
        let has_joined = |event: &serde_json::Value| {
            event["type"] == "m.room.member" && event["state_key"] == **user && event["content"]["membership"] == "join"
        };
        ada.wait_for(room, has_joined).await;
        // Once this is queued, the bot reads from where a successor can go on.
        ada.say(room, &format!("first to {n}")).await;
    }
    let mut said: Vec<String> = (0..BOTS).map(|n| format!("first to {n}")).collect();
    let mut random = fastrand::Rng::with_seed(7);
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    storm.begin();
    while !storm.is_over() {
        ticks.tick().await;
        let text = format!("message {}", said.len());
        ada.say(&rooms[random.usize(..BOTS)].0, &text).await;
        said.push(text);
        read_queue(&stack, &mut queued).await;
        storm.blow(&stack).await;
    }
    let deadline = Instant::now() + SOON;
    while said.iter().any(|text| !queued.contains_key(text)) {
        let missing: Vec<_> = said.iter().filter(|text| !queued.contains_key(*text)).collect();
        assert!(Instant::now() < deadline, "{} of {} messages are lost: {missing:?}", missing.len(), said.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
        read_queue(&stack, &mut queued).await;
    }
    assert!(queued.values().all(|times| *times == 1), "each is queued once: {queued:?}");
    assert_eq!(queued.len(), said.len());
    report(&format!("{} messages to {BOTS} Matrix bots, each queued once; {}", said.len(), storm.told()));
}
