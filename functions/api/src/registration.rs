//! The channels' side of a link: checks credentials, registers webhooks and withdraws them.

use std::time::Duration;

use axum::http::StatusCode;
use channels::SendError;
use channels::telegram::{Client, Me, bot_id};
use domain::link::TelegramSettings;
use domain::{COMMANDS, Channel, Link, LinkSettings, LinkStatus};
use runtime::Environment;
use serde_json::Value;
use store::SecretContext;

use crate::problem::Problem;
use crate::views::WebhookView;

/// How long one call to Telegram may take: three of them fit into the function's 30 s.
const CALL_TIMEOUT: Duration = Duration::from_secs(8);
/// How long all webhooks of a bot together may take to be withdrawn.
const WITHDRAW_TIMEOUT: Duration = Duration::from_secs(12);

const NO_PUBLIC_URL: &str = "Telegram can't reach this machine. Start Lowtide with LOWTIDE_PUBLIC_URL set to an https:// \
                             address that leads here, then remove this link and add it again; or register the webhook \
                             by hand with this path and secret.";

fn client(environment: &Environment) -> Client {
    Client::new(environment.http.clone(), &environment.settings.telegram_api_base).with_timeout(CALL_TIMEOUT)
}

/// What the owner gives for a link, as it came.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) token: Option<String>,
    pub(crate) credentials: Option<Value>,
    pub(crate) settings: Option<Value>,
}

/// A login that the channel accepts, and whose it is.
pub(crate) struct Login {
    pub(crate) settings: LinkSettings,
    pub(crate) handle: Option<String>,
    /// The channel's own id of the bot.
    pub(crate) channel_id: Option<String>,
    /// What is sealed: Telegram's token as it is, of other channels a JSON object.
    pub(crate) secret: String,
}

/// Asks the channel whether it accepts what was given. What is left out is taken from `before`, a link that there is.
pub(crate) async fn check(
    environment: &Environment,
    channel: Channel,
    given: Given,
    before: Option<&Link>,
) -> Result<Login, Problem> {
    match channel {
        Channel::Telegram => check_telegram(environment, given, before).await,
        Channel::WebChat => {
            Err(Problem::unprocessable("Web chat needs no link: POST to the bot's /chat. Link `telegram`."))
        }
        other => Err(Problem::unprocessable(format!(
            "This version of Lowtide cannot link {} yet. Link `telegram`.",
            other.label()
        ))),
    }
}

async fn check_telegram(environment: &Environment, given: Given, before: Option<&Link>) -> Result<Login, Problem> {
    if given.credentials.is_some() {
        return Err(Problem::bad_request("credentials: Telegram has one, its bot's `token`."));
    }
    let settings = settings_of(given.settings, before)?;
    let secret = match (given.token, before) {
        (Some(token), _) => token.trim().to_owned(),
        (None, Some(link)) => token(environment, link).await?.ok_or_else(no_token)?,
        (None, None) => return Err(no_token()),
    };
    let me = check_token(environment, &secret).await?;
    let channel_id = bot_id(&secret).map(str::to_owned);
    Ok(Login { settings: LinkSettings::Telegram(settings), handle: Some(me.username), channel_id, secret })
}

fn no_token() -> Problem {
    Problem::unprocessable("The link has no token: give `token`, from @BotFather.")
}

/// The settings as given, or else those that there are.
fn settings_of(given: Option<Value>, before: Option<&Link>) -> Result<TelegramSettings, Problem> {
    match (given, before.map(|link| &link.settings)) {
        (Some(given), _) => {
            serde_json::from_value(given).map_err(|error| Problem::bad_request(format!("settings: {error}.")))
        }
        (None, Some(LinkSettings::Telegram(settings))) => Ok(settings.clone()),
        (None, _) => Ok(TelegramSettings::default()),
    }
}

