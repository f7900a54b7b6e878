//! The other commands: tables, JSON, secrets.

use serde_json::{Value, json};

use crate::fake_api::FakeApi;

#[tokio::test]
async fn lists_are_tables_or_json() {
    let api = FakeApi::start(&["tidy", "scout"]).await;
    let run = api.run(&["bots", "list"]).await;
    let expected = "NAME   STATUS  MODEL          CHANNELS                  SPENT  LAST MESSAGE  ID\n\
                    tidy   active  built-in demo  telegram, slack (failed)  $0.42                bot_00000000000000000000000001\n\
                    scout  active  built-in demo                                                 bot_00000000000000000000000002\n";
    assert_eq!((run.code, run.stdout.as_str()), (0, expected));
    let json = api.run(&["bots", "list", "--json"]).await;
    let parsed: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(parsed["items"][1]["name"], "scout");
    let letters = api.run(&["dlq", "list"]).await;
    assert!(letters.stdout.contains("dead_00000000000000000000000001  turns  open"), "{letters:?}");
}

#[tokio::test]
async fn a_models_key_comes_from_a_variable_and_is_never_printed() {
    let api = FakeApi::start(&["tidy"]).await;
    api.write_client_json("tidy");
    let args = ["bots", "model", "tidy", "openai/gpt-5.1", "--api-key-env", "MY_KEY"];
    let run = api.run_with(&args, &[("MY_KEY", "sk-secret\n")], "").await;
    assert_eq!(run.code, 0, "{run:?}");
    let sent = api.bodies("PATCH /v1/bots/bot_00000000000000000000000001");
    assert_eq!(sent, [json!({ "model": { "model": "openai/gpt-5.1", "api_key": "sk-secret" } })]);
    assert!(!run.stdout.contains("sk-secret") && !run.stderr.contains("sk-secret"));
    let unset = api.run_with(&args, &[], "").await;
    assert_eq!((unset.code, unset.stderr.contains("MY_KEY is not set")), (2, true), "{unset:?}");
    let demo = api.run(&["bots", "model", "tidy", "demo"]).await;
    assert_eq!(demo.code, 0);
    let sent = api.bodies("PATCH /v1/bots/bot_00000000000000000000000001");
    assert_eq!(sent[1], json!({ "model": { "model": null, "base_url": null, "api_key": null } }));
}

#[tokio::test]
async fn a_link_says_what_to_do_next() {
    let api = FakeApi::start(&["tidy"]).await;
    api.write_client_json("tidy");
    let args = ["links", "add", "telegram", "tidy", "--token-file", "-", "--allow", "@ada", "--group", "-100123"];
    let run = api.run_with(&args, &[], "1:abc\n").await;
    let expected = "tidy is on Telegram as @tidy_bot (link_00000000000000000000000001).\n\
                    The webhook is not registered yet.\nTelegram can't reach this machine.\n\
                    path    /hooks/telegram/x\nsecret  s3\n\
                    Strangers who write to it get a code. Let one in with: \
                    lowtide links approve tidy link_00000000000000000000000001 CODE\n";
    assert_eq!((run.code, run.stdout.as_str()), (0, expected), "{run:?}");
    let sent = api.bodies("POST /v1/bots/bot_00000000000000000000000001/links");
    let groups = json!({ "-100123": { "require_mention": true } });
    let access =
        json!({ "dm_policy": "pairing", "allow_from": ["@ada"], "group_policy": "allowlist", "groups": groups });
    assert_eq!(sent, [json!({ "channel": "telegram", "token": "1:abc", "access": access })]);
    let no_token = api.run(&["links", "add", "telegram", "tidy"]).await;
    assert_eq!((no_token.code, no_token.stderr.contains("--token-env")), (2, true), "{no_token:?}");
}

#[tokio::test]
async fn files_go_out_and_in_unchanged() {
    let api = FakeApi::start(&["tidy"]).await;
    api.write_client_json("tidy");
    let got = api.run(&["files", "tidy", "get", "SOUL.md"]).await;
    assert_eq!((got.code, got.stdout.as_str()), (0, "# Soul\n"));
    let put = api.run_with(&["files", "tidy", "put", "SOUL.md", "-"], &[], "# New\n").await;
    assert_eq!(put.code, 0, "{put:?}");
    assert_eq!(api.bodies("PUT /v1/bots/bot_00000000000000000000000001/files/SOUL.md"), [json!("# New\n")]);
}

