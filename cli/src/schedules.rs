//! `lowtide schedules`: what bots do by themselves, and when.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use api::views::{Items, RunView, ScheduleView};
use clap::{Args, Subcommand};
use domain::job::{Firing, JobSpec, Outcome, Payload};
use domain::when::{in_units, local_time, parse_duration};
use domain::{BotId, Job, JobId, Schedule};
use serde_json::{Map, Value, json};

use crate::Output;
use crate::client::Client;
use crate::failure::Failure;
use crate::table::{fields, table};
use crate::terminal::one_line;

#[derive(Subcommand)]
pub(crate) enum SchedulesCommand {
    /// List a bot's schedules
    #[command(visible_alias = "ls")]
    List { bot: String },
    /// Have a bot do something at its time
    Add(AddArgs),
    /// Show a schedule, with its next runs
    Show { bot: String, schedule: String },
    /// Change a schedule
    Edit(EditArgs),
    /// Begin a run now, beside the schedule
    Run { bot: String, schedule: String },
    /// Switch a schedule off
    Pause { bot: String, schedule: String },
    /// Switch a schedule on again
    Resume { bot: String, schedule: String },
    /// Remove a schedule
    #[command(visible_alias = "rm")]
    Remove { bot: String, schedule: String },
    /// Show the last runs of a schedule
    Runs { bot: String, schedule: String },
    /// Take over jobs from a file of OpenClaw's (`cron/jobs.json`), or any list of jobs in its shape
    ///
    /// What was taken over before is left as it is, and so are jobs that OpenClaw makes for itself.
    Import(ImportArgs),
}

/// When.
#[derive(Args)]
#[group(multiple = false)]
pub(crate) struct WhenArgs {
    /// Once: `in 20m`, `14:30`, `2026-11-22 14:30`, by the bot's clock
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Again and again, such as 30m, 2h or 1d
    #[arg(long, value_name = "TIME")]
    every: Option<String>,
    /// A cron expression, such as `0 9 * * 1-5`
    #[arg(long, value_name = "EXPR")]
    cron: Option<String>,
}

#[derive(Args)]
pub(crate) struct ImportArgs {
    bot: String,
    file: PathBuf,
    /// Only the jobs of this agent of OpenClaw's
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
}

/// What else a schedule says, new or changed.
#[derive(Args)]
pub(crate) struct HowArgs {
    /// The time zone of --cron [default: the bot's]
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// Begin each run up to this much later, another part of it each time, such as 90s
    #[arg(long, value_name = "TIME")]
    jitter: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Another model for the work
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// How much the model thinks: off, minimal, low, medium, high or xhigh
    #[arg(long, value_name = "LEVEL")]
    thinking: Option<String>,
    /// Keep it after its only run
    #[arg(long)]
    keep: bool,
    /// Remove it after a run that went well
    #[arg(long, conflicts_with = "keep")]
    delete_after_run: bool,
    /// Where the answer goes: last (where people wrote last), none, a link's id, or the https:// address that it is posted to
    #[arg(long, value_name = "WHERE")]
    deliver: Option<String>,
    /// The chat on that link, by the channel's own id
    #[arg(long, value_name = "CHAT", requires = "deliver")]
    to: Option<String>,
    /// What becomes of times that were missed: skip, once or all
    #[arg(long, value_name = "POLICY")]
    missed: Option<String>,
}

impl HowArgs {
    /// Writes what is said into a job or a change of one.
    fn write(&self, job: &mut Map<String, Value>) -> Result<(), Failure> {
        if let Some(zone) = &self.tz {
            let Some(schedule) = job.get_mut("schedule").filter(|schedule| schedule["kind"] == "cron") else {
                return Err(Failure::usage("--tz is the time zone of --cron: give the expression, too."));
            };
            schedule["tz"] = json!(zone);
        }
        if let Some(jitter) = &self.jitter {
            let bad = || Failure::usage(format!("`{jitter}` is not a duration; write --jitter like 90s or 5m."));
            let jitter = parse_duration(jitter).ok_or_else(bad)?;
            job.insert("jitterMs".to_owned(), json!(u64::try_from(jitter.as_millis()).unwrap_or(u64::MAX)));
        }
        job.extend(self.description.as_ref().map(|text| ("description".to_owned(), json!(text))));
        for (field, text) in [("model", &self.model), ("thinking", &self.thinking)] {
            let Some(text) = text else { continue };
            job.entry("payload").or_insert_with(|| json!({}))[field] = json!(text);
        }
        if self.keep || self.delete_after_run {
            job.insert("deleteAfterRun".to_owned(), json!(self.delete_after_run));
        }
        if let Some(place) = &self.deliver {
            job.insert("delivery".to_owned(), delivery(place, self.to.as_deref())?);
        }
        if let Some(policy) = &self.missed {
            job.insert("missed".to_owned(), json!({ "policy": policy }));
        }
        Ok(())
    }
}

