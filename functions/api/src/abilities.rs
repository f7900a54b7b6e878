//! What a bot may use beside its model: checks what the owner asks for, and seals the secrets of its services.

use std::collections::BTreeMap;

use domain::abilities::{McpServer, SearchProvider, SearchSettings, TranscriptionSettings, check_pattern};
use domain::{Abilities, Bot, ToolPolicy};
use runtime::Environment;
use store::BotSecret;

use crate::credentials;
use crate::problem::Problem;
use crate::views::{
    AbilitiesPatch, AbilitiesView, McpServerPatch, McpServerView, SearchPatch, SearchView, ToolsPatch,
    TranscriptionPatch, TranscriptionView,
};

/// In bytes.
const MAX_NAME: usize = 64;
/// In bytes. Tools' names begin with their server's.
const MAX_SERVER_NAME: usize = 32;
const MAX_LIST: usize = 100;
const MAX_SERVERS: usize = 16;

/// What of a bot's abilities its owner may see.
pub(crate) fn view(abilities: &Abilities) -> AbilitiesView {
    let server = |server: &McpServer| McpServerView {
        url: server.url.clone(),
        has_token: server.token.is_some(),
        repeatable: server.repeatable.clone(),
    };
    AbilitiesView {
        tools: abilities.tools.clone(),
        mcp: abilities.mcp.iter().map(|(name, known)| (name.clone(), server(known))).collect(),
        search: abilities.search.as_ref().map(|search| SearchView {
            provider: search.provider,
            base_url: search.base_url.clone(),
            has_api_key: search.api_key.is_some(),
        }),
        transcription: abilities.transcription.as_ref().map(|transcription| TranscriptionView {
            base_url: transcription.base_url.clone(),
            model: transcription.model.clone(),
            has_api_key: transcription.api_key.is_some(),
        }),
        skills: abilities.skills.clone(),
    }
}

/// Changes what a bot may use as `patch` says.
pub(crate) async fn apply(environment: &Environment, bot: &mut Bot, patch: AbilitiesPatch) -> Result<(), Problem> {
    let mut after = bot.abilities.clone();
    if let Some(patch) = patch.tools {
        after.tools = patch.map(|patch| tools(after.tools, patch)).transpose()?.unwrap_or_default();
    }
    if let Some(patch) = patch.mcp {
        after.mcp = match patch {
            Some(patch) => servers(environment, bot, after.mcp, patch).await?,
            None => BTreeMap::new(),
        };
    }
    if let Some(patch) = patch.search {
        after.search = match patch {
            Some(patch) => Some(search(environment, bot, after.search, patch).await?),
            None => None,
        };
    }
    if let Some(patch) = patch.transcription {
        after.transcription = match patch {
            Some(patch) => Some(transcription(environment, bot, after.transcription, patch).await?),
            None => None,
        };
    }
    if let Some(skills) = patch.skills {
        after.skills = skills.map(checked_skills).transpose()?;
    }
    bot.abilities = after;
    Ok(())
}

fn tools(before: ToolPolicy, patch: ToolsPatch) -> Result<ToolPolicy, Problem> {
    let list = |name: &str, given: Option<Vec<String>>, before: Vec<String>| match given {
        Some(patterns) => tool_names(&format!("abilities.tools.{name}"), patterns),
        None => Ok(before),
    };
    Ok(ToolPolicy {
        profile: patch.profile.unwrap_or(before.profile),
        allow: list("allow", patch.allow, before.allow)?,
        also_allow: list("also_allow", patch.also_allow, before.also_allow)?,
        deny: list("deny", patch.deny, before.deny)?,
        ask: list("ask", patch.ask, before.ask)?,
    })
}

/// Patterns of a policy, each of which means something.
fn tool_names(field: &str, patterns: Vec<String>) -> Result<Vec<String>, Problem> {
    let checked = names(field, patterns)?;
    match checked.iter().find_map(|pattern| check_pattern(pattern).err()) {
        Some(unknown) => Err(Problem::bad_request(format!("{field}: {unknown}."))),
        None => Ok(checked),
    }
}

