//! Links: a bot's logins on channels.

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use channels::telegram::hash_secret;
use domain::access::{DmPolicy, GroupRule};
use domain::{AccessPolicy, Bot, Channel, Link, LinkId, LinkSettings, LinkStatus, Sender};
use runtime::Environment;
use store::SecretContext;

use crate::answers::{Created, Versioned};
use crate::auth::Caller;
use crate::bots;
use crate::extract::{JsonBody, Parameters, Preconditions, Segments};
use crate::pages::{List, PageQuery};
use crate::problem::Problem;
use crate::registration::{self, Given, Login, Registration, inspection};
use crate::views::{LinkCheckView, LinkCreate, LinkPatch, LinkView, Page, WebhookView};

/// `GET /v1/bots/{bot}/links`
pub(crate) async fn list(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Page<LinkView>>, Problem> {
    let bot = bots::find(&environment, caller, &bot).await?;
    let list = List::new(caller.account, &format!("links of {}", bot.id));
    let page = environment.store.account(caller.account).link_page(bot.id, &list.range(&query)?).await?;
    Ok(list.answer(page, |link| view(&link, None)))
}

/// `POST /v1/bots/{bot}/links`
pub(crate) async fn create(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
    JsonBody(request): JsonBody<LinkCreate>,
) -> Result<Created<LinkView>, Problem> {
    let bot = bots::find(&environment, caller, &bot).await?;
    let access = request.access.map(checked_access).transpose()?;
    let given = Given { token: request.token, credentials: request.credentials, settings: request.settings };
    let (mut link, secrets) = make(&environment, &bot, request.channel, given, access).await?;
    let webhook = register(&environment, &mut link, secrets).await?;
    let location = format!("/v1/bots/{}/links/{}", bot.id, link.id);
    Ok(Created { location, version: link.version, record: view(&link, Some(webhook)) })
}

/// The link by which a bot's answers are posted to `url`, which is made if there is none; and of a new one the secret that
/// signs them, which is told once.
pub(crate) async fn posting_to(
    environment: &Environment,
    bot: &Bot,
    url: &str,
) -> Result<(Link, Option<String>), Problem> {
    let account = environment.store.account(bot.account);
    let posts_there =
        |link: &Link| matches!(&link.settings, LinkSettings::Webhook(w) if w.reply_url.as_deref() == Some(url));
    if let Some(link) = account.link_list(bot.id).await?.into_iter().find(posts_there) {
        return Ok((link, None));
    }
    let settings = serde_json::json!({ "reply_url": url, "outbound_only": true });
    let given = Given { settings: Some(settings), ..Given::default() };
    let access = AccessPolicy { dm_policy: DmPolicy::Disabled, ..AccessPolicy::default() };
    let (link, secrets) = make(environment, bot, Channel::Webhook, given, Some(access)).await?;
    Ok((link, Some(secrets.credentials)))
}

/// Makes a link of what was given, once its channel takes it.
async fn make(
    environment: &Environment,
    bot: &Bot,
    channel: Channel,
    given: Given,
    access: Option<AccessPolicy>,
) -> Result<(Link, Secrets), Problem> {
    let login = registration::check(environment, channel, given, None).await?;
    let mut link = new_link(environment, bot, channel);
    link.access = access.unwrap_or_else(|| default_access(&login.settings));
    let secrets = log_in(environment, &mut link, login).await?;
    environment.store.account(bot.account).link_create(&link).await?;
    tracing::info!(account = %bot.account, bot = %bot.id, link = %link.id, "A link was made.");
    Ok((link, secrets))
}

/// Who may write where the owner does not say.
fn default_access(settings: &LinkSettings) -> AccessPolicy {
    match settings {
        // Whoever posts there has the secret, and nobody else.
        LinkSettings::Webhook(_) => AccessPolicy { dm_policy: DmPolicy::Open, ..AccessPolicy::default() },
        // The bot joins no channel that its owner did not choose.
        LinkSettings::Irc(irc) => {
            let name = |channel: &String| channel.split(' ').next().unwrap_or_default().to_owned();
            let groups = irc.channels.iter().map(|channel| (name(channel), GroupRule::default())).collect();
            AccessPolicy { groups, ..AccessPolicy::default() }
        }
        _ => AccessPolicy::default(),
    }
}

/// The secrets of a link, in the open.
struct Secrets {
    credentials: String,
    /// What the channel is to repeat with its webhooks; empty if it repeats nothing.
    webhook: String,
    signing: Option<String>,
}

/// Makes a login the link's, if no other link has it.
async fn log_in(environment: &Environment, link: &mut Link, login: Login) -> Result<Secrets, Problem> {
    (link.settings, link.handle, link.channel_id) = (login.settings, login.handle, login.channel_id);
    check_is_free(environment, link).await?;
    let keyring = environment.store.keyring();
    let (account, bot, id) = (link.account, link.bot, link.id);
    link.token = Some(keyring.seal(SecretContext::LinkToken { account, bot, link: id }, &login.secret).await?);
    link.webhook_secret = match &login.signing_secret {
        Some(secret) => Some(keyring.seal(SecretContext::Webhook { account, bot, link: id }, secret).await?),
        None => None,
    };
    let webhook = match registration::carries_secret(link.channel) {
        true => environment.entropy.secret(""),
        false => String::new(),
    };
    // Only its hash is kept.
    link.webhook_secret_sha256 = (!webhook.is_empty()).then(|| hash_secret(&webhook));
    Ok(Secrets { credentials: login.secret, webhook, signing: login.signing_secret })
}

fn new_link(environment: &Environment, bot: &Bot, channel: Channel) -> Link {
    let now = environment.clock.now();
    Link {
        id: LinkId::from_parts(now, environment.entropy.next_u128()),
        account: bot.account,
        bot: bot.id,
        channel,
        settings: Default::default(),
        webhook_secret: None,
        status: LinkStatus::Active,
        access: Default::default(),
        handle: None,
        channel_id: None,
        token: None,
        webhook_secret_sha256: None,
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

/// `GET /v1/bots/{bot}/links/{link}`
pub(crate) async fn show(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, link)): Segments<(String, String)>,
) -> Result<Versioned<LinkView>, Problem> {
    let link = find(&environment, caller, &bot, &link).await?;
    Ok(answer(&link, None))
}

/// `PATCH /v1/bots/{bot}/links/{link}`
pub(crate) async fn change(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, link)): Segments<(String, String)>,
    conditions: Preconditions,
    JsonBody(patch): JsonBody<LinkPatch>,
) -> Result<Versioned<LinkView>, Problem> {
    let seen = find(&environment, caller, &bot, &link).await?;
    conditions.check(seen.version)?;
    let mut link = seen.clone();
    if let Some(access) = patch.access {
        link.access = checked_access(access)?;
    }
    if patch.token.is_none() && patch.credentials.is_none() && patch.settings.is_none() {
        save(&environment, &mut link).await?;
        return Ok(answer(&link, None));
    }
    let given = Given { token: patch.token, credentials: patch.credentials, settings: patch.settings };
    let webhook = change_login(&environment, &seen, &mut link, given).await?;
    Ok(answer(&link, Some(webhook)))
}

