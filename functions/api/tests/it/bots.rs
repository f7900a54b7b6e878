//! Bots: made, listed, changed, paused, deleted.

use api::views::{BotView, FileView, Items};
use axum::body::Body;
use axum::http::{Request, header};
use domain::{BotStatus, SessionScope};
use serde_json::json;
use store::SecretContext;

use crate::harness::Api;

#[tokio::test]
async fn a_bot_is_made_listed_and_deleted() {
    let api = Api::start().await;
    let answer = api.post("/v1/bots", json!({ "name": " Tidy Bot ", "time_zone": "Europe/Berlin" })).await;
    let bot: BotView = answer.read(201);
    assert_eq!(answer.header(header::LOCATION), format!("/v1/bots/{}", bot.id));
    assert_eq!(answer.header(header::ETAG), "\"1\"");
    assert_eq!((bot.name.as_str(), bot.time_zone.as_str(), bot.agent.as_str()), ("Tidy Bot", "Europe/Berlin", "main"));
    assert_eq!((bot.status, bot.model.model.as_deref()), (BotStatus::Active, None));

    for path in [format!("/v1/bots/{}", bot.id), "/v1/bots/tidy%20bot".to_owned()] {
        assert_eq!(api.get(&path).await.read::<BotView>(200), bot);
    }
    let bots: Items<BotView> = api.get("/v1/bots").await.read(200);
    assert_eq!(bots.items, std::slice::from_ref(&bot));
    let files: Items<FileView> = api.get("/v1/bots/tidy%20bot/files").await.read(200);
    assert!(files.items.iter().any(|file| file.name == "SOUL.md"));

    assert_eq!(api.delete("/v1/bots/Tidy%20Bot?now=true").await.status, 204);
    api.get(&format!("/v1/bots/{}", bot.id)).await.problem(404);
    assert_eq!(api.get("/v1/bots").await.read::<Items<BotView>>(200).items, []);
    assert_eq!(api.new_bot("Tidy Bot").await.name, "Tidy Bot");
}

#[tokio::test]
async fn what_a_bot_cannot_be_is_refused_with_advice() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let refused = async |body, status| api.post("/v1/bots", body).await.problem(status);
    assert!(refused(json!({ "name": "tidy" }), 409).await.contains("another name"));
    assert!(refused(json!({ "name": "a/b" }), 400).await.contains("letters"));
    let detail = refused(json!({ "name": "B", "time_zone": "Mars/Base" }), 400).await;
    assert!(detail.contains("use an IANA name such as Europe/Berlin"), "{detail}");
    let detail = refused(json!({ "name": "B", "model": { "api_key": "sk-1" } }), 422).await;
    assert!(detail.contains("give model.model too"), "{detail}");
    for bad in ["ftp://x/v1", "models", "https://me:pw@x/v1"] {
        let detail = refused(json!({ "name": "B", "model": { "model": "a/b", "base_url": bad } }), 400).await;
        assert!(detail.contains("https://host/v1") && !detail.contains("pw@"), "{detail}");
    }
    assert!(refused(json!({ "name": "B", "dm_scope": "all" }), 400).await.contains("per-peer"));
    assert_eq!(api.get("/v1/bots").await.read::<Items<BotView>>(200).items.len(), 1);
}

#[tokio::test]
async fn a_change_is_made_against_the_version_that_was_read() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    api.new_bot("Other").await;
    let path = format!("/v1/bots/{}", bot.id);
    let answer = api.patch(&path, json!({ "name": "Tidier", "dm_scope": "per-peer" })).await;
    let changed: BotView = answer.read(200);
    assert_eq!((changed.name.as_str(), changed.dm_scope), ("Tidier", SessionScope::PerPeer));
    assert_eq!((changed.version, answer.header(header::ETAG)), (2, "\"2\""));
    api.get("/v1/bots/Tidy").await.problem(404);
    assert!(api.patch(&path, json!({ "name": "OTHER" })).await.problem(409).contains("exists already"));

    let patch_if = async |tag: &str, name: &str| {
        let request = Request::patch(&path).header("authorization", format!("Bearer {}", api.key));
        let request = request.header("if-match", tag).header("content-type", "application/json");
        api.raw(request.body(Body::from(json!({ "name": name }).to_string())).unwrap()).await
    };
    assert!(patch_if("\"1\"", "Late").await.problem(412).contains("\"2\""));
    assert_eq!(patch_if("\"2\"", "In time").await.read::<BotView>(200).version, 3);
    let request = Request::delete(&path).header("authorization", format!("Bearer {}", api.key));
    api.raw(request.header("if-match", "\"2\"").body(Body::empty()).unwrap()).await.problem(412);
}

