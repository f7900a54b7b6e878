//! `lowtide bots`: made, listed, changed, paused, deleted.

use api::views::{BotCreate, BotPatch, BotView, ModelPatch};
use clap::{Args, Subcommand};
use domain::SessionScope;

use crate::abilities::{self, McpArgs, SearchArgs, SkillsArgs, ToolsArgs, TranscriptionArgs};
use crate::bot_card::{card, model, status};
use crate::bot_models::{ModelAccess, ModelArgs, change_model, model_of};
use crate::bot_settings::{PriceArgs, SettingsArgs};
use crate::client::Client;
use crate::failure::Failure;
use crate::table::table;
use crate::terminal::confirm;
use crate::{Output, prompt, word};

#[derive(Subcommand)]
pub(crate) enum BotsCommand {
    /// List your bots
    #[command(visible_alias = "ls")]
    List,
    /// Make a bot
    Create(CreateArgs),
    /// Show a bot
    Show { bot: String },
    /// Change which model a bot uses
    Model(ModelArgs),
    /// Show or change which tools a bot may use, and which of them ask you first
    Tools(ToolsArgs),
    /// Give a bot tools of servers that speak the Model Context Protocol
    Mcp(McpArgs),
    /// Let a bot search the web
    Search(SearchArgs),
    /// Have voice notes to a bot written down
    Transcription(TranscriptionArgs),
    /// Show or change which skills a bot may use
    Skills(SkillsArgs),
    /// Show what a bot's model reads before a conversation, and what that takes
    Prompt { bot: String },
    /// Change how a bot's messages wait, when its sessions begin anew, and what it may spend
    Change(ChangeArgs),
    /// Give a bot another name
    Rename { bot: String, name: String },
    /// Have a bot take no messages until it is resumed
    Pause { bot: String },
    /// Have a paused bot take messages again
    Resume { bot: String },
    /// Delete a bot and everything that it remembers
    Delete {
        bot: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

#[derive(Args)]
pub(crate) struct CreateArgs {
    name: String,
    /// `provider/model`, such as openai/gpt-5.1; left out: the built-in demo, which needs no key
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    #[command(flatten)]
    access: ModelAccess,
    /// The bot's time zone, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// How direct chats share memory: main, per-peer, per-channel-peer or per-account-channel-peer
    #[arg(long, value_name = "SCOPE", value_parser = word::<SessionScope>)]
    dm_scope: Option<SessionScope>,
    #[command(flatten)]
    price: PriceArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Args)]
pub(crate) struct ChangeArgs {
    bot: String,
    /// The bot's time zone, such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// How direct chats share memory: main, per-peer, per-channel-peer or per-account-channel-peer
    #[arg(long, value_name = "SCOPE", value_parser = word::<SessionScope>)]
    dm_scope: Option<SessionScope>,
    #[command(flatten)]
    price: PriceArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Runs `lowtide bots`.
pub(crate) async fn run(client: &Client, output: Output, command: BotsCommand) -> anyhow::Result<()> {
    match command {
        BotsCommand::List => list(client, output).await,
        BotsCommand::Create(args) => create(client, output, args).await,
        BotsCommand::Show { bot } => {
            let bot = client.bot_get(&bot).await?;
            output.show(&bot, || card(output, &bot))
        }
        BotsCommand::Model(args) => change_model(client, output, args).await,
        BotsCommand::Tools(args) => abilities::tools(client, output, args).await,
        BotsCommand::Mcp(args) => abilities::mcp(client, output, args).await,
        BotsCommand::Search(args) => abilities::search(client, output, args).await,
        BotsCommand::Transcription(args) => abilities::transcription(client, output, args).await,
        BotsCommand::Skills(args) => abilities::skills(client, output, args).await,
        BotsCommand::Prompt { bot } => prompt::show(client, output, &bot).await,
        BotsCommand::Change(args) => change(client, output, args).await,
        BotsCommand::Rename { bot, name } => {
            let before = client.bot_get(&bot).await?;
            let patch = BotPatch { name: Some(name), ..BotPatch::default() };
            let bot = client.bot_change(before.id, &patch).await?;
            output.show(&bot, || format!("{} is now called {}.", before.name, bot.name))
        }
        BotsCommand::Pause { bot } => {
            let bot = client.bot_pause(client.bot_get(&bot).await?.id).await?;
            output.show(&bot, || format!("{} is paused. `{}` ends that.", bot.name, resume_command(&bot)))
        }
        BotsCommand::Resume { bot } => {
            let bot = client.bot_resume(client.bot_get(&bot).await?.id).await?;
            output.show(&bot, || format!("{} takes messages again.", bot.name))
        }
        BotsCommand::Delete { bot, yes } => {
            let bot = client.bot_get(&bot).await?;
            if !yes && !confirm(&format!("Delete {} and everything that it remembers?", bot.name))? {
                return Err(Failure::usage("Nothing was deleted.").into());
            }
            client.bot_delete(bot.id).await?;
            output.done(|| format!("{} is deleted.", bot.name))
        }
    }
}

/// The bot that is meant: the one named, the only one, or the default of this machine.
pub(crate) async fn choose(client: &Client, named: Option<&str>) -> Result<BotView, Failure> {
    if let Some(named) = named {
        return client.bot_get(named).await;
    }
    let mut bots = client.bot_list().await?.items;
    let names = bots.iter().map(|bot| bot.name.as_str()).collect::<Vec<_>>().join(", ");
    let is_default = |bot: &BotView| client.default_bot().is_some_and(|name| name.eq_ignore_ascii_case(&bot.name));
    let chosen = if bots.len() == 1 { Some(0) } else { bots.iter().position(is_default) };
    match chosen {
        Some(position) => Ok(bots.swap_remove(position)),
        None if bots.is_empty() => {
            Err(Failure::usage("There are no bots yet. Make one with `lowtide bots create NAME`."))
        }
        None => Err(Failure::usage(format!("Which bot? Name one of: {names}."))),
    }
}

async fn list(client: &Client, output: Output) -> anyhow::Result<()> {
    let bots = client.bot_list().await?;
    output.show(&bots, || {
        if bots.items.is_empty() {
            return "No bots yet. Make one with `lowtide bots create NAME`.".to_owned();
        }
        let row = |bot: &BotView| {
            [
                bot.name.clone(),
                status(bot.status).to_owned(),
                model(&bot.model),
                bot.time_zone.clone(),
                bot.id.to_string(),
            ]
        };
        let rows: Vec<_> = bots.items.iter().map(row).collect();
        table(output.style, ["NAME", "STATUS", "MODEL", "TIME ZONE", "ID"], &rows)
    })
}

async fn create(client: &Client, output: Output, args: CreateArgs) -> anyhow::Result<()> {
    if args.model.is_none() && (args.access.is_given() || args.price.is_given()) {
        return Err(Failure::usage("A key, an address or a price belongs to a model: give --model, too.").into());
    }
    let model = match &args.model {
        None => None,
        Some(model) => model_of(model, &args.access, &args.price, output)?,
    };
    let settings = args.settings.changes(None)?;
    let request = BotCreate {
        name: args.name,
        model,
        time_zone: args.time_zone,
        dm_scope: args.dm_scope,
        queue: settings.queue,
        resets: settings.resets,
        streaming: settings.streaming,
        budget: settings.budget.flatten(),
        turn_budget: settings.turn_budget.flatten(),
        abilities: None,
    };
    let bot = client.bot_create(&request).await?;
    output.show(&bot, || format!("{}\n\nTalk to it: lowtide chat {}", card(output, &bot), quoted(&bot.name)))
}

async fn change(client: &Client, output: Output, args: ChangeArgs) -> anyhow::Result<()> {
    let before = client.bot_get(&args.bot).await?;
    let model = args.price.is_given().then(|| ModelPatch {
        price: args.price.price(),
        context_window: args.price.context_window(),
        ..ModelPatch::default()
    });
    let given = args.settings.changes(Some(&before))?;
    let patch = BotPatch { model, time_zone: args.time_zone, dm_scope: args.dm_scope, ..given };
    if patch == BotPatch::default() {
        return Err(Failure::usage("Nothing to change. `lowtide bots change --help` lists what there is.").into());
    }
    let bot = client.bot_change(before.id, &patch).await?;
    output.show(&bot, || card(output, &bot))
}

/// What ends a pause.
pub(crate) fn resume_command(bot: &BotView) -> String {
    format!("lowtide bots resume {}", quoted(&bot.name))
}

/// A name as the shell takes it.
pub(crate) fn quoted(name: &str) -> String {
    if name.contains(' ') { format!("'{name}'") } else { name.to_owned() }
}