/// Patterns that could be names of tools, of a server of which it is not known what it has.
fn names(field: &str, patterns: Vec<String>) -> Result<Vec<String>, Problem> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    list(
        field,
        patterns,
        |pattern| pattern.strip_suffix('*').unwrap_or(pattern).chars().all(is_letter),
        || {
            "a tool's name has letters, digits, `_`, `-`, `.` or `:`, and a `*` only at its end; write web_fetch, web_* or \
         group:web"
        },
    )
}

fn checked_skills(names: Vec<String>) -> Result<Vec<String>, Problem> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    list(
        "abilities.skills",
        names,
        |name| name.chars().all(is_letter),
        || "a skill's name has letters, digits, `_`, `-` or `.`; write it as its SKILL.md does",
    )
}

/// Checks and trims each name of a list; a name that is there twice counts once.
fn list(
    field: &str,
    names: Vec<String>,
    fits: impl Fn(&str) -> bool,
    rule: impl Fn() -> &'static str,
) -> Result<Vec<String>, Problem> {
    let mut checked: Vec<String> = Vec::new();
    for name in names {
        let name = name.trim();
        if !(1..=MAX_NAME).contains(&name.len()) || !fits(name) {
            let shown: String = name.chars().take(MAX_NAME).collect();
            return Err(Problem::bad_request(format!(
                "{field}: `{shown}` cannot be one: {}, with {MAX_NAME} letters at most.",
                rule()
            )));
        }
        if !checked.iter().any(|known| known == name) {
            checked.push(name.to_owned());
        }
    }
    if checked.len() > MAX_LIST {
        return Err(Problem::bad_request(format!("{field}: name {MAX_LIST} at most; a `*` stands for many.")));
    }
    Ok(checked)
}

async fn servers(
    environment: &Environment,
    bot: &Bot,
    mut servers: BTreeMap<String, McpServer>,
    patch: BTreeMap<String, Option<McpServerPatch>>,
) -> Result<BTreeMap<String, McpServer>, Problem> {
    for (name, patch) in patch {
        let before = servers.remove(&name);
        let Some(patch) = patch else {
            if before.is_none() {
                let shown: String = name.chars().take(MAX_NAME).collect();
                return Err(Problem::unprocessable(format!(
                    "abilities.mcp: there is no server `{shown}` to remove. GET the bot to see its servers."
                )));
            }
            continue;
        };
        check_server_name(&name)?;
        let server = server(environment, bot, &name, before, patch).await?;
        servers.insert(name, server);
    }
    if servers.len() > MAX_SERVERS {
        return Err(Problem::unprocessable(format!("abilities.mcp: a bot has {MAX_SERVERS} servers at most.")));
    }
    Ok(servers)
}

fn check_server_name(name: &str) -> Result<(), Problem> {
    let fits = (1..=MAX_SERVER_NAME).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if fits {
        return Ok(());
    }
    let shown: String = name.chars().take(MAX_NAME).collect();
    Err(Problem::bad_request(format!(
        "abilities.mcp: `{shown}` cannot be a server's name: write lower case letters, digits and `-`, \
         {MAX_SERVER_NAME} at most, such as github."
    )))
}

async fn server(
    environment: &Environment,
    bot: &Bot,
    name: &str,
    before: Option<McpServer>,
    patch: McpServerPatch,
) -> Result<McpServer, Problem> {
    let field = |part: &str| format!("abilities.mcp.{name}.{part}");
    let url = match (patch.url, &before) {
        (Some(text), _) => credentials::secure_address(environment, &field("url"), &text, "https://host/mcp")?,
        (None, Some(before)) => before.url.clone(),
        (None, None) => {
            return Err(Problem::unprocessable(format!("{}: a new server needs its address.", field("url"))));
        }
    };
    let goes_to_same = before.as_ref().is_some_and(|before| before.url == url);
    let (stored, repeatable) = before.map(|before| (before.token, before.repeatable)).unwrap_or_default();
    let token = credentials::changed(
        environment,
        bot,
        BotSecret::Mcp(name),
        &field("token"),
        patch.token,
        stored,
        goes_to_same,
    )
    .await?;
    let repeatable = match patch.repeatable {
        Some(tools) => names(&field("repeatable"), tools)?,
        None => repeatable,
    };
    Ok(McpServer { url, token, repeatable })
}

