// The dashboard's pages: each is pictured, looked at closely and measured.

/** Those of a bot, below its own address. */
export const BOT_PAGES = ["", "channels", "channels/add/telegram", "sessions", "sessions/agent%3Amain%3Amain", "files", "files/SOUL.md", "skills", "schedules", "usage", "settings"];
/** Those of the account. */
export const ACCOUNT_PAGES = ["", "new", "usage", "approvals", "notices", "dead-letters", "keys", "members", "browsers", "audit"];

const nameOf = (path) => path.replace(/\W+/g, "-");

/** Names for pictures, and addresses, of the account's pages and those of a bot. */
export const allPages = (bot) => [
  ...BOT_PAGES.map((path) => [`bot-${nameOf(path) || "chat"}`, `/bots/${bot}/${path}`.replace(/\/$/, "")]),
  ...ACCOUNT_PAGES.map((path) => [nameOf(path) || "bots", `/${path}`]),
];
