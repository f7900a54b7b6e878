//! Slack: events, slash commands and buttons in; messages and files out.

use domain::link::SlackSettings;
use domain::{Address, ChatKind, LinkSettings};
use ring::hmac;
use serde_json::{Value, json};
use testkit::slack::FakeSlack;
use testkit::stack::Stack;

use super::{Answer, World, open};

const TOKEN: &str = "xoxb-1-test";
const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

async fn world() -> (World, FakeSlack) {
    let slack = FakeSlack::start();
    slack.add_bot(TOKEN, "UBOT");
    let mut stack = Stack::start().await;
    stack.environment.settings.slack_api_base = slack.base_url();
    let settings = SlackSettings { socket: false, team: "T1".into(), bot_user: "UBOT".into() };
    let credentials = json!({ "bot_token": TOKEN, "signing_secret": SECRET }).to_string();
    let world = World::start(stack, LinkSettings::Slack(settings), &credentials, Some(SECRET), open()).await;
    (world, slack)
}

fn signed(secret: &str, seconds: u64, body: &str) -> Vec<(&'static str, String)> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("v0:{seconds}:{body}").as_bytes());
    vec![
        ("x-slack-request-timestamp", seconds.to_string()),
        ("x-slack-signature", format!("v0={}", hex::encode(tag.as_ref()))),
    ]
}

async fn post(world: &World, body: &str) -> Answer {
    world.post(&signed(SECRET, world.now(), body), body).await
}

fn message(changes: &Value) -> String {
    let mut event = json!({
        "type": "message", "channel": "D7", "channel_type": "im", "user": "U5", "text": "hello", "ts": "1700000000.000100",
    });
    event.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    json!({ "type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": event }).to_string()
}

#[tokio::test]
async fn a_message_is_answered_in_its_chat() {
    let (world, slack) = world().await;
    assert_eq!(post(&world, &message(&json!({}))).await.status, 200);
    // Slack repeats what was not answered in time.
    assert_eq!(post(&world, &message(&json!({}))).await.status, 200);
    world.work().await;
    let [answer] = slack.messages().try_into().unwrap_or_else(|all| panic!("one answer, not {all:?}"));
    assert_eq!((answer.channel.as_str(), &answer.thread), ("D7", &None));
    assert!(!answer.text.is_empty());
}

#[tokio::test]
async fn an_answer_grows_in_one_message() {
    let (world, slack) = world().await;
    assert_eq!(post(&world, &message(&json!({}))).await.status, 200);
    let texts = || slack.messages().into_iter().map(|message| message.text).collect();
    let seen = world.seen_while_it_answers(texts).await;
    assert!(seen.iter().all(|texts| texts.len() == 1), "one message: {seen:?}");
    assert!(seen.len() >= 3 && seen[0][0].starts_with("Low tide") && seen[0][0].ends_with('…'), "{seen:?}");
    assert_eq!(seen.last().unwrap(), &["Noon."]);
}

#[tokio::test]
async fn the_address_is_tried_out() {
    let (world, _slack) = world().await;
    let body = json!({ "type": "url_verification", "challenge": "3eZbrw1a", "token": "x" }).to_string();
    let answer = post(&world, &body).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "3eZbrw1a"));
    world.assert_nothing_is_queued().await;
}

#[tokio::test]
async fn what_is_not_signed_reaches_no_queue() {
    let (world, _slack) = world().await;
    let (body, now) = (message(&json!({})), world.now());
    for headers in [
        vec![],
        signed("another secret", now, &body),
        signed(SECRET, now, "another body"),
        signed(SECRET, now - 301, &body),
        signed(SECRET, now + 360, &body),
    ] {
        assert_eq!(world.post(&headers, &body).await.status, 401, "{headers:?}");
    }
    let elsewhere = format!("/hooks/slack/{}", world.link.id.to_string().replace("link_0", "link_1"));
    let other_channel = format!("/hooks/discord/{}", world.link.id);
    for path in [elsewhere, other_channel, "/hooks/slack/nonsense".to_owned()] {
        let headers = signed(SECRET, now, &body);
        assert_eq!(world.request("POST", &path, &headers, body.clone().into_bytes()).await.status, 404, "{path}");
    }
    let long = "x".repeat(ingress::MAX_BODY + 1);
    assert_eq!(post(&world, &long).await.status, 413);
    for unknown in ["{}", "[]", "a=b", ""] {
        assert_eq!(post(&world, unknown).await.status, 400, "{unknown}");
    }
    world.assert_nothing_is_queued().await;
}

#[tokio::test]
async fn what_needs_no_answer_is_taken_and_dropped() {
    let (world, _slack) = world().await;
    for changes in [
        json!({ "bot_id": "B9" }),
        json!({ "user": "UBOT" }),
        json!({ "subtype": "message_changed" }),
        json!({ "subtype": "channel_join" }),
        json!({ "type": "reaction_added" }),
        json!({ "channel": "C1", "channel_type": "channel" }),
    ] {
        assert_eq!(post(&world, &message(&changes)).await.status, 200, "{changes}");
    }
    let other_team = message(&json!({})).replace("\"T1\"", "\"T2\"");
    assert_eq!(post(&world, &other_team).await.status, 200);
    assert_eq!(post(&world, &json!({ "type": "app_rate_limited" }).to_string()).await.status, 200);
    world.assert_nothing_is_queued().await;
}

