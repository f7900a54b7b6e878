// API keys: how programs and terminals come in.

import { items, path, post, remove } from "../api.js";
import { h, replace } from "../dom.js";
import { field, form } from "../forms.js";
import { button, card, confirm, copyable, empty, loaded, pageHead, say, table, timeOf } from "../ui.js";

/** What a new key may do, by what it is for. Without a list it may do what its maker may. */
const GRANTS = {
  same: ["all that I may", undefined],
  look: ["look, and change nothing", ["account:read", "bots:read", "sessions:read", "usage:read"]],
  talk: ["see bots and talk to them", ["bots:read", "chat"]],
  manage: ["change bots, and see what they say and spend", ["account:read", "bots:read", "bots:write", "sessions:read", "chat", "usage:read"]],
};

export async function keysPage({ signal }) {
  const list = loaded(async (reload) => {
    const keys = await items("/v1/keys", { signal });
    const gone = (key) => button("Delete", async () => {
      if (!(await confirm({ title: `Delete the key ${key.name}?`, text: "Whatever uses it is locked out at once.", action: "Delete it" }))) return;
      await remove(path("v1", "keys", key.id));
      say("Deleted.");
      await reload();
    }, { class: "danger small", "aria-label": `Delete ${key.name}` });
    if (keys.length === 0) return empty("key", "No keys", "Programs and terminals come in with an API key.");
    return card(null, table("API keys", ["Name", "May", "Made", ""], keys.map((key) => [key.name, h("span", { class: "muted" }, key.scopes.includes("admin") && key.scopes.includes("keys:write") ? "everything" : key.scopes.join(", ")), timeOf(key.created_at), gone(key)])));
  });
  await list.ready;
  const name = field({ label: "What is it for?", path: "name", placeholder: "Backup script" });
  const grant = field({ label: "It may", path: "scopes", type: "select", value: "look", options: Object.entries(GRANTS).map(([id, [text]]) => [id, text]) });
  const made = h("div", { role: "status" });
  const create = form({ fields: [name, grant], action: "Make a key", needs: "keys:write", send: async () => {
    const key = await post("/v1/keys", { name: name.value, scopes: GRANTS[grant.value][1] });
    replace(made, copyable("Key", key.secret), h("p", { class: "hint" }, "It is shown only this once."));
    name.input.value = "";
    await list.reload();
  } });
  return [pageHead("API keys"), list, card("New key", create, made)];
}
