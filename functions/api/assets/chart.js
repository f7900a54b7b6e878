// Bars, by day (whole or in parts) and by name, drawn by hand; with a table that says the same in words.

import { freshId, h, svg } from "./dom.js";

/** The widths of a chart, in its own units: its letters are to be read on a phone, too. */
const [WIDE, NARROW] = [720, 340];
const isNarrow = matchMedia("(max-width: 560px)");
const HEIGHT = 220;
const LEFT = 64;
const BOTTOM = 28;
const TOP = 12;

const day = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", timeZone: "UTC" });
const weekday = new Intl.DateTimeFormat("en", { weekday: "short", month: "short", day: "numeric", timeZone: "UTC" });

/** Round steps up to at least `most`: at most four lines of the axis. */
function steps(most) {
  const rough = Math.max(most, 1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough));
  return Array.from({ length: Math.ceil(Math.max(most, 1) / step) + 1 }, (_, index) => index * step);
}

/** A chart with its caption, a sentence for who does not see it, its legend, and its numbers as a table. */
function figure(title, told, picture, heads, rows, legend = null) {
  const [id, about] = [freshId("chart"), freshId("chart")];
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-labelledby", id);
  picture.setAttribute("aria-describedby", about);
  picture.prepend(svg("title", { id }, title), svg("desc", { id: about }, told));
  return h("figure", { class: "chart" }, h("figcaption", { "aria-hidden": "true" }, title), picture, legend,
    h("details", {}, h("summary", {}, "The same as a table"),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, as a table` },
        h("table", {}, h("caption", { class: "sr" }, title), h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
          h("tbody", {}, rows.map(([name, ...values]) => h("tr", {}, h("th", { scope: "row" }, name), values.map((value) => h("td", {}, value)))))))));
}

/** So many parts of days have a colour of their own; app.css has one for each. */
const MOST_PARTS = 6;

/** The parts that days have, the largest in all first: `{name, sum, values}`, with a value for each day. The small ones are added up. */
function partsOf(points) {
  const found = new Map();
  points.forEach(({ parts = [] }, index) => {
    for (const { name, value } of parts) {
      if (!found.has(name)) found.set(name, { name, sum: 0, values: points.map(() => 0) });
      const part = found.get(name);
      part.sum += value;
      part.values[index] += value;
    }
  });
  const parts = [...found.values()].filter((part) => part.sum > 0).sort((a, b) => b.sum - a.sum);
  if (parts.length <= MOST_PARTS) return parts;
  const small = parts.splice(MOST_PARTS - 1);
  const total = (numbers) => numbers.reduce((sum, number) => sum + number, 0);
  return [...parts, { name: `${small.length} others`, sum: total(small.map((part) => part.sum)), values: points.map((_, index) => total(small.map((part) => part.values[index]))) }];
}

/** What the colours of the parts mean, in the order in which they stand on each other, the lowest first. */
const legendOf = (title, parts, show) => h("ul", { class: "legend", "aria-label": `Parts of ${title}` },
  parts.map((part, index) => h("li", {}, h("span", { class: `swatch part-${index}`, "aria-hidden": "true" }), h("span", {}, part.name), h("span", { class: "muted" }, show(part.sum)))));

/**
 * A chart of `points`, `{day: "2026-11-22", value}`; `show` writes a value. A point that has `parts`, `{name, value}`, is shown as a
 * pile of these. `isSmall` says that there is little room.
 */
export function barsByDay(title, points, show, isSmall = isNarrow.matches) {
  const width = isSmall ? NARROW : WIDE;
  const most = points.reduce((best, point) => (point.value > best.value ? point : best), points[0]);
  const axis = steps(most.value);
  const top = axis[axis.length - 1];
  const tall = (value) => (value / top) * (HEIGHT - BOTTOM - TOP);
  const y = (value) => HEIGHT - BOTTOM - tall(value);
  const slot = (width - LEFT) / points.length;
  const date = (point) => new Date(`${point.day}T00:00:00Z`);
  const parts = partsOf(points);
  const lines = axis.map((value) => [
    svg("line", { class: "grid", x1: LEFT, x2: width, y1: y(value), y2: y(value) }),
    svg("text", { class: "tick", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, show(value)),
  ]);
  const every = Math.ceil(points.length / (isSmall ? 3 : 5));
  const bars = points.map((point, index) => {
    const x = LEFT + slot * index;
    const isNamed = (points.length - 1 - index) % every === 0;
    const column = (kind, from, value, more) => svg("rect", { class: `column ${kind}`, x: x + slot * 0.18, y: y(from + value), width: slot * 0.64, height: tall(value), ...more });
    let below = 0;
    const pile = parts.map((part, at) => {
      const value = part.values[index];
      below += value;
      return value > 0 && column(`piece part-${at}`, below - value, value);
    });
    const told = parts.filter((part) => part.values[index] > 0).map((part) => `\n${part.name}: ${show(part.values[index])}`).join("");
    return svg("g", {}, svg("title", {}, `${weekday.format(date(point))}: ${show(point.value)}${told}`),
      svg("rect", { class: "slot", x, y: TOP, width: slot, height: HEIGHT - BOTTOM - TOP }),
      parts.length > 0 ? pile : column("", 0, point.value, { rx: Math.min(4, slot / 6) }),
      isNamed && svg("text", { class: "tick", x: index === points.length - 1 ? width : x + slot / 2, y: HEIGHT - 8, "text-anchor": index === points.length - 1 ? "end" : "middle" }, day.format(date(point))));
  });
  const shares = parts.map((part) => ` ${part.name}: ${show(part.sum)}.`).join("");
  const told = most.value > 0 ? `${points.length} days. The most was ${show(most.value)}, on ${weekday.format(date(most))}.${shares}` : `${points.length} days, and nothing on any of them.`;
  const rows = points.map((point, index) => [day.format(date(point)), show(point.value), ...parts.map((part) => show(part.values[index]))]);
  return figure(title, told, svg("svg", { class: isSmall ? "narrow" : null, viewBox: `0 0 ${width} ${HEIGHT}` }, lines, bars),
    ["Day", parts.length > 0 ? "All" : title, ...parts.map((part) => part.name)], rows, parts.length > 0 && legendOf(title, parts, show));
}

const ROW = 42;
/** So many bars a chart has at most; what is smaller is added up. */
const MOST_BARS = 10;

/** A chart of `points`, `{name, value}`, the largest first; `kind` says what the names are of, `isSmall` that there is little room. */
export function barsByName(title, kind, points, show, isSmall = isNarrow.matches) {
  const rest = points.slice(MOST_BARS);
  const shown = rest.length === 0 ? points : [...points.slice(0, MOST_BARS), { name: `${rest.length} others`, value: rest.reduce((sum, point) => sum + point.value, 0) }];
  const top = Math.max(...shown.map((point) => point.value), 1);
  const all = points.reduce((sum, point) => sum + point.value, 0);
  const share = (value) => (all > 0 ? `${Math.round((value / all) * 100)} %` : "0 %");
  const width = isSmall ? NARROW : WIDE;
  const letters = width / 12;
  const bars = shown.map((point, index) => {
    const y = index * ROW;
    const name = point.name.length > letters ? `${point.name.slice(0, letters - 1)}…` : point.name;
    return svg("g", {}, svg("title", {}, `${point.name}: ${show(point.value)}, ${share(point.value)}`),
      svg("text", { class: "name", x: 0, y: y + 16 }, name),
      svg("text", { class: "tick", x: width, y: y + 16, "text-anchor": "end" }, `${show(point.value)} · ${share(point.value)}`),
      svg("rect", { class: "track", x: 0, y: y + 23, width, height: 10, rx: 5 }),
      svg("rect", { class: "column", x: 0, y: y + 23, width: Math.max((point.value / top) * width, point.value > 0 ? 4 : 0), height: 10, rx: 5 }));
  });
  const told = shown.length > 0 ? `${points.length} in all. The most is ${shown[0].name}, with ${show(shown[0].value)}, ${share(shown[0].value)} of all.` : "Nothing yet.";
  const picture = svg("svg", { class: "by-name", viewBox: `0 0 ${width} ${Math.max(shown.length, 1) * ROW}` }, bars);
  return figure(title, told, picture, [kind, title, "Share"], points.map((point) => [point.name, show(point.value), share(point.value)]));
}