#[tokio::test]
async fn a_models_key_is_sealed_and_stays_where_it_belongs() {
    let api = Api::start().await;
    let model = json!({ "model": "openai/gpt-5.1", "api_key": " sk-secret\n" });
    let answer = api.post("/v1/bots", json!({ "name": "Tidy", "model": model })).await;
    assert!(!answer.body.contains("sk-secret"));
    let bot: BotView = answer.read(201);
    assert!(bot.model.has_api_key);
    let stored = api.environment.store.account(api.account).bot_get(bot.id).await.unwrap().unwrap();
    let context = SecretContext::ModelKey { account: api.account, bot: bot.id };
    let key = api.environment.store.keyring().open(context, &stored.model.api_key.unwrap()).await.unwrap();
    assert_eq!(key, "sk-secret");

    let changed = async |model| api.patch("/v1/bots/Tidy", json!({ "model": model })).await;
    let same: BotView = changed(json!({ "model": "openai/gpt-5.2" })).await.read(200);
    assert!(same.model.has_api_key);
    assert!(changed(json!({ "base_url": "https://evil.example/v1" })).await.problem(422).contains("again"));
    assert!(changed(json!({ "model": "groq/x" })).await.problem(422).contains("again"));
    let own: BotView = changed(json!({ "base_url": "https://own.example/v1/", "api_key": null })).await.read(200);
    assert_eq!((own.model.base_url.as_deref(), own.model.has_api_key), (Some("https://own.example/v1"), false));
    let demo: BotView = changed(json!({ "model": null })).await.read(200);
    assert_eq!(demo.model, api::views::ModelView::default());
}

#[tokio::test]
async fn pausing_twice_is_pausing_once() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    for (action, status, version) in [
        ("pause", BotStatus::Paused, 2),
        ("pause", BotStatus::Paused, 2),
        ("resume", BotStatus::Active, 3),
        ("resume", BotStatus::Active, 3),
    ] {
        let answer = api.call_as(&api.key, "POST", &format!("/v1/bots/Tidy/{action}"), None).await;
        let bot: BotView = answer.read(200);
        assert_eq!((bot.status, bot.version), (status, version));
    }
}

#[tokio::test]
async fn settings_may_be_spelled_as_openclaw_does() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let spelled = serde_json::json!({
        "dmScope": "per-peer",
        "queue": { "mode": "collect", "debounceMs": 2500 },
        "resets": { "reset": { "mode": "daily", "atHour": 5 } },
        "abilities": { "tools": { "alsoAllow": ["web_fetch"] } },
        "heartbeat": { "everyMinutes": 30 },
    });
    let ours = serde_json::json!({
        "dm_scope": "per-peer",
        "queue": { "mode": "collect", "debounce_ms": 2500 },
        "resets": { "reset": { "mode": "daily", "at_hour": 5 } },
        "abilities": { "tools": { "also_allow": ["web_fetch"] } },
        "heartbeat": { "every_minutes": 30 },
    });
    let bot: BotView = api.patch("/v1/bots/Tidy", spelled).await.read(200);
    assert_eq!((bot.queue.debounce_ms, bot.heartbeat.every_minutes), (2500, Some(30)));
    assert_eq!(bot.abilities.tools.also_allow, ["web_fetch"]);
    let same: BotView = api.patch("/v1/bots/Tidy", ours).await.read(200);
    assert_eq!(
        (same.dm_scope, same.queue, same.resets, same.abilities),
        (bot.dm_scope, bot.queue, bot.resets, bot.abilities)
    );
    api.patch("/v1/bots/Tidy", serde_json::json!({ "dmscope": "main" })).await.problem(400);
}
