//! People: who they are to their identity provider, and which accounts they are members of.

use aws_sdk_dynamodb::types::{ConditionCheck, Delete, TransactWriteItem};
use domain::{Account, AccountId, Invitation, Member, Person, Role, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::bots::{Precondition, put_action, version_of};
use crate::error::{StoreError, unavailable};
use crate::item::{DOC, Item, expires, is_expired, record, row, text};
use crate::{AccountStore, Store, keys};

/// DynamoDB reads 100 rows at once, and a membership is two.
const MEMBERSHIPS_PER_READ: usize = 50;

/// Stands beside the record of a member, for conditions.
const ROLE: &str = "role";

/// Where a list is that is not in an account: what is listed there says which account it is about.
#[derive(Serialize, Deserialize)]
struct InAccount {
    account: AccountId,
}

#[derive(Serialize, Deserialize)]
struct Identity {
    user: UserId,
}

/// What is known of a user between sign-ins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownUser {
    /// Who they were to their identity provider when they signed in last.
    pub person: Person,
    /// The account that they used last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
}

fn role_text(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Operator => "operator",
        Role::Viewer => "viewer",
    }
}

impl Store {
    /// The user whom an identity provider (its issuer URL) calls `subject`. The first time it is `new`.
    pub async fn identity_user(&self, issuer: &str, subject: &str, new: UserId) -> Result<UserId, StoreError> {
        let key = keys::identity(issuer, subject);
        if let Some(Identity { user }) = self.record_get(key.clone()).await? {
            return Ok(user);
        }
        // Two browsers of one person may come at the same time.
        Ok(self.record_claim(key, Identity { user: new }).await?.user)
    }

    /// The accounts that a user is a member of, the oldest first.
    pub async fn user_accounts(&self, user: UserId) -> Result<Vec<AccountId>, StoreError> {
        let items = self.items_by_prefix(&user.to_string(), keys::USER_ACCOUNT_PREFIX).await?;
        items.iter().map(|item| Ok(record::<InAccount>(item)?.account)).collect()
    }

    /// The accounts that a user is a member of, and what they are there, in the order of [`Store::user_accounts`].
    pub async fn user_memberships(&self, user: UserId) -> Result<Vec<(Account, Member)>, StoreError> {
        let mut found = vec![];
        for some in self.user_accounts(user).await?.chunks(MEMBERSHIPS_PER_READ) {
            let rows = some.iter().flat_map(|id| [keys::account(*id), keys::member(*id, user)]);
            let rows = self.items_get(rows).await?;
            for id in some {
                let (account, member) = (rows.get(&keys::account(*id)), rows.get(&keys::member(*id, user)));
                if let (Some(account), Some(member)) = (account, member) {
                    found.push((record(account)?, record(member)?));
                }
            }
        }
        Ok(found)
    }

    pub async fn user_known(&self, user: UserId) -> Result<Option<KnownUser>, StoreError> {
        self.record_get(keys::known_user(user)).await
    }

    pub async fn user_know(&self, user: UserId, known: &KnownUser) -> Result<(), StoreError> {
        self.item_put(row(keys::known_user(user), known)?).await
    }

    /// The accounts that keep a place for this e-mail address, and the places.
    pub async fn invitations_to(
        &self,
        email: &str,
        now: Timestamp,
    ) -> Result<Vec<(AccountId, Invitation)>, StoreError> {
        let items = self.items_by_prefix(&keys::invited_pk(email), "").await?;
        let mut found = vec![];
        for item in items.iter().filter(|item| !is_expired(item, now)) {
            let account = record::<InAccount>(item)?.account;
            let invitation: Option<Invitation> = self.record_get(keys::invitation(account, email)).await?;
            found.extend(invitation.filter(|it| it.expires_at > now).map(|it| (account, it)));
        }
        Ok(found)
    }
}

