//! `lowtide links add`: what each channel asks for, and where its owner finds that.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use api::views::{BotView, LinkCreate};
use clap::Args;
use domain::access::{DmPolicy, GroupRule};
use domain::{AccessPolicy, Channel};
use serde_json::{Value, json};

use super::{shown, told, who_may_write};
use crate::client::Client;
use crate::failure::Failure;
use crate::terminal::{SecretSource, ask_secret, secret};
use crate::{Output, word};

/// Who may write to the bot there.
#[derive(Args)]
pub(crate) struct AccessArgs {
    /// Who may write to the bot: open, pairing, allowlist or disabled [default: pairing]
    #[arg(long, value_name = "POLICY", value_parser = word::<DmPolicy>)]
    dm_policy: Option<DmPolicy>,
    /// A person who may write without pairing: the channel's id of them, or an @handle; may be repeated
    #[arg(long, value_name = "ID")]
    allow: Vec<String>,
    /// Who owns the bot and approves what its tools ask for: an id or an @handle; may be repeated. Left out: the first who is
    /// let in
    #[arg(long, value_name = "ID")]
    owner: Vec<String>,
    /// A group or channel in which the bot answers when it is mentioned; may be repeated
    #[arg(long, value_name = "ID")]
    group: Vec<String>,
}

impl AccessArgs {
    /// The rules that the options ask for; `None` leaves the defaults.
    fn policy(&self) -> Option<AccessPolicy> {
        let AccessArgs { dm_policy, allow, owner, group } = self;
        if dm_policy.is_none() && allow.is_empty() && owner.is_empty() && group.is_empty() {
            return None;
        }
        let groups: BTreeMap<String, GroupRule> = group.iter().map(|id| (id.clone(), GroupRule::default())).collect();
        Some(AccessPolicy {
            dm_policy: dm_policy.unwrap_or_default(),
            owners: owner.clone(),
            allow_from: allow.clone(),
            groups,
            ..AccessPolicy::default()
        })
    }
}

#[derive(Args)]
pub(crate) struct SlackArgs {
    bot: String,
    /// Environment variable that holds the bot token (xoxb-…)
    #[arg(long, value_name = "VAR")]
    bot_token_env: Option<String>,
    /// Environment variable that holds the signing secret
    #[arg(long, value_name = "VAR")]
    signing_secret_env: Option<String>,
    /// Have Lowtide keep a connection to Slack (socket mode), where Slack cannot reach this deployment
    #[arg(long, conflicts_with = "signing_secret_env")]
    socket: bool,
    /// Environment variable that holds the app-level token (xapp-…) for --socket
    #[arg(long, value_name = "VAR", requires = "socket")]
    app_token_env: Option<String>,
    #[command(flatten)]
    access: AccessArgs,
}

#[derive(Args)]
pub(crate) struct DiscordArgs {
    bot: String,
    /// Environment variable that holds the bot token
    #[arg(long, value_name = "VAR")]
    bot_token_env: Option<String>,
    #[command(flatten)]
    access: AccessArgs,
}

#[derive(Args)]
pub(crate) struct WhatsAppArgs {
    bot: String,
    /// The number's id: "WhatsApp", "API Setup" of the app's page shows it below the number
    #[arg(long, value_name = "ID")]
    phone_number_id: String,
    /// Environment variable that holds the access token
    #[arg(long, value_name = "VAR")]
    access_token_env: Option<String>,
    /// Environment variable that holds the app secret
    #[arg(long, value_name = "VAR")]
    app_secret_env: Option<String>,
    #[command(flatten)]
    access: AccessArgs,
}

#[derive(Args)]
pub(crate) struct MatrixArgs {
    bot: String,
    /// Base URL of the homeserver, such as `https://matrix.example.org`
    #[arg(long, value_name = "URL")]
    homeserver: String,
    /// Environment variable that holds the access token of the bot's own account
    #[arg(long, value_name = "VAR")]
    access_token_env: Option<String>,
    #[command(flatten)]
    access: AccessArgs,
}

#[derive(Args)]
pub(crate) struct IrcArgs {
    bot: String,
    /// The server, such as `irc.libera.chat`
    #[arg(long)]
    host: String,
    /// Its port for TLS
    #[arg(long, default_value_t = 6697)]
    port: u16,
    /// Connect without TLS; only to a server on this machine
    #[arg(long)]
    no_tls: bool,
    /// The bot's name there
    #[arg(long)]
    nick: String,
    /// A channel to join, with its key after a space if it has one; may be repeated
    #[arg(long = "join", value_name = "CHANNEL")]
    channels: Vec<String>,
    /// The account that the network knows the bot by (SASL); its password is in --password-env
    #[arg(long, value_name = "ACCOUNT", requires = "password_env")]
    sasl_user: Option<String>,
    /// Environment variable that holds the account's password; without an account the server's own
    #[arg(long, value_name = "VAR")]
    password_env: Option<String>,
    /// Environment variable that holds what `NickServ` is told, on networks without SASL
    #[arg(long, value_name = "VAR")]
    nickserv_password_env: Option<String>,
    #[command(flatten)]
    access: AccessArgs,
}

#[derive(Args)]
pub(crate) struct WebhookArgs {
    bot: String,
    /// Where replies are posted to. Left out: they are read from the conversation
    #[arg(long, value_name = "URL")]
    reply_url: Option<String>,
    #[command(flatten)]
    access: AccessArgs,
}

