//! Workspace files: the Markdown that says who a bot is and what it knows.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use runtime::Environment;
use store::ObjectInfo;

use crate::auth::Caller;
use crate::bots;
use crate::extract::{Segments, TextBody};
use crate::problem::Problem;
use crate::views::{FileView, Items};

/// In characters, the ending included.
const MAX_NAME: usize = 64;

/// `GET /v1/bots/{bot}/files`
pub(crate) async fn list(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
) -> Result<Json<Items<FileView>>, Problem> {
    let bot = bots::find(&environment, caller, &bot).await?;
    let files = environment.store.account(caller.account).workspace_list(bot.id).await?;
    let view = |file: ObjectInfo| FileView { name: file.name, tag: file.tag.trim_matches('"').to_owned() };
    Ok(Json(Items { items: files.into_iter().map(view).collect() }))
}

/// `GET /v1/bots/{bot}/files/{name}`
pub(crate) async fn read(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, name)): Segments<(String, String)>,
) -> Result<([(HeaderName, &'static str); 1], String), Problem> {
    let name = file_name(&name)?;
    let bot = bots::find(&environment, caller, &bot).await?;
    let text = environment.store.account(caller.account).workspace_get(bot.id, name).await?;
    let text = text.ok_or_else(|| {
        Problem::not_found(format!("There is no file {name}. GET /v1/bots/{}/files lists them.", bot.id))
    })?;
    Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], text))
}

/// `PUT /v1/bots/{bot}/files/{name}`
pub(crate) async fn write(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, name)): Segments<(String, String)>,
    TextBody(text): TextBody,
) -> Result<StatusCode, Problem> {
    let name = file_name(&name)?;
    let bot = bots::find(&environment, caller, &bot).await?;
    let account = environment.store.account(caller.account);
    account.workspace_put(bot.id, name, &text).await?;
    account.bot_touch(bot.id, environment.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A name that is one object below the bot's workspace, and no path out of it.
fn file_name(name: &str) -> Result<&str, Problem> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let fits = name.len() <= MAX_NAME && name.chars().all(is_letter) && name.ends_with(".md") && name != ".md";
    if fits {
        Ok(name)
    } else {
        let detail =
            format!("A file's name has up to {MAX_NAME} of A-Z a-z 0-9 _ . - and ends in .md, such as SOUL.md.");
        Err(Problem::bad_request(detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_markdown_files_are_taken() {
        assert!(file_name("SOUL.md").is_ok() && file_name("2026-11-22.md").is_ok());
        for bad in ["", ".md", "SOUL", "../SOUL.md", "a/b.md", "a b.md", "é.md", &format!("{}.md", "x".repeat(62))] {
            assert!(file_name(bad).is_err(), "{bad}");
        }
    }
}
