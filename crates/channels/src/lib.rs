//! Speaks to chat networks: what they send becomes [`Received`], and Markdown becomes their messages.
//!
//! One module per channel. Nothing here knows of accounts, links or storage: the caller brings the
//! token and decides whose message it is.

use std::time::Duration;

use domain::{Address, Attachment, Bot, Channel, Inbound, LinkId, MessageId, Quote, Sender, SessionKey, Timestamp};

pub mod discord;
pub mod held;
pub mod hooks;
pub mod irc;
pub mod markdown;
pub mod matrix;
mod rest;
pub mod signature;
pub mod slack;
pub mod telegram;
pub mod webchat;
pub mod webhook;
pub mod whatsapp;

/// What a channel says of one message, before the door knows whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Names the message among all of its link, and is the same however often the channel repeats it.
    pub channel_message_id: String,
    /// Where the answer goes. `reply_to` names this message in groups; a direct chat has it `None`,
    /// because there a quotation above every answer is noise.
    pub address: Address,
    pub sender: Sender,
    /// Text or caption; may be empty when there are attachments.
    pub text: String,
    pub attachments: Vec<Attachment>,
    /// The message that this one answers.
    pub quote: Option<Quote>,
    /// The album that it is a piece of, as the channel names it: several files that a person sent at once.
    pub album: Option<String>,
    /// It is addressed to the bot: a direct chat, its handle as a mention, a reply to its message, or
    /// a command for it.
    pub mentioned: bool,
    /// When the person wrote it, by the channel's clock.
    pub sent_at: Timestamp,
}

impl Received {
    /// The message as a task carries it, once the door knows whose it is.
    pub fn into_inbound(
        self,
        bot: &Bot,
        link: LinkId,
        channel: Channel,
        session: SessionKey,
        now: Timestamp,
    ) -> Inbound {
        Inbound {
            is_owner: false,
            parent: None,
            job: None,
            hops: 0,
            account: bot.account,
            bot: bot.id,
            link,
            channel,
            message: MessageId::of(link, &self.channel_message_id),
            session,
            address: self.address,
            sender: self.sender,
            text: self.text,
            control: None,
            attachments: self.attachments,
            quote: self.quote,
            album: self.album,
            sent_at: self.sent_at,
            received_at: now,
        }
    }
}

/// Why a channel did not take a call, by what to do next. The texts come from the channel and never
/// hold a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Too many messages.
    #[error("the channel asks for a pause of {} s; send the same again after it", .retry_after.as_secs())]
    RateLimited { retry_after: Duration },
    /// The token is wrong or was revoked. Every further call fails, until the owner enters a new one.
    #[error("the channel does not accept the bot's token ({0}); stop, and ask the owner for a new one")]
    Unauthorised(String),
    /// The bot was blocked or removed, or the chat is gone: there is nobody to deliver to.
    #[error("nobody can be reached in this chat ({0}); drop what is meant for it")]
    Unreachable(String),
    /// The channel finds fault with what was sent. The same again gets the same answer.
    #[error("the channel refused the message ({0}); send it in a simpler form or drop it")]
    Rejected(String),
    /// Network, time-out or trouble on the channel's side. The message may have arrived.
    #[error("the channel could not be reached or failed ({0}); try again later")]
    Temporary(String),
}

/// The largest file that is fetched from any channel, in bytes.
pub const MAX_DOWNLOAD: usize = 20 << 20;

/// Why a file was not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    #[error("the file is larger than {} MB", MAX_DOWNLOAD >> 20)]
    TooLarge,
    #[error(transparent)]
    Failed(#[from] SendError),
}
