//! The door for webhooks: checks that the channel sent it, that the sender may, and queues it.

mod answer;
mod telegram;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::HeaderMap;
use axum::routing::post;
use channels::Received;
use domain::access::pairing_code;
use domain::{
    Access, Bot, BotStatus, Channel, Control, Inbound, Link, LinkId, MessageId, Outbound, OutboundId, SessionKey,
};
use domain::{Task, command};
use runtime::Environment;

pub use crate::answer::Refusal;

/// The longest webhook body that is read, in bytes. An update of Telegram has a few kilobytes.
pub const MAX_BODY: usize = 256 * 1024;

/// The router of the webhooks. Lambda and `lowtide dev` run the same.
pub fn router(environment: Environment) -> Router {
    Router::new()
        .route("/hooks/{channel}/{link}", post(receive))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(environment)
}

/// What the door did with a message.
enum Outcome {
    Queued,
    /// It was answered, or dropped for this reason, without a turn.
    Done(&'static str),
}

async fn receive(
    State(environment): State<Environment>,
    Path((channel, link)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<axum::Json<serde_json::Value>, Refusal> {
    let channel: Channel = channel.parse().map_err(|_| Refusal::UnknownLink)?;
    let link: LinkId = link.parse().map_err(|_| Refusal::UnknownLink)?;
    let (bot, link) = find(&environment, channel, link).await?;
    match channel {
        Channel::Telegram => telegram::receive(&environment, &bot, &link, &headers, body).await.map(axum::Json),
        // The web chat has no webhooks: it speaks to the API.
        Channel::WebChat => Err(Refusal::UnknownLink),
    }
}

async fn find(environment: &Environment, channel: Channel, id: LinkId) -> Result<(Bot, Link), Refusal> {
    let route = environment.store.route_get(id).await?.ok_or(Refusal::UnknownLink)?;
    let account = environment.store.account(route.account);
    let link = account.link_get(route.bot, id).await?.ok_or(Refusal::UnknownLink)?;
    let bot = account.bot_get(route.bot).await?.ok_or(Refusal::UnknownLink)?;
    if link.channel == channel { Ok((bot, link)) } else { Err(Refusal::UnknownLink) }
}

/// Lets a message in, or says why not. Shared by all webhook channels.
async fn admit(environment: &Environment, bot: &Bot, link: &Link, received: Received) -> Result<Outcome, Refusal> {
    if bot.status == BotStatus::Paused {
        return Ok(Outcome::Done("the bot is paused"));
    }
    if !link.is_active() {
        return Ok(Outcome::Done("the link is not active"));
    }
    let message = MessageId::of(link.id, &received.channel_message_id);
    match access(environment, link, &received).await? {
        Access::Ignore(reason) => return Ok(Outcome::Done(reason)),
        Access::Pair => return pair(environment, bot, link, &received, &message).await,
        Access::Allow => {}
    }
    if command::parse(&received.text, link.handle.as_deref()).is_some_and(|command| command.name == "start") {
        let text = format!("Hello, I am **{}**. Write to me, and I will answer here.", bot.name);
        notify(environment, bot, link, &received, OutboundId::notice("start", &message), text).await?;
        return Ok(Outcome::Done("it was greeted"));
    }
    let inbound = inbound(environment, bot, link, received);
    environment.take_in(bot, inbound).await?;
    Ok(Outcome::Queued)
}

async fn access(environment: &Environment, link: &Link, received: &Received) -> Result<Access, Refusal> {
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
) -> Result<Outcome, Refusal> {
    #[allow(clippy::cast_possible_truncation, reason = "a code needs 40 bits")]
    let fresh = pairing_code(environment.entropy.next_u128() as u64);
    let account = environment.store.account(link.account);
    let now = environment.clock.now();
    let Some(code) = account.pairing_request(link.id, &received.sender, fresh, now).await? else {
        return Ok(Outcome::Done("too many strangers wait for approval already"));
    };
    let text = format!(
        "Hello. I do not know you yet, so I have not read your message. Give my owner this code within an hour, \
         and then write again: **{code}**\n\nMy owner approves it with `lowtide links approve {} {} {code}`.",
        shell_word(&bot.name),
        link.id
    );
    notify(environment, bot, link, received, OutboundId::notice("pairing", message), text).await?;
    Ok(Outcome::Done("the sender was given a pairing code"))
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
) -> Result<(), Refusal> {
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
