//! A bot's model and its fallbacks: checks what the owner asks for, and keeps each key to where it was given for.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use domain::account::{FallbackModel, ImageModel};
use domain::{Bot, ModelSettings, Price, Sealed};
use runtime::Environment;
use store::{BotSecret, SecretContext};

use crate::credentials;
use crate::problem::Problem;
use crate::views::{ModelPatch, ModelView};

/// In bytes.
const MAX_MODEL: usize = 200;
const MAX_FALLBACKS: usize = 8;
/// In micro-dollars per million tokens: $10,000.
const MAX_PRICE: u64 = 10_000_000_000;
/// In tokens. In a smaller window the prompt alone leaves no room to talk.
const CONTEXT_WINDOWS: RangeInclusive<u64> = 4_000..=100_000_000;

/// The built-in model, which sees nothing.
const DEMO: &str = "demo";
/// Whose models a reference without a provider means.
const DEFAULT_PROVIDER: &str = "openai";
const BASE_URL_EXAMPLE: &str = "https://host/v1";

/// What of a bot's model its owner may see.
pub(crate) fn view(model: &ModelSettings) -> ModelView {
    ModelView {
        model: model.model.clone(),
        base_url: model.base_url.clone(),
        api: model.api,
        has_api_key: model.api_key.is_some(),
        keys: model.keys.keys().cloned().collect(),
        fallbacks: model.fallbacks.clone(),
        image_model: model.image_model.clone(),
        thinking: model.thinking,
        price: model.price,
        context_window: model.context_window,
    }
}

/// Changes a bot's model settings as `patch` says. Without a model the bot goes back to the built-in
/// demo, and what belonged to the model goes with it.
pub(crate) async fn apply(environment: &Environment, bot: &mut Bot, patch: ModelPatch) -> Result<(), Problem> {
    let before = &bot.model;
    let model = changed(patch.model.clone(), before.model.clone(), |text| model_name("model.model", text))?;
    let Some(model) = model else {
        if gives_details(&patch) {
            return Err(Problem::unprocessable(
                "model.base_url, api_key, price, fallbacks and their like belong to a model: give model.model too, such \
                 as openai/gpt-5.1.",
            ));
        }
        bot.model = ModelSettings::default();
        return Ok(());
    };
    let base_url =
        changed(patch.base_url, before.base_url.clone(), |text| base_url(environment, "model.base_url", text))?;
    let fallbacks = match patch.fallbacks {
        None => before.fallbacks.clone(),
        Some(fallbacks) => checked_models(environment, "model.fallbacks", fallbacks.unwrap_or_default())?,
    };
    let image_model = match patch.image_model {
        None => before.image_model.clone(),
        Some(image_model) => image_model.map(|given| checked_image_model(environment, given)).transpose()?,
    };
    // What was said of one model does not hold for another, nor one server's protocol for another server.
    let is_same = before.model.as_ref() == Some(&model);
    let goes_to_same = before.model.as_deref().is_some_and(|old| {
        Destination::of(old, before.base_url.as_deref()) == Destination::of(&model, base_url.as_deref())
    });
    let mut after = ModelSettings {
        api: patch.api.unwrap_or(before.api.filter(|_| goes_to_same)),
        thinking: patch.thinking.unwrap_or(before.thinking),
        price: patch.price.unwrap_or(before.price.filter(|_| is_same)),
        context_window: patch.context_window.unwrap_or(before.context_window.filter(|_| is_same)),
        model: Some(model),
        base_url,
        fallbacks,
        image_model,
        ..ModelSettings::default()
    };
    check_price("model.price", after.price)?;
    check_context_window("model.context_window", after.context_window)?;
    let given = GivenKeys { own: patch.api_key, others: patch.keys.unwrap_or_default() };
    keep_keys(environment, bot, &mut after, given).await?;
    bot.model = after;
    Ok(())
}

