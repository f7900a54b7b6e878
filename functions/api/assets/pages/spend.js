// What the account and its bots spend, and the account's budget.

import { get, patch } from "../api.js";
import { botHref } from "../bot_page.js";
import { h } from "../dom.js";
import { budgetLimits, count, dollars, inDollars, micros, plural } from "../format.js";
import { field, form } from "../forms.js";
import { more } from "../paging.js";
import { again } from "../router.js";
import { card, empty, linkButton, meter, pageHead, say, table } from "../ui.js";
import { may } from "../who.js";
import { usageReport } from "./usage_report.js";

export async function spendPage({ signal }) {
  const nothing = empty("chart", "Nothing used yet", "What your bots take shows up here with their first answers.");
  const report = usageReport({ tables: ["bot", "model", "channel"], nothing, signal });
  const since = `${new Date().toISOString().slice(0, 8)}01`;
  const [account, budgets, month, used] = await Promise.all([may("account:read") ? get("/v1/account", { signal }) : null, get("/v1/usage", { signal }), get(`/v1/usage/report?by=bot&from=${since}`, { signal }), report]);
  const [own, ...bots] = budgets.items;
  const spent = new Map(month.items.map((line) => [line.bot, line]));
  const of = (line) => spent.get(line.bot) ?? { cost: 0, turns: 0 };
  const rows = (lines) => lines.sort((a, b) => of(b).cost - of(a).cost || of(b).turns - of(a).turns || a.name.localeCompare(b.name))
    .map((line) => [h("a", { href: botHref(line, "/usage") }, line.name), dollars(of(line).cost), count(of(line).turns), limitOf(line)]);
  const list = table("Spent by bot this month", ["Bot", "Cost", "Turns", "Budget"], rows(bots));
  return [
    pageHead("Usage"),
    h("div", { class: "columns" }, card("This month", h("p", { class: "big" }, dollars(month.total.cost)), h("p", { class: "muted" }, plural(month.total.turns, "turn")), limitOf(own)), account && budgetCard(account)),
    card("Bots and their budgets", bots.length === 0 ? empty("chart", "No bots yet", "What each bot spends is listed here.", may("bots:write") && linkButton("New bot", "/new", "primary")) : [list, more({ path: "/v1/usage", next: budgets.next ?? null, label: "More bots", signal, show: (lines) => list.add(rows(lines)) })]),
    h("h2", { class: "section" }, "All bots"), used,
  ];
}

/** How much of a budget is used, by what was counted against it since the budget was given. */
function limitOf(line) {
  const { budget } = line;
  if (!budget) return h("span", { class: "muted" }, "No limit");
  return h("div", {}, budgetLimits(budget, line).map(([used, limit, text]) => [meter(`Budget of ${line.name}: ${text}`, used, limit), h("small", {}, `${text} this ${budget.period}`)]));
}

function budgetCard(account) {
  const now = account.budget ?? {};
  const money = field({ label: "Dollars", path: "budget.micros", type: "number", min: 0, step: "any", value: inDollars(now.micros), hint: "Empty: no limit." });
  const turns = field({ label: "Turns", path: "budget.turns", type: "number", min: 0, step: 1, value: now.turns ?? "", hint: "Empty: no limit." });
  const period = field({ label: "Counted by", path: "budget.period", type: "select", value: now.period ?? "month", options: [["month", "month"], ["day", "day"]] });
  return card("What all bots together may spend", form({ fields: [h("div", { class: "pair" }, money.element, turns.element), period], action: "Save", needs: "account:write", send: async () => {
    const limits = { period: period.value, ...(money.value === "" ? {} : { micros: micros(money.value) }), ...(turns.value === "" ? {} : { turns: Number(turns.value) }) };
    await patch("/v1/account", { budget: money.value === "" && turns.value === "" ? null : limits });
    say("Saved.");
    again();
  } }));
}
