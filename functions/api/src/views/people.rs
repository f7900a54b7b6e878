//! Who may come in, and what they did.

use domain::{AccountId, KeyId, Role, SignInId, SignedInAs, Timestamp, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Actor;

/// `GET /v1/sign-in`: the ways into the dashboard, beside one-time links and API keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignInWays {
    /// The identity provider, if one is set up.
    pub openid: Option<WayView>,
}

/// A way in: a browser goes to `url`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WayView {
    /// What people call it.
    pub name: String,
    /// Where the browser goes.
    pub url: String,
}

/// `POST /v1/sign-in/link`
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInByLink {
    /// What stands behind the `#` of a one-time link.
    pub code: String,
}

/// `POST /v1/sign-in/key`
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInByKey {
    /// An API key: `lt_…`
    pub key: String,
}

/// `POST /v1/sign-in-links`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkOffer {
    /// What the browser may do that follows the link: no more than you; all, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// A link that signs one browser in, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkOffered {
    /// The path, with the secret behind `#`, which no server sees or logs: put the address of this deployment before it.
    pub path: String,
    /// From when on it does not count any more.
    pub expires_at: Timestamp,
}

/// `GET /v1/me`: whose request this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MeView {
    /// The account; `null`: a person who is in none yet, and may accept an invitation.
    pub account: Option<NamedAccount>,
    /// Who acts.
    pub actor: Actor,
    /// What the actor is called.
    pub name: String,
    /// Of a person, and of a browser that a link let in. `null` for keys.
    pub role: Option<Role>,
    /// What may be asked for, such as `bots:read`.
    pub scopes: Vec<String>,
    /// All accounts that a person is a member of. Empty for keys, and for browsers that name no person.
    pub accounts: Vec<OwnAccount>,
    /// Places that accounts keep for a person, to be accepted or declined.
    #[serde(default)]
    pub invitations: Vec<InvitationToMe>,
}

/// An account that a person is a member of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnAccount {
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// What they may do there.
    pub role: Role,
}

/// A place that an account keeps for the person who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvitationToMe {
    /// The account's id.
    pub account: AccountId,
    /// The account's name.
    pub name: String,
    /// What they may do there.
    pub role: Role,
    /// When they were invited.
    pub invited_at: Timestamp,
    /// From when on it does not count any more.
    pub expires_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamedAccount {
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub name: String,
}

/// `POST /v1/me/account`: go over to another account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountChoice {
    /// The account.
    pub account: AccountId,
}

/// A browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BrowserView {
    /// Its id.
    pub id: SignInId,
    /// As whom.
    pub who: SignedInAs,
    /// What the browser calls itself.
    pub agent: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it does not count any more.
    pub expires_at: Timestamp,
}

/// `POST /v1/keys`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyCreate {
    /// What you call it: 1 to 80 characters.
    pub name: String,
    /// What it may do, such as `["bots:read", "chat"]`: no more than you, and as much if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyView {
    /// Its id.
    pub id: KeyId,
    /// What its owner calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A new API key: the only answer that ever shows its secret.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct KeyCreated {
    #[serde(flatten)]
    pub key: KeyView,
    /// `lt_…`
    pub secret: String,
}

/// `GET /v1/members`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MembersView {
    /// In their order.
    pub items: Vec<MemberView>,
    /// Places that are kept for people who have not signed in yet.
    pub invitations: Vec<InvitationView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberView {
    /// Their id.
    pub user: UserId,
    /// Its name.
    pub name: String,
    /// Their e-mail address, confirmed by the identity provider.
    pub email: Option<String>,
    /// What they may do.
    pub role: Role,
    /// When they became a member.
    pub joined_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvitationView {
    /// Their e-mail address, confirmed by the identity provider.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// When they were invited.
    pub invited_at: Timestamp,
    /// From when on it does not count any more.
    pub expires_at: Timestamp,
}

/// `POST /v1/members`: keeps a place for whoever signs in with this address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberInvite {
    /// Their e-mail address, confirmed by the identity provider.
    pub email: String,
    /// What they may do.
    pub role: Role,
}

/// `PATCH /v1/members/{user}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberPatch {
    /// What they may do.
    pub role: Role,
}

/// One line of `GET /v1/audit`, the newest first: a change, or somebody who came in or went. Kept for 400 days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditView {
    /// When.
    pub at: Timestamp,
    /// Who acts.
    pub actor: Actor,
    /// What the person or the key is called now; `null` for browsers that name nobody, and for who is gone.
    #[serde(default)]
    pub name: Option<String>,
    /// The method and the path: `DELETE /v1/bots/heron`.
    pub action: String,
    /// The fields that the request gave, such as `model.api_key`; what they say is not written down.
    #[serde(default)]
    pub fields: Vec<String>,
    /// The status of the answer.
    pub status: u16,
}
