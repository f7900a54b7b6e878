//! The door for messages of every channel, by webhook or by socket: checks that the sender may write to the
//! bot, answers what needs no turn, and queues the rest.

mod album;
mod place;
mod reaction;
mod run;

pub use run::{begin_run, text_of_hook, text_of_run};

use channels::Received;
use domain::access::pairing_code;
use domain::{Access, Bot, Control, Inbound, Link, MessageId, Outbound, OutboundId, SessionKey, Task, command};
use queues::QueueError;
use runtime::{DoorError, Environment};
use store::StoreError;

/// Why a message was neither queued nor done with.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Door(#[from] DoorError),
}

/// What the door did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Queued,
    /// It is answered without a turn: the sender reads why.
    Answered(&'static str),
    /// It is dropped, and nothing is said.
    Dropped(&'static str),
}

/// Lets a message in, or says why not. Queued means that SQS has it.
///
/// # Errors
///
/// A store or queue that does not answer: the message is to be given again, which changes nothing if it was queued.
pub async fn admit(
    environment: &Environment,
    bot: &Bot,
    link: &Link,
    received: Received,
) -> Result<Outcome, IntakeError> {
    if let Some(why) = bot.silence() {
        return Ok(Outcome::Dropped(why));
    }
    if !link.is_active() {
        return Ok(Outcome::Dropped("the link is not active"));
    }
    if let Some(to) = reaction::reacts_to(link, &received) {
        return reaction::take_in(environment, bot, link, received, &to).await;
    }
    let message = MessageId::of(link.id, &received.channel_message_id);
    match access(environment, link, &received).await? {
        Access::Ignore(_) if album::comes_with(environment, link, &received).await? => {}
        Access::Ignore(reason) => return Ok(Outcome::Dropped(reason)),
        Access::Pair => return pair(environment, bot, link, &received, &message).await,
        Access::Allow => album::note(environment, link, &received).await?,
    }
    if command::parse(&received.text, link.handle.as_deref()).is_some_and(|command| command.name == "start") {
        let text = format!("Hello, I am **{}**. Write to me, and I will answer here.", bot.name);
        notify(environment, bot, link, &received, OutboundId::notice("start", &message), text).await?;
        return Ok(Outcome::Answered("it was greeted"));
    }
    let inbound = inbound(environment, bot, link, received);
    environment.take_in(bot, inbound).await?;
    Ok(Outcome::Queued)
}

async fn access(environment: &Environment, link: &Link, received: &Received) -> Result<Access, IntakeError> {
    let check = |paired| {
        let Received { address, sender, text, mentioned, .. } = received;
        link.access.check(address, sender, text, *mentioned, paired)
    };
    // Who is let in anyway costs no look at the list of the paired.
    let stranger = check(false);
    if stranger == Access::Allow || check(true) != Access::Allow {
        return Ok(stranger);
    }
    let account = environment.store.account(link.account);
    Ok(check(account.is_paired(link.id, &received.sender.id).await?))
}

/// Tells a stranger the code that lets them in once the owner approves it.
async fn pair(
    environment: &Environment,
    bot: &Bot,
    link: &Link,
    received: &Received,
    message: &MessageId,
) -> Result<Outcome, IntakeError> {
    #[allow(clippy::cast_possible_truncation, reason = "a code needs 40 bits")]
    let fresh = pairing_code(environment.entropy.next_u128() as u64);
    let account = environment.store.account(link.account);
    let now = environment.clock.now();
    let Some(code) = account.pairing_request(link.id, &received.sender, fresh, now).await? else {
        return Ok(Outcome::Dropped("too many strangers wait for approval already"));
    };
    let text = format!(
        "Hello. I do not know you yet, so I have not read your message. Give my owner this code within an hour, \
         and then write again: **{code}**\n\nMy owner approves it with `lowtide links approve {} {} {code}`.",
        shell_word(&bot.name),
        link.id
    );
    notify(environment, bot, link, received, OutboundId::notice("pairing", message), text).await?;
    Ok(Outcome::Answered("the sender was given a pairing code"))
}

fn shell_word(text: &str) -> String {
    if text.contains(' ') { format!("'{text}'") } else { text.to_owned() }
}

async fn notify(
    environment: &Environment,
    bot: &Bot,
    link: &Link,
    received: &Received,
    id: OutboundId,
    text: String,
) -> Result<(), IntakeError> {
    let outbound = Outbound {
        id,
        account: bot.account,
        bot: bot.id,
        link: link.id,
        channel: link.channel,
        address: received.address.clone(),
        text,
        media: vec![],
        buttons: vec![],
        draft: None,
        mark: None,
        parent: None,
        created_at: environment.clock.now(),
    };
    environment.queues.send(&Task::Deliver(Box::new(outbound))).await?;
    Ok(())
}

fn inbound(environment: &Environment, bot: &Bot, link: &Link, received: Received) -> Inbound {
    let now = environment.clock.now();
    let control = command::parse(&received.text, link.handle.as_deref()).and_then(|command| Control::of(&command));
    let mut inbound = received.into_inbound(bot, link.id, link.channel, SessionKey::main(&bot.agent), now);
    inbound.is_owner = link.access.is_owner(&inbound.sender);
    inbound.control = control;
    inbound.session = SessionKey::of(&bot.agent, bot.dm_scope, &inbound);
    inbound
}
