//! What a bot may use, its files in folders, its owners, and what its turns took.

use serde_json::{Value, json};

use crate::fake_api::{FakeApi, Run};

const BOT: &str = "PATCH /v1/bots/bot_00000000000000000000000001";
const LINK: &str = "link_00000000000000000000000001";

/// Runs a command that should work, with a secret in `MY_KEY`, and returns what it sent.
async fn sent(args: &[&str]) -> (Run, Value) {
    let api = FakeApi::start(&["tidy"]).await;
    api.write_client_json("tidy");
    let run = api.run_with(args, &[("MY_KEY", "sk-secret\n")], "").await;
    assert_eq!(run.code, 0, "{args:?} {run:?}");
    assert!(!run.stdout.contains("sk-secret") && !run.stderr.contains("sk-secret"));
    (run, api.bodies(BOT).pop().unwrap_or_default())
}

#[tokio::test]
async fn tools_are_chosen_by_lists() {
    let args = ["bots", "tools", "tidy", "--profile", "coding", "--deny", "web_*,image", "--ask", "write"];
    let (run, body) = sent(&args).await;
    assert_eq!(
        body,
        json!({ "abilities": { "tools": { "profile": "coding", "deny": ["web_*", "image"], "ask": ["write"] } } })
    );
    assert_eq!(run.stdout, "tidy may use the coding tools; never web_*, image; after approval write.\n");
    let (_, body) = sent(&["bots", "tools", "tidy", "--ask", ""]).await;
    assert_eq!(body, json!({ "abilities": { "tools": { "ask": [] } } }));
    let (run, body) = sent(&["bots", "tools", "tidy"]).await;
    assert_eq!((run.stdout.as_str(), body), ("tidy may use all tools.\n", Value::Null));
}

#[tokio::test]
async fn servers_of_tools_come_and_go() {
    let args = ["bots", "mcp", "tidy", "add", "github", "https://mcp.example/mcp", "--token-env", "MY_KEY"];
    let (run, body) = sent(&args).await;
    let server = json!({ "url": "https://mcp.example/mcp", "token": "sk-secret" });
    assert_eq!(body, json!({ "abilities": { "mcp": { "github": server } } }));
    assert_eq!(run.stdout, "tidy has the tools of github from its next turn on.\n");
    let (run, _) = sent(&["bots", "mcp", "tidy", "list"]).await;
    assert!(run.stdout.contains("lowtide bots mcp tidy add NAME URL"), "{run:?}");
    let api = FakeApi::start(&["tidy"]).await;
    let gone = api.run(&["bots", "mcp", "tidy", "remove", "github"]).await;
    assert_eq!((gone.code, gone.stderr.contains("no server `github`")), (2, true), "{gone:?}");
}

#[tokio::test]
async fn services_are_set_and_switched_off() {
    let (run, body) = sent(&["bots", "search", "tidy", "brave", "--api-key-env", "MY_KEY"]).await;
    assert_eq!(body, json!({ "abilities": { "search": { "provider": "brave", "api_key": "sk-secret" } } }));
    assert_eq!(run.stdout, "tidy searches the web with brave, key: stored, encrypted.\n");
    let (_, body) = sent(&["bots", "search", "tidy", "--off"]).await;
    assert_eq!(body, json!({ "abilities": { "search": null } }));
    let options = ["--base-url", "https://a.example/v1", "--model", "whisper-1", "--api-key-env", "MY_KEY"];
    let (_, body) = sent(&[&["bots", "transcription", "tidy"][..], &options].concat()).await;
    let service = json!({ "base_url": "https://a.example/v1", "model": "whisper-1", "api_key": "sk-secret" });
    assert_eq!(body, json!({ "abilities": { "transcription": service } }));
    let (run, body) = sent(&["bots", "skills", "tidy", "--only", "a,b"]).await;
    assert_eq!(body, json!({ "abilities": { "skills": ["a", "b"] } }));
    assert_eq!(run.stdout, "tidy may use only the skills a, b.\n");
    let (_, body) = sent(&["bots", "skills", "tidy", "--all"]).await;
    assert_eq!(body, json!({ "abilities": { "skills": null } }));
    let api = FakeApi::start(&["tidy"]).await;
    for (args, told) in [
        (&["bots", "search", "tidy"][..], "required"),
        (&["bots", "search", "tidy", "google"], "brave"),
        (&["bots", "search", "tidy", "brave", "--api-key", "sk-1"], "unexpected argument"),
        (&["bots", "transcription", "tidy"], "Nothing to change"),
        (&["bots", "tools", "tidy", "--profile", "all"], "messaging"),
        (&["bots", "tools", "tidy", "--reset", "--deny", "x"], "cannot be used with"),
    ] {
        let run = api.run(args).await;
        assert_eq!((run.code, run.stderr.contains(told)), (2, true), "{args:?} {run:?}");
    }
}

