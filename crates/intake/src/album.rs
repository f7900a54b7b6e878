//! The pieces of an album in a group: one has the caption, and with it the mention that lets all of them in.

use std::time::Duration;

use channels::Received;
use domain::{Access, ChatKind, Link};
use runtime::Environment;

use crate::IntakeError;

/// How often, and after how long, is looked whether another piece was let in: a channel posts all of them at once.
const LOOKS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(400);

/// Notes that a piece was let in, if others may come that would not be by themselves.
pub(crate) async fn note(environment: &Environment, link: &Link, received: &Received) -> Result<(), IntakeError> {
    let Some(album) = received.album.as_deref().filter(|_| needs_mention(link, received)) else { return Ok(()) };
    let account = environment.store.account(link.account);
    Ok(account.album_let_in(link.id, album, environment.clock.now()).await?)
}

/// Whether a piece that lacks nothing but a mention comes with one that was let in.
pub(crate) async fn comes_with(
    environment: &Environment,
    link: &Link,
    received: &Received,
) -> Result<bool, IntakeError> {
    let Some(album) = received.album.as_deref().filter(|_| received.text.is_empty()) else { return Ok(false) };
    if !needs_mention(link, received) {
        return Ok(false);
    }
    let account = environment.store.account(link.account);
    // Who reads the pieces one after the other cannot wait for the next.
    let looks = if link.is_held() { 1 } else { LOOKS };
    for look in 0..looks {
        if look > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        if account.album_is_in(link.id, album, environment.clock.now()).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a message without a mention is dropped where this one was written, and one with a mention is not.
fn needs_mention(link: &Link, received: &Received) -> bool {
    let check = |mentioned| link.access.check(&received.address, &received.sender, "", mentioned, false);
    received.address.kind == ChatKind::Group && check(true) == Access::Allow && check(false) != Access::Allow
}
