//! Two accounts with one of everything, each marked by a word that nothing else has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use channels::signature;
use domain::turn::APPROVAL_TIME;
use domain::{
    Account, AccountId, BotId, Invitation, KeyId, LinkId, Member, Person, Role, Sender, SignIn, SignInId, SignedInAs,
    Task, Timestamp, UserId,
};
use runtime::{Clock, Entropy, Environment};
use serde_json::{Value, json};
use store::Notice;
use testkit::cloud::{Calm, Cloud};
use testkit::exchange;
use tower::ServiceExt;

use super::attack::operations;

const NOW: u64 = 1_795_341_600_000;

/// An account, and what there is of it.
pub(super) struct Tenant {
    pub(super) account: AccountId,
    key: String,
    /// In all its names, which others may know or guess.
    pub(super) marker: String,
    /// In all that is said and written, which only its owner may ever read.
    pub(super) word: String,
    /// What nobody reads again.
    pub(super) secrets: Vec<String>,
    pub(super) webhook_secret: String,
    /// By the name of the segment that takes them.
    ids: BTreeMap<&'static str, Vec<String>>,
    /// Of each list, by its operation: where its second page begins.
    cursors: BTreeMap<String, String>,
}

impl Tenant {
    /// Its first id of a kind.
    pub(super) fn id(&self, kind: &str) -> &str {
        &self.ids[kind][0]
    }

    /// Where the second page of a list begins. Empty while nobody has looked.
    pub(super) fn cursor(&self, operation: &str) -> &str {
        self.cursors.get(operation).map_or("", String::as_str)
    }

    /// Everything of it that a segment of a path may name.
    pub(super) fn values(&self, segment: &str, operation: &str) -> &[String] {
        self.ids.get(segment).unwrap_or_else(|| {
            panic!("{operation}: give the segment {{{segment}}} a value here, so that it is attacked too")
        })
    }
}

/// Both accounts, over one cloud.
pub(super) struct World {
    pub(super) cloud: Cloud,
    environment: Environment,
    api: Router,
    ingress: Router,
    /// Who is attacked.
    pub(super) ada: Tenant,
    /// Who attacks.
    pub(super) grace: Tenant,
}

impl World {
    pub(super) async fn begin() -> World {
        let cloud = Cloud::new();
        let random = AtomicU64::new(1);
        // Ids need to differ, not to be secret.
        let entropy = Entropy::from_fn(move || u128::from(random.fetch_add(1, Ordering::Relaxed)) << 64 | 7);
        let clock = Clock::from_fn(|| Timestamp::from_millis(NOW));
        let environment = cloud.environment(Arc::new(Calm), clock, entropy);
        let (api, ingress) = (api::router(environment.clone()), ingress::router(environment.clone()));
        let ada = settle(&cloud, &environment, &api, ["heronmark", "heronword", "K7Q2X"]).await;
        let grace = settle(&cloud, &environment, &api, ["gullmark", "gullword", "M3B9Z"]).await;
        let mut world = World { cloud, environment, api, ingress, ada, grace };
        world.ada.cursors = world.cursors(&world.ada).await;
        world.grace.cursors = world.cursors(&world.grace).await;
        world
    }

    /// The cursors of all lists that go on behind their first line.
    async fn cursors(&self, tenant: &Tenant) -> BTreeMap<String, String> {
        let mut cursors = BTreeMap::new();
        for operation in operations(&self.document().await).iter().filter(|operation| operation.is_list()) {
            let path = operation.first_line(tenant);
            let (status, answer) = self.send(tenant, "GET", &path, None).await;
            assert_eq!(status, 200, "{path}: {answer}");
            let page: Value = serde_json::from_str(answer.split("\n\n").nth(1).unwrap()).unwrap();
            let next = page["next"]
                .as_str()
                .unwrap_or_else(|| panic!("{path} has one line only; make two, so that cursors are attacked"));
            cursors.insert(operation.id.clone(), next.to_owned());
        }
        cursors
    }

    pub(super) async fn document(&self) -> Value {
        {
            let answer = call(&self.api, None, "GET", api::openapi::PATH, None).await.1;
            serde_json::from_str(answer.split("\n\n").nth(1).unwrap()).unwrap()
        }
    }

    /// The status and the whole answer: body and headers.
    pub(super) async fn send(
        &self,
        by: &Tenant,
        method: &str,
        path: &str,
        body: Option<(String, String)>,
    ) -> (u16, String) {
        call(&self.api, Some(&by.key), method, path, body).await
    }

    pub(super) async fn send_as(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<(String, String)>,
    ) -> (u16, String) {
        call(&self.api, Some(key), method, path, body).await
    }

