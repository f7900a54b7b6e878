//! A bot as the beginning of another: its settings and its files, with or without what it remembers.

use axum::extract::State;
use domain::account::bot_name;
use domain::job::Payload;
use domain::{Bot, BotId, BotStatus, Sealed};
use runtime::{Environment, JobError};
use store::{BotSecret, SecretContext};

use crate::answers::Created;
use crate::auth::Caller;
use crate::bots;
use crate::extract::{JsonBody, Segments};
use crate::problem::Problem;
use crate::views::{BotClone, BotView};

/// `POST /v1/bots/{bot}/clone`
///
/// The new bot has the settings with their keys, the workspace and the schedules, which are switched off. It has no links, no
/// conversations and no heartbeats, so that it does nothing until it is told to.
pub(crate) async fn create(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
    JsonBody(request): JsonBody<BotClone>,
) -> Result<Created<BotView>, Problem> {
    let source = bots::find(&environment, caller, &bot).await?;
    let name = bot_name(&request.name).map_err(|error| Problem::bad_request(format!("name: {error}.")))?;
    let account = environment.store.account(caller.account);
    if account.bot_find(&name).await?.is_some() {
        return Err(bots::name_taken(&name));
    }
    let copy = copy_of(&environment, &source, name).await?;
    // The record last: what is cut short leaves parts of no bot, and the name is free for another attempt.
    copy_files(&environment, &source, &copy, request.memory).await?;
    copy_schedules(&environment, &source, &copy).await?;
    account.bot_create(&copy).await?;
    tracing::info!(account = %caller.account, bot = %copy.id, source = %source.id, "A bot was cloned.");
    Ok(Created { location: format!("/v1/bots/{}", copy.id), version: copy.version, record: bots::view(&copy) })
}

async fn copy_of(environment: &Environment, source: &Bot, name: String) -> Result<Bot, Problem> {
    let now = environment.clock.now();
    let mut copy = Bot {
        id: BotId::from_parts(now, environment.entropy.next_u128()),
        name,
        status: BotStatus::Active,
        rest: None,
        heartbeat: Default::default(),
        created_at: now,
        updated_at: now,
        heard_at: None,
        heard_in: Default::default(),
        version: 1,
        ..source.clone()
    };
    seal_anew(environment, source, &mut copy).await?;
    Ok(copy)
}

/// Seals the secrets of the settings for the copy: each opens for the bot only that it was sealed for.
async fn seal_anew(environment: &Environment, source: &Bot, copy: &mut Bot) -> Result<(), Problem> {
    let (account, from, to) = (source.account, source.id, copy.id);
    if let Some(sealed) = &mut copy.model.api_key {
        let of = |bot| SecretContext::ModelKey { account, bot };
        *sealed = moved(environment, of(from), of(to), sealed).await?;
    }
    let of = |bot, name| SecretContext::Bot { account, bot, name };
    let mut secrets: Vec<(BotSecret<'_>, &mut Sealed)> = Vec::new();
    secrets.extend(copy.model.keys.iter_mut().map(|(name, sealed)| (BotSecret::Provider(name), sealed)));
    let abilities = &mut copy.abilities;
    let search = abilities.search.as_mut().and_then(|search| search.api_key.as_mut());
    secrets.extend(search.map(|sealed| (BotSecret::Search, sealed)));
    let transcription = abilities.transcription.as_mut().and_then(|transcription| transcription.api_key.as_mut());
    secrets.extend(transcription.map(|sealed| (BotSecret::Transcription, sealed)));
    let servers = abilities.mcp.iter_mut();
    secrets.extend(servers.filter_map(|(name, server)| Some((BotSecret::Mcp(name), server.token.as_mut()?))));
    for (name, sealed) in secrets {
        *sealed = moved(environment, of(from, name), of(to, name), sealed).await?;
    }
    Ok(())
}

/// A secret as it is sealed in another context.
async fn moved(
    environment: &Environment,
    from: SecretContext<'_>,
    to: SecretContext<'_>,
    sealed: &Sealed,
) -> Result<Sealed, Problem> {
    let keyring = environment.store.keyring();
    let secret = keyring.open(from, sealed).await?;
    Ok(keyring.seal(to, &secret).await?)
}

/// What a bot has learned, and about whom.
fn is_memory(name: &str) -> bool {
    matches!(name, "MEMORY.md" | "USER.md") || name.starts_with("memory/")
}

/// Without memory, what a bot knows of its people is what every new bot knows.
async fn copy_files(environment: &Environment, source: &Bot, copy: &Bot, with_memory: bool) -> Result<(), Problem> {
    let account = environment.store.account(source.account);
    for file in account.workspace_list(source.id).await? {
        if is_memory(&file.name) && !with_memory {
            continue;
        }
        // It may have been deleted since it was listed.
        if let Some(object) = account.workspace_read(source.id, &file.name).await? {
            account.workspace_write(copy.id, &file.name, object.bytes, None).await?;
        }
    }
    if !with_memory {
        for file in agent::default_workspace(&copy.name).files.iter().filter(|file| is_memory(&file.name)) {
            account.workspace_put(copy.id, &file.name, &file.text).await?;
        }
    }
    Ok(())
}

async fn copy_schedules(environment: &Environment, source: &Bot, copy: &Bot) -> Result<(), Problem> {
    for job in environment.store.account(source.account).job_list(source.id).await? {
        if job.spec.payload == Payload::Heartbeat {
            continue;
        }
        let mut spec = job.spec;
        spec.enabled = false;
        // A link of the other bot is not the copy's.
        if let Some(delivery) = &mut spec.delivery {
            delivery.link = None;
        }
        let id = domain::JobId::from_parts(environment.clock.now(), environment.entropy.next_u128());
        match environment.job_create(copy, id, spec).await {
            Ok(_) => {}
            // What was to happen once is over.
            Err(JobError::Bad(error)) => tracing::info!(bot = %copy.id, "A schedule is not copied: {error}"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_was_learned() {
        assert!(["MEMORY.md", "USER.md", "memory/2026-11-22.md"].into_iter().all(is_memory));
        assert!(
            !["SOUL.md", "AGENTS.md", "IDENTITY.md", "skills/x/SKILL.md", "notes/memory.md"].into_iter().any(is_memory)
        );
    }
}
