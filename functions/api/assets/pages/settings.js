// How a bot thinks, listens and spends. Each card is saved by itself.

import { botPath, patch, post, remove } from "../api.js";
import { botHref, botPage } from "../bot_page.js";
import { h } from "../dom.js";
import { inDollars, micros, when } from "../format.js";
import { field, form } from "../forms.js";
import { again, go, renamed } from "../router.js";
import { button, card, confirm, say } from "../ui.js";
import { may } from "../who.js";
import { searchCard, serversCard, toolsCard, transcriptionCard } from "./settings_abilities.js";
import { fallbackCard, imageCard, modelCard } from "./settings_model.js";

export const settingsPage = (context) => botPage(context, "/settings", (bot) => {
  // What another card saved meanwhile is the version to change.
  const state = { bot };
  const save = async (changes) => {
    const before = state.bot.name;
    state.bot = await patch(botPath(bot.id), changes, { ifMatch: state.bot.version });
    say("Saved.");
    if (state.bot.name !== before) {
      renamed(botHref(state.bot, "/settings"));
      again();
    }
  };
  const isOpen = may("bots:write");
  return [
    !isOpen && h("p", { class: "muted" }, "Your role lets you look at these, and change nothing."),
    h("div", { class: "columns" }, general(bot, save), modelCard(bot, save, state), fallbackCard(bot, save), imageCard(bot, save), budget(bot, save), messages(bot, save), toolsCard(bot, save), searchCard(bot, save, state), transcriptionCard(bot, save, state), serversCard(bot, save),
      isOpen && clone(bot), isOpen && danger(bot, state)),
  ];
});

function general(bot, save) {
  const name = field({ label: "Name", path: "name", value: bot.name });
  const zone = field({ label: "Time zone", path: "time_zone", value: bot.time_zone, hint: "Such as Europe/Berlin. Its schedules and its sense of time follow it." });
  return card("General", form({ fields: [name, zone], action: "Save", send: () => save({ name: name.value, time_zone: zone.value }) }));
}

function budget(bot, save) {
  const now = bot.budget ?? {};
  const period = field({ label: "Counted by", path: "budget.period", type: "select", value: now.period ?? "month", options: [["month", "month"], ["day", "day"]] });
  const money = field({ label: "Dollars", path: "budget.micros", type: "number", min: 0, step: "any", value: inDollars(now.micros), hint: "Empty: no limit. At the limit the bot says so, and asks no model." });
  const turns = field({ label: "Turns", path: "budget.turns", type: "number", min: 0, step: 1, value: now.turns ?? "", hint: "Empty: no limit." });
  const turn = field({ label: "Dollars for one turn", path: "turn_budget", type: "number", min: 0, step: "any", value: inDollars(bot.turn_budget), hint: "Empty: no limit." });
  return card("Budget", form({ fields: [h("div", { class: "pair" }, money.element, turns.element), period, turn], action: "Save", send: () => {
    const limits = { period: period.value, ...(money.value === "" ? {} : { micros: micros(money.value) }), ...(turns.value === "" ? {} : { turns: Number(turns.value) }) };
    return save({ budget: money.value === "" && turns.value === "" ? null : limits, turn_budget: turn.value === "" ? null : micros(turn.value) });
  } }));
}