    pub(super) async fn post_webhook(&self, link: &str, secret: &str, text: &str) -> (u16, String) {
        let body = json!({ "text": text, "session": "main", "sender": "stranger" }).to_string();
        let now = self.environment.clock.now();
        let signature = signature::sign_standard(secret, "id-1", now, body.as_bytes()).unwrap();
        let request = Request::post(format!("/hooks/webhook/{link}"))
            .header("content-type", "application/json")
            .header("webhook-id", "id-1")
            .header("webhook-timestamp", now.as_secs().to_string())
            .header("webhook-signature", signature);
        answer(&self.ingress, request.body(Body::from(body)).unwrap()).await
    }

    /// The tasks that were ever queued for Ada's bot.
    pub(super) fn queued(&self) -> Vec<String> {
        let queues = ["turns.fifo", "outbound.fifo", "jobs", "turns-dlq.fifo"];
        let sent = queues.into_iter().flat_map(|queue| self.cloud.sent(queue));
        let ada = self.ada.account.to_string();
        sent.map(|message| message.body).filter(|body| body.contains(&ada)).collect()
    }

    /// All that there is of Ada: her rows, her files, and what was queued for her.
    pub(super) async fn of_ada(&self) -> BTreeMap<String, Vec<String>> {
        let account = self.ada.account.to_string();
        let rows = self.cloud.rows().into_iter().filter_map(|(pk, sk, item)| {
            let row = format!("{pk} {sk} {item}");
            row.contains(&account).then_some(row)
        });
        let bot: BotId = self.ada.id("bot").parse().unwrap();
        let store = self.environment.store.account(self.ada.account);
        let mut files = Vec::new();
        for file in store.workspace_list(bot).await.unwrap() {
            let text = store.workspace_get(bot, &file.name).await.unwrap();
            files.push(format!("{} {text:?}", file.name));
        }
        [("rows", rows.collect()), ("files", files), ("tasks", self.queued())]
            .map(|(kind, all): (&str, Vec<String>)| (kind.to_owned(), all))
            .into()
    }
}

