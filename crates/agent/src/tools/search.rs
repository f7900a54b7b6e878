//! `search`: where a text stands in the workspace.

use futures::stream::{self, StreamExt};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Outcome, Tool, ToolContext, ToolError, ls, schema};
use crate::transcript::cut;

/// Larger files are not searched, in bytes.
const MAX_FILE: u64 = 1 << 20;
const MAX_FILES: usize = 300;
const MAX_MATCHES: usize = 60;
/// How much of a line is shown, in characters.
const MAX_LINE: usize = 200;
/// How many files are read at once.
const AT_ONCE: usize = 8;

pub(super) fn tool() -> Tool {
    Tool {
        name: "search",
        description: "Finds a text, without regard to case, in the files of your workspace.",
        parameters: schema::of::<Arguments>(),
        group: "files",
        may_repeat: true,
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Arguments {
    query: String,
    /// A folder. Left out: everything.
    path: Option<String>,
}

pub(super) async fn run(arguments: Arguments, context: &ToolContext<'_>) -> Outcome {
    let folder = ls::folder(arguments.path.as_deref()).map_err(ToolError::RespondToModel)?;
    let query = arguments.query.to_lowercase();
    if query.trim().is_empty() {
        return Err(ToolError::RespondToModel("The query is empty.".to_owned()));
    }
    let mut files = context.host.files().await?;
    files.retain(|file| file.path.starts_with(&folder));
    let all = files.len();
    files.retain(|file| file.size <= MAX_FILE);
    files.truncate(MAX_FILES);
    let left_out = all - files.len();
    let read = files.into_iter().map(|file| async move {
        let content = context.host.file_read(&file.path).await;
        (file.path, content)
    });
    let mut read = stream::iter(read).buffered(AT_ONCE);
    let (mut found, mut more) = (Vec::new(), 0);
    // One file after the other: all of them together may be larger than the memory.
    while let Some((path, content)) = read.next().await {
        let Some(content) = content? else { continue };
        let Ok(text) = std::str::from_utf8(&content.bytes) else { continue };
        for (at, line) in text.lines().enumerate().filter(|(_, line)| line.to_lowercase().contains(&query)) {
            if found.len() < MAX_MATCHES {
                found.push(format!("{}:{}: {}", path, at + 1, cut(line.trim(), MAX_LINE).0));
            } else {
                more += 1;
            }
        }
    }
    if found.is_empty() {
        found.push("It stands nowhere.".to_owned());
    }
    if more > 0 {
        found.push(format!("[{more} more lines; search for something rarer, or in a folder]"));
    }
    if left_out > 0 {
        found.push(format!("[{left_out} files were not searched: they are too large or too many]"));
    }
    Ok(found.join("\n").into())
}
