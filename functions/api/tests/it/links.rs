//! Links: tokens checked with Telegram, webhooks registered and withdrawn, strangers let in.

use api::views::{Items, LinkView, PairingApproved, PairingView};
use channels::telegram::hash_secret;
use domain::{LinkStatus, Sender, Task};
use queues::Queue;
use serde_json::json;
use store::SecretContext;

use crate::harness::{Api, NO_WEBHOOK_TOKEN, OTHER_TOKEN, REFUSED_TOKEN, TOKEN, TROUBLED_TOKEN};

const LINKS: &str = "/v1/bots/Tidy/links";

fn telegram(token: &str) -> serde_json::Value {
    json!({ "channel": "telegram", "token": token })
}

#[tokio::test]
async fn a_link_registers_its_webhook_and_withdraws_it() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    let answer = api.post(LINKS, telegram(&format!(" {TOKEN}\n"))).await;
    assert!(!answer.body.contains(TOKEN));
    let link: LinkView = answer.read(201);
    assert_eq!((link.handle.as_deref(), &link.status), (Some("tidy_bot"), &LinkStatus::Active));
    let webhook = link.webhook.clone().unwrap();
    assert!(webhook.registered && webhook.secret.is_none());

    let calls = api.telegram.take_calls();
    let [(token, method, parameters), (_, commands, _)] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!(commands, "setMyCommands");
    assert_eq!((token.as_str(), method.as_str()), (TOKEN, "setWebhook"));
    assert_eq!(parameters["url"], format!("https://bots.example/hooks/telegram/{}", link.id));
    let stored = api.environment.store.account(api.account).link_get(bot.id, link.id).await.unwrap().unwrap();
    let secret = parameters["secret_token"].as_str().unwrap();
    assert_eq!(stored.webhook_secret_sha256.as_deref(), Some(hash_secret(secret).as_str()));
    let context = SecretContext::LinkToken { account: api.account, bot: bot.id, link: link.id };
    let sealed = stored.token.unwrap();
    assert_eq!(api.environment.store.keyring().open(context, &sealed).await.unwrap(), TOKEN);

    let path = format!("{LINKS}/{}", link.id);
    let shown: LinkView = api.get(&path).await.read(200);
    assert_eq!(shown, LinkView { webhook: None, ..link.clone() });
    assert_eq!(api.get(LINKS).await.read::<Items<LinkView>>(200).items, [shown]);
    assert_eq!(api.delete(&path).await.status, 204);
    assert_eq!(api.telegram.take_calls()[0].1, "deleteWebhook");
    api.get(&path).await.problem(404);
    assert!(api.environment.store.route_get(link.id).await.unwrap().is_none());
}

#[tokio::test]
async fn what_telegram_refuses_is_told_and_not_stored() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let detail = api.post(LINKS, telegram(REFUSED_TOKEN)).await.problem(422);
    assert_eq!(detail, "Telegram refused the token: copy it again from @BotFather.");
    api.post(LINKS, telegram("no token at all")).await.problem(422);
    assert!(api.post(LINKS, telegram(TROUBLED_TOKEN)).await.problem(503).contains("try again"));
    assert!(api.post(LINKS, json!({ "channel": "webchat" })).await.problem(422).contains("/chat"));
    api.post(LINKS, json!({ "channel": "pigeon", "token": "x" })).await.problem(400);
    assert_eq!(api.get(LINKS).await.read::<Items<LinkView>>(200).items, []);
    assert_eq!(api.telegram.take_calls(), []);
}

#[tokio::test]
async fn a_telegram_bot_serves_one_link_of_the_account() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    api.new_bot("Second").await;
    assert_eq!(api.post(LINKS, telegram(TOKEN)).await.status, 201);
    let detail = api.post("/v1/bots/Second/links", telegram(TOKEN)).await.problem(409);
    assert!(detail.contains("@tidy_bot") && detail.contains("`Tidy`"), "{detail}");
    assert_eq!(api.post("/v1/bots/Second/links", telegram(OTHER_TOKEN)).await.status, 201);
    api.telegram.take_calls();
    assert_eq!(api.delete("/v1/bots/Second?now=true").await.status, 204);
    let calls = api.telegram.take_calls();
    assert_eq!((calls[0].0.as_str(), calls[0].1.as_str(), calls.len()), (OTHER_TOKEN, "deleteWebhook", 1));
}

#[tokio::test]
async fn without_a_public_url_the_owner_gets_what_it_takes() {
    let api = Api::start_at(None).await;
    let bot = api.new_bot("Tidy").await;
    let link: LinkView = api.post(LINKS, telegram(TOKEN)).await.read(201);
    let webhook = link.webhook.unwrap();
    assert!(!webhook.registered && webhook.hint.unwrap().contains("LOWTIDE_PUBLIC_URL"));
    assert_eq!(webhook.path, format!("/hooks/telegram/{}", link.id));
    let stored = api.environment.store.account(api.account).link_get(bot.id, link.id).await.unwrap().unwrap();
    assert_eq!(stored.webhook_secret_sha256, Some(hash_secret(&webhook.secret.unwrap())));
    assert_eq!(api.telegram.take_calls(), []);
}

