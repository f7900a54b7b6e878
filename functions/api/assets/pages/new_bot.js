// The first minutes of a bot: its name, what it thinks with, and then it talks.

import { items, post } from "../api.js";
import { botHref } from "../bot_page.js";
import { h, replace } from "../dom.js";
import { choice, field, form } from "../forms.js";
import { go } from "../router.js";
import { pageHead } from "../ui.js";

const PROVIDERS = {
  demo: { title: "Built-in demo", text: "Needs no key. It echoes and knows the time: enough to see everything work." },
  openai: { title: "OpenAI", text: "gpt and its like, with a key from platform.openai.com.", model: "openai/gpt-5.1" },
  anthropic: { title: "Anthropic", text: "Claude, with a key from console.anthropic.com.", model: "anthropic/claude-sonnet-4-5" },
  google: { title: "Google", text: "Gemini, with a key from aistudio.google.com.", model: "google/gemini-2.5-flash" },
  openrouter: { title: "OpenRouter", text: "Hundreds of models with one key.", model: "openrouter/openai/gpt-5.1" },
  other: { title: "Another", text: "Anything that speaks OpenAI's protocol: your own server, a company's gateway.", model: "my/model" },
};

export async function newBotPage({ signal }) {
  const templates = await items("/v1/templates", { signal });
  const name = field({ label: "Name", path: "name", placeholder: "heron", required: true, autocapitalize: "off", hint: "Letters, digits, spaces and dashes. It is what you and its addresses call the bot; it can change." });
  const model = field({ label: "Model", path: "model.model", hint: "As provider/model." });
  const key = field({ label: "API key", path: "model.api_key", type: "password", hint: "It is kept encrypted, and nobody can read it again." });
  const url = field({ label: "Base URL", path: "model.base_url", type: "url", placeholder: "https://models.example.org/v1" });
  const details = h("div", { class: "details" });
  const pick = (provider) => {
    const { model: example } = PROVIDERS[provider];
    if (example) model.input.value = example;
    replace(details, example && model.element, provider === "other" && url.element, example && key.element);
  };
  const provider = choice({ legend: "What does it think with?", path: "model", value: "demo", onchange: pick, options: Object.entries(PROVIDERS).map(([id, { title, text }]) => [id, title, text]) });
  const template = choice({ legend: "What does it begin as?", path: "template", value: templates[0].id, options: templates.map(({ id, title, about }) => [id, title, about]) });
  const send = async () => {
    const settings = provider.value === "demo" ? undefined : { model: model.value.trim(), api_key: key.value.trim() || undefined, base_url: (provider.value === "other" && url.value.trim()) || undefined };
    const bot = await post("/v1/bots", { name: name.value.trim(), template: template.value, model: settings, time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone });
    go(botHref(bot));
  };
  pick("demo");
  return [
    pageHead("New bot"),
    h("ol", { class: "way", "aria-label": "Steps" }, h("li", {}, "Name"), h("li", {}, "Model"), h("li", {}, "Talk")),
    h("div", { class: "card narrow" }, form({ fields: [name, template, provider, details], action: "Make it and talk", send, extra: h("a", { class: "button", href: "/" }, "Cancel") })),
  ];
}