#[tokio::test]
async fn deleting_needs_a_yes() {
    let api = FakeApi::start(&["tidy"]).await;
    let request = "DELETE /v1/bots/bot_00000000000000000000000001";
    let asked = api.run(&["bots", "delete", "tidy"]).await;
    assert_eq!((asked.code, api.bodies(request).len()), (2, 0), "{asked:?}");
    let sure = api.run(&["bots", "delete", "tidy", "--yes"]).await;
    let told = "tidy is deleted. For a week `lowtide bots restore tidy` brings it back.\n";
    assert_eq!((sure.code, sure.stdout.as_str(), api.bodies(request).len()), (0, told, 1));
    let gone = api.run(&["bots", "delete", "tidy", "--now", "--yes"]).await;
    assert_eq!((gone.code, gone.stdout.as_str(), api.bodies(request).len()), (0, "tidy is removed.\n", 2));
}

const BOT: &str = "PATCH /v1/bots/bot_00000000000000000000000001";

#[tokio::test]
async fn a_bots_settings_are_shown_in_words() {
    let api = FakeApi::start(&["tidy"]).await;
    let run = api.run(&["bots", "show", "tidy"]).await;
    for line in [
        "queue mode  steer: a new message joins the turn under way",
        "waiting     at most 20 messages, else the oldest are left out, with a summary; debounce 500 ms",
        "resets      only by /new and /reset",
        "budget      none",
    ] {
        assert!(run.stdout.lines().any(|shown| shown == line), "{line}\n{}", run.stdout);
    }
    assert!(!run.stdout.contains("turn budget"));
}

#[tokio::test]
async fn a_bot_is_changed_by_options() {
    let api = FakeApi::start(&["tidy"]).await;
    let change = async |options: &[&str]| api.run(&[&["bots", "change", "tidy"], options].concat()).await;
    let queue = ["--queue-mode", "Collect", "--queue-debounce", "1.5s", "--queue-cap", "5", "--queue-drop", "old"];
    let resets = ["--reset", "daily", "--reset-at-hour", "6", "--reset-idle-minutes", "90"];
    let budget = ["--budget", "5.00", "--budget-turns", "100", "--budget-period", "day", "--turn-budget", "0.25"];
    let price =
        ["--price-input", "1.25", "--price-output", "10", "--price-cached", "0.125", "--context-window", "8000"];
    let run = change(&[&queue[..], &resets, &budget, &price].concat()).await;
    assert_eq!(run.code, 0, "{run:?}");
    let sent = json!({
        "model": { "price": { "input": 1_250_000, "output": 10_000_000, "cached": 125_000 }, "context_window": 8000 },
        "queue": { "mode": "collect", "debounce_ms": 1500, "cap": 5, "drop": "old" },
        "resets": { "reset": { "mode": "daily", "at_hour": 6, "idle_minutes": 90 }, "reset_by_type": {} },
        "budget": { "period": "day", "micros": 5_000_000, "turns": 100 }, "turn_budget": 250_000
    });
    assert_eq!(api.bodies(BOT), [sent]);
    for line in [
        "resets       daily at 6:00, and after 90 min without a message",
        "budget       $5.00 and 100 turns a day",
        "turn budget  $0.25 a turn",
    ] {
        assert!(run.stdout.lines().any(|shown| shown == line), "{line}\n{}", run.stdout);
    }
    assert_eq!(change(&["--no-budget", "--no-turn-budget", "--no-price"]).await.code, 0);
    let removed = json!({ "model": { "price": null }, "budget": null, "turn_budget": null });
    assert_eq!(api.bodies(BOT)[1], removed);
    assert_eq!(change(&["--time-zone", "Europe/Berlin", "--queue-cap", "7"]).await.code, 0);
    assert_eq!(api.bodies(BOT)[2], json!({ "time_zone": "Europe/Berlin", "queue": { "cap": 7 } }));
}

#[tokio::test]
async fn options_that_cannot_be_are_wrong_usage() {
    let api = FakeApi::start(&["tidy"]).await;
    for (options, told) in [
        (&[][..], "Nothing to change. `lowtide bots change --help`"),
        (&["--budget", "five"], "write dollars, such as 5.00 or 0.25"),
        (&["--budget=-5"], "write dollars"),
        (&["--turn-budget", "0.0000001"], "at most six decimals"),
        (&["--budget-turns", "many"], "invalid digit"),
        (&["--budget-period", "day"], "give --budget or --budget-turns"),
        (&["--budget", "1", "--budget-period", "week"], "`day` or `month`"),
        (&["--queue-mode", "sideways"], "interrupt"),
        (&["--queue-debounce", "2m"], "500ms, 2s or 1.5s"),
        (&["--queue-drop", "all"], "summarize"),
        (&["--reset", "weekly"], "daily"),
        (&["--reset-at-hour", "4"], "--reset-at-hour belongs to --reset daily"),
        (&["--reset-idle-minutes", "4"], "belongs to --reset idle"),
        (&["--price-input", "1"], "--price-output"),
        (&["--price-cached", "1"], "--price-input"),
        (&["--no-turn-budget", "--turn-budget", "1"], "cannot be used with"),
    ] {
        let run = api.run(&[&["bots", "change", "tidy"], options].concat()).await;
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains(told), "{options:?}\n{}", run.stderr);
    }
    assert!(api.bodies(BOT).is_empty());
    let priced = api.run(&["bots", "create", "x", "--price-input", "1", "--price-output", "1"]).await;
    assert_eq!((priced.code, priced.stderr.contains("give --model")), (2, true), "{priced:?}");
}