#[tokio::test]
async fn a_webhook_that_fails_leaves_a_link_that_can_be_repaired() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let link: LinkView = api.post(LINKS, telegram(NO_WEBHOOK_TOKEN)).await.read(201);
    let LinkStatus::Failed { reason } = &link.status else { panic!("{link:?}") };
    assert!(reason.contains("HTTPS url must be provided"), "{reason}");
    assert!(!link.webhook.unwrap().registered);

    let path = format!("{LINKS}/{}", link.id);
    let again: LinkView = api.call_as(&api.key, "POST", &format!("{path}/resume"), None).await.read(200);
    assert!(matches!(again.status, LinkStatus::Failed { .. }));
    api.telegram.take_calls();
    let repaired: LinkView = api.patch(&path, json!({ "token": TOKEN })).await.read(200);
    assert_eq!((repaired.handle.as_deref(), &repaired.status), (Some("tidy_bot"), &LinkStatus::Active));
    let calls: Vec<_> = api.telegram.take_calls().into_iter().map(|(token, method, _)| (token, method)).collect();
    let call = |token: &str, method: &str| (token.to_owned(), method.to_owned());
    let expected = [(NO_WEBHOOK_TOKEN, "deleteWebhook"), (TOKEN, "setWebhook"), (TOKEN, "setMyCommands")];
    assert_eq!(calls, expected.map(|(token, method)| call(token, method)));

    let paused: LinkView = api.call_as(&api.key, "POST", &format!("{path}/pause"), None).await.read(200);
    assert_eq!(paused.status, LinkStatus::Paused);
    let changed: LinkView = api.patch(&path, json!({ "access": { "dm_policy": "open" } })).await.read(200);
    assert_eq!((changed.access.dm_policy, changed.status), (domain::access::DmPolicy::Open, LinkStatus::Paused));
    let resumed: LinkView = api.call_as(&api.key, "POST", &format!("{path}/resume"), None).await.read(200);
    assert_eq!(resumed.status, LinkStatus::Active);
    assert_eq!(api.telegram.take_calls(), []);
}

#[tokio::test]
async fn a_stranger_is_let_in_and_greeted() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let link: LinkView = api.post(LINKS, telegram(TOKEN)).await.read(201);
    let account = api.environment.store.account(api.account);
    let sender = Sender { id: "5".into(), name: Some("Ada".into()), username: None };
    let now = api.environment.clock.now();
    account.pairing_request(link.id, &sender, "ABCDEFGH".into(), now).await.unwrap().unwrap();

    let path = format!("{LINKS}/{}/pairings", link.id);
    let waiting: Items<PairingView> = api.get(&path).await.read(200);
    assert_eq!((waiting.items[0].code.as_str(), &waiting.items[0].sender), ("ABCDEFGH", &sender));
    let approve = format!("{path}/approve");
    assert!(api.post(&approve, json!({ "code": "WRONGONE" })).await.problem(404).contains("an hour"));
    let approved: PairingApproved = api.post(&approve, json!({ "code": " abcdefgh " })).await.read(200);
    assert_eq!(approved, PairingApproved { sender, greeted: true, owner: true });
    assert!(account.is_paired(link.id, "5").await.unwrap());
    api.post(&approve, json!({ "code": "ABCDEFGH" })).await.problem(404);

    let tasks = api.take_tasks(Queue::Outbound).await;
    let [Task::Deliver(greeting)] = tasks.as_slice() else { panic!("{tasks:?}") };
    assert_eq!((greeting.link, greeting.address.chat.as_str()), (link.id, "5"));
}

#[tokio::test]
async fn the_first_who_is_let_in_owns_the_bot() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let link: LinkView = api.post(LINKS, telegram(TOKEN)).await.read(201);
    let account = api.environment.store.account(api.account);
    let path = format!("{LINKS}/{}", link.id);
    let approve = async |id: &str, code: &str| {
        let sender = Sender { id: id.into(), name: None, username: None };
        let now = api.environment.clock.now();
        account.pairing_request(link.id, &sender, code.into(), now).await.unwrap().unwrap();
        api.post(&format!("{path}/pairings/approve"), json!({ "code": code })).await.read::<PairingApproved>(200).owner
    };
    assert!(approve("5", "AAAAAAAA").await);
    assert!(!approve("6", "BBBBBBBB").await, "there is an owner");
    let owned: LinkView = api.get(&path).await.read(200);
    assert_eq!(owned.access.owners, ["5"]);
    let changed: LinkView = api.patch(&path, json!({ "access": { "owners": [" @ada ", "7"] } })).await.read(200);
    assert_eq!(changed.access.owners, ["@ada", "7"]);
    for bad in ["*", " ", "@"] {
        let detail = api.patch(&path, json!({ "access": { "owners": ["5", bad] } })).await.problem(400);
        assert!(detail.contains("name each owner"), "{detail}");
    }
    assert!(!approve("8", "CCCCCCCC").await);
    let body = json!({ "channel": "telegram", "token": OTHER_TOKEN, "access": { "owners": ["*"] } });
    api.post(LINKS, body).await.problem(400);
}
