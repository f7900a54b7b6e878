// A bot's conversations.

import { botPath, get } from "../api.js";
import { botHref, botPage } from "../bot_page.js";
import { channelLabel } from "../channels.js";
import { h } from "../dom.js";
import { compact, dollars, when } from "../format.js";
import { more } from "../paging.js";
import { empty, linkButton, timeOf } from "../ui.js";
import { may } from "../who.js";

/** How many sessions of a page have their sums looked up: there is a request for each. */
const LOOK_UP = 30;

export const sessionsPage = (context) => botPage(context, "/sessions", async (bot) => {
  const path = `${botPath(bot.id, "sessions")}?limit=100`;
  const [first, schedules] = await Promise.all([get(path, context), scheduleNames(bot, context.signal)]);
  if (first.items.length === 0) return empty("audit", "No conversations yet", "Each person, group and schedule that the bot talks with has one, and it is kept here.", may("chat") && linkButton("Talk to it", botHref(bot), "primary"));
  const rows = (items) => items.sort((a, b) => b.created_at - a.created_at).map((one, index) => row(bot, one, schedules, index < LOOK_UP && context.signal));
  const list = h("ul", { class: "rows card" }, rows(first.items));
  return [list, more({ path, next: first.next, label: "More sessions", signal: context.signal, show: (items) => list.append(...rows(items)) })];
});

/** The names of a bot's schedules, by their ids as session keys have them. */
export async function scheduleNames(bot, signal) {
  const { items } = await get(`${botPath(bot.id, "schedules")}?limit=100`, { signal }).catch(() => ({ items: [] }));
  return new Map(items.map((one) => [one.id.toLowerCase(), one.name]));
}

/** `agent:main:telegram:direct:555` as people read it; `schedules` are the names of the bot's. */
export function sessionName(key, schedules) {
  const [, , first, kind, ...rest] = key.split(":");
  if (first === "main") return "Main conversation";
  if (first === "subagent") return `Work given away · ${kind}`;
  if (first === "cron") return `Schedule · ${schedules.get(kind) ?? "one that is gone"}${rest[0] === "run" ? `, ${when(Number(rest[1]))}` : ""}`;
  return `${channelLabel(first)} · ${[kind, ...rest].filter(Boolean).join(" ")}`;
}

function row(bot, one, schedules, signal) {
  const sums = h("span", { class: "muted" }, "");
  if (signal) {
    get(botPath(bot.id, "sessions", one.session), { signal }).then((page) => {
      sums.append(`${compact(page.entries)} entries · ${compact(page.usage.input + page.usage.output)} tokens · ${dollars(page.cost)} · `, timeOf(page.updated_at), page.busy ? " · under way" : "");
    }, () => sums.append("Its sums could not be read."));
  }
  return h("li", {}, h("div", {}, h("a", { href: botHref(bot, `/sessions/${encodeURIComponent(one.session)}`) }, sessionName(one.session, schedules)), h("p", { class: "sub" }, h("code", {}, one.session)), sums));
}
