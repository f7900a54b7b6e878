//! What the agent's own work costs: to make a request out of a long conversation, and its place in the turn function.

use std::alloc::System;
use std::collections::BTreeMap;
use std::env;
use std::process::Command;
use std::time::Instant;

use agent::{Agent, AgentConfig, BotView, Mind, ModelRequest, NoHost, Skills, Workspace, WorkspaceFile};
use anyhow::{Context, ensure};
use domain::turn::Question;
use domain::{
    Answer, Channel, ChatKind, Entry, EntryBody, EntryId, LinkId, MessageId, Price, Sender, Timestamp, ToolCall,
    ToolOutcome, ToolResult, TurnId, UserMessage,
};
use stats_alloc::{Region, StatsAlloc};

const ENTRIES: u64 = 200;
const SKILLS: usize = 20;
const REPETITIONS: usize = 500;
const NOW: Timestamp = Timestamp::from_secs(1_795_356_000);

/// Prints what it takes to build a request, for each protocol, and the agent's share of the turn function.
pub(crate) fn print(allocator: &'static StatsAlloc<System>) -> anyhow::Result<()> {
    runtime::install_crypto();
    let agent = Agent::new(AgentConfig::default())?;
    let skills = skills();
    let workspace = workspace();
    let entries: Vec<Entry> = (0..ENTRIES).map(entry).collect();
    let said: usize = entries.iter().map(|entry| text_of(&entry.body).len()).sum();
    println!(
        "a request of {ENTRIES} entries ({said} bytes of text), {SKILLS} skills and {} files:",
        workspace.files.len()
    );
    for model in
        ["anthropic/claude-sonnet-4-5", "openai/gpt-5", "google/gemini-2.5-pro", "openrouter/meta-llama/llama-4"]
    {
        let price = Some(Price { input: 1, output: 1, ..Price::default() });
        let bot = BotView {
            name: "Heron",
            time_zone: "Europe/Berlin",
            model: Some(model),
            skills: &skills,
            price,
            ..BotView::default()
        };
        let request = ModelRequest {
            bot,
            chat: ChatKind::Direct,
            workspace: &workspace,
            entries: &entries,
            question: &Question::Step { tools: true },
            host: &NoHost,
            progress: None,
            now: NOW,
        };
        measure(&agent, model, &request, allocator)?;
    }
    share()
}