#[tokio::test]
async fn a_model_comes_with_its_price() {
    let api = FakeApi::start(&["tidy"]).await;
    let args = ["bots", "model", "tidy", "ollama/llama3.2", "--no-key", "--price-input", "0", "--price-output", "0"];
    assert_eq!(api.run(&args).await.code, 0);
    let sent = json!({ "model": "ollama/llama3.2", "api_key": null, "price": { "input": 0, "output": 0 } });
    assert_eq!(api.bodies(BOT), [json!({ "model": sent })]);
    let demo = api.run(&["bots", "model", "tidy", "demo", "--context-window", "8000"]).await;
    assert_eq!((demo.code, demo.stderr.contains("The demo needs no key")), (2, true), "{demo:?}");
}

#[tokio::test]
async fn an_account_shows_and_changes_its_budget() {
    let api = FakeApi::start(&[]).await;
    let shown = api.run(&["account"]).await;
    let expected = "name    Ada\nid      acct_00000000000000000000000001\nbudget  none\n";
    assert_eq!((shown.code, shown.stdout.as_str()), (0, expected));
    let set = api.run(&["account", "--budget", "20"]).await;
    assert!(set.stdout.ends_with("budget  $20.00 a month\n"), "{set:?}");
    // What is not named stays.
    let more = api.run(&["account", "--budget-turns", "1000", "--budget-period", "day"]).await;
    assert!(more.stdout.ends_with("budget  $20.00 and 1000 turns a day\n"), "{more:?}");
    let removed = api.run(&["account", "--no-budget"]).await;
    assert!(removed.stdout.ends_with("budget  none\n"), "{removed:?}");
    let sent = [
        json!({ "budget": { "period": "month", "micros": 20_000_000 } }),
        json!({ "budget": { "period": "day", "micros": 20_000_000, "turns": 1000 } }),
        json!({ "budget": null }),
    ];
    assert_eq!(api.bodies("PATCH /v1/account"), sent);
    let bad = api.run(&["account", "--budget", "1,50"]).await;
    assert_eq!((bad.code, bad.stderr.contains("write dollars")), (2, true), "{bad:?}");
}

#[tokio::test]
async fn an_account_is_renamed() {
    let api = FakeApi::start(&[]).await;
    let named = api.run(&["account", "--name", "Harbour office"]).await;
    assert!(named.code == 0 && named.stdout.starts_with("name    Harbour office\n"), "{named:?}");
    let both = api.run(&["account", "--name", "Pier", "--budget-turns", "5"]).await;
    assert!(both.stdout.ends_with("budget  5 turns a month\n"), "{both:?}");
    let budget = json!({ "period": "month", "turns": 5 });
    let sent = [json!({ "name": "Harbour office" }), json!({ "name": "Pier", "budget": budget })];
    assert_eq!(api.bodies("PATCH /v1/account"), sent);
}

#[tokio::test]
async fn a_member_leaves_but_the_last_owner_does_not() {
    let api = FakeApi::start(&[]).await;
    let left = |number: u8| api.bodies(&format!("DELETE /v1/members/user_0000000000000000000000000{number}")).len();
    let owner = api.run(&["account", "leave", "heron@example.org", "--yes"]).await;
    assert!(owner.code == 1 && owner.stderr.contains("lowtide members role MEMBER owner"), "{owner:?}");
    let unsure = api.run(&["account", "leave", "gull"]).await;
    assert!(unsure.code == 2 && unsure.stderr.contains("--yes"), "{unsure:?}");
    let stranger = api.run(&["account", "leave", "owl", "--yes"]).await;
    assert!(stranger.code == 2 && stranger.stderr.contains("no member `owl`"), "{stranger:?}");
    assert_eq!((left(1), left(2)), (0, 0));
    let gone = api.run(&["account", "leave", "gull", "--yes"]).await;
    let told = "gull left Ada: their browsers are signed out.\nAPI keys belong to the account";
    assert!(gone.code == 0 && gone.stdout.starts_with(told), "{gone:?}");
    assert_eq!((left(1), left(2)), (0, 1));
    assert_eq!(api.run(&["account", "--name", "x", "leave", "gull"]).await.code, 2);
}

