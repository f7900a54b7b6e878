//! The account: its budget, what was spent, and what its owner is told.

use std::time::Duration;

use api::views::{AccountView, BotView, Items, NoticeView, UsageView};
use domain::budget::Period;
use domain::turn::Head;
use domain::{Budget, BudgetScope, SessionKey};
use serde_json::{Value, json};
use store::{Allowance, Commit, Notice, Spending};

use crate::harness::Api;

const ACCOUNT: &str = "/v1/account";

#[tokio::test]
async fn an_account_gets_a_budget_and_loses_it() {
    let api = Api::start().await;
    assert_eq!(api.get(ACCOUNT).await.read::<AccountView>(200).budget, None);
    let monthly: AccountView = api.patch(ACCOUNT, json!({ "budget": { "micros": 20_000_000 } })).await.read(200);
    let budget = Budget { period: Period::Month, micros: Some(20_000_000), turns: None };
    assert_eq!((monthly.name.as_str(), monthly.budget), ("Ada", Some(budget)));
    assert_eq!(api.get(ACCOUNT).await.read::<AccountView>(200), monthly);
    // What is left out stays; what is given replaces all of it.
    assert_eq!(api.patch(ACCOUNT, json!({})).await.read::<AccountView>(200), monthly);
    let daily: AccountView = api.patch(ACCOUNT, json!({ "budget": { "period": "day", "turns": 0 } })).await.read(200);
    assert_eq!(daily.budget, Some(Budget { period: Period::Day, micros: None, turns: Some(0) }));
    for none in [json!({ "period": "day" }), json!({}), Value::Null] {
        let set: AccountView = api.patch(ACCOUNT, json!({ "budget": { "turns": 5 } })).await.read(200);
        assert!(set.budget.is_some());
        let removed = api.patch(ACCOUNT, json!({ "budget": none })).await;
        assert_eq!(removed.read::<AccountView>(200).budget, None);
        assert!(removed.body.contains("\"budget\":null"), "{}", removed.body);
    }
}

#[tokio::test]
async fn what_is_no_budget_is_refused() {
    let api = Api::start().await;
    let refused = async |body: Value| api.patch(ACCOUNT, body).await.problem(400);
    assert!(refused(json!({ "budget": { "period": "week" } })).await.contains("`day` or `month`"));
    refused(json!({ "budget": { "micros": -1 } })).await;
    refused(json!({ "budget": { "micros": 1.5 } })).await;
    assert!(refused(json!({ "budget": { "dollars": 5 } })).await.contains("unknown field `dollars`"));
    assert!(refused(json!({ "nickname": "Eve" })).await.contains("unknown field `nickname`"));
    assert_eq!(api.get(ACCOUNT).await.read::<AccountView>(200).budget, None);
}

#[tokio::test]
async fn an_accounts_dollars_need_the_prices_of_all_its_bots() {
    let api = Api::start().await;
    let model = json!({ "model": "ollama/llama3.2", "base_url": "https://models.example/v1" });
    let _: BotView = api.post("/v1/bots", json!({ "name": "Own", "model": model })).await.read(201);
    let dollars = json!({ "budget": { "micros": 1_000_000 } });
    let detail = api.patch(ACCOUNT, dollars.clone()).await.problem(400);
    assert!(
        detail.contains("ollama/llama3.2") && detail.contains("`Own`") && detail.contains("model.price"),
        "{detail}"
    );
    let _: AccountView = api.patch(ACCOUNT, json!({ "budget": { "turns": 100 } })).await.read(200);

    let free = json!({ "model": { "price": { "input": 0, "output": 0 } } });
    let _: BotView = api.patch("/v1/bots/Own", free).await.read(200);
    let _: AccountView = api.patch(ACCOUNT, dollars).await.read(200);
    // Then none of its bots may go without.
    let detail = api.patch("/v1/bots/Own", json!({ "model": { "price": null } })).await.problem(400);
    assert!(detail.contains("the account has a budget in dollars") && detail.contains("model.price"), "{detail}");
    let model = json!({ "model": "acme/one" });
    api.post("/v1/bots", json!({ "name": "Other", "model": model })).await.problem(400);
    assert_eq!(api.get("/v1/bots/Own").await.read::<BotView>(200).model.price, Some(Default::default()));
}

