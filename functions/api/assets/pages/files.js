// A bot's files: who it is, what it remembers, what it can do.

import { botPath, getTagged, items, put, remove } from "../api.js";
import { botHref, botPage, fileHref, filePath } from "../bot_page.js";
import { h } from "../dom.js";
import { size } from "../format.js";
import { go, onLeave } from "../router.js";
import { button, confirm, empty, linkButton, say } from "../ui.js";
import { may } from "../who.js";

/** What the files are for that every bot may have, in the order of their weight. */
const CHARACTER = {
  "SOUL.md": "Who it is, and how it speaks",
  "IDENTITY.md": "Its name and its looks",
  "USER.md": "Who you are",
  "AGENTS.md": "How it works",
  "TOOLS.md": "Notes on its tools",
  "HEARTBEAT.md": "What it looks after by itself",
  "BOOTSTRAP.md": "What it does when it first wakes",
};
const KEPT = { "MEMORY.md": "What it has learnt for good" };

/** The groups of files: what is in them, and what stands there while nothing is. */
const GROUPS = [
  ["Character", (name) => name in CHARACTER],
  ["Memory", (name) => name in KEPT || name.startsWith("memory/")],
  ["Skills", (name) => name.startsWith("skills/")],
  ["Other files", () => true],
];

export const filesPage = (context) => botPage(context, "/files", async (bot) => {
  const files = await items(botPath(bot.id, "files"), context);
  const open = context.params.file;
  const known = files.find((file) => file.name === open);
  return h("div", { class: `split ${open ? "opened" : ""}` }, list(bot, files, open), open ? await editor(bot, open, known, context.signal)
    : empty("file", "Choose a file", "SOUL.md says who the bot is, MEMORY.md what it remembers. A change counts from its next turn on."));
});

function list(bot, files, open) {
  const left = new Set(files);
  const groups = GROUPS.map(([title, has]) => {
    const mine = [...left].filter((file) => has(file.name));
    for (const file of mine) left.delete(file);
    return [title, mine.sort((a, b) => rank(a.name) - rank(b.name) || (title === "Memory" ? b.name.localeCompare(a.name) : a.name.localeCompare(b.name)))];
  });
  const link = (file) => h("li", {}, h("a", { href: fileHref(bot, file.name), "aria-current": file.name === open ? "page" : null }, h("strong", {}, file.name), h("small", {}, CHARACTER[file.name] ?? KEPT[file.name] ?? size(file.size))));
  const group = ([title, mine]) => {
    const isMemory = title === "Memory";
    if (mine.length === 0 && !isMemory) return null;
    return h("section", {}, h("h2", { class: "group" }, title), h("ul", {}, mine.map(link)), isMemory && memoryHint(bot, mine));
  };
  return h("nav", { class: "files", "aria-label": "Files" }, groups.map(group), may("bots:write") && newFile(bot));
}

const ORDER = [...Object.keys(CHARACTER), ...Object.keys(KEPT)];
const rank = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);

/** A bot that remembers nothing yet can be told something to begin with. */
function memoryHint(bot, mine) {
  if (mine.some((file) => file.name === "MEMORY.md")) return null;
  return h("p", { class: "hint" }, "The bot has no ", may("bots:write") ? h("a", { href: fileHref(bot, "MEMORY.md") }, "MEMORY.md") : "MEMORY.md", " yet: what stands there it knows in every conversation.");
}

function newFile(bot) {
  const input = h("input", { id: "new-file", placeholder: "notes/garden.md", autocomplete: "off", spellcheck: "false" });
  return h("form", { class: "new-file", onsubmit: (event) => {
    event.preventDefault();
    const name = input.value.trim();
    if (name) go(fileHref(bot, name));
  } }, h("label", { for: "new-file" }, "New file"), h("div", { class: "inline" }, input, h("button", { class: "button" }, "Write it")),
  h("p", { class: "hint" }, "Any text. memory/NAME.md is a memory, skills/NAME/SKILL.md a skill."));
}

function frame(bot, name, ...content) {
  return h("section", { class: "card edit", "aria-labelledby": "file-name" },
    h("div", { class: "bot-top" }, h("h2", { id: "file-name" }, content.some((one) => one?.id === "editor") ? h("label", { for: "editor" }, name) : name), h("a", { class: "only-small", href: botHref(bot, "/files") }, "All files")), content);
}

/** A text as a text field has it. */
const inLines = (text) => text.replace(/\r\n?/g, "\n");

/** `known`: the file, if there is one of this name. */
async function editor(bot, name, known, signal) {
  const read = await (known ? getTagged(filePath(bot, name), { signal }) : { data: "", etag: null, kind: "text/plain" });
  if (!read.kind.startsWith("text/")) {
    return frame(bot, name, h("p", {}, `This is no text (${size(known.size)}), so it can be read and replaced by programs only.`),
      h("p", { class: "actions" }, h("a", { class: "button", href: filePath(bot, name), download: name.split("/").pop() }, "Download it"), removal(bot, name, () => read.etag)));
  }
  // A file keeps its kind of line ends.
  const lineEnd = read.data.includes("\r\n") ? "\r\n" : "\n";
  let saved = { text: inLines(read.data), etag: read.etag };
  const isReadOnly = !may("bots:write");
  const state = h("span", { class: "muted", role: "status" }, known ? "" : "New: it is made when you save it.");
  const area = h("textarea", { id: "editor", class: "editor", spellcheck: "true", readonly: isReadOnly, value: saved.text, oninput: () => (state.textContent = isChanged() ? "Not saved" : "") });
  const isChanged = () => area.value !== saved.text;
  if (isReadOnly) return frame(bot, name, area);
  const save = async () => {
    const text = area.value;
    await put(filePath(bot, name), text.replaceAll("\n", lineEnd), saved.etag ? { ifMatch: saved.etag } : { ifNoneMatch: "*" });
    const isNew = !saved.etag;
    const written = await getTagged(filePath(bot, name));
    saved = { text: inLines(written.data), etag: written.etag };
    if (isNew && !isChanged()) {
      onLeave(null);
      go(fileHref(bot, name));
    }
    state.textContent = isChanged() ? "Not saved" : "Saved. It counts from the next turn on.";
  };
  const saveButton = button("Save", save, { class: "primary" });
  area.addEventListener("keydown", (event) => {
    if (event.key !== "s" || !(event.metaKey || event.ctrlKey)) return;
    event.preventDefault();
    saveButton.click();
  });
  onLeave(() => (area.isConnected && isChanged() ? `${name} has changes that are not saved. Leave it all the same?` : null));
  return frame(bot, name, area, h("p", { class: "actions" }, saveButton, known ? removal(bot, name, () => saved.etag) : linkButton("Cancel", botHref(bot, "/files")), state));
}

function removal(bot, name, etag) {
  return button("Delete", async () => {
    const sure = await confirm({ title: `Delete ${name}?`, text: "The bot does not know what is in it any more, and it cannot be brought back.", action: "Delete it" });
    if (!sure) return;
    await remove(filePath(bot, name), { ifMatch: etag() });
    onLeave(null);
    say(`${name} was deleted.`);
    go(botHref(bot, "/files"));
  }, { class: "danger", needs: "bots:write" });
}
