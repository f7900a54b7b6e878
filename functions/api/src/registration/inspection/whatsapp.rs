//! `WhatsApp`: how the number stands with Meta.

use channels::whatsapp::{Credentials, Number, Standing};
use domain::Channel;
use domain::link::WhatsAppSettings;
use runtime::Environment;

use super::super::whatsapp::{WHAT, client};
use super::{amiss, failed, fine, login};
use crate::views::FindingView;

const MANAGER: &str = "“WhatsApp Manager” at business.facebook.com";

pub(super) async fn inspect(environment: &Environment, settings: &WhatsAppSettings, secret: &str) -> Vec<FindingView> {
    let login: Credentials = match login(Channel::WhatsApp, secret) {
        Ok(login) => login,
        Err(findings) => return findings,
    };
    let number = Number { id: &settings.phone_number_id, token: &login.access_token };
    match client(environment).standing(number).await {
        Ok(standing) => findings(&standing),
        Err(error) => {
            let advice = format!("See that the phone number id is the right one, and give the link {WHAT}.");
            vec![failed("access token", Channel::WhatsApp, error, &advice)]
        }
    }
}

fn findings(standing: &Standing) -> Vec<FindingView> {
    vec![
        fine(format!("access token: {}", standing.display_phone_number)),
        connection(standing),
        quality(&standing.quality_rating),
        name(standing),
    ]
}

/// Meta leaves the status out of some numbers; a code that has expired was entered once.
fn connection(standing: &Standing) -> FindingView {
    let Standing { status, code_verification_status: code, .. } = standing;
    if code == "NOT_VERIFIED" {
        return amiss(
            "number",
            "It was never shown to be yours: Meta waits for the code that it sends there.",
            format!("Ask for the code in {MANAGER}, and enter it."),
        );
    }
    match status.as_str() {
        "" => fine("number: Meta does not say how it stands"),
        "CONNECTED" => fine("number: connected"),
        other => amiss(
            "number",
            format!("It is not connected: Meta says {other}."),
            format!("See the number in {MANAGER}; one that is pending has to be registered with the Cloud API first."),
        ),
    }
}

fn quality(rating: &str) -> FindingView {
    match rating {
        "RED" => amiss(
            "quality",
            "People block the number or report it, and Meta limits what it may send.",
            format!("See why in {MANAGER}, and write to people less, or only to who wants it."),
        ),
        "YELLOW" => fine("quality: medium, some people block the number or report it"),
        "GREEN" => fine("quality: high"),
        _ => fine("quality: not rated yet"),
    }
}

/// What people see the number as.
fn name(standing: &Standing) -> FindingView {
    let what = format!("name: {}", standing.verified_name);
    match standing.name_status.as_str() {
        "DECLINED" => amiss(
            what,
            "Meta declined the name that people are to see.",
            format!("Enter another one for the number in {MANAGER}."),
        ),
        _ => fine(what),
    }
}
