//! `lowtide account`, `usage` and `notices`: what is allowed, what was spent, and what there is to know.

use api::views::{AccountPatch, AccountView, NoticeView, UsageLine, UsageReport, UsageView};
use clap::{Args, Subcommand};
use domain::budget::dollars;
use domain::{BudgetScope, Usage};
use runtime::Clock;

use crate::Output;
use crate::client::Client;
use crate::failure::Failure;
use crate::money::{BudgetArgs, budget};
use crate::table::{ago, fields, table};
use crate::terminal::one_line;

#[derive(Args)]
pub(crate) struct AccountArgs {
    #[command(flatten)]
    budget: BudgetArgs,
}

/// Runs `lowtide account`.
pub(crate) async fn account(client: &Client, output: Output, args: AccountArgs) -> anyhow::Result<()> {
    let mut account = client.account_get().await?;
    if let Some(budget) = args.budget.change(account.budget)? {
        account = client.account_change(&AccountPatch { budget: Some(budget), ..AccountPatch::default() }).await?;
    }
    output.show(&account, || card(output, &account))
}

fn card(output: Output, account: &AccountView) -> String {
    let lines = [
        ("name", account.name.clone()),
        ("id", account.id.to_string()),
        ("budget", budget(account.budget.unwrap_or_default())),
    ];
    fields(output.style, &lines)
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  lowtide usage\n  lowtide usage --by model --from 2026-11-01\n  lowtide usage --by day --split model --bot tidy"
)]
pub(crate) struct UsageArgs {
    /// What models were used for, told apart by this; left out: what was spent of budgets
    #[arg(long, value_parser = ["day", "bot", "channel", "model"])]
    by: Option<String>,
    /// The first day, as 2026-11-22 (UTC) [default: 13 days before the last]
    #[arg(long, value_name = "DAY", requires = "by")]
    from: Option<String>,
    /// The last day [default: today]
    #[arg(long, value_name = "DAY", requires = "by")]
    to: Option<String>,
    /// Of --by day: each day in parts, told apart by this
    #[arg(long, requires = "by", value_parser = ["bot", "channel", "model"])]
    split: Option<String>,
    /// One bot alone
    #[arg(long, requires = "by")]
    bot: Option<String>,
}

/// Runs `lowtide usage`.
pub(crate) async fn usage(client: &Client, output: Output, args: UsageArgs) -> anyhow::Result<()> {
    if let Some(by) = &args.by {
        let query = [
            ("by", Some(by)),
            ("from", args.from.as_ref()),
            ("to", args.to.as_ref()),
            ("split", args.split.as_ref()),
            ("bot", args.bot.as_ref()),
        ];
        let query: Vec<_> = query.into_iter().filter_map(|(name, value)| Some((name, value?.as_str()))).collect();
        let report = client.usage_report(&query).await?;
        return output.show(&report, || report_table(output, by, &report));
    }
    let usage = client.usage().await?;
    output.show(&usage, || {
        let row = |line: &UsageView| {
            let who = if line.scope == BudgetScope::Account { "all bots".to_owned() } else { line.name.clone() };
            let allowed = budget(line.budget.unwrap_or_default());
            [who, line.period.clone(), dollars(line.micros), line.turns.to_string(), allowed]
        };
        let rows: Vec<_> = usage.items.iter().map(row).collect();
        let table = table(output.style, ["WHO", "PERIOD", "SPENT", "TURNS", "BUDGET"], &rows);
        let note = "Only the turns of bots with a budget of their own, or of the account, are counted here; `lowtide usage --by bot` has all.";
        format!("{table}\n\n{}", output.style.dim(note))
    })
}

fn report_table(output: Output, by: &str, report: &UsageReport) -> String {
    let row = |line: &UsageLine, mark: &str| {
        let Usage { input, output, cached, .. } = line.usage;
        let numbers = [line.turns, line.calls, input, cached, output].map(|number| number.to_string());
        let [turns, calls, input, cached, output] = numbers;
        [format!("{mark}{}", line.name), turns, calls, input, cached, output, dollars(line.cost)]
    };
    let with_parts = |line: &UsageLine| {
        let parts: Vec<_> = line.parts.iter().map(|part| row(part, "- ")).collect();
        std::iter::once(row(line, "")).chain(parts)
    };
    let rows: Vec<_> = report.items.iter().chain([&report.total]).flat_map(with_parts).collect();
    let by = by.to_uppercase();
    table(output.style, [by.as_str(), "TURNS", "CALLS", "INPUT", "CACHED", "OUTPUT", "COST"], &rows)
}

#[derive(Args)]
pub(crate) struct NoticesArgs {
    #[command(subcommand)]
    command: Option<NoticesCommand>,
}

#[derive(Subcommand)]
enum NoticesCommand {
    /// List what you should know [default]
    #[command(visible_alias = "ls")]
    List,
    /// Remove a notice, or all of them
    Clear {
        /// What the notice is about, as the list says; left out: all
        about: Option<String>,
    },
}

/// Runs `lowtide notices`.
pub(crate) async fn notices(client: &Client, output: Output, args: NoticesArgs) -> anyhow::Result<()> {
    let notices = client.notice_list().await?;
    match args.command {
        None | Some(NoticesCommand::List) => output.show(&notices, || {
            if notices.items.is_empty() {
                return "No notices.".to_owned();
            }
            notices.items.iter().map(|notice| told(output, notice)).collect::<Vec<_>>().join("\n")
        }),
        Some(NoticesCommand::Clear { about: Some(about) }) => {
            if !notices.items.iter().any(|notice| notice.about == about) {
                let message = format!("There is no notice about `{about}`. `lowtide notices` lists them.");
                return Err(Failure::usage(message).into());
            }
            client.notice_delete(&about).await?;
            output.done(|| "The notice is removed.".to_owned())
        }
        Some(NoticesCommand::Clear { about: None }) => {
            for notice in &notices.items {
                client.notice_delete(&notice.about).await?;
            }
            output.done(|| match notices.items.len() {
                1 => "1 notice is removed.".to_owned(),
                count => format!("{count} notices are removed."),
            })
        }
    }
}

fn told(output: Output, notice: &NoticeView) -> String {
    let when = ago(notice.at, Clock::system().now());
    let about = format!("{when} · {}", one_line(&notice.about, usize::MAX));
    format!("{}\n  {}", one_line(&notice.text, usize::MAX), output.style.dim(about))
}
