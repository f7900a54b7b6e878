// Which page an address shows. A page is a function that is given what its address says, and gives an element.

import { h, replace } from "./dom.js";
import { empty, linkButton, problemBox } from "./ui.js";
import { may } from "./who.js";

const routes = [];
let leaving = new AbortController();
let guard = null;
let place = null;
let arrived = () => {};
/** Which entry of the browser's history is shown, counted from the one where the dashboard was opened. */
let at = 0;
/** Whether the next move through the history only takes back the one before. */
let isGoingBack = false;

/** Declares a page: `/bots/:bot/files`, or with `*rest` for all that follows. `scope`: what it takes to see it. */
export function route(pattern, page, section, scope) {
  const names = [];
  const source = pattern.replace(/[:*](\w+)/g, (part, name) => {
    names.push(name);
    return part.startsWith("*") ? "(.+)" : "([^/]+)";
  });
  routes.push({ pattern: new RegExp(`^${source}/?$`), names, page, section, scope });
}

/** Begins to show pages in `element`; `after` is told the section of each. */
export function start(element, after) {
  place = element;
  arrived = after;
  at = history.state?.at ?? 0;
  history.replaceState({ at }, "");
  window.addEventListener("popstate", moved);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    if (!link || !plain || event.defaultPrevented || link.target || link.origin !== location.origin || link.getAttribute("href").startsWith("#")) return;
    if (link.pathname.startsWith("/v1/")) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
  // The browser begins at the top, where the skip link is.
  return show(false);
}

/** Goes to another page. */
export function go(path) {
  if (!mayLeave()) return undefined;
  at += 1;
  history.pushState({ at }, "", path);
  return show();
}

/** The browser went through its history: the address is another one already. Who wants to stay is brought back to it. */
function moved(event) {
  if (isGoingBack) {
    isGoingBack = false;
    return undefined;
  }
  const to = event.state?.at ?? at;
  if (to !== at && !mayLeave()) {
    isGoingBack = true;
    return history.go(at - to);
  }
  at = to;
  return show();
}

/** Says that the page that is shown has another address now. */
export function renamed(path) {
  history.replaceState({ at }, "", path);
}

/** Shows the page anew. */
export const again = () => show(false);

/** Has people asked before they leave a page: `question` gives what to ask, or nothing. */
export function onLeave(question) {
  guard = question;
}

window.addEventListener("beforeunload", (event) => {
  if (guard?.()) event.preventDefault();
});

function mayLeave() {
  const question = guard?.();
  return !question || window.confirm(question);
}

/** The page of an address, and what the address says; nothing where no page is, or where a `%` in it means no letter. */
function find(pathname) {
  for (const one of routes) {
    const match = one.pattern.exec(pathname);
    if (!match) continue;
    try {
      return { ...one, params: Object.fromEntries(one.names.map((name, index) => [name, decodeURIComponent(match[index + 1])])) };
    } catch {
      return null;
    }
  }
  return null;
}

async function show(moves = true) {
  leaving.abort();
  leaving = new AbortController();
  guard = null;
  const { signal } = leaving;
  const found = find(location.pathname);
  const context = { params: found?.params ?? {}, query: new URLSearchParams(location.search), signal };
  arrived(found?.section);
  place.setAttribute("aria-busy", "true");
  let page;
  try {
    page = !found ? notFound() : may(found.scope) ? await found.page(context) : notForYou();
  } catch (error) {
    if (error.name === "AbortError" || signal.aborted) return;
    page = [h("h1", {}, error.status === 404 ? "Not here" : "This page could not be shown"), problemBox(error, again)];
  }
  if (signal.aborted) return;
  replace(place, page);
  place.removeAttribute("aria-busy");
  const heading = place.querySelector("h1");
  document.title = heading ? `${heading.textContent} · Lowtide` : "Lowtide";
  place.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  if (moves) {
    window.scrollTo(0, 0);
    heading?.setAttribute("tabindex", "-1");
    heading?.focus({ preventScroll: true });
  }
}

function notFound() {
  return [h("h1", {}, "There is no such page"), empty("bot", "Nothing is here", "The address may be old, or was cut short.", linkButton("See your bots", "/", "primary"))];
}

function notForYou() {
  return [h("h1", {}, "Not for your role"), empty("key", "Others look after this", "Your role, or the key that you signed in with, does not reach this page. An owner of the account can give you another role.")];
}