#[tokio::test]
async fn a_model_has_fallbacks_and_their_keys() {
    let model = ["bots", "model", "tidy", "openai/gpt-5.1", "--api", "openai-responses", "--thinking", "low"];
    let fallbacks = ["--fallback", "anthropic/claude-haiku-4-5", "--fallback", "own/m=https://own.example/v1"];
    let (_, body) = sent(&[&model[..], &fallbacks, &["--key-env", "anthropic=MY_KEY"]].concat()).await;
    let expected = json!({ "model": {
        "model": "openai/gpt-5.1", "api": "openai-responses", "thinking": "low", "keys": { "anthropic": "sk-secret" },
        "fallbacks": [{ "model": "anthropic/claude-haiku-4-5" }, { "model": "own/m", "base_url": "https://own.example/v1" }]
    } });
    assert_eq!(body, expected);
    let (_, body) = sent(&["bots", "model", "tidy", "--no-fallbacks", "--no-key-of", "anthropic"]).await;
    assert_eq!(body, json!({ "model": { "fallbacks": null, "keys": { "anthropic": null } } }));
    let api = FakeApi::start(&["tidy"]).await;
    let nothing = api.run(&["bots", "model", "tidy"]).await;
    assert_eq!((nothing.code, nothing.stderr.contains("Nothing to change")), (2, true), "{nothing:?}");
}

#[tokio::test]
async fn a_model_has_an_image_model_and_its_keys() {
    let model = ["bots", "model", "tidy", "deepseek/deepseek-chat", "--image-model", "google/gemini-2.5-flash"];
    let others = ["--image-fallback", "own/eyes=https://own.example/v1", "--key-env", "google=MY_KEY"];
    let (_, body) = sent(&[&model[..], &others].concat()).await;
    let expected = json!({ "model": {
        "model": "deepseek/deepseek-chat", "keys": { "google": "sk-secret" },
        "image_model": {
            "primary": { "model": "google/gemini-2.5-flash" },
            "fallbacks": [{ "model": "own/eyes", "base_url": "https://own.example/v1" }]
        }
    } });
    assert_eq!(body, expected);
    let (_, body) = sent(&["bots", "model", "tidy", "--no-image-model"]).await;
    assert_eq!(body, json!({ "model": { "image_model": null } }));
    let api = FakeApi::start(&["tidy"]).await;
    let alone = api.run(&["bots", "model", "tidy", "--image-fallback", "a/b"]).await;
    assert_eq!((alone.code, alone.stderr.contains("give --image-model too")), (2, true), "{alone:?}");
}

#[tokio::test]
async fn a_card_tells_what_a_bot_may_use() {
    let api = FakeApi::start(&["tidy"]).await;
    let run = api.run(&["bots", "show", "tidy"]).await;
    for line in ["tools       all tools", "skills      all skills"] {
        assert!(run.stdout.lines().any(|shown| shown == line), "{line}\n{}", run.stdout);
    }
}

