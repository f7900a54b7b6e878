//! `lowtide account`, `usage` and `notices`: what is allowed, what was spent, and what there is to know.

use api::views::{AccountPatch, AccountView, NoticeView, UsageView};
use clap::{Args, Subcommand};
use domain::BudgetScope;
use domain::budget::dollars;
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
        account = client.account_change(&AccountPatch { budget: Some(budget) }).await?;
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

/// Runs `lowtide usage`.
pub(crate) async fn usage(client: &Client, output: Output) -> anyhow::Result<()> {
    let usage = client.usage().await?;
    output.show(&usage, || {
        let row = |line: &UsageView| {
            let who = if line.scope == BudgetScope::Account { "all bots".to_owned() } else { line.name.clone() };
            let allowed = budget(line.budget.unwrap_or_default());
            [who, line.period.clone(), dollars(line.micros), line.turns.to_string(), allowed]
        };
        let rows: Vec<_> = usage.items.iter().map(row).collect();
        let table = table(output.style, ["WHO", "PERIOD", "SPENT", "TURNS", "BUDGET"], &rows);
        let note = "Only the turns of bots with a budget of their own, or of the account, are counted.";
        format!("{table}\n\n{}", output.style.dim(note))
    })
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
