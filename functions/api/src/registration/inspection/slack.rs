//! Slack: whose the tokens are, and what they may do.

use channels::SendError;
use channels::slack::{Client, Credentials};
use domain::link::SlackSettings;
use domain::{AccessPolicy, Channel, Link};
use runtime::Environment;

use super::super::slack::{APP_TOKEN, WHAT, client};
use super::{amiss, failed, fine, hears_direct, hears_groups, login};
use crate::views::FindingView;

/// When a scope is needed.
enum Need {
    Always,
    /// For who writes directly.
    Direct,
    /// For channels and talks of several.
    Groups,
    /// Slack adds it with the first slash command.
    Wish,
}

/// Each scope that is used, and what does not work without it.
const SCOPES: [(&str, Need, &str); 9] = [
    ("chat:write", Need::Always, "the bot cannot write"),
    ("im:history", Need::Direct, "it does not hear direct messages"),
    ("app_mentions:read", Need::Groups, "Slack does not tell it who mentions it"),
    ("channels:history", Need::Groups, "it does not hear what is said in public channels"),
    ("groups:history", Need::Groups, "it does not hear what is said in private channels"),
    ("mpim:history", Need::Groups, "it does not hear direct messages of several people"),
    ("files:read", Need::Always, "it cannot read files that people send"),
    ("files:write", Need::Always, "it cannot send files"),
    ("commands", Need::Wish, "there are no slash commands"),
];

pub(super) async fn inspect(
    environment: &Environment,
    link: &Link,
    settings: &SlackSettings,
    secret: &str,
    has_holder: bool,
) -> Vec<FindingView> {
    let login: Credentials = match login(Channel::Slack, secret) {
        Ok(login) => login,
        Err(findings) => return findings,
    };
    let client = client(environment);
    let (scopes, socket) = tokio::join!(client.scopes(&login.bot_token), socket(&client, settings, &login, has_holder));
    let mut findings = match scopes {
        Ok(scopes) => {
            let handle = link.handle.as_deref().unwrap_or_default();
            let mut findings = vec![fine(format!("token: @{handle}"))];
            findings.extend(scopes_of(&link.access, scopes.as_deref()));
            findings
        }
        Err(error) => vec![failed("token", Channel::Slack, error, &format!("Give the link {WHAT}."))],
    };
    findings.extend(socket);
    findings
}

/// What is missing, a finding each; or one that says that nothing is.
fn scopes_of(access: &AccessPolicy, scopes: Option<&[String]>) -> Vec<FindingView> {
    let Some(scopes) = scopes else {
        let problem = "Slack did not say which scopes the token has.";
        return vec![amiss("scopes", problem, "Check again in a minute.")];
    };
    let is_needed = |need: &Need| match need {
        Need::Always => true,
        Need::Direct => hears_direct(access),
        Need::Groups => hears_groups(access),
        Need::Wish => false,
    };
    let missing = SCOPES.iter().filter(|(name, ..)| !scopes.iter().any(|scope| scope == name));
    let (needed, unneeded): (Vec<_>, Vec<_>) = missing.partition(|(_, need, _)| is_needed(need));
    let needed = needed.into_iter().map(|(name, _, without)| {
        amiss(
            format!("scope {name}"),
            format!("The token lacks it: {without}."),
            "Add it to “Bot Token Scopes” in “OAuth & Permissions” of your app's page at api.slack.com/apps, and \
             install the app again.",
        )
    });
    let mut findings: Vec<FindingView> = needed.collect();
    if findings.is_empty() {
        findings.push(fine("scopes: all that the link's rules ask for"));
    }
    findings.extend(unneeded.into_iter().map(|(name, _, without)| fine(format!("without the scope {name} {without}"))));
    findings
}

/// Whether a connection of socket mode would be let in. None is opened, but Slack lets an app ask about once a minute only:
/// the holder's question goes first.
async fn socket(
    client: &Client,
    settings: &SlackSettings,
    login: &Credentials,
    has_holder: bool,
) -> Option<FindingView> {
    if !settings.socket {
        return None;
    }
    let advice = format!("Switch Socket Mode on in “Socket Mode” of your app's page, and give the link {APP_TOKEN}.");
    let Some(app_token) = &login.app_token else {
        return Some(amiss("socket mode", "The link has no app-level token.", advice));
    };
    if has_holder {
        return Some(fine("socket mode: a holder sees to it"));
    }
    Some(match client.open_connection(app_token).await {
        Err(SendError::RateLimited { .. }) => fine("socket mode: not asked, Slack wants a pause first"),
        Ok(_) => fine("socket mode: Slack lets the app connect"),
        Err(error) => failed("socket mode", Channel::Slack, error, &advice),
    })
}