fn gives_details(patch: &ModelPatch) -> bool {
    let ModelPatch { model: _, base_url, api, api_key, keys, fallbacks, image_model, thinking, price, context_window } =
        patch;
    matches!(base_url, Some(Some(_)))
        || matches!(api, Some(Some(_)))
        || matches!(api_key, Some(Some(_)))
        || keys.as_ref().is_some_and(|keys| keys.values().any(Option::is_some))
        || matches!(fallbacks, Some(Some(fallbacks)) if !fallbacks.is_empty())
        || matches!(image_model, Some(Some(_)))
        || matches!(thinking, Some(Some(_)))
        || matches!(price, Some(Some(_)))
        || matches!(context_window, Some(Some(_)))
}

/// Where a key would be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Destination<'a> {
    Provider(&'a str),
    /// A base URL replaces the provider's own.
    BaseUrl(&'a str),
}

impl<'a> Destination<'a> {
    fn of(model: &'a str, base_url: Option<&'a str>) -> Destination<'a> {
        base_url.map_or(Destination::Provider(provider(model)), Destination::BaseUrl)
    }

    /// Where the keys of a bot's providers go, the model's own first. There is one place for each provider.
    fn all(settings: &'a ModelSettings) -> Result<Vec<(&'a str, Destination<'a>)>, Problem> {
        let own = settings.model.as_deref().map(|model| (model, settings.base_url.as_deref()));
        let others = settings.others().map(|other| (other.model.as_str(), other.base_url.as_deref()));
        let mut all: Vec<(&str, Destination<'_>)> = Vec::new();
        for (index, (model, base_url)) in own.into_iter().chain(others).enumerate() {
            let (name, place) = (provider(model), Destination::of(model, base_url));
            match all.iter().find(|(known, _)| *known == name) {
                None => all.push((name, place)),
                Some((_, known)) if *known == place => {}
                Some(_) => {
                    let field = if index <= settings.fallbacks.len() { "fallbacks" } else { "image_model" };
                    return Err(Problem::unprocessable(format!(
                        "model.{field}: models of one provider share a key, so they are asked at one address, and \
                         {model} is at another. Give it a provider name of its own, such as {name}-2/…, or the same \
                         base_url."
                    )));
                }
            }
        }
        Ok(all)
    }
}

/// The provider of a model, as the agent reads it.
fn provider(model: &str) -> &str {
    model.split_once('/').map_or(DEFAULT_PROVIDER, |(provider, _)| provider)
}

/// The keys of a request.
struct GivenKeys {
    /// The outer `None`: it says nothing of the model's own key.
    own: Option<Option<String>>,
    others: BTreeMap<String, Option<String>>,
}

/// Gives `after` the keys of its models' providers: the given ones, and of the stored ones those that go where they went
/// before, though it be as another model's. What no model asks with is forgotten.
async fn keep_keys(
    environment: &Environment,
    bot: &Bot,
    after: &mut ModelSettings,
    mut given: GivenKeys,
) -> Result<(), Problem> {
    let stored = stored_keys(&bot.model);
    let mut keys = BTreeMap::new();
    let mut api_key = None;
    for (index, (name, place)) in Destination::all(after)?.into_iter().enumerate() {
        let is_own = index == 0;
        let field = if is_own { "model.api_key".to_owned() } else { format!("model.keys.{name}") };
        let slot = if is_own { Slot::Own } else { Slot::Provider(name) };
        let asked = if is_own { given.own.take() } else { given.others.remove(name) };
        let key = match asked {
            Some(None) => None,
            Some(Some(text)) => Some(slot.seal(environment, bot, credentials::secret(&field, &text)?).await?),
            None => match stored.iter().find(|key| key.slot == slot && key.place == place) {
                Some(same) => Some(same.sealed.clone()),
                None => match stored.iter().find(|key| key.place == place) {
                    Some(moved) => Some(
                        slot.seal(environment, bot, &moved.slot.open(environment, bot, moved.sealed).await?).await?,
                    ),
                    None if stored.iter().any(|key| key.slot == slot) => {
                        return Err(credentials::given_for_another(&field));
                    }
                    None => None,
                },
            },
        };
        match key {
            Some(key) if is_own => api_key = Some(key),
            Some(key) => {
                keys.insert(name.to_owned(), key);
            }
            None => {}
        }
    }
    // A key for nobody would be kept for who knows what.
    let is_own = |name: &str| after.model.as_deref().is_some_and(|model| provider(model) == name);
    if let Some((name, _)) = given.others.iter().find(|(_, key)| key.is_some()) {
        let shown: String = name.chars().take(80).collect();
        return Err(Problem::unprocessable(if is_own(name) {
            format!("model.keys.{shown}: that is the model's own provider; give its key as model.api_key.")
        } else {
            format!(
                "model.keys.{shown}: no model of the bot is {shown}'s. Name one in model.fallbacks or \
                 model.image_model too."
            )
        }));
    }
    after.api_key = api_key;
    after.keys = keys;
    Ok(())
}

/// Which key of a bot it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot<'a> {
    /// The model's.
    Own,
    /// A fallback's, by its provider.
    Provider(&'a str),
}

impl<'a> Slot<'a> {
    fn context(self, bot: &Bot) -> SecretContext<'a> {
        let (account, bot) = (bot.account, bot.id);
        match self {
            Slot::Own => SecretContext::ModelKey { account, bot },
            Slot::Provider(name) => SecretContext::Bot { account, bot, name: BotSecret::Provider(name) },
        }
    }

    async fn seal(self, environment: &Environment, bot: &Bot, key: &str) -> Result<Sealed, Problem> {
        Ok(environment.store.keyring().seal(self.context(bot), key).await?)
    }

    async fn open(self, environment: &Environment, bot: &Bot, sealed: &Sealed) -> Result<String, Problem> {
        Ok(environment.store.keyring().open(self.context(bot), sealed).await?)
    }
}

