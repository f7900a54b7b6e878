// The pieces that pages are made of.

import { freshId, h, replace } from "./dom.js";
import { ago, when } from "./format.js";
import { icon } from "./icons.js";
import { may } from "./who.js";

/** A line that says that something was done, for a few seconds. */
export function say(text) {
  const note = h("p", { class: "note" }, icon("check"), text);
  document.getElementById("notes").append(note);
  setTimeout(() => note.remove(), 5000);
}

/** A sentence of the API, in which names and commands stand between backticks. */
export const sentence = (text) => text.split("`").map((part, index) => (index % 2 === 1 ? h("code", {}, part) : part));

/** Why something was not done, and what to do about it. */
export function problemBox(problem, again) {
  return h("div", { class: "problem", role: "alert" }, icon("alert"),
    h("div", {}, h("strong", {}, problem.title ?? "Not done"), h("p", {}, sentence(problem.message)),
      again && button("Try again", again, { class: "small" })));
}

/**
 * A button that shows while its work is under way, and says what went wrong with it beside itself. `needs`: the scope that it takes;
 * who lacks it gets no button.
 */
export function button(label, work, { class: kind = "", name, needs, ...props } = {}) {
  if (!may(needs)) return null;
  const element = h("button", { type: "button", class: `button ${kind}`, ...props, onclick: () => busy(element, work) }, name && icon(name), label);
  return element;
}

/** Runs work that a button asked for; it can be asked for once at a time. */
export async function busy(element, work) {
  if (element.getAttribute("aria-busy") === "true") return;
  element.setAttribute("aria-busy", "true");
  element.parentElement?.querySelector(":scope > .problem")?.remove();
  try {
    await work();
  } catch (error) {
    if (error.name !== "AbortError") element.after(problemBox(error));
  } finally {
    element.removeAttribute("aria-busy");
  }
}

/** What is shown where there is nothing yet: why, and what to do, as far as it is there for who looks. */
export function empty(picture, title, text, ...offered) {
  const actions = offered.filter(Boolean);
  return h("div", { class: "empty" }, h("span", { class: "empty-icon" }, icon(picture)), h("h2", {}, title), h("p", {}, text),
    actions.length > 0 && h("p", { class: "actions" }, actions));
}

/** The head of a page: its name, and what belongs beside it. */
export const pageHead = (title, ...beside) => h("header", { class: "page-head" }, h("h1", {}, title), beside);

/** A link that looks like a button. */
export const linkButton = (label, href, kind = "", name = null) => h("a", { class: `button ${kind}`, href }, name && icon(name), label);

/** A word about a state: `good`, `warn`, `bad` or `quiet`. */
export const badge = (kind, text) => h("span", { class: `badge ${kind}` }, text);

/** A time as people say it; the exact one is its tooltip. */
export const timeOf = (at) => h("time", { datetime: new Date(at).toISOString(), title: when(at) }, ago(at));

/** A card with a heading. */
export function card(title, ...children) {
  return h("section", { class: "card" }, title && h("h2", {}, title), children);
}

/** A text with a button that copies it. */
export function copyable(label, text) {
  const copied = h("span", { class: "sr", role: "status" });
  const copy = button("Copy", async () => {
    await navigator.clipboard.writeText(text);
    copied.textContent = `${label} copied.`;
    say(`${label} copied.`);
  }, { class: "small", name: "copy", "aria-label": `Copy ${label.toLowerCase()}` });
  return h("div", { class: "copyable" }, h("span", { class: "label" }, label), h("code", { tabindex: "0" }, text), copy, copied);
}

/** Asks before something is done that cannot be undone. `typed`: what has to be written to confirm it; `stay`: what the way out is called. */
export function confirm({ title, text, action, typed, stay = "Keep it" }) {
  return new Promise((resolve) => {
    const id = freshId("title");
    const input = typed && h("input", { id: freshId("typed"), autocomplete: "off" });
    const yes = h("button", { class: "button danger", value: "yes", disabled: Boolean(typed) }, action);
    input?.addEventListener("input", () => (yes.disabled = input.value !== typed));
    const dialog = h("dialog", { "aria-labelledby": id, onclose: () => { dialog.remove(); resolve(dialog.returnValue === "yes"); } },
      h("form", { method: "dialog" }, h("h2", { id }, title), h("p", {}, text),
        input && h("div", { class: "field" }, h("label", { for: input.id }, `Write ${typed} to confirm`), input),
        h("p", { class: "actions" }, yes, h("button", { class: "button", value: "no", formnovalidate: true }, stay))));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** How much of something is used. */
export function meter(label, used, limit) {
  const share = limit > 0 ? Math.min(used / limit, 1) : 1;
  const bar = h("span", { class: `bar ${share >= 1 ? "bad" : share >= 0.8 ? "warn" : ""}` });
  bar.style.inlineSize = `${share * 100}%`;
  return h("div", { class: "meter", role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": limit, "aria-valuenow": Math.min(used, limit),
    "aria-valuetext": `${Math.round(share * 100)} percent` }, bar);
}

/** A table that becomes a list of cards on a phone; its `add` puts further rows below. */
export function table(caption, heads, rows) {
  const cell = (content, index) => h("td", { "data-head": heads[index] }, content);
  const body = h("tbody", {});
  const element = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, h("table", {}, h("caption", { class: "sr" }, caption),
    h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), body));
  element.add = (more) => body.append(...more.map((row) => h("tr", {}, row.map(cell))));
  element.add(rows);
  return element;
}

/** A place that is filled by what `load` gives; it says when that takes long, and what to do if it fails. */
export function loaded(load) {
  const place = h("div", { class: "loaded", "aria-busy": "true" }, h("p", { class: "loading" }, "Loading…"));
  const fill = async () => {
    try {
      replace(place, await load(fill));
    } catch (error) {
      if (error.name !== "AbortError") replace(place, problemBox(error, fill));
    }
    place.removeAttribute("aria-busy");
  };
  place.reload = fill;
  place.ready = fill();
  return place;
}