/// Whose token this is.
async fn check_token(environment: &Environment, token: &str) -> Result<Me, Problem> {
    client(environment).get_me(token).await.map_err(|error| match error {
        SendError::Unauthorised(_) => {
            Problem::unprocessable("Telegram refused the token: copy it again from @BotFather.")
        }
        SendError::RateLimited { retry_after } => {
            let detail = format!("Telegram asks for a pause: try again in {} s.", retry_after.as_secs().max(1));
            Problem::unavailable(detail, retry_after)
        }
        SendError::Temporary(detail) => {
            tracing::warn!("A token could not be checked: {detail}");
            let detail =
                "Telegram could not be reached to check the token. Nothing was changed: try again in a minute.";
            Problem::unavailable(detail, Duration::from_secs(60))
        }
        SendError::Unreachable(detail) | SendError::Rejected(detail) => {
            tracing::warn!("Telegram gave a strange answer to getMe: {detail}");
            let detail = format!("Telegram did not say whose token this is ({detail}). Try again in a minute.");
            Problem::new(StatusCode::BAD_GATEWAY, detail)
        }
    })
}

/// The path that the channel calls for a link.
fn path(link: &Link) -> String {
    format!("/hooks/{}/{}", link.channel, link.id)
}

/// Has Telegram call the link's webhook with `secret`, whose hash the stored link has already. Returns
/// the state that the link is in afterwards.
pub(crate) async fn register(
    environment: &Environment,
    link: &Link,
    token: &str,
    secret: String,
) -> (LinkStatus, WebhookView) {
    let path = path(link);
    let Some(public_url) = &environment.settings.public_url else {
        let hint = Some(NO_PUBLIC_URL.to_owned());
        return (LinkStatus::Active, WebhookView { registered: false, path, secret: Some(secret), hint });
    };
    match client(environment).set_webhook(token, &format!("{public_url}{path}"), &secret).await {
        Ok(()) => {
            let commands: Vec<_> = COMMANDS.iter().map(|command| (command.name, command.help)).collect();
            // Commands work without a menu.
            if let Err(error) = client(environment).set_commands(token, &commands).await {
                tracing::warn!(link = %link.id, "The menu of commands was not set: {error}");
            }
            (LinkStatus::Active, WebhookView { registered: true, path, secret: None, hint: None })
        }
        Err(error) => {
            tracing::warn!(link = %link.id, "A webhook was not registered: {error}");
            let reason = format!("the webhook was not registered: {error}");
            let hint = Some(format!("{reason}. When that is repaired, resume the link: it registers again."));
            (LinkStatus::Failed { reason }, WebhookView { registered: false, path, secret: None, hint })
        }
    }
}

/// The token of a link, if it has one.
pub(crate) async fn token(environment: &Environment, link: &Link) -> Result<Option<String>, Problem> {
    let Some(sealed) = &link.token else { return Ok(None) };
    let context = SecretContext::LinkToken { account: link.account, bot: link.bot, link: link.id };
    Ok(Some(environment.store.keyring().open(context, sealed).await?))
}

/// Ends the webhooks of links that are about to go. Best effort: Telegram's calls for a link that is
/// gone are answered all the same, and dropped.
pub(crate) async fn withdraw(environment: &Environment, links: &[Link]) {
    let all = async {
        for link in links.iter().filter(|link| link.channel == Channel::Telegram) {
            // A token that cannot be opened was logged, and its bot cannot be reached without it.
            if let Ok(Some(token)) = token(environment, link).await {
                withdraw_token(environment, link, &token).await;
            }
        }
    };
    if tokio::time::timeout(WITHDRAW_TIMEOUT, all).await.is_err() {
        tracing::warn!("Not all webhooks were withdrawn in time; Telegram gives up on those that are left.");
    }
}

/// Ends the webhook of one bot of Telegram, best effort.
pub(crate) async fn withdraw_token(environment: &Environment, link: &Link, token: &str) {
    if let Err(error) = client(environment).delete_webhook(token).await {
        tracing::warn!(link = %link.id, "A webhook was not withdrawn: {error}");
    }
}