async fn change_login(
    environment: &Environment,
    seen: &Link,
    link: &mut Link,
    given: Given,
) -> Result<WebhookView, Problem> {
    let login = registration::check(environment, seen.channel, given, Some(seen)).await?;
    let secrets = log_in(environment, link, login).await?;
    let is_other_bot = seen.channel_id != link.channel_id;
    if link.status != LinkStatus::Paused {
        link.status = LinkStatus::Active;
    }
    save(environment, link).await?;
    if is_other_bot {
        registration::withdraw(environment, std::slice::from_ref(seen)).await;
    }
    register(environment, link, secrets).await
}

/// `DELETE /v1/bots/{bot}/links/{link}`
pub(crate) async fn delete(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, link)): Segments<(String, String)>,
    conditions: Preconditions,
) -> Result<NoContent, Problem> {
    let link = find(&environment, caller, &bot, &link).await?;
    conditions.check(link.version)?;
    registration::withdraw(&environment, std::slice::from_ref(&link)).await;
    environment.store.account(caller.account).link_delete(&link).await?;
    tracing::info!(account = %caller.account, bot = %link.bot, link = %link.id, "A link was deleted.");
    Ok(NoContent)
}

/// `POST /v1/bots/{bot}/links/{link}/pause`
pub(crate) async fn pause(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, link)): Segments<(String, String)>,
) -> Result<Versioned<LinkView>, Problem> {
    let mut link = find(&environment, caller, &bot, &link).await?;
    match link.status {
        LinkStatus::Active => {
            link.status = LinkStatus::Paused;
            save(&environment, &mut link).await?;
        }
        // A link that failed takes nothing either, and its reason is worth keeping.
        LinkStatus::Paused | LinkStatus::Failed { .. } => {}
    }
    Ok(answer(&link, None))
}

/// `POST /v1/bots/{bot}/links/{link}/resume`
pub(crate) async fn resume(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, link)): Segments<(String, String)>,
) -> Result<Versioned<LinkView>, Problem> {
    let mut link = find(&environment, caller, &bot, &link).await?;
    bots::check_awake(&bots::find(&environment, caller, &bot).await?)?;
    match link.status {
        LinkStatus::Active => Ok(answer(&link, None)),
        LinkStatus::Paused => {
            link.status = LinkStatus::Active;
            save(&environment, &mut link).await?;
            Ok(answer(&link, None))
        }
        LinkStatus::Failed { .. } => {
            let seen = link.clone();
            let webhook = change_login(&environment, &seen, &mut link, Given::default()).await?;
            Ok(answer(&link, Some(webhook)))
        }
    }
}

