//! Links to other channels than Telegram: what is asked of the channel, and what the owner is told to do there.

use api::views::{Items, LinkView};
use domain::access::DmPolicy;
use domain::{LinkSettings, LinkStatus};
use serde_json::{Value, json};
use store::SecretContext;
use testkit::discord_api::FakeDiscordApi;
use testkit::slack::FakeSlack;
use testkit::whatsapp::{FakeWhatsApp, NUMBER};

use crate::harness::Api;

const LINKS: &str = "/v1/bots/Tidy/links";
const PUBLIC: Option<&str> = Some("https://bots.example");

/// What the door opens of a link.
async fn signing_secret(api: &Api, link: &LinkView) -> Option<String> {
    let stored = api.environment.store.account(api.account).link_get(link.bot, link.id).await.unwrap().unwrap();
    let context = SecretContext::Webhook { account: api.account, bot: link.bot, link: link.id };
    Some(api.environment.store.keyring().open(context, &stored.webhook_secret?).await.unwrap())
}

#[tokio::test]
async fn slack_is_asked_whose_the_token_is() {
    let slack = FakeSlack::start();
    slack.add_bot("xoxb-1", "UBOT");
    let api = Api::start_with(PUBLIC, |settings| settings.slack_api_base = slack.base_url()).await;
    api.new_bot("Tidy").await;
    let request = |token: &str| json!({ "channel": "slack", "credentials": { "bot_token": token, "signing_secret": " 8f742231 \n" } });
    let answer = api.post(LINKS, request("xoxb-1")).await;
    assert!(!answer.body.contains("xoxb-1") && !answer.body.contains("8f742231"), "{}", answer.body);
    let link: LinkView = answer.read(201);
    assert_eq!((link.handle.as_deref(), &link.status), (Some("heron"), &LinkStatus::Active));
    let LinkSettings::Slack(settings) = &link.settings else { panic!("{link:?}") };
    assert_eq!((settings.team.as_str(), settings.bot_user.as_str()), ("T1", "UBOT"));
    assert_eq!(signing_secret(&api, &link).await.as_deref(), Some("8f742231"));
    let hint = link.webhook.as_ref().unwrap().hint.clone().unwrap();
    assert!(hint.contains(&format!("https://bots.example/hooks/slack/{}", link.id)), "{hint}");

    assert!(api.post(LINKS, request("xoxb-1")).await.problem(409).contains("linked to the bot `Tidy` already"));
    assert!(api.post(LINKS, request("xoxb-2")).await.problem(422).contains("OAuth & Permissions"));
    for (body, told) in [
        (json!({ "channel": "slack" }), "give bot_token"),
        (json!({ "channel": "slack", "credentials": { "bot_token": "xoxb-1" } }), "signing_secret is missing"),
        (json!({ "channel": "slack", "token": "xoxb-1" }), "give the `credentials` of Slack"),
        (json!({ "channel": "slack", "settings": { "sokcet": true } }), "sokcet"),
        (
            json!({ "channel": "slack", "settings": { "socket": true }, "credentials": { "bot_token": "xoxb-1" } }),
            "app_token is missing",
        ),
        (
            json!({
                "channel": "slack", "settings": { "socket": true },
                "credentials": { "bot_token": "xoxb-1", "app_token": "xapp-2" },
            }),
            "switch Socket Mode on",
        ),
    ] {
        let answer = api.post(LINKS, body.clone()).await;
        assert!((400..500).contains(&answer.status.as_u16()) && answer.body.contains(told), "{body}: {}", answer.body);
    }
    assert_eq!(api.get(LINKS).await.read::<Items<LinkView>>(200).items.len(), 1);

    let path = format!("{LINKS}/{}", link.id);
    let credentials = json!({ "credentials": { "bot_token": "xoxb-1", "signing_secret": "another" } });
    let changed: LinkView = api.patch(&path, credentials).await.read(200);
    assert_eq!(signing_secret(&api, &changed).await.as_deref(), Some("another"));

    // The same bot in socket mode: nothing is signed, and no address is to be entered.
    slack.add_app("xapp-1");
    let socket = json!({
        "settings": { "socket": true }, "credentials": { "bot_token": "xoxb-1", "app_token": "xapp-1" },
    });
    let changed: LinkView = api.patch(&path, socket).await.read(200);
    let webhook = changed.webhook.as_ref().unwrap();
    assert!(webhook.registered && webhook.hint.as_ref().unwrap().contains("No address is asked for"), "{webhook:?}");
    assert_eq!(signing_secret(&api, &changed).await, None);
}

