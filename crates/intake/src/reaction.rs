//! Reactions: a session is told of them, and answers none.

use channels::{Received, telegram};
use domain::link::ReactionNotifications;
use domain::{Access, Bot, ChatKind, Control, Link, LinkSettings, MessageId};
use runtime::Environment;

use crate::{IntakeError, Outcome, access, inbound};

/// The channel's id of the message that a reaction is to, if this is a reaction.
pub(crate) fn reacts_to(link: &Link, received: &Received) -> Option<String> {
    let LinkSettings::Telegram(_) = &link.settings else { return None };
    telegram::reaction_to(&received.channel_message_id).map(str::to_owned)
}

/// Keeps a reaction for the model, if the link wants to know of it and who it is from may write to the bot here.
pub(crate) async fn take_in(
    environment: &Environment,
    bot: &Bot,
    link: &Link,
    received: Received,
    to: &str,
) -> Result<Outcome, IntakeError> {
    let LinkSettings::Telegram(settings) = &link.settings else { return Ok(Outcome::Dropped("it is no reaction")) };
    let is_direct = received.address.kind == ChatKind::Direct;
    match settings.reaction_notifications {
        ReactionNotifications::Off => return Ok(Outcome::Dropped("the link is not told of reactions")),
        ReactionNotifications::Own if !is_direct => {
            return Ok(Outcome::Dropped("in a group it is not known whose message a reaction is to"));
        }
        ReactionNotifications::Own | ReactionNotifications::All => {}
    }
    match access(environment, link, &received).await? {
        Access::Allow => {}
        Access::Ignore(reason) => return Ok(Outcome::Dropped(reason)),
        Access::Pair => return Ok(Outcome::Dropped("a stranger's reaction is not told of")),
    }
    let mut event = inbound(environment, bot, link, received);
    let account = environment.store.account(bot.account);
    // In a direct chat a message that was not taken in is the bot's.
    let is_own = is_direct && {
        let message = MessageId::of(link.id, to);
        !account.session_has_taken(bot.id, &event.session, &message).await?
    };
    if !is_own && settings.reaction_notifications == ReactionNotifications::Own {
        return Ok(Outcome::Dropped("the reaction is to a person's own message"));
    }
    let whose = if is_own { "your message" } else { "the message" };
    let number = to.rsplit(':').next().unwrap_or(to);
    event.text = format!("reacted with {} to {whose} {number}", event.text);
    event.control = Some(Control::Event);
    environment.take_in(bot, event).await?;
    Ok(Outcome::Queued)
}
