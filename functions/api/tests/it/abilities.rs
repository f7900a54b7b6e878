//! What a bot may use beside its model.

use api::views::{AbilitiesView, BotView};
use domain::Bot;
use domain::abilities::SearchProvider;
use serde_json::{Value, json};
use store::{BotSecret, SecretContext};

use crate::harness::{Answer, Api};

async fn changed(api: &Api, abilities: Value) -> Answer {
    api.patch("/v1/bots/Tidy", json!({ "abilities": abilities })).await
}

/// What an accepted change left.
async fn after(api: &Api, abilities: Value) -> AbilitiesView {
    let answer = changed(api, abilities).await;
    assert!(!answer.body.contains("sk-"), "{}", answer.body);
    answer.read::<BotView>(200).abilities
}

async fn stored(api: &Api) -> Bot {
    api.environment.store.account(api.account).bot_list().await.unwrap().remove(0)
}

async fn opened(api: &Api, name: BotSecret<'_>, sealed: Option<&domain::Sealed>) -> String {
    let context = SecretContext::Bot { account: api.account, bot: stored(api).await.id, name };
    api.environment.store.keyring().open(context, sealed.unwrap()).await.unwrap()
}

async fn start() -> Api {
    let api = Api::start().await;
    assert_eq!(api.new_bot("Tidy").await.abilities, AbilitiesView::default());
    api
}

#[tokio::test]
async fn tools_are_chosen_list_by_list() {
    let api = start().await;
    let tools = json!({ "profile": "coding", "deny": [" web_* ", "web_*"], "ask": ["write", "group:web"] });
    let first = after(&api, json!({ "tools": tools })).await.tools;
    assert_eq!((first.deny.as_slice(), first.ask.len()), (&["web_*".to_owned()][..], 2));
    let second = after(&api, json!({ "tools": { "ask": [], "also_allow": ["image"] } })).await.tools;
    assert_eq!((second.profile, second.deny), (first.profile, first.deny));
    assert_eq!((second.ask.len(), second.also_allow.len()), (0, 1));
    assert_eq!(after(&api, json!({ "skills": ["weather"] })).await.skills.unwrap(), ["weather"]);
    assert_eq!(after(&api, json!({ "skills": [] })).await.skills.unwrap().len(), 0);
    assert_eq!(after(&api, json!({ "tools": null, "skills": null })).await, AbilitiesView::default());
}

#[tokio::test]
async fn a_servers_token_stays_with_its_server() {
    let api = start().await;
    let server = json!({ "url": "https://mcp.example/mcp/", "token": "sk-mcp", "repeatable": ["find"] });
    let made = after(&api, json!({ "mcp": { "github": server } })).await;
    let github = &made.mcp["github"];
    assert_eq!((github.url.as_str(), github.has_token), ("https://mcp.example/mcp", true));
    let bot = stored(&api).await;
    assert_eq!(opened(&api, BotSecret::Mcp("github"), bot.abilities.mcp["github"].token.as_ref()).await, "sk-mcp");

    let other = json!({ "github": { "url": "https://evil.example/mcp" } });
    let detail = changed(&api, json!({ "mcp": other })).await.problem(422);
    assert!(detail.contains("give abilities.mcp.github.token again"), "{detail}");
    // Nor can a server of another name have it, for what it is for is sealed in.
    let two = after(&api, json!({ "mcp": { "other": { "url": "https://evil.example/mcp" } } })).await;
    assert!(two.mcp["github"].has_token && !two.mcp["other"].has_token);
    let moved =
        json!({ "github": { "url": "https://evil.example/mcp", "token": null, "repeatable": [] }, "other": null });
    let moved = after(&api, json!({ "mcp": moved })).await;
    assert_eq!((moved.mcp.len(), moved.mcp["github"].has_token), (1, false));
    // Removed and added again, it has no token.
    after(&api, json!({ "mcp": { "github": { "token": "sk-2" } } })).await;
    assert_eq!(after(&api, json!({ "mcp": null })).await, AbilitiesView::default());
    let again = after(&api, json!({ "mcp": { "github": { "url": "https://mcp.example/mcp" } } })).await;
    assert!(!again.mcp["github"].has_token);
}

