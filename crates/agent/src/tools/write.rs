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
        // Made again after a crash it could replace what another session has written meanwhile.
        may_repeat: false,
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
    let seen = context.host.file_read(&path).await?;
    let expect = seen.as_ref().map_or(Expect::Nothing, |file| Expect::Tag(&file.tag));
    context.host.file_write(&path, Bytes::from(content), expect).await?;
    Ok(format!("{size} bytes were written to {path}.").into())
}
