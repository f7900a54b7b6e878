//! `lowtide account`, `usage` and `notices`: what is allowed, what was spent, and what there is to know.

use api::views::{AccountPatch, AccountView, NoticeView, UsageLine, UsageReport, UsageView};
use clap::{Args, Subcommand};
use domain::budget::dollars;
use domain::{BudgetScope, Role, Usage};
use runtime::Clock;

use crate::Output;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::money::{BudgetArgs, budget};
use crate::people::find_member;
use crate::table::{ago, fields, table};
use crate::terminal::{confirm, one_line};

#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  lowtide account\n  lowtide account --name 'Harbour office' --budget 20\n  \
                  lowtide account leave ada@example.org"
)]
pub(crate) struct AccountArgs {
    #[command(subcommand)]
    command: Option<AccountCommand>,
    /// Call the account something else
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    budget: BudgetArgs,
}

#[derive(Subcommand)]
enum AccountCommand {
    /// Be a member of the account no more
    Leave {
        /// Who leaves, by e-mail address, name or id: a terminal's key belongs to the account and names nobody
        member: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Runs `lowtide account`.
pub(crate) async fn account(client: &Client, output: Output, args: AccountArgs) -> anyhow::Result<()> {
    if let Some(AccountCommand::Leave { member, yes }) = args.command {
        return leave(client, output, &member, yes).await;
    }
    let mut account = client.account_get().await?;
    let patch = AccountPatch { name: args.name, budget: args.budget.change(account.budget)? };
    if patch.name.is_some() || patch.budget.is_some() {
        account = client.account_change(&patch).await?;
    }
    output.show(&account, || card(output, &account))
}

async fn leave(client: &Client, output: Output, who: &str, yes: bool) -> anyhow::Result<()> {
    let members = client.member_list().await?.items;
    let owners = members.iter().filter(|other| other.role == Role::Owner).count();
    let member = find_member(members, who)?;
    if member.role == Role::Owner && owners == 1 {
        let message = format!(
            "{} is the account's only owner, and it needs one. Make somebody else an owner first: lowtide members role \
             MEMBER owner",
            member.name
        );
        return Err(Failure::new(Exit::Failed, message).into());
    }
    let account = client.account_get().await?.name;
    if !yes && !confirm(&format!("Take {} out of the account {account}?", member.name))? {
        return Err(Failure::usage("Nothing was done.").into());
    }
    client.member_delete(&member.user.to_string()).await?;
    output.done(|| {
        let note = "API keys belong to the account, so this terminal's still works; `lowtide keys delete` ends one.";
        format!("{} left {account}: their browsers are signed out.\n{}", member.name, output.style.dim(note))
    })
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
