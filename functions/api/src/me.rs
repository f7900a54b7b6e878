//! Whose request it is, the accounts that a person can go over to, and the invitations that they can accept.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::NoContent;
use domain::{AccountId, Member, Person, UserId};
use runtime::Environment;
use store::{Actor, KnownUser};

use crate::account;
use crate::answers::CookieSet;
use crate::auth::{self, Visitor};
use crate::extract::{JsonBody, Segments};
use crate::problem::Problem;
use crate::sign_in::{self, place};
use crate::views::{AccountChoice, InvitationToMe, MeView, NamedAccount, OwnAccount};

/// `GET /v1/me`
pub(crate) async fn show(State(environment): State<Environment>, visitor: Visitor) -> Result<Json<MeView>, Problem> {
    let state = visitor.account.map(|id| environment.store.account(id));
    let (mut accounts, mut invitations) = (vec![], vec![]);
    let name = match (visitor.actor, state) {
        (Actor::User { id }, _) => {
            let (person, memberships) = tokio::try_join!(person(&environment, &visitor, id), async {
                Ok(environment.store.user_memberships(id).await?)
            })?;
            let own = |(account, member): (domain::Account, Member)| OwnAccount {
                id: account.id,
                name: account.name,
                role: member.role,
            };
            accounts = memberships.into_iter().map(own).collect();
            invitations = invitations_to(&environment, &person).await?;
            person.name
        }
        (Actor::Key { id }, Some(state)) => state.api_key_get(id).await?.map(|key| key.name).unwrap_or_default(),
        _ => "this browser".to_owned(),
    };
    // Those of a person were read with the memberships.
    let known = accounts.iter().find(|own| Some(own.id) == visitor.account);
    let account = match (known, visitor.account) {
        (Some(own), _) => Some(NamedAccount { id: own.id, name: own.name.clone() }),
        (None, Some(id)) => {
            let account = account::read(&environment, id).await?;
            Some(NamedAccount { id, name: account.name })
        }
        (None, None) => None,
    };
    Ok(Json(MeView {
        account,
        actor: visitor.actor,
        name,
        role: visitor.role,
        scopes: visitor.scopes.iter().map(|scope| scope.to_string()).collect(),
        accounts,
        invitations,
    }))
}

async fn invitations_to(environment: &Environment, person: &Person) -> Result<Vec<InvitationToMe>, Problem> {
    let Some(email) = &person.email else { return Ok(vec![]) };
    let mut invitations = vec![];
    for (account, invitation) in environment.store.invitations_to(email, environment.clock.now()).await? {
        // An account that is gone invites nobody.
        let Some(account) = environment.store.account(account).account_get().await? else { continue };
        invitations.push(InvitationToMe {
            account: account.id,
            name: account.name,
            role: invitation.role,
            invited_at: invitation.invited_at,
            expires_at: invitation.expires_at,
        });
    }
    Ok(invitations)
}

/// Who a user is to their provider: as they signed in last, or as they became a member.
async fn person(environment: &Environment, visitor: &Visitor, user: UserId) -> Result<Person, Problem> {
    if let Some(known) = environment.store.user_known(user).await? {
        return Ok(known.person);
    }
    let member = match visitor.account {
        Some(account) => environment.store.account(account).member_get(user).await?,
        None => None,
    };
    member.map(|member| member.person).ok_or_else(|| auth::unauthorised("You are signed out. Sign in again."))
}

/// `POST /v1/me/account`: gives the browser a sign-in to another account, in place of this one.
pub(crate) async fn choose(
    State(environment): State<Environment>,
    visitor: Visitor,
    headers: HeaderMap,
    JsonBody(choice): JsonBody<AccountChoice>,
) -> Result<CookieSet, Problem> {
    let unknown = || Problem::not_found("You are not a member of that account. GET /v1/me lists yours.");
    let Actor::User { id } = visitor.actor else { return Err(unknown()) };
    environment.store.account(choice.account).member_get(id).await?.ok_or_else(unknown)?;
    enter(&environment, &visitor, &headers, id, Some(choice.account), "POST /v1/me/account").await
}

