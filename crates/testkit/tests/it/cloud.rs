//! The services in memory, through the product's own crates and the SDK, under a paused clock.

mod messages;
mod network;
mod objects;
mod rows;
mod speed;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::message::{Address, Channel, ChatKind, Sender};
use domain::turn::Head;
use domain::{
    AccountId, Answer, BotId, Entry, EntryBody, EntryId, LinkId, MessageId, Outbound, OutboundId, SessionKey, Task,
    Timestamp, TurnId, UserMessage,
};
use runtime::{Clock, Entropy, Environment};
use store::{Commit, StoreError};
use testkit::cloud::{Calm, Cloud, Network};

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_795_000_000 + secs)
}

fn account() -> AccountId {
    AccountId::from_parts(at(0), 1)
}

fn bot() -> BotId {
    BotId::from_parts(at(0), 2)
}

fn message(n: u32) -> MessageId {
    MessageId::of(LinkId::from_parts(at(0), 3), &n.to_string())
}

/// The environment of a worker that reaches the cloud over this network.
fn worker(cloud: &Cloud, network: impl Network + 'static) -> Environment {
    let counter = AtomicU64::new(0);
    let entropy = Entropy::from_fn(move || counter.fetch_add(1, Ordering::Relaxed).into());
    cloud.environment(Arc::new(network), Clock::from_fn(|| at(0)), entropy)
}

fn calm_world() -> (Cloud, Environment) {
    let cloud = Cloud::new();
    let environment = worker(&cloud, Calm);
    (cloud, environment)
}

fn outbound(n: u32) -> Outbound {
    Outbound {
        media: vec![],
        buttons: vec![],
        draft: None,
        mark: None,
        parent: None,
        id: OutboundId::reply(TurnId::from_parts(at(0), n.into()), 0),
        account: account(),
        bot: bot(),
        link: LinkId::from_parts(at(0), 3),
        channel: Channel::Telegram,
        address: Address { kind: ChatKind::Direct, chat: "5".into(), thread: None, reply_to: None },
        text: "hello".into(),
        created_at: at(n.into()),
    }
}

/// A task for the chat with this id.
fn delivery(n: u32, chat: &str) -> Task {
    let address = Address { chat: chat.to_owned(), ..outbound(n).address };
    Task::Deliver(Box::new(Outbound { address, ..outbound(n) }))
}

fn exchange(first_seq: u64, n: u32) -> Vec<Entry> {
    let user = UserMessage {
        message: message(n),
        channel: Channel::Telegram,
        sender: Sender { id: "1".into(), name: None, username: None },
        text: format!("question {n}"),
        is_command: false,
        attachments: vec![],
        quote: None,
        sent_at: at(n.into()),
        received_at: None,
    };
    let answer = Answer { text: format!("answer {n}"), model: "test/one".into(), ..Answer::default() };
    let entry = |(seq, body)| Entry {
        seq,
        id: EntryId::from_parts(at(0), seq.into()),
        turn: TurnId::from_parts(at(0), n.into()),
        at: at(n.into()),
        body,
    };
    [(first_seq, EntryBody::User(user)), (first_seq + 1, EntryBody::Assistant(answer))].map(entry).to_vec()
}

/// Commits the `n`-th exchange of a session, as a worker that saw `seen` would.
async fn commit(worker: &Environment, session: &SessionKey, seen: &Head, n: u32) -> Result<Head, StoreError> {
    let head = Head { next_seq: seen.next_seq + 2, updated_at: at(n.into()), ..seen.clone() };
    let commit = Commit {
        seen,
        head: &head,
        entries: &exchange(seen.next_seq, n),
        marks: &[message(n)],
        outbox: &[outbound(n)],
        spending: &store::Spending::Nothing,
        place: None,
    };
    worker.store.account(account()).session_commit(bot(), session, &commit).await.map(|()| head)
}
