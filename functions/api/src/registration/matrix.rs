//! Matrix: checks that a homeserver is there and takes the bot's token.

use channels::matrix::{Client, Credentials};
use domain::link::MatrixSettings;
use domain::{Channel, Link, LinkSettings};
use egress::Guard;
use reqwest::redirect::Policy;
use runtime::Environment;

use super::{CALL_TIMEOUT, Given, Login, credentials, refused, settings};
use crate::problem::Problem;

pub(super) const WHAT: &str = "access_token of the bot's own account (in Element: Settings, Help & About, Advanced; or from \
                    POST /_matrix/client/v3/login)";

/// A client that reaches public addresses, and private ones that the operator lists.
pub(super) fn client(
    environment: &Environment,
    settings: &MatrixSettings,
    login: &Credentials,
) -> Result<Client, String> {
    let guard = Guard::new(&environment.settings.fetch_allow).map_err(|error| error.to_string())?;
    let http = guard.client(Policy::none()).map_err(|error| error.to_string())?;
    let client = Client::new(http, &settings.homeserver, &login.access_token).map_err(|error| error.to_string())?;
    guard.check_url(client.homeserver()).map_err(|refused| refused.to_string())?;
    Ok(client)
}

pub(super) async fn check(environment: &Environment, given: Given, before: Option<&Link>) -> Result<Login, Problem> {
    let known = before.and_then(|link| match &link.settings {
        LinkSettings::Matrix(settings) => Some(settings.clone()),
        _ => None,
    });
    let settings: Option<MatrixSettings> = settings(given.settings, known)?;
    let mut settings = settings.ok_or_else(|| {
        Problem::unprocessable(
            "settings.homeserver is missing: give the homeserver's base URL, such as https://matrix.example.org.",
        )
    })?;
    let mut login: Credentials = credentials(environment, given.credentials, before, WHAT).await?;
    login.access_token = login.access_token.trim().to_owned();
    let client = client(environment, &settings, &login)
        .map_err(|why| Problem::unprocessable(format!("settings.homeserver: {why}.")))?;
    let me = client.with_timeout(CALL_TIMEOUT).check().await;
    let me = me.map_err(|error| refused(Channel::Matrix, &format!("give {WHAT}"), error))?;
    settings.user.clone_from(&me.user_id);
    let secret = serde_json::to_string(&login).map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(Login {
        settings: LinkSettings::Matrix(settings),
        // The name in the id: what a command names its bot by.
        handle: Some(me.localpart().to_owned()),
        channel_id: Some(me.user_id.clone()),
        secret,
        signing_secret: None,
    })
}
