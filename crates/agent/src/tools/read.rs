//! `read`: a file of the workspace.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Outcome, Output, Tool, ToolContext, ToolError, path, picture, schema};
use crate::transcript::cut;

const NAME: &str = "read";

/// The largest file that is read, in bytes.
const MAX_FILE: usize = 20 << 20;
/// How much is given at once, in characters.
const MAX_CHARS: usize = 30_000;

pub(super) fn tool() -> Tool {
    Tool {
        name: NAME,
        description: "Reads a file of your workspace: a text by lines, or a picture.",
        parameters: schema::of::<Arguments>(),
        group: "files",
        may_repeat: true,
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// Such as MEMORY.md or memory/2026-11-22.md.
    path: String,
    /// The first line to give, from 1.
    offset: Option<usize>,
    /// How many lines.
    limit: Option<usize>,
}

pub(super) async fn run(arguments: Arguments, context: &ToolContext<'_>) -> Outcome {
    let path = path::checked(&arguments.path).map_err(ToolError::RespondToModel)?;
    let Some(file) = context.host.file_read(&path).await? else {
        return Err(ToolError::RespondToModel(format!("There is no file `{path}`. `ls` lists what there is.")));
    };
    if file.bytes.len() > MAX_FILE {
        return Err(ToolError::RespondToModel(format!("`{path}` is larger than {MAX_FILE} bytes.")));
    }
    if let Some(mime) = picture::sniff(&file.bytes) {
        let media = context.host.media_keep(file.bytes, mime, path.rsplit('/').next()).await?;
        return Ok(Output { text: format!("The picture {path} ({mime}) follows."), media: vec![media] });
    }
    let text = std::str::from_utf8(&file.bytes)
        .map_err(|_| ToolError::RespondToModel(format!("`{path}` is neither a text nor a picture.")))?;
    Ok(lines(text, arguments.offset.unwrap_or(1).max(1), arguments.limit.unwrap_or(usize::MAX)).into())
}

/// The lines from `first` on, as many as fit, and how to read on.
fn lines(text: &str, first: usize, limit: usize) -> String {
    let all = text.lines().count();
    if text.is_empty() {
        return "The file is empty.".to_owned();
    }
    if first > all {
        return format!("The file has {all} lines.");
    }
    let mut given = String::new();
    let mut next = first;
    for line in text.lines().skip(first - 1).take(limit) {
        if given.len() + line.len() > MAX_CHARS && !given.is_empty() {
            break;
        }
        let (shown, left_out) = cut(line, MAX_CHARS);
        given.push_str(shown);
        given.push_str(&if left_out > 0 { format!("[… {left_out} more characters]\n") } else { "\n".to_owned() });
        next += 1;
    }
    if next <= all {
        given.push_str(&format!("[{} more lines; read on with offset {next}]", all + 1 - next));
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_read_in_pieces() {
        assert_eq!(lines("a\nb\nc\n", 1, 2), "a\nb\n[1 more lines; read on with offset 3]");
        assert_eq!(lines("a\nb\nc\n", 3, 2), "c\n");
        assert_eq!(lines("a", 5, 1), "The file has 1 lines.");
        let long = "x".repeat(100).to_owned() + "\n";
        let text = long.repeat(1000);
        assert!(lines(&text, 1, usize::MAX).ends_with("[703 more lines; read on with offset 298]"));
        assert!(lines(&"y".repeat(40_000), 1, 9).ends_with("[… 10000 more characters]\n"));
    }
}
