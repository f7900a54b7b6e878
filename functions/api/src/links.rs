//! Links: a bot's logins on channels.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use channels::telegram::hash_secret;
use domain::{AccessPolicy, Bot, Channel, Link, LinkId, LinkStatus, Sealed, Sender};
use runtime::Environment;
use store::SecretContext;

use crate::auth::Caller;
use crate::bots;
use crate::extract::{JsonBody, Segments, check_if_match, etag};
use crate::problem::Problem;
use crate::registration::{self, Given, Login};
use crate::views::{Items, LinkCreate, LinkPatch, LinkView, WebhookView};

/// `GET /v1/bots/{bot}/links`
pub(crate) async fn list(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
) -> Result<Json<Items<LinkView>>, Problem> {
    let bot = bots::find(&environment, caller, &bot).await?;
    let links = environment.store.account(caller.account).link_list(bot.id).await?;
    Ok(Json(Items { items: links.iter().map(|link| view(link, None)).collect() }))
}

/// `POST /v1/bots/{bot}/links`
pub(crate) async fn create(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
    JsonBody(request): JsonBody<LinkCreate>,
) -> Result<Response, Problem> {
    let bot = bots::find(&environment, caller, &bot).await?;
    let access = request.access.map(checked_access).transpose()?.unwrap_or_default();
    let given = Given { token: request.token, credentials: request.credentials, settings: request.settings };
    let login = registration::check(&environment, request.channel, given, None).await?;
    let mut link = new_link(&environment, &bot, request.channel);
    let token = log_in(&mut link, login);
    check_is_free(&environment, &link).await?;
    link.access = access;
    link.token = Some(seal(&environment, &link, &token).await?);
    let secret = fresh_secret(&environment, &mut link);
    environment.store.account(caller.account).link_create(&link).await?;
    tracing::info!(account = %caller.account, bot = %bot.id, link = %link.id, "A link was made.");
    let webhook = register(&environment, &mut link, &token, secret).await?;
    let mut response = (StatusCode::CREATED, answer(&link, Some(webhook))).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/bots/{}/links/{}", bot.id, link.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Makes a login the link's. Returns its secret.
fn log_in(link: &mut Link, login: Login) -> String {
    (link.settings, link.handle, link.channel_id) = (login.settings, login.handle, login.channel_id);
    login.secret
}

fn new_link(environment: &Environment, bot: &Bot, channel: Channel) -> Link {
    let now = environment.clock.now();
    Link {
        id: LinkId::from_parts(now, environment.entropy.next_u128()),
        account: bot.account,
        bot: bot.id,
        channel,
        settings: Default::default(),
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
) -> Result<Response, Problem> {
    let link = find(&environment, caller, &bot, &link).await?;
    Ok(answer(&link, None).into_response())
}

/// `PATCH /v1/bots/{bot}/links/{link}`
pub(crate) async fn change(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, link)): Segments<(String, String)>,
    headers: HeaderMap,
    JsonBody(patch): JsonBody<LinkPatch>,
) -> Result<Response, Problem> {
    let seen = find(&environment, caller, &bot, &link).await?;
    check_if_match(&headers, seen.version)?;
    let mut link = seen.clone();
    if let Some(access) = patch.access {
        link.access = checked_access(access)?;
    }
    if patch.token.is_none() && patch.credentials.is_none() && patch.settings.is_none() {
        save(&environment, &mut link).await?;
        return Ok(answer(&link, None).into_response());
    }
    let given = Given { token: patch.token, credentials: patch.credentials, settings: patch.settings };
    let webhook = change_login(&environment, &seen, &mut link, given).await?;
    Ok(answer(&link, Some(webhook)).into_response())
}

async fn change_login(
    environment: &Environment,
    seen: &Link,
    link: &mut Link,
    given: Given,
) -> Result<WebhookView, Problem> {
    let login = registration::check(environment, seen.channel, given, Some(seen)).await?;
    let token = log_in(link, login);
    check_is_free(environment, link).await?;
    let is_other_bot = seen.channel_id != link.channel_id;
    link.token = Some(seal(environment, link, &token).await?);
    if link.status != LinkStatus::Paused {
        link.status = LinkStatus::Active;
    }
    let secret = fresh_secret(environment, link);
    save(environment, link).await?;
    if is_other_bot {
        registration::withdraw(environment, std::slice::from_ref(seen)).await;
    }
    register(environment, link, &token, secret).await
}

