// One conversation, turn by turn: how long each step took, what it read and wrote, and what that cost.

import { botPath, get } from "../api.js";
import { botHref, botPage } from "../bot_page.js";
import { keptFiles } from "../chat_files.js";
import { h } from "../dom.js";
import { compact, count, dollars, duration, plural, when } from "../format.js";
import { badge, button, empty } from "../ui.js";
import { scheduleNames, sessionName } from "./sessions.js";

/** How many lines of a log are read to show what turns said. */
const LINES = 500;

export const sessionPage = (context) => botPage(context, "/sessions", async (bot) => {
  const { session } = context.params;
  const { signal } = context;
  const path = (...more) => botPath(bot.id, "sessions", session, ...more);
  const show = async (turns) => {
    const said = await linesOf(path("entries"), turns.items, signal);
    return turns.items.map((turn) => turnItem(bot, turn, said.get(turn.turn) ?? []));
  };
  const [page, first, schedules] = await Promise.all([get(path(), { signal }), get(path("turns"), { signal }), session.split(":")[2] === "cron" ? scheduleNames(bot, signal) : new Map()]);
  const list = h("ol", { class: "turns" }, await show(first));
  // The newest turn is what most who come here look for.
  list.querySelector("details")?.setAttribute("open", "");
  let { next } = first;
  const more = next !== null && button("Older turns", async () => {
    const older = await get(`${path("turns")}?before=${next}`, { signal });
    list.append(...await show(older));
    next = older.next;
    if (next === null) more.remove();
  });
  const facts = [["Entries", count(page.entries)], ["Tokens in", compact(page.usage.input)], ["of them cached", compact(page.usage.cached)], ["Tokens out", compact(page.usage.output)], ["Cost", dollars(page.cost)]];
  return [h("section", { class: "card" }, h("p", { class: "crumb" }, h("a", { href: botHref(bot, "/sessions") }, "Sessions")),
    h("h2", {}, sessionName(page.session, schedules), page.busy && badge("warn", "under way")), h("p", { class: "sub" }, h("code", {}, page.session)),
    h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))))),
  h("h2", { class: "section" }, "Turns"),
  first.items.length === 0 ? empty("clock", "No turns yet", "A turn is one answer, with all that the model and its tools did for it.") : list, more];
});

/** The lines of these turns, by turn. */
async function linesOf(path, turns, signal) {
  const lines = new Map();
  if (turns.length === 0) return lines;
  const { items } = await get(`${path}?after=${turns[turns.length - 1].seq}&limit=${LINES}`, { signal });
  for (const entry of items) lines.set(entry.turn, [...(lines.get(entry.turn) ?? []), entry]);
  return lines;
}

function turnItem(bot, turn, entries) {
  const said = entries.find((entry) => entry.kind === "user");
  const words = said?.text.slice(0, 120) || (said?.files?.length > 0 && plural(said.files.length, "file"));
  const { usage } = turn;
  return h("li", { class: "turn" },
    h("div", { class: "turn-head" }, h("strong", {}, words || when(turn.at)), h("span", { class: "muted" }, words && when(turn.at))),
    h("p", { class: "muted" }, plural(turn.model_calls, "model call"), " · ", plural(turn.tool_calls, "tool call"), " · ",
      `${count(usage.input)} in${usage.cached ? ` (${count(usage.cached)} cached)` : ""}, ${count(usage.output)} out`, " · ", dollars(turn.cost), turn.models.length > 0 && [" · ", turn.models.join(", ")]),
    turn.steps.length > 0 && waterfall(turn.steps), entries.length > 0 && transcript(bot, entries));
}

const STEPS = { queued: "Queued", loaded: "Loaded", model: "Model", summary: "Summary", tool: "Tool", approval: "Waited for the owner", failed: "Failed", delivered: "Delivered" };

/** What a turn spent its time on. */
function waterfall(steps) {
  const from = Math.min(...steps.map((step) => step.at));
  const whole = Math.max(...steps.map((step) => step.at + step.ms - from), 1);
  const lines = steps.map((step) => {
    const bar = h("span", { class: `span ${step.kind}` });
    bar.style.insetInlineStart = `${((step.at - from) / whole) * 99}%`;
    bar.style.inlineSize = `${Math.max((step.ms / whole) * 100, 0.6)}%`;
    return h("li", {}, h("span", { class: "step" }, step.name ? `${STEPS[step.kind]}: ${step.name}` : STEPS[step.kind]), h("span", { class: "track", "aria-hidden": "true" }, bar),
      h("span", { class: "took" }, duration(step.ms), step.cost ? ` · ${dollars(step.cost)}` : ""));
  });
  return h("details", {}, h("summary", {}, `Steps, ${duration(whole)} in all`), h("ol", { class: "waterfall" }, lines));
}

const NAMES = { user: "Message", event: "Event", assistant: "Answer", tool_result: "Tool", asked: "Asked", failed: "Failed", notice: "Notice", stopped: "Stopped", reset: "New conversation", compaction: "Summary", dropped: "Left out" };

/** What was said in a turn. */
function transcript(bot, entries) {
  const lines = entries.map((entry) => {
    const calls = (entry.tool_calls ?? []).map((call) => `${call.name} ${call.arguments}`);
    const text = [entry.text, ...calls, entry.detail].filter(Boolean).join("\n");
    const files = keptFiles(bot, entry.files, entry.tool ? `from the tool ${entry.tool}` : "that came with the message");
    return [h("dt", {}, entry.tool ? `${NAMES[entry.kind]}: ${entry.tool}` : NAMES[entry.kind] ?? entry.kind), h("dd", {}, text || (!files && "No words"), files)];
  });
  return h("details", {}, h("summary", {}, "Transcript"), h("dl", { class: "transcript" }, lines));
}