#[tokio::test]
async fn a_folder_of_files_is_written_whole() {
    let api = FakeApi::start(&["tidy"]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::create_dir_all(path.join("scripts")).unwrap();
    std::fs::write(path.join("SKILL.md"), "# Weather\n").unwrap();
    std::fs::write(path.join("scripts/now.sh"), "curl\n").unwrap();
    std::fs::write(path.join(".hidden"), "x").unwrap();
    let put = ["files", "tidy", "put", "skills/weather/", path.to_str().unwrap()];
    let run = api.run(&put).await;
    let expected = "2 files are written to skills/weather. tidy has them from its next turn on.\n";
    assert_eq!((run.code, run.stdout.as_str()), (0, expected), "{run:?}");
    let base = "PUT /v1/bots/bot_00000000000000000000000001/files/skills/weather";
    assert_eq!(api.bodies(&format!("{base}/SKILL.md")), [json!("# Weather\n")]);
    assert_eq!(api.bodies(&format!("{base}/scripts/now.sh")), [json!("curl\n")]);
    // One that is no text keeps all of them from being written.
    std::fs::write(path.join("icon.png"), [0xff, 0xfe]).unwrap();
    let refused = api.run(&put).await;
    assert_eq!((refused.code, refused.stderr.contains("icon.png")), (2, true), "{refused:?}");
    assert_eq!(api.bodies(&format!("{base}/SKILL.md")).len(), 1);
    let list = api.run(&["files", "tidy", "list"]).await;
    assert_eq!(list.stdout, "NAME               BYTES  TAG\nskills/x/SKILL.md  12     t1\n");
    let asked = api.run(&["files", "tidy", "delete", "skills/x/SKILL.md"]).await;
    assert_eq!(asked.code, 2, "{asked:?}");
    let deleted = api.run(&["files", "tidy", "rm", "skills/x/SKILL.md", "--yes"]).await;
    assert_eq!((deleted.code, deleted.stdout.as_str()), (0, "skills/x/SKILL.md is deleted.\n"));
}

#[tokio::test]
async fn a_link_has_owners() {
    let api = FakeApi::start(&["tidy"]).await;
    let list = api.run(&["links", "list", "tidy"]).await;
    assert!(list.stdout.contains("OWNERS") && list.stdout.contains("paired people  5"), "{list:?}");
    let run = api.run(&["links", "change", "tidy", "telegram", "--owner", "@ada", "--owner", "7"]).await;
    assert!(run.stdout.ends_with("Its owners there: @ada, 7.\n"), "{run:?}");
    let patch = format!("PATCH /v1/bots/bot_00000000000000000000000001/links/{LINK}");
    let access = json!({ "dm_policy": "pairing", "owners": ["@ada", "7"], "group_policy": "allowlist" });
    assert_eq!(api.bodies(&patch), [json!({ "access": access })]);
    for (options, told) in [
        (&["--owner", "*"][..], "numeric user id"),
        (&["--owner", "ada"], "handle with its @"),
        (&["--owner", "5"], "Nothing to change"),
        (&["--owner", "6", "--no-owners"], "cannot be used with"),
    ] {
        let run = api.run(&[&["links", "change", "tidy", "telegram"], options].concat()).await;
        assert_eq!((run.code, run.stderr.contains(told)), (2, true), "{options:?} {run:?}");
    }
    let approved = api.run(&["links", "approve", "tidy", "telegram", "ABCDEFGH"]).await;
    let expected =
        "Ada (5) may write to tidy now, and is told so. They own tidy there, and approve what its tools ask for.\n";
    assert_eq!(approved.stdout, expected);
}

#[tokio::test]
async fn a_link_is_checked() {
    let api = FakeApi::start(&["tidy", "other"]).await;
    let fine = api.run(&["links", "check", "tidy", "telegram"]).await;
    assert_eq!((fine.code, fine.stdout.as_str()), (0, "✓  token: @tidy_bot\n"), "{fine:?}");
    let amiss = api.run(&["links", "check", "other", "telegram"]).await;
    let expected = "✓  token: @tidy_bot\n✗  webhook\n   None is set.\n   → Give the link its token again.\n";
    assert_eq!((amiss.code, amiss.stdout.as_str()), (1, expected), "{amiss:?}");
    assert_eq!(amiss.stderr, "One finding needs you.\n");
    let json = api.run(&["links", "check", "other", "telegram", "--json"]).await;
    let check: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.code, &check["findings"][1]["what"]), (1, &json!("webhook")), "{json:?}");
    let nowhere = api.run(&["links", "check", "tidy", "slack"]).await;
    assert_eq!((nowhere.code, nowhere.stderr.contains("names no single link")), (2, true), "{nowhere:?}");
}

