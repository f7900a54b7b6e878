//! Brings one reply to where it belongs, and records how far it came.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use channels::SendError;
use domain::{Address, Channel, Link, LinkStatus, Media, Outbound, Task};
use queues::Retry;
use runtime::Environment;
use store::{Delivery, DeliveryStatus, SecretContext, StoreError};
use tokio::time::Instant;

use crate::outlet::{Body, Chunk, Login, Outlet, Part};
use crate::parent;

/// A part is begun only if this much time is left: what one call may take, and a little to record it.
const TIME_FOR_A_PART: Duration = Duration::from_secs(25);

/// A rate limit up to this long is waited for; a longer one gives the task back to the queue.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a reply waits for its bot's connection before it becomes a dead letter.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(3600);

/// What stands above buttons that do not fit below the text.
const ABOVE_BUTTONS: &str = "What is your answer?";

/// Sends replies by the outlets that it has.
pub struct Courier {
    environment: Environment,
    /// Where the replies of each channel leave.
    outlets: HashMap<Channel, Arc<dyn Outlet>>,
}

/// One of the times that a reply is tried.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Names it among all of the reply: the same dead letter is not made twice.
    pub id: &'a str,
    /// Whether a reply that should be tried later becomes a dead letter instead.
    pub is_last: bool,
}

/// What has become of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Delivered,
    /// It reaches nobody, and its record says why; unless there is nobody left whom it could matter to it is a dead letter.
    Undeliverable,
    /// The holder of its link has it.
    Posted,
}

/// Why a reply was not sent.
pub(crate) enum Failure {
    /// Its link is gone, and with it everybody whom this could matter to.
    Pointless(String),
    /// The channel refuses the bot's token: nothing more is tried with it.
    Unauthorised(String),
    /// It will not be sent unless its owner does something, or ever.
    Dead(String),
    Later(Retry),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Later(error.into())
    }
}

impl Courier {
    /// A courier with no outlets. Replies that only a connection can carry are left for the holder.
    pub fn new(environment: Environment) -> Courier {
        Courier { environment, outlets: HashMap::new() }
    }

    /// The same courier, whose replies to `channel` leave by `outlet`.
    #[must_use]
    pub fn with_outlet(mut self, channel: Channel, outlet: Arc<dyn Outlet>) -> Courier {
        self.outlets.insert(channel, outlet);
        self
    }

    /// Sends what is left of a reply. What cannot be sent by `deadline` is left to another attempt.
    ///
    /// # Errors
    ///
    /// It is to be tried again, after a while.
    pub async fn deliver(&self, outbound: Outbound, attempt: Attempt<'_>, deadline: Instant) -> Result<Done, Retry> {
        let account = self.environment.store.account(outbound.account);
        let known = account.delivery_get(&outbound).await?;
        let is_recorded = known.is_some();
        let mut delivery = known.unwrap_or_else(|| Delivery::of(outbound));
        if delivery.status == DeliveryStatus::Delivered {
            tracing::debug!(outbound = %delivery.outbound.id, "A reply was delivered before.");
            return Ok(Done::Delivered);
        }
        let failure = match self.try_deliver(&mut delivery, is_recorded, deadline).await {
            Ok(Done::Delivered) => {
                let now = self.environment.clock.now();
                delivery.status = DeliveryStatus::Delivered;
                delivery.delivered_at = Some(now);
                account.delivery_put(&delivery).await?;
                let waited = now.since(delivery.outbound.created_at);
                tracing::info!(outbound = %delivery.outbound.id, waited_ms = waited.as_millis(), "A reply was delivered.");
                return Ok(Done::Delivered);
            }
            Ok(done) => return Ok(done),
            Err(Failure::Later(retry)) if attempt.is_last => Failure::Dead(format!("{:#}", retry.source)),
            Err(failure) => failure,
        };
        let reason = match failure {
            Failure::Later(retry) => return Err(retry),
            Failure::Pointless(reason) => {
                tracing::warn!(outbound = %delivery.outbound.id, bot = %delivery.outbound.bot, "A reply reaches nobody: {reason}");
                reason
            }
            Failure::Dead(reason) | Failure::Unauthorised(reason) => {
                tracing::error!(outbound = %delivery.outbound.id, bot = %delivery.outbound.bot, "A reply becomes a dead letter: {reason}");
                let task = Task::Deliver(Box::new(delivery.outbound.clone()));
                let id = format!("{}.{}", delivery.outbound.id, attempt.id);
                self.environment.queues.bury(&task, &id, &reason).await?;
                reason
            }
        };
        delivery.status = DeliveryStatus::Undeliverable { reason };
        account.delivery_put(&delivery).await?;
        Ok(Done::Undeliverable)
    }

