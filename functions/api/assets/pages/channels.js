// Where a bot listens: its links, who waits to be let in, and the way to more.

import { Problem, botPath, get, items, patch, post, remove } from "../api.js";
import { botHref, botPage } from "../bot_page.js";
import { CHANNELS, channelLabel } from "../channels.js";
import { h, replace } from "../dom.js";
import { field, form, listed } from "../forms.js";
import { icon } from "../icons.js";
import { more } from "../paging.js";
import { badge, button, card, confirm, copyable, empty, loaded, say, sentence, timeOf } from "../ui.js";
import { may } from "../who.js";

const POLICIES = [["pairing", "Whoever is approved"], ["allowlist", "Listed people only"], ["open", "Everybody"], ["disabled", "Nobody"]];
const GROUP_POLICIES = [["allowlist", "In groups that are listed"], ["open", "In every group"], ["disabled", "In none"]];
const STATES = { active: ["good", "Active"], paused: ["warn", "Paused"], failed: ["bad", "Failed"] };

export const channelsPage = (context) => botPage(context, "/channels", async (bot) => {
  const { signal } = context;
  const links = loaded(async (reload) => {
    const path = botPath(bot.id, "links");
    const first = await get(path, { signal });
    if (first.items.length === 0) {
      return empty("link", "On no channel yet", may("bots:write") ? "You can always talk to it here. Put it on a channel below, and others can write to it there." : "It can be talked to here. Who may change it can put it on a channel.");
    }
    const cards = (links) => links.map((link) => linkCard(bot, link, reload));
    const list = h("div", { class: "stack" }, cards(first.items));
    return [list, more({ path, next: first.next, label: "More channels", signal, show: (links) => list.append(...cards(links)) })];
  });
  await links.ready;
  if (!may("bots:write")) return links;
  const choices = Object.entries(CHANNELS).map(([name, { label, about }]) =>
    h("li", {}, h("a", { class: "pick", href: botHref(bot, `/channels/add/${name}`) }, h("strong", {}, label), h("span", {}, about))));
  return [links, h("section", { "aria-labelledby": "more" }, h("h2", { id: "more", class: "section" }, "Add a channel"), h("ul", { class: "picks" }, choices))];
});

function linkCard(bot, link, reload) {
  const path = (...more) => botPath(bot.id, "links", link.id, ...more);
  const { state, reason } = link.status;
  const act = (name, done) => async () => {
    await post(path(name));
    say(done);
    await reload();
  };
  // It is there from the start, so that what comes into it is read out.
  const found = h("div", { class: "findings", role: "status" });
  const title = [channelLabel(link.channel), link.handle && h("span", { class: "muted" }, ` @${link.handle}`)];
  return h("section", { class: "card" },
    h("div", { class: "bot-top" }, h("h2", {}, title), badge(...STATES[state])),
    reason && h("p", { class: "error" }, `${reason}. Repair it there, then resume the link; or give it another login below.`),
    ["webhook", "slack", "whatsapp", "telegram", "discord"].includes(link.channel) && !link.settings?.polling && copyable("Webhook path", `/hooks/${link.channel}/${link.id}`),
    link.access.dm_policy === "pairing" && may("sessions:read") && pairings(path),
    accessForm(path, link, reload),
    may("bots:write") && loginForm(path, link, reload),
    may("bots:write") && h("p", { class: "actions" },
      button("Check", async () => {
        replace(found);
        replace(found, findings(await post(path("check"))));
      }),
      state === "active" ? button("Pause", act("pause", "Paused. What people write there is not answered."), {}) : button("Resume", act("resume", "It listens again."), { class: "primary" }),
      button("Remove", async () => {
        const sure = await confirm({ title: `Take ${bot.name} off ${channelLabel(link.channel)}?`, text: "Its login there is forgotten. The conversations stay.", action: "Remove it" });
        if (!sure) return;
        await remove(path(), { ifMatch: link.version });
        say("Removed.");
        await reload();
      }, { class: "danger" })),
    found);
}

/** What a check found, and what to do about it. */
function findings({ checked_at: at, findings: all }) {
  const wrong = all.filter(({ ok }) => !ok).length;
  const summary = wrong === 0 ? "Nothing is amiss." : wrong === 1 ? "One thing needs you." : `${wrong} things need you.`;
  return [h("p", {}, h("strong", {}, summary), " Checked ", timeOf(at), "."), h("ul", {}, all.map(({ what, ok, problem, what_to_do: todo }) =>
    h("li", { class: ok ? "good" : "bad" }, icon(ok ? "check" : "alert"), h("div", {}, h("span", { class: "sr" }, ok ? "In order: " : "Amiss: "), h("strong", {}, what),
      problem && h("p", {}, problem), todo && h("p", {}, sentence(todo))))))];
}

