// Talking with a bot: what was said, what is being written, and the tools that run meanwhile.

import { botPath, get, post } from "../api.js";
import { botHref, botPage } from "../bot_page.js";
import { channelLabel } from "../channels.js";
import { attachments, keptFiles } from "../chat_files.js";
import { h, replace } from "../dom.js";
import { dollars, time, when } from "../format.js";
import { icon } from "../icons.js";
import { follow } from "../live.js";
import { markdown } from "../markdown.js";
import { problemBox } from "../ui.js";
import { may } from "../who.js";

export const chatPage = (context) => botPage(context, "", async (bot) => {
  const { signal } = context;
  const log = h("div", { class: "log", role: "log", "aria-live": "polite", "aria-relevant": "additions", "aria-label": `Conversation with ${bot.name}` });
  const draft = h("div", { class: "draft" });
  const state = h("p", { class: "chat-state", role: "status" });
  const chat = { bot, log, draft, state, signal, pending: new Map(), seen: new Set(), calls: [], isBusy: false };
  const first = await get(botPath(bot.id, "chat"), { signal });
  if (first.items[0]?.seq > 0 && may("sessions:read")) log.append(h("p", { class: "seam" }, h("a", { href: botHref(bot, `/sessions/${encodeURIComponent(first.session)}`) }, "What was said before")));
  show(chat, first);
  if (first.items.length === 0) greet(chat);
  follow(bot.id, first, signal, {
    page: (news) => show(chat, news),
    trouble: () => (state.textContent = "The connection was lost. Trying again…"),
    gone: (error) => replace(draft, problemBox(error)),
  });
  const page = h("div", { class: "chat" }, h("div", { class: "chat-scroll" }, log, draft, state), composer(chat));
  requestAnimationFrame(() => toEnd(chat, true));
  return page;
});

function greet(chat) {
  const suggest = (text) => h("button", { class: "button small", type: "button", onclick: () => send(chat, text) }, text);
  chat.greeting = h("div", { class: "empty" }, h("span", { class: "empty-icon" }, icon("chat")), h("h2", {}, `Say something to ${chat.bot.name}`),
    h("p", {}, chat.bot.model.model ? "What you write here stays between you and your bot." : "It answers with the built-in demo, which echoes and knows the time. Its settings give it a real model."),
    h("p", { class: "actions" }, suggest("Hello!"), suggest("What time is it?"), !chat.bot.model.model && h("a", { class: "button small", href: botHref(chat.bot, "/settings") }, "Give it a model")));
  chat.log.append(chat.greeting);
}

/** Takes in a page of the conversation. */
function show(chat, page) {
  for (const entry of page.items) {
    for (const message of [entry.message, ...(entry.messages ?? [])].filter(Boolean)) {
      chat.seen.add(message);
      chat.pending.get(message)?.remove();
      chat.pending.delete(message);
    }
    chat.log.append(...guarded(entry.text, () => entryNodes(entry, chat)));
  }
  if (page.items.length > 0) chat.greeting?.remove();
  for (const bubble of chat.pending.values()) chat.log.append(bubble);
  const text = page.draft?.text ?? "";
  const isBusy = page.busy || chat.pending.size > 0;
  replace(chat.draft, text && guarded(text, () => [message("theirs writing", markdown(text))]), !text && isBusy && h("div", { class: "typing", "aria-hidden": "true" }, h("span"), h("span"), h("span")));
  chat.state.textContent = isBusy ? (text ? `${chat.bot.name} is writing…` : `${chat.bot.name} is thinking…`) : "";
  chat.isBusy = isBusy;
  chat.onbusy?.(isBusy);
  toEnd(chat);
}

function toEnd(chat, always = false) {
  const box = chat.log.parentElement;
  if (!box) return;
  const isNear = box.scrollHeight - box.scrollTop - box.clientHeight < 240;
  if (always || isNear) box.scrollTop = box.scrollHeight;
}

const message = (kind, body, ...below) => h("div", { class: `message ${kind}` }, h("div", { class: "bubble" }, body), below);

/** What is made of a text; its bare words where it is stranger than the page can show, so that it hides nothing beside it. */
function guarded(text, make) {
  try {
    return make();
  } catch (error) {
    console.warn("A text is shown as it is.", error);
    return [message("notice", h("div", { class: "plain" }, String(text ?? "")))];
  }
}

