//! A bot's settings: how messages wait, when sessions begin anew, what may be spent.

use api::views::BotView;
use domain::budget::Period;
use domain::queueing::DropPolicy;
use domain::reset::ResetMode;
use domain::{Budget, Price, QueueMode, QueueSettings, ResetSettings, StreamMode};
use serde_json::{Value, json};

use crate::harness::Api;

const BOT: &str = "/v1/bots/Tidy";

async fn changed(api: &Api, body: Value) -> BotView {
    api.patch(BOT, body).await.read(200)
}

async fn refused(api: &Api, body: Value) -> String {
    api.patch(BOT, body).await.problem(400)
}

#[tokio::test]
async fn a_queues_settings_change_one_by_one() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    assert_eq!(bot.queue, QueueSettings::default());
    let mode = changed(&api, json!({ "queue": { "mode": "collect" } })).await;
    assert_eq!(mode.queue, QueueSettings { mode: QueueMode::Collect, ..QueueSettings::default() });
    let rest = changed(&api, json!({ "queue": { "debounce_ms": 60_000, "cap": 1, "drop": "old" } })).await;
    let all = QueueSettings { mode: QueueMode::Collect, debounce_ms: 60_000, cap: 1, drop: DropPolicy::Old };
    assert_eq!(rest.queue, all);
    assert_eq!(changed(&api, json!({ "queue": {} })).await.queue, all);

    let most = |detail: &str| detail.starts_with("queue: ") && detail.contains("60 s") && detail.contains("1 to 1000");
    for bad in [json!({ "cap": 0 }), json!({ "cap": 1001 }), json!({ "debounce_ms": 60_001 })] {
        let detail = refused(&api, json!({ "queue": bad })).await;
        assert!(most(&detail), "{detail}");
    }
    assert!(refused(&api, json!({ "queue": { "mode": "sideways" } })).await.contains("interrupt"));
    assert!(refused(&api, json!({ "queue": { "drop": "all" } })).await.contains("summarize"));
    assert!(refused(&api, json!({ "queue": { "size": 5 } })).await.contains("unknown field `size`"));
    assert!(refused(&api, json!({ "queue_mode": "steer" })).await.contains("unknown field `queue_mode`"));
    assert_eq!(api.get(BOT).await.read::<BotView>(200).queue, all);

    let made = json!({ "name": "Made", "queue": { "mode": "interrupt", "cap": 7 } });
    let made: BotView = api.post("/v1/bots", made).await.read(201);
    assert_eq!((made.queue.mode, made.queue.cap), (QueueMode::Interrupt, 7));
}

#[tokio::test]
async fn resets_are_replaced_as_a_whole() {
    let api = Api::start().await;
    assert_eq!(api.new_bot("Tidy").await.resets, ResetSettings::default());
    let by_type = json!({ "group": { "mode": "idle", "idle_minutes": 10 } });
    let daily = json!({ "reset": { "mode": "daily", "at_hour": 23 }, "reset_by_type": by_type });
    let set = changed(&api, json!({ "resets": daily })).await.resets;
    assert_eq!((set.reset.mode, set.reset.at_hour), (ResetMode::Daily, Some(23)));
    assert_eq!(set.reset_by_type.group.unwrap().idle_minutes, Some(10));
    for bad in [
        json!({ "reset": { "mode": "daily", "at_hour": 24 } }),
        json!({ "reset": { "mode": "idle", "idle_minutes": 0 } }),
        json!({ "reset_by_type": { "thread": { "mode": "daily", "at_hour": 99 } } }),
    ] {
        let detail = refused(&api, json!({ "resets": bad })).await;
        assert!(detail.starts_with("resets: ") && detail.contains("0 to 23"), "{detail}");
    }
    assert!(refused(&api, json!({ "resets": { "reset": { "mode": "weekly" } } })).await.contains("daily"));
    assert_eq!(api.get(BOT).await.read::<BotView>(200).resets, set);
    assert_eq!(changed(&api, json!({ "resets": {} })).await.resets, ResetSettings::default());
}

#[tokio::test]
async fn what_is_shown_of_an_unfinished_answer_is_chosen() {
    let api = Api::start().await;
    assert_eq!(api.new_bot("Tidy").await.streaming, StreamMode::Partial);
    assert_eq!(changed(&api, json!({ "streaming": "off" })).await.streaming, StreamMode::Off);
    assert_eq!(changed(&api, json!({ "time_zone": "Asia/Tokyo" })).await.streaming, StreamMode::Off);
    assert!(refused(&api, json!({ "streaming": "blocks" })).await.contains("partial"));
}

