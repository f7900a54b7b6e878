// What a bot knows how to do, and what its model reads before anybody says a word.

import { Problem, botPath, get, items, patch, put } from "../api.js";
import { botPage, fileHref, filePath } from "../bot_page.js";
import { barsByName } from "../chart.js";
import { h } from "../dom.js";
import { count } from "../format.js";
import { field, form } from "../forms.js";
import { again, go } from "../router.js";
import { badge, card, empty, say } from "../ui.js";
import { may } from "../who.js";

const fileOf = (name) => `skills/${name}/SKILL.md`;
/** What a skill begins as. */
const blank = (name, about) => `---\nname: ${name}\ndescription: ${about}\n---\n\n# ${name}\n\nWhat to do, step by step.\n`;

export const skillsPage = (context) => botPage(context, "/skills", async (bot) => {
  const [prompt, files] = await Promise.all([get(botPath(bot.id, "prompt"), context), items(botPath(bot.id, "files"), context)]);
  const own = new Set(files.map((file) => file.name));
  return h("div", { class: "columns" }, skillList(bot, prompt.skills, own), may("bots:write") && newSkill(bot, own), promptCard(bot, prompt));
});

function skillList(bot, skills, own) {
  if (skills.length === 0) return card("Skills", empty("tool", "No skills yet", "A skill is a file that tells the bot how something is done. It reads one when it needs it."));
  const chosen = bot.abilities.skills;
  // One that cannot be read has no name but its path, and is not to be chosen.
  const broken = skills.filter((skill) => skill.name.includes("/"));
  const rows = skills.filter((skill) => !broken.includes(skill)).map((skill) => {
    const isOn = field({ label: skill.name, type: "checkbox", value: chosen === null || chosen.includes(skill.name), hint: skill.description || "It says nothing of itself." });
    if (own.has(fileOf(skill.name))) isOn.element.append(h("p", { class: "hint" }, h("a", { href: fileHref(bot, fileOf(skill.name)) }, "Its text")));
    // What was switched off here says so by its box.
    if (skill.left_out && isOn.value) isOn.element.append(h("p", { class: "hint" }, badge("warn", "Not used"), ` ${skill.left_out}`));
    return { skill, isOn };
  });
  return card("Skills", h("p", { class: "muted" }, "The bot is told of those that are ticked, and reads one when it needs it."),
    form({ fields: rows.map(({ isOn }) => isOn), action: "Save", send: async () => {
      const on = rows.filter(({ isOn }) => isOn.value).map(({ skill }) => skill.name);
      // All of them are also those that come later.
      await patch(botPath(bot.id), { abilities: { skills: on.length === rows.length ? null : on } });
      say("Saved.");
      again();
    } }),
    broken.map((skill) => h("p", { class: "hint" }, badge("bad", "Not read"), " ", h("a", { href: fileHref(bot, skill.name) }, skill.name), skill.left_out && `: ${skill.left_out}`)));
}

function newSkill(bot, own) {
  const name = field({ label: "Name", path: "name", placeholder: "weekly-report", autocapitalize: "off" });
  const about = field({ label: "When is it used?", path: "about", placeholder: "When somebody asks for the weekly report." });
  return card("New skill", form({ fields: [name, about], action: "Write it", send: async () => {
    const called = name.value.trim();
    if (!/^[A-Za-z0-9._-]{1,64}$/.test(called)) throw new Problem(400, "Not made", "name: a skill's name has letters, digits, dashes and dots, 64 at most.");
    if (own.has(fileOf(called))) throw new Problem(400, "Not made", "name: the bot has a skill of this name.");
    if (about.value.trim() === "") throw new Problem(400, "Not made", "about: say it in a sentence: by it the bot knows when to read the skill.");
    await put(filePath(bot, fileOf(called)), blank(called, JSON.stringify(about.value.trim())), { ifNoneMatch: "*" });
    go(fileHref(bot, fileOf(called)));
  } }));
}

/** What a first message costs before it is answered. */
function promptCard(bot, prompt) {
  const parts = prompt.parts.filter((part) => part.tokens > 0).sort((a, b) => b.tokens - a.tokens);
  return card("What its model reads first", h("p", {}, h("strong", {}, `About ${count(prompt.tokens)} tokens`), " with a first hello: its character, its memory, its skills and its tools."),
    barsByName("Tokens by part", "Part", parts.map((part) => ({ name: part.name, value: part.tokens })), count, true),
    h("details", {}, h("summary", {}, "The whole text"), h("pre", { tabindex: "0" }, prompt.system)));
}
