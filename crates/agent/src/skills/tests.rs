use domain::{Answer, Entry, EntryBody, EntryId, Timestamp, ToolCall, ToolOutcome, ToolResult, TurnId};

use super::*;
use crate::tools::Toolbox;

fn skill(front_matter: &str) -> Skills {
    Skills::discover([("skills/x/SKILL.md", format!("---\n{front_matter}\n---\nDo it.\n").as_str())])
}

fn manifest(front_matter: &str) -> Manifest {
    let skills = skill(&format!("name: x\ndescription: d\n{front_matter}"));
    assert_eq!(skills.broken(), []);
    skills.get("x").unwrap().manifest.clone()
}

fn error(front_matter: &str) -> String {
    let skills = skill(front_matter);
    assert_eq!(skills.iter().count(), 0);
    skills.broken()[0].error.clone()
}

fn call(name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: "call_1".into(), name: name.into(), arguments: arguments.into() }
}

#[test]
fn the_built_in_skills_can_be_read_and_used() {
    /// Bots may be without it: a manifest that names it only allows it where it is.
    const OPTIONAL: &str = "web_search";
    let _ = rustls::crypto::ring::default_provider().install_default();
    let toolbox = Toolbox::new(&[], false).unwrap();
    let skills = Skills::embedded();
    assert_eq!(skills.broken(), []);
    assert_eq!(skills.for_model(None).count(), 7);
    for skill in skills.iter() {
        let Manifest { name, allowed_tools, unmet, .. } = &skill.manifest;
        assert_eq!((skill.folder.as_str(), unmet), (format!("skills/{name}").as_str(), &None));
        for tool in allowed_tools.as_ref().unwrap() {
            assert!(toolbox.has(tool) || tool == OPTIONAL, "{name} names the tool {tool}");
        }
    }
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../layers/skills/skills");
    assert_eq!(Skills::from_dir(&dir).unwrap(), skills, "the binary and the layer have the same skills");
    assert!(Skills::from_dir(&dir.join("none")).unwrap_err().to_string().contains("layers/skills/skills/none"));
}

