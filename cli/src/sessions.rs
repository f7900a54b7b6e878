//! `lowtide sessions`: a bot's conversations, and what they took.

use api::views::{EntryKind, EntryView, SessionPage, SessionView, StepKind, StepView, TurnView};
use clap::{ArgGroup, Args};
use domain::Timestamp;
use domain::budget::dollars;
use domain::when::local_time;
use runtime::Clock;

use crate::Output;
use crate::bot_card::as_word;
use crate::client::Client;
use crate::table::{ago, fields, table};

/// How wide the picture of a turn's time is, in characters.
const PICTURE: u64 = 24;

#[derive(Args)]
#[command(
    group = ArgGroup::new("by_turn").args(["turns", "steps"]),
    after_help = "Examples:\n  lowtide sessions tidy\n  lowtide sessions tidy agent:main:main --turns\n  \
                  lowtide sessions tidy agent:main:main --steps --limit 1\n  \
                  lowtide sessions tidy agent:main:main --transcript"
)]
pub(crate) struct SessionsArgs {
    bot: String,
    /// One session, as the list names it
    session: Option<String>,
    /// What each of its latest turns took
    #[arg(long, requires = "session")]
    turns: bool,
    /// What each of its latest turns spent its time and money on, step by step, from its acceptance to its delivery
    #[arg(long, requires = "session")]
    steps: bool,
    /// What was said in it, from its first line on, with each tool that was called
    #[arg(long, requires = "session", conflicts_with = "by_turn")]
    transcript: bool,
    /// How many turns are shown at most, 1 to 100 [default: 20]
    #[arg(long, value_name = "N", requires = "by_turn")]
    limit: Option<u32>,
}

/// Runs `lowtide sessions`.
pub(crate) async fn run(client: &Client, output: Output, args: SessionsArgs) -> anyhow::Result<()> {
    let bot = client.bot_get(&args.bot).await?;
    let now = Clock::system().now();
    let Some(session) = args.session else {
        let sessions = client.session_list(bot.id).await?;
        return output.show(&sessions, || {
            if sessions.items.is_empty() {
                return format!("{} has had no conversations yet.", bot.name);
            }
            let row = |session: &SessionView| [session.session.to_string(), ago(session.created_at, now)];
            let rows: Vec<_> = sessions.items.iter().map(row).collect();
            table(output.style, ["SESSION", "BEGUN"], &rows)
        });
    };
    if args.turns {
        let page = client.session_turns(bot.id, &session, args.limit).await?;
        return output.show(&page, || {
            let row = |turn: &TurnView| {
                [
                    ago(turn.at, now),
                    turn.model_calls.to_string(),
                    turn.tool_calls.to_string(),
                    turn.usage.input.to_string(),
                    turn.usage.cached.to_string(),
                    turn.usage.output.to_string(),
                    dollars(turn.cost),
                    turn.models.join(", "),
                ]
            };
            let rows: Vec<_> = page.items.iter().map(row).collect();
            table(output.style, ["BEGUN", "CALLS", "TOOLS", "INPUT", "CACHED", "OUTPUT", "COST", "MODELS"], &rows)
        });
    }
    if args.steps {
        let page = client.session_turns(bot.id, &session, args.limit).await?;
        return output.show(&page, || {
            let turns: Vec<_> = page.items.iter().map(|turn| waterfall(output, turn, &bot.time_zone)).collect();
            turns.join("\n\n")
        });
    }
    if args.transcript {
        let entries = client.session_entries(bot.id, &session).await?;
        return output.show(&entries, || entries.items.iter().map(|entry| said(output, entry, now)).collect());
    }
    let page = client.session_get(bot.id, &session).await?;
    output.show(&page, || card(output, &page))
}

/// A turn, step by step: when each began after the first, how long it took, what it cost, and where in the turn's time
/// it lies.
fn waterfall(output: Output, turn: &TurnView, zone: &str) -> String {
    let from = turn.steps.iter().map(|step| step.at).min().unwrap_or(turn.at);
    let ends = turn.steps.iter().map(|step| after(from, step) + step.ms);
    let whole = ends.max().unwrap_or_default();
    let began = match turn.steps.first() {
        Some(StepView { kind: StepKind::Queued, .. }) => "accepted",
        _ => "began",
    };
    let head = format!("{} {began} {}", turn.turn, local_time(from, zone));
    let row = |step: &StepView| {
        let name = step.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
        let cost = if step.cost > 0 { dollars(step.cost) } else { String::new() };
        let begins = format!("{} ms", after(from, step));
        [format!("{}{name}", as_word(&step.kind)), begins, format!("{} ms", step.ms), cost, picture(from, step, whole)]
    };
    let mut rows: Vec<_> = turn.steps.iter().map(row).collect();
    rows.push(["all".to_owned(), "0 ms".to_owned(), format!("{whole} ms"), dollars(turn.cost), String::new()]);
    format!("{}\n{}", output.style.dim(head), table(output.style, ["STEP", "FROM", "TOOK", "COST", "WHERE"], &rows))
}

/// How long after `from` a step began, in milliseconds.
fn after(from: Timestamp, step: &StepView) -> u64 {
    step.at.as_millis().saturating_sub(from.as_millis())
}

/// `..####....`: where a step lies in the `whole` milliseconds of its turn.
fn picture(from: Timestamp, step: &StepView, whole: u64) -> String {
    let place = |ms: u64| ms.saturating_mul(PICTURE) / whole.max(1);
    let begins = place(after(from, step)).min(PICTURE - 1);
    let ends = place(after(from, step) + step.ms).clamp(begins + 1, PICTURE);
    (0..PICTURE).map(|at| if (begins..ends).contains(&at) { '#' } else { '.' }).collect()
}

/// An entry of a transcript: who says it and when, what, and which tools it calls.
fn said(output: Output, entry: &EntryView, now: Timestamp) -> String {
    let who = match entry.kind {
        EntryKind::User => entry.sender.as_ref().map_or("person", |it| it.name.as_deref().unwrap_or(&it.id)).to_owned(),
        EntryKind::Assistant => entry.model.clone().unwrap_or_else(|| "bot".to_owned()),
        EntryKind::ToolResult => format!("tool {}", entry.tool.as_deref().unwrap_or_default()),
        kind => as_word(&kind),
    };
    let calls: String = entry.tool_calls.iter().map(|call| format!("-> {} {}\n", call.name, call.arguments)).collect();
    let cost = if entry.cost > 0 { format!(" {}", dollars(entry.cost)) } else { String::new() };
    let head = format!("{} {} {who}{cost}", entry.seq, ago(entry.at, now));
    let text = entry.text.trim_end();
    let text = if text.is_empty() { String::new() } else { format!("{text}\n") };
    format!(
        "{}\n{}{}\n",
        output.style.dim(output.style.shown(&head)),
        output.style.shown(&text),
        output.style.shown(&calls)
    )
}

fn card(output: Output, page: &SessionPage) -> String {
    let usage = page.usage;
    let lines = [
        ("session", page.session.to_string()),
        ("entries", page.entries.to_string()),
        ("tokens in", format!("{}, of them {} from the cache", usage.input, usage.cached)),
        ("tokens out", usage.output.to_string()),
        ("cost", dollars(page.cost)),
        ("busy", if page.busy { "yes" } else { "no" }.to_owned()),
        ("last change", ago(page.updated_at, Clock::system().now())),
    ];
    fields(output.style, &lines)
}
