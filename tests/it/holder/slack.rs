//! Slack's socket mode: no envelope is lost, whatever happens to connections and holders.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{LinkStatus, Task};
use gateway_fargate::Holder;
use queues::Queue;
use serde_json::{Value, json};
use testkit::slack::FakeSlack;
use testkit::stack::Stack;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::SOON;

const APP_TOKEN: &str = "xapp-1";

fn message(n: usize) -> Value {
    json!({
        "type": "event_callback", "team_id": "T1", "event_id": format!("Ev{n}"),
        "event": {
            "type": "message", "channel": "D1", "channel_type": "im", "user": "U1", "text": format!("message {n}"),
            "ts": format!("1700000000.{n:06}"),
        },
    })
}

fn pressed(n: usize) -> Value {
    json!({
        "type": "block_actions", "team": { "id": "T1" }, "user": { "id": "U1", "username": "ada" },
        "channel": { "id": "D1" }, "message": { "ts": "1700000000.5" },
        "actions": [{ "value": format!("/approve {n}"), "action_ts": format!("1700000001.{n}") }],
    })
}

fn command(n: usize) -> Value {
    json!({
        "command": "/heron", "text": format!("command {n}"), "user_id": "U1", "user_name": "ada", "channel_id": "D1",
        "team_id": "T1", "trigger_id": format!("trigger.{n}"),
    })
}

struct World {
    slack: FakeSlack,
    stack: Stack,
    said: Vec<String>,
    queued: BTreeMap<String, usize>,
}

impl World {
    /// One of each kind.
    fn say(&mut self) {
        let n = self.said.len();
        self.slack.send_envelope("events_api", &message(n));
        self.slack.send_envelope("interactive", &pressed(n));
        self.slack.send_envelope("slash_commands", &command(n));
        self.said.extend([format!("message {n}"), format!("/approve {n}"), format!("command {n}")]);
    }

    async fn wait(&self, what: &str, is_so: impl Fn(&FakeSlack) -> bool) {
        let deadline = Instant::now() + SOON;
        while !is_so(&self.slack) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.slack.socket_counts());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn all_are_queued(&mut self, when: &str) {
        self.wait(when, |slack| slack.socket_counts().unacknowledged == 0).await;
        for message in self.stack.take(Queue::Turns).await {
            let Ok(Task::Message(inbound)) = Task::from_body(&message.body) else { panic!("{}", message.body) };
            *self.queued.entry(inbound.text).or_default() += 1;
        }
        let missing: Vec<_> = self.said.iter().filter(|text| !self.queued.contains_key(*text)).collect();
        assert!(missing.is_empty(), "{when}: {missing:?} were acknowledged, and are not queued");
        assert!(self.queued.values().all(|times| *times == 1), "{when}: each is queued once: {:?}", self.queued);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_slack_and_holders_do_to_connections_loses_no_envelope() {
    let slack = FakeSlack::start();
    slack.add_app(APP_TOKEN);
    let mut stack = Stack::start_with_kms().await;
    stack.environment.settings.slack_api_base = slack.base_url();
    let account = stack.account().await;
    let bot = stack.bot(account.id, "heron").await;
    let link = stack.slack_socket_link(&bot, "xoxb-1", APP_TOKEN).await;
    let mut world = World { slack, stack, said: vec![], queued: BTreeMap::new() };
    let start = |world: &World| {
        let (holder, stop) = (Holder::new(world.stack.environment.clone()), CancellationToken::new());
        let stopped = stop.clone();
        (tokio::spawn(async move { holder.run(stopped).await }), stop)
    };
    let (task, stop) = start(&world);
    world.wait("nobody connects", |slack| slack.socket_counts().live == 1).await;
    world.say();
    world.all_are_queued("at the beginning").await;

    // Slack renews its connections: the next one is there before the last one goes.
    world.slack.renew_sockets();
    world.say();
    world.wait("nobody connects anew", |slack| slack.socket_counts().opened == 2).await;
    world.say();
    world.all_are_queued("while a connection is renewed").await;
    // The connection breaks.
    world.slack.cut_sockets();
    world.say();
    world.all_are_queued("after a connection was lost").await;
    // Nobody is there for a while.
    stop.cancel();
    task.await.unwrap();
    assert_eq!(world.slack.socket_counts().live, 0);
    world.say();
    let (task, stop) = start(&world);
    world.all_are_queued("after a hand-over").await;
    stop.cancel();
    task.await.unwrap();

    // A token that Slack refuses is tried once, and the link's owner is told.
    let other = world.stack.slack_socket_link(&bot, "xoxb-2", "xapp-revoked").await;
    let (task, stop) = start(&world);
    let account = world.stack.environment.store.account(account.id);
    let deadline = Instant::now() + SOON;
    let reason = loop {
        let now = account.link_get(bot.id, other.id).await.unwrap().unwrap();
        if let LinkStatus::Failed { reason } = now.status {
            break reason;
        }
        assert!(Instant::now() < deadline, "the link is not failed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(reason.contains("App-Level Tokens"), "{reason}");
    assert_eq!(account.link_get(bot.id, link.id).await.unwrap().unwrap().status, LinkStatus::Active);
    stop.cancel();
    task.await.unwrap();
}
