//! Links that are checked: what their channels say of the bot now, and what its owner is told to do there.

use std::time::Duration;

use api::views::{AuditView, FindingView, Items, LinkCheckView, LinkView};
use domain::link::{IrcSettings, WebhookSettings};
use domain::{Channel, HolderId, Link, LinkSettings, LinkStatus};
use serde_json::{Value, json};
use testkit::discord_api::{FakeDiscordApi, MESSAGE_CONTENT};
use testkit::matrix::FakeHomeserver;
use testkit::slack::FakeSlack;
use testkit::telegram::{Failure, FakeTelegram};
use testkit::whatsapp::{FakeWhatsApp, NUMBER};

use crate::harness::Api;

const LINKS: &str = "/v1/bots/Tidy/links";
const PUBLIC: Option<&str> = Some("https://bots.example");

/// What no finding may say: every token and secret of these tests has it.
const SECRET: &str = "s3cret";
const TELEGRAM_TOKEN: &str = "100:s3cret";

/// An API whose bot `Tidy` has one link.
async fn linked(api: &Api, link: Value) -> LinkView {
    api.new_bot("Tidy").await;
    api.post(LINKS, link).await.read(201)
}

async fn check(api: &Api, link: &LinkView) -> Vec<FindingView> {
    let answer = api.call_as(&api.key, "POST", &format!("{LINKS}/{}/check", link.id), None).await;
    assert!(!answer.body.contains(SECRET), "{}", answer.body);
    let check: LinkCheckView = answer.read(200);
    for finding in &check.findings {
        let says = (finding.problem.is_some(), finding.what_to_do.is_some());
        assert_eq!(says, (!finding.ok, !finding.ok), "{finding:?}");
    }
    check.findings
}

/// What is found in order, and what is not.
async fn amiss(api: &Api, link: &LinkView) -> Vec<String> {
    check(api, link).await.into_iter().filter(|finding| !finding.ok).map(|finding| finding.what).collect()
}

fn whats(findings: &[FindingView]) -> Vec<&str> {
    findings.iter().map(|finding| finding.what.as_str()).collect()
}

/// Asserts that one thing is amiss, and returns its problem and what to do.
async fn only(api: &Api, link: &LinkView, what: &str) -> (String, String) {
    let mut wrong: Vec<FindingView> = check(api, link).await.into_iter().filter(|finding| !finding.ok).collect();
    assert_eq!(whats(&wrong), [what], "{wrong:?}");
    let finding = wrong.remove(0);
    (finding.problem.unwrap(), finding.what_to_do.unwrap())
}

/// A holder that lives for a minute takes the link's slot.
async fn hold(api: &Api, link: &LinkView) {
    let (store, now) = (&api.environment.store, api.environment.clock.now());
    let holder = HolderId::from_parts(now, 1);
    store.holder_beat(holder, now + Duration::from_secs(60)).await.unwrap();
    store.slot_take(store::keys::slot_of(link.id), holder, None).await.unwrap().unwrap();
}

/// Changes a link behind the API's back.
async fn rewrite(api: &Api, link: &LinkView, change: impl FnOnce(&mut Link)) {
    let account = api.environment.store.account(api.account);
    let mut stored = account.link_get(link.bot, link.id).await.unwrap().unwrap();
    let seen = stored.version;
    change(&mut stored);
    stored.version += 1;
    account.link_update(seen, &stored).await.unwrap();
}

async fn with_telegram(public_url: Option<&str>, settings: Value) -> (FakeTelegram, Api, LinkView) {
    let telegram = FakeTelegram::start();
    telegram.add_bot(TELEGRAM_TOKEN, "tidy_bot");
    let api = Api::start_with(public_url, |settings| settings.telegram_api_base = telegram.base_url()).await;
    let body = json!({ "channel": "telegram", "token": TELEGRAM_TOKEN, "settings": settings });
    let link = linked(&api, body).await;
    (telegram, api, link)
}

