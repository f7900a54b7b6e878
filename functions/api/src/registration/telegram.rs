//! Telegram: checks tokens, registers webhooks and withdraws them.

use axum::http::StatusCode;
use channels::SendError;
use channels::telegram::{Client, Me, bot_id};
use domain::link::TelegramSettings;
use domain::{COMMANDS, Link, LinkSettings, LinkStatus};
use runtime::Environment;
use serde_json::Value;

use super::{CALL_TIMEOUT, Given, Login, path, token};
use crate::problem::Problem;
use crate::views::WebhookView;

const NO_PUBLIC_URL: &str = "Telegram can't reach this machine. Start Lowtide with LOWTIDE_PUBLIC_URL set to an https:// \
                             address that leads here, then remove this link and add it again; or register the webhook \
                             by hand with this path and secret.";

pub(super) fn client(environment: &Environment) -> Client {
    Client::new(environment.http.clone(), &environment.settings.telegram_api_base).with_timeout(CALL_TIMEOUT)
}

pub(super) async fn check(environment: &Environment, given: Given, before: Option<&Link>) -> Result<Login, Problem> {
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
    Ok(Login {
        settings: LinkSettings::Telegram(settings),
        handle: Some(me.username),
        channel_id,
        secret,
        signing_secret: None,
    })
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
            Problem::unavailable(detail, std::time::Duration::from_secs(60))
        }
        SendError::Unreachable(detail) | SendError::Rejected(detail) => {
            tracing::warn!("Telegram gave a strange answer to getMe: {detail}");
            let detail = format!("Telegram did not say whose token this is ({detail}). Try again in a minute.");
            Problem::new(StatusCode::BAD_GATEWAY, detail)
        }
    })
}

/// Shows people the commands, best effort: they work without a menu.
async fn set_menu(environment: &Environment, link: &Link, token: &str) {
    let commands: Vec<_> = COMMANDS.iter().map(|command| (command.name, command.help)).collect();
    if let Err(error) = client(environment).set_commands(token, &commands).await {
        tracing::warn!(link = %link.id, "The menu of commands was not set: {error}");
    }
}

/// Has Telegram call the link's webhook with `secret`, whose hash the stored link has already. Returns
/// the state that the link is in afterwards.
pub(super) async fn register(
    environment: &Environment,
    link: &Link,
    token: &str,
    secret: String,
) -> (LinkStatus, WebhookView) {
    if link.is_held() {
        set_menu(environment, link, token).await;
        let hint =
            Some("Messages are fetched from Telegram: it needs no webhook, and one that is set is removed.".to_owned());
        return (LinkStatus::Active, WebhookView { registered: false, path: path(link), secret: None, hint });
    }
    let path = path(link);
    let Some(public_url) = &environment.settings.public_url else {
        let hint = Some(NO_PUBLIC_URL.to_owned());
        return (LinkStatus::Active, WebhookView { registered: false, path, secret: Some(secret), hint });
    };
    match client(environment).set_webhook(token, &format!("{public_url}{path}"), &secret).await {
        Ok(()) => {
            set_menu(environment, link, token).await;
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

/// Ends the webhook of one bot of Telegram, best effort.
pub(super) async fn withdraw(environment: &Environment, link: &Link, token: &str) {
    if let Err(error) = client(environment).delete_webhook(token).await {
        tracing::warn!(link = %link.id, "A webhook was not withdrawn: {error}");
    }
}
