// Bots at a glance: state, channels, the last message, what they spend, and what waits for their owner.

import { get, items } from "../api.js";
import { botHref, botState } from "../bot_page.js";
import { channelLabel } from "../channels.js";
import { freshId, h, replace } from "../dom.js";
import { budgetLimits, dollars, plural } from "../format.js";
import { icon } from "../icons.js";
import { invitations } from "../invitations.js";
import { more } from "../paging.js";
import { badge, empty, linkButton, meter, pageHead, problemBox, timeOf } from "../ui.js";
import { may, whoIsThere } from "../who.js";

/** How long somebody may pause while they write what they look for, in ms. */
const PAUSE = 200;

export async function botsPage({ signal }) {
  const [bots, account, notices] = await Promise.all([get("/v1/bots", { signal }), allowed("account:read", "/v1/account", signal), allowed("account:read", "/v1/notices", signal)]);
  const head = pageHead("Bots", bots.items.length > 0 && may("bots:write") && linkButton("New bot", "/new", "primary", "add"));
  const invited = invitations(whoIsThere());
  if (bots.items.length === 0) {
    return [head, invited, may("bots:write")
      ? empty("bot", "No bots yet", "A bot has a name, a model that it thinks with, and channels where people reach it. Two minutes, and it answers.", linkButton("Make your first bot", "/new", "primary", "add"))
      : empty("bot", "No bots yet", "Once somebody makes one in this account, you see here how it is doing.")];
  }
  const month = { cards: [], spent: null, letters: new Map(), total: h("p", { class: "spent" }, accountLine(account, null)) };
  const waiting = h("div", { class: "waiting" });
  attention(waiting, notices, month, signal);
  spending(month, account, signal);
  const list = h("div", { class: "stack" });
  show(list, "/v1/bots", bots, month, signal);
  return [head, invited, waiting, month.total, bots.next !== null && search(list, bots, month, signal), list];
}

/** What an answer says, or nothing for who may not see it. */
const allowed = (scope, path, signal) => (may(scope) ? get(path, { signal }) : null);

/** Puts the bots of a page into the list, and the way to further ones behind them. */
function show(list, path, page, month, signal) {
  const cards = h("ul", { class: "bots" }, page.items.map((bot) => botCard(bot, month)));
  replace(list, page.items.length === 0 ? h("p", { class: "muted" }, "No bot's name begins so.") : cards,
    more({ path, next: page.next, label: "More bots", signal, show: (bots) => cards.append(...bots.map((bot) => botCard(bot, month))) }));
}

/** Looks for bots by the beginning of their names; with nothing written, all are shown. */
function search(list, all, month, signal) {
  const id = freshId("find");
  let timer;
  let latest = "";
  const find = async (name) => {
    const path = `/v1/bots?name=${encodeURIComponent(name)}`;
    try {
      const page = name === "" ? all : await get(path, { signal });
      // An answer to what was written before comes too late.
      if (name === latest) show(list, name === "" ? "/v1/bots" : path, page, month, signal);
    } catch (error) {
      if (error.name !== "AbortError" && name === latest) replace(list, problemBox(error, () => find(name)));
    }
  };
  const input = h("input", { id, type: "search", autocomplete: "off", spellcheck: "false", placeholder: "Their first letters", oninput: () => {
    clearTimeout(timer);
    latest = input.value.trim();
    timer = setTimeout(() => find(latest), PAUSE);
  } });
  return h("div", { class: "field find" }, h("label", { for: id }, "Find bots by name"), input);
}

/** What all bots spent this month, against what they may; until that is known, what was counted against the budget. */
function accountLine(account, total) {
  const limit = account?.budget?.micros;
  const spent = total?.cost ?? account?.spent.micros;
  const turns = total?.turns ?? account?.spent.turns;
  if (spent === undefined || (!total && !account.budget)) return null;
  return [h("strong", {}, dollars(spent)), " this month", limit !== undefined && account.budget.period === "month" && ` of ${dollars(limit)}`, ` · ${plural(turns, "turn")}`, may("usage:read") && [" · ", h("a", { href: "/usage" }, "Usage and budgets")]];
}

