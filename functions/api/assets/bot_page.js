// What the pages of one bot have in common: its name, its state, and the way to the others.

import { botPath, get } from "./api.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { again } from "./router.js";
import { badge, problemBox } from "./ui.js";
import { may } from "./who.js";

const PARTS = [
  ["", "Chat", "chat", "chat"],
  ["/channels", "Channels", "link"],
  ["/sessions", "Sessions", "audit", "sessions:read"],
  ["/files", "Files", "file"],
  ["/skills", "Skills", "tool"],
  ["/schedules", "Schedules", "clock"],
  ["/usage", "Usage", "chart", "usage:read"],
  ["/settings", "Settings", "settings"],
];

const STATES = { active: ["good", "Active"], paused: ["warn", "Paused"], archived: ["quiet", "Archived"], deleted: ["bad", "Deleted"] };

export const botState = (bot) => badge(...STATES[bot.status]);

/** The address of one of a bot's pages. */
export const botHref = (bot, part = "") => `/bots/${encodeURIComponent(bot.name)}${part}`;

/** The address of the page of one of its files, and the API's path of the file. */
export const fileHref = (bot, name) => botHref(bot, `/files/${name.split("/").map(encodeURIComponent).join("/")}`);
export const filePath = (bot, name) => botPath(bot.id, "files", ...name.split("/"));

/** The page `part` of the bot in an address. `body` is given the bot; what goes wrong in it leaves the way to the other pages. */
export async function botPage({ params, signal }, part, body) {
  const bot = await get(botPath(params.bot), { signal });
  try {
    return [headOf(bot, part), await body(bot)];
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return [headOf(bot, part), problemBox(error, again)];
  }
}

function headOf(bot, part) {
  const title = PARTS.find(([path]) => path === part)[1];
  const link = ([path, label, name]) => h("li", {}, h("a", { href: botHref(bot, path), "aria-current": path === part ? "page" : null }, icon(name), label));
  return h("header", { class: "bot-head" },
    h("p", { class: "crumb" }, h("a", { href: "/" }, icon("back"), "Bots")),
    h("div", { class: "title" }, h("h1", {}, bot.name, h("span", { class: "sr" }, `: ${title}`)), botState(bot), h("span", { class: "model" }, bot.model.model ?? "demo model")),
    h("nav", { class: "tabs", "aria-label": `Pages of ${bot.name}` }, h("ul", {}, PARTS.filter(([, , , scope]) => may(scope)).map(link))));
}
