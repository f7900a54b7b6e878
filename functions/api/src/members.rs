//! Members of an account: invited, given roles, taken out.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use domain::member::email;
use domain::{Invitation, Member, UserId};
use runtime::Environment;

use crate::answers::{Made, Versioned};
use crate::auth::Caller;
use crate::extract::{JsonBody, Preconditions, Segments};
use crate::problem::Problem;
use crate::views::{InvitationView, MemberInvite, MemberPatch, MemberView, MembersView};

/// How long a place is kept.
const INVITATION_TTL: Duration = Duration::from_secs(14 * 24 * 3600);

/// `GET /v1/members`
pub(crate) async fn list(State(environment): State<Environment>, caller: Caller) -> Result<Json<MembersView>, Problem> {
    let state = environment.store.account(caller.account);
    let (members, invitations) = tokio::try_join!(state.member_list(), state.invitation_list(environment.clock.now()))?;
    Ok(Json(MembersView {
        items: members.into_iter().map(view).collect(),
        invitations: invitations.into_iter().map(invitation_view).collect(),
    }))
}

/// `POST /v1/members`
pub(crate) async fn invite(
    State(environment): State<Environment>,
    caller: Caller,
    JsonBody(body): JsonBody<MemberInvite>,
) -> Result<Made<InvitationView>, Problem> {
    caller.check_may_give(body.role.into())?;
    if environment.settings.openid.is_none() {
        let detail = "People sign in through an identity provider, and none is set up here: whoever runs this deployment sets \
                      LOWTIDE_OPENID_ISSUER and LOWTIDE_OPENID_CLIENT_ID. Until then, POST /v1/sign-in-links lets browsers in.";
        return Err(Problem::conflict(detail));
    }
    let address = email(&body.email)
        .ok_or_else(|| Problem::bad_request("email: this is no e-mail address. Give one such as `ada@example.org`."))?;
    let state = environment.store.account(caller.account);
    if state.member_list().await?.iter().any(|member| member.person.email.as_ref() == Some(&address)) {
        return Err(Problem::conflict(format!("{address} is a member already. PATCH /v1/members/… changes a role.")));
    }
    let now = environment.clock.now();
    let invitation = Invitation { email: address, role: body.role, invited_at: now, expires_at: now + INVITATION_TTL };
    state.invitation_put(&invitation).await?;
    Ok(Made(invitation_view(invitation)))
}

/// `DELETE /v1/invitations/{email}`
pub(crate) async fn uninvite(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(address): Segments<String>,
) -> Result<NoContent, Problem> {
    let state = environment.store.account(caller.account);
    let address = email(&address).unwrap_or_default();
    if state.invitation_list(environment.clock.now()).await?.iter().all(|it| it.email != address) {
        return Err(Problem::not_found("Nobody with this address is invited. GET /v1/members lists who is."));
    }
    state.invitation_delete(&address).await?;
    Ok(NoContent)
}

/// `PATCH /v1/members/{user}`
pub(crate) async fn change(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(user): Segments<String>,
    conditions: Preconditions,
    JsonBody(patch): JsonBody<MemberPatch>,
) -> Result<Versioned<MemberView>, Problem> {
    caller.check_may_give(patch.role.into())?;
    let (member, version) = find(&environment, &caller, &user).await?;
    conditions.check(version)?;
    environment.store.account(caller.account).member_set_role(&member, version, patch.role).await?;
    Ok(Versioned(version + 1, view(Member { role: patch.role, ..member })))
}

/// `GET /v1/members/{user}`
pub(crate) async fn show(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(user): Segments<String>,
) -> Result<Versioned<MemberView>, Problem> {
    let (member, version) = find(&environment, &caller, &user).await?;
    Ok(Versioned(version, view(member)))
}

/// `DELETE /v1/members/{user}`: their browsers are out at once.
pub(crate) async fn delete(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(user): Segments<String>,
) -> Result<NoContent, Problem> {
    let (member, _) = find(&environment, &caller, &user).await?;
    environment.store.account(caller.account).member_remove(&member).await?;
    tracing::info!(account = %caller.account, user = %member.user, "A member was taken out.");
    Ok(NoContent)
}

/// A member, with the version of their record.
async fn find(environment: &Environment, caller: &Caller, user: &str) -> Result<(Member, u64), Problem> {
    let unknown = || Problem::not_found("There is no such member. GET /v1/members lists them.");
    let id: UserId = user.parse().map_err(|_| unknown())?;
    environment.store.account(caller.account).member_read(id).await?.ok_or_else(unknown)
}

fn view(member: Member) -> MemberView {
    let Member { user, role, person, joined_at } = member;
    MemberView { user, name: person.name, email: person.email, role, joined_at }
}

fn invitation_view(invitation: Invitation) -> InvitationView {
    let Invitation { email, role, invited_at, expires_at } = invitation;
    InvitationView { email, role, invited_at, expires_at }
}