#[tokio::test]
async fn usage_is_a_table_in_dollars() {
    let api = FakeApi::start(&[]).await;
    let run = api.run(&["usage"]).await;
    let expected = "WHO       PERIOD      SPENT    TURNS  BUDGET\n\
                    all bots  2026-11     $1.50    12     $20.00 a month\n\
                    tidy      2026-11-22  $0.0042  1      none\n\n\
                    Only the turns of bots with a budget of their own, or of the account, are counted here; \
                    `lowtide usage --by bot` has all.\n";
    assert_eq!((run.code, run.stdout.as_str()), (0, expected));
    let json: Value = serde_json::from_str(&api.run(&["usage", "--json"]).await.stdout).unwrap();
    assert_eq!(json["items"][0]["micros"], 1_504_200);
}

#[tokio::test]
async fn use_is_told_by_what_is_asked_for() {
    let api = FakeApi::start(&[]).await;
    let run = api.run(&["usage", "--by", "model", "--from", "2026-11-01", "--bot", "tidy"]).await;
    let expected = "MODEL       TURNS  CALLS  INPUT  CACHED  OUTPUT  COST\n\
                    openai/gpt  2      3      1200   1000    34      $0.0042\n\
                    total       2      3      1200   1000    34      $0.0042\n";
    assert_eq!((run.code, run.stdout.as_str()), (0, expected));
    let days = api.run(&["usage", "--by", "day", "--split", "model"]).await;
    let expected = "DAY           TURNS  CALLS  INPUT  CACHED  OUTPUT  COST\n\
                    2026-11-22    2      3      1200   1000    34      $0.0042\n\
                    - openai/gpt  2      3      1200   1000    34      $0.0042\n\
                    total         2      3      1200   1000    34      $0.0042\n";
    assert_eq!((days.code, days.stdout.as_str()), (0, expected));
    let alone = api.run(&["usage", "--bot", "tidy"]).await;
    assert_eq!((alone.code, alone.stderr.contains("--by")), (2, true), "{alone:?}");
}

#[tokio::test]
async fn notices_are_read_and_cleared() {
    let api = FakeApi::start(&[]).await;
    let list = api.run(&["notices"]).await;
    let lines: Vec<&str> = list.stdout.lines().collect();
    assert_eq!((list.code, lines.len(), lines[0]), (0, 4, "budget.new is used up."), "{list:?}");
    assert!(lines[1].ends_with(" days ago · budget.new"), "{list:?}");

    let unknown = api.run(&["notices", "clear", "nothing"]).await;
    assert_eq!((unknown.code, unknown.stderr.contains("no notice about `nothing`")), (2, true), "{unknown:?}");
    let one = api.run(&["notices", "clear", "budget.old"]).await;
    assert_eq!((one.code, one.stdout.as_str()), (0, "The notice is removed.\n"));
    let all = api.run(&["notices", "clear"]).await;
    assert_eq!((all.code, all.stdout.as_str()), (0, "1 notice is removed.\n"));
    for about in ["budget.new", "budget.old"] {
        assert_eq!(api.bodies(&format!("DELETE /v1/notices/{about}")).len(), 1, "{about}");
    }
    assert_eq!(api.run(&["notices", "list"]).await.stdout, "No notices.\n");
    assert_eq!(api.run(&["notices", "clear"]).await.stdout, "0 notices are removed.\n");
}

#[tokio::test]
async fn a_schedule_is_shown_with_its_next_runs() {
    let api = FakeApi::start(&["tidy"]).await;
    let shown = api.run(&["schedules", "show", "tidy", "brief"]).await;
    let expected = "next     2026-11-24 09:01 Europe/Berlin, 1m30s after its time\n         \
                    2026-11-25 09:00 Europe/Berlin\n\
                    jitter   each run begins up to 5m late, another part of it each time\n";
    assert!(shown.code == 0 && shown.stdout.contains(expected), "{shown:?}");
    let off = api.run(&["schedules", "show", "tidy", "idle"]).await;
    assert!(off.stdout.contains("\nnext     off\n") && !off.stdout.contains("jitter"), "{off:?}");
    let json: Value =
        serde_json::from_str(&api.run(&["schedules", "show", "tidy", "brief", "--json"]).await.stdout).unwrap();
    assert_eq!(json["nextRuns"][1]["at"], 1_795_593_600_000_u64);
}
