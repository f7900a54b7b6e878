// What a bot does by itself, and when.

import { botPath, get, items, patch, post, remove } from "../api.js";
import { botPage } from "../bot_page.js";
import { cronInWords } from "../cron.js";
import { h, replace } from "../dom.js";
import { ago, dollars, duration, when, whenIn } from "../format.js";
import { choice, field, form } from "../forms.js";
import { more } from "../paging.js";
import { badge, button, card, confirm, empty, loaded, say, timeOf } from "../ui.js";
import { may } from "../who.js";

export const schedulesPage = (context) => botPage(context, "/schedules", async (bot) => {
  const list = loaded(async (reload) => {
    const { signal } = context;
    const path = `${botPath(bot.id, "schedules")}?limit=100`;
    const first = await get(path, { signal });
    const cards = (schedules) => {
      const own = schedules.filter((one) => one.payload.kind !== "heartbeat");
      return own.sort((a, b) => (a.dueAt ?? Infinity) - (b.dueAt ?? Infinity)).map((one) => scheduleCard(bot, one, reload));
    };
    const all = cards(first.items);
    if (all.length === 0 && first.next === null) return empty("clock", "Nothing planned", `Have ${bot.name} do something every morning, each hour, or once next week.`);
    const list = h("div", { class: "stack" }, all);
    return [list, more({ path, next: first.next, label: "More schedules", signal, show: (schedules) => list.append(...cards(schedules)) })];
  });
  await list.ready;
  return [list, may("bots:write") && newSchedule(bot, list), heartbeat(bot)];
});

/** When a schedule runs, in words where there are any, and as it was asked for. */
function told(schedule) {
  if (schedule.kind === "every") return `Every ${duration(schedule.everyMs)}`;
  if (schedule.kind !== "cron") return `Once, ${when(schedule.at)}`;
  const words = cronInWords(schedule.expr);
  return [words && `${words} `, h("code", {}, schedule.expr), h("span", { class: "muted" }, ` ${schedule.tz ?? "UTC"}`)];
}

/** The runs to come, by the clock of the schedule, and how late they begin. */
function coming(bot, one) {
  if (!one.enabled) return null;
  if (one.nextRuns.length === 0) return h("p", { class: "muted" }, "Nothing is to come.");
  const zone = one.schedule.tz ?? bot.time_zone;
  const run = ({ at, scheduled }) => h("li", {}, h("time", { datetime: new Date(at).toISOString() }, whenIn(at, zone)),
    h("span", { class: "muted" }, ` ${ago(at)}${at - scheduled >= 1000 ? `, ${duration(at - scheduled)} after its time` : ""}`));
  return h("div", { class: "coming" }, h("h3", {}, one.nextRuns.length === 1 ? "Next run" : "Next runs", `, by the clock of ${zone}`), h("ol", {}, one.nextRuns.map(run)),
    one.jitterMs > 0 && h("p", { class: "hint" }, `Each run begins up to ${duration(one.jitterMs)} late, another part of it each time.`));
}

function scheduleCard(bot, one, reload) {
  const path = (...more) => botPath(bot.id, "schedules", one.id, ...more);
  const text = one.payload.message ?? one.payload.text ?? "";
  const last = one.state.lastRunAtMs;
  const outcome = one.state.lastOutcome;
  return h("section", { class: "card" },
    h("div", { class: "bot-top" }, h("h2", {}, one.name), one.enabled ? badge("good", "On") : badge("warn", "Off")),
    h("p", {}, told(one.schedule)),
    text && h("blockquote", {}, text),
    coming(bot, one),
    h("p", { class: "muted" }, one.told, last && [" · last ", timeOf(last)], outcome?.error && `: ${outcome.error}`),
    one.state.paused && h("p", { class: "error" }, "It switched itself off after errors. See its runs, then switch it on."),
    may("bots:write") && h("p", { class: "actions" },
      button("Run now", async () => {
        await post(path("run"));
        say("It is on its way.");
        await reload();
      }),
      button(one.enabled ? "Switch off" : "Switch on", async () => {
        await patch(path(), { enabled: !one.enabled }, { ifMatch: one.version });
        await reload();
      }),
      button("Remove", async () => {
        if (!(await confirm({ title: `Remove ${one.name}?`, text: "It does not run any more, and its runs are forgotten.", action: "Remove it" }))) return;
        await remove(path());
        say("Removed.");
        await reload();
      }, { class: "danger" })),
    history(path));
}

