//! The account that a person comes into when they sign in through the provider.
//!
//! It is the one that they used last, else their own, else the first that they are a member of. Who is a member of none gets
//! an account of their own where anybody may sign up. Nobody becomes a member of another's account by signing in: an
//! invitation is accepted by who was invited (`me.rs`). Who has nothing but invitations is signed in, and in no account.

use domain::{Account, AccountId, Member, Person, Role, UserId};
use runtime::Environment;
use store::{KnownUser, StoreError};

use crate::problem::Problem;

/// Where somebody comes in.
pub(super) enum Place {
    /// An account; `None`: they are to accept an invitation first.
    Inside(Option<AccountId>),
    /// Nobody invited them, and nobody may sign up.
    Nowhere,
}

/// Finds the place of a person, makes it where they may have one of their own, and remembers it.
pub(super) async fn find(
    environment: &Environment,
    user: UserId,
    person: Person,
    open_sign_up: bool,
) -> Result<Place, Problem> {
    let store = &environment.store;
    let (memberships, known) = tokio::try_join!(store.user_memberships(user), store.user_known(user))?;
    let last = known.and_then(|known| known.account);
    let account = match preferred(&memberships, user, last) {
        None if open_sign_up => Some(sign_up(environment, user, &person).await?),
        None if !is_invited(environment, &person).await? => return Ok(Place::Nowhere),
        found => found,
    };
    store.user_know(user, &KnownUser { person, account }).await?;
    Ok(Place::Inside(account))
}

async fn is_invited(environment: &Environment, person: &Person) -> Result<bool, Problem> {
    let Some(email) = &person.email else { return Ok(false) };
    Ok(!environment.store.invitations_to(email, environment.clock.now()).await?.is_empty())
}

/// The account of these that a user wants most likely.
pub(crate) fn preferred(memberships: &[(Account, Member)], user: UserId, last: Option<AccountId>) -> Option<AccountId> {
    let ids = || memberships.iter().map(|(account, _)| account.id);
    let own = AccountId::own_of(user);
    let known = |wanted: AccountId| ids().find(|id| *id == wanted);
    last.and_then(known).or_else(|| known(own)).or_else(|| ids().next())
}

/// Makes an account for a person who has none.
async fn sign_up(environment: &Environment, user: UserId, person: &Person) -> Result<AccountId, Problem> {
    let now = environment.clock.now();
    let own = AccountId::own_of(user);
    let record = |id| Account { id, name: person.name.clone(), budget: Default::default(), created_at: now };
    let account = match environment.store.account(own).account_put(&record(own)).await {
        Ok(()) => own,
        Err(StoreError::Conflict(_)) => {
            // They left it to others; or an earlier attempt was cut short, or another browser of theirs is at it.
            let members = environment.store.account(own).member_list().await?;
            match members.iter().any(|member| member.user != user) {
                true => AccountId::from_parts(now, environment.entropy.next_u128()),
                false => own,
            }
        }
        Err(error) => return Err(error.into()),
    };
    let state = environment.store.account(account);
    if account != own {
        state.account_put(&record(account)).await?;
    }
    let member = Member { user, role: Role::Owner, person: person.clone(), joined_at: now };
    match state.member_add(&member, None).await {
        Ok(()) => tracing::info!(%account, %user, "Somebody signed up."),
        Err(StoreError::Conflict(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(account)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;

    #[test]
    fn people_come_back_to_where_they_were() {
        let at = Timestamp::from_millis(7);
        let user = UserId::from_parts(at, 9);
        let membership = |id: AccountId| {
            let account = Account { id, name: String::new(), budget: Default::default(), created_at: at };
            let person = Person { name: "ada".to_owned(), email: None };
            (account, Member { user, role: Role::Viewer, person, joined_at: at })
        };
        let (first, own, other) = (AccountId::from_parts(at, 1), AccountId::own_of(user), AccountId::from_parts(at, 2));
        let all = [first, own, other].map(membership);
        assert_eq!(preferred(&all, user, Some(other)), Some(other));
        assert_eq!(preferred(&all, user, Some(AccountId::from_parts(at, 3))), Some(own), "taken out meanwhile");
        assert_eq!(preferred(&all[..1], user, None), Some(first));
        assert_eq!(preferred(&[], user, Some(first)), None);
    }
}
