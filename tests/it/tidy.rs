//! The workspace's rules, as `ARCHITECTURE.md` lists them: who may use what, and what belongs together.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Crates that talk to AWS directly, and for each the only ones of ours that may depend on it.
const AWS_CLIENTS: &[(&str, &[&str])] = &[
    ("aws-sdk-dynamodb", &["runtime", "store"]),
    ("aws-sdk-kms", &["runtime", "store"]),
    ("aws-sdk-s3", &["runtime", "store"]),
    ("aws-sdk-sqs", &["queues", "runtime"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every dependency as (our crate, its dependency, whether it is only for tests).
fn dependencies() -> Vec<(String, String, bool)> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut all = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
            all.push((name(package), name(dependency), dependency["kind"] == "dev"));
        }
    }
    all
}

/// All files below `dir`, at any depth, whose extension is `extension`.
fn files(dir: PathBuf, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found
}

/// The names of the directories in `functions/`.
fn functions() -> BTreeSet<String> {
    let entries = fs::read_dir(root().join("functions")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_domain_is_pure() {
    const IMPURE: &[&str] =
        &["tokio", "async", "futures", "aws", "lambda", "http", "hyper", "axum", "reqwest", "tower"];
    for (ours, dependency, _) in dependencies() {
        let is_impure = IMPURE.iter().any(|prefix| dependency.starts_with(prefix));
        assert!(ours != "domain" || !is_impure, "domain does no I/O, so it cannot use {dependency}");
    }
}

#[test]
fn aws_clients_stay_in_their_crates() {
    for (ours, dependency, is_dev) in dependencies() {
        let Some((_, allowed)) = AWS_CLIENTS.iter().find(|(client, _)| *client == dependency) else {
            continue;
        };
        let is_test = is_dev || ours == "testkit" || ours == "lowtide-tests";
        assert!(is_test || allowed.contains(&ours.as_str()), "{dependency} belongs to {allowed:?}, not to {ours}");
    }
}

#[test]
fn agent_channels_and_store_meet_only_in_functions() {
    let apart = ["agent", "channels", "store"].map(str::to_owned);
    for (ours, dependency, _) in dependencies() {
        let both = apart.contains(&ours) && apart.contains(&dependency);
        assert!(!both, "{ours} must not know {dependency}; they meet through domain");
    }
}

#[test]
fn functions_meet_only_in_queues() {
    let functions = functions();
    for (ours, dependency, _) in dependencies() {
        let both = functions.contains(&ours) && functions.contains(&dependency);
        assert!(!both, "functions/{ours} must not depend on functions/{dependency}");
    }
}

#[test]
fn every_function_has_its_block_in_the_template() {
    let template = fs::read_to_string(root().join("template.yaml")).unwrap();
    let template: serde_yaml_ng::Value = serde_yaml_ng::from_str(&template).unwrap();
    let mut deployed = BTreeSet::new();
    for (resource, block) in template["Resources"].as_mapping().unwrap() {
        if block["Type"] != "AWS::Serverless::Function" {
            continue;
        }
        let name = resource.as_str().unwrap().strip_suffix("Function").unwrap().to_lowercase();
        assert_eq!(block["Metadata"]["BuildProperties"]["Binary"], name.as_str(), "binary of {resource:?}");
        assert_eq!(block["Properties"]["CodeUri"], format!("functions/{name}").as_str(), "code of {resource:?}");
        deployed.insert(name);
    }
    assert_eq!(deployed, functions());
}

#[test]
fn every_sample_event_parses() {
    let events = files(root().join("events"), "json");
    assert!(!events.is_empty());
    for path in events {
        let parsed = serde_json::from_str::<Value>(&fs::read_to_string(&path).unwrap());
        assert!(parsed.is_ok(), "{}: {:?}", path.display(), parsed.err());
    }
}

#[test]
fn every_function_opens_with_its_contract() {
    let functions = functions().into_iter().map(|function| format!("functions/{function}"));
    for function in functions.chain(["gateway-fargate".to_owned()]) {
        let main = fs::read_to_string(root().join(&function).join("src/main.rs")).unwrap();
        let mut lines = main.lines().filter(|line| *line != "//!");
        for start in ["//! ", "//! Trigger:", "//! Writes:", "//! Emits:", "//! Failure:"] {
            let line = lines.next().unwrap_or_default();
            assert!(line.starts_with(start), "{function}/src/main.rs wants a line `{start}…`, not {line:?}");
        }
    }
}

#[test]
fn no_file_is_too_long() {
    const MAX_LINES: usize = 800;
    for path in ["crates", "functions", "gateway-fargate", "cli"].iter().flat_map(|dir| files(root().join(dir), "rs")) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines; {MAX_LINES} is the most", path.display());
    }
}