/// Makes an account with one of everything: with this in its names, that in its texts, and the code of its approval.
async fn settle(cloud: &Cloud, environment: &Environment, api: &Router, [marker, word, code]: [&str; 3]) -> Tenant {
    let now = environment.clock.now();
    let account = AccountId::from_parts(now, environment.entropy.next_u128());
    let key = environment.entropy.secret("lt_");
    let store = environment.store.account(account);
    let record = Account { id: account, name: format!("Owner {word}"), budget: Default::default(), created_at: now };
    store.account_put(&record).await.unwrap();
    let key_id = KeyId::from_parts(now, environment.entropy.next_u128());
    store.api_key_create(key_id, marker, None, &key, now).await.unwrap();
    let (user, browser, email) = people(environment, account, marker, word).await;

    let own = async |method: &str, path: &str, body: Value| {
        let body = ("application/json".to_owned(), body.to_string());
        let (status, text) = call(api, Some(&key), method, path, Some(body)).await;
        assert!(status < 300, "{method} {path}: {status} {text}");
        serde_json::from_str::<Value>(text.split("\n\n").nth(1).unwrap()).unwrap_or_default()
    };
    let bot = own("POST", "/v1/bots", json!({ "name": marker })).await["id"].as_str().unwrap().to_owned();
    let file = format!("memory/{marker}.md");
    let text = Some(("text/markdown".to_owned(), format!("I am {word}.")));
    assert_eq!(call(api, Some(&key), "PUT", &format!("/v1/bots/{bot}/files/{file}"), text).await.0, 204);
    let media = store.media_put(bot.parse().unwrap(), "text/plain", format!("{word} sent this").into()).await.unwrap();
    let link = own(
        "POST",
        &format!("/v1/bots/{bot}/links"),
        json!({ "channel": "webhook", "access": { "dm_policy": "open", "allow_from": [marker] } }),
    )
    .await;
    let webhook_secret = link["webhook"]["secret"].as_str().unwrap().to_owned();
    let link = link["id"].as_str().unwrap().to_owned();
    // A second one of whatever is listed, so that lists have a second page.
    own("POST", "/v1/bots", json!({ "name": format!("{marker} two") })).await;
    own("POST", &format!("/v1/bots/{bot}/links"), json!({ "channel": "webhook" })).await;
    let job = json!({
        "name": marker,
        "schedule": { "kind": "every", "everyMs": 3_600_000 },
        "payload": { "kind": "agentTurn", "message": word },
    });
    own("POST", &format!("/v1/bots/{bot}/schedules"), job.clone()).await;
    let schedule = own("POST", &format!("/v1/bots/{bot}/schedules"), job).await["id"].as_str().unwrap().to_owned();
    let sender = Sender { id: marker.to_owned(), name: Some(word.to_owned()), username: None };
    let link_id: LinkId = link.parse().unwrap();
    let pairing = store.pairing_request(link_id, &sender, format!("PAIR{code}"), now).await.unwrap().unwrap();
    let about = format!("budget.{bot}.2026-11");
    let notice = Notice { about: about.clone(), bot: Some(bot.parse().unwrap()), text: word.to_owned(), at: now };
    store.notice_put(&notice).await.unwrap();
    store.notice_put(&Notice { about: format!("budget.{bot}.2026-12"), ..notice }).await.unwrap();

    let mut session = String::new();
    for (conversation, code) in [(format!("{marker}-two"), format!("{code}2")), (marker.to_owned(), code.to_owned())] {
        let chat = json!({ "text": format!("I am {word}"), "conversation": conversation });
        session = own("POST", &format!("/v1/bots/{bot}/chat"), chat).await["session"].as_str().unwrap().to_owned();
        let sent = cloud.sent("turns.fifo").pop().unwrap();
        let Ok(Task::Message(inbound)) = Task::from_body(&sent.body) else { panic!("{}", sent.body) };
        exchange::ask(environment, &inbound, &code, &format!("May I, {word}?")).await;
        let record = format!("{conversation} failed");
        environment.queues.bury(&Task::Message(inbound), &record, &format!("{word} failed")).await.unwrap();
    }
    let letters = call(api, Some(&key), "GET", "/v1/dead-letters", None).await.1;
    let letters: Value = serde_json::from_str(letters.split("\n\n").nth(1).unwrap()).unwrap();
    let letter = letters["items"][0]["id"].as_str().unwrap().to_owned();

    let ids = [
        ("about", vec![about]),
        ("account", vec![account.to_string()]),
        ("bot", vec![bot.clone(), marker.to_owned()]),
        ("browser", vec![browser]),
        ("code", vec![code.to_owned()]),
        ("email", vec![email]),
        ("key", vec![key_id.to_string()]),
        ("letter", vec![letter]),
        ("link", vec![link]),
        ("media", vec![media.to_string()]),
        ("model", vec![bot.clone(), marker.to_owned()]),
        ("pairing", vec![pairing]),
        ("path", vec![file]),
        ("schedule", vec![schedule]),
        ("session", vec![session]),
        ("user", vec![user]),
    ];
    let secrets = vec![key.clone(), webhook_secret.clone()];
    Tenant {
        account,
        key,
        marker: marker.to_owned(),
        word: word.to_owned(),
        secrets,
        webhook_secret,
        ids: ids.into(),
        cursors: BTreeMap::new(),
    }
}

/// A member, their browser, and somebody who is invited: their ids, and the address.
async fn people(environment: &Environment, account: AccountId, marker: &str, word: &str) -> (String, String, String) {
    let (store, now) = (environment.store.account(account), environment.clock.now());
    let id = UserId::from_parts(now, environment.entropy.next_u128());
    let person = Person { name: word.to_owned(), email: Some(format!("{word}@example.org")) };
    store.member_add(&Member { user: id, role: Role::Owner, person, joined_at: now }, None).await.unwrap();
    let (email, expires_at) = (format!("{marker}@example.org"), now + APPROVAL_TIME);
    let invitation = Invitation { email: email.clone(), role: Role::Viewer, invited_at: now, expires_at };
    store.invitation_put(&invitation).await.unwrap();
    let browser = SignInId::from_parts(now, environment.entropy.next_u128());
    let agent = word.to_owned();
    let sign_in = SignIn { id: browser, who: SignedInAs::User { id }, agent, created_at: now, expires_at };
    store.sign_in_create(&environment.entropy.secret(""), &sign_in).await.unwrap();
    (id.to_string(), browser.to_string(), email)
}

async fn call(
    router: &Router,
    key: Option<&str>,
    method: &str,
    path: &str,
    body: Option<(String, String)>,
) -> (u16, String) {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let request = match body {
        Some((kind, text)) => request.header("content-type", kind).body(Body::from(text)),
        None => request.body(Body::empty()),
    };
    let (status, text) = answer(router, request.unwrap()).await;
    (status, text)
}

/// The status, and headers and body with an empty line between.
async fn answer(router: &Router, request: Request<Body>) -> (u16, String) {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let headers: Vec<String> = parts.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    (parts.status.as_u16(), format!("{}\n\n{}", headers.join("\n"), String::from_utf8_lossy(&bytes)))
}
