//! Bots that are archived, deleted and restored.

use std::time::Duration;

use api::views::{BotLine, BotView, Items, LinkView, ScheduleView};
use domain::{BotStatus, LinkStatus};
use serde_json::json;

use crate::harness::{Answer, Api};

async fn post(api: &Api, path: &str) -> Answer {
    api.call_as(&api.key, "POST", path, None).await
}

/// A bot with a schedule and two links, of which its owner paused the second.
async fn busy_bot(api: &Api) -> (BotView, [LinkView; 2]) {
    let bot = api.new_bot("Heron").await;
    let link =
        async || -> LinkView { api.post("/v1/bots/Heron/links", json!({ "channel": "webhook" })).await.read(201) };
    let links = [link().await, link().await];
    post(api, &format!("/v1/bots/Heron/links/{}/pause", links[1].id)).await.read::<LinkView>(200);
    let job = json!({
        "name": "tide",
        "schedule": { "kind": "every", "everyMs": 3_600_000 },
        "payload": { "kind": "agentTurn", "message": "the tide" },
    });
    let _: ScheduleView = api.post("/v1/bots/Heron/schedules", job).await.read(201);
    (bot, links)
}

async fn states(api: &Api) -> Vec<LinkStatus> {
    let links: Items<LinkView> = api.get("/v1/bots/Heron/links").await.read(200);
    links.items.into_iter().map(|link| link.status).collect()
}

/// How many schedules are due within a day.
async fn due(api: &Api) -> usize {
    let until = api.environment.clock.now() + Duration::from_secs(24 * 3600);
    let mut found = 0;
    for shard in 0..store::keys::JOB_SHARDS {
        found += api.environment.store.jobs_due(shard, until, 10, None).await.unwrap().jobs.len();
    }
    found
}

#[tokio::test]
async fn an_archived_bot_does_nothing_until_it_is_restored() {
    let api = Api::start().await;
    let (_, links) = busy_bot(&api).await;
    assert_eq!(due(&api).await, 1);
    let archived: BotView = post(&api, "/v1/bots/Heron/archive").await.read(200);
    assert_eq!((archived.status, archived.delete_at), (BotStatus::Archived, None));
    assert_eq!(states(&api).await, [LinkStatus::Paused, LinkStatus::Paused]);
    assert_eq!(due(&api).await, 0);
    assert!(api.post("/v1/bots/Heron/chat", json!({ "text": "hello" })).await.problem(409).contains("/restore"));
    let resume_link = format!("/v1/bots/Heron/links/{}/resume", links[0].id);
    for path in ["/v1/bots/Heron/resume", "/v1/bots/Heron/pause", &resume_link] {
        assert!(post(&api, path).await.problem(409).contains("/restore"), "{path}");
    }
    let again: BotView = post(&api, "/v1/bots/Heron/archive").await.read(200);
    assert_eq!(again, archived, "once more changes nothing");

    let restored: BotView = post(&api, "/v1/bots/Heron/restore").await.read(200);
    assert_eq!(restored.status, BotStatus::Active);
    assert_eq!(states(&api).await, [LinkStatus::Active, LinkStatus::Paused], "what its owner paused stays so");
    assert_eq!(due(&api).await, 1);
    let again: BotView = post(&api, "/v1/bots/Heron/restore").await.read(200);
    assert_eq!(again, restored);
    assert_eq!(api.post("/v1/bots/Heron/chat", json!({ "text": "hello" })).await.status, 202);
}

#[tokio::test]
async fn a_deleted_bot_can_be_restored_to_what_it_was() {
    let api = Api::start().await;
    let (bot, _) = busy_bot(&api).await;
    let path = format!("/v1/bots/{}", bot.id);
    post(&api, "/v1/bots/Heron/pause").await.read::<BotView>(200);
    post(&api, "/v1/bots/Heron/archive").await.read::<BotView>(200);
    let before = api.environment.clock.now();
    assert_eq!(api.delete(&path).await.status, 204);
    let deleted: BotView = api.get(&path).await.read(200);
    let days = deleted.delete_at.unwrap().since(before).as_secs() / (24 * 3600);
    assert_eq!((deleted.status, days), (BotStatus::Deleted, 7));
    assert_eq!(api.delete(&path).await.status, 204);
    assert_eq!(api.get(&path).await.read::<BotView>(200).delete_at, deleted.delete_at, "its time does not begin anew");
    let lines: Items<BotLine> = api.get("/v1/bots").await.read(200);
    assert_eq!(lines.items[0].bot.status, BotStatus::Deleted);
    assert!(api.post("/v1/bots", json!({ "name": "heron" })).await.problem(409).contains("another name"));
    assert!(post(&api, &format!("{path}/archive")).await.problem(409).contains("/restore"));

    let restored: BotView = post(&api, &format!("{path}/restore")).await.read(200);
    assert_eq!((restored.status, restored.delete_at), (BotStatus::Paused, None), "as before it was archived");
    assert_eq!(states(&api).await, [LinkStatus::Active, LinkStatus::Paused]);
    assert_eq!(api.delete(&format!("{path}?now=true")).await.status, 204);
    api.get(&path).await.problem(404);
    assert_eq!(api.new_bot("Heron").await.name, "Heron");
}