struct StoredKey<'a> {
    slot: Slot<'a>,
    place: Destination<'a>,
    sealed: &'a Sealed,
}

/// The keys that a bot has, and where each goes.
fn stored_keys(settings: &ModelSettings) -> Vec<StoredKey<'_>> {
    let own = settings.api_key.as_ref().zip(settings.model.as_deref()).map(|(sealed, model)| StoredKey {
        slot: Slot::Own,
        place: Destination::of(model, settings.base_url.as_deref()),
        sealed,
    });
    let others = settings.keys.iter().filter_map(|(name, sealed)| {
        let model = settings.others().find(|other| provider(&other.model) == name)?;
        let place = Destination::of(&model.model, model.base_url.as_deref());
        Some(StoredKey { slot: Slot::Provider(name), place, sealed })
    });
    own.into_iter().chain(others).collect()
}

fn changed(
    patch: Option<Option<String>>,
    before: Option<String>,
    check: impl Fn(&str) -> Result<String, Problem>,
) -> Result<Option<String>, Problem> {
    match patch {
        None => Ok(before),
        Some(None) => Ok(None),
        Some(Some(text)) => check(&text).map(Some),
    }
}

/// Checks the fallbacks of a model, `list` being their field.
fn checked_models(
    environment: &Environment,
    list: &str,
    models: Vec<FallbackModel>,
) -> Result<Vec<FallbackModel>, Problem> {
    if models.len() > MAX_FALLBACKS {
        return Err(Problem::bad_request(format!("{list}: name {MAX_FALLBACKS} models at most.")));
    }
    let indexed = models.into_iter().enumerate();
    indexed.map(|(index, other)| checked_other(environment, &format!("{list}[{index}]"), other)).collect()
}

/// Checks a model beside the bot's own, which the field `at` gives.
fn checked_other(environment: &Environment, at: &str, other: FallbackModel) -> Result<FallbackModel, Problem> {
    let field = |name: &str| format!("{at}.{name}");
    check_price(&field("price"), other.price)?;
    check_context_window(&field("context_window"), other.context_window)?;
    let base_url = other.base_url.map(|text| base_url(environment, &field("base_url"), &text)).transpose()?;
    Ok(FallbackModel { model: model_name(&field("model"), &other.model)?, base_url, ..other })
}

