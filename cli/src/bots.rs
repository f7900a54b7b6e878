//! `lowtide bots`: made, listed, changed, paused, deleted.

use api::views::{BotClone, BotCreate, BotLine, BotPatch, BotView, LinkLine, ModelPatch, Page, TemplateView};
use clap::{Args, Subcommand};
use domain::budget::dollars;
use domain::{BotStatus, LinkStatus, SessionScope, Timestamp};
use runtime::Clock;

use crate::abilities::{self, McpArgs, SearchArgs, SkillsArgs, ToolsArgs, TranscriptionArgs};
use crate::bot_card::{card, model, status};
use crate::bot_models::{ModelAccess, ModelArgs, change_model, model_of};
use crate::bot_settings::{PriceArgs, SettingsArgs};
use crate::client::Client;
use crate::failure::Failure;
use crate::heartbeat::{self, HeartbeatArgs};
use crate::table::{ago, table};
use crate::terminal::confirm;
use crate::{Output, prompt, word};

#[derive(Subcommand)]
pub(crate) enum BotsCommand {
    /// List your bots
    #[command(visible_alias = "ls")]
    List {
        /// Only bots whose names begin so
        #[arg(long, value_name = "BEGINNING")]
        name: Option<String>,
    },
    /// Make a bot
    Create(CreateArgs),
    /// Make a bot like another one: its settings, files and skills, its schedules switched off; no channels, no conversations
    Clone {
        bot: String,
        /// The new bot's name
        name: String,
        /// It remembers what the other one does: MEMORY.md, memory/ and USER.md
        #[arg(long)]
        memory: bool,
    },
    /// List what a new bot can begin as
    Templates,
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
    /// Show or change when a bot looks by itself for something to do
    Heartbeat(HeartbeatArgs),
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
    /// Lay a bot to rest: its channels are paused and its schedules stand still, and nothing is lost
    Archive { bot: String },
    /// Bring an archived or deleted bot back
    Restore { bot: String },
    /// Delete a bot and everything that it remembers; for a week it can be restored
    Delete {
        bot: String,
        /// Remove it at once, and for good
        #[arg(long)]
        now: bool,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

#[derive(Args)]
pub(crate) struct CreateArgs {
    name: String,
    /// What its files begin as: one of `lowtide bots templates` [default: assistant]
    #[arg(long, value_name = "TEMPLATE")]
    template: Option<String>,
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
        BotsCommand::List { name } => list(client, output, name.as_deref()).await,
        BotsCommand::Create(args) => create(client, output, args).await,
        BotsCommand::Clone { bot, name, memory } => {
            let source = client.bot_get(&bot).await?;
            let bot = client.bot_clone(source.id, &BotClone { name, memory }).await?;
            output.show(&bot, || format!("{}\n\nTalk to it: lowtide chat {}", card(output, &bot), quoted(&bot.name)))
        }
        BotsCommand::Templates => {
            let templates = client.template_list().await?;
            output.show(&templates, || {
                let row = |template: &TemplateView| [template.id.clone(), template.about.clone()];
                table(output.style, ["TEMPLATE", "WHAT FOR"], &templates.items.iter().map(row).collect::<Vec<_>>())
            })
        }
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
        BotsCommand::Heartbeat(args) => heartbeat::run(client, output, args).await,
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
            output.show(&bot, || format!("{} is paused. `{}` ends that.", bot.name, wake_command(&bot)))
        }
        BotsCommand::Resume { bot } => {
            let bot = client.bot_resume(client.bot_get(&bot).await?.id).await?;
            output.show(&bot, || format!("{} takes messages again.", bot.name))
        }
        BotsCommand::Archive { bot } => {
            let bot = client.bot_archive(client.bot_get(&bot).await?.id).await?;
            output.show(&bot, || format!("{} is archived. `{}` brings it back.", bot.name, wake_command(&bot)))
        }
        BotsCommand::Restore { bot } => {
            let bot = client.bot_restore(client.bot_get(&bot).await?.id).await?;
            output.show(&bot, || format!("{} is {} again.", bot.name, status(bot.status)))
        }
        BotsCommand::Delete { bot, now, yes } => {
            let bot = client.bot_get(&bot).await?;
            let question = if now {
                format!("Remove {} and everything that it remembers, for good?", bot.name)
            } else {
                format!("Delete {} and everything that it remembers?", bot.name)
            };
            if !yes && !confirm(&question)? {
                return Err(Failure::usage("Nothing was deleted.").into());
            }
            client.bot_delete(bot.id, now).await?;
            output.done(|| match now {
                true => format!("{} is removed.", bot.name),
                false => {
                    let restore = format!("lowtide bots restore {}", quoted(&bot.name));
                    format!("{} is deleted. For a week `{restore}` brings it back.", bot.name)
                }
            })
        }
    }
}

