// The frame around the pages: who is signed in, where one can go, and which theme it is.

import { get, post } from "./api.js";
import { h, replace } from "./dom.js";
import { icon } from "./icons.js";
import { invitations } from "./invitations.js";
import { approvalsPage } from "./pages/approvals.js";
import { auditPage } from "./pages/audit.js";
import { botsPage } from "./pages/bots.js";
import { browsersPage } from "./pages/browsers.js";
import { addChannelPage } from "./pages/add_channel.js";
import { channelsPage } from "./pages/channels.js";
import { chatPage } from "./pages/chat.js";
import { deadLettersPage } from "./pages/dead_letters.js";
import { filesPage } from "./pages/files.js";
import { keysPage } from "./pages/keys.js";
import { membersPage } from "./pages/members.js";
import { newBotPage } from "./pages/new_bot.js";
import { noticesPage } from "./pages/notices.js";
import { schedulesPage } from "./pages/schedules.js";
import { sessionPage } from "./pages/session.js";
import { sessionsPage } from "./pages/sessions.js";
import { settingsPage } from "./pages/settings.js";
import { signInPage } from "./pages/sign_in.js";
import { skillsPage } from "./pages/skills.js";
import { spendPage } from "./pages/spend.js";
import { usagePage } from "./pages/usage.js";
import { route, start } from "./router.js";
import { busy, empty } from "./ui.js";
import { may, recognise } from "./who.js";

const app = document.getElementById("app");

route("/", botsPage, "/", "bots:read");
route("/new", newBotPage, "/", "bots:write");
// Who may not talk to a bot begins with what was said to it.
route("/bots/:bot", (context) => (may("chat") ? chatPage : sessionsPage)(context), "/", "bots:read");
route("/bots/:bot/channels", channelsPage, "/", "bots:read");
route("/bots/:bot/channels/add/:channel", addChannelPage, "/", "bots:write");
route("/bots/:bot/sessions", sessionsPage, "/", "sessions:read");
route("/bots/:bot/sessions/:session", sessionPage, "/", "sessions:read");
route("/bots/:bot/files", filesPage, "/", "bots:read");
route("/bots/:bot/files/*file", filesPage, "/", "bots:read");
route("/bots/:bot/skills", skillsPage, "/", "bots:read");
route("/bots/:bot/schedules", schedulesPage, "/", "bots:read");
route("/bots/:bot/usage", usagePage, "/", "usage:read");
route("/bots/:bot/settings", settingsPage, "/", "bots:read");

/** Where one can go, what is shown there, and the scope that it takes. */
const PLACES = [
  ["/", "Bots", "bot", "bots:read"],
  ["/usage", "Usage", "chart", "usage:read", spendPage],
  ["/approvals", "Approvals", "approve", "approve", approvalsPage],
  ["/notices", "Notices", "bell", "account:read", noticesPage],
  ["/dead-letters", "Dead letters", "dead", "sessions:read", deadLettersPage],
  ["/keys", "API keys", "key", "keys:write", keysPage],
  ["/members", "Members", "people", "admin", membersPage],
  ["/browsers", "Browsers", "browser", "admin", browsersPage],
  ["/audit", "Audit log", "audit", "admin", auditPage],
];
for (const [path, , , scope, page] of PLACES) {
  if (page) route(path, page, path, scope);
}

async function begin() {
  if (location.pathname === "/sign-in") return signIn();
  let me;
  try {
    me = await get("/v1/me", { asks: true });
  } catch (error) {
    return signIn(error.status === 401 ? null : error);
  }
  recognise(me);
  return me.account ? enter(me) : wait(me);
}

async function signIn(problem) {
  document.title = "Sign in · Lowtide";
  replace(app, await signInPage(problem));
  app.querySelector("h1")?.focus();
}

/** Somebody who belongs to no account: there is nothing to see but who invited them. */
function wait(me) {
  document.title = "Invitations · Lowtide";
  const cards = invitations(me);
  replace(app, h("main", { id: "content", class: "sign-in", tabindex: "-1" }, h("span", { class: "mark large", "aria-hidden": "true" }),
    h("h1", { tabindex: "-1" }, me.name ? `Welcome, ${me.name}` : "Welcome"), cards,
    cards.length === 0 && empty("people", "You belong to no account yet", "Ask an owner of one to invite you, by the e-mail address that you signed in with."),
    signOut()));
  app.querySelector("h1").focus();
}

function enter(me) {
  const main = h("main", { id: "content", class: "content", tabindex: "-1" });
  const link = ([href, label, name]) => h("li", {}, h("a", { href }, icon(name), label));
  const places = PLACES.filter(([, , , scope]) => may(scope));
  const nav = h("nav", { id: "places", class: "places", "aria-label": "Main" }, h("ul", {}, places.map(link)));
  const menu = h("button", { class: "menu", "aria-expanded": "false", "aria-controls": "side", onclick: () => open(menu.getAttribute("aria-expanded") !== "true") }, icon("menu"), h("span", { class: "sr" }, "Menu"));
  const side = h("div", { id: "side", class: "side" }, nav, foot(me));
  const open = (is) => {
    menu.setAttribute("aria-expanded", String(is));
    side.classList.toggle("open", is);
  };
  const header = h("header", { class: "top" }, h("a", { class: "brand", href: "/" }, mark(), "Lowtide"), menu);
  replace(app, h("div", { class: "frame" }, header, side, main));
  document.addEventListener("keydown", (event) => event.key === "Escape" && open(false));
  return start(main, (section) => {
    open(false);
    for (const one of nav.querySelectorAll("a")) {
      if (one.getAttribute("href") === section) one.setAttribute("aria-current", "page");
      else one.removeAttribute("aria-current");
    }
  });
}

function mark() {
  return h("span", { class: "mark", "aria-hidden": "true" });
}

function signOut() {
  const out = h("button", { class: "quiet", onclick: () => busy(out, async () => {
    await post("/v1/sign-out");
    location.assign("/");
  }) }, icon("leave"), "Sign out");
  return out;
}

function foot(me) {
  return h("footer", { class: "foot" }, whose(me), themeSwitch(), signOut());
}

/** The account that is looked at, and the way to others that the person belongs to. */
function whose(me) {
  const name = h("span", { class: "who" }, h("strong", {}, me.account.name), h("span", {}, me.role ?? me.name));
  const others = (me.accounts ?? []).filter((one) => one.id !== me.account.id);
  if (others.length === 0) return h("p", {}, name);
  const way = (account) => {
    const over = h("button", { class: "quiet", onclick: () => busy(over, async () => {
      await post("/v1/me/account", { account: account.id });
      location.assign("/");
    }) }, h("span", { class: "who" }, h("strong", {}, account.name), account.role && h("span", {}, account.role)));
    return h("li", {}, over);
  };
  return h("details", { class: "accounts" }, h("summary", {}, name, h("span", { class: "sr" }, "Go over to another account"), icon("switch")), h("ul", { "aria-label": "Your other accounts" }, others.map(way)));
}

/** Light, dark, or as the system has it. */
function themeSwitch() {
  const isDark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = h("span", {});
  const paint = () => replace(button, icon(isDark() ? "sun" : "moon"), label, (label.textContent = isDark() ? "Light theme" : "Dark theme", null));
  const button = h("button", { class: "quiet", onclick: () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // It holds for this page, then.
    }
    paint();
  } });
  paint();
  return button;
}

window.addEventListener("signed-out", () => signIn());
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("content")?.focus();
});
begin();
