// Markdown as bots write it, made into elements. What is not understood stays text; nothing is ever read as HTML.
//
// A bot writes what others have it write. So the time is linear in the text's length, and what is nested deeper than anybody
// would read is shown as it was written.

import { h } from "./dom.js";

/** How deep quotes and lists are nested at most. */
const MAX_DEPTH = 12;
/** The same for emphasis within emphasis. */
const MAX_EMPHASIS = 4;

const FENCE = /^\s*(`{3,}|~{3,})/;
const HEADING = /^#{1,6}\s/;
const RULE = /^\s*([-*_])(\s*\1){2,}\s*$/;
const QUOTE = /^\s*>\s?/;
const POINT = /^(\s*)([-*+]|\d{1,9}[.)])\s+/;
/** What ends a paragraph. */
const OTHER = /^\s*(`{3,}|~{3,}|>|#{1,6}\s|([-*+]|\d{1,9}[.)])\s+)/;

/** Elements for a text. */
export function markdown(text) {
  return blocks(text.replace(/\r\n?/g, "\n").split("\n"), 0);
}

function blocks(lines, depth) {
  if (depth > MAX_DEPTH) return [h("pre", { tabindex: "0" }, h("code", {}, lines.join("\n")))];
  const made = [];
  let index = 0;
  const take = (test) => {
    const from = index;
    while (index < lines.length && test(lines[index])) index += 1;
    return lines.slice(from, index);
  };
  while (index < lines.length) {
    const line = lines[index];
    const fence = FENCE.exec(line);
    if (line.trim() === "") {
      index += 1;
    } else if (fence) {
      index += 1;
      const code = take((one) => !one.trimStart().startsWith(fence[1]));
      index += 1;
      made.push(h("pre", { tabindex: "0" }, h("code", {}, code.join("\n"))));
    } else if (HEADING.test(line)) {
      index += 1;
      made.push(h("p", { class: "md-heading" }, inline(line.replace(/^#+\s+/, ""))));
    } else if (RULE.test(line)) {
      index += 1;
      made.push(h("hr"));
    } else if (QUOTE.test(line)) {
      made.push(h("blockquote", {}, blocks(take((one) => QUOTE.test(one)).map((one) => one.replace(QUOTE, "")), depth + 1)));
    } else if (isRow(line) && isUnderHead(lines[index + 1] ?? "")) {
      made.push(rows(take(isRow)));
    } else if (POINT.test(line)) {
      made.push(list(take((one) => POINT.test(one) || /^\s{2,}\S/.test(one)), depth));
    } else {
      const said = take((one) => one.trim() !== "" && !OTHER.test(one));
      // A line that only looks like the beginning of something else is text.
      if (said.length === 0) said.push(lines[index++]);
      made.push(h("p", {}, said.map((one, at) => [at > 0 && h("br"), inline(one)])));
    }
  }
  return made;
}

const isRow = (line) => line.trimStart().startsWith("|");
/** `| --- | :-: |`, which makes the line before it the head of a table. */
const isUnderHead = (line) => isRow(line) && line.includes("-") && /^[\s:|-]+$/.test(line);

function rows(lines) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  const [head, , ...body] = lines;
  return h("div", { class: "scroll", tabindex: "0" }, h("table", {}, h("thead", {}, h("tr", {}, cells(head).map((cell) => h("th", {}, inline(cell))))),
    h("tbody", {}, body.map((line) => h("tr", {}, cells(line).map((cell) => h("td", {}, inline(cell))))))));
}

const indentOf = (line) => line.length - line.trimStart().length;

function list(lines, depth) {
  const indent = indentOf(lines[0]);
  const ordered = /^\s*\d/.test(lines[0]);
  const points = [];
  for (const line of lines) {
    const marked = POINT.exec(line);
    if (marked && marked[1].length <= indent) points.push({ text: line.slice(marked[0].length), below: [] });
    else points[points.length - 1].below.push(line);
  }
  const point = ({ text, below }) => {
    const box = /^\[([ xX])\]\s+/.exec(text);
    const said = box ? [box[1] === " " ? "☐ " : "☑ ", inline(text.slice(box[0].length))] : inline(text);
    if (below.length === 0) return h("li", {}, said);
    const deep = indentOf(below[0]);
    return h("li", {}, said, blocks(below.map((one) => one.slice(Math.min(deep, indentOf(one)))), depth + 1));
  };
  return h(ordered ? "ol" : "ul", ordered ? { start: parseInt(lines[0], 10) || null } : {}, points.map(point));
}

/** What may begin something in a line. An address ends where a sentence would. */
const MARK = /`+|\*\*|\*|_|~~|\[|https?:\/\/[^\s<>()]*[^\s<>().,;:!?'"]/g;
const isWord = (letter) => /\w/.test(letter ?? "");

/** The parts of a line. */
function inline(text, depth = 0) {
  const parts = [];
  const next = finder(text);
  const ticks = tickFinder(text);
  const marks = new RegExp(MARK);
  let from = 0;
  const put = (element, begin, end) => {
    if (begin > from) parts.push(text.slice(from, begin));
    parts.push(element);
    from = end;
    marks.lastIndex = end;
  };
  const within = (inner) => (depth < MAX_EMPHASIS ? inline(inner, depth + 1) : inner);
  for (let match = marks.exec(text); match; match = marks.exec(text)) {
    const [mark] = match;
    const begin = match.index;
    const inner = begin + mark.length;
    if (mark.startsWith("`")) {
      const end = ticks(mark.length, inner);
      if (end >= 0) put(h("code", {}, text.slice(inner, end).replace(/^ (.*\S.*) $/, "$1")), begin, end + mark.length);
    } else if (mark === "[") {
      const close = next("]", inner);
      const end = close > inner && text[close + 1] === "(" ? next(")", close) : -1;
      const target = end > 0 ? text.slice(close + 2, end) : "";
      if (/^(https?:|mailto:)\S+$/i.test(target)) put(anchor(target, text.slice(inner, close)), begin, end + 1);
    } else if (mark.startsWith("http")) {
      put(anchor(mark, mark), begin, inner);
    } else {
      const end = next(mark, inner);
      const isGlued = end <= inner || /\s/.test(text[inner]) || /\s/.test(text[end - 1]);
      const isInWord = mark === "_" && (isWord(text[begin - 1]) || isWord(text[end + 1]));
      if (isGlued || isInWord) continue;
      const tag = mark === "~~" ? "s" : mark === "**" ? "strong" : "em";
      put(h(tag, {}, within(text.slice(inner, end))), begin, end + mark.length);
    }
  }
  parts.push(text.slice(from));
  return parts;
}

/** Finds where a mark stands next. Who asks goes on through the text, so what was found last is mostly still the answer. */
function finder(text) {
  const known = new Map();
  return (mark, from) => {
    const last = known.get(mark);
    if (last !== undefined && (last < 0 || last >= from)) return last;
    const found = text.indexOf(mark, from);
    known.set(mark, found);
    return found;
  };
}

/** Finds the next run of so many backticks and no more, for who goes on through the text as well. */
function tickFinder(text) {
  let runs = null;
  return (length, from) => {
    if (!runs) {
      runs = new Map();
      for (const { 0: run, index } of text.matchAll(/`+/g)) {
        if (!runs.has(run.length)) runs.set(run.length, { places: [], at: 0 });
        runs.get(run.length).places.push(index);
      }
    }
    const known = runs.get(length);
    while (known.places[known.at] < from) known.at += 1;
    return known.places[known.at] ?? -1;
  };
}

const anchor = (href, label) => h("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, label);
