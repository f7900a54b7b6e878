// The wizard of a channel: where to click, what to paste, and what is left to do there once the API has checked it.

import { Problem, botPath, post } from "../api.js";
import { botHref, botPage } from "../bot_page.js";
import { CHANNELS, channelLabel } from "../channels.js";
import { h, replace } from "../dom.js";
import { field, form, listed } from "../forms.js";
import { badge, card, copyable, linkButton } from "../ui.js";

export const addChannelPage = (context) => botPage(context, "/channels", (bot) => {
  const wizard = CHANNELS[context.params.channel];
  if (!wizard) throw new Problem(404, "Not here", "There is no such channel. The bot's channels list those that there are.");
  const { label, steps, fields: asked, login, settings } = wizard;
  const fields = asked.map(([name, props]) => [name, field(props)]);
  const place = h("div", { class: "stack" });
  const send = async () => {
    const values = Object.fromEntries(fields.map(([name, one]) => [name, one.value.trim()]));
    const missing = asked.find(([name, props]) => props.required && !values[name]);
    if (missing) throw new Problem(400, "Missing", `${missing[1].path}: paste what the steps above lead to.`);
    const access = values.dm_policy && { dm_policy: values.dm_policy, allow_from: listed(values.allow ?? "") };
    const link = await post(botPath(bot.id, "links"), { channel: context.params.channel, ...login(values), settings: settings?.(values), access: access || undefined });
    replace(place, done(bot, link));
    place.querySelector("h2").focus();
  };
  replace(place, card(`Put ${bot.name} on ${label}`, h("ol", { class: "steps" }, steps.map(step)),
    form({ fields: fields.map(([, one]) => one), action: "Check and link", send, extra: h("a", { class: "button", href: botHref(bot, "/channels") }, "Cancel") })));
  return place;
});

const step = ([text, href, rest]) => h("li", {}, href ? [h("a", { href, target: "_blank", rel: "noopener noreferrer" }, text), rest] : text);

/** What the channel said, and what it still needs. */
function done(bot, link) {
  const { webhook } = link;
  const needsAddress = webhook && !webhook.registered && !link.settings?.polling && link.channel !== "matrix";
  return h("section", { class: "card" },
    h("h2", { tabindex: "-1" }, `${bot.name} is on ${channelLabel(link.channel)}`, link.handle && ` as @${link.handle}`),
    h("p", {}, badge("good", "Checked"), " The login works."),
    webhook?.hint && h("p", {}, webhook.hint),
    needsAddress && copyable("Webhook path", webhook.path),
    webhook?.secret && copyable("Secret", webhook.secret),
    webhook?.secret && h("p", { class: "hint" }, "The secret is shown only this once."),
    needsAddress && h("p", {}, "“Check”, under the bot's channels, says later whether anything is missing there."),
    link.access.dm_policy === "pairing" && h("p", {}, "Write to the bot there: it answers with a code, and you let yourself in under its channels. The first who is let in owns the bot there."),
    h("p", { class: "actions" }, linkButton("See its channels", botHref(bot, "/channels"), "primary")));
}
