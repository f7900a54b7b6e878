//! Where the answer of a run goes.

use domain::job::{DeliveryMode, JobDelivery, SessionTarget};
use domain::turn::{Parent, ReplyTo};
use domain::{Address, Bot, Channel, ChatKind, Job, Link, LinkId, SessionKey};
use runtime::Environment;
use store::StoreError;

/// The conversation of the web chat that every bot has.
const MAIN: &str = "main";

/// A place, and the session that is told where answers are read from its log.
struct Found {
    place: ReplyTo,
    session: SessionKey,
}

/// Where the answer of a run in `session` goes. The inner error says why there is no such place.
pub(crate) async fn of(
    environment: &Environment,
    job: &Job,
    bot: &Bot,
    session: &SessionKey,
) -> Result<Result<ReplyTo, String>, StoreError> {
    let is_isolated = matches!(job.spec.session_target, SessionTarget::Isolated | SessionTarget::Current);
    let wherever = JobDelivery::default();
    let delivery = match &job.spec.delivery {
        Some(delivery) => delivery,
        None if is_isolated => &wherever,
        // A conversation's own answers go where its answers go.
        None => {
            let own = places(environment, bot, session).await?.into_iter().next();
            return Ok(Ok(own.unwrap_or_else(|| in_log(bot))));
        }
    };
    if delivery.mode == DeliveryMode::None {
        return Ok(Ok(in_log(bot)));
    }
    if delivery.mode == DeliveryMode::Webhook {
        let posted = posted(environment, job, bot, delivery).await?;
        return Ok(if delivery.best_effort { Ok(posted.unwrap_or_else(|_| in_log(bot))) } else { posted });
    }
    Ok(match find(environment, bot, delivery).await? {
        Ok(found) => Ok(to(found, job, session)),
        Err(_) if delivery.best_effort => Ok(in_log(bot)),
        Err(reason) => Err(reason),
    })
}

/// A place that answers are read from the session's log at.
fn in_log(bot: &Bot) -> ReplyTo {
    let link = LinkId::web_chat_of(bot.id);
    place(bot, link, Channel::WebChat, ChatKind::Direct, MAIN.to_owned(), None)
}

fn place(bot: &Bot, link: LinkId, channel: Channel, kind: ChatKind, chat: String, thread: Option<String>) -> ReplyTo {
    let address = Address { kind, chat, thread, reply_to: None };
    ReplyTo { account: bot.account, bot: bot.id, link, channel, address, parent: None, hops: 0 }
}

/// The places in which people write in a session: the owner first, the latest of each first.
async fn places(environment: &Environment, bot: &Bot, session: &SessionKey) -> Result<Vec<ReplyTo>, StoreError> {
    let head = environment.store.account(bot.account).session_head(bot.id, session).await?.unwrap_or_default();
    Ok(head.places().cloned().collect())
}

/// The place, as the answer of another session gets there. Where answers are read from a session's log, that session is
/// told, and says it in its own words.
fn to(found: Found, job: &Job, session: &SessionKey) -> ReplyTo {
    let Found { place, session: told } = found;
    if !place.channel.is_read_from_log() || told == *session {
        return place;
    }
    let label = job.spec.name.clone();
    let parent = Parent { session: told, child: session.clone(), label, reply: place.clone(), depth: 1 };
    ReplyTo { parent: Some(Box::new(parent)), ..place }
}

/// The link that posts the answer to the job's URL. The conversation there is the job.
async fn posted(
    environment: &Environment,
    job: &Job,
    bot: &Bot,
    delivery: &JobDelivery,
) -> Result<Result<ReplyTo, String>, StoreError> {
    let link = match delivery.link {
        Some(link) => environment.store.account(bot.account).link_get(bot.id, link).await?,
        None => None,
    };
    let Some(link) = link.filter(|link| link.is_active() && link.channel == Channel::Webhook) else {
        let reason =
            "the link that posts its answers is paused or was deleted; resume it, or give the job its webhook anew";
        return Ok(Err(reason.to_owned()));
    };
    Ok(Ok(place(bot, link.id, Channel::Webhook, ChatKind::Direct, job.id.to_string(), None)))
}