#[derive(Args)]
pub(crate) struct AddArgs {
    bot: String,
    /// What to do, or to remind of
    message: String,
    /// What to call it [default: the message]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    when: WhenArgs,
    /// Tell the bot in its own conversation, instead of having it work in one that is new each time
    #[arg(long, conflicts_with_all = ["model", "thinking"])]
    remind: bool,
    /// In which session: main, isolated (a new one each time), or the name or key of one [default: isolated, or main with
    /// --remind]
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// Make it switched off
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Args)]
pub(crate) struct EditArgs {
    bot: String,
    schedule: String,
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    when: WhenArgs,
    /// What to do, or to remind of
    #[arg(long)]
    message: Option<String>,
    #[command(flatten)]
    how: HowArgs,
}

impl WhenArgs {
    fn schedule(&self) -> Option<Value> {
        let WhenArgs { at, every, cron } = self;
        let at = at.as_ref().map(|at| json!({ "kind": "at", "at": at }));
        let every = every.as_ref().map(|every| json!({ "kind": "every", "every": every }));
        let cron = cron.as_ref().map(|expr| json!({ "kind": "cron", "expr": expr }));
        at.or(every).or(cron)
    }
}

/// Where an answer goes, as a job says it.
pub(crate) fn delivery(place: &str, to: Option<&str>) -> Result<Value, Failure> {
    let is_url = place.starts_with("https://") || place.starts_with("http://");
    if is_url && to.is_some() {
        return Err(Failure::usage("--to is a chat on a link; an address to post to has none."));
    }
    let mut delivery = match place {
        url if is_url => json!({ "mode": "webhook", "to": url }),
        "none" => json!({ "mode": "none" }),
        "last" => json!({ "mode": "announce", "channel": "last" }),
        link => json!({ "mode": "announce", "link": link }),
    };
    if let Some(to) = to {
        delivery["to"] = json!(to);
    }
    Ok(delivery)
}

/// A session as a job names it.
fn session_target(session: &str) -> String {
    match session {
        "main" | "isolated" => session.to_owned(),
        name => format!("session:{}", name.strip_prefix("session:").unwrap_or(name)),
    }
}

/// The secret of a webhook that was made just now.
fn webhook(schedule: &ScheduleView) -> String {
    let Some(secret) = &schedule.webhook_secret else { return String::new() };
    format!(
        "\n\nIts answers are posted there signed, as standardwebhooks.com says. This is told once:\n\n  {secret}\n\n\
         `lowtide links` lists what is posted where; removing the link there ends it."
    )
}

/// Runs `lowtide schedules`.
pub(crate) async fn run(client: &Client, output: Output, command: SchedulesCommand) -> anyhow::Result<()> {
    match command {
        SchedulesCommand::List { bot } => {
            let bot = client.bot_get(&bot).await?;
            let schedules = client.schedule_list(bot.id).await?;
            output.show(&schedules, || listed(output, &schedules, &bot.time_zone))
        }
        SchedulesCommand::Add(args) => add(client, output, args).await,
        SchedulesCommand::Show { bot, schedule } => {
            let bot = client.bot_get(&bot).await?;
            let schedule = find(client, bot.id, &schedule).await?;
            output.show(&schedule, || card(output, &schedule, &bot.time_zone))
        }
        SchedulesCommand::Edit(args) => edit(client, output, args).await,
        SchedulesCommand::Run { bot, schedule } => {
            let bot = client.bot_get(&bot).await?.id;
            let schedule = find(client, bot, &schedule).await?;
            client.schedule_run(bot, schedule.job.id).await?;
            output.done(|| format!("{} begins now.", schedule.job.spec.name))
        }
        SchedulesCommand::Pause { bot, schedule } => switch(client, output, &bot, &schedule, false).await,
        SchedulesCommand::Resume { bot, schedule } => switch(client, output, &bot, &schedule, true).await,
        SchedulesCommand::Remove { bot, schedule } => {
            let bot = client.bot_get(&bot).await?.id;
            let schedule = find(client, bot, &schedule).await?;
            client.schedule_delete(bot, schedule.job.id).await?;
            output.done(|| format!("{} is removed.", schedule.job.spec.name))
        }
        SchedulesCommand::Runs { bot, schedule } => {
            let bot = client.bot_get(&bot).await?;
            let schedule = find(client, bot.id, &schedule).await?;
            let runs = client.schedule_runs(bot.id, schedule.job.id).await?;
            output.show(&runs, || told(output, &runs, &bot.time_zone))
        }
        SchedulesCommand::Import(args) => import(client, output, &args).await,
    }
}