#[tokio::test]
async fn telegrams_webhook_is_compared_with_ours() {
    let (telegram, api, link) = with_telegram(PUBLIC, json!({})).await;
    let found = check(&api, &link).await;
    assert_eq!(whats(&found), ["link: active", "token: @tidy_bot", "webhook: no update waits"]);
    assert_eq!(amiss(&api, &link).await, [""; 0]);

    telegram.tell(TELEGRAM_TOKEN, "getWebhookInfo", "allowed_updates", vec!["message"]);
    let (problem, _) = only(&api, &link, "webhook's updates").await;
    assert!(problem.contains("edited_message, callback_query"), "{problem}");
    // By default Telegram posts all but reactions.
    telegram.tell(TELEGRAM_TOKEN, "getWebhookInfo", "allowed_updates", Value::Null);
    let (problem, _) = only(&api, &link, "webhook's updates").await;
    assert!(problem.contains("needs: message_reaction is left out"), "{problem}");
    let all = vec!["message", "edited_message", "callback_query", "message_reaction"];
    telegram.tell(TELEGRAM_TOKEN, "getWebhookInfo", "allowed_updates", all);

    let now = api.environment.clock.now().as_secs();
    telegram.tell(TELEGRAM_TOKEN, "getWebhookInfo", "pending_update_count", 3);
    telegram.tell(TELEGRAM_TOKEN, "getWebhookInfo", "last_error_date", now);
    telegram.tell(TELEGRAM_TOKEN, "getWebhookInfo", "last_error_message", format!("502 at bot{TELEGRAM_TOKEN}"));
    let (problem, what_to_do) = only(&api, &link, "webhook: 3 updates wait").await;
    assert!(problem.contains("502 at bot<token>") && what_to_do.contains("certificate"), "{problem} {what_to_do}");

    telegram.tell(TELEGRAM_TOKEN, "getWebhookInfo", "url", format!("https://other.example/{TELEGRAM_TOKEN}"));
    let (problem, what_to_do) = only(&api, &link, "webhook").await;
    assert!(problem.contains("(other.example)") && what_to_do.contains("token again"), "{problem} {what_to_do}");
    telegram.tell(TELEGRAM_TOKEN, "getWebhookInfo", "url", "");
    assert!(only(&api, &link, "webhook").await.0.contains("None is set"));
}

#[tokio::test]
async fn telegrams_group_privacy_matters_where_the_bot_is_to_hear_more() {
    let (telegram, api, link) = with_telegram(PUBLIC, json!({})).await;
    let path = format!("{LINKS}/{}", link.id);
    let groups = async |rules: Value| {
        let access = json!({ "access": { "groups": rules } });
        api.patch(&path, access).await.read::<LinkView>(200);
    };
    groups(json!({ "-100": { "require_mention": true } })).await;
    let found = check(&api, &link).await;
    assert!(whats(&found).contains(&"group privacy: on, it is shown what is meant for it"), "{found:?}");
    assert_eq!(amiss(&api, &link).await, [""; 0]);

    groups(json!({ "-100": { "require_mention": false } })).await;
    let (problem, what_to_do) = only(&api, &link, "group privacy").await;
    assert!(problem.contains("without its handle in -100,"), "{problem}");
    assert!(what_to_do.contains("/setprivacy") && what_to_do.contains("add it again"), "{what_to_do}");
    telegram.tell(TELEGRAM_TOKEN, "getChatMember", "status", "administrator");
    assert_eq!(amiss(&api, &link).await, [""; 0], "an administrator is shown everything");
    groups(json!({ "*": { "require_mention": false } })).await;
    assert!(only(&api, &link, "group privacy").await.0.contains("in its groups,"));
    telegram.tell(TELEGRAM_TOKEN, "getMe", "can_read_all_group_messages", true);
    assert_eq!(amiss(&api, &link).await, [""; 0]);
    telegram.tell(TELEGRAM_TOKEN, "getMe", "can_join_groups", false);
    assert!(only(&api, &link, "groups").await.1.contains("/setjoingroups"));
    groups(json!({})).await;
    assert_eq!(amiss(&api, &link).await, [""; 0], "no group is listed, so none is missed");
    telegram.tell(TELEGRAM_TOKEN, "getMe", "username", "tidier_bot");
    assert!(only(&api, &link, "token: @tidier_bot").await.0.contains("@tidy_bot"));
}

#[tokio::test]
async fn a_telegram_bot_that_is_polled_has_a_holder_and_no_webhook() {
    let (telegram, api, link) = with_telegram(None, json!({ "polling": true })).await;
    assert!(only(&api, &link, "connection").await.1.contains("lowtide dev"));
    hold(&api, &link).await;
    let found = check(&api, &link).await;
    let expected =
        ["link: active", "connection: a holder looks after it", "token: @tidy_bot", "long poll: no update waits"];
    assert_eq!(whats(&found), expected);
    telegram.tell(TELEGRAM_TOKEN, "getWebhookInfo", "url", "https://other.example/x");
    let (problem, what_to_do) = only(&api, &link, "long poll").await;
    assert!(problem.contains("other.example") && what_to_do.contains("resume"), "{problem} {what_to_do}");
}