/// The place that a job's owner wants the answer in.
async fn find(
    environment: &Environment,
    bot: &Bot,
    delivery: &JobDelivery,
) -> Result<Result<Found, String>, StoreError> {
    let channel = delivery.channel.as_deref().filter(|channel| *channel != "last");
    match &delivery.to {
        Some(chat) => named(environment, bot, delivery, channel, chat).await,
        None => last(environment, bot, delivery.link, channel).await,
    }
}

/// Where the owner wrote last, or else anybody; on this link and channel.
async fn last(
    environment: &Environment,
    bot: &Bot,
    link: Option<LinkId>,
    channel: Option<&str>,
) -> Result<Result<Found, String>, StoreError> {
    let main = SessionKey::main(&bot.agent);
    let mut sessions: Vec<&SessionKey> = vec![];
    for session in [bot.heard_in.owner.as_ref(), bot.heard_in.anyone.as_ref(), Some(&main)].into_iter().flatten() {
        if !sessions.contains(&session) {
            sessions.push(session);
        }
    }
    let fits = |place: &ReplyTo| {
        link.is_none_or(|link| link == place.link) && channel.is_none_or(|channel| channel == place.channel.as_str())
    };
    for session in sessions {
        if let Some(place) = places(environment, bot, session).await?.into_iter().find(fits) {
            return Ok(Ok(Found { place, session: session.clone() }));
        }
    }
    let in_log = in_log(bot);
    if fits(&in_log) {
        return Ok(Ok(Found { place: in_log, session: main }));
    }
    Ok(Err("it is not known where the answer goes: nobody has written there lately; name the chat (`to`)".to_owned()))
}

/// A chat that the job names. Nobody need have written there.
async fn named(
    environment: &Environment,
    bot: &Bot,
    delivery: &JobDelivery,
    channel: Option<&str>,
    chat: &str,
) -> Result<Result<Found, String>, StoreError> {
    let own = LinkId::web_chat_of(bot.id);
    if delivery.link == Some(own) || (delivery.link.is_none() && channel == Some(Channel::WebChat.as_str())) {
        let other = || SessionKey::web_chat(&bot.agent, chat).unwrap_or_else(|_| SessionKey::main(&bot.agent));
        let session = delivery.session.clone().unwrap_or_else(other);
        let place = place(bot, own, Channel::WebChat, ChatKind::Direct, chat.to_owned(), None);
        return Ok(Ok(Found { place, session }));
    }
    let account = environment.store.account(bot.account);
    let links = match delivery.link {
        Some(link) => account.link_get(bot.id, link).await?.into_iter().collect(),
        None => account.link_list(bot.id).await?,
    };
    let is_meant = |link: &&Link| link.is_active() && channel.is_none_or(|channel| channel == link.channel.as_str());
    let mut meant = links.iter().filter(is_meant);
    let (Some(link), None) = (meant.next(), meant.next()) else {
        let reason = "it is not known where the answer goes: its `delivery` does not name one active link (`link`)";
        return Ok(Err(reason.to_owned()));
    };
    let kind = delivery.chat_kind.unwrap_or_else(|| kind_of(link.channel, chat));
    let place = place(bot, link.id, link.channel, kind, chat.to_owned(), delivery.thread_id.clone());
    Ok(Ok(Found { place, session: SessionKey::main(&bot.agent) }))
}

/// What kind of place a chat is, as far as its id tells. Otherwise it counts as a group: what a bot knows of its owner is not
/// for groups.
fn kind_of(channel: Channel, chat: &str) -> ChatKind {
    let is_direct = match channel {
        Channel::Telegram => !chat.starts_with('-'),
        Channel::Slack => chat.starts_with(['D', 'U']),
        Channel::Irc => !chat.starts_with(['#', '&']),
        Channel::WhatsApp | Channel::Webhook | Channel::WebChat => true,
        Channel::Discord | Channel::Matrix => false,
    };
    if is_direct { ChatKind::Direct } else { ChatKind::Group }
}