/** What an entry of the log looks like. */
function entryNodes(entry, chat) {
  const { bot, calls } = chat;
  // A picture is as tall as it is only once it has come.
  const files = (about) => keptFiles(bot, entry.files, about, () => toEnd(chat));
  const at = h("time", { datetime: new Date(entry.at).toISOString(), title: when(entry.at) }, time(entry.at));
  switch (entry.kind) {
    case "user": {
      if (entry.author === "job") return [told(`Schedule · ${entry.sender?.name ?? "Heartbeat"}`, entry.text, at)];
      if (entry.author === "session") return [told(`From another conversation · ${entry.sender?.name ?? ""}`, entry.text, at)];
      const who = entry.channel === "webchat" ? "You" : `${entry.sender?.name ?? entry.sender?.id ?? "Somebody"} on ${channelLabel(entry.channel)}`;
      return [message(`you ${entry.command ? "command" : ""} ${entry.channel === "webchat" ? "" : "other"}`, entry.text && h("div", { class: "plain" }, entry.text), files(`sent by ${who === "You" ? "you" : who}`), h("p", { class: "meta" }, who, " · ", at))];
    }
    case "assistant": {
      const cost = entry.cost ? ` · ${dollars(entry.cost)}` : "";
      const tokens = entry.usage?.output ? ` · ${entry.usage.input + entry.usage.output} tokens` : "";
      const said = entry.text && !entry.silent ? [message("theirs", markdown(entry.text), h("p", { class: "meta" }, at, tokens, cost))] : [];
      const runs = (entry.tool_calls ?? []).map((call) => {
        const result = h("div", { class: "tool-result" }, h("p", { class: "muted" }, "Running…"));
        const state = h("span", { class: "tool-state" }, "running");
        calls.push({ name: call.name, result, state });
        return h("details", { class: "tool" }, h("summary", {}, icon("tool"), h("code", {}, call.name), " ", state),
          h("pre", { tabindex: "0" }, pretty(call.arguments)), result);
      });
      return [...said, ...runs];
    }
    case "tool_result": {
      const at = calls.findIndex((call) => call.name === entry.tool);
      const [call] = at < 0 ? [] : calls.splice(at, 1);
      if (call) {
        call.state.textContent = entry.outcome === "ok" ? "done" : entry.outcome;
        call.state.classList.toggle("bad", entry.outcome !== "ok");
        replace(call.result, h("pre", { tabindex: "0" }, entry.text));
      }
      const found = files(`from the tool ${entry.tool}`);
      return found ? [h("div", { class: "message theirs" }, found)] : [];
    }
    case "asked":
      return [message("notice", [markdown(entry.text), may("approve") && h("p", { class: "meta" }, h("a", { href: "/approvals" }, "Decide under Approvals"))])];
    case "failed":
      return [message("notice bad", [h("p", {}, entry.text), entry.detail && h("p", { class: "meta" }, entry.detail)])];
    case "stopped":
      return [line(entry.stopped_by === "message" ? "Stopped for a newer message" : "Stopped")];
    case "reset":
      return [line("A new conversation begins here")];
    case "compaction":
      return [line("The model knows what is above by a summary")];
    case "event":
      return [line(`${entry.sender?.name ?? entry.sender?.username ?? entry.sender?.id ?? "Somebody"} ${entry.text}`)];
    case "dropped":
      return [line("Messages were left out because too many waited")];
    default:
      return [message("notice", markdown(entry.text))];
  }
}

/** What no person said. */
const told = (title, text, at) => h("details", { class: "told" }, h("summary", {}, icon("clock"), h("span", {}, title, " · ", at)), h("div", { class: "plain" }, text));

const line = (text) => h("p", { class: "seam" }, h("span", {}, text));

function pretty(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

/** A name for a message, so that it is the same one if it is sent again. */
function freshName() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Sends a message; `files` as `ChatSend` has them. */
async function send(chat, text, files = [], id = freshName()) {
  const body = [text && h("div", { class: "plain" }, text), files.length > 0 && h("ul", { class: "kept" }, files.map((file) => h("li", { class: "kept-file" }, icon("file"), file.name)))];
  const meta = h("p", { class: "meta" }, "Sending…");
  const bubble = message("you pending", body, meta);
  chat.greeting?.remove();
  chat.log.append(bubble);
  toEnd(chat, true);
  try {
    const accepted = await post(botPath(chat.bot.id, "chat"), { text, id, ...(files.length > 0 && { files }) });
    meta.textContent = "Sent";
    // Its entry may have come before this answer.
    if (chat.seen.has(accepted.message)) return bubble.remove();
    chat.pending.set(accepted.message, bubble);
    chat.onbusy?.(true);
    if (!chat.draft.firstChild) replace(chat.draft, h("div", { class: "typing", "aria-hidden": "true" }, h("span"), h("span"), h("span")));
    chat.state.textContent = `${chat.bot.name} is thinking…`;
    toEnd(chat, true);
  } catch (error) {
    bubble.classList.add("failed");
    replace(meta, `Not sent. ${error.message} `, h("button", { class: "button small", type: "button", onclick: () => { bubble.remove(); send(chat, text, files, id); } }, "Send again"));
  }
  return undefined;
}

function composer(chat) {
  const input = h("textarea", { id: "say", rows: 1, placeholder: `Message ${chat.bot.name}`, "aria-describedby": "say-hint", enterkeyhint: "send" });
  const stop = h("button", { class: "button", type: "button", hidden: true, onclick: () => send(chat, "/stop") }, icon("stop"), "Stop");
  const attached = attachments(input);
  chat.onbusy = (is) => (stop.hidden = !is);
  chat.onbusy(Boolean(chat.isBusy));
  const fit = () => {
    input.style.blockSize = "auto";
    input.style.blockSize = `${Math.min(input.scrollHeight + 2, 200)}px`;
  };
  const submit = async (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (!text && !attached.any) return;
    // What was written meanwhile is another message.
    input.value = "";
    fit();
    try {
      send(chat, text, await attached.take());
    } catch (error) {
      attached.tell(error.message);
      input.value = [text, input.value].filter(Boolean).join("\n");
      fit();
    }
  };
  input.addEventListener("input", fit);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  });
  const form = h("form", { class: "composer", onsubmit: submit }, attached.list, h("label", { class: "sr", for: "say" }, `Message ${chat.bot.name}`), attached.button, input, stop,
    h("button", { class: "button primary", "aria-label": "Send" }, icon("send")), h("p", { class: "sr", id: "say-hint" }, "Enter sends, Shift and Enter begins a new line."));
  attached.dropOn(form);
  return form;
}
