//! `write`: a whole file of the workspace.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Outcome, Tool, ToolContext, ToolError, path, schema};
use crate::Expect;

/// The largest file that is written, in bytes.
pub(super) const MAX_FILE: usize = 256 << 10;

pub(super) fn tool() -> Tool {
    Tool {
        name: "write",
        description: "Writes a text file of your workspace, whole: it replaces what was there.",
        parameters: schema::of::<Arguments>(),
        group: "files",
        may_repeat: true,
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Arguments {
    path: String,
    content: String,
}

pub(super) async fn run(Arguments { path, content }: Arguments, context: &ToolContext<'_>) -> Outcome {
    let path = path::checked(&path).map_err(ToolError::RespondToModel)?;
    let size = content.len();
    if size > MAX_FILE {
        let text = format!("The text has {size} bytes; a file may have {MAX_FILE}. Split it into several files.");
        return Err(ToolError::RespondToModel(text));
    }
    context.host.file_write(&path, Bytes::from(content), Expect::Anything).await?;
    Ok(format!("{size} bytes were written to {path}.").into())
}
