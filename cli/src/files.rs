//! `lowtide files`: what says who a bot is and what it knows, its notes and its skills.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use api::views::FileView;
use clap::{Args, Subcommand};

use crate::Output;
use crate::client::Client;
use crate::failure::Failure;
use crate::table::table;
use crate::terminal::{confirm, say};

const EXAMPLES: &str = "\
Examples:
  lowtide files tidy get SOUL.md
  lowtide files tidy put skills/weather ./weather   a folder: a skill, with all its files";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
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
    /// Replace a file, or add one; or all files of a folder
    Put {
        /// Its path in the workspace, such as SOUL.md or skills/weather
        name: String,
        /// Where the text is; `-` is standard input. Of a folder all that is not hidden is taken
        file: PathBuf,
    },
    /// Delete a file
    #[command(visible_alias = "rm")]
    Delete {
        name: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
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
                let row = |file: &FileView| [file.name.clone(), file.size.to_string(), file.tag.clone()];
                let rows: Vec<_> = files.items.iter().map(row).collect();
                table(output.style, ["NAME", "BYTES", "TAG"], &rows)
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
        FilesAction::Put { name, file } if file.is_dir() => {
            let name = name.trim_end_matches('/');
            // All are read before the first is written, so that a file that cannot be read leaves no half.
            let mut files = Vec::new();
            for path in files_below(&file)? {
                let within = path.strip_prefix(&file).unwrap_or(&path);
                let parts: Vec<_> = within.components().map(|part| part.as_os_str().to_string_lossy()).collect();
                files.push((format!("{name}/{}", parts.join("/")), read(&path)?));
            }
            if files.is_empty() {
                return Err(Failure::usage(format!("There are no files in {}.", file.display())).into());
            }
            let count = files.len();
            for (name, text) in files {
                client.file_put(bot.id, &name, text).await?;
            }
            let files = if count == 1 { "1 file is".to_owned() } else { format!("{count} files are") };
            output.done(|| format!("{files} written to {name}. {} has them from its next turn on.", bot.name))
        }
        FilesAction::Delete { name, yes } => {
            if !yes && !confirm(&format!("Delete {name} of {}?", bot.name))? {
                return Err(Failure::usage("Nothing was deleted.").into());
            }
            client.file_delete(bot.id, &name).await?;
            output.done(|| format!("{name} is deleted."))
        }
        FilesAction::Put { name, file } => {
            let text = read(&file)?;
            client.file_put(bot.id, &name, text).await?;
            output.done(|| format!("{name} is written. {} reads it from its next turn on.", bot.name))
        }
    }
}

/// All files below a folder that are not hidden, by path. Links are not followed, for they may lead out of it.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error: io::Error| Failure::usage(format!("Cannot read {}: {error}.", folder.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() {
            found.extend(files_below(&entry.path())?);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
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
