//! `lowtide bots tools`, `mcp`, `search`, `transcription` and `skills`: what a bot may use beside its model.

use std::collections::BTreeMap;
use std::path::PathBuf;

use api::views::{
    AbilitiesPatch, AbilitiesView, BotPatch, BotSkill, BotView, McpServerPatch, McpServerView, SearchPatch,
    SkillSource, ToolsPatch, TranscriptionPatch,
};
use clap::{Args, Subcommand};
use domain::abilities::SearchProvider;
use domain::{ToolPolicy, ToolProfile};

use crate::bot_card::as_word;
use crate::bots::quoted;
use crate::client::Client;
use crate::failure::Failure;
use crate::table::table;
use crate::terminal::{SecretSource, secret};
use crate::{Output, word};

const TOOLS_EXAMPLES: &str = "\
Names may end in `*`, and group:web stands for all tools of a group. Each list that is given replaces the one there is;
an empty text empties it. Without options the tools are shown.

Examples:
  lowtide bots tools tidy --profile coding --deny 'web_*' --ask write
  lowtide bots tools tidy --ask ''";

/// Which tools a bot may use.
#[derive(Args)]
#[command(after_help = TOOLS_EXAMPLES)]
pub(crate) struct ToolsArgs {
    bot: String,
    /// Where to start: minimal, coding, messaging or full
    #[arg(long, value_name = "PROFILE", value_parser = word::<ToolProfile>)]
    profile: Option<ToolProfile>,
    /// Only these of the profile's tools
    #[arg(long, value_name = "TOOLS", value_delimiter = ',')]
    allow: Option<Vec<String>>,
    /// These beside the profile's tools
    #[arg(long, value_name = "TOOLS", value_delimiter = ',')]
    also_allow: Option<Vec<String>>,
    /// Never these
    #[arg(long, value_name = "TOOLS", value_delimiter = ',')]
    deny: Option<Vec<String>>,
    /// These only once the owner has approved the call
    #[arg(long, value_name = "TOOLS", value_delimiter = ',')]
    ask: Option<Vec<String>>,
    /// Back to all tools, without questions
    #[arg(long, conflicts_with_all = ["profile", "allow", "also_allow", "deny", "ask"])]
    reset: bool,
}

/// The servers that a bot gets tools from.
#[derive(Args)]
pub(crate) struct McpArgs {
    bot: String,
    #[command(subcommand)]
    action: McpAction,
}

#[derive(Subcommand)]
enum McpAction {
    /// List the servers
    #[command(visible_alias = "ls")]
    List,
    /// Add a server, or change one
    #[command(
        after_help = "Example:\n  lowtide bots mcp tidy add github https://mcp.example/mcp --token-env MCP_TOKEN"
    )]
    Add {
        /// Lower case letters, digits and `-`
        name: String,
        // Not `url`, which is where Lowtide is.
        #[arg(value_name = "URL")]
        address: String,
        #[command(flatten)]
        token: TokenArgs,
        /// Tools of it that may be run again when it is not known how they ended
        #[arg(long, value_name = "TOOLS", value_delimiter = ',')]
        repeatable: Option<Vec<String>>,
    },
    /// Remove a server, and its token
    #[command(visible_alias = "rm")]
    Remove { name: String },
}

/// A server's token. It is never an argument: arguments show in the list of processes.
#[derive(Args)]
struct TokenArgs {
    /// Environment variable that holds the server's token
    #[arg(long, value_name = "VAR")]
    token_env: Option<String>,
    /// File that holds the server's token; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "token_env")]
    token_file: Option<PathBuf>,
    /// Forget the stored token
    #[arg(long, conflicts_with_all = ["token_env", "token_file"])]
    no_token: bool,
}

/// A service's key. It is never an argument: arguments show in the list of processes.
#[derive(Args)]
struct KeyArgs {
    /// Environment variable that holds the key
    #[arg(long, value_name = "VAR")]
    api_key_env: Option<String>,
    /// File that holds the key; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "api_key_env")]
    api_key_file: Option<PathBuf>,
    /// Forget the stored key
    #[arg(long, conflicts_with_all = ["api_key_env", "api_key_file"])]
    no_key: bool,
}

/// Where a bot searches the web.
#[derive(Args)]
#[command(after_help = "Examples:\n  lowtide bots search tidy brave --api-key-env BRAVE_API_KEY\n  \
    lowtide bots search tidy searxng --base-url https://search.example\n  lowtide bots search tidy --off")]
pub(crate) struct SearchArgs {
    bot: String,
    /// brave, tavily or searxng
    #[arg(value_parser = word::<SearchProvider>, required_unless_present = "off", conflicts_with = "off")]
    provider: Option<SearchProvider>,
    /// A server of your own; searxng has no other
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    #[command(flatten)]
    key: KeyArgs,
    /// The bot cannot search the web any more
    #[arg(long, conflicts_with_all = ["base_url", "api_key_env", "api_key_file", "no_key"])]
    off: bool,
}

/// Who writes down a bot's voice notes.
#[derive(Args)]
#[command(after_help = "Example:\n  lowtide bots transcription tidy --base-url https://api.openai.com/v1 \
    --model whisper-1 --api-key-env OPENAI_API_KEY")]