async fn add(client: &Client, output: Output, args: AddArgs) -> anyhow::Result<()> {
    let Some(schedule) = args.when.schedule() else {
        return Err(Failure::usage("Say when: --at, --every or --cron.").into());
    };
    let bot = client.bot_get(&args.bot).await?;
    let name = args.name.unwrap_or_else(|| args.message.chars().take(60).collect());
    let mut job = Map::from_iter([("name".to_owned(), json!(name)), ("schedule".to_owned(), schedule)]);
    let payload = match args.remind {
        true => json!({ "kind": "systemEvent", "text": args.message }),
        false => json!({ "kind": "agentTurn", "message": args.message }),
    };
    job.insert("payload".to_owned(), payload);
    let session = args.session.as_deref().or(args.remind.then_some("main"));
    job.extend(session.map(|session| ("sessionTarget".to_owned(), json!(session_target(session)))));
    if args.disabled {
        job.insert("enabled".to_owned(), json!(false));
    }
    args.how.write(&mut job)?;
    let made = client.schedule_create(bot.id, &Value::Object(job)).await?;
    output.show(&made, || format!("{} {}{}", made.job.spec.name, next(&made, &bot.time_zone), webhook(&made)))
}

async fn edit(client: &Client, output: Output, args: EditArgs) -> anyhow::Result<()> {
    let bot = client.bot_get(&args.bot).await?;
    let seen = find(client, bot.id, &args.schedule).await?;
    let mut patch = Map::new();
    if let Some(name) = args.name {
        patch.insert("name".to_owned(), json!(name));
    }
    if let Some(mut schedule) = args.when.schedule() {
        // An expression stays in the time zone that it had.
        if let Schedule::Cron { tz: Some(zone), .. } = &seen.job.spec.schedule
            && schedule["kind"] == "cron"
        {
            schedule["tz"] = json!(zone);
        }
        patch.insert("schedule".to_owned(), schedule);
    }
    let is_event = matches!(seen.job.spec.payload, Payload::SystemEvent { .. });
    if is_event && (args.how.model.is_some() || args.how.thinking.is_some()) {
        return Err(Failure::usage("--model and --thinking are of work; a reminder is told with the bot's own.").into());
    }
    if let Some(message) = args.message {
        let field = if is_event { "text" } else { "message" };
        patch.insert("payload".to_owned(), json!({ field: message }));
    }
    args.how.write(&mut patch)?;
    if patch.is_empty() {
        let text = "Say what to change: --name, --message, when (--at, --every, --cron) or how, as `--help` lists.";
        return Err(Failure::usage(text).into());
    }
    let changed = client.schedule_change(bot.id, &seen, &Value::Object(patch)).await?;
    output.show(&changed, || format!("{}{}", card(output, &changed, &bot.time_zone), webhook(&changed)))
}

async fn switch(client: &Client, output: Output, bot: &str, schedule: &str, on: bool) -> anyhow::Result<()> {
    let bot = client.bot_get(bot).await?;
    let seen = find(client, bot.id, schedule).await?;
    let changed = client.schedule_change(bot.id, &seen, &json!({ "enabled": on })).await?;
    output
        .show(&changed, || format!("{} {}{}", changed.job.spec.name, next(&changed, &bot.time_zone), webhook(&changed)))
}

