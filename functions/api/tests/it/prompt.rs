//! What a bot's model reads before a conversation.

use api::views::{BotSkill, Items, PromptView, SkillSource, SkillView};
use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::harness::Api;

async fn write(api: &Api, path: &str, text: &'static str) {
    let request = Request::put(format!("/v1/bots/Tidy/files/{path}"))
        .header("authorization", format!("Bearer {}", api.key))
        .header("content-type", "text/markdown");
    assert_eq!(api.raw(request.body(Body::from(text)).unwrap()).await.status, 204);
}

#[tokio::test]
async fn an_owner_reads_what_the_model_reads() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    write(&api, "SOUL.md", "Be as calm as low tide.").await;
    write(&api, "notes.md", "not for the prompt").await;
    let prompt: PromptView = api.get("/v1/bots/Tidy/prompt").await.read(200);
    assert!(prompt.system.contains("<file name=\"SOUL.md\">\nBe as calm as low tide.\n</file>"), "{}", prompt.system);
    assert!(prompt.system.contains("\n- travel-plan: ") && !prompt.system.contains("not for the prompt"));
    let names: Vec<&str> = prompt.parts.iter().map(|part| part.name.as_str()).collect();
    for name in ["core", "SOUL.md", "skills", "today", "tools", "conversation"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    assert_eq!(prompt.tokens, prompt.parts.iter().map(|part| part.tokens).sum::<usize>());
    let conversation = prompt.parts.last().unwrap();
    assert_eq!((conversation.tokens, conversation.is_system), (2, false), "hello");
    assert!(prompt.skills.iter().all(|skill| skill.left_out.is_none()));
}

#[tokio::test]
async fn skills_that_are_left_out_say_why() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    write(&api, "skills/broken/SKILL.md", "no front matter").await;
    write(&api, "skills/mine/SKILL.md", "---\nname: mine\ndescription: Mine alone\n---\nDo it.").await;
    api.patch("/v1/bots/Tidy", json!({ "abilities": { "skills": ["mine"] } })).await;
    let PromptView { system, skills, .. } = api.get("/v1/bots/Tidy/prompt").await.read(200);
    assert!(system.contains("\n- mine: Mine alone") && !system.contains("travel-plan"), "{system}");
    let find = |name: &str| skills.iter().find(|skill| skill.name == name).unwrap();
    assert_eq!(*find("mine"), SkillView { name: "mine".into(), description: "Mine alone".into(), left_out: None });
    assert!(find("travel-plan").left_out.as_ref().unwrap().contains("not among the skills"));
    assert!(!find("skills/broken/SKILL.md").left_out.as_ref().unwrap().is_empty());

    // Overridden, a built-in one is the bot's own.
    write(&api, "skills/travel-plan/SKILL.md", "---\nname: travel-plan\ndescription: By boat\n---\nRow.").await;
    let listed: Items<BotSkill> = api.get("/v1/bots/Tidy/skills").await.read(200);
    let find = |name: &str| listed.items.iter().find(|skill| skill.name == name).unwrap();
    assert_eq!((find("mine").source, &find("mine").left_out), (SkillSource::Workspace, &None));
    let travel = find("travel-plan");
    assert_eq!((travel.source, travel.description.as_str()), (SkillSource::Workspace, "By boat"));
    assert!(travel.left_out.is_some());
    let built_in = listed.items.iter().filter(|skill| skill.source == SkillSource::BuiltIn);
    assert!(built_in.count() + 3 == listed.items.len() && listed.items.len() > 4, "{listed:?}");
    api.call_as(&api.other_key().await, "GET", "/v1/bots/Tidy/skills", None).await.problem(404);
}

#[tokio::test]
async fn prompts_are_their_accounts_own() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let other = api.other_key().await;
    api.call_as(&other, "GET", "/v1/bots/Tidy/prompt", None).await.problem(404);
    api.post("/v1/bots/Tidy/prompt", json!({})).await.problem(405);
}
