//! Discord: the application's intents, where its interactions go, and whether the bot is anywhere.

use channels::discord::{Application, Credentials};
use domain::link::DiscordSettings;
use domain::{Channel, Link};
use runtime::Environment;

use super::super::discord::{WHAT, client};
use super::{amiss, failed, fine, host, leads_here, login};
use crate::views::FindingView;

/// See channels, write there and in threads, attach files, and read what was said before.
const PERMISSIONS: u64 = 1 << 10 | 1 << 11 | 1 << 15 | 1 << 16 | 1 << 38;

pub(super) async fn inspect(
    environment: &Environment,
    link: &Link,
    settings: &DiscordSettings,
    secret: &str,
) -> Vec<FindingView> {
    let login: Credentials = match login(Channel::Discord, secret) {
        Ok(login) => login,
        Err(findings) => return findings,
    };
    let client = client(environment);
    let (application, is_in_server) =
        tokio::join!(client.application(&login.bot_token), client.is_in_server(&login.bot_token));
    let application = match application {
        Ok(application) => application,
        Err(error) => return vec![failed("token", Channel::Discord, error, &format!("Give the link {WHAT}."))],
    };
    let handle = link.handle.as_deref().unwrap_or_default();
    vec![
        fine(format!("token: @{handle}, application {}", application.id)),
        content(&application),
        interactions(environment, link, settings, &application),
        match is_in_server {
            Ok(true) => fine("servers: it is in one at least"),
            Ok(false) => amiss(
                "servers",
                "The bot is in none, so that nobody can write to it.",
                format!(
                    "Open https://discord.com/oauth2/authorize?client_id={}&scope=bot%20applications.commands&\
                     permissions={PERMISSIONS} and choose a server.",
                    application.id
                ),
            ),
            Err(error) => failed("servers", Channel::Discord, error, "Check again in a minute."),
        },
    ]
}

fn content(application: &Application) -> FindingView {
    if application.reads_content() {
        return fine("message content intent: on");
    }
    amiss(
        "message content intent",
        "It is off: Discord does not let the bot connect, since it asks for what messages say.",
        format!(
            "Open https://discord.com/developers/applications/{}/bot, switch “Message Content Intent” on and save. \
             Then resume the link if it has failed.",
            application.id
        ),
    )
}

/// Slash commands and buttons come to the address, or over the gateway where none is set.
fn interactions(
    environment: &Environment,
    link: &Link,
    settings: &DiscordSettings,
    application: &Application,
) -> FindingView {
    let Some(url) = &application.interactions_endpoint_url else {
        return fine("slash commands and buttons: they come over the gateway");
    };
    if !leads_here(environment, link, url) {
        return amiss(
            "slash commands and buttons",
            format!("Discord posts them elsewhere ({}).", host(url)),
            "Give the link its token again, which enters the address here; or empty “Interactions Endpoint URL” in \
             “General Information” of the application's page.",
        );
    }
    if !settings.public_key.eq_ignore_ascii_case(&application.verify_key) {
        return amiss(
            "slash commands and buttons",
            "Discord signs them with another key than the one that the link knows.",
            "Give the link its token again, so that it learns the key.",
        );
    }
    fine("slash commands and buttons: Discord posts them here")
}
