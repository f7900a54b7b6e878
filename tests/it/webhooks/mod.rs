//! What each channel posts: taken if it is signed, once, and answered there; and nothing else reaches a queue.

mod discord;
mod hooks;
mod matrix;
mod slack;
mod standard;
mod telegram;
mod whatsapp;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use delivery::DeliveryHandler;
use domain::access::{DmPolicy, GroupPolicy};
use domain::{AccessPolicy, Bot, EntryBody, Inbound, Link, LinkSettings, SessionKey, Task};
use queues::Queue;
use serde_json::Value;
use testkit::stack::Stack;
use tokio::time::Instant;
use tower::ServiceExt;
use turn::TurnHandler;

use crate::crash::event;
use crate::media::slow;

/// A bot with one link, and what works for it.
struct World {
    stack: Stack,
    bot: Bot,
    link: Link,
}

/// One answer of the door.
#[derive(Debug)]
struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Everybody may write.
fn open() -> AccessPolicy {
    AccessPolicy { dm_policy: DmPolicy::Open, group_policy: GroupPolicy::Open, ..AccessPolicy::default() }
}

impl World {
    async fn start(
        stack: Stack,
        settings: LinkSettings,
        credentials: &str,
        signing_secret: Option<&str>,
        access: AccessPolicy,
    ) -> World {
        let bot = stack.bot(stack.account().await.id, "tidy").await;
        let link = stack.link(&bot, settings, credentials, signing_secret, access).await;
        World { stack, bot, link }
    }

    fn path(&self) -> String {
        format!("/hooks/{}/{}", self.link.channel, self.link.id)
    }

    /// Seconds since the Unix epoch.
    fn now(&self) -> u64 {
        self.stack.environment.clock.now().as_millis() / 1000
    }

    async fn request(&self, method: &str, path: &str, headers: &[(&str, String)], body: Vec<u8>) -> Answer {
        let router: Router = ingress::router(self.stack.environment.clone());
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = router.oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Answer { status, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    async fn post(&self, headers: &[(&str, String)], body: &str) -> Answer {
        self.request("POST", &self.path(), headers, body.as_bytes().to_vec()).await
    }

    /// Takes what was queued for turns.
    async fn queued(&self) -> Vec<Inbound> {
        let tasks = self.stack.take(Queue::Turns).await;
        let message = |body: &str| match Task::from_body(body).unwrap() {
            Task::Message(inbound) => *inbound,
            other => panic!("{other:?}"),
        };
        tasks.iter().map(|task| message(&task.body)).collect()
    }

    /// What the files say that came with the newest message.
    async fn files_said(&self) -> Vec<Option<String>> {
        let account = self.stack.environment.store.account(self.bot.account);
        let log = account.session_read(self.bot.id, &SessionKey::main("main"), 0, 1000).await.unwrap().entries;
        let user = log.iter().rev().find_map(|entry| match &entry.body {
            EntryBody::User(user) => Some(user),
            _ => None,
        });
        user.unwrap().attachments.iter().map(|attachment| attachment.text.clone()).collect()
    }

    async fn assert_nothing_is_queued(&self) {
        assert!(self.queued().await.is_empty());
        assert!(self.stack.take(Queue::Outbound).await.is_empty());
    }

    /// Does what is queued until nothing is left: turns by the demo model, and deliveries.
    async fn work(&self) {
        self.work_by(&TurnHandler::new(self.stack.environment.clone()).unwrap()).await;
    }

    /// What people saw, again and again, while a bot answered that takes some seconds to say "Noon."
    async fn seen_while_it_answers(&self, texts: impl Fn() -> Vec<String>) -> Vec<Vec<String>> {
        let turns = TurnHandler::with_mind(self.stack.environment.clone(), Arc::new(slow("Noon."))).in_chats();
        let mut seen = vec![];
        let look = async {
            loop {
                let now = texts();
                if !now.is_empty() && seen.last() != Some(&now) {
                    seen.push(now);
                }
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        };
        tokio::select! {
            () = look => {}
            () = self.work_by(&turns) => {}
        }
        let last = texts();
        if seen.last() != Some(&last) {
            seen.push(last);
        }
        seen
    }

    /// As [`World::work`], with other turns.
    async fn work_by(&self, turns: &TurnHandler) {
        let environment = &self.stack.environment;
        let deliveries = DeliveryHandler::new(environment.clone());
        let deadline = Instant::now() + Duration::from_secs(180 * 60);
        for _ in 0..50 {
            let mut idle = true;
            for queue in [Queue::Turns, Queue::Outbound] {
                let received = environment.queues.receive(queue, 10, Duration::ZERO).await.unwrap();
                idle &= received.is_empty();
                let response = match queue {
                    Queue::Turns => Box::pin(turns.handle(event(&received), deadline)).await,
                    _ => deliveries.handle(event(&received), deadline).await,
                };
                assert!(response.batch_item_failures.is_empty(), "{response:?}");
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
}
