//! Replies that leave by the connections themselves: the delivery function leaves them with the slot, and they are said here.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use channels::held::Say;
use channels::{SendError, irc};
use delivery::{Attempt, Body, Chunk, Login, Outlet, Part};
use domain::{Address, LinkId};
use futures::future::BoxFuture;
use queues::Wait;
use store::Post;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;
use crate::tasks::LinkTasks;

/// How many messages wait for a connection to take them.
const SAYS: usize = 16;

/// How long a network has to confirm one part: flood control may let a line leave every two seconds.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(60);

/// How many lines make one part: as many as leave at once. Each part is recorded.
const LINES_A_PART: usize = 4;

/// How long one reply may take. What is left of a longer one is said by the next attempt.
const REPLY_WITHIN: Duration = Duration::from_secs(600);

/// The wait before what could not be read is read again.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// How long replies that are being said may take to end when the slot is handed over.
const END_WITHIN: Duration = Duration::from_secs(5);

/// The connections that take messages now, by their links.
#[derive(Default)]
pub(crate) struct Mouths(Mutex<HashMap<LinkId, mpsc::Sender<Say>>>);

/// A connection's place among the [`Mouths`], for as long as it lasts.
pub(crate) struct Mouth<'a> {
    mouths: &'a Mouths,
    link: LinkId,
    says: mpsc::Sender<Say>,
}

impl Mouths {
    /// Opens a link's connection to messages. They arrive at the receiver.
    pub(crate) fn open(&self, link: LinkId) -> (Mouth<'_>, mpsc::Receiver<Say>) {
        let (says, receiver) = mpsc::channel(SAYS);
        self.lock().insert(link, says.clone());
        (Mouth { mouths: self, link, says }, receiver)
    }

    fn of(&self, link: LinkId) -> Option<mpsc::Sender<Say>> {
        self.lock().get(&link).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<LinkId, mpsc::Sender<Say>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Mouth<'_> {
    fn drop(&mut self) {
        let mut mouths = self.mouths.lock();
        // Its successor may be there already.
        if mouths.get(&self.link).is_some_and(|says| says.same_channel(&self.says)) {
            mouths.remove(&self.link);
        }
    }
}

/// IRC as an outlet: lines on the link's connection.
pub(crate) struct Irc {
    pub(crate) mouths: Arc<Mouths>,
}

impl Outlet for Irc {
    fn chunks(&self, markdown: &str) -> Vec<Chunk> {
        let chunk = |text: String| Chunk { plain: text.clone(), markup: text };
        let mut lines = irc::render(markdown);
        if lines.is_empty() {
            // Markdown that shows nothing, such as a lone link definition, is sent as it was written.
            lines.push(markdown.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        lines.chunks(LINES_A_PART).map(|lines| chunk(lines.join("\n"))).collect()
    }

    fn carries_files(&self) -> bool {
        false
    }

    fn send<'a>(
        &'a self,
        login: Login<'a>,
        to: &'a Address,
        part: &'a Part<'a>,
    ) -> BoxFuture<'a, Result<String, SendError>> {
        Box::pin(async move {
            let Body::Text(chunk) = &part.body else {
                return Err(SendError::Rejected("IRC carries no files".to_owned()));
            };
            let away = || SendError::Temporary("the bot is not connected to its network now".to_owned());
            let says = self.mouths.of(login.link.id).ok_or_else(away)?;
            let (sent, confirmed) = oneshot::channel();
            let say = Say { to: to.clone(), text: chunk.markup.clone(), sent };
            says.send(say).await.map_err(|_| away())?;
            match timeout(CONFIRMED_WITHIN, confirmed).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(away()),
                Err(_) => Err(SendError::Temporary("the network did not confirm a message in time".to_owned())),
            }
        })
    }
}

/// Says what is left with a slot, of each link one after the other, until it is told to `stop`. `counted` rises when there is
/// something new.
pub(crate) async fn say_posts(
    shared: Arc<Shared>,
    slot: u32,
    mut counted: watch::Receiver<u64>,
    stop: CancellationToken,
) {
    let mut posts = Posts { shared, slot, tasks: LinkTasks::new(), look_at: Some(Instant::now()) };
    loop {
        if posts.look_at.is_some_and(|at| at <= Instant::now()) {
            posts.look().await;
        }
        let look_at = posts.look_at;
        let due = async {
            match look_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            changed = counted.changed() => match changed {
                Ok(()) => posts.look_at = Some(Instant::now()),
                Err(_) => break,
            },
            Some((_, again)) = posts.tasks.next() => {
                // After a panic as after an error: it may have been this reply's.
                posts.ended(again.unwrap_or_else(|| Some(Instant::now() + READ_AGAIN)));
            }
            () = due => {}
        }
    }
    let ended = async { while posts.tasks.next().await.is_some() {} };
    if timeout(END_WITHIN, ended).await.is_err() {
        tracing::info!(slot, "Replies that are not said yet are left to another holder.");
    }
}

struct Posts {
    shared: Arc<Shared>,
    slot: u32,
    /// Each says replies of one link, and tells when to look again.
    tasks: LinkTasks<Option<Instant>>,
    /// When to look what there is.
    look_at: Option<Instant>,
}

impl Posts {
    async fn look(&mut self) {
        self.look_at = None;
        let found = match self.shared.environment.store.post_list(self.slot).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(slot = self.slot, "The replies of a slot were not read, and will be again: {error}");
                self.look_at = Some(Instant::now() + READ_AGAIN);
                return;
            }
        };
        let mut by_link: BTreeMap<LinkId, Vec<Post>> = BTreeMap::new();
        for post in found {
            by_link.entry(post.outbound.link).or_default().push(post);
        }
        for (link, posts) in by_link {
            // A link that is busy is looked at again when it has ended.
            if !self.tasks.has(link) {
                self.tasks.spawn(link, say_all(self.shared.clone(), link, posts));
            }
        }
    }

    fn ended(&mut self, again: Option<Instant>) {
        let at = again.unwrap_or_else(Instant::now);
        self.look_at = Some(self.look_at.map_or(at, |other| other.min(at)));
    }
}

/// Says replies of one link in their order, up to one that has to wait. Returns when to look again; `None` is at once.
async fn say_all(shared: Arc<Shared>, link: LinkId, posts: Vec<Post>) -> Option<Instant> {
    for Post { outbound, posted_at } in posts {
        if !shared.lives() {
            // The slot may be another holder's by now.
            return Some(Instant::now() + READ_AGAIN);
        }
        let attempt = Attempt { id: &format!("post-{posted_at}"), is_last: false };
        let delivered = shared.courier.deliver(outbound.clone(), attempt, Instant::now() + REPLY_WITHIN).await;
        let failed = match delivered {
            Ok(_) => match shared.environment.store.post_delete(&outbound).await {
                Ok(()) => continue,
                Err(error) => (READ_AGAIN, error.to_string()),
            },
            Err(retry) => {
                let (Wait::Growing(wait) | Wait::Exactly(wait)) = retry.wait;
                (wait, format!("{:#}", retry.source))
            }
        };
        let (wait, reason) = failed;
        tracing::info!(outbound = %outbound.id, link = %link, "A reply waits: {reason}");
        return Some(Instant::now() + wait);
    }
    None
}