impl AccountStore<'_> {
    fn member_row(&self, member: &Member) -> Result<Item, StoreError> {
        let mut item = row(keys::member(self.id, member.user), member)?;
        item.insert(ROLE.to_owned(), text(role_text(member.role)));
        Ok(item)
    }

    /// Makes a person a member; of an invitation that they follow nothing is left. Fails with
    /// [`StoreError::Conflict`] if they are one, or if the invitation was changed or taken back meanwhile.
    pub async fn member_add(&self, member: &Member, followed: Option<&Invitation>) -> Result<(), StoreError> {
        let of_user = row(keys::user_account(member.user, self.id), &InAccount { account: self.id })?;
        let of_account = self.store.put_if(self.member_row(member)?, 1, Precondition::DoesNotExist)?;
        let mut actions = vec![put_action(of_account), put_action(self.store.put_always(of_user)?)];
        if let Some(invitation) = followed {
            actions.push(self.follow_action(invitation)?);
            actions.push(self.store.delete_action(keys::invited(&invitation.email, self.id))?);
        }
        match self.store.transact(actions).await? {
            Ok(()) => Ok(()),
            Err(failed) if failed.contains(&0) => Err(StoreError::Conflict("this person is a member already")),
            Err(_) => Err(StoreError::Conflict("the invitation was changed or taken back meanwhile")),
        }
    }

    /// Deletes an invitation that still says what it said when it was read.
    fn follow_action(&self, invitation: &Invitation) -> Result<TransactWriteItem, StoreError> {
        let mut seen = row(keys::invitation(self.id, &invitation.email), invitation)?;
        let delete = Delete::builder()
            .table_name(&self.store.table)
            .set_key(Some(keys::invitation(self.id, &invitation.email).into_item()))
            .condition_expression("#doc = :seen")
            .expression_attribute_names("#doc", DOC)
            .set_expression_attribute_values(seen.remove(DOC).map(|doc| Item::from([(":seen".to_owned(), doc)])));
        let delete = delete.build().map_err(|e| unavailable("describe a write", &e))?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    pub async fn member_get(&self, user: UserId) -> Result<Option<Member>, StoreError> {
        self.store.record_get(keys::member(self.id, user)).await
    }

    /// A member, and the version of their record; 0 of records that are older than versions.
    pub async fn member_read(&self, user: UserId) -> Result<Option<(Member, u64)>, StoreError> {
        let item = self.store.item_get(keys::member(self.id, user)).await?;
        item.map(|item| Ok((record(&item)?, version_of(&item)))).transpose()
    }

    /// The invitation of this e-mail address, if it still counts.
    pub async fn invitation_get(&self, email: &str, now: Timestamp) -> Result<Option<Invitation>, StoreError> {
        let invitation: Option<Invitation> = self.store.record_get(keys::invitation(self.id, email)).await?;
        Ok(invitation.filter(|it| it.expires_at > now))
    }

    /// All members, in the order in which they first signed in anywhere.
    pub async fn member_list(&self) -> Result<Vec<Member>, StoreError> {
        let items = self.store.items_by_prefix(&self.id.to_string(), keys::MEMBER_PREFIX).await?;
        items.iter().map(record).collect()
    }

    /// Gives a member another role, whose record has the version `seen`. Fails with [`StoreError::Conflict`] if it has another
    /// by now, or if no owner would be left.
    pub async fn member_set_role(&self, member: &Member, seen: u64, role: Role) -> Result<(), StoreError> {
        let changed = self.member_row(&Member { role, ..member.clone() })?;
        let put = self.store.put_if(changed, seen + 1, Precondition::MatchesVersion(seen))?;
        let mut actions = vec![put_action(put)];
        if role != Role::Owner {
            actions.extend(self.keeps_an_owner(member).await?);
        }
        self.transact_on_members(actions).await
    }

    /// Takes a person out of the account. Fails with [`StoreError::Conflict`] if no owner would be left.
    pub async fn member_remove(&self, member: &Member) -> Result<(), StoreError> {
        let mut actions = vec![
            self.store.delete_action(keys::member(self.id, member.user))?,
            self.store.delete_action(keys::user_account(member.user, self.id))?,
        ];
        actions.extend(self.keeps_an_owner(member).await?);
        self.transact_on_members(actions).await
    }

    async fn transact_on_members(&self, actions: Vec<TransactWriteItem>) -> Result<(), StoreError> {
        let changed = || StoreError::Conflict("the account's members changed meanwhile");
        self.store.transact(actions).await?.map_err(|_| changed())
    }

    /// The condition that somebody else is an owner, where `member` is one.
    async fn keeps_an_owner(&self, member: &Member) -> Result<Option<TransactWriteItem>, StoreError> {
        if member.role != Role::Owner {
            return Ok(None);
        }
        let members = self.member_list().await?;
        let other = members.iter().find(|other| other.role == Role::Owner && other.user != member.user);
        let Some(other) = other else {
            return Err(StoreError::Conflict("an account needs an owner; make another member one first"));
        };
        let check = ConditionCheck::builder()
            .table_name(&self.store.table)
            .set_key(Some(keys::member(self.id, other.user).into_item()))
            .condition_expression("#role = :owner")
            .expression_attribute_names("#role", ROLE)
            .expression_attribute_values(":owner", text(role_text(Role::Owner)))
            .build();
        let check = check.map_err(|e| unavailable("describe a write", &e))?;
        Ok(Some(TransactWriteItem::builder().condition_check(check).build()))
    }

    /// Keeps a place for an e-mail address, in place of an earlier one.
    pub async fn invitation_put(&self, invitation: &Invitation) -> Result<(), StoreError> {
        let Invitation { email, expires_at, .. } = invitation;
        let kept = expires(row(keys::invitation(self.id, email), invitation)?, *expires_at);
        let by_email = expires(row(keys::invited(email, self.id), &InAccount { account: self.id })?, *expires_at);
        let actions = vec![put_action(self.store.put_always(kept)?), put_action(self.store.put_always(by_email)?)];
        self.transact_on_members(actions).await
    }

    pub async fn invitation_list(&self, now: Timestamp) -> Result<Vec<Invitation>, StoreError> {
        let items = self.store.items_by_prefix(&self.id.to_string(), keys::INVITATION_PREFIX).await?;
        items.iter().filter(|item| !is_expired(item, now)).map(record).collect()
    }

    pub async fn invitation_delete(&self, email: &str) -> Result<(), StoreError> {
        let actions = vec![
            self.store.delete_action(keys::invitation(self.id, email))?,
            self.store.delete_action(keys::invited(email, self.id))?,
        ];
        self.transact_on_members(actions).await
    }
}
