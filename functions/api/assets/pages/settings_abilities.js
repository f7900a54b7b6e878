// What a bot may use beside its model: tools, a search engine, ears, and servers of further tools.

import { Problem } from "../api.js";
import { h } from "../dom.js";
import { field, form, inCommas, listed, secretField } from "../forms.js";
import { again } from "../router.js";
import { button, card, confirm } from "../ui.js";
import { may } from "../who.js";

/** A key as a request gives it: left out, the stored one stays. */
const given = (key) => (key.value.trim() === "" ? {} : { [key.input.dataset.name]: key.value.trim() });

/** A field for a secret of a service, named in requests as `name`. */
function secret(label, path, name, isStored) {
  const one = secretField({ label, path, isStored, for: isStored && "address" });
  one.input.dataset.name = name;
  return one;
}

export function toolsCard(bot, save) {
  const policy = bot.abilities.tools;
  const profile = field({ label: "Tools", path: "abilities.tools.profile", type: "select", value: policy.profile ?? "full", options: [["full", "all"], ["coding", "files, pictures, the web, sessions"], ["messaging", "messages and sessions"], ["minimal", "only the time and the session"]] });
  const list = (label, name, more = {}) => field({ label, path: `abilities.tools.${name}`, value: inCommas(policy[name]), ...more });
  const ask = list("Only once you approve the call", "ask", { placeholder: "write, group:web" });
  const deny = list("Never", "deny");
  const allow = list("Of these, only", "allow", { hint: "Empty: all of them." });
  const also = list("Beside these, also", "also_allow");
  const rare = h("details", { open: Boolean(policy.allow?.length || policy.also_allow?.length) }, h("summary", {}, "Fewer, or more"), h("div", { class: "details" }, allow.element, also.element));
  return card("Tools", form({ fields: [profile, ask, deny, rare, h("p", { class: "hint" }, "Names with commas between them. A name may end in *, and group:web stands for all of a group.")], action: "Save",
    send: () => save({ abilities: { tools: { profile: profile.value, ask: listed(ask.value), deny: listed(deny.value), allow: listed(allow.value), also_allow: listed(also.value) } } }) }));
}

export function searchCard(bot, save, state) {
  const search = bot.abilities.search;
  const provider = field({ label: "It searches with", path: "abilities.search.provider", type: "select", value: search?.provider ?? "", options: [["", "nothing: it does not search the web"], ["brave", "Brave Search"], ["tavily", "Tavily"], ["searxng", "a SearXNG server"]], onchange: () => tell() });
  const key = secret("API key", "abilities.search.api_key", "api_key", search?.has_api_key);
  const url = field({ label: "Base URL", path: "abilities.search.base_url", type: "url", value: search?.base_url ?? "", placeholder: "https://search.example.org", hint: "Only for a server that is not the provider's own." });
  const more = h("div", { class: "details" }, key.element, url.element);
  const tell = () => (more.hidden = provider.value === "");
  tell();
  return card("Web search", form({ fields: [provider, more], action: "Save", send: async () => {
    await save({ abilities: { search: provider.value === "" ? null : { provider: provider.value, base_url: url.value.trim() || null, ...given(key) } } });
    key.keep(state.bot.abilities.search?.has_api_key);
  } }));
}

export function transcriptionCard(bot, save, state) {
  const ears = bot.abilities.transcription;
  const url = field({ label: "Base URL", path: "abilities.transcription.base_url", type: "url", value: ears?.base_url ?? "", placeholder: "https://api.openai.com/v1", hint: "An API like OpenAI's. Empty: the bot is only told that there was a voice note." });
  const model = field({ label: "Model", path: "abilities.transcription.model", value: ears?.model ?? "", placeholder: "whisper-1" });
  const key = secret("API key", "abilities.transcription.api_key", "api_key", ears?.has_api_key);
  return card("Voice notes", form({ fields: [url, model, key], action: "Save", send: async () => {
    const isOff = url.value.trim() === "";
    if (!isOff && model.value.trim() === "") throw new Problem(400, "Not saved", "abilities.transcription.model: say which model writes them down.");
    await save({ abilities: { transcription: isOff ? null : { base_url: url.value.trim(), model: model.value.trim(), ...given(key) } } });
    key.keep(state.bot.abilities.transcription?.has_api_key);
  } }));
}

/** Servers of tools that speak the Model Context Protocol. */
export function serversCard(bot, save) {
  const servers = Object.entries(bot.abilities.mcp);
  const change = async (name, changes) => {
    await save({ abilities: { mcp: { [name]: changes } } });
    again();
  };
  const known = ([name, server]) => {
    const parts = serverFields(server);
    const gone = button("Remove", async () => {
      if (await confirm({ title: `Remove ${name}?`, text: "The bot does not have its tools any more, and its token is forgotten.", action: "Remove it" })) await change(name, null);
    }, { class: "danger", needs: "bots:write" });
    return h("details", {}, h("summary", {}, h("strong", {}, name), ` · ${server.url}`), form({ fields: parts.fields, action: "Save", extra: gone, send: () => change(name, parts.read(name)) }));
  };
  const name = field({ label: "Name", path: "abilities.mcp", placeholder: "tickets", autocapitalize: "off", hint: "Lower case letters, digits and dashes. Its tools' names begin with it." });
  const parts = serverFields({});
  const add = form({ fields: [name, ...parts.fields], action: "Add it", send: async () => {
    const called = name.value.trim();
    if (called === "") throw new Problem(400, "Not added", "abilities.mcp: give the server a name.");
    await change(called, parts.read(called));
  } });
  return card("Tool servers", h("p", { class: "muted" }, "Servers that speak the Model Context Protocol give the bot further tools."), servers.map(known), servers.length === 0 && h("p", {}, "It has none."),
    may("bots:write") && h("details", {}, h("summary", {}, "Add a server"), add));
}

function serverFields(server) {
  const url = field({ label: "Address", type: "url", value: server.url ?? "", placeholder: "https://mcp.example.org/mcp" });
  const token = secret("Token", undefined, "token", server.has_token);
  const repeatable = field({ label: "Tools that may run twice", value: inCommas(server.repeatable), hint: "Where a crash leaves it unknown how they ended. With commas between them." });
  return {
    fields: [url, token, repeatable],
    /** What the fields say of the server of this name, under which errors name them. */
    read: (name) => {
      url.element.dataset.path = `abilities.mcp.${name}.url`;
      token.element.dataset.path = `abilities.mcp.${name}.token`;
      repeatable.element.dataset.path = `abilities.mcp.${name}.repeatable`;
      return { ...(url.value.trim() !== "" && { url: url.value.trim() }), repeatable: listed(repeatable.value), ...given(token) };
    },
  };
}
