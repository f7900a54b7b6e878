//! Browsers that are signed in, and the links that let further ones in.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use domain::{Role, SignIn, SignInId};
use runtime::Environment;

use crate::answers::Made;
use crate::auth::Caller;
use crate::extract::{JsonBody, Segments};
use crate::problem::Problem;
use crate::views::{BrowserView, Items, LinkOffer, LinkOffered};

/// How long a one-time link can be followed.
pub(crate) const LINK_TTL: Duration = Duration::from_secs(15 * 60);

/// `POST /v1/sign-in-links`
pub(crate) async fn offer(
    State(environment): State<Environment>,
    caller: Caller,
    JsonBody(offer): JsonBody<LinkOffer>,
) -> Result<Made<LinkOffered>, Problem> {
    let role = offer.role.unwrap_or(Role::Owner);
    caller.check_may_give(role.into())?;
    let code = environment.entropy.secret("");
    let expires_at = environment.clock.now() + LINK_TTL;
    environment.store.account(caller.account).link_offer(&code, role, expires_at).await?;
    Ok(Made(LinkOffered { path: link_path(&code), expires_at }))
}

/// The path of a one-time link. Behind `#`, a secret stays in the browser until its page sends it.
pub(super) fn link_path(code: &str) -> String {
    format!("/sign-in#{code}")
}

/// `GET /v1/browsers`
pub(crate) async fn list(
    State(environment): State<Environment>,
    caller: Caller,
) -> Result<Json<Items<BrowserView>>, Problem> {
    let found = environment.store.account(caller.account).sign_in_list(environment.clock.now()).await?;
    let view = |it: SignIn| BrowserView {
        id: it.id,
        who: it.who,
        agent: it.agent,
        created_at: it.created_at,
        expires_at: it.expires_at,
    };
    Ok(Json(Items { items: found.into_iter().map(view).collect() }))
}

/// `DELETE /v1/browsers/{browser}`: signs it out.
pub(crate) async fn delete(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(browser): Segments<String>,
) -> Result<NoContent, Problem> {
    let unknown = || Problem::not_found("No such browser is signed in. GET /v1/browsers lists those that are.");
    let id: SignInId = browser.parse().map_err(|_| unknown())?;
    if environment.store.account(caller.account).sign_in_delete(id).await? { Ok(NoContent) } else { Err(unknown()) }
}
