//! IRC: checks that the network lets the bot in.

use std::time::Duration;

use channels::held::Ended;
use channels::irc::{self, Dial, Secrets};
use domain::link::IrcSettings;
use domain::{Link, LinkSettings};
use egress::Guard;
use runtime::Environment;

use super::{Given, Login, credentials, settings};
use crate::problem::Problem;

/// How long a network may take to let the bot in: many look up its name and its ident first.
const CHECK_WITHIN: Duration = Duration::from_secs(20);

const WHAT: &str = "password (of the account in settings.sasl_user, or else the server's own) and nickserv_password, or \
                    neither where the network asks for none";

pub(super) async fn check(environment: &Environment, given: Given, before: Option<&Link>) -> Result<Login, Problem> {
    let known = before.and_then(|link| match &link.settings {
        LinkSettings::Irc(settings) => Some(settings.clone()),
        _ => None,
    });
    let mut settings: IrcSettings = settings(given.settings, known)?.ok_or_else(|| {
        Problem::unprocessable("settings are missing: give at least host and nick, and the channels to join.")
    })?;
    settings.host = settings.host.trim().to_ascii_lowercase();
    settings.nick = settings.nick.trim().to_owned();
    let secrets = if given.credentials.is_none() && before.is_none() {
        Secrets::default()
    } else {
        credentials(environment, given.credentials, before, WHAT).await?
    };
    if settings.sasl_user.is_some() && secrets.password.is_none() {
        return Err(Problem::unprocessable(
            "credentials.password is missing: give that of the account in settings.sasl_user.",
        ));
    }
    log_in(environment, &settings, &secrets).await?;
    let secret = serde_json::to_string(&secrets).map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(Login {
        handle: Some(settings.nick.clone()),
        channel_id: Some(format!("{}@{}:{}", settings.nick.to_lowercase(), settings.host, settings.port)),
        settings: LinkSettings::Irc(settings),
        secret,
        signing_secret: None,
    })
}

/// Connects, is let in, and leaves again.
async fn log_in(environment: &Environment, settings: &IrcSettings, secrets: &Secrets) -> Result<(), Problem> {
    let guard = Guard::new(&environment.settings.fetch_allow);
    let guard = guard.map_err(|error| Problem::unprocessable(error.to_string()))?;
    let dial = Dial::new(move |host, address| guard.allows(host, address));
    let dial = dial.map_err(|error| Problem::unavailable(format!("{error}."), CHECK_WITHIN))?;
    let credentials = irc::Credentials::new(settings, secrets.clone());
    let way = settings.into();
    let check = tokio::time::timeout(CHECK_WITHIN, irc::check(&way, &credentials, &dial)).await;
    match check.unwrap_or_else(|_| Err(Ended::Lost("the server did not let the bot in in time".to_owned()))) {
        Ok(()) => Ok(()),
        Err(Ended::Unauthorised(reason)) => {
            Err(Problem::unprocessable(format!("IRC refused the credentials ({reason}): give {WHAT}.")))
        }
        Err(Ended::Misconfigured(reason)) => Err(Problem::unprocessable(format!("settings: {reason}."))),
        Err(Ended::Lost(reason)) => Err(Problem::unavailable(
            format!("{reason}. Nothing was changed: check settings.host and settings.port, or try again in a minute."),
            Duration::from_secs(60),
        )),
        Err(Ended::Stopped | Ended::Fenced) => Err(Problem::unavailable(
            "The check was stopped. Nothing was changed: try again.".to_owned(),
            Duration::from_secs(1),
        )),
    }
}