    async fn try_deliver(
        &self,
        delivery: &mut Delivery,
        is_recorded: bool,
        deadline: Instant,
    ) -> Result<Done, Failure> {
        let outbound = delivery.outbound.clone();
        if let Some(parent) = &outbound.parent {
            parent::tell(&self.environment, parent, &outbound).await?;
            return Ok(Done::Delivered);
        }
        let account = self.environment.store.account(outbound.account);
        let link = account.link_get(outbound.bot, outbound.link).await?;
        let Some(link) = link else { return Err(Failure::Pointless("its link was deleted".to_owned())) };
        match &link.status {
            LinkStatus::Active => {}
            LinkStatus::Paused => {
                return Err(Failure::Dead("its link is paused; resume it and replay this".to_owned()));
            }
            LinkStatus::Failed { reason } => {
                return Err(Failure::Dead(format!("its link does not work ({reason}); repair it and replay this")));
            }
        }
        let Some(outlet) = self.outlets.get(&outbound.channel) else {
            if outbound.channel.is_answered_by_connection() {
                return self.post(delivery, is_recorded).await;
            }
            let label = outbound.channel.label();
            return Err(Failure::Dead(format!(
                "this version of Lowtide sends nothing to {label}; update it and replay this"
            )));
        };
        let token = self.token(&link).await?;
        let login = Login { link: &link, secret: &token };
        let sent = self.send(&**outlet, login, delivery, deadline).await;
        match sent {
            Ok(()) => Ok(Done::Delivered),
            Err(Failure::Unauthorised(reason)) => {
                // Nothing more is tried with it, and its owner is told.
                account.link_fail(link, &reason, self.environment.clock.now()).await?;
                Err(Failure::Unauthorised(reason))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Leaves a reply for the holder of its link. It waits in the outbox until the holder has sent it, so that it is left again
    /// if nobody does.
    async fn post(&self, delivery: &Delivery, is_recorded: bool) -> Result<Done, Failure> {
        let (outbound, now) = (&delivery.outbound, self.environment.clock.now());
        let store = &self.environment.store;
        if !is_recorded {
            store.account(outbound.account).delivery_put(delivery).await?;
        }
        let post = store.post_put(outbound, now).await?;
        if now.since(post.posted_at) > CONNECTION_PATIENCE {
            store.post_delete(outbound).await?;
            let reason = format!("its bot was not connected to {} for an hour", outbound.channel.label());
            return Err(Failure::Dead(format!("{reason}; replay this once it is")));
        }
        Ok(Done::Posted)
    }

    /// Sends what is left of a reply, part by part, and records each.
    async fn send(
        &self,
        outlet: &dyn Outlet,
        login: Login<'_>,
        delivery: &mut Delivery,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let Outbound { mut text, mut media, buttons, draft, .. } = delivery.outbound.clone();
        if !outlet.carries_files() {
            for file in std::mem::take(&mut media) {
                text = format!("{text}\n\n{}", untold(&file));
            }
        }
        let mut chunks = if text.trim().is_empty() && !media.is_empty() { vec![] } else { outlet.chunks(&text) };
        if let (false, Some(last)) = (buttons.is_empty(), chunks.last())
            && last.markup.chars().count() > outlet.most_above_buttons()
        {
            chunks.push(Chunk { markup: ABOVE_BUTTONS.to_owned(), plain: ABOVE_BUTTONS.to_owned() });
        }
        let all = chunks.len() + media.len();
        let mut address = delivery.outbound.address.clone();
        let mut sends_albums = true;
        while delivery.sent.len() < all {
            let index = delivery.sent.len();
            if Instant::now() + TIME_FOR_A_PART > deadline {
                let reason = "the function's time is over; the rest is sent by the next one";
                return Err(Failure::Later(Retry::exactly(Duration::ZERO, reason)));
            }
            if index > 0 {
                // Only the first part quotes what it answers.
                address.reply_to = None;
            }
            let files = &media[index.saturating_sub(chunks.len())..];
            let replaces = draft.as_deref().filter(|_| index == 0);
            let album =
                if index >= chunks.len() && replaces.is_none() && sends_albums { outlet.album(files) } else { 0 };
            let sent = if album > 1 {
                match self.send_album(outlet, login, &address, &delivery.outbound, &files[..album]).await? {
                    Some(sent) => sent,
                    None => {
                        sends_albums = false;
                        continue;
                    }
                }
            } else {
                let body = match chunks.get(index) {
                    Some(chunk) => Body::Text(chunk),
                    None => Body::File(&files[0], self.bytes_of(&delivery.outbound, &files[0]).await?),
                };
                // Buttons stand below the end of the text.
                let buttons = if index + 1 == chunks.len() { buttons.as_slice() } else { &[] };
                let key = format!("{}.{index}", delivery.outbound.id);
                let part = Part { body, buttons, replaces, key: &key };
                let id = match outlet.send(login, &address, &part).await {
                    Err(SendError::RateLimited { retry_after }) if retry_after <= PATIENCE => {
                        tokio::time::sleep(retry_after).await;
                        outlet.send(login, &address, &part).await
                    }
                    sent => sent,
                };
                vec![id.map_err(|error| failure_of(error, &delivery.outbound))?]
            };
            delivery.sent.extend(sent);
            if delivery.sent.len() < all {
                self.environment.store.account(delivery.outbound.account).delivery_put(delivery).await?;
            }
        }
        Ok(())
    }

    /// Sends files as an album and returns what they became; `None` if they have to leave one by one.
    async fn send_album(
        &self,
        outlet: &dyn Outlet,
        login: Login<'_>,
        to: &Address,
        outbound: &Outbound,
        files: &[Media],
    ) -> Result<Option<Vec<String>>, Failure> {
        let mut album = Vec::new();
        for file in files {
            album.push((file, self.bytes_of(outbound, file).await?));
        }
        match outlet.send_album(login, to, &album).await {
            // All of them were taken, however many names the answer has.
            Ok(mut sent) => {
                sent.resize(files.len(), String::new());
                Ok(Some(sent))
            }
            Err(SendError::Rejected(detail)) => {
                tracing::info!(outbound = %outbound.id, "Files leave one by one, and not as an album: {detail}");
                Ok(None)
            }
            Err(error) => Err(failure_of(error, outbound)),
        }
    }

    /// The bytes of a file that a reply carries.
    async fn bytes_of(&self, outbound: &Outbound, file: &Media) -> Result<Bytes, Failure> {
        let bytes = self.environment.store.account(outbound.account).media_get(outbound.bot, &file.id).await?;
        bytes.ok_or_else(|| Failure::Dead(format!("the file {} that it carries is not kept any more", file.id)))
    }

    async fn token(&self, link: &Link) -> Result<String, Failure> {
        let Some(sealed) = &link.token else { return Err(Failure::Dead("its link has no token".to_owned())) };
        let context = SecretContext::LinkToken { account: link.account, bot: link.bot, link: link.id };
        match self.environment.store.keyring().open(context, sealed).await {
            Ok(token) => Ok(token),
            Err(StoreError::Corrupt(reason)) => Err(Failure::Dead(reason)),
            Err(error) => Err(error.into()),
        }
    }
}

/// What is said of a file where the channel carries none.
fn untold(file: &Media) -> String {
    let name = file.name.as_deref().unwrap_or("without a name");
    format!(
        "(A file that this network does not carry: {name}, {}, {} bytes. It is kept with the conversation.)",
        file.mime, file.size
    )
}

/// What an error of a channel means for the reply.
fn failure_of(error: SendError, outbound: &Outbound) -> Failure {
    match error {
        SendError::RateLimited { retry_after } => {
            let source = anyhow::anyhow!("{} allows no more messages to this chat for now", outbound.channel);
            Failure::Later(Retry::after(retry_after, source))
        }
        SendError::Temporary(detail) => Failure::Later(Retry::after(Duration::from_secs(5), anyhow::anyhow!(detail))),
        SendError::Unreachable(detail) => Failure::Dead(format!("nobody can be reached there: {detail}")),
        SendError::Unauthorised(detail) => {
            Failure::Unauthorised(format!("{} refuses the bot's token: {detail}", outbound.channel))
        }
        SendError::Rejected(detail) => Failure::Dead(format!("{} refuses the message: {detail}", outbound.channel)),
    }
}