#[tokio::test]
async fn without_a_public_url_a_webhook_that_was_registered_by_hand_is_known_by_its_path() {
    let (telegram, api, link) = with_telegram(None, json!({})).await;
    assert!(only(&api, &link, "webhook").await.1.contains("LOWTIDE_PUBLIC_URL"));
    let url = |path: &str| format!("https://tunnel.example/hooks/telegram/{path}");
    telegram.tell(TELEGRAM_TOKEN, "getWebhookInfo", "url", url("link_other"));
    assert_eq!(amiss(&api, &link).await, ["webhook"]);
    telegram.tell(TELEGRAM_TOKEN, "getWebhookInfo", "url", url(&link.id.to_string()));
    let (problem, what_to_do) = only(&api, &link, "webhook's updates").await;
    assert!(problem.contains("message_reaction") && what_to_do.contains("allowed_updates"), "{problem} {what_to_do}");
    let path = format!("{LINKS}/{}", link.id);
    let change = json!({ "settings": { "reaction_notifications": "off" } });
    let _: LinkView = api.call_as(&api.key, "PATCH", &path, Some(change)).await.read(200);
    assert_eq!(amiss(&api, &link).await, [""; 0]);
}

#[tokio::test]
async fn a_channel_that_refuses_or_is_down_is_a_finding() {
    let (telegram, api, link) = with_telegram(PUBLIC, json!({})).await;
    for failure in [Failure::Unauthorised, Failure::Unauthorised] {
        telegram.fail_next(TELEGRAM_TOKEN, failure);
    }
    let (problem, what_to_do) = only(&api, &link, "token").await;
    assert!(problem.contains("Telegram refuses it") && what_to_do.contains("/token"), "{problem} {what_to_do}");
    for failure in [Failure::RateLimit { retry_after: 7 }, Failure::RateLimit { retry_after: 7 }] {
        telegram.fail_next(TELEGRAM_TOKEN, failure);
    }
    assert_eq!(only(&api, &link, "token").await.1, "Check again in 7 s.");
    drop(telegram);
    assert!(only(&api, &link, "token").await.0.contains("could not be reached"));

    let path = format!("{LINKS}/{}", link.id);
    api.call_as(&api.key, "POST", &format!("{path}/pause"), None).await.read::<LinkView>(200);
    assert_eq!(amiss(&api, &link).await, ["link", "token"]);
    api.call_as(&api.key, "POST", "/v1/bots/Tidy/pause", None).await;
    assert_eq!(amiss(&api, &link).await, ["link", "bot", "token"]);
    let none = format!("{LINKS}/link_00000000000000000000000001/check");
    api.call_as(&api.key, "POST", &none, None).await.problem(404);
    let changes = api.get("/v1/audit").await.read::<Items<AuditView>>(200).items;
    assert!(changes.iter().any(|line| line.action.ends_with(&format!("{}/check", link.id))), "{changes:?}");
}

#[tokio::test]
async fn discord_is_asked_for_its_intents_its_address_and_its_servers() {
    let discord = FakeDiscordApi::start(SECRET, "ab12");
    let api = Api::start_with(PUBLIC, |settings| settings.discord_api_base = discord.base_url()).await;
    let link = linked(&api, json!({ "channel": "discord", "credentials": { "bot_token": SECRET } })).await;
    hold(&api, &link).await;
    let expected = [
        "link: active",
        "connection: a holder looks after it",
        "token: @heron, application 900",
        "message content intent: on",
        "slash commands and buttons: Discord posts them here",
        "servers: it is in one at least",
    ];
    assert_eq!(whats(&check(&api, &link).await), expected);

    discord.set_flags(1 << 14);
    let (_, what_to_do) = only(&api, &link, "message content intent").await;
    assert!(what_to_do.contains("applications/900/bot"), "{what_to_do}");
    // A verified application.
    discord.set_flags(1 << 18);
    assert_eq!(amiss(&api, &link).await, [""; 0]);
    discord.set_flags(MESSAGE_CONTENT);

    discord.set_interactions_url("https://other.example/s3cret");
    assert!(only(&api, &link, "slash commands and buttons").await.0.contains("(other.example)"));
    discord.set_interactions_url(&format!("https://bots.example/hooks/discord/{}", link.id));
    discord.leave_servers();
    let (_, what_to_do) = only(&api, &link, "servers").await;
    assert!(what_to_do.contains("client_id=900"), "{what_to_do}");

    for _ in 0..2 {
        discord.fail_next(401, json!({ "code": 0, "message": format!("401: Unauthorized {SECRET}") }));
    }
    assert!(only(&api, &link, "token").await.1.contains("Reset Token"));
    drop(discord);
    assert!(only(&api, &link, "token").await.0.contains("Discord could not be reached"));
}