/// Links a bot to Slack.
pub(super) async fn slack(client: &Client, output: Output, args: SlackArgs) -> anyhow::Result<()> {
    let bot_token = asked(
        args.bot_token_env.as_deref(),
        "--bot-token-env",
        "Bot token",
        "\"OAuth & Permissions\" of your app's page at api.slack.com/apps, it begins with xoxb-",
    )?;
    let credentials = if args.socket {
        let app_token = asked(
            args.app_token_env.as_deref(),
            "--app-token-env",
            "App-level token",
            "\"Basic Information\", \"App-Level Tokens\" of your app's page at api.slack.com/apps, with the scope \
             connections:write; switch \"Socket Mode\" on there, too",
        )?;
        json!({ "bot_token": bot_token, "app_token": app_token })
    } else {
        let signing_secret = asked(
            args.signing_secret_env.as_deref(),
            "--signing-secret-env",
            "Signing secret",
            "\"Basic Information\" of your app's page at api.slack.com/apps",
        )?;
        json!({ "bot_token": bot_token, "signing_secret": signing_secret })
    };
    let settings = args.socket.then(|| json!({ "socket": true }));
    add(client, output, &args.bot, Channel::Slack, Some(credentials), settings, &args.access).await
}

/// Links a bot to Discord.
pub(super) async fn discord(client: &Client, output: Output, args: DiscordArgs) -> anyhow::Result<()> {
    let credentials = json!({
        "bot_token": asked(
            args.bot_token_env.as_deref(),
            "--bot-token-env",
            "Bot token",
            "\"Bot\", \"Reset Token\" of your application's page at discord.com/developers/applications; switch \"Message \
             Content Intent\" on there, too",
        )?,
    });
    add(client, output, &args.bot, Channel::Discord, Some(credentials), None, &args.access).await
}

/// Links a bot to `WhatsApp`.
pub(super) async fn whatsapp(client: &Client, output: Output, args: WhatsAppArgs) -> anyhow::Result<()> {
    let credentials = json!({
        "access_token": asked(
            args.access_token_env.as_deref(),
            "--access-token-env",
            "Access token",
            "of a system user in Meta's business settings, with the right whatsapp_business_messaging",
        )?,
        "app_secret": asked(
            args.app_secret_env.as_deref(),
            "--app-secret-env",
            "App secret",
            "\"App settings\", \"Basic\" of your app's page at developers.facebook.com/apps",
        )?,
    });
    let settings = json!({ "phone_number_id": args.phone_number_id });
    add(client, output, &args.bot, Channel::WhatsApp, Some(credentials), Some(settings), &args.access).await
}

/// Links a bot to a Matrix account of its own.
pub(super) async fn matrix(client: &Client, output: Output, args: MatrixArgs) -> anyhow::Result<()> {
    let credentials = json!({
        "access_token": asked(
            args.access_token_env.as_deref(),
            "--access-token-env",
            "Access token",
            "of the bot's own account: \"Settings\", \"Help & About\", \"Advanced\" in Element",
        )?,
    });
    let settings = json!({ "homeserver": args.homeserver });
    add(client, output, &args.bot, Channel::Matrix, Some(credentials), Some(settings), &args.access).await
}

/// Links a bot to a nick on an IRC network.
pub(super) async fn irc(client: &Client, output: Output, args: IrcArgs) -> anyhow::Result<()> {
    let held = |variable: Option<&str>| variable.map(|variable| secret(SecretSource::Env(variable))).transpose();
    let credentials = json!({
        "password": held(args.password_env.as_deref())?,
        "nickserv_password": held(args.nickserv_password_env.as_deref())?,
    });
    let settings = json!({
        "host": args.host,
        "port": args.port,
        "tls": !args.no_tls,
        "nick": args.nick,
        "sasl_user": args.sasl_user,
        "channels": args.channels,
    });
    add(client, output, &args.bot, Channel::Irc, Some(credentials), Some(settings), &args.access).await
}

/// Lets any system talk to a bot.
pub(super) async fn webhook(client: &Client, output: Output, args: WebhookArgs) -> anyhow::Result<()> {
    let settings = json!({ "reply_url": args.reply_url });
    add(client, output, &args.bot, Channel::Webhook, None, Some(settings), &args.access).await
}

/// A secret from the variable that is named, or from whoever sits at the terminal. `place` is where it is to be found.
fn asked(variable: Option<&str>, option: &str, name: &str, place: &str) -> anyhow::Result<String> {
    let missing =
        || Failure::usage(format!("Nothing was linked. Give the {} with {option}: {place}.", name.to_lowercase()));
    match variable {
        Some(variable) => secret(SecretSource::Env(variable)),
        None if io::stdin().is_terminal() => Ok(ask_secret(&format!("{name} ({place}): "))?.ok_or_else(missing)?),
        None => Err(missing().into()),
    }
}

async fn add(
    client: &Client,
    output: Output,
    bot: &str,
    channel: Channel,
    credentials: Option<Value>,
    settings: Option<Value>,
    access: &AccessArgs,
) -> anyhow::Result<()> {
    let bot: BotView = client.bot_get(bot).await?;
    let create = LinkCreate { channel, token: None, credentials, settings, access: access.policy() };
    let link = client.link_create(bot.id, &create).await?;
    output.show(&link, || {
        let mut lines = vec![format!("{} is on {} as {} ({}).", bot.name, channel.label(), shown(&link), link.id)];
        lines.extend(link.webhook.as_ref().map(|webhook| told(output, channel, webhook)));
        lines.push(who_may_write(&bot, &link));
        lines.join("\n")
    })
}
