// Who changed what.

import { get } from "../api.js";
import { h } from "../dom.js";
import { when } from "../format.js";
import { more } from "../paging.js";
import { badge, empty, pageHead } from "../ui.js";

export async function auditPage({ signal }) {
  const [first, bots] = await Promise.all([get("/v1/audit", { signal }), botNames(signal)]);
  if (first.items.length === 0) return [pageHead("Audit log"), empty("audit", "Nothing yet", "Each change of the account is written down here for 400 days.")];
  const row = (line) => h("li", {}, h("div", {}, h("strong", { title: line.action }, toldOf(line.action, bots)), h("p", { class: "sub" }, h("time", { datetime: new Date(line.at).toISOString() }, when(line.at)), " · ", line.name ?? actorName(line.actor), line.fields?.length > 0 && ` · ${line.fields.join(", ")}`)),
    line.status >= 400 && badge("bad", `Failed (${line.status})`));
  const body = h("ul", { class: "rows card" });
  const show = (lines) => body.append(...lines.map(row));
  show(first.items);
  return [pageHead("Audit log", h("p", { class: "muted" }, "Each change of the account, kept for 400 days.")), body, more({ path: "/v1/audit", next: first.next, label: "Older lines", signal, show })];
}

/** The names of the account's first bots, by their ids: names that are missing stay ids. */
async function botNames(signal) {
  const page = await get("/v1/bots?limit=100", { signal }).catch(() => ({ items: [] }));
  return new Map(page.items.map((bot) => [bot.id, bot.name]));
}

/** Who has no name any more, or never had one. */
function actorName({ kind }) {
  if (kind === "user") return "a former member";
  if (kind === "key") return "a key that is deleted";
  return "a browser that a link let in";
}

const VERBS = { POST: "Added", PATCH: "Changed", PUT: "Wrote", DELETE: "Removed" };
const THINGS = { links: "a channel", schedules: "a schedule", keys: "an API key", members: "a member", invitations: "an invitation", browsers: "a browser", notices: "a notice", "dead-letters": "a dead letter", approvals: "an approval" };
/** What the last part of a path does that is a verb itself. */
const DEEDS = {
  pause: "Paused", resume: "Resumed", archive: "Archived", restore: "Restored", clone: "Cloned", run: "Ran", replay: "Replayed", discard: "Discarded", approve: "Let somebody in at",
};

/** `PATCH /v1/bots/bot_01M8…/links/link_01M8…` as people say it. */
export function toldOf(action, bots) {
  const [method, route] = action.split(" ");
  const parts = route.replace(/^\/v1\//, "").split("/").map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  const verb = DEEDS[parts[parts.length - 1]] ?? VERBS[method] ?? method;
  if (parts[0] === "sign-in") return "Signed in";
  if (parts[0] === "sign-out") return "Signed out";
  if (parts[0] === "account") return "Changed the account";
  if (parts[0] === "sign-in-links") return "Made a one-time link";
  if (parts[0] === "me") return { accept: "Joined the account", leave: "Left the account", account: "Went over to another account" }[parts[parts.length - 1]] ?? "Changed their own place";
  if (parts[0] === "members" && method === "POST") return "Invited somebody";
  if (parts[0] === "approvals") return "Decided on a tool call";
  if (parts[0] !== "bots") return `${verb} ${THINGS[parts[0]] ?? parts[0]}`;
  if (parts.length === 1) return "Made a bot";
  const bot = bots.get(parts[1]) ?? parts[1];
  if (parts[2] === "files") return `${method === "DELETE" ? "Removed" : "Wrote"} ${parts.slice(3).join("/")} of ${bot}`;
  return THINGS[parts[2]] ? `${verb} ${THINGS[parts[2]]} of ${bot}` : `${verb} ${bot}`;
}