#[tokio::test]
async fn slacks_scopes_are_compared_with_what_the_link_is_for() {
    let slack = FakeSlack::start();
    slack.add_bot("xoxb-s3cret", "UBOT");
    let api = Api::start_with(PUBLIC, |settings| settings.slack_api_base = slack.base_url()).await;
    let credentials = json!({ "bot_token": "xoxb-s3cret", "signing_secret": "s3cret" });
    let link = linked(&api, json!({ "channel": "slack", "credentials": credentials })).await;
    let expected = ["link: active", "token: @heron", "scopes: all that the link's rules ask for"];
    assert_eq!(whats(&check(&api, &link).await), expected);

    slack.remove_scope("channels:history");
    slack.remove_scope("commands");
    assert_eq!(amiss(&api, &link).await, [""; 0], "the link listens in no channel");
    slack.remove_scope("files:read");
    let (problem, what_to_do) = only(&api, &link, "scope files:read").await;
    assert!(problem.contains("files that people send") && what_to_do.contains("install the app again"), "{what_to_do}");
    let path = format!("{LINKS}/{}", link.id);
    api.patch(&path, json!({ "access": { "group_policy": "open" } })).await.read::<LinkView>(200);
    assert_eq!(amiss(&api, &link).await, ["scope channels:history", "scope files:read"]);

    slack.fail_next(200, "token_revoked");
    assert!(only(&api, &link, "token").await.1.contains("OAuth & Permissions"));
    drop(slack);
    assert!(only(&api, &link, "token").await.0.contains("Slack could not be reached"));
}

#[tokio::test]
async fn slacks_socket_mode_is_tried_without_a_connection() {
    let slack = FakeSlack::start();
    slack.add_bot("xoxb-s3cret", "UBOT");
    slack.add_app("xapp-s3cret");
    let api = Api::start_with(None, |settings| settings.slack_api_base = slack.base_url()).await;
    let credentials = json!({ "bot_token": "xoxb-s3cret", "app_token": "xapp-s3cret" });
    let body = json!({ "channel": "slack", "settings": { "socket": true }, "credentials": credentials });
    let link = linked(&api, body).await;
    assert_eq!(amiss(&api, &link).await, ["connection"], "nobody holds it yet");
    slack.remove_app("xapp-s3cret");
    let found = check(&api, &link).await;
    let socket = found.iter().find(|finding| finding.what == "socket mode").expect("it was tried");
    let (problem, what_to_do) = (socket.problem.as_deref().unwrap(), socket.what_to_do.as_deref().unwrap());
    assert!(problem.contains("invalid_auth") && what_to_do.contains("connections:write"), "{problem} {what_to_do}");
    assert_eq!(slack.socket_counts().opened, 0);
    hold(&api, &link).await;
    assert_eq!(amiss(&api, &link).await, [""; 0], "the holder's question goes first");
}

#[tokio::test]
async fn meta_is_asked_how_the_number_stands() {
    let whatsapp = FakeWhatsApp::start(SECRET);
    let api = Api::start_with(PUBLIC, |settings| settings.whatsapp_api_base = whatsapp.base_url()).await;
    let credentials = json!({ "access_token": SECRET, "app_secret": "app-s3cret" });
    let body = json!({ "channel": "whatsapp", "credentials": credentials, "settings": { "phone_number_id": NUMBER } });
    let link = linked(&api, body).await;
    let expected =
        ["link: active", "access token: +1 555 010 0000", "number: connected", "quality: high", "name: Heron and Sons"];
    assert_eq!(whats(&check(&api, &link).await), expected);

    for (field, value, what) in [
        ("status", "BANNED", "number"),
        ("quality_rating", "RED", "quality"),
        ("name_status", "DECLINED", "name: Heron and Sons"),
        ("code_verification_status", "NOT_VERIFIED", "number"),
    ] {
        let before = match field {
            "status" => "CONNECTED",
            "quality_rating" => "GREEN",
            "name_status" => "APPROVED",
            _ => "VERIFIED",
        };
        whatsapp.tell(field, value);
        assert!(only(&api, &link, what).await.1.contains("WhatsApp Manager"), "{field}");
        whatsapp.tell(field, before);
    }
    // The code of a number that works is old.
    whatsapp.tell("code_verification_status", "EXPIRED");
    assert_eq!(amiss(&api, &link).await, [""; 0]);
    whatsapp.replace_token("another");
    assert!(only(&api, &link, "access token").await.1.contains("system user"));
    drop(whatsapp);
    assert!(only(&api, &link, "access token").await.0.contains("WhatsApp could not be reached"));
}

