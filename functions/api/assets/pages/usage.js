// What a bot takes: against its budget, by day, model and channel.

import { items } from "../api.js";
import { botHref, botPage } from "../bot_page.js";
import { h } from "../dom.js";
import { budgetLimits } from "../format.js";
import { card, empty, linkButton, meter } from "../ui.js";
import { may } from "../who.js";
import { usageReport } from "./usage_report.js";

export const usagePage = (context) => botPage(context, "/usage", async (bot) => {
  const lines = await items(`/v1/usage?bot=${bot.id}`, context);
  const nothing = empty("chart", "Nothing used yet", `What ${bot.name} takes shows up here with its first answer.`, may("chat") && linkButton("Talk to it", botHref(bot), "primary"));
  const report = await usageReport({ bot, tables: ["model", "channel"], nothing, signal: context.signal });
  return [budgetCard(bot, lines.find((one) => one.bot === bot.id)), report];
});

function budgetCard(bot, line) {
  const budget = bot.budget;
  const limits = budgetLimits(budget, line ?? { micros: 0, turns: 0 });
  return card(budget ? `Budget of this ${budget.period}` : "Budget", limits.length === 0 ? h("p", {}, "No limit of its own. ", h("a", { href: botHref(bot, "/settings") }, "Its settings"), " give it one.")
    : limits.map(([used, limit, text]) => h("div", {}, h("p", {}, text), meter(text, used, limit))));
}
