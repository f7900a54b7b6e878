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

/** Days that are shown whole. */
const WHOLE = "nothing";

/**
 * The reports of the last `days`: `by` each of `tables`, and `stacked`, which asks for the days with their parts told apart by one of
 * these. Days in parts are asked for once each.
 */
async function read(days, bot, tables, signal) {
  const from = new Date(Date.now() - (days - 1) * DAY).toISOString().slice(0, 10);
  const ask = (query) => get(`/v1/usage/report?${query}&from=${from}${bot ? `&bot=${bot.id}` : ""}`, { signal });
  const asked = new Map();
  const stacked = async (split) => {
    if (!asked.has(split)) asked.set(split, await ask(split === WHOLE ? "by=day" : `by=day&split=${split}`));
    return asked.get(split);
  };
  const reports = await Promise.all(tables.map((by) => ask(`by=${by}`)));
  return { by: new Map(tables.map((by, index) => [by, reports[index]])), stacked };
}

/** Charts and tables of one bot, or of the account. `nothing` stands in their place while nothing was used. */
export async function usageReport({ bot, tables, nothing, signal }) {
  const place = h("div", { class: "stack", "aria-live": "polite" });
  const shown = { by: "day", split: "model" };
  const show = async (days) => {
    shown.days = days;
    const reports = await read(Number(days), bot, tables, signal);
    const { total } = await reports.stacked(shown.split);
    // Another span was picked while this one was asked for.
    if (shown.days !== days) return undefined;
    if (total.calls === 0) return replace(place, nothing);
    shown.measure ??= total.cost > 0 ? "cost" : "turns";
    const facts = [["Cost", dollars(total.cost)], ["Turns", count(total.turns)], ["Model calls", count(total.calls)], ["Tokens in", compact(total.usage.input)], ["of them cached", compact(total.usage.cached)], ["Tokens out", compact(total.usage.output)]];
    const chart = h("div", {});
    const draw = async () => {
      const { by, split } = shown;
      try {
        const report = by === "day" ? await reports.stacked(split) : reports.by.get(by);
        // Another one was picked while this one was asked for.
        if (shown.by === by && shown.split === split) replace(chart, chartOf(shown, report));
      } catch (error) {
        if (error.name !== "AbortError") replace(chart, problemBox(error, draw));
      }
    };
    const pick = (legend, key, options) => {
      const one = choice({ legend, value: shown[key], options, onchange: (value) => {
        shown[key] = value;
        stacks.hidden = shown.by !== "day";
        draw();
      } });
      one.element.classList.add("flat");
      return one.element;
    };
    const measures = pick("Shown", "measure", Object.entries(MEASURES).map(([key, [title]]) => [key, title]));
    const groups = pick("By", "by", ["day", ...tables].map((by) => [by, GROUPS[by][0].toLowerCase()]));
    const stacks = pick("Days in parts by", "split", [...tables, WHOLE].map((split) => [split, split]));
    stacks.hidden = shown.by !== "day";
    await draw();
    if (shown.days !== days) return undefined;
    return replace(place, h("section", { class: "card" }, h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      h("div", { class: "picks-flat" }, measures, groups, stacks), chart),
    tables.map((by) => tableOf(by, reports.by.get(by))));
  };
  const span = choice({ legend: "Of the last", value: "14", options: SPANS, onchange: (days) => show(days).catch((error) => shown.days === days && replace(place, problemBox(error, () => show(days)))) });
  span.element.classList.add("flat");
  await show("14");
  return [span.element, place];
}

function chartOf({ measure, by, split }, report) {
  const [title, of, say] = MEASURES[measure];
  const named = (group) => (line) => ({ name: GROUPS[group][1](line), value: of(line) });
  if (by === "day") {
    const isWhole = split === WHOLE;
    const points = report.items.map((line) => ({ day: line.name, value: of(line), parts: isWhole ? [] : (line.parts ?? []).map(named(split)) }));
    return barsByDay(isWhole ? `${title} by day (UTC)` : `${title} by day (UTC) and ${split}`, points, say);
  }
  return barsByName(`${title} by ${by}`, GROUPS[by][0], report.items.map(named(by)).sort((a, b) => b.value - a.value), say);
}

function tableOf(by, report) {
  const [head, name, link = name] = GROUPS[by];
  const rows = report.items.map((line) => [link(line), count(line.turns), count(line.calls), compact(line.usage.input), compact(line.usage.output), dollars(line.cost)]);
  return card(`By ${by}`, table(`Use by ${by}`, [head, "Turns", "Calls", "Tokens in", "Tokens out", "Cost"], rows));
}