#[tokio::test]
async fn in_a_channel_a_mention_calls_the_bot_and_comes_as_two_events() {
    let (world, slack) = world().await;
    let said = json!({
        "channel": "C1", "channel_type": "channel", "text": "<@UBOT> what &amp; <https://a.example|why>?",
        "thread_ts": "1699999999.000001",
    });
    let mut mention = said.clone();
    mention["type"] = "app_mention".into();
    mention.as_object_mut().unwrap().remove("channel_type");
    for changes in [said, mention] {
        assert_eq!(post(&world, &message(&changes)).await.status, 200);
    }
    let [inbound] = world.queued().await.try_into().unwrap_or_else(|all| panic!("one message, not {all:?}"));
    assert_eq!(inbound.text, "what & why (https://a.example)?");
    assert_eq!(inbound.session.as_str(), "agent:main:slack:channel:c1:thread:1699999999.000001");
    let thread = Some("1699999999.000001".to_owned());
    assert_eq!(
        inbound.address,
        Address { kind: ChatKind::Room, chat: "C1".into(), thread: thread.clone(), reply_to: None }
    );

    let again =
        message(&json!({ "channel": "C1", "text": "<@UBOT> hi", "ts": "1700000001.000000", "thread_ts": thread }));
    assert_eq!(post(&world, &again).await.status, 200);
    world.work().await;
    assert_eq!(slack.messages()[0].thread, thread);
}

#[tokio::test]
async fn in_a_group_of_people_a_mention_is_one_message_and_a_command_is_of_the_same_session() {
    let (world, _slack) = world().await;
    for (chat, ts) in [("G7", "1700000001.000100"), ("C8", "1700000002.000100")] {
        let said = json!({ "channel": chat, "channel_type": "mpim", "text": "<@UBOT> hello", "ts": ts });
        let mut mention = said.clone();
        mention["type"] = "app_mention".into();
        mention.as_object_mut().unwrap().remove("channel_type");
        for changes in [said, mention] {
            assert_eq!(post(&world, &message(&changes)).await.status, 200);
        }
        let [inbound] = world.queued().await.try_into().unwrap_or_else(|all| panic!("one message, not {all:?}"));
        let command = format!("command=%2Fstop&user_id=U5&channel_id={chat}&team_id=T1&trigger_id={ts}");
        assert_eq!(post(&world, &command).await.status, 200);
        let [stop] = world.queued().await.try_into().unwrap_or_else(|all| panic!("one command, not {all:?}"));
        assert_eq!(stop.session, inbound.session);
    }
}

#[tokio::test]
async fn slash_commands_and_buttons_are_what_a_person_could_have_typed() {
    let (world, _slack) = world().await;
    let form = |command: &str, text: &str, trigger: &str| {
        format!("command={command}&text={text}&user_id=U5&user_name=ada&channel_id=D7&team_id=T1&trigger_id={trigger}")
    };
    for (body, said) in [
        (form("%2Fheron", "stop", "1.1"), "/stop"),
        (form("%2Fheron", "what+is+new%3F", "1.2"), "what is new?"),
        (form("%2Fmodel", "default", "1.3"), "/model default"),
    ] {
        assert_eq!(post(&world, &body).await.status, 200);
        let [inbound] = world.queued().await.try_into().unwrap_or_else(|all| panic!("one message, not {all:?}"));
        assert_eq!((inbound.text.as_str(), inbound.sender.username.as_deref()), (said, Some("ada")));
    }
    let press = |value: &str| {
        let payload = json!({
            "type": "block_actions", "user": { "id": "U5" }, "team": { "id": "T1" }, "channel": { "id": "D7" },
            "message": { "ts": "1.5" }, "actions": [{ "value": value, "action_ts": "1.6" }],
        });
        let escaped: String = payload.to_string().bytes().map(|b| format!("%{b:02x}")).collect();
        format!("payload={escaped}")
    };
    assert_eq!(post(&world, &press("/approve K7Q2 once")).await.status, 200);
    let [inbound] = world.queued().await.try_into().unwrap_or_else(|all| panic!("one message, not {all:?}"));
    assert_eq!((inbound.text.as_str(), inbound.control.is_some()), ("/approve K7Q2 once", true));
    assert_eq!(post(&world, &press("not a command")).await.status, 200);
    world.assert_nothing_is_queued().await;
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_and_a_refused_token_stops_the_link() {
    let (world, slack) = world().await;
    slack.fail_next(429, "ratelimited");
    assert_eq!(post(&world, &message(&json!({}))).await.status, 200);
    world.work().await;
    assert_eq!(slack.messages().len(), 1);

    slack.fail_next(200, "token_revoked");
    assert_eq!(post(&world, &message(&json!({ "ts": "1700000002.000000" }))).await.status, 200);
    world.work().await;
    let account = world.stack.environment.store.account(world.bot.account);
    let link = account.link_get(world.bot.id, world.link.id).await.unwrap().unwrap();
    assert!(!link.is_active(), "{:?}", link.status);
    assert_eq!(slack.messages().len(), 1);
}

#[tokio::test]
async fn files_are_fetched_with_the_token_and_from_slack_alone() {
    let (world, slack) = world().await;
    let url = slack.add_file("notes.txt", b"The key is under the mat.");
    for (ts, url, said) in [
        ("1.1", url.as_str(), "The key is under the mat."),
        ("1.2", "https://files.example/notes.txt", "[It could not be read: the channel did not give it out.]"),
    ] {
        let file = json!({ "name": "notes.txt", "mimetype": "text/plain", "size": 25, "url_private_download": url });
        let body = message(&json!({ "subtype": "file_share", "ts": ts, "files": [file] }));
        assert_eq!(post(&world, &body).await.status, 200);
        world.work().await;
        assert_eq!(world.files_said().await, [Some(said.to_owned())]);
    }
}