pub(crate) struct TranscriptionArgs {
    bot: String,
    /// An API like OpenAI's, up to and including /v1
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The model that listens, such as whisper-1
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    #[command(flatten)]
    key: KeyArgs,
    /// The bot is only told that there was a voice note
    #[arg(long, conflicts_with_all = ["base_url", "model", "api_key_env", "api_key_file", "no_key"])]
    off: bool,
}

/// Which skills a bot may use.
#[derive(Args)]
pub(crate) struct SkillsArgs {
    bot: String,
    /// Only these, separated by commas; an empty text: none
    #[arg(long, value_name = "SKILLS", value_delimiter = ',', conflicts_with = "all")]
    only: Option<Vec<String>>,
    /// All that there are
    #[arg(long)]
    all: bool,
}

/// Runs `lowtide bots tools`.
pub(crate) async fn tools(client: &Client, output: Output, args: ToolsArgs) -> anyhow::Result<()> {
    let patch = ToolsPatch {
        profile: args.profile,
        allow: args.allow.map(names),
        also_allow: args.also_allow.map(names),
        deny: args.deny.map(names),
        ask: args.ask.map(names),
    };
    let bot = client.bot_get(&args.bot).await?;
    let bot = if args.reset {
        change(client, &bot, AbilitiesPatch { tools: Some(None), ..AbilitiesPatch::default() }).await?
    } else if patch == ToolsPatch::default() {
        bot
    } else {
        change(client, &bot, AbilitiesPatch { tools: Some(Some(patch)), ..AbilitiesPatch::default() }).await?
    };
    output.show(&bot, || format!("{} may use {}.", bot.name, policy(&bot.abilities.tools)))
}

/// Runs `lowtide bots mcp`.
pub(crate) async fn mcp(client: &Client, output: Output, args: McpArgs) -> anyhow::Result<()> {
    let bot = client.bot_get(&args.bot).await?;
    let patch = |name: String, server: Option<McpServerPatch>| AbilitiesPatch {
        mcp: Some(Some(BTreeMap::from([(name, server)]))),
        ..AbilitiesPatch::default()
    };
    match args.action {
        McpAction::List => output.show(&bot.abilities.mcp, || servers(output, &bot)),
        McpAction::Add { name, address, token, repeatable } => {
            let token = given(token.token_env.as_deref(), token.token_file.as_deref(), token.no_token)?;
            let server = McpServerPatch { url: Some(address), token, repeatable: repeatable.map(names) };
            let bot = change(client, &bot, patch(name.clone(), Some(server))).await?;
            output.show(&bot, || format!("{} has the tools of {name} from its next turn on.", bot.name))
        }
        McpAction::Remove { name } => {
            if !bot.abilities.mcp.contains_key(&name) {
                let shown = quoted(&bot.name);
                let message =
                    format!("{} has no server `{name}`. `lowtide bots mcp {shown} list` shows them.", bot.name);
                return Err(Failure::usage(message).into());
            }
            let bot = change(client, &bot, patch(name.clone(), None)).await?;
            output.show(&bot, || format!("{} has no tools of {name} any more.", bot.name))
        }
    }
}

/// Runs `lowtide bots search`.
pub(crate) async fn search(client: &Client, output: Output, args: SearchArgs) -> anyhow::Result<()> {
    let bot = client.bot_get(&args.bot).await?;
    let search = match args.provider {
        None => None,
        provider => Some(SearchPatch { provider, base_url: args.base_url.map(Some), api_key: args.key.given()? }),
    };
    let bot = change(client, &bot, AbilitiesPatch { search: Some(search), ..AbilitiesPatch::default() }).await?;
    output.show(&bot, || match search_words(&bot.abilities) {
        Some(words) => format!("{} searches the web with {words}.", bot.name),
        None => format!("{} does not search the web.", bot.name),
    })
}

/// Runs `lowtide bots transcription`.
pub(crate) async fn transcription(client: &Client, output: Output, args: TranscriptionArgs) -> anyhow::Result<()> {
    let patch = TranscriptionPatch { base_url: args.base_url, model: args.model, api_key: args.key.given()? };
    if !args.off && patch == TranscriptionPatch::default() {
        return Err(Failure::usage("Nothing to change. Give --base-url and --model, or --off.").into());
    }
    let bot = client.bot_get(&args.bot).await?;
    let patch = AbilitiesPatch { transcription: Some((!args.off).then_some(patch)), ..AbilitiesPatch::default() };
    let bot = change(client, &bot, patch).await?;
    output.show(&bot, || match transcription_words(&bot.abilities) {
        Some(words) => format!("Voice notes to {} are written down by {words}.", bot.name),
        None => format!("Voice notes to {} are not written down.", bot.name),
    })
}

