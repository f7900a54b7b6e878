//! `lowtide bots model`: which models a bot uses, and how to reach them.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use api::views::{BotPatch, BotView, ModelPatch, ModelView};
use clap::Args;
use domain::Thinking;
use domain::account::{FallbackModel, ImageModel, ModelApi};

use crate::bot_card::model;
use crate::bot_settings::PriceArgs;
use crate::client::Client;
use crate::failure::Failure;
use crate::terminal::{SecretSource, ask_secret, secret};
use crate::{Output, word};

/// What stands for the model that needs no key.
const DEMO: &str = "demo";

const EXAMPLES: &str = "\
Examples:
  lowtide bots model tidy openai/gpt-5.1 --api-key-env OPENAI_API_KEY
  lowtide bots model tidy openai/gpt-5.1 --api openai-responses --thinking low \\
      --fallback anthropic/claude-haiku-4-5 --key-env anthropic=ANTHROPIC_API_KEY
  lowtide bots model tidy --no-fallbacks
  lowtide bots model tidy deepseek/deepseek-chat --image-model google/gemini-2.5-flash --key-env google=GEMINI_API_KEY

A key is only sent where it was given for: with another provider or address it has to be given again.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ModelArgs {
    bot: String,
    /// `provider/model`, such as openai/gpt-5.1, or `demo`; left out: the one it has
    model: Option<String>,
    #[command(flatten)]
    access: ModelAccess,
    /// Forget the stored key
    #[arg(long, conflicts_with_all = ["api_key_env", "api_key_file"])]
    no_key: bool,
    /// Forget the stored key of another model's provider; may be repeated
    #[arg(long, value_name = "PROVIDER", help_heading = "Fallbacks")]
    no_key_of: Vec<String>,
    /// Have no fallbacks, and forget their keys
    #[arg(long, conflicts_with = "fallback", help_heading = "Fallbacks")]
    no_fallbacks: bool,
    /// Have no image model, and forget its keys: the model sees pictures itself, if it can
    #[arg(long, conflicts_with_all = ["image_model", "image_fallback"], help_heading = "Pictures")]
    no_image_model: bool,
    #[command(flatten)]
    price: PriceArgs,
}

/// How to reach a model. A key is never an argument: arguments show in the list of processes.
#[derive(Args, Default)]
pub(crate) struct ModelAccess {
    /// An API of your own, for most up to and including /v1
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Environment variable that holds the provider's key
    #[arg(long, value_name = "VAR", conflicts_with = "api_key_file")]
    api_key_env: Option<String>,
    /// File that holds the provider's key; `-` is standard input
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// The protocol that is spoken there: openai-completions, openai-responses, anthropic-messages, google-generative-ai
    /// or bedrock-converse-stream [default: the provider's own]
    #[arg(long, value_name = "PROTOCOL", value_parser = word::<ModelApi>)]
    api: Option<ModelApi>,
    /// How hard the model thinks: off, minimal, low, medium, high or xhigh
    #[arg(long, value_name = "LEVEL", value_parser = word::<Thinking>)]
    thinking: Option<Thinking>,
    /// A model to ask when those before it do not answer; may be repeated, and replaces the fallbacks there are. Write
    /// MODEL=URL for an API of your own
    #[arg(long, value_name = "MODEL", value_parser = fallback, help_heading = "Fallbacks")]
    fallback: Vec<FallbackModel>,
    /// A model that looks at pictures in place of the bot's own, with the tool `image`. Write MODEL=URL for an API of
    /// your own
    #[arg(long, value_name = "MODEL", value_parser = fallback, help_heading = "Pictures")]
    image_model: Option<FallbackModel>,
    /// A model to ask when the image model does not answer; may be repeated, and replaces those there are
    #[arg(long, value_name = "MODEL", value_parser = fallback, help_heading = "Pictures")]
    image_fallback: Vec<FallbackModel>,
    /// Environment variable that holds the key of a fallback's or image model's provider; may be repeated
    #[arg(long, value_name = "PROVIDER=VAR", value_parser = pair, help_heading = "Fallbacks")]
    key_env: Vec<(String, String)>,
    /// File that holds the key of a fallback's or image model's provider; may be repeated
    #[arg(long, value_name = "PROVIDER=FILE", value_parser = pair, help_heading = "Fallbacks")]
    key_file: Vec<(String, String)>,
}

fn fallback(text: &str) -> Result<FallbackModel, String> {
    let (model, base_url) = text.split_once('=').map_or((text, None), |(model, url)| (model, Some(url.to_owned())));
    Ok(FallbackModel { model: model.to_owned(), base_url, ..FallbackModel::default() })
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((provider, place)) if !provider.is_empty() && !place.is_empty() => {
            Ok((provider.to_owned(), place.to_owned()))
        }
        _ => Err("write PROVIDER=NAME, such as anthropic=ANTHROPIC_API_KEY".to_owned()),
    }
}

