//! Discord: interactions in; answers to them, and messages, out.

use domain::link::DiscordSettings;
use domain::{AccessPolicy, LinkSettings};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use testkit::discord_api::FakeDiscordApi;
use testkit::stack::Stack;

use super::{Answer, World, open};

const TOKEN: &str = "discord-test-token";

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

async fn world(access: AccessPolicy) -> (World, FakeDiscordApi) {
    let public_key = hex::encode(pair(7).public_key());
    let discord = FakeDiscordApi::start(TOKEN, &public_key);
    let mut stack = Stack::start().await;
    stack.environment.settings.discord_api_base = discord.base_url();
    let settings = LinkSettings::Discord(DiscordSettings { application_id: "900".into(), public_key });
    let credentials = json!({ "bot_token": TOKEN }).to_string();
    (World::start(stack, settings, &credentials, None, access).await, discord)
}

fn signed(seed: u8, seconds: u64, body: &str) -> Vec<(&'static str, String)> {
    let signature = hex::encode(pair(seed).sign(format!("{seconds}{body}").as_bytes()));
    vec![("x-signature-timestamp", seconds.to_string()), ("x-signature-ed25519", signature)]
}

async fn post(world: &World, body: &Value) -> Answer {
    let body = body.to_string();
    world.post(&signed(7, world.now(), &body), &body).await
}

fn command(id: &str, token: &str) -> Value {
    json!({
        "type": 2, "id": id, "token": token, "application_id": "900", "channel_id": "70",
        "user": { "id": "5", "username": "ada", "global_name": "Ada" },
        "data": { "name": "new", "options": [{ "name": "text", "type": 3, "value": "hello there" }] },
    })
}

#[tokio::test]
async fn the_address_is_tried_out() {
    let (world, _discord) = world(open()).await;
    let answer = post(&world, &json!({ "type": 1, "id": "1" })).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "type": 1 })));
    // Discord tries with a wrong signature, too.
    let body = json!({ "type": 1, "id": "1" }).to_string();
    assert_eq!(world.post(&signed(8, world.now(), &body), &body).await.status, 401);
    world.assert_nothing_is_queued().await;
}

#[tokio::test]
async fn an_answer_grows_in_one_message() {
    let (world, discord) = world(open()).await;
    let mut press = command("1", "t");
    (press["type"], press["data"]) = (3.into(), json!({ "custom_id": "/when is low tide", "component_type": 2 }));
    assert_eq!(post(&world, &press).await.json(), json!({ "type": 6 }));
    let texts = || discord.messages().into_iter().map(|message| message.content).collect();
    let seen = world.seen_while_it_answers(texts).await;
    assert!(seen.iter().all(|texts| texts.len() == 1), "one message: {seen:?}");
    assert!(seen.len() >= 3 && seen[0][0].starts_with("Low tide") && seen[0][0].ends_with('…'), "{seen:?}");
    assert_eq!(seen.last().unwrap(), &["Noon."]);
    assert!(discord.typing() >= 1, "nobody else has shown that it types");
}

#[tokio::test]
async fn a_command_is_deferred_and_answered_by_its_token() {
    let (world, discord) = world(open()).await;
    for _ in 0..2 {
        assert_eq!(post(&world, &command("1", "aW50LXRva2Vu")).await.json(), json!({ "type": 5 }));
    }
    discord.defer("aW50LXRva2Vu");
    world.work().await;
    let messages = discord.messages();
    assert!(messages.iter().any(|message| message.place == "aW50LXRva2Vu"), "{messages:?}");
    assert_eq!(messages.iter().filter(|message| message.place == "aW50LXRva2Vu").count(), 1);
}

#[tokio::test]
async fn an_answer_that_is_too_late_for_its_token_comes_to_the_chat() {
    let (world, discord) = world(open()).await;
    assert_eq!(post(&world, &command("1", "bGF0ZQ")).await.status, 200);
    world.work().await;
    let messages = discord.messages();
    assert!(messages.iter().any(|message| message.place == "70" && message.reply_to.is_none()), "{messages:?}");
}

#[tokio::test]
async fn what_is_not_signed_reaches_no_queue() {
    let (world, _discord) = world(open()).await;
    let (body, now) = (command("1", "t").to_string(), world.now());
    for headers in [
        vec![],
        signed(8, now, &body),
        signed(7, now, "another body"),
        signed(7, now - 301, &body),
        signed(7, now + 360, &body),
    ] {
        assert_eq!(world.post(&headers, &body).await.status, 401, "{headers:?}");
    }
    let elsewhere = format!("/hooks/slack/{}", world.link.id);
    assert_eq!(world.request("POST", &elsewhere, &signed(7, now, &body), body.into_bytes()).await.status, 404);
    let long = "x".repeat(ingress::MAX_BODY + 1);
    assert_eq!(world.post(&signed(7, now, &long), &long).await.status, 413);
    for unknown in ["{}", "[]", ""] {
        assert_eq!(world.post(&signed(7, now, unknown), unknown).await.status, 400, "{unknown:?}");
    }
    world.assert_nothing_is_queued().await;
}

#[tokio::test]
async fn a_press_is_seen_and_other_kinds_are_told_to_the_person_alone() {
    let (world, _discord) = world(open()).await;
    let mut press = command("2", "t");
    (press["type"], press["data"]) = (3.into(), json!({ "custom_id": "/approve K7Q2 deny", "component_type": 2 }));
    assert_eq!(post(&world, &press).await.json(), json!({ "type": 6 }));
    let [inbound] = world.queued().await.try_into().unwrap_or_else(|all| panic!("one message, not {all:?}"));
    assert_eq!((inbound.text.as_str(), inbound.address.reply_to), ("/approve K7Q2 deny", None));

    for (kind, data) in [(3, json!({ "custom_id": "menu" })), (5, json!({ "custom_id": "/stop" })), (99, json!({}))] {
        let mut other = command("3", "t");
        (other["type"], other["data"]) = (kind.into(), data);
        let answer = post(&world, &other).await.json();
        assert_eq!((&answer["type"], &answer["data"]["flags"]), (&json!(4), &json!(64)), "{kind}");
    }
    let mut stranger = command("4", "t");
    stranger["application_id"] = "901".into();
    assert_eq!(post(&world, &stranger).await.json()["type"], 4);
    world.assert_nothing_is_queued().await;
}

#[tokio::test]
async fn who_may_not_use_the_bot_there_is_told_why() {
    let (world, _discord) = world(AccessPolicy::default()).await;
    let mut in_guild = command("1", "t");
    in_guild["guild_id"] = "40".into();
    in_guild["member"] = json!({ "user": in_guild["user"], "nick": "Countess" });
    let answer = post(&world, &in_guild).await.json();
    assert_eq!(answer["type"], 4);
    assert!(answer["data"]["content"].as_str().unwrap().contains("the group is not in the allowlist"), "{answer}");
    world.assert_nothing_is_queued().await;
    // A stranger's pairing code is the answer to the command.
    assert_eq!(post(&world, &command("2", "t")).await.json(), json!({ "type": 5 }));
    assert!(world.queued().await.is_empty());
}