/// `POST /v1/me/invitations/{account}/accept`: the person becomes a member, and the browser is in that account.
pub(crate) async fn accept(
    State(environment): State<Environment>,
    visitor: Visitor,
    headers: HeaderMap,
    Segments(account): Segments<String>,
) -> Result<CookieSet, Problem> {
    let (user, person, account) = invited(&environment, &visitor, &account).await?;
    let (state, now) = (environment.store.account(account), environment.clock.now());
    let invitation = match &person.email {
        Some(email) => state.invitation_get(email, now).await?,
        None => None,
    };
    let is_member = state.member_get(user).await?.is_some();
    match invitation {
        Some(invitation) if is_member => state.invitation_delete(&invitation.email).await?,
        Some(invitation) => {
            let member = Member { user, role: invitation.role, person, joined_at: now };
            state.member_add(&member, Some(&invitation)).await?;
            tracing::info!(%account, %user, "Somebody accepted an invitation.");
        }
        // The same request, sent again.
        None if is_member => {}
        None => return Err(not_invited()),
    }
    let action = format!("POST /v1/me/invitations/{account}/accept");
    enter(&environment, &visitor, &headers, user, Some(account), &action).await
}

/// `POST /v1/me/invitations/{account}/decline`
pub(crate) async fn decline(
    State(environment): State<Environment>,
    visitor: Visitor,
    Segments(account): Segments<String>,
) -> Result<NoContent, Problem> {
    let (user, person, account) = invited(&environment, &visitor, &account).await?;
    let state = environment.store.account(account);
    let email = person.email.ok_or_else(not_invited)?;
    state.invitation_get(&email, environment.clock.now()).await?.ok_or_else(not_invited)?;
    state.invitation_delete(&email).await?;
    let action = format!("POST /v1/me/invitations/{account}/decline");
    auth::note(&environment, account, Actor::User { id: user }, &action, vec![], StatusCode::NO_CONTENT).await;
    Ok(NoContent)
}

/// `POST /v1/me/leave`: the person is a member no more, and the browser is in another account of theirs, or in none.
pub(crate) async fn leave(
    State(environment): State<Environment>,
    visitor: Visitor,
    headers: HeaderMap,
) -> Result<CookieSet, Problem> {
    let not_here =
        || Problem::conflict("Only people leave an account; this request is of a key, or of nobody's browser.");
    let (Actor::User { id }, Some(account)) = (visitor.actor, visitor.account) else { return Err(not_here()) };
    let state = environment.store.account(account);
    let member = state.member_get(id).await?.ok_or_else(not_here)?;
    state.member_remove(&member).await?;
    tracing::info!(%account, user = %id, "A member left.");
    let next = place::preferred(&environment.store.user_memberships(id).await?, id, None);
    enter(&environment, &visitor, &headers, id, next, "POST /v1/me/account").await
}

/// The person who asks, and the account that the path names.
async fn invited(
    environment: &Environment,
    visitor: &Visitor,
    account: &str,
) -> Result<(UserId, Person, AccountId), Problem> {
    let account = account.parse().map_err(|_| not_invited())?;
    let Actor::User { id } = visitor.actor else { return Err(not_invited()) };
    Ok((id, person(environment, visitor, id).await?, account))
}

fn not_invited() -> Problem {
    Problem::not_found("No such account invites you. GET /v1/me lists those that do.")
}

/// Puts the browser into another account of its user, or into none, and remembers it for the next sign-in.
async fn enter(
    environment: &Environment,
    visitor: &Visitor,
    headers: &HeaderMap,
    user: UserId,
    account: Option<AccountId>,
    action: &str,
) -> Result<CookieSet, Problem> {
    // Of a member who was removed a moment ago there is nothing to remember.
    if let Ok(person) = person(environment, visitor, user).await {
        environment.store.user_know(user, &KnownUser { person, account }).await?;
    }
    Ok(CookieSet(sign_in::go_over(environment, headers, account, user, action).await?))
}
