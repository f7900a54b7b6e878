//! The channels' side of a link: checks credentials, registers webhooks and withdraws them.

mod discord;
pub(crate) mod inspection;
mod irc;
mod matrix;
mod slack;
mod telegram;
mod webhook;
mod whatsapp;

use std::time::Duration;

use axum::http::StatusCode;
use channels::SendError;
use domain::{Channel, Link, LinkSettings, LinkStatus};
use runtime::Environment;
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::SecretContext;

use crate::problem::Problem;
use crate::views::WebhookView;

/// How long one call to a channel may take: three of them fit into the function's 30 s.
const CALL_TIMEOUT: Duration = Duration::from_secs(8);
/// How long all webhooks of a bot together may take to be withdrawn.
const WITHDRAW_TIMEOUT: Duration = Duration::from_secs(12);

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
    /// What signs the channel's webhooks, if anything does. The door has this alone.
    pub(crate) signing_secret: Option<String>,
}

/// Asks the channel whether it accepts what was given. What is left out is taken from `before`, a link that there is.
pub(crate) async fn check(
    environment: &Environment,
    channel: Channel,
    given: Given,
    before: Option<&Link>,
) -> Result<Login, Problem> {
    if channel != Channel::Telegram && given.token.is_some() {
        return Err(Problem::bad_request(format!(
            "token: only Telegram has one; give the `credentials` of {}.",
            channel.label()
        )));
    }
    match channel {
        Channel::Telegram => telegram::check(environment, given, before).await,
        Channel::Slack => slack::check(environment, given, before).await,
        Channel::Discord => discord::check(environment, given, before).await,
        Channel::WhatsApp => whatsapp::check(environment, given, before).await,
        Channel::Webhook => webhook::check(environment, given, before).await,
        Channel::WebChat => {
            Err(Problem::unprocessable("Web chat needs no link: POST to the bot's /chat. Link another channel."))
        }
        Channel::Matrix => matrix::check(environment, given, before).await,
        Channel::Irc => irc::check(environment, given, before).await,
    }
}

/// What a link that is stored needs to be called by its channel.
pub(crate) struct Registration<'a> {
    /// The credentials, as they were sealed.
    pub(crate) secret: &'a str,
    /// The secret that the channel is to carry, whose hash the stored link has already; empty if it has none.
    pub(crate) webhook_secret: String,
    pub(crate) signing_secret: Option<&'a str>,
}

/// Has the channel call the link's webhook, or says how the owner does that. Returns the state that the link is in
/// afterwards.
pub(crate) async fn register(
    environment: &Environment,
    link: &Link,
    registration: Registration<'_>,
) -> (LinkStatus, WebhookView) {
    let Registration { secret, webhook_secret, signing_secret } = registration;
    match link.channel {
        Channel::Telegram => telegram::register(environment, link, secret, webhook_secret).await,
        Channel::Discord => (LinkStatus::Active, discord::register(environment, link, secret).await),
        Channel::Slack => (LinkStatus::Active, slack::register(environment, link)),
        Channel::WhatsApp => (LinkStatus::Active, whatsapp::register(environment, link, webhook_secret)),
        Channel::Webhook => (LinkStatus::Active, webhook::register(environment, link, signing_secret)),
        Channel::Matrix | Channel::Irc | Channel::WebChat => {
            let view = WebhookView { registered: true, path: path(link), secret: None, hint: None };
            (LinkStatus::Active, view)
        }
    }
}

/// Whether a channel repeats a secret of ours with its webhooks.
pub(crate) fn carries_secret(channel: Channel) -> bool {
    matches!(channel, Channel::Telegram | Channel::WhatsApp)
}

/// The path that the channel calls for a link.
fn path(link: &Link) -> String {
    format!("/hooks/{}/{}", link.channel, link.id)
}

/// Where the channel calls a link, as the owner enters it; with a placeholder where the deployment does not know its address.
fn address(environment: &Environment, link: &Link) -> String {
    let base = environment.settings.public_url.as_deref();
    format!("{}{}", base.unwrap_or("https://YOUR-PUBLIC-ADDRESS"), path(link))
}

/// What a channel's module calls its credentials: as given, or those that there are.
async fn credentials<T: DeserializeOwned>(
    environment: &Environment,
    given: Option<Value>,
    before: Option<&Link>,
    what: &str,
) -> Result<T, Problem> {
    let value = match (given, before) {
        (Some(given), _) => given,
        (None, Some(link)) => {
            let stored = token(environment, link).await?.and_then(|text| serde_json::from_str(&text).ok());
            stored.ok_or_else(|| Problem::unprocessable(format!("The link has no credentials: give {what}.")))?
        }
        (None, None) => return Err(Problem::unprocessable(format!("credentials: give {what}."))),
    };
    serde_json::from_value(value).map_err(|error| Problem::bad_request(format!("credentials: {error}. Give {what}.")))
}

/// A channel's settings: as given, or else those that there are.
fn settings<T: DeserializeOwned>(given: Option<Value>, known: Option<T>) -> Result<Option<T>, Problem> {
    match given {
        Some(given) => serde_json::from_value(given).map_err(|e| Problem::bad_request(format!("settings: {e}."))),
        None => Ok(known),
    }
}

/// Why a channel does not accept a login. `advice` says where the right one is to be found.
fn refused(channel: Channel, advice: &str, error: SendError) -> Problem {
    let label = channel.label();
    match error {
        SendError::Unauthorised(detail) => {
            Problem::unprocessable(format!("{label} refused the credentials ({detail}): {advice}."))
        }
        SendError::RateLimited { retry_after } => {
            let detail = format!("{label} asks for a pause: try again in {} s.", retry_after.as_secs().max(1));
            Problem::unavailable(detail, retry_after)
        }
        SendError::Temporary(detail) => {
            tracing::warn!("Credentials could not be checked: {detail}");
            let detail = format!(
                "{label} could not be reached to check the credentials. Nothing was changed: try again in a minute."
            );
            Problem::unavailable(detail, Duration::from_secs(60))
        }
        SendError::Unreachable(detail) | SendError::Rejected(detail) => {
            let detail = format!("{label} did not say whose credentials these are ({detail}): {advice}.");
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }
}

/// The token of a link, if it has one.
pub(crate) async fn token(environment: &Environment, link: &Link) -> Result<Option<String>, Problem> {
    let Some(sealed) = &link.token else { return Ok(None) };
    let context = SecretContext::LinkToken { account: link.account, bot: link.bot, link: link.id };
    Ok(Some(environment.store.keyring().open(context, sealed).await?))
}

/// Ends the webhooks of links that are about to go. Best effort: a channel's calls for a link that is gone are answered
/// all the same, and dropped. Slack's, Meta's and other systems' addresses are their owners' to remove.
pub(crate) async fn withdraw(environment: &Environment, links: &[Link]) {
    let all = async {
        for link in links.iter().filter(|link| matches!(link.channel, Channel::Telegram | Channel::Discord)) {
            // A token that cannot be opened was logged, and its bot cannot be reached without it.
            let Ok(Some(token)) = token(environment, link).await else { continue };
            match link.channel {
                Channel::Discord => discord::withdraw(environment, link, &token).await,
                _ => telegram::withdraw(environment, link, &token).await,
            }
        }
    };
    if tokio::time::timeout(WITHDRAW_TIMEOUT, all).await.is_err() {
        tracing::warn!("Not all webhooks were withdrawn in time; channels give up on those that are left.");
    }
}
