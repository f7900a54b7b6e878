//! A bot's fallbacks, and which keys go where.

use api::views::{BotView, ModelView};
use domain::Thinking;
use domain::account::ModelApi;
use serde_json::{Value, json};
use store::{BotSecret, SecretContext};

use crate::harness::{Answer, Api};

async fn changed(api: &Api, model: Value) -> Answer {
    api.patch("/v1/bots/Tidy", json!({ "model": model })).await
}

/// The keys of the only bot, opened: the model's own, and the others by provider.
async fn keys(api: &Api) -> (Option<String>, Vec<(String, String)>) {
    let account = api.environment.store.account(api.account);
    let bot = account.bot_list().await.unwrap().remove(0);
    let keyring = api.environment.store.keyring();
    let (account, id) = (api.account, bot.id);
    let own = match &bot.model.api_key {
        Some(sealed) => Some(keyring.open(SecretContext::ModelKey { account, bot: id }, sealed).await.unwrap()),
        None => None,
    };
    let mut others = vec![];
    for (name, sealed) in &bot.model.keys {
        let context = SecretContext::Bot { account, bot: id, name: BotSecret::Provider(name) };
        others.push((name.clone(), keyring.open(context, sealed).await.unwrap()));
    }
    (own, others)
}

fn pair(name: &str, key: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), key.to_owned())]
}

async fn with_fallback() -> Api {
    let api = Api::start().await;
    let model = json!({
        "model": "openai/gpt-5.1", "api_key": "sk-openai", "api": "openai-responses", "thinking": "low",
        "fallbacks": [{ "model": "anthropic/claude-haiku-4-5" }], "keys": { "anthropic": " sk-anthropic\n" }
    });
    let answer = api.post("/v1/bots", json!({ "name": "Tidy", "model": model })).await;
    assert!(!answer.body.contains("sk-"), "{}", answer.body);
    let bot: BotView = answer.read(201);
    assert_eq!((bot.model.api, bot.model.thinking), (Some(ModelApi::OpenaiResponses), Some(Thinking::Low)));
    assert_eq!((bot.model.keys.as_slice(), bot.model.fallbacks.len()), (&["anthropic".to_owned()][..], 1));
    api
}

#[tokio::test]
async fn fallbacks_have_keys_of_their_own() {
    let api = with_fallback().await;
    assert_eq!(keys(&api).await, (Some("sk-openai".into()), pair("anthropic", "sk-anthropic")));
    // Another model of the same provider is asked with the same key.
    let same: ModelView = changed(&api, json!({ "fallbacks": [{ "model": "anthropic/claude-opus-4-5" }] }))
        .await
        .read::<BotView>(200)
        .model;
    assert_eq!((same.keys, same.has_api_key), (vec!["anthropic".to_owned()], true));
    let cleared: BotView =
        changed(&api, json!({ "keys": { "anthropic": null }, "thinking": null, "api": null })).await.read(200);
    assert_eq!((cleared.model.keys.len(), cleared.model.thinking, cleared.model.api), (0, None, None));
    assert_eq!(keys(&api).await, (Some("sk-openai".into()), vec![]));
    let demo: BotView = changed(&api, json!({ "model": null })).await.read(200);
    assert_eq!(demo.model, ModelView::default());
}

#[tokio::test]
async fn a_fallbacks_key_stays_where_it_was_given_for() {
    let api = with_fallback().await;
    let moved = json!([{ "model": "anthropic/claude-haiku-4-5", "base_url": "https://evil.example/v1" }]);
    let detail = changed(&api, json!({ "fallbacks": moved })).await.problem(422);
    assert!(detail.contains("give model.keys.anthropic again"), "{detail}");
    // As a fallback or at another address, the model's own key goes nowhere else either.
    let own = json!([{ "model": "openai/x", "base_url": "https://evil.example/v1" }]);
    assert!(changed(&api, json!({ "fallbacks": own })).await.problem(422).contains("at one address"));
    let both = json!([{ "model": "a/x" }, { "model": "a/y", "base_url": "https://evil.example/v1" }]);
    assert!(changed(&api, json!({ "fallbacks": both })).await.problem(422).contains("a-2/"));
    assert_eq!(keys(&api).await, (Some("sk-openai".into()), pair("anthropic", "sk-anthropic")));

    let given = json!({ "fallbacks": moved, "keys": { "anthropic": "sk-proxy" } });
    assert_eq!(changed(&api, given).await.status, 200);
    assert_eq!(keys(&api).await.1, pair("anthropic", "sk-proxy"));
    // What no model asks with is forgotten, and does not come back.
    assert_eq!(changed(&api, json!({ "fallbacks": null })).await.status, 200);
    assert_eq!(changed(&api, json!({ "fallbacks": [{ "model": "anthropic/claude-haiku-4-5" }] })).await.status, 200);
    assert_eq!(keys(&api).await, (Some("sk-openai".into()), vec![]));
}

#[tokio::test]
async fn a_model_and_its_fallback_may_change_places() {
    let api = with_fallback().await;
    let swapped = json!({ "model": "anthropic/claude-haiku-4-5", "fallbacks": [{ "model": "openai/gpt-5.1" }] });
    let bot: BotView = changed(&api, swapped).await.read(200);
    assert_eq!((bot.model.has_api_key, bot.model.keys), (true, vec!["openai".to_owned()]));
    assert_eq!(bot.model.api, None, "the protocol was said of the other server");
    assert_eq!(keys(&api).await, (Some("sk-anthropic".into()), pair("openai", "sk-openai")));
}

