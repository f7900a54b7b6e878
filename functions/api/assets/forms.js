// Forms: labelled fields, and errors of the API beside the field that they are about.

import { freshId, h } from "./dom.js";
import { problemBox, sentence } from "./ui.js";
import { may } from "./who.js";

/** A field. `path` is what errors call it; `type` is `text`, `password`, `number`, `textarea`, `checkbox` or `select` (with `options`). */
export function field({ label, path, type = "text", value = "", hint, options, ...props }) {
  const id = freshId("field");
  const hintId = hint && `${id}-hint`;
  const common = { id, name: path, "aria-describedby": hintId, ...props };
  let input;
  if (type === "select") {
    input = h("select", common, options.map(([key, text]) => h("option", { value: key }, text)));
    input.value = value ?? "";
  } else if (type === "textarea") {
    input = h("textarea", { rows: 4, ...common, value: value ?? "" });
  } else if (type === "checkbox") {
    input = h("input", { type, ...common });
    input.checked = Boolean(value);
  } else {
    input = h("input", { type, autocomplete: "off", spellcheck: type === "text" ? "false" : null, ...common, value: value ?? "" });
  }
  const element = h("div", { class: `field ${type}`, "data-path": path }, h("label", { for: id }, label), input, hint && h("p", { class: "hint", id: hintId }, hint));
  return { element, input, path, get value() { return type === "checkbox" ? input.checked : input.value; } };
}

/** One of several, each told in a line: `[key, title, text]`. */
export function choice({ legend, path, value, options, onchange }) {
  const name = freshId("choice");
  const radios = options.map(([key, title, text]) => {
    const input = h("input", { type: "radio", name, value: key, checked: key === value, onchange: () => onchange?.(key) });
    return h("label", { class: "option" }, input, h("span", {}, h("strong", {}, title), text && h("small", {}, text)));
  });
  const element = h("fieldset", { class: "choice", "data-path": path }, h("legend", {}, legend), radios);
  return { element, path, get value() { return element.querySelector("input:checked")?.value; } };
}

/** What stands in a field that is a list, with commas between its items. */
export const listed = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);

/** A list as such a field has it. */
export const inCommas = (list) => (list ?? []).join(", ");

/** What a field for a secret says while one is kept, which nobody is shown. */
export const STORED = "One is stored";

/** A field for a secret, whose `keep` empties it again. `isStored`: there is one; `for`: what it was given for, and goes to alone. */
export function secretField({ isStored, for: purpose, ...props }) {
  const hint = purpose && `Left empty, the stored one stays. It goes only to the ${purpose} that it was given for.`;
  const one = field({ ...props, type: "password", placeholder: isStored ? STORED : "", hint });
  one.keep = (isKept) => Object.assign(one.input, { value: "", placeholder: isKept ? STORED : "" });
  return one;
}

/**
 * A form that sends on Enter or by its button. `send` is given nothing and may throw a `Problem`. `needs`: the scope that it takes;
 * who lacks it sees what the fields say, and changes nothing.
 */
export function form({ fields, action, send, extra, needs = "bots:write" }) {
  if (!may(needs)) return h("form", {}, h("fieldset", { class: "to-look-at", disabled: true }, fields.filter(Boolean).map((one) => one.element ?? one)));
  const submit = h("button", { class: "button primary" }, action);
  const element = h("form", { novalidate: true, onsubmit: async (event) => {
    event.preventDefault();
    if (submit.getAttribute("aria-busy") === "true") return;
    clear(element);
    submit.setAttribute("aria-busy", "true");
    try {
      await send();
    } catch (error) {
      if (error.name !== "AbortError") blame(element, error);
    } finally {
      submit.removeAttribute("aria-busy");
    }
  } }, fields.filter(Boolean).map((one) => one.element ?? one), h("p", { class: "actions" }, submit, extra));
  return element;
}

function clear(element) {
  element.querySelectorAll(".problem, .error").forEach((old) => old.remove());
  element.querySelectorAll("[aria-invalid]").forEach((input) => {
    input.removeAttribute("aria-invalid");
    const hint = `${input.id}-hint`;
    if (document.getElementById(hint)) input.setAttribute("aria-describedby", hint);
    else input.removeAttribute("aria-describedby");
  });
}

/** Shows an error at the field that it is about: the most exact name wins, `model.api_key` before `model`. */
function blame(element, error) {
  const known = [...element.querySelectorAll("[data-path]")].filter((one) => one.dataset.path && names(error.field, one.dataset.path));
  const place = known.sort((a, b) => b.dataset.path.length - a.dataset.path.length)[0];
  const input = place?.querySelector("input, select, textarea");
  if (!input) {
    element.append(problemBox(error));
    return;
  }
  const id = `${input.id || freshId("field")}-error`;
  const text = error.message.startsWith(error.field) ? error.message.slice(error.field.length).replace(/^:? /, "") : error.message;
  place.append(h("p", { class: "error", id, role: "alert" }, sentence(text.charAt(0).toUpperCase() + text.slice(1))));
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", id);
  input.focus();
}

const names = (field, path) => field !== null && (field === path || field.startsWith(`${path}.`) || field.startsWith(`${path}[`));
