//! `WhatsApp`: checks the access token, and tells the owner what to enter on the app's page.

use channels::whatsapp::{Client, Credentials, Number};
use domain::link::WhatsAppSettings;
use domain::{Channel, Link, LinkSettings};
use runtime::Environment;

use super::{CALL_TIMEOUT, Given, Login, address, credentials, path, refused, settings};
use crate::problem::Problem;
use crate::views::WebhookView;

pub(super) const WHAT: &str = "access_token (of a system user in Meta's business settings, so that it does not expire) and app_secret \
                    (\"App settings\", \"Basic\" of your app's page at developers.facebook.com/apps)";

pub(super) fn client(environment: &Environment) -> Client {
    Client::new(environment.http.clone(), &environment.settings.whatsapp_api_base).with_timeout(CALL_TIMEOUT)
}

pub(super) async fn check(environment: &Environment, given: Given, before: Option<&Link>) -> Result<Login, Problem> {
    let known = before.and_then(|link| match &link.settings {
        LinkSettings::WhatsApp(settings) => Some(settings.clone()),
        _ => None,
    });
    let missing = || {
        Problem::unprocessable(
            "settings.phone_number_id is missing: \"WhatsApp\", \"API Setup\" of your app's page shows it below the number.",
        )
    };
    let settings: WhatsAppSettings = settings(given.settings, known)?.ok_or_else(missing)?;
    // It becomes part of a path.
    if settings.phone_number_id.is_empty() || !settings.phone_number_id.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Problem::bad_request(
            "settings.phone_number_id: write the digits of the id, not the number itself.",
        ));
    }
    let mut login: Credentials = credentials(environment, given.credentials, before, WHAT).await?;
    login.access_token = login.access_token.trim().to_owned();
    login.app_secret = login.app_secret.trim().to_owned();
    let number = Number { id: &settings.phone_number_id, token: &login.access_token };
    let me = client(environment).identity(number).await;
    let me = me.map_err(|error| refused(Channel::WhatsApp, &format!("give {WHAT}"), error))?;
    let secret = serde_json::to_string(&login).map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(Login {
        channel_id: Some(settings.phone_number_id.clone()),
        settings: LinkSettings::WhatsApp(settings),
        handle: Some(me.display_phone_number).filter(|number| !number.is_empty()),
        secret,
        signing_secret: Some(login.app_secret),
    })
}

pub(super) fn register(environment: &Environment, link: &Link, webhook_secret: String) -> WebhookView {
    let hint = format!(
        "On your app's page at developers.facebook.com/apps, in \"WhatsApp\", \"Configuration\", enter {} as Callback URL and \
         the secret below as Verify token, and subscribe to the field messages.",
        address(environment, link)
    );
    WebhookView { registered: false, path: path(link), secret: Some(webhook_secret), hint: Some(hint) }
}
