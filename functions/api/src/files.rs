//! Workspace files: what says who a bot is and what it knows, its notes and its skills.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::NoContent;
use domain::Bot;
use runtime::Environment;
use store::{Object, ObjectInfo, ObjectPrecondition, StoreError};

use crate::answers::FileContent;
use crate::auth::Caller;
use crate::bots;
use crate::extract::{Preconditions, Segments, TextBody};
use crate::problem::Problem;
use crate::views::{FileView, Items};

/// In bytes.
const MAX_PATH: usize = 512;

/// `GET /v1/bots/{bot}/files`
pub(crate) async fn list(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
) -> Result<Json<Items<FileView>>, Problem> {
    let bot = bots::find(&environment, caller, &bot).await?;
    let files = environment.store.account(caller.account).workspace_list(bot.id).await?;
    let view =
        |file: ObjectInfo| FileView { name: file.name, tag: file.tag.trim_matches('"').to_owned(), size: file.size };
    Ok(Json(Items { items: files.into_iter().map(view).collect() }))
}

/// `GET /v1/bots/{bot}/files/{*path}`
pub(crate) async fn read(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, path)): Segments<(String, String)>,
) -> Result<FileContent, Problem> {
    let path = checked(&path)?;
    let bot = bots::find(&environment, caller, &bot).await?;
    let file = find(&environment, &bot, path).await?;
    let media_type = match std::str::from_utf8(&file.bytes) {
        Ok(_) if path.ends_with(".md") => "text/markdown; charset=utf-8",
        Ok(_) => "text/plain; charset=utf-8",
        Err(_) => "application/octet-stream",
    };
    Ok(FileContent { media_type, tag: file.tag, bytes: file.bytes })
}

/// `PUT /v1/bots/{bot}/files/{*path}`
pub(crate) async fn write(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, path)): Segments<(String, String)>,
    conditions: Preconditions,
    TextBody(text): TextBody,
) -> Result<NoContent, Problem> {
    let path = checked(&path)?;
    let bot = bots::find(&environment, caller, &bot).await?;
    let account = environment.store.account(caller.account);
    let seen = if_match(&environment, &bot, path, &conditions).await?;
    let condition = match (&seen, conditions.if_none_match()) {
        (Some(tag), None) => Some(ObjectPrecondition::HasTag(tag)),
        (None, None) => None,
        (None, Some("*")) => Some(ObjectPrecondition::IsNew),
        (_, Some(_)) => {
            return Err(Problem::bad_request(
                "If-None-Match: send `*` to write a file only if there is none, or If-Match to change the one that you \
                 read.",
            ));
        }
    };
    let written = account.workspace_write(bot.id, path, text.into(), condition).await;
    written.map_err(|error| refused(error, path))?;
    account.bot_touch(bot.id, environment.clock.now()).await?;
    Ok(NoContent)
}

/// `DELETE /v1/bots/{bot}/files/{*path}`
pub(crate) async fn delete(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, path)): Segments<(String, String)>,
    conditions: Preconditions,
) -> Result<NoContent, Problem> {
    let path = checked(&path)?;
    let bot = bots::find(&environment, caller, &bot).await?;
    let account = environment.store.account(caller.account);
    let seen = if_match(&environment, &bot, path, &conditions).await?;
    if seen.is_none() {
        find(&environment, &bot, path).await?;
    }
    account.workspace_remove(bot.id, path, seen.as_deref()).await.map_err(|error| refused(error, path))?;
    account.bot_touch(bot.id, environment.clock.now()).await?;
    Ok(NoContent)
}

async fn find(environment: &Environment, bot: &Bot, path: &str) -> Result<Object, Problem> {
    let file = environment.store.account(bot.account).workspace_read(bot.id, path).await?;
    file.ok_or_else(|| {
        Problem::not_found(format!("There is no file {path}. GET /v1/bots/{}/files lists them.", bot.id))
    })
}

/// The tag of the content that a request wants to change; `None` if it does not say.
async fn if_match(
    environment: &Environment,
    bot: &Bot,
    path: &str,
    conditions: &Preconditions,
) -> Result<Option<String>, Problem> {
    let Some(wanted) = conditions.if_match() else { return Ok(None) };
    let file = environment.store.account(bot.account).workspace_read(bot.id, path).await?;
    let current = file.map(|file| file.tag).unwrap_or_default();
    let is_current = wanted.split(',').map(str::trim).any(|tag| tag == "*" || tag == current);
    if is_current && !current.is_empty() { Ok(Some(current)) } else { Err(changed(path)) }
}

fn refused(error: StoreError, path: &str) -> Problem {
    match error {
        StoreError::Conflict(_) => changed(path),
        error => error.into(),
    }
}

fn changed(path: &str) -> Problem {
    let detail = format!("{path} is not what the request says: it was changed, made or deleted. Read it again.");
    Problem::new(StatusCode::PRECONDITION_FAILED, detail)
}

/// A path that is one object below the bot's workspace, and leads nowhere out of it.
fn checked(path: &str) -> Result<&str, Problem> {
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..");
    let fits =
        path.len() <= MAX_PATH && path.split('/').all(is_segment) && !path.chars().any(|c| c.is_control() || c == '\\');
    if fits {
        return Ok(path);
    }
    Err(Problem::bad_request(format!(
        "A file's path has names between single `/`, none of them `.` or `..`, no control characters and no backslash, \
         and {MAX_PATH} bytes at most, such as SOUL.md or skills/weather/SKILL.md."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_within_the_workspace_are_taken() {
        for good in ["SOUL.md", "memory/2026-11-22.md", "skills/x/SKILL.md", "a b/é.txt", ".hidden", "..."] {
            assert!(checked(good).is_ok(), "{good}");
        }
        let long = "x".repeat(MAX_PATH + 1);
        for bad in ["", "/a", "a/", "a//b", "..", "../SOUL.md", "a/../b", "a/./b", "a\\b", "a\nb", "a\0", &long] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}