/** What each bot spent since the month began, budget or not: one report for all of them, which the list does not wait for. */
async function spending(month, account, signal) {
  if (!may("usage:read")) return;
  const from = new Date().toISOString().slice(0, 8);
  const report = await get(`/v1/usage/report?by=bot&from=${from}01`, { signal }).catch(() => null);
  if (!report) return;
  month.spent = new Map(report.items.map((line) => [line.bot, line]));
  replace(month.total, accountLine(account, report.total));
  for (const card of month.cards) card.tell();
}

/** What waits for the owner; the list of dead letters takes longer than the page. */
async function attention(place, notices, month, signal) {
  const lines = [];
  const add = (number, isMore, href, one, many, name) => {
    if (number > 0) lines.push(h("a", { class: "wait", href }, icon(name), `${number}${isMore ? " or more" : ""} ${number === 1 && !isMore ? one : many}`));
    replace(place, lines);
  };
  const isMore = (page) => Boolean(page.next);
  const quietly = (scope, path) => (may(scope) ? get(path, { signal }).catch(() => ({ items: [], next: null })) : { items: [], next: null });
  if (notices) add(notices.items.length, isMore(notices), "/notices", "notice", "notices", "bell");
  const approvals = may("approve") ? await items("/v1/approvals", { signal }).catch(() => []) : [];
  add(approvals.length, false, "/approvals", "tool call waits for your word", "tool calls wait for your word", "approve");
  const letters = await quietly("sessions:read", "/v1/dead-letters");
  const open = letters.items.filter((letter) => letter.status === "open");
  add(open.length, isMore(letters), "/dead-letters", "dead letter", "dead letters", "dead");
  for (const letter of open) month.letters.set(letter.bot, (month.letters.get(letter.bot) ?? 0) + 1);
  for (const card of month.cards) card.tell();
}

function botCard(bot, month) {
  const { links, notice } = bot;
  const spend = h("div", { class: "bot-spend" });
  const errors = h("p", { class: "bot-notice" });
  const tell = () => {
    replace(spend, spendLines(bot, month.spent));
    replace(errors, errorLine(bot, month.letters.get(bot.id) ?? 0));
  };
  month.cards.push({ tell });
  tell();
  return h("li", { class: "bot" },
    h("div", { class: "bot-top" }, h("h2", {}, h("a", { href: botHref(bot) }, bot.name)), botState(bot)),
    h("p", { class: "model" }, bot.model.model ?? "Demo model"),
    h("p", { class: "chips", "aria-label": "Channels" }, links.length === 0 ? h("span", { class: "muted" }, "Web chat only") : links.map(chip)),
    h("p", { class: "muted" }, bot.last_message_at === null ? "Nobody wrote yet" : ["Last message ", timeOf(bot.last_message_at)]),
    spend, errors,
    notice && h("p", { class: "bot-notice" }, badge("warn", "Notice"), " ", notice.text));
}

/** What a bot spent this month, and its budget, which may count days. */
function spendLines(bot, spent) {
  const { budget } = bot;
  const used = spent?.get(bot.id);
  const lines = [];
  if (spent) lines.push(h("p", {}, h("strong", {}, dollars(used?.cost ?? 0)), " this month", h("span", { class: "muted" }, ` · ${plural(used?.turns ?? 0, "turn")}`)));
  if (!budget) return lines;
  const counted = bot.spent ?? { micros: 0, turns: 0 };
  for (const [now, most, text] of budgetLimits(budget, counted)) lines.push(meter(`Budget of ${bot.name}: ${text}`, now, most), h("p", { class: "muted" }, `${text} this ${budget.period}`));
  return lines;
}

/** What went wrong with a bot and is not mended. */
function errorLine(bot, letters) {
  const failed = bot.links.filter((link) => link.status.state === "failed").length;
  const told = [letters > 0 && plural(letters, "dead letter"), failed > 0 && plural(failed, "channel that fails", "channels that fail")].filter(Boolean);
  return told.length > 0 && badge("bad", told.join(", "));
}

function chip(link) {
  const state = link.status.state;
  return h("span", { class: `chip ${state}` }, channelLabel(link.channel), state !== "active" && ` (${state})`);
}
