//! A bot's model: checks what the owner asks for, and seals the provider's key.

use std::ops::RangeInclusive;

use domain::{Bot, ModelSettings, Price};
use runtime::Environment;
use store::SecretContext;
use url::Url;

use crate::problem::Problem;
use crate::views::ModelPatch;

/// In bytes.
const MAX_MODEL: usize = 200;
/// In bytes.
const MAX_BASE_URL: usize = 1000;
/// In bytes.
const MAX_API_KEY: usize = 4096;
/// In micro-dollars per million tokens: $10,000.
const MAX_PRICE: u64 = 10_000_000_000;
/// In tokens. In a smaller window the prompt alone leaves no room to talk.
const CONTEXT_WINDOWS: RangeInclusive<u64> = 4_000..=100_000_000;

/// Changes a bot's model settings as `patch` says. Without a model the bot goes back to the built-in
/// demo, and what belonged to the model goes with it.
pub(crate) async fn apply(environment: &Environment, bot: &mut Bot, patch: ModelPatch) -> Result<(), Problem> {
    let before = bot.model.clone();
    let gives_details = matches!(patch.base_url, Some(Some(_)))
        || matches!(patch.api_key, Some(Some(_)))
        || matches!(patch.price, Some(Some(_)))
        || matches!(patch.context_window, Some(Some(_)));
    let names_key = patch.api_key.is_some();
    let model = changed(patch.model, before.model.clone(), model_name)?;
    let Some(model) = model else {
        if gives_details {
            return Err(Problem::unprocessable(
                "model.base_url, api_key, price and context_window belong to a model: give model.model too, such as \
                 openai/gpt-5.1.",
            ));
        }
        bot.model = ModelSettings::default();
        return Ok(());
    };
    let base_url = changed(patch.base_url, before.base_url.clone(), base_url)?;
    let api_key = match patch.api_key {
        None => before.api_key.clone(),
        Some(None) => None,
        Some(Some(key)) => {
            let context = SecretContext::ModelKey { account: bot.account, bot: bot.id };
            Some(environment.store.keyring().seal(context, api_key(&key)?).await?)
        }
    };
    // What was said of one model does not hold for another.
    let is_same = before.model.as_ref() == Some(&model);
    let price = patch.price.unwrap_or(before.price.filter(|_| is_same));
    let context_window = patch.context_window.unwrap_or(before.context_window.filter(|_| is_same));
    check_price(price)?;
    check_context_window(context_window)?;
    let after =
        ModelSettings { model: Some(model), base_url, api_key, price, context_window, ..ModelSettings::default() };
    // Otherwise who may change a bot could have its key sent wherever they like, and read it there.
    if before.api_key.is_some() && !names_key && destination(&before) != destination(&after) {
        return Err(Problem::unprocessable(
            "The stored key belongs to another provider or address and is not sent to the new one: give model.api_key \
             again, or null to go on without a key.",
        ));
    }
    bot.model = after;
    Ok(())
}

/// Where a key would be sent.
fn destination(settings: &ModelSettings) -> (Option<&str>, Option<&str>) {
    let model = settings.model.as_deref().unwrap_or_default();
    let base_url = settings.base_url.as_deref();
    let provider = model.split_once('/').map_or("openai", |(provider, _)| provider);
    // A base URL replaces the provider's own.
    (base_url.is_none().then_some(provider), base_url)
}

fn changed(
    patch: Option<Option<String>>,
    before: Option<String>,
    check: fn(&str) -> Result<String, Problem>,
) -> Result<Option<String>, Problem> {
    match patch {
        None => Ok(before),
        Some(None) => Ok(None),
        Some(Some(text)) => check(&text).map(Some),
    }
}

fn model_name(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let fits = (1..=MAX_MODEL).contains(&text.len())
        && text.split('/').all(|part| !part.is_empty())
        && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Problem::bad_request("model.model: write provider/model, such as openai/gpt-5.1, without spaces."))
    }
}

fn base_url(text: &str) -> Result<String, Problem> {
    let text = text.trim().trim_end_matches('/');
    let bad = |why: &str| Problem::bad_request(format!("model.base_url: {why}; write it as https://host/v1."));
    let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it must not hold credentials, which go into model.api_key"));
    }
    if url.fragment().is_some() || text.len() > MAX_BASE_URL {
        return Err(bad("it has a fragment or is too long"));
    }
    Ok(text.to_owned())
}

fn check_price(price: Option<Price>) -> Result<(), Problem> {
    let Some(Price { input, output, cached, cache_write }) = price else { return Ok(()) };
    if [input, output, cached.unwrap_or(0), cache_write.unwrap_or(0)].iter().all(|price| *price <= MAX_PRICE) {
        return Ok(());
    }
    Err(Problem::bad_request(format!(
        "model.price: a price is in micro-dollars per million tokens, {MAX_PRICE} at most; $1.25 per million tokens is \
         1250000."
    )))
}

fn check_context_window(tokens: Option<u64>) -> Result<(), Problem> {
    if tokens.is_none_or(|tokens| CONTEXT_WINDOWS.contains(&tokens)) {
        return Ok(());
    }
    let (least, most) = (CONTEXT_WINDOWS.start(), CONTEXT_WINDOWS.end());
    let detail =
        format!("model.context_window: give {least} to {most} tokens, or null for what is known of the model.");
    Err(Problem::bad_request(detail))
}

/// The key as it is sent in a header.
fn api_key(text: &str) -> Result<&str, Problem> {
    let text = text.trim();
    let fits = (1..=MAX_API_KEY).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
    if fits {
        Ok(text)
    } else {
        Err(Problem::bad_request(
            "model.api_key: a key has visible ASCII characters without spaces; copy it again, or send null to clear it.",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_are_checked() {
        assert_eq!(base_url(" https://models.example/v1/ ").unwrap(), "https://models.example/v1");
        assert!(base_url("http://127.0.0.1:11434/v1").is_ok());
        for bad in ["models.example", "ftp://models.example", "https://me:secret@models.example", "https://a/#b", ""] {
            assert!(base_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_has_one_destination() {
        let settings = |model: &str, base: Option<&str>| ModelSettings {
            model: Some(model.to_owned()),
            base_url: base.map(str::to_owned),
            ..ModelSettings::default()
        };
        assert_eq!(destination(&settings("openai/a", None)), destination(&settings("b", None)));
        assert_ne!(destination(&settings("openai/a", None)), destination(&settings("groq/a", None)));
        assert_ne!(destination(&settings("openai/a", None)), destination(&settings("openai/a", Some("https://b"))));
    }
}