/// Runs `lowtide bots skills`.
pub(crate) async fn skills(client: &Client, output: Output, args: SkillsArgs) -> anyhow::Result<()> {
    let bot = client.bot_get(&args.bot).await?;
    if args.all || args.only.is_some() {
        let skills = Some(args.only.map(names));
        let bot = change(client, &bot, AbilitiesPatch { skills, ..AbilitiesPatch::default() }).await?;
        return output.show(&bot, || format!("{} may use {}.", bot.name, skills_words(&bot.abilities)));
    }
    let skills = client.skill_list(bot.id).await?;
    output.show(&skills, || {
        let row = |skill: &BotSkill| {
            let source = match skill.source {
                SkillSource::Workspace => "its files",
                SkillSource::BuiltIn => "built in",
            };
            let state = skill.left_out.clone().unwrap_or_else(|| "offered".to_owned());
            [skill.name.clone(), source.to_owned(), state, skill.description.clone()]
        };
        let rows: Vec<_> = skills.items.iter().map(row).collect();
        table(output.style, ["SKILL", "FROM", "STATE", "WHEN"], &rows)
    })
}

async fn change(client: &Client, bot: &BotView, abilities: AbilitiesPatch) -> Result<BotView, Failure> {
    client.bot_change(bot.id, &BotPatch { abilities: Some(abilities), ..BotPatch::default() }).await
}

impl KeyArgs {
    fn given(&self) -> anyhow::Result<Option<Option<String>>> {
        given(self.api_key_env.as_deref(), self.api_key_file.as_deref(), self.no_key)
    }
}

/// A secret as a patch takes it: the outer `None` leaves what is stored.
fn given(
    env: Option<&str>,
    file: Option<&std::path::Path>,
    is_forgotten: bool,
) -> anyhow::Result<Option<Option<String>>> {
    match (env, file) {
        (Some(name), _) => Ok(Some(Some(secret(SecretSource::Env(name))?))),
        (None, Some(path)) => Ok(Some(Some(secret(SecretSource::File(path))?))),
        (None, None) => Ok(is_forgotten.then_some(None)),
    }
}

/// The names of a list, of which an empty text has none.
fn names(list: Vec<String>) -> Vec<String> {
    list.into_iter().filter(|name| !name.trim().is_empty()).collect()
}

fn servers(output: Output, bot: &BotView) -> String {
    if bot.abilities.mcp.is_empty() {
        let name = quoted(&bot.name);
        return format!("{} has no servers of tools. `lowtide bots mcp {name} add NAME URL` adds one.", bot.name);
    }
    let row = |(name, server): (&String, &McpServerView)| {
        [name.clone(), server.url.clone(), key(server.has_token).to_owned(), server.repeatable.join(", ")]
    };
    let rows: Vec<_> = bot.abilities.mcp.iter().map(row).collect();
    table(output.style, ["NAME", "URL", "TOKEN", "REPEATABLE"], &rows)
}

fn key(has_key: bool) -> &'static str {
    if has_key { "stored, encrypted" } else { "none" }
}

/// The lines of a bot's card that tell what it may use.
pub(crate) fn card_lines(abilities: &AbilitiesView) -> Vec<(&'static str, String)> {
    let mut lines = vec![("tools", policy(&abilities.tools))];
    let server = |(name, server): (&String, &McpServerView)| {
        let token = if server.has_token { ", with a token" } else { "" };
        ("mcp server", format!("{name}: {}{token}", server.url))
    };
    lines.extend(abilities.mcp.iter().map(server));
    lines.extend(search_words(abilities).map(|words| ("search", words)));
    lines.extend(transcription_words(abilities).map(|words| ("voice notes", words)));
    lines.push(("skills", skills_words(abilities)));
    lines
}

fn policy(tools: &ToolPolicy) -> String {
    let profile = match tools.profile {
        ToolProfile::Full => "all tools".to_owned(),
        profile => format!("the {} tools", as_word(&profile)),
    };
    let lists = [
        ("of them only", &tools.allow),
        ("and", &tools.also_allow),
        ("never", &tools.deny),
        ("after approval", &tools.ask),
    ];
    let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
    lists.fold(profile, |text, (what, names)| format!("{text}; {what} {}", names.join(", ")))
}

fn search_words(abilities: &AbilitiesView) -> Option<String> {
    abilities.search.as_ref().map(|search| {
        let at = search.base_url.as_ref().map(|url| format!(" at {url}")).unwrap_or_default();
        format!("{}{at}, key: {}", as_word(&search.provider), key(search.has_api_key))
    })
}

fn transcription_words(abilities: &AbilitiesView) -> Option<String> {
    abilities
        .transcription
        .as_ref()
        .map(|service| format!("{} at {}, key: {}", service.model, service.base_url, key(service.has_api_key)))
}

fn skills_words(abilities: &AbilitiesView) -> String {
    match abilities.skills.as_deref() {
        None => "all skills".to_owned(),
        Some([]) => "no skills".to_owned(),
        Some(names) => format!("only the skills {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_told_in_words() {
        assert_eq!(policy(&ToolPolicy::default()), "all tools");
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let tools = ToolPolicy {
            profile: ToolProfile::Coding,
            deny: list(&["web_*"]),
            ask: list(&["write", "edit"]),
            ..ToolPolicy::default()
        };
        assert_eq!(policy(&tools), "the coding tools; never web_*; after approval write, edit");
        assert_eq!(names(list(&["", "a"])), ["a"]);
    }
}