#[tokio::test]
async fn sessions_tell_what_they_took() {
    let api = FakeApi::start(&["tidy"]).await;
    let list = api.run(&["sessions", "tidy"]).await;
    assert!(list.stdout.starts_with("SESSION          BEGUN\nagent:main:main  "), "{list:?}");
    let card = api.run(&["sessions", "tidy", "agent:main:main"]).await;
    for line in ["tokens in    1200, of them 1000 from the cache", "tokens out   34", "cost         $0.00042"] {
        assert!(card.stdout.lines().any(|shown| shown == line), "{line}\n{}", card.stdout);
    }
    let turns = api.run(&["sessions", "tidy", "agent:main:main", "--turns", "--limit", "5"]).await;
    let row = turns.stdout.lines().nth(1).unwrap_or_default();
    assert!(row.ends_with("2      1      1200   1000    34      $0.00042  openai/a, groq/b"), "{turns:?}");
    let steps = api.run(&["sessions", "tidy", "agent:main:main", "--steps", "--limit", "5"]).await;
    let expected = "turn_00000000000000000000000001 accepted 2026-11-24 08:00 UTC\n\
                    STEP            FROM     TOOK     COST      WHERE\n\
                    queued          0 ms     100 ms             #.......................\n\
                    loaded          100 ms   20 ms              .#......................\n\
                    model openai/a  120 ms   880 ms   $0.00042  .###########............\n\
                    tool clock      1000 ms  3 ms               ............#...........\n\
                    delivered       1003 ms  997 ms             ............############\n\
                    all             0 ms     2000 ms  $0.00042\n";
    assert_eq!((steps.code, steps.stdout.as_str()), (0, expected));
    let json: Value =
        serde_json::from_str(&api.run(&["sessions", "tidy", "agent:main:main", "--steps", "--json"]).await.stdout)
            .unwrap();
    assert_eq!(
        (&json["items"][0]["steps"][2]["ms"], &json["items"][0]["steps"][2]["cost"]),
        (&880.into(), &420.into())
    );
    for options in [&["--steps", "--turns"][..], &["--steps", "--transcript"], &["--limit", "5"]] {
        let run = api.run(&[&["sessions", "tidy", "agent:main:main"], options].concat()).await;
        assert_eq!(run.code, 2, "{run:?}");
    }
    let lonely = api.run(&["sessions", "tidy", "--turns"]).await;
    assert_eq!(lonely.code, 2, "{lonely:?}");
}

#[tokio::test]
async fn a_prompt_is_shown_with_what_it_takes() {
    let (run, _) = sent(&["bots", "prompt", "tidy"]).await;
    let expected = "You are tidy.\n\nPART   TOKENS\ncore   149\ntools  900\nall    1049\n\n\
                    Tokens are an estimate: one for every four characters.\n\n\
                    Skills that the model is not told of:\n  shell: it runs programs (sh)\n";
    assert_eq!(run.stdout, expected);
    let (run, _) = sent(&["bots", "prompt", "tidy", "--json"]).await;
    let prompt: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&prompt["tokens"], &prompt["system"]), (&json!(1049), &json!("You are tidy.")));
}
