//! People with clients of their own write to bots of `lowtide dev` on real servers, and read the replies.

use std::time::Duration;

use peers::{DiscordTwin, Ngircd, Synapse};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::dev_process::DevProcess;

/// What the demo model says, which bots have that were given none.
const DEMO: &str = "demo";

async fn link(dev: &DevProcess, bot: &str, body: Value) -> Value {
    let (status, bot) = dev.api("POST", "/v1/bots", Some(json!({ "name": bot }))).await;
    assert_eq!(status, 201, "{bot}");
    let path = format!("/v1/bots/{}/links", bot["id"].as_str().unwrap());
    let (status, link) = dev.api("POST", &path, Some(body)).await;
    assert_eq!(status, 201, "{link}");
    link
}

fn is_reply(user: &str) -> impl Fn(&Value) -> bool {
    move |event| event["sender"] == user && event["content"]["body"].as_str().is_some_and(|body| body.contains(DEMO))
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_on_matrix_is_answered_and_what_they_said_to_nobody_too() {
    let synapse = Synapse::start().await;
    let (ada, heron) = (synapse.person("ada").await, synapse.person("heron").await);
    let dir = tempfile::tempdir().unwrap();
    let host = synapse.url().strip_prefix("http://").unwrap();
    let environment = [("LOWTIDE_FETCH_ALLOW", host)];
    let dev = DevProcess::start(dir.path(), &environment).await;
    let body = json!({
        "channel": "matrix", "credentials": { "access_token": heron.token },
        "settings": { "homeserver": synapse.url() }, "access": { "dm_policy": "open" },
    });
    let link = link(&dev, "heron", body).await;
    assert_eq!((&link["handle"], &link["status"]["state"]), (&json!("heron"), &json!("active")));

    let room = ada.room(&[&heron.user], true).await;
    ada.say(&room, "Hello").await;
    ada.wait_for(&room, is_reply(&heron.user)).await;

    // Said while nobody is there, and answered by who comes next.
    dev.kill().await;
    let second = ada.say(&room, "Are you there?").await;
    let dev = DevProcess::start(dir.path(), &environment).await;
    let answers =
        |event: &Value| event["content"]["m.relates_to"].to_string().contains(&second) || is_reply(&heron.user)(event);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let replies = ada.events(&room).await.into_iter().filter(|event| answers(event)).count();
        if replies >= 2 {
            assert_eq!(replies, 2, "each is answered once");
            break;
        }
        assert!(Instant::now() < deadline, "the second message is not answered");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(dev.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_on_irc_is_answered_in_a_channel_and_alone() {
    let server = Ngircd::start(Some("reed")).await;
    let dir = tempfile::tempdir().unwrap();
    let host = format!("127.0.0.1:{}", server.port);
    let dev = DevProcess::start(dir.path(), &[("LOWTIDE_FETCH_ALLOW", &host)]).await;
    let settings = json!({
        "host": "127.0.0.1", "port": server.port, "tls": false, "nick": "heron", "channels": ["#marsh"],
    });
    let body = |password: &str| {
        json!({
            "channel": "irc", "settings": settings, "credentials": { "password": password },
        })
    };
    let (status, refused) = dev.api("POST", "/v1/bots/tidy/links", Some(body("sedge"))).await;
    assert_eq!(status, 422, "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("refused the credentials"), "{refused}");

    let mut ada = server.person("ada").await;
    ada.send("JOIN #marsh").await;
    ada.wait_for(|line| line.contains(" 366 ")).await;
    let link = link(&dev, "heron", body("reed")).await;
    assert_eq!(link["handle"], "heron");
    ada.wait_for(|line| line.starts_with(":heron!") && line.contains(" JOIN ")).await;

    // In the channel that its owner had it join, it answers when it is named.
    ada.send("PRIVMSG #marsh :heron: hello").await;
    ada.wait_for(|line| line.starts_with(":heron!") && line.contains("PRIVMSG #marsh") && line.contains(DEMO)).await;

    // Alone, a stranger is given a code first, and answered once it is approved.
    ada.send("PRIVMSG heron :hello").await;
    let pairings = format!("/v1/bots/heron/links/{}/pairings", link["id"].as_str().unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    let code = loop {
        assert!(Instant::now() < deadline, "nobody waits to be let in");
        let (_, waiting) = dev.api("GET", &pairings, None).await;
        if let Some(code) = waiting["items"][0]["code"].as_str() {
            break code.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    ada.wait_for(|line| line.contains("PRIVMSG ada") && line.contains(&code)).await;
    let (status, approved) = dev.api("POST", &format!("{pairings}/approve"), Some(json!({ "code": code }))).await;
    assert_eq!(status, 200, "{approved}");
    ada.send("PRIVMSG heron :and now?").await;
    ada.wait_for(|line| line.starts_with(":heron!") && line.contains("PRIVMSG ada") && line.contains(DEMO)).await;
    assert!(dev.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_on_discord_is_answered_in_a_channel() {
    let discord = DiscordTwin::start().await;
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[("LOWTIDE_DISCORD_API_BASE", &discord.base)]).await;
    let body = json!({
        "channel": "discord", "credentials": { "bot_token": discord.token },
        "access": { "dm_policy": "open", "group_policy": "open", "groups": { "*": { "require_mention": false } } },
    });
    let link = link(&dev, "heron", body).await;
    assert_eq!(link["status"]["state"], "active");
    // Nobody keeps what is said before the bot is there, and that is seen by its answer.
    let is_by_bot = |message: &Value| message["author"] == *discord.bot;
    let deadline = Instant::now() + Duration::from_secs(60);
    while !discord.messages().await.iter().any(is_by_bot) {
        assert!(Instant::now() < deadline, "the bot does not answer: {:?}", discord.messages().await);
        discord.say("Hello").await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let reply = discord.wait_for(is_by_bot).await;
    assert!(reply["text"].as_str().unwrap().contains(DEMO), "{reply}");
    assert!(reply["answers"].is_string(), "it says what it answers: {reply}");
    let question = discord.say("And you?").await;
    discord.wait_for(|message| is_by_bot(message) && message["answers"] == *question).await;
    assert!(dev.stop().await.success());
}
