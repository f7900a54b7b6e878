//! What there is to say of a link that was made: whether its channel still takes the login, what the bot may do there,
//! and where its messages go.
//!
//! Each finding stands for itself. A channel that refuses a call or does not answer is a finding, too; only trouble
//! with our own records is an error.

mod discord;
mod matrix;
mod slack;
mod telegram;
mod webhook;
mod whatsapp;

use channels::SendError;
use chrono::DateTime;
use domain::access::{DmPolicy, GroupPolicy, GroupRule};
use domain::{AccessPolicy, Bot, Channel, Link, LinkSettings, LinkStatus, Timestamp};
use runtime::Environment;
use serde::de::DeserializeOwned;
use url::Url;

use super::{address, path, token};
use crate::problem::Problem;
use crate::views::FindingView;

/// Stands for every group that has no rule of its own.
const OTHER_GROUPS: &str = "*";

/// Asks a link's channel anew, and our records.
pub(crate) async fn inspect(environment: &Environment, bot: &Bot, link: &Link) -> Result<Vec<FindingView>, Problem> {
    let mut findings = vec![state(link)];
    findings.extend(bot.silence().map(|why| silence(bot, why)));
    let wants_holder = link.is_held() && link.is_active();
    let has_holder = wants_holder && environment.store.link_holder(link.id, environment.clock.now()).await?.is_some();
    findings.extend(wants_holder.then(|| holder(has_holder)));
    findings.extend(bot.heard_at.map(heard));
    match token(environment, link).await? {
        Some(secret) => findings.extend(channel(environment, link, &secret, has_holder).await),
        None => findings.push(no_login(link.channel)),
    }
    Ok(findings)
}

/// What the channel says, or its settings where there is nobody to ask.
async fn channel(environment: &Environment, link: &Link, secret: &str, has_holder: bool) -> Vec<FindingView> {
    match &link.settings {
        LinkSettings::Telegram(_) => telegram::inspect(environment, link, secret).await,
        LinkSettings::Discord(settings) => discord::inspect(environment, link, settings, secret).await,
        LinkSettings::Slack(settings) => slack::inspect(environment, link, settings, secret, has_holder).await,
        LinkSettings::WhatsApp(settings) => whatsapp::inspect(environment, settings, secret).await,
        LinkSettings::Matrix(settings) => matrix::inspect(environment, settings, secret).await,
        LinkSettings::Webhook(settings) => vec![webhook::inspect(environment, settings)],
        // A network tells nothing to who does not connect, and the holder does: the link's state is its last word.
        LinkSettings::Irc(_) => vec![],
    }
}

/// The link's own state, as the owner or the holder wrote it.
fn state(link: &Link) -> FindingView {
    match &link.status {
        LinkStatus::Active => fine("link: active"),
        LinkStatus::Paused => {
            amiss("link", "It is paused: what people write there is not answered.", "Resume the link.")
        }
        LinkStatus::Failed { reason } => amiss(
            "link",
            format!("It failed, and nothing is tried any more: {}.", reason.trim_end_matches('.')),
            "Do what the other findings say, and then resume the link.",
        ),
    }
}

fn silence(bot: &Bot, why: &str) -> FindingView {
    let what_to_do = if bot.rest.is_some() { "Restore the bot." } else { "Resume the bot." };
    amiss("bot", format!("It answers nobody: {why}."), what_to_do)
}

/// Whether a link that needs a connection has one.
fn holder(has_holder: bool) -> FindingView {
    if has_holder {
        return fine("connection: a holder looks after it");
    }
    amiss(
        "connection",
        "No holder looks after it, so that nothing is heard there.",
        "A holder takes it within seconds. If none does, see that one runs: `lowtide dev` has its own, a stack needs its \
         parameter HolderImage.",
    )
}

/// When somebody was last heard: links do not note that for themselves.
fn heard(at: Timestamp) -> FindingView {
    fine(format!("last message to the bot, on any channel: {}", time(at)))
}