/// `DELETE /v1/bots/{bot}/links/{link}`
pub(crate) async fn delete(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, link)): Segments<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let link = find(&environment, caller, &bot, &link).await?;
    check_if_match(&headers, link.version)?;
    registration::withdraw(&environment, std::slice::from_ref(&link)).await;
    environment.store.account(caller.account).link_delete(&link).await?;
    tracing::info!(account = %caller.account, bot = %link.bot, link = %link.id, "A link was deleted.");
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/bots/{bot}/links/{link}/pause`
pub(crate) async fn pause(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, link)): Segments<(String, String)>,
) -> Result<Response, Problem> {
    let mut link = find(&environment, caller, &bot, &link).await?;
    match link.status {
        LinkStatus::Active => {
            link.status = LinkStatus::Paused;
            save(&environment, &mut link).await?;
        }
        // A link that failed takes nothing either, and its reason is worth keeping.
        LinkStatus::Paused | LinkStatus::Failed { .. } => {}
    }
    Ok(answer(&link, None).into_response())
}

/// `POST /v1/bots/{bot}/links/{link}/resume`
pub(crate) async fn resume(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, link)): Segments<(String, String)>,
) -> Result<Response, Problem> {
    let mut link = find(&environment, caller, &bot, &link).await?;
    match link.status {
        LinkStatus::Active => Ok(answer(&link, None).into_response()),
        LinkStatus::Paused => {
            link.status = LinkStatus::Active;
            save(&environment, &mut link).await?;
            Ok(answer(&link, None).into_response())
        }
        LinkStatus::Failed { .. } => {
            let seen = link.clone();
            let webhook = change_login(&environment, &seen, &mut link, Given::default()).await?;
            Ok(answer(&link, Some(webhook)).into_response())
        }
    }
}

/// The caller's link with this id, of the bot with this id or name.
pub(crate) async fn find(environment: &Environment, caller: Caller, bot: &str, link: &str) -> Result<Link, Problem> {
    let bot = bots::find(environment, caller, bot).await?;
    let found = match link.parse::<LinkId>() {
        Ok(id) => environment.store.account(caller.account).link_get(bot.id, id).await?,
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

/// A Telegram bot has one webhook, so a second link to it would take the first one's messages away.
async fn check_is_free(environment: &Environment, link: &Link) -> Result<(), Problem> {
    let account = environment.store.account(link.account);
    for bot in account.bot_list().await? {
        let links = account.link_list(bot.id).await?;
        if links.iter().any(|other| other.id != link.id && other.channel_id == link.channel_id) {
            return Err(Problem::conflict(format!(
                "@{} is linked to the bot `{}` already, and a Telegram bot serves one link. Delete that link first, \
                 or make another bot with @BotFather.",
                link.handle.as_deref().unwrap_or_default(),
                bot.name
            )));
        }
    }
    Ok(())
}

async fn seal(environment: &Environment, link: &Link, token: &str) -> Result<Sealed, Problem> {
    let context = SecretContext::LinkToken { account: link.account, bot: link.bot, link: link.id };
    Ok(environment.store.keyring().seal(context, token).await?)
}

/// Gives the link a new webhook secret. Only its hash is kept.
fn fresh_secret(environment: &Environment, link: &mut Link) -> String {
    let secret = environment.entropy.secret("");
    link.webhook_secret_sha256 = Some(hash_secret(&secret));
    secret
}

/// Registers the webhook of a link that is stored, and notes on it if that failed.
async fn register(
    environment: &Environment,
    link: &mut Link,
    token: &str,
    secret: String,
) -> Result<WebhookView, Problem> {
    let (status, webhook) = registration::register(environment, link, token, secret).await;
    if matches!(status, LinkStatus::Failed { .. }) {
        link.status = status;
        save(environment, link).await?;
    }
    Ok(webhook)
}

/// Writes a link as the next version of itself.
async fn save(environment: &Environment, link: &mut Link) -> Result<(), Problem> {
    let seen = link.version;
    link.version += 1;
    link.updated_at = environment.clock.now();
    Ok(environment.store.account(link.account).link_update(seen, link).await?)
}

fn answer(link: &Link, webhook: Option<WebhookView>) -> impl IntoResponse + use<> {
    (etag(link.version), Json(view(link, webhook)))
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
