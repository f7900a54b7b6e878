//! `lowtide links`: a bot's logins on channels, and who may write to it there.

mod add;
mod check;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use api::views::{BotView, LinkCreate, LinkPatch, LinkView, PairingView, WebhookView};
use clap::{Args, Subcommand};
use domain::access::{DmPolicy, GroupRule};
use domain::{AccessPolicy, Channel, LinkStatus, Sender};
use runtime::Clock;

use self::add::{DiscordArgs, IrcArgs, MatrixArgs, SlackArgs, WebhookArgs, WhatsAppArgs};
use crate::bots::quoted;
use crate::client::Client;
use crate::failure::Failure;
use crate::table::{ago, fields, table};
use crate::terminal::{SecretSource, ask_secret, confirm, one_line, secret};
use crate::{Output, word};

#[derive(Subcommand)]
pub(crate) enum LinksCommand {
    /// Put a bot on a channel
    #[command(subcommand)]
    Add(AddCommand),
    /// List a bot's links
    #[command(visible_alias = "ls")]
    List { bot: String },
    /// Change who may write to a bot there, and who owns it
    Change(ChangeArgs),
    /// Ask a link's channel what the bot may do there, and see what it lacks; fails if there is anything to do
    Check(Which),
    /// Have a link take no messages until it is resumed
    Pause(Which),
    /// Have a link take messages again; registers its webhook anew if that failed
    Resume(Which),
    /// Take a bot off a channel
    Remove {
        #[command(flatten)]
        which: Which,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// List strangers who wait to be let in
    Pairings(Which),
    /// Let in the stranger who has this code
    Approve {
        #[command(flatten)]
        which: Which,
        code: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum AddCommand {
    /// A Telegram bot; `@BotFather` on Telegram makes one and gives you its token
    Telegram(TelegramArgs),
    /// A Slack app's bot; make the app at api.slack.com/apps
    Slack(SlackArgs),
    /// A Discord bot; make its application at discord.com/developers/applications
    Discord(DiscordArgs),
    /// A WhatsApp number of Meta's Cloud API; make the app at developers.facebook.com/apps
    Whatsapp(WhatsAppArgs),
    /// A Matrix account of the bot's own, on any homeserver; it reads rooms that are not encrypted
    Matrix(MatrixArgs),
    /// A nick on an IRC network; it hears what is said while it is connected
    Irc(IrcArgs),
    /// Any system that posts signed messages, and has the replies posted to it
    Webhook(WebhookArgs),
}

#[derive(Args)]
pub(crate) struct TelegramArgs {
    bot: String,
    /// Environment variable that holds the token
    #[arg(long, value_name = "VAR", conflicts_with = "token_file")]
    token_env: Option<String>,
    /// File that holds the token; `-` is standard input
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Who may write to the bot: open, pairing, allowlist or disabled [default: pairing]
    #[arg(long, value_name = "POLICY", value_parser = word::<DmPolicy>)]
    dm_policy: Option<DmPolicy>,
    /// A person who may write without pairing: a Telegram user id or an @handle; may be repeated
    #[arg(long, value_name = "ID", value_parser = person)]
    allow: Vec<String>,
    /// Who owns the bot and approves what its tools ask for: a Telegram user id or an @handle; may be repeated. Left out:
    /// the first who is let in
    #[arg(long, value_name = "ID", value_parser = owner)]
    owner: Vec<String>,
    /// A group in which the bot answers when it is mentioned; may be repeated
    #[arg(long, value_name = "CHAT_ID", allow_negative_numbers = true)]
    group: Vec<i64>,
}

#[derive(Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    which: Which,
    /// Who owns the bot and approves what its tools ask for: a user id or an @handle; may be repeated, and replaces the
    /// owners there are
    #[arg(long, value_name = "ID", value_parser = owner)]
    owner: Vec<String>,
    /// Nobody owns the bot there, until somebody else is let in
    #[arg(long, conflicts_with = "owner")]
    no_owners: bool,
    /// Who may write to the bot: open, pairing, allowlist or disabled
    #[arg(long, value_name = "POLICY", value_parser = word::<DmPolicy>)]
    dm_policy: Option<DmPolicy>,
    /// A person who may write without pairing: a user id or an @handle; may be repeated, and replaces those there are
    #[arg(long, value_name = "ID", value_parser = person)]
    allow: Vec<String>,
}

/// Names one link of a bot.
#[derive(Args)]
pub(crate) struct Which {
    bot: String,
    /// The link's id or @handle, or its channel if there is one link on it
    link: String,
}

/// Access rules compare ids, and handles only behind an `@`.
fn person(text: &str) -> Result<String, String> {
    let is_id = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    if is_id || text == "*" || text.strip_prefix('@').is_some_and(|handle| !handle.is_empty()) {
        Ok(text.to_owned())
    } else {
        Err("write a numeric user id, or a handle with its @".to_owned())
    }
}

/// An owner is a certain person.
fn owner(text: &str) -> Result<String, String> {
    person(text).and_then(|owner| if owner == "*" { person("") } else { Ok(owner) })
}

/// Runs `lowtide links`.
pub(crate) async fn run(client: &Client, output: Output, command: LinksCommand) -> anyhow::Result<()> {
    match command {
        LinksCommand::Add(AddCommand::Telegram(args)) => add_telegram(client, output, args).await,
        LinksCommand::Add(AddCommand::Slack(args)) => add::slack(client, output, args).await,
        LinksCommand::Add(AddCommand::Discord(args)) => add::discord(client, output, args).await,
        LinksCommand::Add(AddCommand::Matrix(args)) => add::matrix(client, output, args).await,
        LinksCommand::Add(AddCommand::Irc(args)) => add::irc(client, output, args).await,
        LinksCommand::Add(AddCommand::Whatsapp(args)) => add::whatsapp(client, output, args).await,
        LinksCommand::Add(AddCommand::Webhook(args)) => add::webhook(client, output, args).await,
        LinksCommand::List { bot } => list(client, output, &bot).await,
        LinksCommand::Change(args) => change(client, output, args).await,
        LinksCommand::Check(which) => check::run(client, output, &which).await,
        LinksCommand::Pause(which) => {
            let (bot, link) = find(client, &which).await?;
            let link = client.link_pause(bot.id, link.id).await?;
            output.show(&link, || format!("{} is now {}.", shown(&link), status(&link.status)))
        }
        LinksCommand::Resume(which) => {
            let (bot, link) = find(client, &which).await?;
            let link = client.link_resume(bot.id, link.id).await?;
            output.show(&link, || {
                let webhook = link.webhook.as_ref().map(|webhook| format!("\n{}", told(output, link.channel, webhook)));
                format!("{} is now {}.{}", shown(&link), status(&link.status), webhook.unwrap_or_default())
            })
        }
        LinksCommand::Remove { which, yes } => {
            let (bot, link) = find(client, &which).await?;
            if !yes && !confirm(&format!("Take {} off {} ({})?", bot.name, link.channel, shown(&link)))? {
                return Err(Failure::usage("Nothing was removed.").into());
            }
            client.link_delete(bot.id, link.id).await?;
            output.done(|| format!("{} is off {}.", bot.name, link.channel))
        }
        LinksCommand::Pairings(which) => pairings(client, output, &which).await,
        LinksCommand::Approve { which, code } => {
            let (bot, link) = find(client, &which).await?;
            let approved = client.pairing_approve(bot.id, link.id, &code).await?;
            output.show(&approved, || {
                let greeted = if approved.greeted { ", and is told so" } else { "" };
                let owns = if approved.owner {
                    format!(" They own {} there, and approve what its tools ask for.", bot.name)
                } else {
                    String::new()
                };
                format!("{} may write to {} now{greeted}.{owns}", who(&approved.sender), bot.name)
            })
        }
    }
}

async fn add_telegram(client: &Client, output: Output, args: TelegramArgs) -> anyhow::Result<()> {
    let bot = client.bot_get(&args.bot).await?;
    let access = access(&args);
    let token = match (&args.token_env, &args.token_file) {
        (Some(name), _) => secret(SecretSource::Env(name))?,
        (None, Some(path)) => secret(SecretSource::File(path))?,
        (None, None) if io::stdin().is_terminal() => ask_secret("Token from @BotFather: ")?
            .ok_or_else(|| Failure::usage("Nothing was linked. Message @BotFather on Telegram for a token."))?,
        (None, None) => return Err(Failure::usage("Give the token with --token-env or --token-file.").into()),
    };
    let create =
        LinkCreate { channel: Channel::Telegram, token: Some(token), credentials: None, settings: None, access };
    let link = client.link_create(bot.id, &create).await?;
    output.show(&link, || {
        let mut lines = vec![format!("{} is on Telegram as {} ({}).", bot.name, shown(&link), link.id)];
        lines.extend(link.webhook.as_ref().map(|webhook| told(output, link.channel, webhook)));
        lines.push(who_may_write(&bot, &link));
        lines.join("\n")
    })
}

async fn change(client: &Client, output: Output, args: ChangeArgs) -> anyhow::Result<()> {
    let (bot, link) = find(client, &args.which).await?;
    let mut access = link.access.clone();
    access.dm_policy = args.dm_policy.unwrap_or(access.dm_policy);
    if !args.owner.is_empty() || args.no_owners {
        access.owners = args.owner;
    }
    if !args.allow.is_empty() {
        access.allow_from = args.allow;
    }
    if access == link.access {
        return Err(Failure::usage("Nothing to change. `lowtide links change --help` lists what there is.").into());
    }
    let patch = LinkPatch { access: Some(access), ..LinkPatch::default() };
    let link = client.link_change(bot.id, link.id, &patch).await?;
    output.show(&link, || format!("{} {}", who_may_write(&bot, &link), who_owns(&link)))
}

fn who_owns(link: &LinkView) -> String {
    match link.access.owners.as_slice() {
        [] => "Nobody owns it there yet: the first who is let in will.".to_owned(),
        owners => format!("Its owners there: {}.", owners.join(", ")),
    }
}

/// The rules that the options ask for; `None` leaves the defaults.
fn access(args: &TelegramArgs) -> Option<AccessPolicy> {
    if args.dm_policy.is_none() && args.allow.is_empty() && args.owner.is_empty() && args.group.is_empty() {
        return None;
    }
    let groups: BTreeMap<String, GroupRule> =
        args.group.iter().map(|chat| (chat.to_string(), GroupRule::default())).collect();
    Some(AccessPolicy {
        dm_policy: args.dm_policy.unwrap_or_default(),
        owners: args.owner.clone(),
        allow_from: args.allow.clone(),
        groups,
        ..AccessPolicy::default()
    })
}

fn who_may_write(bot: &BotView, link: &LinkView) -> String {
    match link.access.dm_policy {
        DmPolicy::Open => "Everybody may write to it.".to_owned(),
        DmPolicy::Disabled => "Nobody may write to it directly; it answers in its groups.".to_owned(),
        DmPolicy::Allowlist => "Only the people that you listed may write to it.".to_owned(),
        DmPolicy::Pairing => format!(
            "Strangers who write to it get a code. Let one in with: lowtide links approve {} {} CODE",
            quoted(&bot.name),
            link.id
        ),
    }
}

/// What became of a webhook, and what is left to do.
fn told(output: Output, channel: Channel, webhook: &WebhookView) -> String {
    if webhook.registered {
        return format!("{} sends its messages here from now on.", channel.label());
    }
    let mut lines = vec!["The webhook is not registered yet.".to_owned()];
    lines.extend(webhook.hint.clone());
    let secret = webhook.secret.clone().map(|secret| ("secret", secret));
    let by_hand: Vec<_> = [("path", webhook.path.clone())].into_iter().chain(secret).collect();
    lines.push(fields(output.style, &by_hand));
    lines.join("\n")
}

async fn list(client: &Client, output: Output, bot: &str) -> anyhow::Result<()> {
    let bot = client.bot_get(bot).await?;
    let links = client.link_list(bot.id).await?;
    output.show(&links, || {
        if links.items.is_empty() {
            let name = quoted(&bot.name);
            return format!("{} is on no channel yet. `lowtide links add telegram {name}` links one.", bot.name);
        }
        let row = |link: &LinkView| {
            [
                link.channel.to_string(),
                shown(link),
                status(&link.status),
                policy(link).to_owned(),
                link.access.owners.join(", "),
                link.id.to_string(),
            ]
        };
        let rows: Vec<_> = links.items.iter().map(row).collect();
        table(output.style, ["CHANNEL", "HANDLE", "STATUS", "WHO MAY WRITE", "OWNERS", "ID"], &rows)
    })
}

async fn pairings(client: &Client, output: Output, which: &Which) -> anyhow::Result<()> {
    let (bot, link) = find(client, which).await?;
    let waiting = client.pairing_list(bot.id, link.id).await?;
    let now = Clock::system().now();
    output.show(&waiting, || {
        if waiting.items.is_empty() {
            return "Nobody waits. Codes last an hour; a person who writes again gets a new one.".to_owned();
        }
        let row = |pairing: &PairingView| [pairing.code.clone(), who(&pairing.sender), ago(pairing.requested_at, now)];
        let rows: Vec<_> = waiting.items.iter().map(row).collect();
        table(output.style, ["CODE", "WHO", "ASKED"], &rows)
    })
}

/// The bot and the link that are meant.
async fn find(client: &Client, which: &Which) -> Result<(BotView, LinkView), Failure> {
    let bot = client.bot_get(&which.bot).await?;
    let mut links = client.link_list(bot.id).await?.items;
    let Some(position) = position(&links, &which.link) else {
        let name = quoted(&bot.name);
        let message =
            format!("`{}` names no single link of {}. `lowtide links list {name}` shows them.", which.link, bot.name);
        return Err(Failure::usage(message));
    };
    Ok((bot, links.swap_remove(position)))
}

fn position(links: &[LinkView], named: &str) -> Option<usize> {
    let handle = named.strip_prefix('@').unwrap_or(named);
    let is_named = |link: &LinkView| {
        link.id.to_string() == named || link.handle.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(handle))
    };
    links.iter().position(is_named).or_else(|| {
        let mut on_channel = (0..links.len()).filter(|index| links[*index].channel.as_str() == named);
        on_channel.next().filter(|_| on_channel.next().is_none())
    })
}

fn shown(link: &LinkView) -> String {
    link.handle.as_ref().map_or_else(|| link.id.to_string(), |handle| format!("@{handle}"))
}

fn status(status: &LinkStatus) -> String {
    match status {
        LinkStatus::Active => "active".to_owned(),
        LinkStatus::Paused => "paused".to_owned(),
        LinkStatus::Failed { reason } => format!("failed: {}", reason.trim_end_matches('.')),
    }
}

fn policy(link: &LinkView) -> &'static str {
    match link.access.dm_policy {
        DmPolicy::Pairing => "paired people",
        DmPolicy::Allowlist => "listed people",
        DmPolicy::Open => "everybody",
        DmPolicy::Disabled => "nobody",
    }
}