/// A minute that people read.
fn time(at: Timestamp) -> String {
    let at = i64::try_from(at.as_millis()).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// A finding that asks for nothing.
fn fine(what: impl Into<String>) -> FindingView {
    FindingView { what: what.into(), ok: true, problem: None, what_to_do: None }
}

/// A finding that the owner has to do something about.
fn amiss(what: impl Into<String>, problem: impl Into<String>, what_to_do: impl Into<String>) -> FindingView {
    FindingView { what: what.into(), ok: false, problem: Some(problem.into()), what_to_do: Some(what_to_do.into()) }
}

/// A call that the channel did not do. `advice` says what to do if it is not for the moment that it refused it.
fn failed(what: &str, channel: Channel, error: SendError, advice: &str) -> FindingView {
    let label = channel.label();
    match error {
        SendError::Unauthorised(detail) => amiss(what, format!("{label} refuses it ({detail})."), advice),
        SendError::Unreachable(detail) | SendError::Rejected(detail) => {
            amiss(what, format!("{label} refused to say ({detail})."), advice)
        }
        SendError::RateLimited { retry_after } => {
            let what_to_do = format!("Check again in {} s.", retry_after.as_secs().max(1));
            amiss(what, format!("{label} asks for a pause before it says more."), what_to_do)
        }
        SendError::Temporary(detail) => amiss(
            what,
            format!("{label} could not be reached, or has trouble of its own ({detail})."),
            "Check again in a minute.",
        ),
    }
}

fn no_login(channel: Channel) -> FindingView {
    let what_to_do = format!("Give the link a login on {} again.", channel.label());
    amiss("login", "The link has none, or one that cannot be read.", what_to_do)
}

/// A login, as the channel's module wrote it; or that there is none to be read.
fn login<T: DeserializeOwned>(channel: Channel, secret: &str) -> Result<T, Vec<FindingView>> {
    serde_json::from_str(secret).map_err(|_| vec![no_login(channel)])
}

/// Whether a channel that was given `url` reaches the link. A deployment that does not know its address knows its path.
fn leads_here(environment: &Environment, link: &Link, url: &str) -> bool {
    match environment.settings.public_url {
        Some(_) => url == address(environment, link),
        None => url.strip_suffix(&path(link)).is_some_and(|base| base.starts_with("https://")),
    }
}

/// The host of an address that is another's: its path may be a secret.
fn host(url: &str) -> String {
    let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_else(|| "another address".to_owned())
}

/// Whether the link's rules let anybody write in groups.
fn hears_groups(access: &AccessPolicy) -> bool {
    match access.group_policy {
        GroupPolicy::Disabled => false,
        GroupPolicy::Open => true,
        GroupPolicy::Allowlist => !access.groups.is_empty(),
    }
}

/// The groups in which the link's rules have the bot hear what does not name it as the channel does; `None`: groups that
/// no rule names are among them.
fn loud_groups(access: &AccessPolicy) -> Option<Vec<&str>> {
    if !hears_groups(access) {
        return Some(vec![]);
    }
    let is_loud = |rule: &GroupRule| {
        !rule.require_mention || access.mention_patterns.iter().any(|pattern| !pattern.trim().is_empty())
    };
    let is_open = access.group_policy == GroupPolicy::Open;
    let others = access.groups.get(OTHER_GROUPS).copied().or_else(|| is_open.then(GroupRule::default));
    if others.is_some_and(|rule| is_loud(&rule)) {
        return None;
    }
    Some(access.groups.iter().filter(|(_, rule)| is_loud(rule)).map(|(group, _)| group.as_str()).collect())
}

/// Whether the link's rules let anybody write directly.
fn hears_direct(access: &AccessPolicy) -> bool {
    access.dm_policy != DmPolicy::Disabled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_say_which_groups_are_listened_to() {
        let mut access = AccessPolicy::default();
        assert!(!hears_groups(&access), "none is listed");
        access.mention_patterns = vec!["heron".to_owned()];
        assert_eq!(loud_groups(&access), Some(vec![]), "in which group?");
        access.groups.insert("-100".to_owned(), GroupRule::default());
        assert!(hears_groups(&access));
        assert_eq!(loud_groups(&access), Some(vec!["-100"]));
        access.group_policy = GroupPolicy::Open;
        assert_eq!(loud_groups(&access), None, "the word counts everywhere");
        access.mention_patterns.clear();
        assert_eq!(loud_groups(&access), Some(vec![]), "only who mentions it is heard");
        access.groups.insert("-200".to_owned(), GroupRule { require_mention: false });
        assert_eq!(loud_groups(&access), Some(vec!["-200"]));
        access.groups.insert("*".to_owned(), GroupRule { require_mention: false });
        assert_eq!(loud_groups(&access), None);
        access.group_policy = GroupPolicy::Disabled;
        assert_eq!((hears_groups(&access), loud_groups(&access)), (false, Some(vec![])));
    }

    #[test]
    fn of_another_address_only_the_host_is_shown() {
        assert_eq!(host("https://other.example/bot100:secret"), "other.example");
        assert_eq!(host("nonsense"), "another address");
        assert_eq!(time(Timestamp::from_secs(1_795_341_600)), "2026-11-22 10:00 UTC");
    }
}