#[test]
fn openclaws_front_matter_is_understood() {
    let manifest = manifest(
        "homepage: https://example.org\nlicense: MIT\nuser-invocable: false\nunknown: [1, {a: b}]\n\
         metadata:\n  { \"openclaw\": { \"emoji\": \"🔥\", \"install\": [{ \"kind\": \"brew\", }, ], }, \"other\": 1 }",
    );
    assert_eq!(manifest.homepage.as_deref(), Some("https://example.org"));
    assert_eq!((manifest.emoji.as_deref(), manifest.user_invocable), (Some("🔥"), false));
    assert_eq!((manifest.unmet, manifest.allowed_tools, manifest.hosts), (None, None, None));
    let text = self::manifest(r#"metadata: '{"openclaw":{"requires":{"bins":["gh"]}}}'"#);
    assert_eq!(text.unmet.as_deref(), Some("it runs programs (gh), and bots have no shell here"));
}

#[test]
fn what_cannot_work_here_is_not_shown_to_the_model() {
    for (metadata, reason) in [
        ("requires: {anyBins: [rg, grep]}", "it runs programs (rg, grep)"),
        ("requires: {env: [API_KEY]}", "it reads environment variables (API_KEY)"),
        ("requires: {config: [browser.enabled]}", "it needs settings of OpenClaw (browser.enabled)"),
        ("os: [darwin]", "it works on darwin only"),
    ] {
        let skills = skill(&format!("name: x\ndescription: d\nmetadata: {{openclaw: {{{metadata}}}}}"));
        assert!(skills.get("x").unwrap().manifest.unmet.as_ref().unwrap().starts_with(reason), "{metadata}");
        assert_eq!(skills.for_model(None).count(), 0);
    }
    assert_eq!(manifest("metadata: {openclaw: {os: [darwin, linux]}}").unmet, None);
    assert_eq!(manifest("metadata: {openclaw: {always: true, requires: {bins: [gh]}}}").unmet, None);
    assert_eq!(skill("name: x\ndescription: d\ndisable-model-invocation: true").for_model(None).count(), 0);
    let only = |name: &str| Skills::embedded().for_model(Some(&[name.to_owned()])).count();
    assert_eq!((only("travel-plan"), only("nothing")), (1, 0));
}

#[test]
fn tools_have_our_names_and_conditions_close_them() {
    let tools = |text: &str| manifest(&format!("allowed-tools: {text}")).allowed_tools.unwrap();
    assert_eq!(tools("Read, WebFetch Bash(git add:*, git commit:*) web_search"), ["read", "web_fetch", "web_search"]);
    assert_eq!(tools("[Write, mcp__wiki__*]"), ["write", "mcp__wiki__*"]);
    assert_eq!(tools("[]"), [""; 0]);
    let fetch = manifest("allowed-tools: WebFetch(domain:Example.org)");
    assert_eq!(fetch.hosts.unwrap(), ["example.org"]);
}

#[test]
fn a_manifest_allows_its_tools_and_hosts_only() {
    let manifest =
        manifest("allowed-tools: web_fetch mcp__wiki__*\nmetadata: {lowtide: {hosts: [example.org, '*.example.com']}}");
    let fetch = |url: &str| manifest.allows(&call("web_fetch", &format!("{{\"url\":\"{url}\"}}"))).is_ok();
    for url in ["https://example.org/a", "http://EXAMPLE.org:8080", "https://a.example.com", "https://example.org./"] {
        assert!(fetch(url), "{url}");
    }
    for url in [
        "https://example.com",
        "https://badexample.com",
        "https://example.org.evil.net",
        "https://example.org@evil.net",
        "//example.org",
        "",
    ] {
        assert!(!fetch(url), "{url}");
    }
    assert!(manifest.allows(&call("web_fetch", r#"{"url":["https://evil.net"]}"#)).is_err());
    for nested in [
        r#"{"urls":["https://example.org","https://evil.net"]}"#,
        r#"{"request":{"headers":{"referer":"https://evil.net"}}}"#,
        r#"{"pages":[{"at":[" HTTPS://evil.net"]}]}"#,
    ] {
        assert!(manifest.allows(&call("mcp__wiki__find", nested)).is_err(), "{nested}");
    }
    assert_eq!(manifest.allows(&call("mcp__wiki__find", r#"{"pages":[{"at":"https://example.org"},7]}"#)), Ok(()));
    for name in ["skill", "tool_search", "mcp__wiki__find"] {
        assert_eq!(manifest.allows(&call(name, "{}")), Ok(()), "{name}");
    }
    insta::assert_snapshot!(manifest.allows(&call("message", "{}")).unwrap_err(), @"The skill `x` that you follow in this turn may not call `message`. It may call: web_fetch, mcp__wiki__*, skill, tool_search.");
    insta::assert_snapshot!(manifest.allows(&call("web_fetch", r#"{"url":"https://evil.net"}"#)).unwrap_err(), @"The skill `x` that you follow in this turn reaches these hosts only: example.org, *.example.com.");
}

#[test]
fn what_a_skill_begins_is_not_less_bound_than_itself() {
    let (bounded, free) = (manifest("allowed-tools: sessions_spawn cron"), manifest("license: MIT"));
    for tool in ["sessions_spawn", "cron"] {
        let error = bounded.allows(&call(tool, "{}")).unwrap_err();
        assert!(error.contains("would not be bound"), "{error}");
        assert_eq!(free.allows(&call(tool, "{}")), Ok(()));
    }
}

#[test]
fn a_skill_is_in_force_from_its_reading_to_the_next_one_or_the_turns_end() {
    let skills = Skills::embedded();
    let turn = |number| TurnId::from_parts(Timestamp::from_secs(1), number);
    let mut entries: Vec<Entry> = Vec::new();
    let mut read = |in_turn: TurnId, name: &str, outcome: ToolOutcome| {
        let call = call("skill", &format!("{{\"name\":\"{name}\"}}"));
        let result = ToolResult {
            call: call.id.clone(),
            name: "skill".into(),
            outcome,
            text: "".into(),
            media: vec![],
            asked: None,
        };
        let answer = Answer { tool_calls: vec![call], ..Answer::default() };
        for body in [EntryBody::Assistant(answer), EntryBody::ToolResult(result)] {
            let at = Timestamp::from_secs(1);
            let (seq, id) = (entries.len() as u64, EntryId::from_parts(at, entries.len() as u128));
            entries.push(Entry { seq, id, turn: in_turn, at, body });
        }
        let in_force = |number| in_force(&entries, turn(number), &skills).map(|skill| skill.manifest.name.clone());
        (in_force(1), in_force(2))
    };
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(read(turn(1), "travel-plan", ToolOutcome::Error), (None, None));
    assert_eq!(read(turn(1), "travel-plan", ToolOutcome::Ok), (named("travel-plan"), None));
    assert_eq!(read(turn(1), "nothing", ToolOutcome::Error), (named("travel-plan"), None));
    assert_eq!(read(turn(1), "meeting-notes", ToolOutcome::Ok), (named("meeting-notes"), None));
    assert_eq!(read(turn(2), "write-skill", ToolOutcome::Ok), (named("meeting-notes"), named("write-skill")));
}

#[test]
fn the_workspace_comes_before_what_is_built_in() {
    let own = Skills::discover([("skills/mine/SKILL.md", "---\nname: travel-plan\ndescription: mine\n---\n")]);
    let all = own.over(&Skills::embedded());
    assert_eq!(all.iter().count(), 7);
    assert_eq!(all.get("travel-plan").unwrap().manifest.description, "mine");
}

#[test]
fn hostile_files_are_told_to_the_owner_and_break_nothing() {
    assert!(error("name: ../x\ndescription: d").contains("its name must have"));
    assert!(error("name: \"a\\u0007\"\ndescription: d").contains("its name must have"));
    assert!(error("name: x").contains("missing field"), "{}", error("name: x"));
    assert!(error("name: x\ndescription: ''").contains("its description must have"));
    assert!(error(&"a: b\n".repeat(2_000_000)).contains("longer than 65536 bytes"));
    assert!(error(&"a: b\n".repeat(5_000)).contains("front matter is longer"));
    let depth = format!("name: x\ndescription: d\nmetadata: {}", "[".repeat(10_000));
    assert!(error(&depth).contains("cannot be read"));
    let mut bomb = "name: x\ndescription: d\na0: &a0 [lol]\n".to_owned();
    for level in 1..40 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let started = std::time::Instant::now();
    assert!(error(&format!("{bomb}metadata: *a39")).contains("cannot be read"));
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());

    let bad =
        [("skills/../x/SKILL.md", ""), ("skills/a\u{7}/SKILL.md", ""), ("skills/b/SKILL.md", "# no front matter")];
    let skills = Skills::discover(bad);
    let paths: Vec<&str> = skills.broken().iter().map(|broken| broken.path.as_str()).collect();
    assert_eq!(paths, ["skills/../x/SKILL.md", "skills/a�/SKILL.md", "skills/b/SKILL.md"]);
    let lines = manifest("").description;
    assert_eq!(lines, "d");
    let twice = "---\nname: x\ndescription: \"a\\n\\u001b[31m b\"\n---\n";
    let skills = Skills::discover([("skills/a/SKILL.md", twice), ("skills/b/SKILL.md", twice)]);
    assert_eq!(skills.get("x").unwrap().manifest.description, "a [31m b");
    assert_eq!(skills.broken()[0].error, "skills/a/SKILL.md has the name `x`, too");
}
