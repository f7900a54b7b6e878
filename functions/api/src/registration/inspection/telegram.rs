//! Telegram: what `@BotFather` was told of the bot, and who gets its updates.

use std::time::Duration;

use channels::SendError;
use channels::telegram::{Client, Me, REACTIONS, WebhookInfo};
use domain::link::ReactionNotifications;
use domain::{Channel, Link, LinkSettings, Timestamp};
use futures::future::join_all;
use runtime::Environment;

use super::super::telegram::client;
use super::{amiss, failed, fine, hears_groups, host, leads_here, loud_groups, time};
use crate::views::FindingView;

const NEW_TOKEN: &str = "Send @BotFather /token and choose the bot, and give the link the token that it answers with.";

/// How long a webhook that failed is spoken of once nothing waits for it any more: Telegram keeps its last error.
const FRESH: Duration = Duration::from_secs(3600);

/// Of so many groups Telegram is asked whether the bot is an administrator.
const MAX_GROUPS: usize = 10;

pub(super) async fn inspect(environment: &Environment, link: &Link, token: &str) -> Vec<FindingView> {
    let client = client(environment);
    let (me, webhook) = tokio::join!(client.get_me(token), client.webhook_info(token));
    let me = match me {
        Ok(me) => me,
        Err(error) => return vec![failed("token", Channel::Telegram, error, NEW_TOKEN)],
    };
    let mut findings = vec![login(link, &me)];
    findings.extend(groups(&client, link, token, &me).await);
    match webhook {
        Ok(info) if link.is_held() => findings.push(poll(&info)),
        Ok(info) => findings.extend(posts(environment, link, &info)),
        Err(error) => findings.push(failed("webhook", Channel::Telegram, error, "Check again in a minute.")),
    }
    findings
}

/// A mention is one of the handle that the link knows.
fn login(link: &Link, me: &Me) -> FindingView {
    match &link.handle {
        Some(known) if *known != me.username => amiss(
            format!("token: @{}", me.username),
            format!("The bot has another handle by now: the link takes @{known} for a mention of it."),
            "Give the link its token again, so that it learns the handle.",
        ),
        _ => fine(format!("token: @{}", me.username)),
    }
}

/// What the bot hears of groups, if it is to hear any.
async fn groups(client: &Client, link: &Link, token: &str, me: &Me) -> Vec<FindingView> {
    if !hears_groups(&link.access) {
        return vec![];
    }
    let joins = match me.can_join_groups {
        Some(false) => amiss(
            "groups",
            "Nobody can add the bot to a group, and the link lets it listen there.",
            "Send @BotFather /setjoingroups, choose the bot and then “Enable”.",
        ),
        _ => fine("groups: it can be added to them"),
    };
    if me.can_read_all_group_messages != Some(false) {
        return vec![joins, fine("group privacy: off, it is shown all messages")];
    }
    let loud = loud_groups(&link.access);
    let hears = match &loud {
        Some(groups) if groups.is_empty() => fine("group privacy: on, it is shown what is meant for it"),
        Some(groups) => {
            let (unheard, unknown) = unheard(client, token, me, groups).await;
            privacy(&unheard, unknown)
        }
        None => privacy(&["its groups"], 0),
    };
    vec![joins, hears]
}

/// The groups of which the bot is not shown everything, and of how many that is not known: an administrator is shown everything,
/// whatever its privacy.
async fn unheard<'a>(client: &Client, token: &str, me: &Me, groups: &[&'a str]) -> (Vec<&'a str>, usize) {
    let asked = groups.iter().take(MAX_GROUPS).map(|group| client.is_administrator(token, group, me.id));
    let answers = join_all(asked).await;
    let is_none = |answer: &Result<bool, SendError>| match answer {
        Ok(is_administrator) => Some(!is_administrator),
        // It is no member there.
        Err(SendError::Unreachable(_) | SendError::Rejected(_)) => Some(true),
        Err(_) => None,
    };
    let known = answers.iter().filter(|answer| is_none(answer).is_some()).count();
    let unheard = groups.iter().zip(&answers).filter(|(_, answer)| is_none(answer) == Some(true));
    (unheard.map(|(group, _)| *group).collect(), groups.len() - known)
}

