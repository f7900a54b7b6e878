//! Which session a request belongs to, and how what it says gets there.

use channels::Received;
use domain::{
    Address, Attachment, AttachmentKind, Bot, Channel, ChatKind, Control, Inbound, Media, Sender, SessionKey, command,
};
use runtime::Environment;
use store::Thread;

use super::answer::Answered;
use super::said::Said;
use crate::auth::Caller;
use crate::chat::{OWNER, webchat_link};
use crate::problem::Problem;
use crate::scope::Scope;

/// The longest name of a user, in bytes.
const MAX_USER: usize = 256;

/// A conversation that is being answered: what is needed to remember where it goes on.
pub(super) struct Conversation {
    pub(super) environment: Environment,
    pub(super) bot: Bot,
    pub(super) place: Place,
    pub(super) said: Said,
}

impl Conversation {
    /// Remembers that it goes on after its answer, by what was said, for a client that repeats it, and by the answer's `id`, if
    /// clients name that. The answer is there, and is given whether or not this succeeds: at worst the conversation goes on in
    /// another session, which is told the history.
    pub(super) async fn remember(&self, id: Option<&str>, answered: &Answered) {
        let Conversation { environment, bot, place, said } = self;
        let thread = Thread { session: place.session.clone(), next_seq: answered.next_seq };
        let account = environment.store.account(bot.account);
        for name in id.into_iter().chain([&*said.name_after(&answered.text)]) {
            if let Err(error) = account.thread_put(bot.id, name, &thread, environment.clock.now()).await {
                tracing::warn!(bot = %bot.id, "It is not remembered where a conversation goes on: {error}");
            }
        }
    }
}

/// A session, as a request finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) session: SessionKey,
    /// The length of its log: what comes of a message is from here on.
    pub(super) next: u64,
    /// Whether it knows the conversation that the client repeats.
    pub(super) knows: bool,
}

impl Place {
    /// The session of a user; or the one that gave the answers which the client repeats, if nothing was said there since;
    /// or a new one.
    pub(super) async fn find(
        environment: &Environment,
        bot: &Bot,
        user: Option<&str>,
        said: &Said,
    ) -> Result<Place, Problem> {
        let Some(user) = user else {
            let thread = if said.history.is_empty() { None } else { Some(said.name()) };
            return Place::after(environment, bot, thread.as_deref())
                .await
                .map(|place| place.unwrap_or_else(|| new(environment, bot)));
        };
        if user.is_empty() || user.len() > MAX_USER {
            return Err(Problem::bad_request(format!("user: give 1 to {MAX_USER} bytes, or leave it out.")));
        }
        let session = SessionKey::openai_user(&bot.agent, user);
        let head = environment.store.account(bot.account).session_head(bot.id, &session).await?;
        let next = head.map_or(0, |head| head.next_seq);
        Ok(Place { session, next, knows: next > 0 })
    }

    /// Where the thread `name` goes on, if nothing was said there since.
    pub(super) async fn after(
        environment: &Environment,
        bot: &Bot,
        name: Option<&str>,
    ) -> Result<Option<Place>, Problem> {
        let Some(name) = name else { return Ok(None) };
        let account = environment.store.account(bot.account);
        let Some(thread) = account.thread_get(bot.id, name, environment.clock.now()).await? else { return Ok(None) };
        let head = account.session_head(bot.id, &thread.session).await?;
        let is_there = head.is_some_and(|head| head.next_seq == thread.next_seq);
        Ok(is_there.then_some(Place { session: thread.session, next: thread.next_seq, knows: true }))
    }

    /// Queues what is said, and returns it as it was queued.
    pub(super) async fn say(
        &self,
        environment: &Environment,
        caller: Caller,
        bot: &Bot,
        user: Option<&str>,
        said: &Said,
    ) -> Result<Inbound, Problem> {
        let now = environment.clock.now();
        let control = command::parse(&said.text, None).as_ref().and_then(Control::of);
        let is_plain = self.knows || control.is_some();
        let received = Received {
            channel_message_id: format!("openai:{:032x}", environment.entropy.next_u128()),
            address: Address { kind: ChatKind::Direct, chat: self.session.to_string(), thread: None, reply_to: None },
            sender: Sender { id: user.unwrap_or(OWNER).to_owned(), name: None, username: None },
            text: if is_plain { said.text.clone() } else { said.with_history() },
            attachments: keep_pictures(environment, bot, said).await?,
            quote: None,
            album: None,
            mentioned: true,
            sent_at: now,
        };
        let session = self.session.clone();
        let mut inbound = received.into_inbound(bot, webchat_link(bot), Channel::WebChat, session, now);
        // Others may speak through a program's key; what they may approve is what the key may.
        inbound.is_owner = caller.scopes.contains(Scope::Approve);
        inbound.control = control;
        environment.take_in(bot, inbound.clone()).await?;
        Ok(inbound)
    }
}

/// A session of its own.
fn new(environment: &Environment, bot: &Bot) -> Place {
    let id = format!("{:032x}", environment.entropy.next_u128());
    Place { session: SessionKey::openai(&bot.agent, &id), next: 0, knows: false }
}

/// Keeps the pictures before the message is queued: a task has no room for them.
async fn keep_pictures(environment: &Environment, bot: &Bot, said: &Said) -> Result<Vec<Attachment>, Problem> {
    let account = environment.store.account(bot.account);
    let mut kept = Vec::with_capacity(said.pictures.len());
    for picture in &said.pictures {
        let id = account.media_put(bot.id, &picture.mime, picture.bytes.clone().into()).await?;
        let (mime, size) = (picture.mime.clone(), picture.bytes.len() as u64);
        kept.push(Attachment {
            kind: AttachmentKind::Image,
            reference: id.to_string(),
            name: None,
            mime: Some(mime.clone()),
            size: Some(size),
            media: Some(Media { id, mime, size, name: None }),
            text: None,
        });
    }
    Ok(kept)
}