/// What one protocol's request takes: built as it is sent, to the last byte, which is how its cost is estimated.
fn measure(
    agent: &Agent,
    model: &str,
    request: &ModelRequest<'_>,
    allocator: &'static StatsAlloc<System>,
) -> anyhow::Result<()> {
    let tokens = agent.estimate(request).context("its price is known")?;
    ensure!(tokens > 0, "{model}: nothing was built");
    let region = Region::new(allocator);
    agent.estimate(request);
    let change = region.change();
    let mut times: Vec<_> = (0..REPETITIONS)
        .map(|_| {
            let started = Instant::now();
            std::hint::black_box(agent.estimate(request));
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!(
        "  {model:32} median {:>4} µs   {:>5} allocations   {:>4} KB",
        times[REPETITIONS / 2].as_micros(),
        change.allocations + change.reallocations,
        change.bytes_allocated / 1024
    );
    Ok(())
}

fn skills() -> Skills {
    let files: Vec<(String, String)> = (0..SKILLS)
        .map(|n| {
            let text = format!(
                "---\nname: skill-{n}\ndescription: Does the work of the {n}th kind. Use it when somebody asks for that.\n---\n\n{}",
                "First look, then act, then say what was done. ".repeat(40)
            );
            (format!("skills/skill-{n}/SKILL.md"), text)
        })
        .collect();
    Skills::discover(files.iter().map(|(path, text)| (path.as_str(), text.as_str())))
}

fn workspace() -> Workspace {
    let file =
        |name: &str| WorkspaceFile { name: name.to_owned(), text: "A line about how things are here.\n".repeat(60) };
    Workspace { files: ["AGENTS.md", "SOUL.md", "IDENTITY.md", "USER.md", "MEMORY.md"].map(file).into() }
}

/// A conversation in which every second answer calls a tool first.
fn entry(seq: u64) -> Entry {
    let call = format!("call_{}", seq / 6);
    let answer = |text: &str, tool_calls| {
        EntryBody::Assistant(Answer { text: text.to_owned(), tool_calls, ..Answer::default() })
    };
    let body = match seq % 6 {
        0 | 4 => EntryBody::User(UserMessage {
            message: MessageId::of(LinkId::from_parts(NOW, 1), &seq.to_string()),
            channel: Channel::Telegram,
            sender: Sender { id: "555".to_owned(), name: Some("Ann".to_owned()), username: None },
            text: format!("{seq}: {}", "What do the herons do when the tide is out? ".repeat(3)),
            is_command: false,
            attachments: vec![],
            quote: None,
            sent_at: NOW,
            received_at: None,
        }),
        1 => {
            let arguments = r#"{"url":"https://tides.example/today"}"#.to_owned();
            answer("", vec![ToolCall { id: call, name: "web_fetch".to_owned(), arguments }])
        }
        2 => EntryBody::ToolResult(ToolResult {
            call,
            name: "web_fetch".to_owned(),
            outcome: ToolOutcome::Ok,
            text: "Low tide at 11:42, high tide at 17:58. ".repeat(20),
            media: vec![],
            asked: None,
        }),
        _ => answer(&"They walk on the mud and fish in what is left of the water. ".repeat(4), vec![]),
    };
    Entry {
        seq,
        id: EntryId::from_parts(NOW, u128::from(seq)),
        turn: TurnId::from_parts(NOW, u128::from(seq / 6)),
        at: NOW,
        body,
    }
}

fn text_of(body: &EntryBody) -> &str {
    match body {
        EntryBody::User(user) => &user.text,
        EntryBody::Assistant(answer) => &answer.text,
        EntryBody::ToolResult(result) => &result.text,
        _ => "",
    }
}

/// Builds the turn function, and adds up their sizes by crate.
fn share() -> anyhow::Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--profile", "bench-quick", "--package", "turn", "--bin", "turn"]);
    ensure!(build.status()?.success(), "the turn function does not build");
    let binary = env::current_exe()?.with_file_name("turn");

    let nm = Command::new("nm").args(["--print-size", "--demangle", "--defined-only"]).arg(&binary).output();
    let nm = nm.context("nm of binutils is not there; install it")?;
    let (mut by_crate, mut total) = (BTreeMap::<String, u64>::new(), 0);
    for line in String::from_utf8_lossy(&nm.stdout).lines() {
        let mut words = line.splitn(4, ' ');
        let (_, Some(size), Some("t" | "T" | "r" | "R" | "d" | "D"), Some(name)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let size = u64::from_str_radix(size, 16)?;
        total += size;
        *by_crate.entry(crate_of(name).to_owned()).or_default() += size;
    }
    ensure!(total > 0, "{} has no symbols", binary.display());
    let mut by_size: Vec<_> = by_crate.iter().collect();
    by_size.sort_by_key(|(_, size)| std::cmp::Reverse(**size));
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let file = binary.metadata()?.len();
    println!(
        "\nthe turn function: {:.1} MB with its symbols, {:.1} MB of code and data that have a name:",
        megabytes(file),
        megabytes(total)
    );
    let agent = by_crate.get("agent").copied().unwrap_or_default();
    println!("  agent: {:.2} MB, {:.1} %", megabytes(agent), agent as f64 * 100.0 / total as f64);
    println!(
        "  the largest: {}",
        by_size
            .iter()
            .take(10)
            .map(|(name, size)| format!("{name} {:.2} MB", megabytes(**size)))
            .collect::<Vec<_>>()
            .join(", ")
    );
    Ok(())
}

/// The crate whose path a symbol's name begins with; of an implementation, the type's.
fn crate_of(symbol: &str) -> &str {
    let path = symbol.trim_start_matches(['<', '&', '*', '(', '[']);
    let path = path.trim_start_matches("mut ").trim_start_matches("const ").trim_start_matches("dyn ");
    match path.split_once("::") {
        Some((name, _)) if name.chars().all(|c| c.is_alphanumeric() || c == '_') => name,
        _ => "no crate (C, tables)",
    }
}