async fn import(client: &Client, output: Output, args: &ImportArgs) -> anyhow::Result<()> {
    let ImportArgs { bot, file, agent } = args;
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let json: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))?;
    // OpenClaw's file has them under `jobs`.
    let Some(jobs) = json.get("jobs").unwrap_or(&json).as_array() else {
        return Err(Failure::usage("The file should hold a list of jobs, or an object with a list `jobs`.").into());
    };
    let jobs = of_agent(jobs, agent.as_deref())?;
    let bot = client.bot_get(bot).await?;
    let known = client.schedule_list(bot.id).await?;
    let mut made = vec![];
    let mut refused = 0;
    let mut left = 0;
    for job in jobs {
        let name = job.get("name").and_then(Value::as_str).unwrap_or("a job without a name").to_owned();
        let why = match job.get("declarationKey").and_then(Value::as_str) {
            Some(_) => Some("OpenClaw made it for itself"),
            None => known.items.iter().any(|schedule| is_same(job, &schedule.job)).then_some("it is there already"),
        };
        if let Some(why) = why {
            left += 1;
            eprintln!("{}: left out, {why}.", one_line(&name, 60));
            continue;
        }
        match client.schedule_create(bot.id, job).await {
            Ok(schedule) => made.push(schedule),
            Err(failure) if failure.may_pass => return Err(failure.into()),
            Err(failure) => {
                refused += 1;
                eprintln!("{}: {failure}", one_line(&name, 60));
            }
        }
    }
    let made = Items { items: made };
    output.show(&made, || {
        let mut lines: Vec<String> = made
            .items
            .iter()
            .map(|schedule| {
                let left_out = match schedule.left_out.join(", ") {
                    none if none.is_empty() => none,
                    some => format!("; left out: {some}"),
                };
                format!("{} {}{left_out}", schedule.job.spec.name, next(schedule, &bot.time_zone))
            })
            .collect();
        lines.push(format!("{} taken over, {left} left out, {refused} refused.", made.items.len()));
        lines.join("\n")
    })
}

/// The jobs of one agent of OpenClaw's; without its id of the only one.
fn of_agent<'a>(jobs: &'a [Value], agent: Option<&str>) -> Result<Vec<&'a Value>, Failure> {
    let agent_of = |job: &'a Value| job.get("agentId").and_then(Value::as_str).unwrap_or("main");
    let agents: BTreeSet<&str> = jobs.iter().map(agent_of).collect();
    let names = agents.iter().copied().collect::<Vec<_>>().join(", ");
    match agent {
        None if agents.len() > 1 => {
            Err(Failure::usage(format!("The file has jobs of several agents ({names}): choose one with --agent.")))
        }
        Some(agent) if !agents.contains(agent) => {
            Err(Failure::usage(format!("The file has no jobs of the agent `{agent}`; it has those of {names}.")))
        }
        None => Ok(jobs.iter().collect()),
        Some(agent) => Ok(jobs.iter().filter(|job| agent_of(job) == agent).collect()),
    }
}

/// Whether a job was taken over before: the bot has one of the same name that does the same at the same times.
fn is_same(job: &Value, known: &Job) -> bool {
    let Ok((spec, _)) = JobSpec::from_json(job) else { return false };
    let at_same_times = match (&spec.schedule, &known.spec.schedule) {
        // What was left open is settled when a job is made.
        (Schedule::Every { every_ms, anchor_ms: None }, Schedule::Every { every_ms: known, .. }) => every_ms == known,
        (Schedule::Cron { expr, tz: None, .. }, Schedule::Cron { expr: known, .. }) => expr == known,
        (given, known) => given == known,
    };
    at_same_times && spec.name == known.spec.name && spec.payload == known.spec.payload
}

/// A schedule by its id or its name.
async fn find(client: &Client, bot: BotId, named: &str) -> anyhow::Result<ScheduleView> {
    let schedules = client.schedule_list(bot).await?;
    let id = named.parse::<JobId>().ok();
    let is_it =
        |schedule: &ScheduleView| id == Some(schedule.job.id) || schedule.job.spec.name.eq_ignore_ascii_case(named);
    let mut found: Vec<ScheduleView> = schedules.items.into_iter().filter(is_it).collect();
    match (found.pop(), found.len()) {
        (Some(schedule), 0) => Ok(schedule),
        (Some(_), others) => {
            let text = format!("{} schedules are called `{named}`. Name one by its id.", others + 1);
            Err(Failure::usage(text).into())
        }
        (None, _) => {
            Err(Failure::usage(format!("There is no schedule `{named}`. `lowtide schedules list` shows them.")).into())
        }
    }
}

