//! What models were used for is counted with the commits that used them, whether the bot has a budget or not.

use api::views::{BotView, UsageBy, UsageReport, UsageSplit};
use domain::turn::Head;
use domain::{Answer, EntryBody, Inbound, Task, ToolCall, Usage};
use queues::Queue;
use serde_json::json;

use crate::chat::{commit, user};
use crate::harness::Api;

const REPORT: &str = "/v1/usage/report";

fn answer(model: &str, input: u64, cost: u64, calls: usize) -> EntryBody {
    let call = ToolCall { id: "c".into(), name: "clock".into(), arguments: "{}".into() };
    let usage = Usage { input, output: 2, cached: 1, ..Usage::default() };
    let tool_calls = vec![call; calls];
    EntryBody::Assistant(Answer { model: model.into(), usage, cost, tool_calls, ..Answer::default() })
}

/// Says something to a bot and returns it as it was queued.
pub(crate) async fn said(api: &Api, bot: &BotView, conversation: &str) -> Inbound {
    let body = json!({ "text": "hello", "conversation": conversation });
    api.post(&format!("/v1/bots/{}/chat", bot.id), body).await.read::<serde_json::Value>(202);
    match api.take_tasks(Queue::Turns).await.pop() {
        Some(Task::Message(inbound)) => *inbound,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn use_is_told_by_day_bot_channel_and_model() {
    let api = Api::start().await;
    let (tidy, heron) = (api.new_bot("Tidy").await, api.new_bot("Heron").await);
    let empty: UsageReport = api.get(REPORT).await.read(200);
    assert_eq!((empty.by, empty.items.len(), empty.total.calls), (UsageBy::Day, 14, 0));

    let first = said(&api, &tidy, "main").await;
    let asks = vec![EntryBody::User(user(&first)), answer("a/x", 10, 100, 1)];
    let head = commit(&api, &first, &Head::default(), asks).await;
    commit(&api, &first, &head, vec![answer("a/x", 20, 200, 0)]).await;
    for (bot, conversation, model) in [(&tidy, "work", "b|y"), (&heron, "main", "a/x")] {
        let inbound = said(&api, bot, conversation).await;
        commit(&api, &inbound, &Head::default(), vec![EntryBody::User(user(&inbound)), answer(model, 5, 7, 0)]).await;
    }

    let by_day: UsageReport = api.get(REPORT).await.read(200);
    let total = &by_day.total;
    assert_eq!((total.turns, total.calls, total.cost), (3, 4, 314));
    assert_eq!((total.usage.input, total.usage.output, total.usage.cached), (40, 8, 4));
    assert_eq!(by_day.items.iter().map(|line| line.calls).sum::<u64>(), 4);
    let lines = async |query: &str| {
        let report: UsageReport = api.get(&format!("{REPORT}?{query}")).await.read(200);
        assert_eq!(report.items.iter().map(|line| line.cost).sum::<u64>(), report.total.cost);
        report.items.into_iter().map(|line| (line.name, line.turns, line.calls, line.cost)).collect::<Vec<_>>()
    };
    assert_eq!(lines("by=model").await, [("a/x".into(), 2, 3, 307), ("b|y".into(), 1, 1, 7)]);
    assert_eq!(lines("by=bot").await, [("Tidy".into(), 2, 3, 307), ("Heron".into(), 1, 1, 7)]);
    assert_eq!(lines("by=channel").await, [("webchat".into(), 3, 4, 314)]);
    assert_eq!(lines("by=model&bot=heron").await, [("a/x".into(), 1, 1, 7)]);
    assert_eq!(lines("by=model&from=2026-01-01&to=2026-01-31").await, []);
    let split: UsageReport = api.get(&format!("{REPORT}?split=model")).await.read(200);
    assert_eq!((split.split, &split.total), (Some(UsageSplit::Model), total));
    let parts = |report: &UsageReport| {
        let parts = report.items.iter().flat_map(|day| &day.parts);
        parts.map(|part| (part.name.clone(), part.calls, part.cost)).collect::<Vec<_>>()
    };
    assert_eq!(parts(&split), [("a/x".into(), 3, 307), ("b|y".into(), 1, 7)]);
    assert!(split.items.iter().all(|day| day.parts.iter().map(|part| part.cost).sum::<u64>() == day.cost));
    let by_bot: UsageReport = api.get(&format!("{REPORT}?by=day&split=bot")).await.read(200);
    assert_eq!(parts(&by_bot), [("Tidy".into(), 3, 307), ("Heron".into(), 1, 7)]);
    assert_eq!(parts(&by_day), []);
    assert!(api.get(&format!("{REPORT}?by=model&split=channel")).await.problem(400).contains("by=day"));
    for query in
        ["split=day", "by=hour", "from=today", "from=2026-01-01&to=2026-12-31", "from=2026-02-02&to=2026-02-01"]
    {
        api.get(&format!("{REPORT}?{query}")).await.problem(400);
    }
    api.get(&format!("{REPORT}?bot=gull")).await.problem(404);
    let stranger: UsageReport = api.call_as(&api.other_key().await, "GET", REPORT, None).await.read(200);
    assert_eq!(stranger.total.calls, 0);
}
