//! What a bot owes to rooms beside reading them: answers to invitations, and the word that it cannot read what is encrypted.
//!
//! A room that makes trouble with it (a homeserver that is away, a join that takes minutes) holds up nothing else: one errand
//! is under way while the bot listens, and one that fails is tried again later, a few times.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::{Address, ChatKind};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

use super::client::CallError;
use super::{Chunk, Client};
use crate::SendError;

/// How often an errand is tried.
const TRIES: u8 = 5;

/// The wait before the second attempt, doubled before each that follows.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The most errands that are kept. Whoever invites a bot to more rooms at once is not answered.
const MOST: usize = 50;

/// What is said once where the bot cannot read.
const ENCRYPTED: &str = "This room is encrypted, and I cannot read encrypted messages. \
    Please write to me in a room without encryption.";

/// What is to be done in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    Join,
    /// With the reason that the inviter sees.
    Decline(String),
    TellEncrypted,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Errand {
    pub(super) room: String,
    pub(super) what: What,
    /// How often it was tried.
    #[serde(default)]
    tries: u8,
}

/// The errands of one connection, the first of which is under way.
#[derive(Default)]
pub(super) struct Errands<'a> {
    owed: Vec<Errand>,
    /// Locked by nobody: a connection is looked at from several threads, one after the other, and a future must not be.
    under_way: Mutex<Option<BoxFuture<'a, Result<(), SendError>>>>,
    /// When the next attempt may be made.
    next_at: Option<Instant>,
}

impl<'a> Errands<'a> {
    pub(super) fn of(owed: Vec<Errand>) -> Errands<'a> {
        Errands { owed, ..Errands::default() }
    }

    /// What is not done yet: where another connection goes on.
    pub(super) fn owed(&self) -> &[Errand] {
        &self.owed
    }

    /// Adds an errand, in place of one of the same kind in the same room. Whether there was room for it.
    pub(super) fn add(&mut self, room: &str, what: What) -> bool {
        let is_same = |owed: &What| (*owed == What::TellEncrypted) == (what == What::TellEncrypted);
        if self.owed.iter().any(|errand| errand.room == room && errand.what == what) {
            return true;
        }
        self.retain(|errand| errand.room != room || !is_same(&errand.what));
        if self.owed.len() >= MOST {
            return false;
        }
        self.owed.push(Errand { room: room.to_owned(), what, tries: 0 });
        true
    }

    /// Nothing is owed to a room any more that the bot has left.
    pub(super) fn forget(&mut self, room: &str) {
        self.retain(|errand| errand.room != room);
    }

    fn retain(&mut self, keep: impl Fn(&Errand) -> bool) {
        if self.owed.first().is_some_and(|first| !keep(first)) {
            *self.under_way() = None;
        }
        self.owed.retain(keep);
    }

    fn under_way(&mut self) -> &mut Option<BoxFuture<'a, Result<(), SendError>>> {
        self.under_way.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the bot is in a room now. Whether it was about to join it.
    pub(super) fn has_joined(&mut self, room: &str) -> bool {
        let before = self.owed.len();
        self.retain(|errand| errand.room != room || errand.what != What::Join);
        self.owed.len() < before
    }

    /// Waits until an errand has been tried, and returns the room if the bot has joined it. Never returns if nothing is owed. Nothing
    /// is lost if it is not waited for to the end.
    ///
    /// # Errors
    ///
    /// [`SendError::Unauthorised`]: the homeserver does not take the token.
    pub(super) async fn tried(&mut self, client: &'a Client) -> Result<Option<String>, SendError> {
        let Some(errand) = self.owed.first().cloned() else { return std::future::pending().await };
        if self.under_way().is_none() {
            if let Some(at) = self.next_at {
                sleep_until(at).await;
            }
            *self.under_way() = Some(Box::pin(async move { run(client, &errand).await }));
        }
        let Some(under_way) = self.under_way() else { return Ok(None) };
        let done = under_way.await;
        *self.under_way() = None;
        self.next_at = None;
        let mut errand = self.owed.remove(0);
        match done {
            Ok(()) => Ok((errand.what == What::Join).then_some(errand.room)),
            Err(error @ SendError::Unauthorised(_)) => Err(error),
            Err(error) => {
                errand.tries += 1;
                let asked =
                    if let SendError::RateLimited { retry_after } = error { retry_after } else { Duration::ZERO };
                self.next_at = Some(Instant::now() + asked.max(FIRST_WAIT * (1 << (errand.tries - 1))));
                if errand.tries < TRIES {
                    tracing::info!(room = errand.room, "A room is not answered yet: {error}");
                    self.owed.push(errand);
                } else {
                    tracing::warn!(room = errand.room, "A room is not answered, after {TRIES} attempts: {error}");
                }
                Ok(None)
            }
        }
    }
}

async fn run(client: &Client, errand: &Errand) -> Result<(), SendError> {
    let room = &errand.room;
    let done = match &errand.what {
        What::Join => client.join(room).await,
        What::Decline(reason) => client.leave(room, reason).await,
        What::TellEncrypted => {
            let address = Address { kind: ChatKind::Group, chat: room.clone(), thread: None, reply_to: None };
            let chunk = Chunk { html: ENCRYPTED.to_owned(), plain: ENCRYPTED.to_owned() };
            return match client.send_notice(&address, &chunk, "lowtide-encrypted").await {
                // Who cannot be told is not told.
                Ok(_) | Err(SendError::Unreachable(_) | SendError::Rejected(_)) => Ok(()),
                Err(error) => Err(error),
            };
        }
    };
    match done {
        // Taken back meanwhile, or a room that cannot be joined: nothing that another try would change.
        Ok(()) | Err(CallError::Refused { status: 400 | 402..=404, .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_that_was_renewed_is_answered_once_and_a_flood_of_them_is_bounded() {
        let mut errands = Errands::default();
        assert!(errands.add("!a", What::Decline("no".to_owned())));
        assert!(errands.add("!a", What::Join) && errands.add("!a", What::TellEncrypted));
        let owed: Vec<&What> = errands.owed().iter().map(|errand| &errand.what).collect();
        assert_eq!(owed, [&What::Join, &What::TellEncrypted]);
        assert!(!errands.has_joined("!b") && errands.has_joined("!a") && !errands.has_joined("!a"));
        errands.forget("!a");
        assert!((0..MOST).all(|n| errands.add(&format!("!{n}"), What::Join)));
        assert!(!errands.add("!one more", What::Join));
        let kept: Vec<Errand> = serde_json::from_str(&serde_json::to_string(errands.owed()).unwrap()).unwrap();
        assert_eq!(Errands::of(kept).owed(), errands.owed());
    }
}