/// Spends as a turn of the bot does under these budgets.
async fn spend(api: &Api, bot: &BotView, micros: u64, budgets: &[(BudgetScope, Budget)]) {
    let now = api.environment.clock.now();
    let allowances = budgets.iter().filter_map(|(scope, budget)| Allowance::of(*scope, budget, now)).collect();
    let spending = Spending::Reserve { micros, begins_turn: true, allowances };
    let seen = Head::default();
    let head = Head { epoch: 1, updated_at: now, ..Head::default() };
    let commit =
        Commit { seen: &seen, head: &head, entries: &[], marks: &[], outbox: &[], spending: &spending, place: None };
    let session: SessionKey = format!("agent:main:direct:{micros}").parse().unwrap();
    api.environment.store.account(api.account).session_commit(bot.id, &session, &commit).await.unwrap();
}

async fn usage(api: &Api) -> Vec<UsageView> {
    api.get("/v1/usage").await.read::<Items<UsageView>>(200).items
}

#[tokio::test]
async fn usage_is_told_by_account_and_bot() {
    let api = Api::start().await;
    let [tidy, scout] = [api.new_bot("Tidy").await, api.new_bot("Scout").await];
    let empty = usage(&api).await;
    assert_eq!(empty.len(), 3);
    assert!(empty.iter().all(|line| (line.micros, line.turns, line.budget) == (0, 0, None)), "{empty:?}");

    let daily = Budget { period: Period::Day, micros: Some(5_000_000), turns: None };
    let _: BotView = api.patch("/v1/bots/Tidy", json!({ "budget": daily })).await.read(200);
    let monthly = Budget { micros: Some(20_000_000), ..Budget::default() };
    let _: AccountView = api.patch(ACCOUNT, json!({ "budget": monthly })).await.read(200);
    spend(&api, &tidy, 1_500_000, &[(BudgetScope::Bot, daily), (BudgetScope::Account, monthly)]).await;
    spend(&api, &scout, 40, &[(BudgetScope::Account, monthly)]).await;

    let now = api.environment.clock.now();
    let lines = usage(&api).await;
    let of = |name: &str| lines.iter().find(|line| line.name == name).unwrap();
    assert_eq!((lines[0].scope, lines[0].bot, lines[0].name.as_str()), (BudgetScope::Account, None, "Ada"));
    assert_eq!((lines[0].micros, lines[0].turns, lines[0].budget), (1_500_040, 2, Some(monthly)));
    assert_eq!(lines[0].period, Period::Month.containing(now));
    assert_eq!((of("Tidy").scope, of("Tidy").bot), (BudgetScope::Bot, Some(tidy.id)));
    assert_eq!((of("Tidy").micros, of("Tidy").turns, of("Tidy").budget), (1_500_000, 1, Some(daily)));
    assert_eq!(of("Tidy").period, Period::Day.containing(now));
    assert_eq!((of("Scout").micros, of("Scout").period.clone()), (0, Period::Month.containing(now)));

    let stranger = api.other_key().await;
    let theirs: Items<UsageView> = api.call_as(&stranger, "GET", "/v1/usage", None).await.read(200);
    assert_eq!((theirs.items.len(), theirs.items[0].micros), (1, 0));
}

#[tokio::test]
async fn notices_are_listed_and_removed() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    let list = async || api.get("/v1/notices").await.read::<Items<NoticeView>>(200).items;
    assert_eq!(list().await, []);
    let now = api.environment.clock.now();
    let state = api.environment.store.account(api.account);
    for (about, at) in [("budget.older 2026/11", now), ("budget.newer", now + Duration::from_secs(1))] {
        let notice = Notice { about: about.to_owned(), bot: Some(bot.id), text: "Used up.".to_owned(), at };
        assert!(state.notice_put(&notice).await.unwrap());
    }
    let notices = list().await;
    let shown: Vec<_> =
        notices.iter().map(|notice| (notice.about.as_str(), notice.bot, notice.text.as_str())).collect();
    let expected = ["budget.newer", "budget.older 2026/11"].map(|about| (about, Some(bot.id), "Used up."));
    assert_eq!(shown, expected);

    let older = "/v1/notices/budget.older%202026%2F11";
    let stranger = api.other_key().await;
    api.call_as(&stranger, "DELETE", older, None).await.problem(404);
    assert_eq!(api.delete(older).await.status, 204);
    assert!(api.delete(older).await.problem(404).contains("GET /v1/notices lists yours"));
    api.delete(&format!("/v1/notices/{}", "x".repeat(3000))).await.problem(404);
    assert_eq!(list().await.len(), 1);
    assert!(api.get("/v1/notices/budget.newer").await.problem(405).contains("does not take GET"));
}
