//! `ls`: the files of the workspace.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Outcome, Tool, ToolContext, ToolError, path, schema};

/// How many files are listed at once.
const MAX_FILES: usize = 300;

pub(super) fn tool() -> Tool {
    Tool {
        name: "ls",
        description: "Lists the files of your workspace with their sizes in bytes.",
        parameters: schema::of::<Arguments>(),
        group: "files",
        may_repeat: true,
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// A folder. Left out: everything.
    path: Option<String>,
    /// List what comes after this path.
    after: Option<String>,
}

pub(super) async fn run(arguments: Arguments, context: &ToolContext<'_>) -> Outcome {
    let folder = folder(arguments.path.as_deref()).map_err(ToolError::RespondToModel)?;
    let after = arguments.after.unwrap_or_default();
    let mut files = context.host.files().await?;
    files.retain(|file| file.path.starts_with(&folder) && file.path > after);
    let more = files.len().saturating_sub(MAX_FILES);
    let lines: Vec<String> = files.iter().take(MAX_FILES).map(|file| format!("{}  {}", file.path, file.size)).collect();
    Ok(match files.get(MAX_FILES - 1).filter(|_| more > 0) {
        _ if lines.is_empty() => "There are no files here.".to_owned(),
        Some(last) => format!("{}\n[{more} more; list on with after: {}]", lines.join("\n"), last.path),
        None => lines.join("\n"),
    }
    .into())
}

/// What the paths within a folder begin with; empty for the whole workspace.
pub(super) fn folder(path: Option<&str>) -> Result<String, String> {
    let path = path.unwrap_or_default().trim_end_matches('/');
    if matches!(path, "" | ".") { Ok(String::new()) } else { Ok(format!("{}/", path::checked(path)?)) }
}
