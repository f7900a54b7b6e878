// Bars, by day and by name, drawn by hand; with a table that says the same in words.

import { freshId, h, svg } from "./dom.js";

const WIDTH = 720;
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

/** A chart with its caption, a sentence for who does not see it, and its numbers as a table. */
function figure(title, told, picture, heads, rows) {
  const [id, about] = [freshId("chart"), freshId("chart")];
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-labelledby", id);
  picture.setAttribute("aria-describedby", about);
  picture.prepend(svg("title", { id }, title), svg("desc", { id: about }, told));
  return h("figure", { class: "chart" }, h("figcaption", { "aria-hidden": "true" }, title), picture,
    h("details", {}, h("summary", {}, "The same as a table"),
      h("table", {}, h("caption", { class: "sr" }, title), h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
        h("tbody", {}, rows.map(([name, ...values]) => h("tr", {}, h("th", { scope: "row" }, name), values.map((value) => h("td", {}, value))))))));
}

/** A chart of `points`, `{day: "2026-11-22", value}`; `show` writes a value. */
export function barsByDay(title, points, show) {
  const most = points.reduce((best, point) => (point.value > best.value ? point : best), points[0]);
  const axis = steps(most.value);
  const top = axis[axis.length - 1];
  const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - TOP);
  const slot = (WIDTH - LEFT) / points.length;
  const date = (point) => new Date(`${point.day}T00:00:00Z`);
  const lines = axis.map((value) => [
    svg("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value) }),
    svg("text", { class: "tick", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, show(value)),
  ]);
  const every = Math.ceil(points.length / 5);
  const bars = points.map((point, index) => {
    const x = LEFT + slot * index;
    const isNamed = (points.length - 1 - index) % every === 0;
    return svg("g", {}, svg("title", {}, `${weekday.format(date(point))}: ${show(point.value)}`),
      svg("rect", { class: "slot", x, y: TOP, width: slot, height: HEIGHT - BOTTOM - TOP }),
      svg("rect", { class: "column", x: x + slot * 0.18, y: y(point.value), width: slot * 0.64, height: HEIGHT - BOTTOM - y(point.value), rx: Math.min(4, slot / 6) }),
      isNamed && svg("text", { class: "tick", x: index === points.length - 1 ? WIDTH : x + slot / 2, y: HEIGHT - 8, "text-anchor": index === points.length - 1 ? "end" : "middle" }, day.format(date(point))));
  });
  const told = most.value > 0 ? `${points.length} days. The most was ${show(most.value)}, on ${weekday.format(date(most))}.` : `${points.length} days, and nothing on any of them.`;
  return figure(title, told, svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}` }, lines, bars), ["Day", title], points.map((point) => [day.format(date(point)), show(point.value)]));
}

const ROW = 42;
/** The widths of a chart by name, in its own units: its letters are to be read on a phone, too. */
const [WIDE, NARROW] = [720, 340];
const isNarrow = matchMedia("(max-width: 560px)");
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
