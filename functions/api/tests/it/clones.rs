//! New bots that begin as something: as a template says, or as another bot is.

use api::views::{BotView, Items, ScheduleView, TemplateView};
use axum::body::Body;
use axum::http::{Request, header};
use domain::JobId;
use serde_json::json;
use store::{BotSecret, SecretContext};

use crate::harness::Api;

async fn file(api: &Api, bot: &str, path: &str) -> Option<String> {
    let answer = api.get(&format!("/v1/bots/{bot}/files/{path}")).await;
    (answer.status == 200).then_some(answer.body)
}

async fn write(api: &Api, bot: &str, path: &str, text: &str) {
    let request = Request::put(format!("/v1/bots/{bot}/files/{path}"))
        .header("authorization", format!("Bearer {}", api.key))
        .header(header::CONTENT_TYPE, "text/markdown");
    assert_eq!(api.raw(request.body(Body::from(text.to_owned())).unwrap()).await.status, 204);
}

#[tokio::test]
async fn a_bot_begins_as_its_template_says() {
    let api = Api::start().await;
    let templates: Items<TemplateView> = api.get("/v1/templates").await.read(200);
    assert!(templates.items.len() >= 4 && templates.items[0].id == "assistant", "{templates:?}");
    let mut souls = std::collections::BTreeSet::new();
    for template in &templates.items {
        let body = json!({ "name": template.id, "template": template.id });
        let _: BotView = api.post("/v1/bots", body).await.read(201);
        souls.insert(file(&api, &template.id, "SOUL.md").await.unwrap());
        assert!(file(&api, &template.id, "IDENTITY.md").await.unwrap().contains(&template.id));
    }
    assert_eq!(souls.len(), templates.items.len(), "each has a character of its own");
    api.new_bot("plain").await;
    assert_eq!(file(&api, "plain", "SOUL.md").await, file(&api, "assistant", "SOUL.md").await);
    let refusal = api.post("/v1/bots", json!({ "name": "x", "template": "pirate" })).await.problem(400);
    assert!(refusal.contains("template") && refusal.contains("assistant"), "{refusal}");
    api.get("/v1/bots/x").await.problem(404);
}

#[tokio::test]
async fn a_clone_has_settings_and_files_and_does_nothing_yet() {
    let api = Api::start().await;
    let body = json!({
        "name": "Heron",
        "time_zone": "Europe/Berlin",
        "model": { "model": "openai/gpt-5.1", "api_key": "sk-one", "fallbacks": [{ "model": "groq/b" }], "keys": { "groq": "sk-two" } },
        "abilities": {
            "search": { "provider": "brave", "api_key": "sk-three" },
            "mcp": { "bank": { "url": "https://bank.example/mcp", "token": "sk-four" } },
        },
        "heartbeat": { "every_minutes": 30 },
        "budget": { "turns": 9 },
    });
    let heron: BotView = api.post("/v1/bots", body).await.read(201);
    for (path, text) in [
        ("SOUL.md", "You are a heron."),
        ("USER.md", "Ada lives by the sea."),
        ("MEMORY.md", "Herons wait."),
        ("memory/2026-11-22.md", "Ada asked for the tide."),
        ("skills/tide/SKILL.md", "---\nname: tide\ndescription: The tide\n---\nLook it up."),
    ] {
        write(&api, "Heron", path, text).await;
    }
    let job = json!({
        "name": "tide",
        "schedule": { "kind": "every", "everyMs": 3_600_000 },
        "payload": { "kind": "agentTurn", "message": "the tide" },
    });
    let _: ScheduleView = api.post("/v1/bots/Heron/schedules", job).await.read(201);
    api.post("/v1/bots/Heron/links", json!({ "channel": "webhook" })).await.read::<serde_json::Value>(201);

    let clone = async |name: &str, memory: bool| -> BotView {
        api.post("/v1/bots/heron/clone", json!({ "name": name, "memory": memory })).await.read(201)
    };
    let (without, with) = (clone("Gull", false).await, clone("Tern", true).await);
    for copy in [&without, &with] {
        assert!(copy.id != heron.id && copy.version == 1);
        assert_eq!((&copy.time_zone, &copy.budget, &copy.model), (&heron.time_zone, &heron.budget, &heron.model));
        assert_eq!(copy.abilities, heron.abilities);
        assert_eq!(copy.heartbeat.every_minutes, None, "it does not wake by itself");
        let name = copy.name.as_str();
        assert_eq!(file(&api, name, "SOUL.md").await.as_deref(), Some("You are a heron."));
        assert!(file(&api, name, "skills/tide/SKILL.md").await.is_some());
        let schedules: Items<ScheduleView> = api.get(&format!("/v1/bots/{name}/schedules")).await.read(200);
        let [schedule] = schedules.items.as_slice() else { panic!("{schedules:?}") };
        assert_eq!((schedule.job.spec.enabled, schedule.due_at), (false, None));
        assert_ne!(schedule.job.id, JobId::heartbeat_of(copy.id));
        for empty in ["links", "sessions"] {
            let list: Items<serde_json::Value> = api.get(&format!("/v1/bots/{name}/{empty}")).await.read(200);
            assert!(list.items.is_empty(), "{name} has {empty}");
        }
        // The keys open for the copy, and are those of the other.
        let stored = api.environment.store.account(api.account).bot_get(copy.id).await.unwrap().unwrap();
        let (keyring, account, bot) = (api.environment.store.keyring(), api.account, copy.id);
        let of = |name| SecretContext::Bot { account, bot, name };
        let secrets = [
            (SecretContext::ModelKey { account, bot }, stored.model.api_key.as_ref(), "sk-one"),
            (of(BotSecret::Provider("groq")), stored.model.keys.get("groq"), "sk-two"),
            (of(BotSecret::Search), stored.abilities.search.as_ref().unwrap().api_key.as_ref(), "sk-three"),
            (of(BotSecret::Mcp("bank")), stored.abilities.mcp["bank"].token.as_ref(), "sk-four"),
        ];
        for (context, sealed, secret) in secrets {
            assert_eq!(keyring.open(context, sealed.unwrap()).await.unwrap(), secret);
        }
    }
    for path in ["MEMORY.md", "memory/2026-11-22.md"] {
        assert_eq!(file(&api, "Gull", path).await, None, "{path}");
        assert_eq!(file(&api, "Tern", path).await, file(&api, "Heron", path).await, "{path}");
    }
    assert_eq!(file(&api, "Tern", "USER.md").await.as_deref(), Some("Ada lives by the sea."));
    assert!(file(&api, "Gull", "USER.md").await.unwrap().contains("Nothing is written here yet"));

    let clone = |name: &str| api.post("/v1/bots/Heron/clone", json!({ "name": name }));
    assert!(clone("heron").await.problem(409).contains("another name"));
    assert!(clone("a/b").await.problem(400).contains("name:"));
}