/// `POST /v1/bots/{bot}/links/{link}/check`
pub(crate) async fn check(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, link)): Segments<(String, String)>,
) -> Result<Json<LinkCheckView>, Problem> {
    let bot = bots::find(&environment, caller, &bot).await?;
    let link = of_bot(&environment, &bot, &link).await?;
    let findings = inspection::inspect(&environment, &bot, &link).await?;
    Ok(Json(LinkCheckView { checked_at: environment.clock.now(), findings }))
}

/// The caller's link with this id, of the bot with this id or name.
pub(crate) async fn find(environment: &Environment, caller: Caller, bot: &str, link: &str) -> Result<Link, Problem> {
    of_bot(environment, &bots::find(environment, caller, bot).await?, link).await
}

async fn of_bot(environment: &Environment, bot: &Bot, link: &str) -> Result<Link, Problem> {
    let found = match link.parse::<LinkId>() {
        Ok(id) => environment.store.account(bot.account).link_get(bot.id, id).await?,
        Err(_) => None,
    };
    let shown: String = link.chars().take(80).collect();
    found.ok_or_else(|| {
        let detail = format!("The bot has no link `{shown}`. GET /v1/bots/{}/links lists them.", bot.id);
        Problem::not_found(detail)
    })
}

/// Owners decide what the bot's tools may do, so each has to be named.
fn checked_access(mut access: AccessPolicy) -> Result<AccessPolicy, Problem> {
    for owner in &mut access.owners {
        *owner = owner.trim().to_owned();
        if matches!(owner.as_str(), "" | "*" | "@") {
            return Err(Problem::bad_request(
                "access.owners: name each owner by user id, or by handle with its @; `*` would let everybody approve \
                 what the bot's tools ask for.",
            ));
        }
    }
    Ok(access)
}

/// Makes a sender the owner of a link that has none. Whether they own it then.
pub(crate) async fn own(environment: &Environment, mut link: Link, sender: &Sender) -> Result<bool, Problem> {
    if link.access.owners.is_empty() {
        link.access.owners.push(sender.id.clone());
        save(environment, &mut link).await?;
        tracing::info!(link = %link.id, "The first sender to be let in owns the bot.");
    }
    Ok(link.access.is_owner(sender))
}

/// A bot on a channel serves one link: a second would take the first one's messages away, or answer them again.
async fn check_is_free(environment: &Environment, link: &Link) -> Result<(), Problem> {
    if link.channel_id.is_none() {
        return Ok(());
    }
    let account = environment.store.account(link.account);
    let is_same =
        |other: &Link| other.id != link.id && other.channel == link.channel && other.channel_id == link.channel_id;
    let Some(other) = account.link_list_all().await?.into_iter().find(is_same) else { return Ok(()) };
    let bot = account.bot_get(other.bot).await?.map(|bot| bot.name).unwrap_or_default();
    Err(Problem::conflict(format!(
        "@{} is linked to the bot `{bot}` already, and a {} bot serves one link. Delete that link first, or make another \
         bot{}.",
        link.handle.as_deref().unwrap_or_default(),
        link.channel.label(),
        if link.channel == Channel::Telegram { " with @BotFather" } else { "" }
    )))
}

/// Registers the webhook of a link that is stored, and notes on it if that failed.
async fn register(environment: &Environment, link: &mut Link, secrets: Secrets) -> Result<WebhookView, Problem> {
    let Secrets { credentials, webhook, signing } = secrets;
    let registration =
        Registration { secret: &credentials, webhook_secret: webhook, signing_secret: signing.as_deref() };
    let (status, webhook) = registration::register(environment, link, registration).await;
    if matches!(status, LinkStatus::Failed { .. }) {
        link.status = status;
        save(environment, link).await?;
    }
    Ok(webhook)
}

/// Writes a link as the next version of itself.
pub(crate) async fn save(environment: &Environment, link: &mut Link) -> Result<(), Problem> {
    let seen = link.version;
    link.version += 1;
    link.updated_at = environment.clock.now();
    Ok(environment.store.account(link.account).link_update(seen, link).await?)
}

fn answer(link: &Link, webhook: Option<WebhookView>) -> Versioned<LinkView> {
    Versioned(link.version, view(link, webhook))
}

fn view(link: &Link, webhook: Option<WebhookView>) -> LinkView {
    LinkView {
        id: link.id,
        bot: link.bot,
        channel: link.channel,
        status: link.status.clone(),
        settings: link.settings.clone(),
        handle: link.handle.clone(),
        access: link.access.clone(),
        created_at: link.created_at,
        updated_at: link.updated_at,
        version: link.version,
        webhook,
    }
}
