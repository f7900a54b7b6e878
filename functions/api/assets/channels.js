// What each channel's wizard says and asks: where to click, and what to paste. `login` is what a request calls the secrets of a
// login, `settings` what the channel must know beside them; both are given what stands in the fields.

import { listed } from "./forms.js";

const POLICY = ["dm_policy", { label: "Who may write to the bot there", path: "access.dm_policy", type: "select", value: "pairing", options: [
  ["pairing", "Whoever I approve (a stranger gets a code)"],
  ["allowlist", "Only people whom I list"],
  ["open", "Everybody"],
  ["disabled", "Nobody"],
] }];
const ALLOW = ["allow", { label: "People who may write without approval", path: "access.allow_from", hint: "The channel's ids or @handles, with commas between them. May stay empty." }];

const secret = (name, label, path, hint) => [name, { label, path, type: "password", hint, required: true }];

/** By the channel's name. */
export const CHANNELS = {
  telegram: {
    label: "Telegram",
    about: "A bot of its own, made in a minute with @BotFather.",
    steps: [
      ["Open a chat with BotFather", "https://t.me/BotFather", " in Telegram and send it /newbot."],
      ["Choose a name, and then a handle that ends in bot."],
      ["BotFather answers with a token, such as 123456:ABC-DEF. Paste it here."],
    ],
    fields: [
      secret("token", "Token", "token"),
      ["polling", { label: "How messages come in", path: "settings.polling", type: "select", value: "", options: [["", "Telegram calls this deployment (it needs a public address)"], ["yes", "Lowtide asks Telegram (works behind any router)"]] }],
      POLICY, ALLOW,
    ],
    login: (v) => ({ token: v.token }),
    settings: (v) => (v.polling ? { polling: true } : undefined),
  },
  slack: {
    label: "Slack",
    about: "An app in your workspace that reads and answers.",
    steps: [
      ["Open Slack's apps", "https://api.slack.com/apps", ", choose “Create New App”, “From scratch”."],
      ["Under “OAuth & Permissions” add the bot scopes chat:write, files:read, files:write, im:history, channels:history, groups:history, mpim:history, app_mentions:read and commands."],
      ["Choose “Install to Workspace” there, and copy the bot token that it shows."],
      ["Under “Basic Information” copy the signing secret. The address for “Event Subscriptions” comes in the next step, here."],
    ],
    fields: [
      secret("bot_token", "Bot token", "credentials.bot_token", "It begins with xoxb-."),
      ["signing_secret", { label: "Signing secret", path: "credentials.signing_secret", type: "password", hint: "Where Slack calls this deployment (it needs a public address)." }],
      ["app_token", { label: "App-level token", path: "credentials.app_token", type: "password", hint: "Instead of the signing secret, for Socket Mode: works behind any router. It begins with xapp-." }],
      POLICY, ALLOW,
    ],
    login: (v) => ({ credentials: v.app_token ? { bot_token: v.bot_token, app_token: v.app_token } : { bot_token: v.bot_token, signing_secret: v.signing_secret } }),
    settings: (v) => (v.app_token ? { socket: true } : undefined),
  },
  discord: {
    label: "Discord",
    about: "A bot for your server, with direct messages.",
    steps: [
      ["Open Discord's developer portal", "https://discord.com/developers/applications", " and choose “New Application”."],
      ["Under “Bot” switch “Message Content Intent” on, then choose “Reset Token” and copy the token."],
      ["Under “OAuth2”, “URL Generator” tick bot and applications.commands, with the permissions Send Messages and Read Message History. Open the URL to invite the bot."],
    ],
    fields: [secret("bot_token", "Bot token", "credentials.bot_token"), POLICY, ALLOW],
    login: (v) => ({ credentials: { bot_token: v.bot_token } }),
  },
  whatsapp: {
    label: "WhatsApp",
    about: "A business number in Meta's Cloud API.",
    steps: [
      ["Open Meta's apps", "https://developers.facebook.com/apps", ", create an app of the type “Business” and add WhatsApp to it."],
      ["“WhatsApp”, “API Setup” shows the number's id below the number."],
      ["In the business settings make a system user with the right whatsapp_business_messaging, and a token for it that does not expire."],
      ["“App settings”, “Basic” of the app shows the app secret."],
    ],
    fields: [["phone_number_id", { label: "Phone number id", path: "settings.phone_number_id", inputmode: "numeric", required: true, hint: "Digits: the id, not the number itself." }],
      secret("access_token", "Access token", "credentials.access_token"), secret("app_secret", "App secret", "credentials.app_secret"), POLICY, ALLOW],
    login: (v) => ({ credentials: { access_token: v.access_token, app_secret: v.app_secret } }),
    settings: (v) => ({ phone_number_id: v.phone_number_id }),
  },
  matrix: {
    label: "Matrix",
    about: "An account of its own on any homeserver.",
    steps: [
      ["Make an account for the bot on a homeserver, and sign in to it with Element."],
      ["“Settings”, “Help & About”, “Advanced” shows the access token. Copy it, and close the window without signing out."],
      ["Invite the bot to a room. Rooms with end-to-end encryption cannot be read."],
    ],
    fields: [["homeserver", { label: "Homeserver", path: "settings.homeserver", type: "url", placeholder: "https://matrix.example.org", required: true }], secret("access_token", "Access token", "credentials.access_token"), POLICY, ALLOW],
    login: (v) => ({ credentials: { access_token: v.access_token } }),
    settings: (v) => ({ homeserver: v.homeserver }),
  },
  irc: {
    label: "IRC",
    about: "A nick on any network, in the channels you choose.",
    steps: [
      ["Choose a nick for the bot. If the network lets nicks be registered, register it, and keep its password."],
      ["Networks keep nothing: what is said while the bot is not connected, it never hears."],
    ],
    fields: [
      ["host", { label: "Server", path: "settings.host", placeholder: "irc.libera.chat", required: true, hint: "It is called at port 6697, with TLS." }],
      ["nick", { label: "Nick", path: "settings.nick", required: true }],
      ["channels", { label: "Channels to join", path: "settings.channels", placeholder: "#marsh, #reed", hint: "With commas between them. The bot answers there when it is named." }],
      ["sasl_user", { label: "Account (SASL)", path: "settings.sasl_user", hint: "May stay empty." }],
      ["password", { label: "Password", path: "credentials.password", type: "password", hint: "Of the account; without one, the server's own. May stay empty." }],
      POLICY, ALLOW,
    ],
    login: (v) => ({ credentials: { password: v.password || null } }),
    settings: (v) => ({ host: v.host, nick: v.nick, channels: listed(v.channels), sasl_user: v.sasl_user || null }),
  },
  webhook: {
    label: "Webhook",
    about: "Any system of yours that can post JSON.",
    steps: [
      ["Say where the bot's replies are posted to, or leave that empty to read them from the conversation."],
      ["The next step shows the address and the secret with which your system signs what it posts (standardwebhooks.com)."],
    ],
    fields: [["reply_url", { label: "Reply URL", path: "settings.reply_url", type: "url", placeholder: "https://example.org/replies", hint: "May stay empty." }]],
    login: () => ({}),
    settings: (v) => ({ reply_url: v.reply_url || null }),
  },
};

/** A channel as people write it. */
export const channelLabel = (channel) => CHANNELS[channel]?.label ?? { webchat: "Web chat" }[channel] ?? channel;