#[tokio::test]
async fn what_a_model_cannot_have_is_refused_with_advice() {
    let api = with_fallback().await;
    let many: Vec<Value> = (0..9).map(|n| json!({ "model": format!("a/{n}") })).collect();
    for (model, status, told) in [
        (json!({ "keys": { "openai": "sk-1" } }), 422, "give its key as model.api_key"),
        (json!({ "keys": { "groq": "sk-1" } }), 422, "Name one in model.fallbacks"),
        (json!({ "keys": { "anthropic": "a b" } }), 400, "model.keys.anthropic: a key has visible ASCII"),
        (json!({ "fallbacks": many }), 400, "8 models at most"),
        (json!({ "fallbacks": [{ "model": "a b" }] }), 400, "model.fallbacks[0].model: write provider/model"),
        (json!({ "fallbacks": [{ "model": "" }] }), 400, "provider/model"),
        (json!({ "fallbacks": [{ "model": "a/b", "base_url": "ftp://x" }] }), 400, "https://host/v1"),
        (json!({ "fallbacks": [{ "model": "a/b", "base_url": "http://models.example/v1" }] }), 400, "over http"),
        (json!({ "fallbacks": [{ "model": "a/b", "context_window": 5 }] }), 400, "[0].context_window: give 4000"),
        (json!({ "fallbacks": [{ "model": "a/b", "key": "sk-1" }] }), 400, "unknown field"),
        (json!({ "api": "soap" }), 400, "anthropic-messages"),
        (json!({ "thinking": "hard" }), 400, "xhigh"),
        (json!({ "model": null, "thinking": "low" }), 422, "give model.model too"),
        (json!({ "model": null, "fallbacks": [{ "model": "a/b" }] }), 422, "give model.model too"),
    ] {
        let detail = changed(&api, model).await.problem(status);
        assert!(detail.contains(told), "{told}: {detail}");
    }
    // A budget in dollars needs the price of each model that may be asked.
    let unpriced = json!({ "model": { "fallbacks": [{ "model": "own/x" }] }, "turn_budget": 5 });
    let detail = api.patch("/v1/bots/Tidy", unpriced).await.problem(400);
    assert!(detail.contains("price of own/x") && detail.contains("in model.fallbacks"), "{detail}");
}

#[tokio::test]
async fn an_image_model_is_kept_with_its_keys_and_has_to_see() {
    let api = with_fallback().await;
    let image = json!({
        "primary": { "model": "google/gemini-2.5-flash" }, "fallbacks": [{ "model": "anthropic/claude-haiku-4-5" }]
    });
    // As OpenClaw calls it.
    let given = json!({ "imageModel": image, "keys": { "google": "sk-google" } });
    let bot: BotView = changed(&api, given).await.read(200);
    assert_eq!(serde_json::to_value(&bot.model.image_model).unwrap(), image);
    assert_eq!(bot.model.keys, ["anthropic", "google"]);
    let others = [pair("anthropic", "sk-anthropic"), pair("google", "sk-google")].concat();
    assert_eq!(keys(&api).await, (Some("sk-openai".into()), others.clone()));
    // It stays while other things change, and its key stays where it was given for.
    let bot: BotView = changed(&api, json!({ "thinking": null })).await.read(200);
    assert!(bot.model.image_model.is_some());
    let moved = json!({ "primary": { "model": "google/gemini-2.5-flash", "base_url": "https://evil.example/v1" } });
    let detail = changed(&api, json!({ "image_model": moved })).await.problem(422);
    assert!(detail.contains("give model.keys.google again"), "{detail}");
    let own = json!({ "primary": { "model": "openai/x", "base_url": "https://evil.example/v1" } });
    let detail = changed(&api, json!({ "image_model": own })).await.problem(422);
    assert!(detail.contains("model.image_model: models of one provider share a key"), "{detail}");
    for (image, status, told) in [
        (
            json!({ "primary": { "model": "deepseek/deepseek-chat" } }),
            400,
            "deepseek/deepseek-chat cannot see pictures",
        ),
        (json!({ "primary": { "model": "demo" } }), 400, "demo cannot see pictures"),
        (json!({ "primary": { "model": "a b" } }), 400, "model.image_model.primary.model: write provider/model"),
        (
            json!({ "primary": { "model": "a/b" }, "fallbacks": [{ "model": "" }] }),
            400,
            "model.image_model.fallbacks[0].model",
        ),
        (json!({ "fallbacks": [{ "model": "a/b" }] }), 400, "primary"),
    ] {
        let detail = changed(&api, json!({ "image_model": image })).await.problem(status);
        assert!(detail.contains(told), "{told}: {detail}");
    }
    assert_eq!(keys(&api).await.1, others);
    // A budget in dollars needs its price.
    let unpriced = json!({ "model": { "image_model": { "primary": { "model": "own/x" } } }, "turn_budget": 5 });
    let detail = api.patch("/v1/bots/Tidy", unpriced).await.problem(400);
    assert!(detail.contains("price of own/x") && detail.contains("in model.image_model"), "{detail}");
    let bot: BotView = changed(&api, json!({ "image_model": null })).await.read(200);
    assert_eq!((bot.model.image_model, bot.model.keys), (None, vec!["anthropic".to_owned()]));
}