/** Strangers who were given a code. */
function pairings(path) {
  const list = loaded(async (reload) => {
    const waiting = await items(path("pairings"));
    if (waiting.length === 0) return h("p", { class: "muted" }, "Nobody waits to be let in. A stranger who writes to the bot is given a code and shows up here. ", button("Look again", reload, { class: "small" }));
    return h("ul", { class: "rows" }, waiting.map(({ code, sender, requested_at: at }) => h("li", {}, h("div", {}, h("strong", {}, sender.name ?? sender.username ?? sender.id), sender.username && ` @${sender.username}`, " · ", h("code", {}, code), " · ", timeOf(at)),
      button("Let in", async () => {
        const paired = await post(path("pairings", "approve"), { code });
        say(paired.owner ? `${sender.name ?? sender.id} is in, and owns the bot there.` : `${sender.name ?? sender.id} is in.`);
        await reload();
      }, { class: "primary small", needs: "bots:write" }))));
  });
  return h("div", { class: "pairings" }, h("h3", {}, "Waiting to be let in"), list);
}

/** Who may write: in direct messages, and in groups. */
function accessForm(path, link, reload) {
  const { access } = link;
  const words = (list) => (list ?? []).join(", ");
  const policy = field({ label: "Who may write in direct messages", path: "access.dm_policy", type: "select", value: access.dm_policy, options: POLICIES });
  const allow = field({ label: "May write without approval", path: "access.allow_from", value: words(access.allow_from), hint: "Ids or @handles, with commas between them." });
  const owners = field({ label: "Own the bot there", path: "access.owners", value: words(access.owners), hint: "They approve what its tools ask for." });
  const groups = access.groups ?? {};
  const groupPolicy = field({ label: "In groups it listens", path: "access.group_policy", type: "select", value: access.group_policy, options: GROUP_POLICIES });
  const listedGroups = field({ label: "Groups", path: "access.groups", value: Object.keys(groups).join(", "), hint: "The channel's ids of chats, with commas between them; * stands for every other." });
  const talkative = field({ label: "Groups where it answers without being mentioned", path: "access.groups", value: words(Object.keys(groups).filter((name) => !groups[name].require_mention)), hint: "Some of those above." });
  const speakers = field({ label: "Who may speak to it in groups", path: "access.group_allow_from", value: words(access.group_allow_from), hint: "Empty: whoever is in the group." });
  const mentions = field({ label: "Words that count as a mention", path: "access.mention_patterns", value: words(access.mention_patterns), hint: "Beside its handle." });
  const groupRules = () => {
    const quiet = new Set(listed(listedGroups.value));
    const loud = listed(talkative.value);
    const stray = loud.find((name) => !quiet.has(name));
    if (stray) throw new Problem(400, "Not saved", `access.groups: ${stray} is not among the groups.`);
    return Object.fromEntries([...quiet].map((name) => [name, { ...groups[name], require_mention: !loud.includes(name) }]));
  };
  const fields = [policy, allow, owners, h("h3", {}, "Groups"), groupPolicy, listedGroups, talkative, speakers, mentions];
  return h("details", {}, h("summary", {}, "Who may write"), form({ fields, action: "Save", send: async () => {
    await patch(path(), { access: {
      ...access, dm_policy: policy.value, allow_from: listed(allow.value), owners: listed(owners.value),
      group_policy: groupPolicy.value, groups: groupRules(), group_allow_from: listed(speakers.value), mention_patterns: listed(mentions.value),
    } }, { ifMatch: link.version });
    await reload();
    say("Saved.");
  } }));
}

/** Another login on the same channel, as the channel's wizard asks for it: the links, the people and the conversations stay. */
function loginForm(path, link, reload) {
  const wizard = CHANNELS[link.channel];
  // A webhook's secret is ours.
  const secrets = wizard?.fields.filter(([, props]) => props.type === "password") ?? [];
  if (secrets.length === 0) return null;
  const fields = secrets.map(([name, props]) => [name, field({ ...props, required: undefined })]);
  return h("details", {}, h("summary", {}, "Give it another login"), form({ fields: [h("p", { class: "hint" }, "When a token was renewed there, or leaked. Who may write and what was said stay."), ...fields.map(([, one]) => one)], action: "Check and replace", send: async () => {
    const values = Object.fromEntries(fields.map(([name, one]) => [name, one.value.trim()]));
    const missing = secrets.find(([name, props]) => props.required && !values[name]);
    if (missing) throw new Problem(400, "Missing", `${missing[1].path}: paste the new one.`);
    const { token, credentials } = wizard.login(values);
    const changed = await patch(path(), { token, credentials }, { ifMatch: link.version });
    await reload();
    say(changed.status.state === "failed" ? "Replaced, and it does not work yet." : "Replaced, and checked.");
    if (changed.webhook?.secret) document.querySelector(".loaded")?.before(card(`What ${channelLabel(link.channel)} has to know anew`, changed.webhook.hint && h("p", {}, changed.webhook.hint), copyable("Webhook path", changed.webhook.path), copyable("Secret", changed.webhook.secret), h("p", { class: "hint" }, "The secret is shown only this once.")));
  } }));
}
