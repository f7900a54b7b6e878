//! Other people's services: whether an address can be one, and where the secrets for it go.
//!
//! A secret is only ever sent to where its owner gave it for. Otherwise who may change a bot could have a stored secret
//! sent wherever they like, and read it there. So a change of address needs the secret again.

use domain::{Bot, Sealed};
use runtime::Environment;
use store::{BotSecret, SecretContext};
use url::Url;

use crate::problem::Problem;

/// In bytes.
const MAX_URL: usize = 1000;
/// In bytes.
const MAX_SECRET: usize = 4096;

/// Checks the address of a service, and leaves out slashes at its end. `example` is how one looks.
pub(crate) fn address(field: &str, text: &str, example: &str) -> Result<String, Problem> {
    let text = text.trim().trim_end_matches('/');
    let bad = |why: &str| Problem::bad_request(format!("{field}: {why}; write it as {example}."));
    let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it must not hold credentials, which have a field of their own"));
    }
    if url.fragment().is_some() || text.len() > MAX_URL {
        return Err(bad("it has a fragment or is too long"));
    }
    Ok(text.to_owned())
}

/// As [`address`]. Only where private addresses may be reached may it be one without TLS.
pub(crate) fn secure_address(
    environment: &Environment,
    field: &str,
    text: &str,
    example: &str,
) -> Result<String, Problem> {
    let address = address(field, text, example)?;
    if environment.settings.private_models || address.to_ascii_lowercase().starts_with("https:") {
        return Ok(address);
    }
    Err(Problem::bad_request(format!(
        "{field}: what is sent over http can be read on its way; write it as {example}. Only `lowtide dev` takes http."
    )))
}

/// A secret as it is sent in a header.
pub(crate) fn secret<'a>(field: &str, text: &'a str) -> Result<&'a str, Problem> {
    let text = text.trim();
    let fits = (1..=MAX_SECRET).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
    if fits {
        Ok(text)
    } else {
        Err(Problem::bad_request(format!(
            "{field}: a key has visible ASCII characters without spaces; copy it again, or send null to clear it."
        )))
    }
}

/// What becomes of a secret of a bot: sealed if a new one is given, forgotten if `null` is, and otherwise the stored one,
/// which is refused when it would be sent to another place than before.
pub(crate) async fn changed(
    environment: &Environment,
    bot: &Bot,
    name: BotSecret<'_>,
    field: &str,
    given: Option<Option<String>>,
    stored: Option<Sealed>,
    goes_to_same: bool,
) -> Result<Option<Sealed>, Problem> {
    match given {
        Some(Some(text)) => seal(environment, bot, name, secret(field, &text)?).await.map(Some),
        Some(None) => Ok(None),
        None if stored.is_some() && !goes_to_same => Err(given_for_another(field)),
        None => Ok(stored),
    }
}

async fn seal(environment: &Environment, bot: &Bot, name: BotSecret<'_>, text: &str) -> Result<Sealed, Problem> {
    let context = SecretContext::Bot { account: bot.account, bot: bot.id, name };
    Ok(environment.store.keyring().seal(context, text).await?)
}

/// The refusal to send a stored secret to another place.
pub(crate) fn given_for_another(field: &str) -> Problem {
    Problem::unprocessable(format!(
        "The stored key belongs to another provider or address and is not sent to the new one: give {field} again, or \
         null to go on without a key."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        let read = |text| address("base_url", text, "https://host/v1");
        assert_eq!(read(" https://models.example/v1/ ").unwrap(), "https://models.example/v1");
        assert!(read("http://127.0.0.1:11434/v1").is_ok());
        for bad in ["models.example", "ftp://models.example", "https://me:secret@models.example", "https://a/#b", ""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_fit_into_a_header() {
        assert_eq!(secret("key", " sk-1\n").unwrap(), "sk-1");
        for bad in ["", "  ", "a b", "é", "a\nb", &"x".repeat(MAX_SECRET + 1)] {
            assert!(secret("key", bad).is_err(), "{bad}");
        }
    }
}
