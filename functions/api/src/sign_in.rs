//! How browsers get in: with a one-time link, with an API key, or through an identity provider.
//!
//! A browser that is in has a cookie with a secret of 256 random bits, of which only the hash is stored, for 30 days or
//! until it is signed out.

pub(crate) mod browsers;
pub(crate) mod cookie;
pub(crate) mod openid;
pub(crate) mod place;

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::{Extension, Json};
use domain::{AccountId, Role, SignIn, SignInId, SignedInAs, UserId};
use runtime::Environment;
use store::Actor;

use crate::answers::CookieSet;
use crate::auth::{self, unauthorised};
use crate::extract::JsonBody;
use crate::problem::Problem;
use crate::rate::{Client, Rates};
use crate::views::{SignInByKey, SignInByLink, SignInWays, WayView};

/// How long a browser stays signed in.
const SIGN_IN_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
/// What is kept of what a browser calls itself, in characters.
const MAX_AGENT: usize = 200;

/// `GET /v1/sign-in`: the ways there are.
pub(crate) async fn ways(State(environment): State<Environment>) -> Json<SignInWays> {
    let openid = environment.settings.openid.as_ref();
    Json(SignInWays {
        openid: openid.map(|it| WayView { name: it.name.clone(), url: "/v1/sign-in/openid".to_owned() }),
    })
}

/// `POST /v1/sign-in/link`
pub(crate) async fn by_link(
    State(environment): State<Environment>,
    Extension(rates): Extension<Rates>,
    client: Client,
    headers: HeaderMap,
    JsonBody(body): JsonBody<SignInByLink>,
) -> Result<CookieSet, Problem> {
    let now = environment.clock.now();
    rates.check_failures(&client, now)?;
    let Some(offer) = environment.store.link_take(&body.code, now).await? else {
        rates.count_failure(&client, now);
        return Err(unauthorised(
            "This link was used before, or is too old. `lowtide dashboard` gives you another; so does an owner of the account.",
        ));
    };
    let who = SignedInAs::Link { role: offer.role };
    Ok(CookieSet(let_in(&environment, &headers, Some(offer.account), who, "POST /v1/sign-in/link").await?))
}

/// `POST /v1/sign-in/key`
pub(crate) async fn by_key(
    State(environment): State<Environment>,
    Extension(rates): Extension<Rates>,
    client: Client,
    headers: HeaderMap,
    JsonBody(body): JsonBody<SignInByKey>,
) -> Result<CookieSet, Problem> {
    let now = environment.clock.now();
    rates.check_failures(&client, now)?;
    let key = body.key.trim();
    let owner = if auth::is_key(key) { environment.store.api_key_find(key).await? } else { None };
    let Some(owner) = owner else {
        rates.count_failure(&client, now);
        return Err(unauthorised("This key is not known. A key begins with `lt_`; copy it again."));
    };
    let who = SignedInAs::Key { id: owner.key };
    Ok(CookieSet(let_in(&environment, &headers, Some(owner.account), who, "POST /v1/sign-in/key").await?))
}

/// `POST /v1/sign-out`: whether or not anybody is signed in.
pub(crate) async fn out(State(environment): State<Environment>, headers: HeaderMap) -> Result<CookieSet, Problem> {
    auth::check_same_origin(&Method::POST, &headers)?;
    if let Some((Some(account), sign_in)) = put_out(&environment, &headers).await? {
        auth::note(&environment, account, actor(&sign_in), "POST /v1/sign-out", vec![], StatusCode::NO_CONTENT).await;
    }
    let gone = cookie::removed(&headers);
    Ok(CookieSet(gone))
}

/// Ends the sign-in of the browser that asks, if it has one, and returns what it was.
async fn put_out(
    environment: &Environment,
    headers: &HeaderMap,
) -> Result<Option<(Option<AccountId>, SignIn)>, Problem> {
    let Some(secret) = cookie::secret(headers) else { return Ok(None) };
    let found = environment.store.sign_in_find(secret, environment.clock.now()).await?;
    match &found {
        Some((Some(account), sign_in)) => {
            environment.store.account(*account).sign_in_delete(sign_in.id).await?;
        }
        Some((None, _)) => environment.store.sign_in_delete_outside(secret).await?,
        None => {}
    }
    Ok(found)
}

/// As whom the audit log knows a browser.
fn actor(sign_in: &SignIn) -> Actor {
    match sign_in.who {
        SignedInAs::User { id } => Actor::User { id },
        SignedInAs::Key { id } => Actor::Key { id },
        SignedInAs::Link { .. } => Actor::Browser { id: sign_in.id },
    }
}

/// Signs a browser in to another account of its user, or to none, and out of the one before. `action` says in the audit log how.
pub(crate) async fn go_over(
    environment: &Environment,
    headers: &HeaderMap,
    account: Option<AccountId>,
    user: UserId,
    action: &str,
) -> Result<HeaderValue, Problem> {
    let cookie = let_in(environment, headers, account, SignedInAs::User { id: user }, action).await?;
    put_out(environment, headers).await?;
    Ok(cookie)
}

/// Makes a link that signs a browser in as an owner of the account, once: for whoever has the machine. Returns its path.
pub async fn owner_link(environment: &Environment, account: AccountId) -> anyhow::Result<String> {
    let code = environment.entropy.secret("");
    let until = environment.clock.now() + browsers::LINK_TTL;
    environment.store.account(account).link_offer(&code, Role::Owner, until).await?;
    Ok(browsers::link_path(&code))
}

/// Signs a browser in, and returns its cookie. `action` says in the audit log how.
async fn let_in(
    environment: &Environment,
    headers: &HeaderMap,
    account: Option<AccountId>,
    who: SignedInAs,
    action: &str,
) -> Result<HeaderValue, Problem> {
    let now = environment.clock.now();
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let sign_in = SignIn {
        id: SignInId::from_parts(now, environment.entropy.next_u128()),
        who,
        agent: agent.chars().take(MAX_AGENT).collect(),
        created_at: now,
        expires_at: now + SIGN_IN_TTL,
    };
    let secret = environment.entropy.secret("");
    match account {
        Some(account) => {
            environment.store.account(account).sign_in_create(&secret, &sign_in).await?;
            auth::note(environment, account, actor(&sign_in), action, vec![], StatusCode::NO_CONTENT).await;
            tracing::info!(%account, sign_in = %sign_in.id, "A browser was signed in.");
        }
        None => {
            environment.store.sign_in_create_outside(&secret, &sign_in).await?;
            tracing::info!(sign_in = %sign_in.id, "A browser was signed in that is in no account yet.");
        }
    }
    Ok(cookie::given(headers, &secret, SIGN_IN_TTL))
}
