//! A link: one bot's login on one channel, and what differs between channels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AccessPolicy, AccountId, BotId, Channel, LinkId, Sealed, Timestamp};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum LinkStatus {
    #[default]
    Active,
    Paused,
    /// The channel refused the credentials; nothing is tried until the owner acts.
    Failed {
        /// What the channel said.
        reason: String,
    },
}

/// One bot's login on one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub id: LinkId,
    pub account: AccountId,
    pub bot: BotId,
    pub channel: Channel,
    #[serde(default)]
    pub status: LinkStatus,
    #[serde(default)]
    pub access: AccessPolicy,
    /// What the channel must know of the bot beside its credentials.
    #[serde(default)]
    pub settings: LinkSettings,
    /// The bot's handle on the channel, without `@`: what a mention looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// The channel's own id of the bot: two links of an account are not made for the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<String>,
    /// The channel's credentials for the bot: Telegram's token as it is, of other channels a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Sealed>,
    /// The secret that signs the channel's webhooks, apart from the credentials: the door opens nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<Sealed>,
    /// SHA-256, in hex, of the secret that the channel's webhooks carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret_sha256: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub version: u64,
}

impl Link {
    pub fn is_active(&self) -> bool {
        self.status == LinkStatus::Active
    }

    /// Whether its messages come over a connection that the holder keeps open.
    pub fn is_held(&self) -> bool {
        match &self.settings {
            LinkSettings::Telegram(telegram) => telegram.polling,
            LinkSettings::Slack(slack) => slack.socket,
            LinkSettings::Discord(_) | LinkSettings::Matrix(_) | LinkSettings::Irc(_) => true,
            LinkSettings::WhatsApp(_) | LinkSettings::Webhook(_) => false,
        }
    }
}

/// What a channel must know of a bot that is no secret. Links from before there were several channels are Telegram's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "channel", rename_all = "lowercase")]
pub enum LinkSettings {
    Telegram(TelegramSettings),
    Discord(DiscordSettings),
    Slack(SlackSettings),
    WhatsApp(WhatsAppSettings),
    Matrix(MatrixSettings),
    Irc(IrcSettings),
    Webhook(WebhookSettings),
}

impl LinkSettings {
    pub const fn channel(&self) -> Channel {
        match self {
            LinkSettings::Telegram(_) => Channel::Telegram,
            LinkSettings::Discord(_) => Channel::Discord,
            LinkSettings::Slack(_) => Channel::Slack,
            LinkSettings::WhatsApp(_) => Channel::WhatsApp,
            LinkSettings::Matrix(_) => Channel::Matrix,
            LinkSettings::Irc(_) => Channel::Irc,
            LinkSettings::Webhook(_) => Channel::Webhook,
        }
    }
}

impl Default for LinkSettings {
    fn default() -> LinkSettings {
        LinkSettings::Telegram(TelegramSettings::default())
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelegramSettings {
    /// The holder asks Telegram for messages, instead of Telegram posting them to the webhook.
    pub polling: bool,
    /// Of which reactions to messages the bot is told.
    #[serde(alias = "reactionNotifications")]
    pub reaction_notifications: ReactionNotifications,
}

/// Of which reactions to messages a bot is told. The words are OpenClaw's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReactionNotifications {
    Off,
    /// To its own messages in direct chats. In groups Telegram does not say whose message it was.
    #[default]
    Own,
    /// To all messages, in groups as well.
    All,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscordSettings {
    /// "General Information" of the developer portal.
    pub application_id: String,
    /// Ed25519, in hex: "General Information" of the developer portal. What signs interactions.
    pub public_key: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SlackSettings {
    /// Socket mode, held by the holder, instead of Slack posting events to the webhook.
    pub socket: bool,
    /// The workspace, as `auth.test` names it.
    pub team: String,
    /// The bot's own user, as `auth.test` names it.
    pub bot_user: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhatsAppSettings {
    /// Not the number itself: the id that "API Setup" shows below it.
    pub phone_number_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixSettings {
    /// Base URL of the client API, such as `https://matrix.example.org`.
    pub homeserver: String,
    /// `@bot:example.org`; found out from the access token.
    #[serde(default)]
    pub user: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IrcSettings {
    /// The server.
    pub host: String,
    /// 6697 unless given.
    #[serde(default = "irc_port")]
    pub port: u16,
    /// On unless switched off.
    #[serde(default = "yes")]
    pub tls: bool,
    /// The bot's name there.
    pub nick: String,
    /// The account for SASL PLAIN. Without it a password is the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl_user: Option<String>,
    /// Channels to join, with their `#`.
    #[serde(default)]
    pub channels: Vec<String>,
}

const fn irc_port() -> u16 {
    6697
}

const fn yes() -> bool {
    true
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSettings {
    /// Where replies are posted to. Without it they are kept in the session only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_url: Option<String>,
    /// Nothing is taken from the system: what schedules answer is posted to it, and that is all.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub outbound_only: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn settings_are_tagged_by_their_channel() {
        let irc = json!({ "channel": "irc", "host": "irc.example.org", "nick": "heron" });
        let settings: LinkSettings = serde_json::from_value(irc).unwrap();
        assert_eq!(settings.channel(), Channel::Irc);
        let written: Value = serde_json::to_value(&settings).unwrap();
        assert_eq!((&written["port"], &written["tls"]), (&json!(6697), &json!(true)));
        for channel in Channel::ALL {
            assert_eq!(channel.as_str().parse(), Ok(channel));
            assert_eq!(serde_json::to_value(channel).unwrap(), channel.as_str());
        }
    }

    #[test]
    fn a_typing_error_is_told() {
        let text = json!({ "channel": "matrix", "homserver": "https://matrix.example.org" });
        let error = serde_json::from_value::<LinkSettings>(text).unwrap_err().to_string();
        assert!(error.contains("homserver"), "{error}");
    }
}
