//! OpenClaw's hooks: systems wake a bot and give it work, with the link's secret as their token.

use domain::link::{SlackSettings, WebhookSettings};
use domain::{LinkSettings, LinkStatus, SessionKey};
use serde_json::{Value, json};
use testkit::stack::Stack;

use super::{Answer, World, open};

const TOKEN: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn world() -> World {
    let settings = LinkSettings::Webhook(WebhookSettings::default());
    World::start(Stack::start().await, settings, TOKEN, Some(TOKEN), open()).await
}

async fn hook(world: &World, action: &str, token: &str, body: &Value) -> Answer {
    let path = format!("{}/{action}", world.path());
    let headers = [("authorization", format!("Bearer {token}")), ("content-type", "application/json".to_owned())];
    world.request("POST", &path, &headers, body.to_string().into_bytes()).await
}

/// What the bot's sessions are, and what each was told first.
async fn sessions(world: &World) -> Vec<(SessionKey, String)> {
    let account = world.stack.environment.store.account(world.bot.account);
    let mut all = Vec::new();
    for summary in account.session_list(world.bot.id).await.unwrap() {
        let log = account.session_read(world.bot.id, &summary.session, 0, 10).await.unwrap().entries;
        let texts = log.iter().filter_map(|entry| match &entry.body {
            domain::EntryBody::User(user) => Some(user.text.clone()),
            _ => None,
        });
        all.push((summary.session, texts.collect::<Vec<_>>().join("\n")));
    }
    all
}

#[tokio::test]
async fn a_wake_is_told_to_the_bots_own_conversation() {
    let world = world().await;
    let answer = hook(&world, "wake", TOKEN, &json!({ "text": "The tide turns at six.", "mode": "now" })).await;
    assert_eq!((answer.status, &answer.json()["ok"]), (202, &json!(true)));
    world.work().await;
    let sessions = sessions(&world).await;
    let [(session, told)] = sessions.as_slice() else { panic!("{sessions:?}") };
    assert_eq!(*session, SessionKey::main("main"));
    assert!(told.contains("by a hook") && told.contains("The tide turns at six."), "{told}");
}

#[tokio::test]
async fn work_is_done_once_in_a_session_of_its_own() {
    let world = world().await;
    let body = json!({
        "message": "Count the herons.", "name": "Watch", "deliver": false, "idempotencyKey": "1", "timeoutSeconds": 5,
    });
    let first = hook(&world, "agent", TOKEN, &body).await;
    assert_eq!((first.status, &first.json()["leftOut"]), (202, &json!(["timeoutSeconds"])), "{first:?}");
    world.work().await;
    // SQS has forgotten it by then; the session has not.
    let again = hook(&world, "agent", TOKEN, &body).await;
    assert_eq!(again.json()["runId"], first.json()["runId"]);
    world.work().await;
    let sessions = sessions(&world).await;
    let [(session, told)] = sessions.as_slice() else { panic!("{sessions:?}") };
    assert!(session.as_str().contains(":run:"), "{session}");
    assert_eq!(told.matches("Count the herons.").count(), 1, "{told}");
    assert!(told.contains("\"Watch\""), "{told}");
}

#[tokio::test]
async fn a_session_that_is_named_goes_on() {
    let world = world().await;
    for message in ["Count the herons.", "And the egrets?"] {
        let body = json!({ "message": message, "sessionKey": "hook:birds", "deliver": false });
        assert_eq!(hook(&world, "agent", TOKEN, &body).await.status, 202);
        world.work().await;
    }
    let sessions = sessions(&world).await;
    let [(session, told)] = sessions.as_slice() else { panic!("{sessions:?}") };
    assert_eq!(session.as_str(), "agent:main:hook:birds");
    assert!(told.contains("herons") && told.contains("egrets"), "{told}");
}

#[tokio::test]
async fn what_cannot_be_done_is_said_and_reaches_no_queue() {
    let world = world().await;
    let body = json!({ "message": "Count the herons." });
    for token in ["", "whsec_", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSW"] {
        assert_eq!(hook(&world, "agent", token, &body).await.status, 401, "{token}");
    }
    for (action, body, status, told) in [
        ("agent", json!({ "text": "no message" }), 400, "Post {"),
        ("agent", json!({ "message": "" }), 400, "empty"),
        ("agent", json!({ "message": "hi", "name": "two\nlines" }), 400, "one line"),
        ("agent", json!({ "message": "x".repeat(17 * 1024) }), 400, "Not done"),
        ("agent", json!({ "message": "hi", "channel": "telegram" }), 400, "not known where the answer goes"),
        ("wake", json!({ "text": "hi", "mode": "next-heartbeat" }), 400, "at once"),
        ("sleep", json!({ "text": "hi" }), 404, "no such link"),
    ] {
        let answer = hook(&world, action, TOKEN, &body).await;
        assert!(answer.status == status && answer.body.contains(told), "{action} {body}: {answer:?}");
    }
    let long = json!({ "text": "x".repeat(ingress::MAX_BODY) });
    for action in ["wake", "agent"] {
        assert_eq!(hook(&world, action, TOKEN, &long).await.status, 413, "{action}");
    }
    let mut link = world.link.clone();
    (link.status, link.version) = (LinkStatus::Paused, link.version + 1);
    let account = world.stack.environment.store.account(world.bot.account);
    account.link_update(link.version - 1, &link).await.unwrap();
    let answer = hook(&world, "agent", TOKEN, &body).await;
    assert!(answer.status == 409 && answer.body.contains("paused"), "{answer:?}");
    world.assert_nothing_is_queued().await;
}

#[tokio::test]
async fn hooks_are_of_webhook_links_alone() {
    let settings = LinkSettings::Slack(SlackSettings { socket: false, team: "T1".into(), bot_user: "UBOT".into() });
    let world = World::start(Stack::start().await, settings, TOKEN, Some(TOKEN), open()).await;
    for action in ["wake", "agent"] {
        let body = json!({ "text": "hi", "message": "hi" });
        assert_eq!(hook(&world, action, TOKEN, &body).await.status, 404, "{action}");
        let path = format!("/hooks/webhook/{}/{action}", world.link.id);
        let headers = [("authorization", format!("Bearer {TOKEN}"))];
        let answer = world.request("POST", &path, &headers, body.to_string().into_bytes()).await;
        assert_eq!(answer.status, 404, "the link is another channel's");
    }
    world.assert_nothing_is_queued().await;
}