#[tokio::test]
async fn a_services_key_stays_with_its_service() {
    let api = start().await;
    let made = after(&api, json!({ "search": { "provider": "brave", "api_key": "sk-brave" } })).await.search.unwrap();
    assert_eq!((made.provider, made.has_api_key), (SearchProvider::Brave, true));
    let bot = stored(&api).await;
    let key = bot.abilities.search.as_ref().and_then(|search| search.api_key.as_ref());
    assert_eq!(opened(&api, BotSecret::Search, key).await, "sk-brave");
    for other in [json!({ "provider": "tavily" }), json!({ "base_url": "https://evil.example" })] {
        let detail = changed(&api, json!({ "search": other })).await.problem(422);
        assert!(detail.contains("give abilities.search.api_key again"), "{detail}");
    }
    let own = json!({ "provider": "searxng", "base_url": "https://own.example", "api_key": null });
    assert!(!after(&api, json!({ "search": own })).await.search.unwrap().has_api_key);
    // One provider's address is not another's.
    assert_eq!(after(&api, json!({ "search": { "provider": "brave" } })).await.search.unwrap().base_url, None);
    assert_eq!(after(&api, json!({ "search": null })).await.search, None);

    let service = json!({ "base_url": "https://a.example/v1", "model": "whisper-1", "api_key": "sk-ears" });
    assert!(after(&api, json!({ "transcription": service })).await.transcription.unwrap().has_api_key);
    let bot = stored(&api).await;
    let key = bot.abilities.transcription.as_ref().and_then(|service| service.api_key.as_ref());
    assert_eq!(opened(&api, BotSecret::Transcription, key).await, "sk-ears");
    let other = after(&api, json!({ "transcription": { "model": "whisper-2" } })).await.transcription.unwrap();
    assert_eq!((other.model.as_str(), other.has_api_key), ("whisper-2", true));
    let evil = json!({ "transcription": { "base_url": "https://evil.example/v1" } });
    assert!(changed(&api, evil).await.problem(422).contains("transcription.api_key again"));
    assert_eq!(after(&api, json!({ "transcription": null })).await.transcription, None);
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_advice() {
    let api = start().await;
    let server = |url: &str| json!({ "mcp": { "a": { "url": url } } });
    let many: serde_json::Map<String, Value> =
        (0..17).map(|n| (format!("s{n}"), json!({ "url": "https://a.example" }))).collect();
    for (abilities, status, told) in [
        (json!({ "tools": { "deny": ["web*fetch"] } }), 400, "abilities.tools.deny: `web*fetch`"),
        (json!({ "tools": { "ask": ["exec"] } }), 400, "abilities.tools.ask: there is no tool `exec`"),
        (json!({ "tools": { "allow": ["group:shell"] } }), 400, "abilities.tools.allow: there is no group `shell`"),
        (json!({ "tools": { "profile": "all" } }), 400, "messaging"),
        (json!({ "tools": { "alow": [] } }), 400, "unknown field"),
        (json!({ "skills": ["../x"] }), 400, "as its SKILL.md does"),
        (json!({ "mcp": { "Git Hub": { "url": "https://a.example" } } }), 400, "lower case letters"),
        (json!({ "mcp": { "a": {} } }), 422, "a new server needs its address"),
        (json!({ "mcp": { "a": null } }), 422, "no server `a` to remove"),
        (json!({ "mcp": many }), 422, "16 servers at most"),
        (server("http://a.example/mcp"), 400, "https://host/mcp. Only `lowtide dev` takes http"),
        (server("https://me:pw@a.example"), 400, "must not hold credentials"),
        (server("nonsense"), 400, "https://host/mcp"),
        (json!({ "search": {} }), 422, "brave, tavily or searxng"),
        (json!({ "search": { "provider": "searxng" } }), 422, "give yours"),
        (json!({ "search": { "provider": "brave", "api_key": "a b" } }), 400, "search.api_key: a key has visible"),
        (json!({ "transcription": { "model": "x" } }), 422, "give base_url and model"),
        (json!({ "transcription": { "base_url": "https://a.example", "model": "a b" } }), 400, "without spaces"),
    ] {
        let detail = changed(&api, abilities).await.problem(status);
        assert!(detail.contains(told) && !detail.contains("pw@"), "{told}: {detail}");
    }
    let bot: BotView = api.get("/v1/bots/Tidy").await.read(200);
    assert_eq!((bot.abilities, bot.version), (AbilitiesView::default(), 1));
}

#[tokio::test]
async fn a_bot_may_be_made_with_abilities() {
    let api = Api::start().await;
    let abilities = json!({ "tools": { "profile": "minimal" }, "search": { "provider": "tavily", "api_key": "sk-t" } });
    let answer = api.post("/v1/bots", json!({ "name": "Tidy", "abilities": abilities })).await;
    assert!(!answer.body.contains("sk-t"));
    assert!(answer.read::<BotView>(201).abilities.search.unwrap().has_api_key);
}
