//! `lowtide files`: the Markdown files that say who a bot is and what it knows.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use api::views::FileView;
use clap::{Args, Subcommand};

use crate::Output;
use crate::client::Client;
use crate::failure::Failure;
use crate::table::table;
use crate::terminal::say;

#[derive(Args)]
pub(crate) struct FilesArgs {
    bot: String,
    #[command(subcommand)]
    action: FilesAction,
}

#[derive(Subcommand)]
enum FilesAction {
    /// List the files
    #[command(visible_alias = "ls")]
    List,
    /// Print a file
    Get { name: String },
    /// Replace a file, or add one
    Put {
        name: String,
        /// Where the text is; `-` is standard input
        file: PathBuf,
    },
}

/// Runs `lowtide files`.
pub(crate) async fn run(client: &Client, output: Output, args: FilesArgs) -> anyhow::Result<()> {
    let bot = client.bot_get(&args.bot).await?;
    match args.action {
        FilesAction::List => {
            let files = client.file_list(bot.id).await?;
            output.show(&files, || {
                if files.items.is_empty() {
                    return format!("{} has no files.", bot.name);
                }
                let row = |file: &FileView| [file.name.clone(), file.tag.clone()];
                let rows: Vec<_> = files.items.iter().map(row).collect();
                table(output.style, ["NAME", "TAG"], &rows)
            })
        }
        FilesAction::Get { name } => {
            let text = client.file_get(bot.id, &name).await?;
            if output.json {
                return output.show(&text, String::new);
            }
            if output.style.is_terminal {
                return Ok(say(output.style.shown(text.trim_end()))?);
            }
            // Byte for byte, so that what was read can be written back.
            Ok(io::stdout().write_all(text.as_bytes())?)
        }
        FilesAction::Put { name, file } => {
            let text = read(&file)?;
            client.file_put(bot.id, &name, text).await?;
            output.done(|| format!("{name} is written. {} reads it from its next turn on.", bot.name))
        }
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    let unreadable = |error| Failure::usage(format!("Cannot read {}: {error}.", path.display()));
    Ok(std::fs::read_to_string(path).map_err(unreadable)?)
}
