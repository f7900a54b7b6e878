// What a bot thinks with: its model, those that are asked when it does not answer, and those that look at pictures.

import { Problem } from "../api.js";
import { h } from "../dom.js";
import { inDollars, micros } from "../format.js";
import { STORED, field, form, secretField } from "../forms.js";
import { again } from "../router.js";
import { button, card } from "../ui.js";
import { may } from "../who.js";

/** Whose models a name without a provider means. */
const DEFAULT_PROVIDER = "openai";
const providerOf = (model) => (model.includes("/") ? model.split("/")[0] : DEFAULT_PROVIDER);

const APIS = [["", "The provider's own"], ["openai-completions", "OpenAI's chat completions"], ["openai-responses", "OpenAI's responses"], ["anthropic-messages", "Anthropic's messages"], ["google-generative-ai", "Google's generateContent"], ["bedrock-converse-stream", "Amazon Bedrock's Converse"]];

export function modelCard(bot, save, state) {
  const settings = bot.model;
  const ref = field({ label: "Model", path: "model.model", value: settings.model ?? "", placeholder: "openai/gpt-5.1", hint: "As provider/model. Empty: the built-in demo." });
  const key = secretField({ label: "API key", path: "model.api_key", isStored: settings.has_api_key, for: "provider" });
  const thinking = field({ label: "Thinking", path: "model.thinking", type: "select", value: settings.thinking ?? "", options: [["", "As the provider sees fit"], ...["off", "minimal", "low", "medium", "high", "xhigh"].map((word) => [word, word])] });
  const url = field({ label: "Base URL", path: "model.base_url", type: "url", value: settings.base_url ?? "", hint: "Only for a server that is not the provider's own." });
  const api = field({ label: "Protocol", path: "model.api", type: "select", value: settings.api ?? "", options: APIS });
  const context = field({ label: "Tokens that it reads at most", path: "model.context_window", type: "number", min: 0, step: 1, value: settings.context_window ?? "", hint: "Empty: what is known of the model." });
  const price = (name, label) => field({ label, path: `model.price.${name}`, type: "number", min: 0, step: "any", value: inDollars(settings.price?.[name]) });
  const [input, output] = [price("input", "Dollars per million tokens in"), price("output", "Dollars per million tokens out")];
  const isUnusual = Boolean(settings.base_url || settings.api || settings.context_window || settings.price);
  const rare = h("details", { open: isUnusual }, h("summary", {}, "A server of one's own, prices"),
    h("div", { class: "details" }, url.element, api.element, context.element, h("div", { class: "pair", "data-path": "model.price" }, input.element, output.element), h("p", { class: "hint" }, "Prices of well-known models are known; give them for others, and budgets in dollars can be kept.")));
  return card("Model", form({ fields: [ref, key, thinking, rare], action: "Save", send: async () => {
    const name = ref.value.trim();
    if ((input.value === "") !== (output.value === "")) throw new Problem(400, "Not saved", "model.price: give both prices, or neither.");
    const prices = input.value !== "" ? { ...state.bot.model.price, input: micros(input.value), output: micros(output.value) } : null;
    const changes = name === "" ? { model: null } : {
      model: name, base_url: url.value.trim() || null, api: api.value || null, thinking: thinking.value || null, price: prices,
      context_window: context.value === "" ? null : Number(context.value),
    };
    if (name !== "" && key.value.trim() !== "") changes.api_key = key.value.trim();
    const before = state.bot.model.model;
    try {
      await save({ model: changes });
    } catch (error) {
      rare.open ||= Boolean(error.field && rare.querySelector(`[data-path="${CSS.escape(error.field)}"]`));
      throw error;
    }
    key.keep(state.bot.model.has_api_key);
    // What depends on the model is shown anew: the head of the page, and the fallbacks.
    if (state.bot.model.model !== before) again();
  } }));
}

/** The models that are asked in turn when the bot's own does not answer. */
export function fallbackCard(bot, save) {
  return othersCard(bot, save, {
    title: "Fallbacks",
    about: "Asked in this order while the model above is down, refuses the key or asks for payment.",
    demo: "The built-in demo never fails. Give the bot a model first.",
    models: bot.model.fallbacks,
    path: (index) => `model.fallbacks[${index}]`,
    change: (fallbacks) => ({ fallbacks }),
  });
}

/** The models that look at pictures for the bot's own. */
export function imageCard(bot, save) {
  const { image_model: known } = bot.model;
  return othersCard(bot, save, {
    title: "Pictures",
    about: "Looked at by the first of these that answers, which tells the model above what it sees. None: the model sees pictures itself, if it can.",
    demo: "The built-in demo sees no pictures. Give the bot a model first.",
    models: known ? [known.primary, ...(known.fallbacks ?? [])] : [],
    path: (index) => (index === 0 ? "model.image_model.primary" : `model.image_model.fallbacks[${index - 1}]`),
    change: ([primary, ...fallbacks]) => ({ image_model: primary ? { primary, fallbacks } : null }),
  });
}

/**
 * A list of models beside the bot's own, each with the key of its provider. `models` are the known ones, `path` names the field of
 * one, `change` is what of the settings becomes another with a list.
 */
function othersCard(bot, save, { title, about, demo, models, path, change }) {
  const settings = bot.model;
  const said = h("p", { class: "muted" }, about);
  if (!settings.model) return card(title, said, h("p", {}, demo));
  const rows = [];
  const list = h("ol", { class: "models" });
  const add = (known) => {
    const model = field({ label: "Model", value: known.model ?? "", placeholder: "anthropic/claude-sonnet-4-5" });
    const key = secretField({ label: "API key of its provider" });
    const url = field({ label: "Base URL", type: "url", value: known.base_url ?? "", hint: "Empty: the provider's own." });
    const tell = () => {
      const provider = providerOf(model.value.trim());
      const isOwn = provider === providerOf(settings.model);
      key.input.disabled = isOwn && model.value.trim() !== "";
      key.input.placeholder = key.input.disabled ? "The model's own" : settings.keys.includes(provider) ? STORED : "";
    };
    model.input.addEventListener("input", tell);
    tell();
    const row = { known, model, key, url };
    const element = h("li", { class: "details" }, model.element, h("div", { class: "pair" }, key.element, url.element), may("bots:write") && h("p", {}, button("Take it out", () => {
      rows.splice(rows.indexOf(row), 1);
      element.remove();
    }, { class: "small" })));
    rows.push(row);
    list.append(element);
  };
  models.forEach(add);
  const more = button("Add a model", () => add({}), { name: "add", needs: "bots:write" });
  return card(title, said, form({ fields: [list], action: "Save", extra: more, send: async () => {
    const keys = {};
    const all = rows.map(({ known, model, key, url }, index) => {
      const name = model.value.trim();
      Object.assign(model.element.dataset, { path: `${path(index)}.model` });
      Object.assign(url.element.dataset, { path: `${path(index)}.base_url` });
      Object.assign(key.element.dataset, { path: `model.keys.${providerOf(name)}` });
      if (!key.input.disabled && key.value.trim() !== "") keys[providerOf(name)] = key.value.trim();
      // What was said of one model does not hold for another.
      const kept = known.model === name ? known : {};
      return { ...kept, model: name, base_url: url.value.trim() || undefined };
    });
    await save({ model: { ...change(all), ...(Object.keys(keys).length > 0 && { keys }) } });
    again();
  } }));
}
