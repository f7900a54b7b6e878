//! The generic webhook: makes a signing secret, and tells the owner how a system posts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use channels::signature::sign_standard;
use domain::link::WebhookSettings;
use domain::{Link, LinkSettings};
use egress::Guard;
use runtime::Environment;
use serde::Deserialize;

use super::{Given, Login, address, path, settings, token};
use crate::problem::Problem;
use crate::views::WebhookView;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    signing_secret: String,
}

pub(super) async fn check(environment: &Environment, given: Given, before: Option<&Link>) -> Result<Login, Problem> {
    let known = before.and_then(|link| match &link.settings {
        LinkSettings::Webhook(settings) => Some(settings.clone()),
        _ => None,
    });
    let settings: WebhookSettings = settings(given.settings, known)?.unwrap_or_default();
    if let Some(url) = &settings.reply_url {
        check_url(environment, url, settings.outbound_only)?;
    }
    let stored = match before {
        Some(link) => token(environment, link).await?,
        None => None,
    };
    let secret = match (given.credentials, stored) {
        (Some(given), _) => {
            let Credentials { signing_secret } = serde_json::from_value(given).map_err(|error| {
                Problem::bad_request(format!("credentials: {error}. Leave them out, and a signing_secret is made."))
            })?;
            signing_secret.trim().to_owned()
        }
        (None, Some(stored)) => stored,
        (None, None) => fresh(environment),
    };
    if sign_standard(&secret, "id", environment.clock.now(), b"").is_err() {
        return Err(Problem::bad_request(
            "credentials.signing_secret: write whsec_ and at least 24 bytes in base64, or leave it out, and one is made.",
        ));
    }
    let outbound_only = settings.outbound_only;
    Ok(Login {
        settings: LinkSettings::Webhook(settings),
        handle: None,
        channel_id: None,
        // The door has what the system signs with, and of one that only listens there is nothing to open.
        signing_secret: (!outbound_only).then(|| secret.clone()),
        secret,
    })
}

/// An address is judged again, with what its name stands for, whenever something is posted to it.
fn check_url(environment: &Environment, url: &str, outbound_only: bool) -> Result<(), Problem> {
    let field = if outbound_only { "The address to post to" } else { "settings.reply_url" };
    let bad = |why: String| Problem::bad_request(format!("{field}: {why}; write it as https://host/path."));
    judge(environment, url, outbound_only).map_err(bad)
}

/// Whether anything may be posted to an address, or why not.
pub(super) fn judge(environment: &Environment, url: &str, outbound_only: bool) -> Result<(), String> {
    let url = url.parse().map_err(|_| "it is not a URL".to_owned())?;
    let guard = Guard::new(&environment.settings.fetch_allow).map_err(|error| error.to_string())?;
    let checked = if outbound_only { guard.check_private_way(&url) } else { guard.check_url(&url) };
    checked.map_err(|refused| refused.to_string())
}

/// 256 random bits.
fn fresh(environment: &Environment) -> String {
    let halves = [environment.entropy.next_u128(), environment.entropy.next_u128()];
    let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
    format!("whsec_{}", STANDARD.encode(bytes))
}

pub(super) fn register(environment: &Environment, link: &Link, secret: Option<&str>) -> WebhookView {
    if matches!(&link.settings, LinkSettings::Webhook(settings) if settings.outbound_only) {
        let hint =
            "Answers of schedules are posted to settings.reply_url, signed as standardwebhooks.com says. Nothing is \
                    taken from there."
                .to_owned();
        return WebhookView { registered: true, path: path(link), secret: None, hint: Some(hint) };
    }
    let hint = format!(
        "POST {{\"text\": \"…\", \"session\": \"main\", \"sender\": \"…\"}} to {}, signed with the secret below as \
         standardwebhooks.com says; its libraries do that. Replies are posted to settings.reply_url, signed the same way.",
        address(environment, link)
    );
    WebhookView { registered: false, path: path(link), secret: secret.map(str::to_owned), hint: Some(hint) }
}
