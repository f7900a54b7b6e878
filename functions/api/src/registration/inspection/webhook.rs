//! The generic webhook: whether replies may be posted where they are to go. Nothing is posted.

use domain::link::WebhookSettings;
use runtime::Environment;

use super::super::webhook::judge;
use super::{amiss, fine, host};
use crate::views::FindingView;

pub(super) fn inspect(environment: &Environment, settings: &WebhookSettings) -> FindingView {
    let Some(url) = &settings.reply_url else {
        return fine("replies: none is posted, they stay in the conversation");
    };
    match judge(environment, url, settings.outbound_only) {
        Ok(()) => fine(format!("replies: they are posted to {}", host(url))),
        Err(why) => amiss(
            "replies",
            format!("Nothing is posted to {}: {why}.", host(url)),
            "Change settings.reply_url to a public address, https://host/path; or have whoever runs Lowtide list host \
             and port in LOWTIDE_FETCH_ALLOW.",
        ),
    }
}