/// `next 2026-11-22 14:30 UTC`
fn next(schedule: &ScheduleView, zone: &str) -> String {
    let job = &schedule.job;
    let soonest = job.state.pending.iter().map(|run| run.at).min();
    match soonest.or(job.state.next.map(|at| job.begins(at))) {
        Some(at) if job.spec.enabled => format!("next {}", local_time(at, zone)),
        _ => "off".to_owned(),
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok => "ok".to_owned(),
        Outcome::Skipped { reason } => format!("skipped: {reason}"),
        Outcome::Error { error } => format!("failed: {error}"),
    }
}

fn listed(output: Output, schedules: &Items<ScheduleView>, zone: &str) -> String {
    if schedules.items.is_empty() {
        return "No schedules. Ask the bot to remind you of something, or see `lowtide schedules add --help`."
            .to_owned();
    }
    let row = |schedule: &ScheduleView| {
        let spec = &schedule.job.spec;
        let last = schedule.job.state.last.as_ref().map(outcome).unwrap_or_default();
        [spec.name.clone(), spec.schedule.in_words(zone), next(schedule, zone), last, schedule.job.id.to_string()]
    };
    let rows: Vec<_> = schedules.items.iter().map(row).collect();
    table(output.style, ["NAME", "WHEN", "NEXT", "LAST", "ID"], &rows)
}

fn card(output: Output, schedule: &ScheduleView, zone: &str) -> String {
    let job = &schedule.job;
    let text = match &job.spec.payload {
        Payload::SystemEvent { text } => format!("reminds: {text}"),
        Payload::AgentTurn { message, .. } => format!("works: {message}"),
        Payload::Heartbeat => "looks whether there is something to do".to_owned(),
    };
    let mut lines =
        vec![("id", job.id.to_string()), ("name", job.spec.name.clone()), ("when", job.spec.schedule.in_words(zone))];
    lines.extend(coming(schedule, zone));
    lines.extend([
        ("does", text),
        ("session", String::from(job.spec.session_target.clone())),
        ("so far", schedule.told.clone()),
    ]);
    if let Some(last) = &job.state.last {
        lines.push(("last", outcome(last)));
    }
    if let Some(pause) = &job.state.paused {
        lines.push(("switched off", pause.reason.clone()));
    }
    fields(output.style, &lines)
}

/// The runs to come, by the clock of the schedule, and how they are spread.
fn coming(schedule: &ScheduleView, zone: &str) -> Vec<(&'static str, String)> {
    let spec = &schedule.job.spec;
    let zone = match &spec.schedule {
        Schedule::Cron { tz: Some(own), .. } => own,
        _ => zone,
    };
    let line = |run: &Firing| match run.at.since(run.scheduled) {
        late if late.as_secs() == 0 => local_time(run.at, zone),
        late => format!("{}, {} after its time", local_time(run.at, zone), in_units(late)),
    };
    let names = std::iter::once("next").chain(std::iter::repeat(""));
    let mut lines: Vec<_> = names.zip(schedule.next_runs.iter().map(line)).collect();
    if lines.is_empty() {
        let none = if spec.enabled { "nothing is to come" } else { "off" };
        lines.push(("next", none.to_owned()));
    }
    if spec.jitter_ms > 0 {
        let jitter = in_units(Duration::from_millis(spec.jitter_ms));
        lines.push(("jitter", format!("each run begins up to {jitter} late, another part of it each time")));
    }
    lines
}

fn told(output: Output, runs: &Items<RunView>, zone: &str) -> String {
    if runs.items.is_empty() {
        return "It has not run yet.".to_owned();
    }
    let row = |run: &RunView| {
        [local_time(run.started_at, zone), format!("{:.1} s", run.duration as f64 / 1000.0), outcome(&run.outcome)]
    };
    let rows: Vec<_> = runs.items.iter().map(row).collect();
    table(output.style, ["BEGAN", "TOOK", "END"], &rows)
}
