// Browsers that are signed in, and one-time links that let further ones in.

import { get, items, path, post, remove } from "../api.js";
import { h, replace } from "../dom.js";
import { form } from "../forms.js";
import { roleField } from "../roles.js";
import { button, card, confirm, copyable, empty, loaded, pageHead, say, timeOf } from "../ui.js";

export async function browsersPage({ signal }) {
  const list = loaded(async (reload) => {
    const [browsers, people] = await Promise.all([items("/v1/browsers", { signal }), peopleOf(signal)]);
    if (browsers.length === 0) return empty("browser", "No browsers", "Whoever signs in shows up here, and can be signed out.");
    browsers.sort((a, b) => b.created_at - a.created_at);
    return card("Signed in", h("ul", { class: "rows" }, browsers.map((one) => row(one, people, reload))));
  });
  await list.ready;
  const role = roleField("viewer");
  const made = h("div", { role: "status" });
  const offer = form({ fields: [role], action: "Make a link", needs: "admin", send: async () => {
    const link = await post("/v1/sign-in-links", { role: role.value });
    replace(made, copyable("Link", location.origin + link.path), h("p", { class: "hint" }, "Send it to one person: it lets one browser in, once, and is worth nothing after ", timeOf(link.expires_at), "."));
  } });
  return [pageHead("Browsers"), list, card("Let a browser in", h("p", { class: "muted" }, "With a one-time link: for another device of yours, or for somebody without a place at your identity provider."), offer, made)];
}

/** Who the account's members and keys are, by their ids. */
async function peopleOf(signal) {
  const none = () => ({ items: [] });
  const [members, keys] = await Promise.all(["/v1/members", "/v1/keys"].map((list) => get(list, { signal }).catch(none)));
  return new Map([...members.items.map((member) => [member.user, member.name || member.email]), ...keys.items.map((key) => [key.id, key.name])]);
}

function row(one, people, reload) {
  const { who } = one;
  const name = who.kind === "user" ? people.get(who.id) ?? "A former member" : who.kind === "key" ? `With the key ${people.get(who.id) ?? who.id}` : `With a one-time link, as ${who.role}`;
  return h("li", {}, h("div", {}, h("strong", {}, name), h("p", { class: "sub" }, h("span", { title: one.agent }, browserName(one.agent)), " · since ", timeOf(one.created_at), " · until ", timeOf(one.expires_at))),
    button("Sign out", async () => {
      if (!(await confirm({ title: "Sign this browser out?", text: "It is out at once. If it is the one that you use now, you sign in again.", action: "Sign it out" }))) return;
      await remove(path("v1", "browsers", one.id));
      say("Signed out.");
      await reload();
    }, { class: "danger small", "aria-label": `Sign out: ${name}, ${browserName(one.agent)}` }));
}

/** What a browser and its system are called, as far as its name for itself says so. */
export function browserName(agent) {
  const find = (names) => names.find(([mark]) => agent.includes(mark))?.[1];
  const browser = find([["Edg", "Edge"], ["OPR/", "Opera"], ["Firefox/", "Firefox"], ["HeadlessChrome", "Chrome"], ["Chrome/", "Chrome"], ["Safari/", "Safari"]]);
  const system = find([["iPhone", "iPhone"], ["iPad", "iPad"], ["Android", "Android"], ["Mac OS X", "macOS"], ["Windows", "Windows"], ["CrOS", "ChromeOS"], ["Linux", "Linux"]]);
  return [browser ?? (agent.slice(0, 40) || "A browser that says nothing of itself"), system].filter(Boolean).join(" on ");
}
