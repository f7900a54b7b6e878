//! The `lowtide` program: runs Lowtide on one machine, and talks to any Lowtide over its HTTP API.

pub mod dev;

mod abilities;
mod account;
mod answer;
mod approvals;
mod bot_card;
mod bot_models;
mod bot_settings;
mod bots;
mod chat;
mod client;
mod config;
mod dead_letters;
mod failure;
mod files;
mod heartbeat;
mod links;
mod money;
mod people;
mod progress;
mod prompt;
mod prompt_history;
mod schedules;
mod sessions;
mod table;
mod terminal;

use clap::{Parser, Subcommand};
use serde::Serialize;

use client::Client;
use config::Connection;
pub use failure::{Exit, Failure, exit_of};
use terminal::{Style, say, say_json};

const EXAMPLES: &str = "\
Examples:
  lowtide dev                                     start Lowtide on this machine
  lowtide chat                                    talk to your bot
  lowtide chat tidy --message 'what time is it?'  one question, one answer
  lowtide bots model tidy openai/gpt-5.1          give it a real model; asks for the key
  lowtide bots change tidy --budget 5             let it spend $5.00 a month
  lowtide bots tools tidy --ask write             ask you before it writes a file
  lowtide files tidy put skills/weather ./weather give it a skill
  lowtide links add telegram tidy                 put it on Telegram; asks for the token
  lowtide links check tidy telegram               see what it lacks there, and what to do

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 Lowtide cannot be reached, 4 no answer in time.";

/// Run many AI bots on AWS Lambda, or all of them in one process on your machine.
#[derive(Parser)]
#[command(name = "lowtide", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    connection: Connection,

    /// Print the API's JSON
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run Lowtide on this machine: API, webhooks, bots and state in one process
    Dev(dev::DevArgs),
    /// Talk to a bot
    Chat(chat::ChatArgs),
    /// Make, change and list bots
    #[command(subcommand, visible_alias = "bot")]
    Bots(Box<bots::BotsCommand>),
    /// Put bots on channels, and decide who may write to them
    #[command(subcommand, visible_alias = "link")]
    Links(links::LinksCommand),
    /// Have bots do things by themselves, at set times
    #[command(subcommand, visible_alias = "cron")]
    Schedules(schedules::SchedulesCommand),
    /// Read and write the files that say who a bot is and what it knows
    Files(files::FilesArgs),
    /// See a bot's conversations, and what each turn took
    #[command(visible_alias = "session")]
    Sessions(sessions::SessionsArgs),
    /// Show your account, rename it, change what all its bots together may spend, or leave it
    Account(account::AccountArgs),
    /// See what your bots have spent on models
    Usage(account::UsageArgs),
    /// See what you should know, such as a budget that is used up
    Notices(account::NoticesArgs),
    /// See what your bots want to do and may not without you; allow or deny it
    #[command(subcommand)]
    Approvals(approvals::ApprovalsCommand),
    /// Open the dashboard: print a link that lets one browser in
    Dashboard(people::DashboardArgs),
    /// Make, list and delete API keys
    #[command(subcommand, visible_alias = "key")]
    Keys(people::KeysCommand),
    /// List browsers that are signed in, and sign them out
    #[command(subcommand, visible_alias = "browser")]
    Browsers(people::BrowsersCommand),
    /// Invite people into your account, and say what they may do
    #[command(subcommand, visible_alias = "member")]
    Members(people::MembersCommand),
    /// See who changed what
    Audit(people::AuditArgs),
    /// See what failed for good; replay or discard it
    #[command(subcommand, visible_alias = "dlq")]
    DeadLetters(dead_letters::DeadLettersCommand),
}

/// How results are shown.
#[derive(Clone, Copy, Debug)]
struct Output {
    json: bool,
    style: Style,
}

impl Output {
    /// Shows a result: as the API's JSON if that was asked for, otherwise as `text`.
    fn show(self, view: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        if self.json { say_json(view) } else { Ok(say(text())?) }
    }

    /// Tells that something without a result was done.
    fn done(self, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        if self.json { Ok(()) } else { Ok(say(text())?) }
    }
}

/// Runs one command.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    let connection = cli.connection;
    let output = Output { json: cli.json, style: Style::of(&std::io::stdout()) };
    if let Command::Dev(args) = cli.command {
        return Box::pin(dev::run(args, connection.state_dir()?)).await;
    }
    runtime::install_crypto();
    let client = Client::new(connection.target()?)?;
    match cli.command {
        Command::Dev(_) => Ok(()),
        Command::Chat(args) => chat::run(&client, output, args, connection.state_dir().ok().as_deref()).await,
        Command::Bots(command) => Box::pin(bots::run(&client, output, *command)).await,
        Command::Links(command) => links::run(&client, output, command).await,
        Command::Schedules(command) => schedules::run(&client, output, command).await,
        Command::Files(args) => files::run(&client, output, args).await,
        Command::Sessions(args) => sessions::run(&client, output, args).await,
        Command::Account(args) => account::account(&client, output, args).await,
        Command::Usage(args) => account::usage(&client, output, args).await,
        Command::Notices(args) => account::notices(&client, output, args).await,
        Command::Approvals(command) => approvals::run(&client, output, command).await,
        Command::Dashboard(args) => people::dashboard(&client, output, args).await,
        Command::Keys(command) => people::keys(&client, output, command).await,
        Command::Browsers(command) => people::browsers(&client, output, command).await,
        Command::Members(command) => people::members(&client, output, command).await,
        Command::Audit(args) => people::audit(&client, output, args).await,
        Command::DeadLetters(command) => dead_letters::run(&client, output, command).await,
    }
}

/// Reads an option's value as the API writes it.
fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text.to_lowercase())).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn words_are_the_apis_own() {
        assert_eq!(word::<domain::access::DmPolicy>("Open"), Ok(domain::access::DmPolicy::Open));
        let error = word::<domain::SessionScope>("peer").unwrap_err();
        assert!(error.contains("per-channel-peer"), "{error}");
    }

    #[test]
    fn a_key_is_no_argument_of_a_bot() {
        let parsed = Cli::try_parse_from(["lowtide", "bots", "model", "tidy", "openai/x", "--api-key", "sk-1"]);
        assert!(parsed.is_err());
    }
}
