//! Which channel's protocol a link's connection speaks.

use std::sync::OnceLock;

use channels::discord::gateway::{self, Gateway};
use channels::held::{Ended, Hold};
use channels::slack::socket::{self, Socket};
use channels::telegram::polling;
use channels::{discord, irc, matrix, slack, telegram};
use domain::{Address, Channel, Link, LinkSettings, Sender};
use egress::Guard;
use reqwest::redirect::Policy;
use runtime::Environment;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

/// What the connections to the networks share.
pub(crate) struct Networks {
    /// Made for the first connection: a machine without root certificates can do everything else.
    discord: OnceLock<Gateway>,
    slack: OnceLock<Socket>,
    /// The way to homeservers, whose addresses links' owners enter: public ones, and private ones that the operator lists.
    homeservers: OnceLock<(Guard, reqwest::Client)>,
    /// The way to IRC servers, whose addresses links' owners enter, too.
    irc: OnceLock<irc::Dial>,
}

impl Networks {
    pub(crate) fn new() -> Networks {
        Networks {
            discord: OnceLock::new(),
            slack: OnceLock::new(),
            homeservers: OnceLock::new(),
            irc: OnceLock::new(),
        }
    }

    fn discord(&self, environment: &Environment) -> Result<&Gateway, Ended> {
        if let Some(gateway) = self.discord.get() {
            return Ok(gateway);
        }
        let tls = websocket::tls_config().map_err(|error| Ended::Lost(error.to_string()))?;
        let (http, api_base) = (environment.http.clone(), environment.settings.discord_api_base.clone());
        Ok(self.discord.get_or_init(|| Gateway { http, tls, api_base }))
    }

    fn slack(&self, environment: &Environment) -> Result<&Socket, Ended> {
        if let Some(socket) = self.slack.get() {
            return Ok(socket);
        }
        let tls = websocket::tls_config().map_err(|error| Ended::Lost(error.to_string()))?;
        let client = slack::Client::new(environment.http.clone(), &environment.settings.slack_api_base);
        Ok(self.slack.get_or_init(|| Socket { client, tls }))
    }

    fn homeservers(&self, environment: &Environment) -> Result<&(Guard, reqwest::Client), Ended> {
        if let Some(way) = self.homeservers.get() {
            return Ok(way);
        }
        let allow = &environment.settings.fetch_allow;
        let guard = Guard::new(allow).map_err(|error| Ended::Misconfigured(error.to_string()))?;
        // A redirect would take the token elsewhere.
        let client = guard.client(Policy::none()).map_err(|error| Ended::Lost(error.to_string()))?;
        Ok(self.homeservers.get_or_init(|| (guard, client)))
    }

    fn irc(&self, environment: &Environment) -> Result<&irc::Dial, Ended> {
        if let Some(dial) = self.irc.get() {
            return Ok(dial);
        }
        let guard = Guard::new(&environment.settings.fetch_allow);
        let guard = guard.map_err(|error| Ended::Misconfigured(error.to_string()))?;
        let dial = irc::Dial::new(move |host, address| guard.allows(host, address));
        let dial = dial.map_err(|error| Ended::Lost(error.to_string()))?;
        Ok(self.irc.get_or_init(|| dial))
    }
}

/// Holds one connection of a link until it ends.
pub(crate) async fn connect(
    shared: &Shared,
    link: &Link,
    secret: &str,
    cursor: Option<Value>,
    hold: &dyn Hold,
    stop: CancellationToken,
) -> Ended {
    match link.channel {
        Channel::Discord => match serde_json::from_str::<discord::Credentials>(secret) {
            Ok(it) => match shared.networks.discord(&shared.environment) {
                Ok(gateway) => gateway::run(gateway, &it.bot_token, cursor, hold, stop).await,
                Err(ended) => ended,
            },
            Err(_) => unreadable(),
        },
        Channel::Telegram => {
            let environment = &shared.environment;
            let client = telegram::Client::new(environment.http.clone(), &environment.settings.telegram_api_base);
            polling::run(&client, secret, link.handle.as_deref(), cursor, hold, stop).await
        }
        Channel::Matrix => match matrix_client(shared, link, secret) {
            Ok(client) => {
                let invited = |room: &Address, inviter: &Sender| matrix::by_access(&link.access, room, inviter);
                matrix::run(&client, &invited, cursor, hold, stop).await
            }
            Err(ended) => ended,
        },
        Channel::Slack => {
            let (LinkSettings::Slack(settings), Ok(login)) =
                (&link.settings, serde_json::from_str::<slack::Credentials>(secret))
            else {
                return unreadable();
            };
            let Some(app_token) = login.app_token else {
                return Ended::Misconfigured(
                    "socket mode needs the app-level token (xapp-…): give it to the link".to_owned(),
                );
            };
            let me = slack::Me { user: &settings.bot_user, team: &settings.team };
            match shared.networks.slack(&shared.environment) {
                Ok(way) => socket::run(way, &app_token, me, hold, stop).await,
                Err(ended) => ended,
            }
        }
        Channel::Irc => {
            let (LinkSettings::Irc(settings), Ok(secrets)) = (&link.settings, serde_json::from_str(secret)) else {
                return unreadable();
            };
            match shared.networks.irc(&shared.environment) {
                Ok(dial) => {
                    let credentials = irc::Credentials::new(settings, secrets);
                    let (_mouth, says) = shared.mouths.open(link.id);
                    irc::run(&settings.into(), &credentials, dial, hold, says, stop).await
                }
                Err(ended) => ended,
            }
        }
        other => Ended::Misconfigured(format!("this version keeps no connections to {}", other.label())),
    }
}

fn matrix_client(shared: &Shared, link: &Link, secret: &str) -> Result<matrix::Client, Ended> {
    let (LinkSettings::Matrix(settings), Ok(login)) =
        (&link.settings, serde_json::from_str::<matrix::Credentials>(secret))
    else {
        return Err(unreadable());
    };
    let (guard, http) = shared.networks.homeservers(&shared.environment)?;
    let client = matrix::Client::new(http.clone(), &settings.homeserver, &login.access_token)
        .map_err(|error| Ended::Misconfigured(error.to_string()))?;
    guard.check_url(client.homeserver()).map_err(|refused| Ended::Misconfigured(refused.to_string()))?;
    Ok(client)
}

fn unreadable() -> Ended {
    Ended::Misconfigured(
        "the link's credentials are not in the form that this version reads; give them anew".to_owned(),
    )
}
