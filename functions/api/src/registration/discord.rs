//! Discord: checks the bot's token, and sets the application's commands and address.

use channels::discord::{Client, Credentials};
use domain::link::DiscordSettings;
use domain::{COMMANDS, Channel, Link, LinkSettings};
use runtime::Environment;

use super::{CALL_TIMEOUT, Given, Login, address, credentials, path, refused};
use crate::problem::Problem;
use crate::views::WebhookView;

pub(super) const WHAT: &str =
    "bot_token (\"Bot\", \"Reset Token\") from your application's page at discord.com/developers/applications";

pub(super) fn client(environment: &Environment) -> Client {
    Client::new(environment.http.clone(), &environment.settings.discord_api_base).with_timeout(CALL_TIMEOUT)
}

pub(super) async fn check(environment: &Environment, given: Given, before: Option<&Link>) -> Result<Login, Problem> {
    if given.settings.is_some() {
        return Err(Problem::bad_request("settings: leave them out; Discord tells the application and its key."));
    }
    let mut login: Credentials = credentials(environment, given.credentials, before, WHAT).await?;
    login.bot_token = login.bot_token.trim().to_owned();
    let refused = |error| refused(Channel::Discord, &format!("give {WHAT}"), error);
    let me = client(environment).me(&login.bot_token).await.map_err(refused)?;
    let application = client(environment).application(&login.bot_token).await.map_err(refused)?;
    let secret = serde_json::to_string(&login).map_err(|error| Problem::bad_request(error.to_string()))?;
    let settings = DiscordSettings { application_id: application.id, public_key: application.verify_key };
    Ok(Login {
        settings: LinkSettings::Discord(settings),
        handle: Some(me.username),
        channel_id: Some(me.id),
        secret,
        signing_secret: None,
    })
}

/// Messages come over the gateway in any case; slash commands and buttons only where Discord can post them.
pub(super) async fn register(environment: &Environment, link: &Link, secret: &str) -> WebhookView {
    let view = |registered, hint| WebhookView { registered, path: path(link), secret: None, hint };
    let (LinkSettings::Discord(settings), Ok(login)) = (&link.settings, serde_json::from_str::<Credentials>(secret))
    else {
        return view(false, Some("The link's settings are not Discord's: remove it and add it again.".to_owned()));
    };
    if environment.settings.public_url.is_none() {
        return view(
            false,
            Some(
                "Messages work. Slash commands and buttons do not: Discord can't reach this machine. Start Lowtide with \
                 LOWTIDE_PUBLIC_URL set to an https:// address that leads here, and PATCH the link's credentials."
                    .to_owned(),
            ),
        );
    }
    if let Err(error) = client(environment).set_commands(&login.bot_token, &settings.application_id, COMMANDS).await {
        tracing::warn!(link = %link.id, "The slash commands were not set: {error}");
    }
    let url = address(environment, link);
    match client(environment).set_interactions_url(&login.bot_token, Some(&url)).await {
        Ok(()) => view(true, None),
        Err(error) => {
            tracing::warn!(link = %link.id, "The address for interactions was not set: {error}");
            let hint = format!(
                "Messages work. Slash commands and buttons do not: {error}. Enter {url} as \"Interactions Endpoint URL\" in \
                 \"General Information\" of your application's page."
            );
            view(false, Some(hint))
        }
    }
}

/// Ends the posting of interactions, best effort.
pub(super) async fn withdraw(environment: &Environment, link: &Link, secret: &str) {
    let Ok(login) = serde_json::from_str::<Credentials>(secret) else { return };
    if let Err(error) = client(environment).set_interactions_url(&login.bot_token, None).await {
        tracing::warn!(link = %link.id, "The address for interactions was not withdrawn: {error}");
    }
}
