//! Deleted bots: kept as long as they can be restored, and then removed with all that they had.

use std::time::Duration;

use domain::BotId;
use serde_json::json;

use crate::api_world::ApiWorld;

const DAY: Duration = Duration::from_secs(24 * 3600);

impl ApiWorld {
    /// A bot that has one of what bots have, deleted.
    async fn deleted_bot(&self, name: &str) -> String {
        let bot =
            self.call("POST", "/v1/bots", Some(json!({ "name": name }))).await.1["id"].as_str().unwrap().to_owned();
        let job = json!({
            "name": "tide",
            "schedule": { "kind": "every", "everyMs": 3_600_000 },
            "payload": { "kind": "systemEvent", "text": "tide" },
        });
        for (path, body) in [("links", json!({ "channel": "webhook" })), ("schedules", job)] {
            let (status, answer) = self.call("POST", &format!("/v1/bots/{bot}/{path}"), Some(body)).await;
            assert_eq!(status, 201, "{answer}");
        }
        assert_eq!(self.call("DELETE", &format!("/v1/bots/{bot}"), None).await.0, 204);
        bot
    }

    /// What there is of a bot: rows, but for those of the audit log, and files.
    async fn left_of(&self, bot: &str) -> Vec<String> {
        let rows = self.cloud.rows().into_iter().filter(|(_, sk, _)| !sk.starts_with("audit#"));
        let rows = rows.map(|(pk, sk, item)| format!("{pk} {sk} {item}")).filter(|row| row.contains(bot));
        let id: BotId = bot.parse().unwrap();
        let files = self.environment.store.account(self.account).workspace_list(id).await.unwrap();
        rows.chain(files.into_iter().map(|file| file.name)).collect()
    }

    /// Lets time pass, and the minute's tick come.
    async fn tick_after(&self, time: Duration) {
        self.pass(time);
        cron::tick(&self.environment).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_bot_is_removed_when_its_time_is_over() {
    let world = ApiWorld::begin().await;
    let (gone, kept) = (world.deleted_bot("heron").await, world.deleted_bot("gull").await);
    world.tick_after(6 * DAY).await;
    assert!(world.left_of(&gone).await.len() > 8, "{:?}", world.left_of(&gone).await);
    assert_eq!(world.call("POST", "/v1/bots/gull/restore", None).await.0, 200);
    // Its time is over, and whoever still believes otherwise is told so.
    world.tick_after(DAY).await;
    let (status, answer) = world.call("POST", "/v1/bots/heron/restore", None).await;
    assert_eq!(status, 409, "{answer}");
    world.tick_after(Duration::from_secs(60)).await;
    assert_eq!(world.left_of(&gone).await, Vec::<String>::new());
    assert_eq!(world.call("GET", "/v1/bots/heron", None).await.0, 404);
    assert_eq!(world.call("POST", "/v1/bots", Some(json!({ "name": "heron" }))).await.0, 201, "its name is free");
    world.tick_after(30 * DAY).await;
    assert_eq!(world.call("GET", "/v1/bots/gull", None).await.1["id"], *kept);
}

/// Schedules of a bot at rest cost nothing and run nothing.
#[tokio::test(start_paused = true)]
async fn schedules_stand_still_while_their_bot_is_at_rest() {
    let world = ApiWorld::begin().await;
    let bot = world.deleted_bot("heron").await;
    world.cloud.clear_calls();
    world.tick_after(Duration::from_secs(9000)).await;
    let about_it: Vec<_> = world.cloud.calls().into_iter().filter(|call| call.key.contains(&bot)).collect();
    assert_eq!(about_it, [], "nothing is due of it");
    assert!(world.cloud.sent("jobs").is_empty());
    assert_eq!(world.call("POST", "/v1/bots/heron/restore", None).await.0, 200);
    world.tick_after(Duration::from_secs(1800)).await;
    assert_eq!(world.cloud.sent("jobs").len(), 1, "what it missed is not made up for");
}
