//! Slack: checks the bot's token, and tells the owner which addresses to enter on the app's page.

use channels::slack::{Client, Credentials};
use domain::link::SlackSettings;
use domain::{Channel, Link, LinkSettings};
use runtime::Environment;

use super::{CALL_TIMEOUT, Given, Login, address, credentials, path, refused, settings};
use crate::problem::Problem;
use crate::views::WebhookView;

pub(super) const WHAT: &str = "bot_token (\"OAuth & Permissions\", it begins with xoxb-) and signing_secret (\"Basic Information\") \
                    from your app's page at api.slack.com/apps";

pub(super) const APP_TOKEN: &str = "the app-level token (\"Basic Information\", \"App-Level Tokens\", with the scope connections:write, it \
                         begins with xapp-)";

pub(super) fn client(environment: &Environment) -> Client {
    Client::new(environment.http.clone(), &environment.settings.slack_api_base).with_timeout(CALL_TIMEOUT)
}

pub(super) async fn check(environment: &Environment, given: Given, before: Option<&Link>) -> Result<Login, Problem> {
    let known = before.and_then(|link| match &link.settings {
        LinkSettings::Slack(settings) => Some(settings.clone()),
        _ => None,
    });
    let mut settings: SlackSettings = settings(given.settings, known)?.unwrap_or_default();
    let mut login: Credentials = credentials(environment, given.credentials, before, WHAT).await?;
    login.bot_token = login.bot_token.trim().to_owned();
    login.signing_secret = login.signing_secret.map(|secret| secret.trim().to_owned()).filter(|it| !it.is_empty());
    login.app_token = login.app_token.map(|token| token.trim().to_owned()).filter(|it| !it.is_empty());
    if login.signing_secret.is_none() && !settings.socket {
        return Err(Problem::unprocessable(format!("credentials.signing_secret is missing. Give {WHAT}.")));
    }
    let client = client(environment);
    let me = client.auth_test(&login.bot_token).await;
    let me = me.map_err(|error| refused(Channel::Slack, &format!("give {WHAT}"), error))?;
    if me.bot_id.is_none() {
        return Err(Problem::unprocessable(format!("This is a person's token, not a bot's. Give {WHAT}.")));
    }
    if settings.socket {
        let Some(app_token) = &login.app_token else {
            return Err(Problem::unprocessable(format!("credentials.app_token is missing. Give {APP_TOKEN}.")));
        };
        let opened = client.open_connection(app_token).await;
        opened
            .map_err(|error| refused(Channel::Slack, &format!("switch Socket Mode on, and give {APP_TOKEN}"), error))?;
    }
    (settings.team, settings.bot_user) = (me.team_id, me.user_id);
    let secret = serde_json::to_string(&login).map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(Login {
        channel_id: Some(format!("{}/{}", settings.team, settings.bot_user)),
        settings: LinkSettings::Slack(settings),
        handle: Some(me.user),
        secret,
        signing_secret: login.signing_secret,
    })
}

const SCOPES: &str = "The bot needs the scopes chat:write, files:read, files:write, im:history, channels:history, groups:history, \
                      mpim:history, app_mentions:read and commands. Install the app again after changes.";

pub(super) fn register(environment: &Environment, link: &Link) -> WebhookView {
    if link.is_held() {
        let hint = format!(
            "On your app's page at api.slack.com/apps switch \"Event Subscriptions\" on, with the bot events message.im, \
             message.channels, message.groups, message.mpim and app_mention, and make a command in \"Slash Commands\" if you \
             want one. No address is asked for. {SCOPES}"
        );
        return WebhookView { registered: true, path: path(link), secret: None, hint: Some(hint) };
    }
    let hint = format!(
        "On your app's page at api.slack.com/apps enter {} three times: as Request URL in \"Event Subscriptions\" (bot \
         events message.im, message.channels, message.groups, message.mpim and app_mention), as Request URL in \
         \"Interactivity & Shortcuts\", and for a command in \"Slash Commands\". {SCOPES}",
        address(environment, link)
    );
    WebhookView { registered: false, path: path(link), secret: None, hint: Some(hint) }
}