function history(path) {
  const place = h("div", {});
  const details = h("details", { ontoggle: () => {
    if (details.open) replace(place, loaded(async () => {
      const runs = await items(path("runs"));
      if (runs.length === 0) return h("p", { class: "muted" }, "It has not run yet.");
      return h("ul", { class: "rows" }, runs.map((run) => h("li", {}, h("div", {}, when(run.startedAt ?? run.started_at), h("p", { class: "sub" }, [run.status ?? run.outcome ?? run.kind, duration(run.duration), dollars(run.cost)].filter(Boolean).join(" · "), run.error && ` · ${run.error}`)))));
    }));
  } }, h("summary", {}, "Runs"), place);
  return details;
}

function newSchedule(bot, list) {
  const name = field({ label: "Name", path: "name", placeholder: "Morning brief" });
  const message = field({ label: "What is it to do?", path: "payload.message", type: "textarea", placeholder: "Tell me what is on today, in three lines." });
  const daily = field({ label: "At", path: "schedule", type: "time", value: "09:00", hint: `By the bot's clock, ${bot.time_zone}.` });
  const days = field({ label: "On", path: "days", type: "select", value: "*", options: [["*", "every day"], ["1-5", "weekdays"], ["0,6", "weekends"], ["1", "Mondays"], ["2", "Tuesdays"], ["3", "Wednesdays"], ["4", "Thursdays"], ["5", "Fridays"], ["6", "Saturdays"], ["0", "Sundays"]] });
  const every = field({ label: "Every", path: "schedule.every", placeholder: "30m", hint: "Such as 30m, 2h or 1d." });
  const at = field({ label: "At", path: "schedule.at", placeholder: "in 20m", hint: "Such as in 20m, 14:30 or 2026-12-24 18:00." });
  const words = h("p", { class: "hint", role: "status" });
  const cron = field({ label: "Cron expression", path: "schedule.expr", placeholder: "0 9 * * 1-5", hint: `Minute, hour, day of the month, month, weekday, by the bot's clock, ${bot.time_zone}.`, oninput: () => (words.textContent = cronInWords(cron.value) ?? "") });
  cron.element.append(words);
  const parts = { daily: [daily, days], every: [every], at: [at], cron: [cron] };
  const place = h("div", { class: "details" });
  const pick = (kind) => replace(place, parts[kind].map((one) => one.element));
  const kind = choice({ legend: "When?", path: "kind", value: "daily", onchange: pick, options: [["daily", "At a time of day"], ["every", "Again and again"], ["at", "Once"], ["cron", "By a cron expression"]] });
  pick("daily");
  const schedule = () => {
    if (kind.value === "every") return { kind: "every", every: every.value.trim() };
    if (kind.value === "at") return { kind: "at", at: at.value.trim() };
    if (kind.value === "cron") return { kind: "cron", expr: cron.value.trim() };
    const [hour, minute] = daily.value.split(":").map(Number);
    return { kind: "cron", expr: `${minute} ${hour} * * ${days.value}` };
  };
  return card("New schedule", form({ fields: [name, message, kind, place], action: "Add it", send: async () => {
    await post(botPath(bot.id, "schedules"), { name: name.value.trim(), schedule: schedule(), payload: { kind: "agentTurn", message: message.value } });
    say("Added.");
    name.input.value = "";
    message.input.value = "";
    await list.reload();
  } }));
}

function heartbeat(bot) {
  const { every_minutes: minutes, active_hours: hours } = bot.heartbeat;
  const every = field({ label: "Minutes between two looks", path: "heartbeat.every_minutes", type: "number", min: 1, value: minutes ?? "", hint: "Empty: it does not look by itself. HEARTBEAT.md says what to look for." });
  const from = field({ label: "From", path: "heartbeat.active_hours", type: "time", value: hours?.start ?? "" });
  const until = field({ label: "Until", path: "heartbeat.active_hours.end", type: "time", value: hours?.end ?? "", hint: `By the bot's clock, ${bot.time_zone}. Both empty: all day.` });
  return card("Heartbeat", h("p", { class: "muted" }, "Now and then the bot looks by itself whether there is something to do, and writes only if there is."), form({ fields: [every, h("div", { class: "pair" }, from.element, until.element)], action: "Save", send: async () => {
    const next = { ...bot.heartbeat, every_minutes: every.value === "" ? undefined : Number(every.value), active_hours: from.value || until.value ? { start: from.value, end: until.value } : undefined };
    bot = await patch(botPath(bot.id), { heartbeat: every.value === "" ? {} : next });
    say("Saved.");
  } }));
}
