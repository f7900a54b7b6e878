//! `lowtide dead-letters`: tasks that failed for good, to look at, replay or discard.

use api::views::DeadLetterView;
use clap::Subcommand;
use runtime::Clock;

use crate::Output;
use crate::client::Client;
use crate::table::{ago, fields, table};
use crate::terminal::safe;

#[derive(Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List what failed for good
    #[command(visible_alias = "ls")]
    List,
    /// Show a dead letter with its task
    Show { id: String },
    /// Queue the task again
    Replay {
        id: String,
        /// Also if it was replayed or discarded before
        #[arg(long)]
        force: bool,
    },
    /// Settle it without another try
    Discard { id: String },
}

/// Runs `lowtide dead-letters`.
pub(crate) async fn run(client: &Client, output: Output, command: DeadLettersCommand) -> anyhow::Result<()> {
    match command {
        DeadLettersCommand::List => {
            let letters = client.dead_letter_list().await?;
            let now = Clock::system().now();
            output.show(&letters, || {
                if letters.items.is_empty() {
                    return "No dead letters: everything that was accepted was worked on.".to_owned();
                }
                let row = |letter: &DeadLetterView| {
                    let failed = ago(letter.failed_at, now);
                    [letter.id.to_string(), letter.queue.clone(), status(letter), failed, letter.reason.clone()]
                };
                let rows: Vec<_> = letters.items.iter().map(row).collect();
                table(output.style, ["ID", "QUEUE", "STATUS", "FAILED", "REASON"], &rows)
            })
        }
        DeadLettersCommand::Show { id } => {
            let letter = client.dead_letter_get(&id).await?;
            output.show(&letter, || card(output, &letter))
        }
        DeadLettersCommand::Replay { id, force } => {
            let letter = client.dead_letter_replay(&id, force).await?;
            output.show(&letter, || format!("{} is queued again.", letter.id))
        }
        DeadLettersCommand::Discard { id } => {
            let letter = client.dead_letter_discard(&id).await?;
            output.show(&letter, || format!("{} is discarded.", letter.id))
        }
    }
}

fn card(output: Output, letter: &DeadLetterView) -> String {
    let mut text = fields(
        output.style,
        &[
            ("id", letter.id.to_string()),
            ("bot", letter.bot.map(|bot| bot.to_string()).unwrap_or_default()),
            ("queue", letter.queue.clone()),
            ("status", status(letter)),
            ("failed", ago(letter.failed_at, Clock::system().now())),
            ("reason", letter.reason.clone()),
        ],
    );
    if let Some(task) = letter.task.as_ref().and_then(|task| serde_json::to_string_pretty(task).ok()) {
        text.push_str("\n\n");
        text.push_str(&safe(&task));
    }
    text
}

fn status(letter: &DeadLetterView) -> String {
    format!("{:?}", letter.status).to_lowercase()
}