#[tokio::test]
async fn a_bots_budgets_come_and_go() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    assert_eq!((bot.budget, bot.turn_budget), (None, None));
    let budget = Budget { period: Period::Day, micros: Some(5_000_000), turns: Some(100) };
    let set = changed(&api, json!({ "budget": budget, "turn_budget": 250_000 })).await;
    assert_eq!((set.budget, set.turn_budget), (Some(budget), Some(250_000)));
    let renamed = changed(&api, json!({ "time_zone": "Europe/Berlin" })).await;
    assert_eq!((renamed.budget, renamed.turn_budget), (Some(budget), Some(250_000)));
    let one = changed(&api, json!({ "budget": { "turns": 3 } })).await;
    assert_eq!(one.budget, Some(Budget { turns: Some(3), ..Budget::default() }));
    assert_eq!(changed(&api, json!({ "turn_budget": null })).await.turn_budget, None);
    for none in [Value::Null, json!({}), json!({ "period": "day" })] {
        changed(&api, json!({ "budget": { "turns": 3 } })).await;
        assert_eq!(changed(&api, json!({ "budget": none })).await.budget, None);
    }
    let detail = refused(&api, json!({ "turn_budget": 0 })).await;
    assert!(detail.contains("null for no limit"), "{detail}");
    refused(&api, json!({ "turn_budget": -5 })).await;
    refused(&api, json!({ "budget": 5 })).await;
    let made = json!({ "name": "Made", "budget": { "micros": 1 }, "turn_budget": 1 });
    let made: BotView = api.post("/v1/bots", made).await.read(201);
    assert_eq!((made.budget.unwrap().micros, made.turn_budget), (Some(1), Some(1)));
}

#[tokio::test]
async fn dollars_need_a_price() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    changed(&api, json!({ "model": { "model": "acme/one" } })).await;
    for (body, field) in
        [(json!({ "budget": { "micros": 5 } }), "budget.micros: "), (json!({ "turn_budget": 5 }), "turn_budget: ")]
    {
        let detail = refused(&api, body).await;
        assert!(detail.starts_with(field) && detail.contains("acme/one") && detail.contains("model.price"), "{detail}");
    }
    // Turns need none.
    changed(&api, json!({ "budget": { "turns": 5 } })).await;
    let price = json!({ "input": 1_250_000, "output": 10_000_000, "cached": 125_000 });
    let with_price = json!({ "budget": { "micros": 5 }, "turn_budget": 5, "model": { "price": price } });
    let priced = changed(&api, with_price).await;
    assert_eq!(
        priced.model.price,
        Some(Price { input: 1_250_000, output: 10_000_000, cached: Some(125_000), ..Price::default() })
    );
    // A price that is needed is not taken away, nor left behind with its model.
    refused(&api, json!({ "model": { "price": null } })).await;
    refused(&api, json!({ "model": { "model": "acme/two" } })).await;
    changed(&api, json!({ "name": "Tidy" })).await;
    let known = changed(&api, json!({ "model": { "model": "openai/gpt-5.1" } })).await;
    assert_eq!((known.model.price, known.turn_budget), (None, Some(5)));
    let made = json!({ "name": "Made", "model": { "model": "acme/one" }, "turn_budget": 1 });
    api.post("/v1/bots", made).await.problem(400);
}

#[tokio::test]
async fn a_price_and_a_window_belong_to_their_model() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    for part in [json!({ "price": { "input": 1, "output": 1 } }), json!({ "context_window": 8_000 })] {
        let detail = api.patch(BOT, json!({ "model": part })).await.problem(422);
        assert!(detail.contains("give model.model too"), "{detail}");
    }
    let model = json!({ "model": "acme/one", "price": { "input": 1, "output": 2 }, "context_window": 4_000 });
    let set = changed(&api, json!({ "model": model })).await.model;
    assert_eq!(
        (set.price, set.context_window),
        (Some(Price { input: 1, output: 2, cached: None, ..Price::default() }), Some(4_000))
    );
    let same = changed(&api, json!({ "model": { "model": "acme/one" } })).await.model;
    assert_eq!(same, set);
    for bad in [3_999, 100_000_001] {
        let detail = refused(&api, json!({ "model": { "context_window": bad } })).await;
        assert!(detail.starts_with("model.context_window: ") && detail.contains("4000"), "{detail}");
    }
    for (input, output, cached) in [(10_000_000_001_u64, 1, 1), (1, 10_000_000_001_u64, 1), (1, 1, u64::MAX)] {
        let price = json!({ "input": input, "output": output, "cached": cached });
        let detail = refused(&api, json!({ "model": { "price": price } })).await;
        assert!(detail.starts_with("model.price: ") && detail.contains("1250000"), "{detail}");
    }
    assert!(refused(&api, json!({ "model": { "price": { "input": 1 } } })).await.contains("missing field `output`"));
    let cleared = changed(&api, json!({ "model": { "price": null, "context_window": null } })).await.model;
    assert_eq!((cleared.price, cleared.context_window), (None, None));

    changed(&api, json!({ "model": { "price": { "input": 1, "output": 2 }, "context_window": 9_000 } })).await;
    let other = changed(&api, json!({ "model": { "model": "acme/two" } })).await.model;
    assert_eq!((other.price, other.context_window), (None, None));
}
