//! Matrix: whether the homeserver is there, whose the token is, and whether it lets the bot listen.

use channels::matrix::{Credentials, Identity};
use domain::Channel;
use domain::link::MatrixSettings;
use runtime::Environment;

use super::super::CALL_TIMEOUT;
use super::super::matrix::{WHAT, client};
use super::{amiss, failed, fine, login};
use crate::views::FindingView;

pub(super) async fn inspect(environment: &Environment, settings: &MatrixSettings, secret: &str) -> Vec<FindingView> {
    let login: Credentials = match login(Channel::Matrix, secret) {
        Ok(login) => login,
        Err(findings) => return findings,
    };
    let advice = "See that settings.homeserver is the base URL that Matrix clients use.";
    let client = match client(environment, settings, &login) {
        Ok(client) => client.with_timeout(CALL_TIMEOUT),
        Err(why) => return vec![amiss("homeserver", format!("It is not asked: {why}."), advice)],
    };
    let (versions, me, sync) = tokio::join!(client.versions(), client.whoami(), client.try_sync());
    let versions = match versions {
        Ok(versions) => versions,
        Err(error) => return vec![failed("homeserver", Channel::Matrix, error, advice)],
    };
    let newest = versions.last().map(String::as_str).unwrap_or_default();
    let mut findings = vec![fine(format!("homeserver: it speaks Matrix up to {newest}"))];
    match me {
        Ok(me) => findings.push(account(settings, &me)),
        Err(error) => {
            findings.push(failed("access token", Channel::Matrix, error, &format!("Give the link {WHAT}.")));
            // Whatever else is asked with it is refused as well.
            return findings;
        }
    }
    findings.push(match sync {
        Ok(()) => fine("sync: the homeserver lets the bot listen"),
        Err(error) => {
            failed("sync", Channel::Matrix, error, "Ask who runs the homeserver why the account may not listen.")
        }
    });
    findings
}

fn account(settings: &MatrixSettings, me: &Identity) -> FindingView {
    if me.user_id != settings.user {
        return amiss(
            format!("access token: {}", me.user_id),
            format!("The link was made for {}: what is said to that account is not heard.", settings.user),
            "Give the link an access token of that account, or the one that it has again to become the other account.",
        );
    }
    let device = me.device_id.as_deref().map(|device| format!(", device {device}")).unwrap_or_default();
    fine(format!("access token: {}{device}", me.user_id))
}