function messages(bot, save) {
  const { queue, resets } = bot;
  const reset = resets.reset ?? {};
  const mode = field({ label: "A message while it answers another", path: "queue.mode", type: "select", value: queue.mode, options: [["steer", "joins the answer"], ["followup", "is answered afterwards"], ["collect", "is answered together with others"], ["interrupt", "ends the answer and is answered instead"]] });
  const debounce = field({ label: "Pause to gather, in ms", path: "queue.debounce_ms", type: "number", min: 0, max: 60000, value: queue.debounce_ms });
  const cap = field({ label: "Messages that may wait", path: "queue.cap", type: "number", min: 1, value: queue.cap });
  const scope = field({ label: "Direct chats share", path: "dm_scope", type: "select", value: bot.dm_scope, options: [["main", "one conversation"], ["per-peer", "one per person"], ["per-channel-peer", "one per person and channel"], ["per-account-channel-peer", "one per person, channel and login"]] });
  const streaming = field({ label: "While it writes, people see", path: "streaming", type: "select", value: bot.streaming, options: [["partial", "the text so far"], ["block", "each step in a message"], ["progress", "which tools it uses"], ["off", "only that it types"]] });
  const when = field({ label: "A conversation begins anew", path: "resets", type: "select", value: reset.mode ?? "none", options: [["none", "when somebody asks for it"], ["daily", "each day"], ["idle", "after a pause"]] });
  const hour = field({ label: "At hour", path: "resets.at_hour", type: "number", min: 0, max: 23, value: reset.at_hour ?? "", hint: "For each day; 4 unless given." });
  const idle = field({ label: "After minutes", path: "resets.idle_minutes", type: "number", min: 1, value: reset.idle_minutes ?? "", hint: "Of a pause; 60 unless given." });
  const number = (one) => (one.value === "" ? undefined : Number(one.value));
  return card("Conversations", form({ fields: [scope, mode, h("div", { class: "pair" }, debounce.element, cap.element), streaming, when, h("div", { class: "pair" }, hour.element, idle.element)], action: "Save", send: () => save({
    dm_scope: scope.value,
    streaming: streaming.value,
    queue: { mode: mode.value, debounce_ms: number(debounce), cap: number(cap) },
    resets: { ...resets, reset: { mode: when.value, at_hour: number(hour), idle_minutes: number(idle) } },
  }) }));
}

function clone(bot) {
  const name = field({ label: "The new bot's name", path: "name", placeholder: `${bot.name} two`, autocapitalize: "off" });
  const memory = field({ label: "It remembers what this one does", path: "memory", type: "checkbox", hint: "MEMORY.md, memory/ and USER.md. Without them it knows nobody yet." });
  return card("Clone", h("p", {}, "A bot with the same settings, files and skills. It is on no channel, its schedules are switched off, and it has had no conversations."), form({ fields: [name, memory], action: "Clone it", send: async () => {
    const copy = await post(botPath(bot.id, "clone"), { name: name.value.trim(), memory: memory.value });
    say(`${copy.name} is there.`);
    go(botHref(copy));
  } }));
}

/** What it says of a bot that is in this state. */
const STATES = {
  active: () => "It answers who writes to it.",
  paused: () => "It is paused: nobody is answered.",
  archived: () => "It is archived: its channels are paused and its schedules stand still, and nothing is lost.",
  deleted: (bot) => ["It is deleted, and will be removed with all that it has on ", h("strong", {}, when(bot.delete_at)), ". Until then it can be restored."],
};

function danger(bot, state) {
  const act = (label, name, done, kind = "") => button(label, async () => {
    await post(botPath(bot.id, name));
    say(done);
    again();
  }, { class: kind });
  const isAtRest = bot.status === "archived" || bot.status === "deleted";
  const wake = isAtRest ? act("Restore it", "restore", "It is back.", "primary") : bot.status === "paused" ? act("Resume it", "resume", "It answers again.") : act("Pause it", "pause", "It is paused.");
  const archive = !isAtRest && act("Archive it", "archive", "It is archived.");
  const erase = button(bot.status === "deleted" ? "Remove it now" : "Delete it", async () => {
    const isFinal = bot.status === "deleted";
    const text = isFinal ? "Its channels, files, schedules and conversations go with it, and cannot be brought back." : "It stops at once. For a week it can be restored; then its channels, files, schedules and conversations go with it.";
    const sure = await confirm({ title: isFinal ? `Remove ${bot.name} for good?` : `Delete ${bot.name}?`, text, action: isFinal ? "Remove it now" : "Delete it", typed: state.bot.name });
    if (!sure) return;
    await remove(isFinal ? `${botPath(bot.id)}?now=true` : botPath(bot.id), { ifMatch: state.bot.version });
    say(isFinal ? `${state.bot.name} was removed.` : `${state.bot.name} was deleted. Its settings bring it back.`);
    go("/");
  }, { class: "danger" });
  return card("State", h("p", {}, STATES[bot.status](bot)), h("p", { class: "actions" }, wake, archive, erase));
}
