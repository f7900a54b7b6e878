//! `edit`: parts of a file of the workspace.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use super::write::MAX_FILE;
use super::{Outcome, Tool, ToolContext, ToolError, path, schema};
use crate::Expect;
use crate::transcript::cut;

pub(super) fn tool() -> Tool {
    Tool {
        name: "edit",
        description: "Replaces parts of a text file of your workspace. Each old text must stand there exactly once.",
        parameters: schema::of::<Arguments>(),
        group: "files",
        // Made again it finds nothing to replace, which would look like a failure.
        may_repeat: false,
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Arguments {
    path: String,
    edits: Vec<Edit>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Edit {
    #[serde(alias = "old_text")]
    old_text: String,
    #[serde(alias = "new_text")]
    new_text: String,
}

pub(super) async fn run(Arguments { path, edits }: Arguments, context: &ToolContext<'_>) -> Outcome {
    let path = path::checked(&path).map_err(ToolError::RespondToModel)?;
    let Some(file) = context.host.file_read(&path).await? else {
        return Err(ToolError::RespondToModel(format!("There is no file `{path}`. `write` makes one.")));
    };
    let text = String::from_utf8(file.bytes.to_vec())
        .map_err(|_| ToolError::RespondToModel(format!("`{path}` is not a text.")))?;
    let edited = apply(text, &edits).map_err(ToolError::RespondToModel)?;
    if edited.len() > MAX_FILE {
        let text = format!("The file would have {} bytes; it may have {MAX_FILE}.", edited.len());
        return Err(ToolError::RespondToModel(text));
    }
    context.host.file_write(&path, Bytes::from(edited), Expect::Tag(&file.tag)).await?;
    Ok(format!("{} edits were made in {path}.", edits.len()).into())
}

fn apply(mut text: String, edits: &[Edit]) -> Result<String, String> {
    if edits.is_empty() {
        return Err("There are no edits.".to_owned());
    }
    for (index, Edit { old_text, new_text }) in edits.iter().enumerate() {
        let count = if old_text.is_empty() { 0 } else { text.matches(old_text.as_str()).count() };
        let (shown, _) = cut(old_text, 80);
        match count {
            1 => text = text.replacen(old_text.as_str(), new_text, 1),
            0 => {
                return Err(format!(
                    "Nothing was changed: the old text of edit {} (`{shown}`) is not in the file. `read` it again.",
                    index + 1
                ));
            }
            count => {
                return Err(format!(
                    "Nothing was changed: the old text of edit {} (`{shown}`) is in the file {count} times. Give more of its surroundings.",
                    index + 1
                ));
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_old_text_stands_once() {
        let edit = |old: &str, new: &str| Edit { old_text: old.into(), new_text: new.into() };
        let text = || "one two two three".to_owned();
        assert_eq!(apply(text(), &[edit("one", "1"), edit("three", "3")]).unwrap(), "1 two two 3");
        assert!(apply(text(), &[edit("two", "2")]).unwrap_err().contains("2 times"));
        assert!(apply(text(), &[edit("one", "1"), edit("four", "4")]).unwrap_err().contains("edit 2 (`four`) is not"));
        assert!(apply(text(), &[edit("", "x")]).is_err() && apply(text(), &[]).is_err());
    }
}