#[tokio::test]
async fn a_homeserver_is_asked_whose_the_token_is_and_whether_the_bot_may_listen() {
    let server = FakeHomeserver::start(SECRET, "@heron:example.org");
    let allowed = vec![server.authority()];
    let api = Api::start_with(None, |settings| settings.fetch_allow = allowed).await;
    let settings = json!({ "homeserver": server.base_url() });
    let body = json!({ "channel": "matrix", "credentials": { "access_token": SECRET }, "settings": settings });
    let link = linked(&api, body).await;
    hold(&api, &link).await;
    let expected = [
        "link: active",
        "connection: a holder looks after it",
        "homeserver: it speaks Matrix up to v1.11",
        "access token: @heron:example.org, device HERONDEV",
        "sync: the homeserver lets the bot listen",
    ];
    assert_eq!(whats(&check(&api, &link).await), expected);

    server.rename("@gull:example.org");
    assert!(only(&api, &link, "access token: @gull:example.org").await.0.contains("@heron:example.org"));
    server.rename("@heron:example.org");
    server.refuse("sync", 403, "M_FORBIDDEN");
    assert!(only(&api, &link, "sync").await.0.contains("M_FORBIDDEN"));
    server.refuse("whoami", 401, "M_UNKNOWN_TOKEN");
    assert!(only(&api, &link, "access token").await.1.contains("/login"));
    server.refuse("versions", 502, "M_UNKNOWN");
    assert!(only(&api, &link, "homeserver").await.0.contains("Matrix could not be reached"));
    drop(server);
    assert!(only(&api, &link, "homeserver").await.0.contains("Matrix could not be reached"));
}

#[tokio::test]
async fn a_webhooks_address_is_judged_and_not_called() {
    let api = Api::start().await;
    let reply_url = "https://system.example/replies?key=s3cret";
    let link = linked(&api, json!({ "channel": "webhook", "settings": { "reply_url": reply_url } })).await;
    let expected = ["link: active", "replies: they are posted to system.example"];
    assert_eq!(whats(&check(&api, &link).await), expected);
    rewrite(&api, &link, |link| {
        let reply_url = Some("http://127.0.0.1/s3cret".to_owned());
        link.settings = LinkSettings::Webhook(WebhookSettings { reply_url, outbound_only: false });
    })
    .await;
    let (problem, what_to_do) = only(&api, &link, "replies").await;
    assert!(problem.contains("not a public address") && what_to_do.contains("LOWTIDE_FETCH_ALLOW"), "{problem}");
    rewrite(&api, &link, |link| link.token = None).await;
    assert!(only(&api, &link, "login").await.1.contains("Webhook"));
}

#[tokio::test]
async fn of_irc_the_holders_last_word_is_told() {
    let api = Api::start().await;
    let link = linked(&api, json!({ "channel": "webhook" })).await;
    rewrite(&api, &link, |link| {
        let irc = json!({ "host": "irc.example.org", "nick": "heron" });
        link.channel = Channel::Irc;
        link.settings = LinkSettings::Irc(serde_json::from_value::<IrcSettings>(irc).unwrap());
        link.status = LinkStatus::Failed { reason: "the network refused the password".to_owned() };
    })
    .await;
    let (problem, what_to_do) = only(&api, &link, "link").await;
    assert!(problem.contains("refused the password") && what_to_do.contains("resume the link"), "{problem}");
    rewrite(&api, &link, |link| link.status = LinkStatus::Active).await;
    assert_eq!(amiss(&api, &link).await, ["connection"]);
    hold(&api, &link).await;
    assert_eq!(whats(&check(&api, &link).await), ["link: active", "connection: a holder looks after it"]);
}