impl ModelAccess {
    fn api_key(&self) -> anyhow::Result<Option<String>> {
        match (&self.api_key_env, &self.api_key_file) {
            (Some(name), _) => secret(SecretSource::Env(name)).map(Some),
            (None, Some(path)) => secret(SecretSource::File(path)).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The keys of other models' providers; who is there to answer is asked for what is missing.
    fn keys(&self, before: &ModelView, own: Option<&str>, output: Output) -> anyhow::Result<BTreeMap<String, String>> {
        let mut keys = BTreeMap::new();
        for (provider, name) in &self.key_env {
            keys.insert(provider.clone(), secret(SecretSource::Env(name))?);
        }
        for (provider, path) in &self.key_file {
            keys.insert(provider.clone(), secret(SecretSource::File(Path::new(path)))?);
        }
        let own = own.map(provider);
        let others = self.fallback.iter().chain(&self.image_model).chain(&self.image_fallback);
        for other in others.filter(|other| other.base_url.is_none()) {
            let name = provider(&other.model);
            let is_known =
                Some(name) == own || keys.contains_key(name) || before.keys.iter().any(|known| known == name);
            if !is_known && let Some(key) = ask_key(&other.model, output)? {
                keys.insert(name.to_owned(), key);
            }
        }
        Ok(keys)
    }

    /// The fallbacks that the options ask for, with what was said of them before.
    fn fallbacks(&self, before: &ModelView) -> Option<Vec<FallbackModel>> {
        (!self.fallback.is_empty()).then(|| as_known(&self.fallback, before))
    }

    /// The image model that the options ask for, with what was said of it before.
    fn image_model(&self, before: &ModelView) -> anyhow::Result<Option<ImageModel>> {
        let image = before.image_model.as_ref();
        let fallbacks = || match self.image_fallback.is_empty() {
            true => image.map(|image| image.fallbacks.clone()).unwrap_or_default(),
            false => as_known(&self.image_fallback, before),
        };
        match (&self.image_model, image) {
            (None, _) if self.image_fallback.is_empty() => Ok(None),
            (None, None) => {
                Err(Failure::usage("--image-fallback stands behind an image model: give --image-model too.").into())
            }
            (None, Some(image)) => Ok(Some(ImageModel { primary: image.primary.clone(), fallbacks: fallbacks() })),
            (Some(asked), _) => Ok(Some(ImageModel { primary: known(asked, before), fallbacks: fallbacks() })),
        }
    }

    /// Whether anything is said of a model.
    pub(crate) fn is_given(&self) -> bool {
        let ModelAccess {
            base_url,
            api_key_env,
            api_key_file,
            api,
            thinking,
            fallback,
            image_model,
            image_fallback,
            key_env,
            key_file,
        } = self;
        base_url.is_some()
            || api_key_env.is_some()
            || api_key_file.is_some()
            || api.is_some()
            || thinking.is_some()
            || !fallback.is_empty()
            || image_model.is_some()
            || !image_fallback.is_empty()
            || !key_env.is_empty()
            || !key_file.is_empty()
    }
}

/// A model that the options ask for, with what was said of it before.
fn known(asked: &FallbackModel, before: &ModelView) -> FallbackModel {
    let images = before.image_model.iter().flat_map(ImageModel::all);
    let is_it = |known: &&FallbackModel| {
        known.model == asked.model && (asked.base_url.is_none() || asked.base_url == known.base_url)
    };
    before.fallbacks.iter().chain(images).find(is_it).unwrap_or(asked).clone()
}

fn as_known(asked: &[FallbackModel], before: &ModelView) -> Vec<FallbackModel> {
    asked.iter().map(|asked| known(asked, before)).collect()
}

/// Whose models a reference means, as the API reads it.
pub(crate) fn provider(model: &str) -> &str {
    model.split_once('/').map_or("openai", |(provider, _)| provider)
}

/// The model of a new bot; `None` is the demo.
pub(crate) fn model_of(
    model: &str,
    access: &ModelAccess,
    price: &PriceArgs,
    output: Output,
) -> anyhow::Result<Option<ModelPatch>> {
    if model == DEMO {
        return refuse_details(access, price).map(|()| None);
    }
    let key = match access.api_key()? {
        None if access.base_url.is_none() => ask_key(model, output)?,
        key => key,
    };
    let before = ModelView::default();
    let keys = access.keys(&before, Some(model), output)?;
    Ok(Some(ModelPatch {
        model: Some(Some(model.to_owned())),
        api_key: key.map(Some),
        ..patch(access, price, &before, keys.into_iter().map(|(name, key)| (name, Some(key))).collect())?
    }))
}

/// What the options say beside the model and its key.
fn patch(
    access: &ModelAccess,
    price: &PriceArgs,
    before: &ModelView,
    keys: BTreeMap<String, Option<String>>,
) -> anyhow::Result<ModelPatch> {
    Ok(ModelPatch {
        base_url: access.base_url.clone().map(Some),
        api: access.api.map(Some),
        thinking: access.thinking.map(Some),
        fallbacks: access.fallbacks(before).map(Some),
        image_model: access.image_model(before)?.map(Some),
        keys: (!keys.is_empty()).then_some(keys),
        price: price.price(),
        context_window: price.context_window(),
        ..ModelPatch::default()
    })
}

fn refuse_details(access: &ModelAccess, price: &PriceArgs) -> anyhow::Result<()> {
    if access.is_given() || price.is_given() {
        let message =
            "The demo needs no key, no address, no other models and no price. Leave them out, or name a model.";
        return Err(Failure::usage(message).into());
    }
    Ok(())
}

/// Runs `lowtide bots model`.
pub(crate) async fn change_model(client: &Client, output: Output, args: ModelArgs) -> anyhow::Result<()> {
    let before = client.bot_get(&args.bot).await?;
    let patch = if args.model.as_deref() == Some(DEMO) {
        refuse_details(&args.access, &args.price)?;
        ModelPatch { model: Some(None), base_url: Some(None), api_key: Some(None), ..ModelPatch::default() }
    } else {
        changes(&before, &args, output)?
    };
    if patch == ModelPatch::default() {
        return Err(Failure::usage("Nothing to change. Name a model, or see `lowtide bots model --help`.").into());
    }
    let bot = client.bot_change(before.id, &BotPatch { model: Some(patch), ..BotPatch::default() }).await?;
    output.show(&bot, || told(&bot))
}

fn changes(before: &BotView, args: &ModelArgs, output: Output) -> anyhow::Result<ModelPatch> {
    let key = match (args.access.api_key()?, &args.model) {
        (Some(key), _) => Some(Some(key)),
        (None, _) if args.no_key => Some(None),
        (None, Some(model)) if !before.model.has_api_key && args.access.base_url.is_none() => {
            ask_key(model, output)?.map(Some)
        }
        (None, _) => None,
    };
    let own = args.model.as_deref().or(before.model.model.as_deref());
    let keys = args.access.keys(&before.model, own, output)?;
    let keys = keys.into_iter().map(|(name, key)| (name, Some(key)));
    let keys = args.no_key_of.iter().map(|name| (name.clone(), None)).chain(keys).collect();
    let given = patch(&args.access, &args.price, &before.model, keys)?;
    Ok(ModelPatch {
        model: args.model.clone().map(Some),
        api_key: key,
        fallbacks: if args.no_fallbacks { Some(None) } else { given.fallbacks },
        image_model: if args.no_image_model { Some(None) } else { given.image_model },
        ..given
    })
}

fn told(bot: &BotView) -> String {
    let mut text = format!("{} now uses {}", bot.name, model(&bot.model));
    let fallbacks: Vec<&str> = bot.model.fallbacks.iter().map(|other| other.model.as_str()).collect();
    if !fallbacks.is_empty() {
        text.push_str(&format!(", and {} if that does not answer", fallbacks.join(", then ")));
    }
    text.push('.');
    if let Some(image) = &bot.model.image_model {
        let names: Vec<&str> = image.all().map(|other| other.model.as_str()).collect();
        text.push_str(&format!(" Pictures are looked at by {}.", names.join(", then ")));
    }
    if bot.model.model.is_some() && !bot.model.has_api_key {
        text.push_str(" It has no API key; if the provider wants one, give --api-key-env.");
    }
    text
}

/// Asks for a provider's key, if somebody is there to answer.
fn ask_key(model: &str, output: Output) -> anyhow::Result<Option<String>> {
    if output.json || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Ok(None);
    }
    ask_secret(&format!("API key for {model} (Enter for none): "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fallback_keeps_what_was_said_of_it() {
        let known = FallbackModel {
            model: "a/x".into(),
            base_url: Some("https://a.example/v1".into()),
            context_window: Some(8000),
            ..FallbackModel::default()
        };
        let before = ModelView { fallbacks: vec![known.clone()], ..ModelView::default() };
        let asked = |text: &str| {
            let access = ModelAccess { fallback: vec![fallback(text).unwrap()], ..ModelAccess::default() };
            access.fallbacks(&before).unwrap().remove(0)
        };
        assert_eq!(asked("a/x"), known);
        assert_eq!(asked("a/x=https://a.example/v1"), known);
        let moved = asked("a/x=https://b.example/v1?a=b");
        assert_eq!((moved.base_url.as_deref(), moved.context_window), (Some("https://b.example/v1?a=b"), None));
        assert_eq!(ModelAccess::default().fallbacks(&before), None);
        assert!(pair("anthropic").is_err() && pair("=X").is_err());
    }
}