fn who(sender: &Sender) -> String {
    let handle = sender.username.as_ref().map(|handle| format!("@{handle}"));
    let name = sender.name.clone().or(handle).unwrap_or_default();
    one_line(format!("{name} ({})", sender.id).trim(), 60)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn link(number: u8, handle: &str) -> LinkView {
        serde_json::from_value(json!({
            "id": format!("link_0000000000000000000000000{number}"), "bot": "bot_00000000000000000000000001",
            "channel": "telegram", "status": { "state": "active" }, "handle": handle, "access": {},
            "created_at": 0, "updated_at": 0, "version": 1
        }))
        .unwrap()
    }

    #[test]
    fn a_link_is_named_by_id_handle_or_channel() {
        let links = [link(1, "one_bot"), link(2, "two_bot")];
        assert_eq!(position(&links, "link_00000000000000000000000002"), Some(1));
        assert_eq!(position(&links, "@Two_bot"), Some(1));
        assert_eq!(position(&links, "one_bot"), Some(0));
        assert_eq!(position(&links, "telegram"), None, "two of them");
        assert_eq!(position(&links[..1], "telegram"), Some(0));
        assert_eq!(position(&links, "webchat"), None);
    }

    #[test]
    fn people_are_ids_or_handles() {
        assert!(person("555").is_ok() && person("@ada").is_ok() && person("*").is_ok());
        assert!(person("ada").is_err() && person("@").is_err() && person("").is_err());
    }
}
