//! A bot's files as its agent takes them: what the prompt is made from and the skills, read from the store.

use std::path::Path;

use agent::{Skills, SkillsError, Workspace, WorkspaceFile};
use domain::Bot;
use store::{ObjectInfo, Store, StoreError};

/// How many skills of a workspace are read. Each is a request when the bot has changed.
const MAX_SKILLS: usize = 50;

/// The files that turns are run with, and the workspace's own skills.
pub async fn load(store: &Store, bot: &Bot) -> Result<(Workspace, Skills), StoreError> {
    let account = store.account(bot.account);
    let (mut files, mut skills) = (Vec::new(), Vec::new());
    for ObjectInfo { name, .. } in account.workspace_list(bot.id).await? {
        if agent::PROMPT_FILES.contains(&name.as_str()) {
            if let Some(text) = account.workspace_get(bot.id, &name).await? {
                files.push(WorkspaceFile { name, text });
            }
        } else if is_skill(&name) && skills.len() >= MAX_SKILLS {
            tracing::warn!(bot = %bot.id, "{name} is left out: only {MAX_SKILLS} skills of a workspace are read.");
        } else if is_skill(&name) {
            // A bot is not broken by a skill that is no text.
            let Some(object) = account.workspace_read(bot.id, &name).await? else { continue };
            skills.push((name, String::from_utf8_lossy(&object.bytes).into_owned()));
        }
    }
    let skills = Skills::discover(skills.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    for broken in skills.broken() {
        tracing::warn!(bot = %bot.id, "{} is left out: {}", broken.path, broken.error);
    }
    Ok((Workspace { files }, skills))
}

/// The skills that every bot has: those of a directory, or of this binary. Reads the disk.
pub fn built_in_skills(dir: Option<&Path>) -> Result<Skills, SkillsError> {
    let skills = dir.map_or_else(|| Ok(Skills::embedded()), Skills::from_dir)?;
    for broken in skills.broken() {
        tracing::error!("The built-in skill {} is left out: {}", broken.path, broken.error);
    }
    Ok(skills)
}

fn is_skill(path: &str) -> bool {
    path.strip_prefix("skills/").and_then(|path| path.strip_suffix("/SKILL.md")).is_some_and(|name| !name.contains('/'))
}