fn privacy(unheard: &[&str], unknown: usize) -> FindingView {
    if unheard.is_empty() {
        return fine(match unknown {
            0 => "group privacy: on, but it is an administrator where it is to hear everything".to_owned(),
            _ => format!("group privacy: on; of {unknown} groups it is not known whether it is an administrator there"),
        });
    }
    amiss(
        "group privacy",
        format!(
            "The link lets the bot answer without its handle in {}, but with privacy mode on Telegram does not show it \
             such messages.",
            unheard.join(", ")
        ),
        "Send @BotFather /setprivacy, choose the bot and then “Disable”. After that remove the bot from each group and \
         add it again. Or make it an administrator there.",
    )
}

/// Of a bot that is polled nothing may be posted.
fn poll(info: &WebhookInfo) -> FindingView {
    if info.url.is_empty() {
        return fine(format!("long poll: {}", waiting(info)));
    }
    amiss(
        "long poll",
        format!("A webhook is set ({}), and takes the updates away.", host(&info.url)),
        "End the program that set it, then pause the link and resume it: that removes the webhook.",
    )
}

/// Whether updates are posted here, which, and whether they arrive.
fn posts(environment: &Environment, link: &Link, info: &WebhookInfo) -> Vec<FindingView> {
    if !leads_here(environment, link, &info.url) {
        return vec![elsewhere(environment, info)];
    }
    let mut findings = vec![delivery(environment.clock.now(), info)];
    let is_wanted = |kind: &&str| *kind != REACTIONS || wants_reactions(link);
    let left_out: Vec<&str> = info.left_out().into_iter().filter(is_wanted).collect();
    if !left_out.is_empty() {
        findings.push(amiss(
            "webhook's updates",
            format!("Telegram does not post all that the bot needs: {} is left out.", left_out.join(", ")),
            match environment.settings.public_url {
                Some(_) => "Give the link its token again: that registers the webhook anew.",
                None => "Register it again with them among its allowed_updates.",
            },
        ));
    }
    findings
}

fn wants_reactions(link: &Link) -> bool {
    match &link.settings {
        LinkSettings::Telegram(settings) => settings.reaction_notifications != ReactionNotifications::Off,
        _ => false,
    }
}

fn elsewhere(environment: &Environment, info: &WebhookInfo) -> FindingView {
    let problem = match info.url.is_empty() {
        true => "None is set, so that Telegram posts nothing here.".to_owned(),
        false => format!("Telegram posts the bot's updates elsewhere ({}).", host(&info.url)),
    };
    let what_to_do = match environment.settings.public_url {
        Some(_) => {
            "Give the link its token again: that registers the webhook here. End the program that set another one, if \
             one did."
        }
        None => {
            "Start Lowtide with LOWTIDE_PUBLIC_URL set to an https:// address that leads here, and give the link its \
             token again; or have it poll."
        }
    };
    amiss("webhook", problem, what_to_do)
}

fn delivery(now: Timestamp, info: &WebhookInfo) -> FindingView {
    let failed_at = info.last_error_date.map(Timestamp::from_secs);
    match failed_at {
        Some(at) if info.pending_update_count > 0 || now.since(at) < FRESH => amiss(
            format!("webhook: {}", waiting(info)),
            format!(
                "Telegram last could not post an update at {}: {}.",
                time(at),
                info.last_error_message.as_deref().unwrap_or("it does not say why").trim_end_matches('.')
            ),
            "See that the address is reached from outside, with a certificate that browsers trust. Telegram tries \
             again for a day.",
        ),
        _ => fine(format!("webhook: {}", waiting(info))),
    }
}

fn waiting(info: &WebhookInfo) -> String {
    match info.pending_update_count {
        0 => "no update waits".to_owned(),
        1 => "one update waits".to_owned(),
        more => format!("{more} updates wait"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_while_it_matters() {
        let now = Timestamp::from_secs(100_000);
        let info = |pending, error: Option<u64>| WebhookInfo {
            url: "https://bots.example/hooks".to_owned(),
            pending_update_count: pending,
            last_error_date: error,
            last_error_message: error.map(|_| "Connection refused".to_owned()),
            allowed_updates: None,
        };
        assert!(delivery(now, &info(7, None)).ok);
        assert!(delivery(now, &info(0, Some(90_000))).ok, "that is over");
        for (pending, at) in [(0, 99_000), (1, 10)] {
            let finding = delivery(now, &info(pending, Some(at)));
            assert!(!finding.ok && finding.problem.unwrap().contains("Connection refused."), "{pending} {at}");
        }
    }
}
