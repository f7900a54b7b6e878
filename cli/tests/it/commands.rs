//! The other commands: tables, JSON, secrets.

use serde_json::{Value, json};

use crate::fake_api::FakeApi;

#[tokio::test]
async fn lists_are_tables_or_json() {
    let api = FakeApi::start(&["tidy", "scout"]).await;
    let run = api.run(&["bots", "list"]).await;
    let expected = "NAME   STATUS  MODEL          TIME ZONE  ID\n\
                    tidy   active  built-in demo  UTC        bot_00000000000000000000000001\n\
                    scout  active  built-in demo  UTC        bot_00000000000000000000000002\n";
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
    assert_eq!((sure.code, sure.stdout.as_str(), api.bodies(request).len()), (0, "tidy is deleted.\n", 1));
}