/// Models that look at pictures have to see.
fn checked_image_model(environment: &Environment, given: ImageModel) -> Result<ImageModel, Problem> {
    const FIELD: &str = "model.image_model";
    let checked = ImageModel {
        primary: checked_other(environment, &format!("{FIELD}.primary"), given.primary)?,
        fallbacks: checked_models(environment, &format!("{FIELD}.fallbacks"), given.fallbacks)?,
    };
    let is_blind = |other: &FallbackModel| other.model == DEMO || !agent::sees(&other.model);
    if let Some((index, FallbackModel { model, .. })) = checked.all().enumerate().find(|(_, other)| is_blind(other)) {
        let place = index.checked_sub(1).map_or_else(|| "primary".to_owned(), |index| format!("fallbacks[{index}]"));
        return Err(Problem::bad_request(format!(
            "{FIELD}.{place}.model: {model} cannot see pictures. Name a model that can, such as openai/gpt-5-mini."
        )));
    }
    Ok(checked)
}

fn model_name(field: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let fits = (1..=MAX_MODEL).contains(&text.len())
        && text.split('/').all(|part| !part.is_empty())
        && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Problem::bad_request(format!("{field}: write provider/model, such as openai/gpt-5.1, without spaces.")))
    }
}

/// Whole conversations go there, with the key: in the cloud over TLS only.
fn base_url(environment: &Environment, field: &str, text: &str) -> Result<String, Problem> {
    credentials::secure_address(environment, field, text, BASE_URL_EXAMPLE)
}

fn check_price(field: &str, price: Option<Price>) -> Result<(), Problem> {
    let Some(Price { input, output, cached, cache_write }) = price else { return Ok(()) };
    if [input, output, cached.unwrap_or(0), cache_write.unwrap_or(0)].iter().all(|price| *price <= MAX_PRICE) {
        return Ok(());
    }
    Err(Problem::bad_request(format!(
        "{field}: a price is in micro-dollars per million tokens, {MAX_PRICE} at most; $1.25 per million tokens is \
         1250000."
    )))
}

fn check_context_window(field: &str, tokens: Option<u64>) -> Result<(), Problem> {
    if tokens.is_none_or(|tokens| CONTEXT_WINDOWS.contains(&tokens)) {
        return Ok(());
    }
    let (least, most) = (CONTEXT_WINDOWS.start(), CONTEXT_WINDOWS.end());
    let detail = format!("{field}: give {least} to {most} tokens, or null for what is known of the model.");
    Err(Problem::bad_request(detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_destination() {
        assert_eq!(Destination::of("openai/a", None), Destination::of("b", None));
        assert_ne!(Destination::of("openai/a", None), Destination::of("groq/a", None));
        assert_ne!(Destination::of("openai/a", None), Destination::of("openai/a", Some("https://b")));
        assert_eq!(Destination::of("groq/a", Some("https://b")), Destination::of("openai/a", Some("https://b")));
    }

    #[test]
    fn models_of_a_provider_are_asked_at_one_address() {
        let fallback = |model: &str, base: Option<&str>| FallbackModel {
            model: model.to_owned(),
            base_url: base.map(str::to_owned),
            ..FallbackModel::default()
        };
        let settings = |fallbacks| ModelSettings { model: Some("a/x".into()), fallbacks, ..ModelSettings::default() };
        let one = settings(vec![
            fallback("a/y", None),
            fallback("b/z", Some("https://b")),
            fallback("b/y", Some("https://b")),
        ]);
        let places = [("a", Destination::Provider("a")), ("b", Destination::BaseUrl("https://b"))];
        assert_eq!(Destination::all(&one).unwrap(), places);
        assert!(Destination::all(&settings(vec![fallback("a/y", Some("https://b"))])).is_err());
    }
}