/// The bot that is meant: the one named, the only one, or the default of this machine.
pub(crate) async fn choose(client: &Client, named: Option<&str>) -> Result<BotView, Failure> {
    if let Some(named) = named {
        return client.bot_get(named).await;
    }
    let Page { mut items, next } = client.bot_page().await?;
    let is_default =
        |line: &BotLine| client.default_bot().is_some_and(|name| name.eq_ignore_ascii_case(&line.bot.name));
    let is_only = items.len() == 1 && next.is_none();
    let chosen = if is_only { Some(0) } else { items.iter().position(is_default) };
    match (chosen, client.default_bot()) {
        (Some(position), _) => Ok(items.swap_remove(position).bot),
        (None, _) if items.is_empty() => {
            Err(Failure::usage("There are no bots yet. Make one with `lowtide bots create NAME`."))
        }
        // It may be behind those that were read.
        (None, Some(name)) if next.is_some() => client.bot_get(name).await,
        (None, _) => {
            let names = items.iter().map(|line| line.bot.name.as_str()).collect::<Vec<_>>().join(", ");
            let others = if next.is_some() { ", …" } else { "" };
            Err(Failure::usage(format!("Which bot? Name one of: {names}{others}.")))
        }
    }
}

async fn list(client: &Client, output: Output, name: Option<&str>) -> anyhow::Result<()> {
    let bots = client.bot_list(name).await?;
    output.show(&bots, || match (bots.items.is_empty(), name) {
        (true, None) => "No bots yet. Make one with `lowtide bots create NAME`.".to_owned(),
        (true, Some(name)) => format!("No bot's name begins with `{name}`. `lowtide bots list` shows all."),
        (false, _) => {
            let now = Clock::system().now();
            let rows: Vec<_> = bots.items.iter().map(|line| row(line, now)).collect();
            table(output.style, ["NAME", "STATUS", "MODEL", "CHANNELS", "SPENT", "LAST MESSAGE", "ID"], &rows)
        }
    })
}

/// A bot at a glance.
fn row(line: &BotLine, now: Timestamp) -> [String; 7] {
    let BotLine { bot, links, last_message_at, spent, .. } = line;
    let channel = |link: &LinkLine| match link.status {
        LinkStatus::Active => link.channel.to_string(),
        LinkStatus::Paused => format!("{} (paused)", link.channel),
        LinkStatus::Failed { .. } => format!("{} (failed)", link.channel),
    };
    [
        bot.name.clone(),
        status(bot.status).to_owned(),
        model(&bot.model),
        links.iter().map(channel).collect::<Vec<_>>().join(", "),
        spent.as_ref().map(|spent| dollars(spent.micros)).unwrap_or_default(),
        last_message_at.map(|at| ago(at, now)).unwrap_or_default(),
        bot.id.to_string(),
    ]
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
        template: args.template,
        model,
        time_zone: args.time_zone,
        dm_scope: args.dm_scope,
        queue: settings.queue,
        resets: settings.resets,
        streaming: settings.streaming,
        heartbeat: None,
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

/// What has a bot that is paused or at rest take messages again.
pub(crate) fn wake_command(bot: &BotView) -> String {
    let command = if bot.status == BotStatus::Paused { "resume" } else { "restore" };
    format!("lowtide bots {command} {}", quoted(&bot.name))
}

/// A name as the shell takes it.
pub(crate) fn quoted(name: &str) -> String {
    if name.contains(' ') { format!("'{name}'") } else { name.to_owned() }
}