async fn search(
    environment: &Environment,
    bot: &Bot,
    before: Option<SearchSettings>,
    patch: SearchPatch,
) -> Result<SearchSettings, Problem> {
    let field = "abilities.search.base_url";
    let provider = patch.provider.or(before.as_ref().map(|before| before.provider)).ok_or_else(|| {
        Problem::unprocessable("abilities.search.provider: say where to search: brave, tavily or searxng.")
    })?;
    let base_url = match patch.base_url {
        Some(given) => given
            .map(|text| credentials::secure_address(environment, field, &text, "https://search.example"))
            .transpose()?,
        // One provider's address is not another's.
        None => before.as_ref().filter(|before| before.provider == provider).and_then(|before| before.base_url.clone()),
    };
    if provider == SearchProvider::Searxng && base_url.is_none() {
        return Err(Problem::unprocessable(format!("{field}: searxng has no server of its own; give yours.")));
    }
    let goes_to_same = before.as_ref().is_some_and(|before| before.provider == provider && before.base_url == base_url);
    let stored = before.and_then(|before| before.api_key);
    let field = "abilities.search.api_key";
    let api_key =
        credentials::changed(environment, bot, BotSecret::Search, field, patch.api_key, stored, goes_to_same).await?;
    Ok(SearchSettings { provider, base_url, api_key })
}

async fn transcription(
    environment: &Environment,
    bot: &Bot,
    before: Option<TranscriptionSettings>,
    patch: TranscriptionPatch,
) -> Result<TranscriptionSettings, Problem> {
    let field = |part: &str| format!("abilities.transcription.{part}");
    let base_url = match patch.base_url {
        Some(text) => Some(credentials::secure_address(environment, &field("base_url"), &text, "https://host/v1")?),
        None => before.as_ref().map(|before| before.base_url.clone()),
    };
    let model = match patch.model {
        Some(text) => Some(transcription_model(&text)?),
        None => before.as_ref().map(|before| before.model.clone()),
    };
    let Some((base_url, model)) = base_url.zip(model) else {
        return Err(Problem::unprocessable(
            "abilities.transcription: give base_url and model, such as https://api.openai.com/v1 and whisper-1.",
        ));
    };
    let goes_to_same = before.as_ref().is_some_and(|before| before.base_url == base_url);
    let stored = before.and_then(|before| before.api_key);
    let (name, field) = (BotSecret::Transcription, field("api_key"));
    let api_key = credentials::changed(environment, bot, name, &field, patch.api_key, stored, goes_to_same).await?;
    Ok(TranscriptionSettings { base_url, model, api_key })
}

fn transcription_model(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let fits = (1..=200).contains(&text.len()) && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Problem::bad_request(
            "abilities.transcription.model: write the model's name without spaces, such as whisper-1.",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tools_may_end_in_a_star() {
        let read = |name: &str| tool_names("deny", vec![name.to_owned()]);
        for good in ["web_fetch", "web_*", "*", "group:web", "mcp_github_getThing", " read "] {
            assert!(read(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "web*fetch", "**", "a b", "é", "a/b", &"x".repeat(65)] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(tool_names("deny", vec!["read".into(), " read".into()]).unwrap(), ["read"]);
        assert!(tool_names("deny", (0..=MAX_LIST).map(|n| format!("mcp_t_{n}")).collect()).is_err());
    }

    #[test]
    fn names_of_servers_are_short_and_plain() {
        assert!(check_server_name("github").is_ok() && check_server_name("a-1").is_ok());
        for bad in ["", "-a", "a-", "GitHub", "a_b", "a.b", &"x".repeat(33)] {
            assert!(check_server_name(bad).is_err(), "{bad}");
        }
    }
}
