//! What a bot's turns need beside the session: its record, its model's key, its workspace files.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::{BotView, Secret, Secrets, Skills, Workspace};
use domain::account::{FallbackModel, Reach};
use domain::turn::SessionSettings;
use domain::{Abilities, AccountId, Bot, BotId, Budget, Sealed};
use runtime::Environment;
use store::{BotSecret, SecretContext, StoreError};
use tokio::time::Instant;

/// For how long a bot's record is trusted without reading it again: a change takes effect within this time.
const FRESH_FOR: Duration = Duration::from_secs(2);

/// A process keeps at most this many bots at hand.
const CAPACITY: usize = 500;

pub(crate) struct BotContext {
    pub(crate) bot: Bot,
    /// What all bots of its account together may spend.
    pub(crate) account_budget: Budget,
    /// Its model as a session falls back on it that chose another one.
    own_model: Option<FallbackModel>,
    pub(crate) api_key: Option<Secret>,
    pub(crate) secrets: Secrets,
    pub(crate) workspace: Workspace,
    /// Those of its workspace, and the built-in ones.
    pub(crate) skills: Skills,
    /// Why its turns cannot be run, for the owner: something that it needs can be read no more.
    pub(crate) broken: Option<String>,
}

/// Bots by id, with when their record was read.
type Known = HashMap<(AccountId, BotId), (Instant, Arc<BotContext>)>;

/// Bots that this process has worked for lately.
pub(crate) struct BotCache {
    known: Mutex<Known>,
    /// The skills that every bot has.
    built_in: Skills,
}

impl BotContext {
    /// Whether its model calls have to be reserved.
    pub(crate) fn is_metered(&self) -> bool {
        self.bot.budget.is_limited() || self.account_budget.is_limited() || self.bot.turn_budget.is_some()
    }

    /// What the agent has to know of the bot, in a session with these settings.
    pub(crate) fn view<'a>(&'a self, settings: &'a SessionSettings) -> BotView<'a> {
        let Bot { id, name, time_zone, model, .. } = &self.bot;
        let own = model.model.as_deref();
        // What was chosen and is no longer there is not used.
        let chosen = settings.model.as_deref().filter(|chosen| model.reach(chosen).is_some()).or(own);
        let reach = chosen.and_then(|chosen| model.reach(chosen)).unwrap_or(Reach {
            base_url: model.base_url.as_deref(),
            api: model.api,
            price: model.price,
            context_window: model.context_window,
        });
        let provider = |model: Option<&'a str>| model.and_then(|model| Some(model.split_once('/')?.0));
        let is_own_provider = provider(chosen) == provider(own);
        let other_key = || provider(chosen).and_then(|provider| self.secrets.providers.get(provider));
        BotView {
            id: Some(*id),
            name,
            time_zone,
            model: chosen,
            base_url: reach.base_url,
            api: reach.api,
            api_key: if is_own_provider { self.api_key.as_ref() } else { other_key() },
            own: self.own_model.as_ref(),
            own_key: own.zip(self.api_key.as_ref()),
            fallbacks: &model.fallbacks,
            image_model: model.image_model.as_ref(),
            thinking: settings.thinking.or(model.thinking),
            abilities: &self.bot.abilities,
            secrets: &self.secrets,
            skills: &self.skills,
            price: reach.price,
            context_window: reach.context_window,
            metered: self.is_metered(),
        }
    }
}

impl BotCache {
    pub(crate) fn new(built_in: Skills) -> BotCache {
        BotCache { known: Mutex::default(), built_in }
    }

    /// The bot, at most [`FRESH_FOR`] old; `None` if there is none any more.
    pub(crate) async fn get(
        &self,
        environment: &Environment,
        account: AccountId,
        id: BotId,
    ) -> Result<Option<Arc<BotContext>>, StoreError> {
        let known = self.lock().get(&(account, id)).cloned();
        if let Some((read_at, context)) = &known
            && read_at.elapsed() < FRESH_FOR
        {
            return Ok(Some(context.clone()));
        }
        let Some((bot, owner)) = environment.store.account(account).bot_get_with_account(id).await? else {
            self.lock().remove(&(account, id));
            return Ok(None);
        };
        let budget = owner.map(|owner| owner.budget).unwrap_or_default();
        // Writing a workspace file raises the bot's version too, so an unchanged bot has unchanged files.
        let context = match known {
            Some((_, context)) if context.bot.version == bot.version && context.account_budget == budget => context,
            _ => Arc::new(load(environment, &self.built_in, bot, budget).await?),
        };
        let mut cache = self.lock();
        if cache.len() >= CAPACITY {
            cache.clear();
        }
        cache.insert((account, id), (Instant::now(), context.clone()));
        Ok(Some(context))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

async fn load(
    environment: &Environment,
    built_in: &Skills,
    bot: Bot,
    account_budget: Budget,
) -> Result<BotContext, StoreError> {
    let own_model = bot.model.as_fallback();
    match load_parts(environment, &bot).await {
        Ok((workspace, skills, api_key, secrets)) => {
            let skills = skills.over(built_in);
            Ok(BotContext { bot, account_budget, own_model, api_key, secrets, workspace, skills, broken: None })
        }
        Err(StoreError::Corrupt(reason)) => {
            let (workspace, skills, secrets) = (Workspace::default(), Skills::default(), Secrets::default());
            let broken = Some(reason);
            Ok(BotContext { bot, account_budget, own_model, api_key: None, secrets, workspace, skills, broken })
        }
        Err(error) => Err(error),
    }
}

async fn load_parts(
    environment: &Environment,
    bot: &Bot,
) -> Result<(Workspace, Skills, Option<Secret>, Secrets), StoreError> {
    let (workspace, skills) = bot_files::load(&environment.store, bot).await?;
    let keyring = environment.store.keyring();
    let (account, id) = (bot.account, bot.id);
    let api_key = match &bot.model.api_key {
        Some(sealed) => Some(Secret::new(keyring.open(SecretContext::ModelKey { account, bot: id }, sealed).await?)),
        None => None,
    };
    let open = async |name: BotSecret<'_>, sealed: &Sealed| {
        let context = SecretContext::Bot { account, bot: id, name };
        keyring.open(context, sealed).await.map(Secret::new)
    };
    let mut secrets = Secrets::default();
    for (provider, sealed) in &bot.model.keys {
        secrets.providers.insert(provider.clone(), open(BotSecret::Provider(provider), sealed).await?);
    }
    let Abilities { search, transcription, mcp, .. } = &bot.abilities;
    if let Some(sealed) = search.as_ref().and_then(|search| search.api_key.as_ref()) {
        secrets.search = Some(open(BotSecret::Search, sealed).await?);
    }
    if let Some(sealed) = transcription.as_ref().and_then(|transcription| transcription.api_key.as_ref()) {
        secrets.transcription = Some(open(BotSecret::Transcription, sealed).await?);
    }
    for (name, server) in mcp {
        if let Some(sealed) = &server.token {
            secrets.mcp.insert(name.clone(), open(BotSecret::Mcp(name), sealed).await?);
        }
    }
    Ok((workspace, skills, api_key, secrets))
}
