// What models were used for: charts by day, model, channel and bot, and a table of what one of them tells apart.

import { get } from "../api.js";
import { botHref } from "../bot_page.js";
import { barsByDay, barsByName } from "../chart.js";
import { channelLabel } from "../channels.js";
import { h, replace } from "../dom.js";
import { compact, count, dollars } from "../format.js";
import { choice } from "../forms.js";
import { card, problemBox, table } from "../ui.js";

const DAY = 86_400_000;
const SPANS = [["7", "7 days"], ["14", "14 days"], ["30", "30 days"], ["90", "90 days"]];

const MEASURES = {
  cost: ["Cost", (line) => line.cost, dollars],
  tokens: ["Tokens", (line) => line.usage.input + line.usage.output, compact],
  turns: ["Turns", (line) => line.turns, compact],
};

/** What tells lines apart: what it is called, and what a line is, as a word and where it leads. */
const GROUPS = {
  day: ["Day"],
  bot: ["Bot", (line) => line.name, (line) => h("a", { href: botHref(line, "/usage") }, line.name)],
  model: ["Model", (line) => line.name],
  channel: ["Channel", (line) => channelLabel(line.name)],
};

/** The reports of the last `days`, by day and by each of `tables`. */
async function read(days, bot, tables, signal) {
  const from = new Date(Date.now() - (days - 1) * DAY).toISOString().slice(0, 10);
  const ask = (by) => get(`/v1/usage/report?by=${by}&from=${from}${bot ? `&bot=${bot.id}` : ""}`, { signal });
  const groups = ["day", ...tables];
  const reports = await Promise.all(groups.map(ask));
  return new Map(groups.map((by, index) => [by, reports[index]]));
}

/** Charts and tables of one bot, or of the account. `nothing` stands in their place while nothing was used. */
export async function usageReport({ bot, tables, nothing, signal }) {
  const place = h("div", { class: "stack", "aria-live": "polite" });
  let shown = null;
  const show = async (days) => {
    const reports = await read(Number(days), bot, tables, signal);
    const { total } = reports.get("day");
    if (total.calls === 0) return replace(place, nothing);
    shown ??= { measure: total.cost > 0 ? "cost" : "turns", by: "day" };
    const facts = [["Cost", dollars(total.cost)], ["Turns", count(total.turns)], ["Model calls", count(total.calls)], ["Tokens in", compact(total.usage.input)], ["of them cached", compact(total.usage.cached)], ["Tokens out", compact(total.usage.output)]];
    const chart = h("div", {});
    const draw = (changes) => {
      Object.assign(shown, changes);
      replace(chart, chartOf(shown, reports.get(shown.by)));
    };
    draw({});
    const pick = (legend, key, options) => {
      const one = choice({ legend, value: shown[key], onchange: (value) => draw({ [key]: value }), options });
      one.element.classList.add("flat");
      return one.element;
    };
    return replace(place, h("section", { class: "card" }, h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      h("div", { class: "picks-flat" }, pick("Shown", "measure", Object.entries(MEASURES).map(([key, [title]]) => [key, title])), pick("By", "by", ["day", ...tables].map((by) => [by, GROUPS[by][0].toLowerCase()]))), chart),
    tables.map((by) => tableOf(by, reports.get(by))));
  };
  const span = choice({ legend: "Of the last", value: "14", options: SPANS, onchange: (days) => show(days).catch((error) => replace(place, problemBox(error, () => show(days)))) });
  span.element.classList.add("flat");
  await show("14");
  return [span.element, place];
}

function chartOf({ measure, by }, report) {
  const [title, of, say] = MEASURES[measure];
  if (by === "day") return barsByDay(`${title} by day (UTC)`, report.items.map((line) => ({ day: line.name, value: of(line) })), say);
  const [kind, name] = GROUPS[by];
  const points = report.items.map((line) => ({ name: name(line), value: of(line) })).sort((a, b) => b.value - a.value);
  return barsByName(`${title} by ${by}`, kind, points, say);
}

function tableOf(by, report) {
  const [head, name, link = name] = GROUPS[by];
  const rows = report.items.map((line) => [link(line), count(line.turns), count(line.calls), compact(line.usage.input), compact(line.usage.output), dollars(line.cost)]);
  return card(`By ${by}`, table(`Use by ${by}`, [head, "Turns", "Calls", "Tokens in", "Tokens out", "Cost"], rows));
}