#[tokio::test]
async fn discord_is_given_the_commands_and_the_address() {
    let discord = FakeDiscordApi::start("token-1", "ab12");
    let api = Api::start_with(PUBLIC, |settings| settings.discord_api_base = discord.base_url()).await;
    api.new_bot("Tidy").await;
    let request = |token: &str| json!({ "channel": "discord", "credentials": { "bot_token": token } });
    let link: LinkView = api.post(LINKS, request("token-1")).await.read(201);
    let LinkSettings::Discord(settings) = &link.settings else { panic!("{link:?}") };
    assert_eq!((settings.application_id.as_str(), settings.public_key.as_str()), ("900", "ab12"));
    assert!(link.webhook.as_ref().unwrap().registered);
    assert_eq!(discord.interactions_url(), Some(format!("https://bots.example/hooks/discord/{}", link.id)));
    let commands = discord.commands();
    assert!(commands.contains(&"stop".to_owned()) && commands.contains(&"approve".to_owned()), "{commands:?}");
    assert!(api.post(LINKS, request("token-2")).await.problem(422).contains("Reset Token"));

    assert_eq!(api.delete(&format!("{LINKS}/{}", link.id)).await.status, 204);
    assert_eq!(discord.interactions_url(), None);

    discord.fail_next(429, json!({ "message": "You are being rate limited.", "retry_after": 1.5, "global": true }));
    assert!(api.post(LINKS, request("token-1")).await.problem(503).contains("asks for a pause"));
}

#[tokio::test]
async fn without_a_public_url_discords_messages_work_and_the_owner_learns_what_does_not() {
    let discord = FakeDiscordApi::start("token-1", "ab12");
    let api = Api::start_with(None, |settings| settings.discord_api_base = discord.base_url()).await;
    api.new_bot("Tidy").await;
    let link: LinkView =
        api.post(LINKS, json!({ "channel": "discord", "credentials": { "bot_token": "token-1" } })).await.read(201);
    let webhook = link.webhook.unwrap();
    assert!(!webhook.registered && webhook.hint.unwrap().contains("LOWTIDE_PUBLIC_URL"));
    assert_eq!((link.status, discord.interactions_url()), (LinkStatus::Active, None));
}

#[tokio::test]
async fn whatsapp_is_asked_for_its_number_and_the_owner_gets_a_token_to_enter() {
    let whatsapp = FakeWhatsApp::start("EAA-1");
    let api = Api::start_with(PUBLIC, |settings| settings.whatsapp_api_base = whatsapp.base_url()).await;
    let bot = api.new_bot("Tidy").await;
    let request = |token: &str, number: Value| {
        let credentials = json!({ "access_token": token, "app_secret": "app-secret" });
        json!({ "channel": "whatsapp", "credentials": credentials, "settings": { "phone_number_id": number } })
    };
    let link: LinkView = api.post(LINKS, request("EAA-1", NUMBER.into())).await.read(201);
    assert_eq!(link.handle.as_deref(), Some("+1 555 010 0000"));
    assert_eq!(signing_secret(&api, &link).await.as_deref(), Some("app-secret"));
    let stored = api.environment.store.account(api.account).link_get(bot.id, link.id).await.unwrap().unwrap();
    let webhook = link.webhook.unwrap();
    let verify = channels::telegram::hash_secret(&webhook.secret.unwrap());
    assert_eq!(stored.webhook_secret_sha256, Some(verify));
    assert!(webhook.hint.unwrap().contains("Callback URL"));
    assert!(api.post(LINKS, request("EAA-2", NUMBER.into())).await.problem(422).contains("system user"));
    assert!(api.post(LINKS, request("EAA-1", "1/messages".into())).await.problem(400).contains("digits"));
    let body = json!({ "channel": "whatsapp", "credentials": { "access_token": "EAA-1", "app_secret": "x" } });
    assert!(api.post(LINKS, body).await.problem(422).contains("API Setup"));
}

#[tokio::test]
async fn a_webhook_gets_a_secret_that_is_shown_once() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let reply_url = "https://system.example/replies";
    let link: LinkView =
        api.post(LINKS, json!({ "channel": "webhook", "settings": { "reply_url": reply_url } })).await.read(201);
    let secret = link.webhook.clone().unwrap().secret.unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() > 40);
    assert_eq!(signing_secret(&api, &link).await, Some(secret));
    assert_eq!(link.access.dm_policy, DmPolicy::Open, "whoever has the secret may write");
    let path = format!("{LINKS}/{}", link.id);
    assert_eq!(api.get(&path).await.read::<LinkView>(200).webhook, None);
    for private in ["http://127.0.0.1/x", "http://169.254.169.254/latest", "ftp://system.example", "nonsense"] {
        let body = json!({ "channel": "webhook", "settings": { "reply_url": private } });
        assert!(api.post(LINKS, body).await.problem(400).contains("reply_url"), "{private}");
    }
    let short = json!({ "channel": "webhook", "credentials": { "signing_secret": "whsec_c2hvcnQ=" } });
    assert!(api.post(LINKS, short).await.problem(400).contains("24 bytes"));
    // Several systems may talk to one bot.
    api.post(LINKS, json!({ "channel": "webhook" })).await.read::<LinkView>(201);
}

#[tokio::test]
async fn channels_that_this_version_cannot_link_are_refused() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    assert!(api.post(LINKS, json!({ "channel": "webchat" })).await.problem(422).contains("/chat"));
}
